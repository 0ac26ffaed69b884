/* SPDX-License-Identifier: MIT */
/* The guest's side of a virtio-mmio device; contract in virtio_driver.h. */
#include "virtio_driver.h"

#include <assert.h>
#include <string.h>

#define DESC_BYTES	16U
#define QUEUE_STRIDE	0x10000ULL
#define AVAIL_OFFSET	0x2000ULL
#define USED_OFFSET	0x4000ULL

static void line_set(void *ctx, unsigned pin, bool is_high)
{
	struct drv *drv = ctx;

	(void)pin;
	assert(drv->line != is_high);	/* level changes only */
	drv->line = is_high;
	drv->edges += is_high;
}

void drv_create(struct drv *drv, struct virtio_dev *dev)
{
	memset(drv, 0, sizeof(*drv));
	gpm_fake_add(&drv->mem, 0, DRV_LOW_END);
	gpm_fake_add(&drv->mem, DRV_RAM_START, DRV_RAM_END - DRV_RAM_START);
	for (unsigned i = 0; i < DRV_QUEUES; i++) {
		const uint64_t base = DRV_RINGS + i * QUEUE_STRIDE;

		drv->queues[i] = (struct drv_queue){
			.size = DRV_SIZE, .desc = base, .avail = base + AVAIL_OFFSET, .used = base + USED_OFFSET,
		};
	}
	virtio_mmio_init(&drv->mmio, dev, &drv->mem.gpm, (struct irq_line){ line_set, drv, 0, NULL }, &drv->work);
}

void drv_destroy(struct drv *drv)
{
	gpm_fake_free(&drv->mem);
}

uint32_t drv_get(struct drv *drv, uint32_t reg)
{
	return (uint32_t)virtio_mmio_read(&drv->mmio, reg, sizeof(uint32_t));
}

void drv_set(struct drv *drv, uint32_t reg, uint32_t val)
{
	virtio_mmio_write(&drv->mmio, reg, sizeof(uint32_t), val);
}

uint32_t drv_negotiate(struct drv *drv, uint64_t features)
{
	const uint32_t up = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	drv_set(drv, VIRTIO_MMIO_Status, VIRTIO_STATUS_ACKNOWLEDGE);
	drv_set(drv, VIRTIO_MMIO_Status, up);
	for (uint32_t half = 0; half < 2; half++) {
		drv_set(drv, VIRTIO_MMIO_DriverFeaturesSel, half);
		drv_set(drv, VIRTIO_MMIO_DriverFeatures, (uint32_t)(features >> (half * 32)));
	}
	drv_set(drv, VIRTIO_MMIO_Status, up | VIRTIO_STATUS_FEATURES_OK);
	return drv_get(drv, VIRTIO_MMIO_Status);
}

uint32_t drv_ready(struct drv *drv, unsigned queue)
{
	const struct drv_queue *q = &drv->queues[queue];

	drv_set(drv, VIRTIO_MMIO_QueueSel, queue);
	drv_set(drv, VIRTIO_MMIO_QueueNum, q->size);
	drv_set(drv, VIRTIO_MMIO_QueueDescLow, (uint32_t)q->desc);
	drv_set(drv, VIRTIO_MMIO_QueueDescHigh, (uint32_t)(q->desc >> 32));
	drv_set(drv, VIRTIO_MMIO_QueueDriverLow, (uint32_t)q->avail);
	drv_set(drv, VIRTIO_MMIO_QueueDriverHigh, (uint32_t)(q->avail >> 32));
	drv_set(drv, VIRTIO_MMIO_QueueDeviceLow, (uint32_t)q->used);
	drv_set(drv, VIRTIO_MMIO_QueueDeviceHigh, (uint32_t)(q->used >> 32));
	drv_set(drv, VIRTIO_MMIO_QueueReady, 1);
	return drv_get(drv, VIRTIO_MMIO_QueueReady);
}

void drv_start(struct drv *drv, uint64_t features)
{
	static const uint8_t zeros[0x8000];
	uint32_t status = drv_negotiate(drv, features);

	assert(status & VIRTIO_STATUS_FEATURES_OK);
	for (unsigned i = 0; i < drv->mmio.dev->queue_count; i++) {
		drv_write_mem(drv, drv->queues[i].desc, zeros, drv->queues[i].size * DESC_BYTES);
		drv_write_mem(drv, drv->queues[i].avail, zeros, 6 + drv->queues[i].size * 2);
		drv_write_mem(drv, drv->queues[i].used, zeros, 6 + drv->queues[i].size * 8);
		drv->queues[i].avail_idx = drv->queues[i].used_seen = drv->queues[i].kicked_idx = 0;
		assert(drv_ready(drv, i));
	}
	drv_set(drv, VIRTIO_MMIO_Status, status | VIRTIO_STATUS_DRIVER_OK);
	drv_work(drv);
}

void drv_write_mem(struct drv *drv, uint64_t addr, const void *from, size_t len)
{
	bool ok = gpm_write(&drv->mem.gpm, gpa(addr), from, len);

	assert(ok);
	(void)ok;
}

void drv_read_mem(struct drv *drv, uint64_t addr, void *to, size_t len)
{
	bool ok = gpm_read(&drv->mem.gpm, gpa(addr), to, len);

	assert(ok);
	(void)ok;
}

void drv_touch(struct drv *drv, uint64_t addr, uint64_t len)
{
	while (!gpm_touch(&drv->mem.gpm, gpa(addr), len))
		continue;
}

void drv_put16(struct drv *drv, uint64_t addr, uint16_t val)
{
	drv_write_mem(drv, addr, &val, sizeof(val));
}

uint16_t drv_get16(struct drv *drv, uint64_t addr)
{
	uint16_t val;

	drv_read_mem(drv, addr, &val, sizeof(val));
	return val;
}

void drv_desc(struct drv *drv, unsigned queue, unsigned index, struct drv_desc desc)
{
	drv_write_mem(drv, drv->queues[queue].desc + index * DESC_BYTES, &desc, DESC_BYTES);
}

void drv_offer(struct drv *drv, unsigned queue, uint16_t head)
{
	struct drv_queue *q = &drv->queues[queue];

	drv_put16(drv, q->avail + 4 + (q->avail_idx % q->size) * 2, head);
	drv_put16(drv, q->avail + 2, ++q->avail_idx);
}

void drv_kick(struct drv *drv, unsigned queue)
{
	drv_set(drv, VIRTIO_MMIO_QueueNotify, queue);
	drv_work(drv);
}

unsigned drv_work(struct drv *drv)
{
	unsigned steps = 0;

	for (; work_is_pending(&drv->work) && steps < DRV_STEPS_MAX; steps++)
		work_run_one(&drv->work);
	return steps;
}

void drv_kick_if_wanted(struct drv *drv, unsigned queue)
{
	struct drv_queue *q = &drv->queues[queue];
	const uint16_t old = q->kicked_idx, new = q->avail_idx;
	const uint16_t event = drv_get16(drv, q->used + 4 + q->size * 8);
	bool is_wanted = !(drv_get16(drv, q->used) & 1);

	if (drv->mmio.dev->s.accepted & VIRTIO_F_EVENT_IDX)
		is_wanted = (uint16_t)(new - event - 1) < (uint16_t)(new - old);
	q->kicked_idx = new;
	if (is_wanted)
		drv_kick(drv, queue);
}

bool drv_take(struct drv *drv, unsigned queue, uint32_t *id, uint32_t *len)
{
	struct drv_queue *q = &drv->queues[queue];
	uint32_t elem[2];

	if (drv_get16(drv, q->used + 2) == q->used_seen) {
		drv_put16(drv, q->avail + 4 + q->size * 2, q->used_seen);	/* used_event: tell me of the next */
		return false;
	}
	drv_read_mem(drv, q->used + 4 + (q->used_seen++ % q->size) * 8, elem, sizeof(elem));
	*id = elem[0];
	*len = elem[1];
	return true;
}
