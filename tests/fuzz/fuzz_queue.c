/* SPDX-License-Identifier: MIT */
/*
 * A hostile virtio driver: the input is a list of operations on guest memory and on the register window of a
 * block device, a console or an entropy device. Whatever they are, no access may leave guest RAM (the chunks
 * are separate allocations under the address sanitizer), no range may reach the disk unchecked, and after
 * each operation the interrupt line, the shadow page and a queue that is ready must be what the contracts
 * say. No step of work moves more than its budget.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gpm_fake.h"
#include "hv/lib/util.h"
#include "hv/virtio/blk.h"
#include "hv/virtio/console.h"
#include "hv/virtio/mmio.h"
#include "hv/virtio/rng.h"

/* Two pieces of RAM, the second across the border of two chunks; little, so that random addresses hit it. */
#define LOW_BYTES	0x10000U
#define BORDER_START	(LARGE_SIZE - 0x4000U)
#define BORDER_BYTES	0x8000U
#define ADDRESS_SCALE	8U
#define DISK_SECTORS	4096U
#define ROOM_MAX	256U
#define OPS_MAX		1500U
#define STEPS_MAX	3U		/* of work after each operation; what is left waits, as in a turn that is over */
#define STEP_BYTES_MAX	(VQ_BUDGET + VQ_PIECE_MAX)

static struct fuzz {
	struct gpm_fake       mem;
	struct virtio_mmio    mmio;
	struct work_list      work;
	struct virtio_dev    *dev;
	struct virtio_blk     blk;
	struct virtio_console con;
	struct virtio_rng     rng;
	struct char_front     front;
	struct block          disk;
	uint8_t               disk_data[DISK_SECTORS * SECTOR_SIZE];
	uint32_t              page[VIRTIO_MMIO_PAGE / 4];
	size_t                room, bite;	/* what the back takes in all, and of one call */
	uint64_t              moved;		/* to and from the disk, in this step */
	unsigned              sum;
	bool                  line;
	unsigned              edges;
	uint16_t              avail_idx;

	const uint8_t        *data;		/* the rest of the input; zeros behind it */
	size_t                size;
} fuzz;

static uint32_t take(struct fuzz *f, unsigned bytes)
{
	uint32_t val = 0;

	for (; bytes && f->size; bytes--, f->size--)
		val = val << 8 | *f->data++;
	return val;
}

/* Mostly in or near one of the two pieces of RAM, sometimes anywhere. */
static uint64_t take_address(struct fuzz *f)
{
	const uint32_t kind = take(f, 1);
	const uint64_t offset = take(f, 2) * (uint64_t)(kind & 8 ? 1 : ADDRESS_SCALE);

	if (kind == 0xff)
		return (uint64_t)take(f, 4) << 32 | take(f, 4);
	return kind & 1 ? BORDER_START + offset % (BORDER_BYTES + 64) : offset % (LOW_BYTES + 64);
}

/* ---- What the devices are plugged into ------------------------------------------------------------- */

static int disk_read(struct block *block, uint64_t offset, void *to, size_t len)
{
	assert(range_fits(offset, len, sizeof(fuzz.disk_data)));
	fuzz.moved += len;
	memcpy(to, fuzz.disk_data + offset, len);
	return block->serial[0];	/* fails in some runs */
}

static int disk_write(struct block *block, uint64_t offset, const void *from, size_t len)
{
	assert(range_fits(offset, len, sizeof(fuzz.disk_data)) && !block->is_readonly);
	fuzz.moved += len;
	memcpy(fuzz.disk_data + offset, from, len);
	return block->serial[0];
}

static int disk_flush(struct block *block) { return block->serial[0]; }

static int disk_discard(struct block *block, uint64_t offset, uint64_t len)
{
	assert(range_fits(offset, len, sizeof(fuzz.disk_data)) && !block->is_readonly);
	memset(fuzz.disk_data + offset, 0, len);
	return block->serial[0];
}

static size_t back_write(void *ctx, const uint8_t *data, size_t len)
{
	struct fuzz *f = ctx;
	const size_t part = min_size(min_size(len, f->room), f->bite);

	for (size_t i = 0; i < part; i++)
		f->sum += data[i];	/* touch every byte */
	f->room -= part;
	return part;
}

static void back_readable(void *ctx)
{
	struct fuzz *f = ctx;

	f->front.input(f->front.dev, (const uint8_t *)"typed while you were away", 25);
}

static size_t fill(void *ctx, uint8_t *to, size_t len)
{
	struct fuzz *f = ctx;
	const size_t part = min_size(len, f->room);

	memset(to, 0x5a, part);
	f->room -= part;
	return part;
}

/* The processor's own source stays out: the same input gives the same run. */
size_t entropy_fill(void *ctx, uint8_t *to, size_t len)
{
	(void)ctx;
	(void)to;
	(void)len;
	return 0;
}

static void line_set(void *ctx, unsigned pin, bool is_high)
{
	struct fuzz *f = ctx;

	(void)pin;
	assert(f->line != is_high);
	f->line = is_high;
	f->edges += is_high;
}

/* ---- Operations ------------------------------------------------------------------------------------- */

static void op_register(struct fuzz *f)
{
	const uint32_t offset = take(f, 1) * 4;
	const unsigned edges = f->edges;

	virtio_mmio_write(&f->mmio, offset, 4, take(f, 2));
	/* The driver has seen some causes. An edge tells it of the others. */
	if (offset == VIRTIO_MMIO_InterruptACK)
		assert(f->edges == edges + (f->mmio.s.interrupt_status != 0));
}

static void op_any_access(struct fuzz *f)
{
	const uint32_t offset = take(f, 2), size = 1U << take(f, 1) % 4;

	virtio_mmio_write(&f->mmio, offset, size, take(f, 4));
	(void)virtio_mmio_read(&f->mmio, take(f, 2), size);
}

static void put(struct fuzz *f, uint64_t addr, const void *from, size_t len)
{
	bool ok = gpm_write(&f->mem.gpm, gpa(addr), from, len);

	(void)ok;	/* not RAM: so be it */
}

static void op_memory(struct fuzz *f)
{
	const uint64_t addr = take_address(f);
	const uint64_t val = (uint64_t)take(f, 4) << 32 | take(f, 4);

	put(f, addr, &val, sizeof(val));
}

static void op_descriptor(struct fuzz *f)
{
	struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc;
	const uint64_t table = f->dev->queues[0].s.desc.raw;
	const uint32_t index = take(f, 1) % VQ_SIZE_MAX;

	desc.addr = take_address(f);
	desc.len = take(f, 2);
	if (take(f, 1) == 0xff)
		desc.len = take(f, 4);
	desc.flags = (uint16_t)(take(f, 1) % 8);
	desc.next = (uint16_t)take(f, 1);
	put(f, table + index * sizeof(desc), &desc, sizeof(desc));
}

/* A request to the disk that is almost right: random input alone would take years to write one. */
static void op_disk_request(struct fuzz *f)
{
	static const uint8_t types[] = { 0, 0, 1, 1, 4, 8, 11, 13 };
	const uint32_t val = take(f, 1), is_in = val & 16, status = 0x8000;
	const struct vq *vq = &f->dev->queues[0];
	const struct virtio_blk_header header = { types[val % countof(types)], 0, take(f, 2) % (DISK_SECTORS + 8) };
	const uint64_t data = take_address(f);
	const struct { uint64_t addr; uint32_t len; uint16_t flags, next; } descs[3] = {
		{ status + 16, sizeof(header), 1, 1 },
		{ data, val & 32 ? take(f, 2) % DISK_SECTORS * SECTOR_SIZE : take(f, 1), is_in ? 3 : 1, 2 },
		{ status, 1, 2, 0 },
	};
	const uint16_t head = 0, idx = ++f->avail_idx;

	put(f, status + 16, &header, sizeof(header));
	put(f, vq->s.desc.raw, descs, sizeof(descs));
	put(f, vq->s.avail.raw + 4 + (vq->s.size ? (idx - 1U) % vq->s.size * 2 : 0), &head, sizeof(head));
	put(f, vq->s.avail.raw + 2, &idx, sizeof(idx));
	virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueNotify, 4, 0);
}

static void op_offer(struct fuzz *f)
{
	const uint32_t val = take(f, 1), queue = val & 1;
	const struct vq *vq = &f->dev->queues[queue];
	const uint32_t size = vq->s.size && vq->s.size <= VQ_SIZE_MAX ? vq->s.size : 1;
	const uint64_t entry = vq->s.avail.raw + 4 + f->avail_idx % size * 2;
	const uint16_t head = (uint16_t)take(f, 1), idx = ++f->avail_idx;

	put(f, entry, &head, sizeof(head));
	put(f, vq->s.avail.raw + 2, &idx, sizeof(idx));
	if (val & 2)
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueNotify, 4, queue);
}

static void op_outside(struct fuzz *f)
{
	const uint32_t val = take(f, 1);

	f->room = val % ROOM_MAX;
	f->bite = 1 + val % 33;
	if (f->dev != &f->con.dev)
		return;
	if (val & 0x80)
		f->front.writable(f->front.dev);
	else
		f->front.input(f->front.dev, (const uint8_t *)"some input", 10);
	if (val == 0x7f)
		f->front.resize(f->front.dev, (uint16_t)take(f, 1), 25);
}

/* The way up as a good driver does it, with rings at a place of the input's choice. */
static void op_start(struct fuzz *f)
{
	static const struct { uint32_t reg, val; } up[] = {
		{ VIRTIO_MMIO_Status, 0 }, { VIRTIO_MMIO_Status, 3 }, { VIRTIO_MMIO_DriverFeaturesSel, 1 },
		{ VIRTIO_MMIO_DriverFeatures, 1 }, { VIRTIO_MMIO_DriverFeaturesSel, 0 },
	};
	/* All rings in one chunk; then table, available, used ring across the border of two. */
	static const uint32_t bases[] = {
		0, BORDER_START + 0x3800, BORDER_START + 0x2ff0, BORDER_START + 0x1ff0,
	};
	const uint32_t shape = take(f, 1), base = bases[shape >> 2 & 3];

	for (size_t i = 0; i < countof(up); i++)
		virtio_mmio_write(&f->mmio, up[i].reg, 4, up[i].val);
	virtio_mmio_write(&f->mmio, VIRTIO_MMIO_DriverFeatures, 4, shape & 2 ? f->dev->offered : 0);
	virtio_mmio_write(&f->mmio, VIRTIO_MMIO_Status, 4, VIRTIO_STATUS_FEATURES_OK | 3);
	for (uint32_t queue = 0; queue < f->dev->queue_count; queue++) {
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueSel, 4, queue);
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueNum, 4, 1U << (shape >> 4 & 7) << (shape & 1));
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueDescLow, 4, base);
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueDriverLow, 4, base + 0x1004 + queue * 0x800);
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueDeviceLow, 4, base + 0x2000 + queue * 0x900);
		virtio_mmio_write(&f->mmio, VIRTIO_MMIO_QueueReady, 4, 1);
	}
	virtio_mmio_write(&f->mmio, VIRTIO_MMIO_Status, 4, VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK | 3);
	f->avail_idx = 0;
}

typedef void op_fn(struct fuzz *f);
static op_fn *const ops[] = {
	op_offer, op_descriptor, op_memory, op_register, op_any_access, op_outside, op_start, op_disk_request,
};

/* ---- One run ----------------------------------------------------------------------------------------- */

static void clear_ram(struct fuzz *f)
{
	static const uint8_t zeros[LOW_BYTES];
	bool ok;

	if (!f->mem.range_count) {
		gpm_fake_add(&f->mem, 0, LOW_BYTES);
		gpm_fake_add(&f->mem, BORDER_START, BORDER_BYTES);
	}
	ok = gpm_write(&f->mem.gpm, gpa(0), zeros, LOW_BYTES) &&
	     gpm_write(&f->mem.gpm, gpa(BORDER_START), zeros, BORDER_BYTES);
	assert(ok);
	(void)ok;
}

static void create(struct fuzz *f, uint32_t choice)
{
	const struct char_back back = { back_write, back_readable, f };

	f->work = (struct work_list){ 0 };
	f->room = ROOM_MAX;
	f->bite = choice & 0x20 ? 7 : ROOM_MAX;
	f->line = false;
	f->avail_idx = 0;
	f->disk = (struct block){
		.sectors = DISK_SECTORS, .is_readonly = choice & 0x40, .serial = { choice & 0x80 ? 1 : 0 },
		.read = disk_read, .write = disk_write, .flush = disk_flush, .discard = disk_discard,
	};
	virtio_blk_init(&f->blk, &f->disk);
	virtio_console_init(&f->con, &back);
	virtio_rng_init(&f->rng, fill, f);
	f->front = virtio_console_front(&f->con);
	f->dev = choice % 4 == 0 ? &f->con.dev : choice % 4 == 1 ? &f->rng.dev : &f->blk.dev;
	virtio_mmio_init(&f->mmio, f->dev, &f->mem.gpm, (struct irq_line){ line_set, f, 0, NULL }, &f->work);
	virtio_mmio_page(&f->mmio, f->page);
}

static void check(struct fuzz *f)
{
	assert(f->line == (f->mmio.s.interrupt_status != 0));
	for (uint32_t offset = 0; offset < VIRTIO_MMIO_CONFIG + f->dev->config_size; offset += 4)
		assert(f->page[offset / 4] == virtio_mmio_read(&f->mmio, offset, 4));
	for (unsigned i = 0; i < f->dev->queue_count; i++) {
		const struct vq *vq = &f->dev->queues[i];

		assert(!vq->s.is_ready || (vq->s.size && vq->s.size <= VQ_SIZE_MAX && !(vq->s.size & (vq->s.size - 1))));
		assert(!vq->s.is_broken || !f->dev->s.is_live);
	}
}

static void run_work(struct fuzz *f)
{
	assert(f->moved <= STEP_BYTES_MAX);
	for (unsigned i = 0; i < STEPS_MAX && work_is_pending(&f->work); i++) {
		f->moved = 0;
		work_run_one(&f->work);
		assert(f->moved <= STEP_BYTES_MAX);
	}
	f->moved = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = &fuzz;

	f->data = data;
	f->size = size;
	clear_ram(f);
	create(f, take(f, 1));
	op_start(f);
	for (unsigned i = 0; i < OPS_MAX && f->size; i++) {
		ops[take(f, 1) % countof(ops)](f);
		run_work(f);
		check(f);
	}
	return 0;
}
