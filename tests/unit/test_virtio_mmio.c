/* SPDX-License-Identifier: MIT */
/*
 * The virtio-mmio register file and status state machine, with a small device that counts what reaches it:
 * identity, access rights and sizes, order of the status bits, freezing, interrupts, configuration space,
 * and the shadow page, which after any sequence of writes has to equal what reads give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "virtio_driver.h"

#define FEATURE_A	(1ULL << 3)
#define OFFERED		(VIRTIO_F_COMMON | FEATURE_A)
#define CONFIG_BYTES	12U
#define UP_TO_FEATURES	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)
#define LIVE		(UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK)

struct probe {
	struct virtio_dev dev;
	uint8_t           config[CONFIG_BYTES];
	unsigned          notified[DRV_QUEUES];
	struct vq_req     req;
};

struct fixture {
	struct drv   drv;
	struct probe probe;
	uint32_t     page[VIRTIO_MMIO_PAGE / 4];
};

static struct probe *probe_of(struct virtio_dev *dev) { return container_of(dev, struct probe, dev); }

/* Gives every request back; a malformed one breaks the queue in the middle of this. */
static void probe_notify(struct virtio_dev *dev, unsigned queue)
{
	struct probe *probe = probe_of(dev);

	assert_true(queue < dev->queue_count && dev->queues[queue].s.is_ready && dev->s.is_live);
	probe->notified[queue]++;
	if (!vq_begin(&dev->queues[queue]))
		return;
	while (vq_pop(&dev->queues[queue], &probe->req))
		vq_push(&dev->queues[queue], &probe->req);
	if (vq_should_interrupt(&dev->queues[queue]))
		dev->interrupt(dev->ctx);
}

static uint64_t probe_config_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	assert_true(offset + size <= CONFIG_BYTES);
	memcpy(&val, probe_of(dev)->config + offset, size);
	return val;
}

static void probe_config_write(struct virtio_dev *dev, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(offset + size <= CONFIG_BYTES);
	memcpy(probe_of(dev)->config + offset, &value, size);
}

static const struct virtio_ops probe_ops = {
	.notify = probe_notify,
	.config_read = probe_config_read, .config_write = probe_config_write,
};

static void create(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->probe.dev = (struct virtio_dev){
		.name = "probe", .device_id = 42, .offered = OFFERED, .config_size = CONFIG_BYTES,
		.queue_count = DRV_QUEUES, .ops = &probe_ops,
	};
	for (unsigned i = 0; i < CONFIG_BYTES; i++)
		f->probe.config[i] = (uint8_t)(0xa0 + i);
	drv_create(&f->drv, &f->probe.dev);
	virtio_mmio_page(&f->drv.mmio, f->page);
}

static void check_shadow(struct fixture *f)
{
	const uint8_t *bytes = (const uint8_t *)f->page;

	for (uint32_t offset = 0; offset < VIRTIO_MMIO_PAGE; offset += 4)
		if (f->page[offset / 4] != drv_get(&f->drv, offset))
			fail_msg("shadow of %03x is %x, register reads %x", offset, f->page[offset / 4],
				 drv_get(&f->drv, offset));
	for (uint32_t offset = 0; offset < 0x120; offset++) {
		assert_int_equal(bytes[offset], virtio_mmio_read(&f->drv.mmio, offset, 1));
		assert_int_equal(bytes[offset] | bytes[offset + 1] << 8, virtio_mmio_read(&f->drv.mmio, offset, 2));
	}
}

static void destroy(struct fixture *f)
{
	check_shadow(f);
	drv_destroy(&f->drv);
}

static void identity_and_rights_of_every_register(void **state)
{
	static const struct { uint32_t reg, val; } after_reset[] = {
		{ VIRTIO_MMIO_MagicValue, 0x74726976 }, { VIRTIO_MMIO_Version, 2 }, { VIRTIO_MMIO_DeviceID, 42 },
		{ VIRTIO_MMIO_VendorID, VIRTIO_MMIO_VENDOR }, { VIRTIO_MMIO_DeviceFeatures, (uint32_t)OFFERED },
		{ VIRTIO_MMIO_QueueNumMax, VQ_SIZE_MAX }, { VIRTIO_MMIO_QueueReady, 0 },
		{ VIRTIO_MMIO_InterruptStatus, 0 }, { VIRTIO_MMIO_Status, 0 },
		{ VIRTIO_MMIO_SHMLenLow, UINT32_MAX }, { VIRTIO_MMIO_SHMLenHigh, UINT32_MAX },
		{ VIRTIO_MMIO_QueueNotify, 0 }, { VIRTIO_MMIO_QueueDescLow, 0 }, { VIRTIO_MMIO_InterruptACK, 0 },
		{ VIRTIO_MMIO_CONFIG, 0xa3a2a1a0 }, { VIRTIO_MMIO_CONFIG + 8, 0xabaaa9a8 },
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned i = 0; i < countof(after_reset); i++)
		if (drv_get(&f.drv, after_reset[i].reg) != after_reset[i].val)
			fail_msg("%03x reads %x", after_reset[i].reg, drv_get(&f.drv, after_reset[i].reg));

	/* Read-only and unknown offsets keep their value whatever is written. */
#define R(offset)	drv_set(&f.drv, offset, 0x12345678);
#define W(offset)
#define RW(offset)
#define X(offset, name, access) access(offset)
	VIRTIO_MMIO_REGISTERS(X)
#undef X
#undef R
#undef W
#undef RW
	drv_set(&f.drv, 0x0fc - 4, 1);
	for (unsigned i = 0; row_of(after_reset, i); i++)
		assert_int_equal(drv_get(&f.drv, after_reset[i].reg), after_reset[i].val);
	destroy(&f);
}

static void accesses_out_of_range_or_of_odd_size_are_harmless(void **state)
{
	static const struct { uint64_t offset; unsigned size; } rows[] = {
		{ 0x1000, 4 }, { 0xfff, 4 }, { 0xffc, 4 }, { UINT64_MAX, 1 }, { UINT64_MAX - 3, 4 },
		{ VIRTIO_MMIO_CONFIG + CONFIG_BYTES, 1 }, { VIRTIO_MMIO_CONFIG + CONFIG_BYTES - 1, 2 },
		{ VIRTIO_MMIO_CONFIG + CONFIG_BYTES - 3, 4 }, { VIRTIO_MMIO_CONFIG + CONFIG_BYTES - 4, 8 },
		{ VIRTIO_MMIO_Status, 1 }, { VIRTIO_MMIO_Status, 2 }, { VIRTIO_MMIO_Status + 1, 4 },
		{ VIRTIO_MMIO_Status, 8 }, { VIRTIO_MMIO_QueueNotify, 1 }, { VIRTIO_MMIO_QueueNotify + 2, 4 },
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned i = 0; i < countof(rows); i++) {
		virtio_mmio_write(&f.drv.mmio, rows[i].offset, rows[i].size, UINT64_MAX);
		(void)virtio_mmio_read(&f.drv.mmio, rows[i].offset, rows[i].size);
	}
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_Status), 0);
	for (unsigned i = 0; i < CONFIG_BYTES; i++)
		assert_int_equal(f.probe.config[i], 0xa0 + i);
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, 0x1000, 4), 0);
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG + CONFIG_BYTES, 4), 0);
	/* The right way to the same bytes. */
	virtio_mmio_write(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 2, 2, 0x1234);
	virtio_mmio_write(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 11, 1, 0x56);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG), 0x1234a1a0);
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 10, 2), 0x56aa);
	destroy(&f);
}

/* ---- Status ---------------------------------------------------------------------------------------- */

#define A	VIRTIO_STATUS_ACKNOWLEDGE
#define D	VIRTIO_STATUS_DRIVER
#define OK	VIRTIO_STATUS_DRIVER_OK
#define F	VIRTIO_STATUS_FEATURES_OK
#define BAD	VIRTIO_STATUS_FAILED
#define RST	VIRTIO_STATUS_NEEDS_RESET

static void status_bits_need_their_order(void **state)
{
	static const struct { const char *name; uint64_t features; uint32_t writes[4], want; } rows[] = {
		{ "by the book",           OFFERED, { A, A | D, A | D | F, A | D | F | OK }, A | D | F | OK },
		{ "several at once",       OFFERED, { A | D, A | D | F | OK }, A | D | F | OK },
		{ "all at once",           OFFERED, { A | D | F | OK }, A | D | F | OK },
		{ "DRIVER first",          OFFERED, { D }, 0 },
		{ "DRIVER_OK first",       OFFERED, { OK }, 0 },
		{ "FEATURES_OK first",     OFFERED, { F }, 0 },
		{ "no FEATURES_OK",        OFFERED, { A, A | D, A | D | OK }, A | D },
		{ "FEATURES_OK, no DRIVER", OFFERED, { A, A | F }, A },
		{ "a bit is cleared",      OFFERED, { A | D, D }, A | D },
		{ "all but one cleared",   OFFERED, { A | D | F | OK, OK }, A | D | F | OK },
		{ "undefined bits",        OFFERED, { A | 0x30, A | D | 0xffffff00 }, A | D },
		{ "NEEDS_RESET is ours",   OFFERED, { A | D | RST }, A | D },
		{ "FAILED",                OFFERED, { A | D, A | D | BAD }, A | D | BAD },
		{ "FAILED, then on",       OFFERED, { A | D | BAD, A | D | F | BAD }, BAD },
		{ "reset",                 OFFERED, { A | D | F | OK, 0, A }, A },
		{ "reset after FAILED",    OFFERED, { A | BAD, 0, A | D }, A | D },
		{ "features not offered",  OFFERED | 1, { A | D, A | D | F, A | D | F | OK }, A | D },
		{ "legacy driver",         OFFERED & ~VIRTIO_F_VERSION_1, { A | D | F | OK }, A | D },
		{ "no features at all",    0, { A | D | F }, A | D },
		{ "nothing but VERSION_1", VIRTIO_F_VERSION_1, { A | D | F }, A | D | F },
	};

	(void)state;
	for (unsigned i = 0; i < countof(rows); i++) {
		struct fixture f;

		create(&f);
		drv_set(&f.drv, VIRTIO_MMIO_DriverFeatures, (uint32_t)rows[i].features);
		drv_set(&f.drv, VIRTIO_MMIO_DriverFeaturesSel, 1);
		drv_set(&f.drv, VIRTIO_MMIO_DriverFeatures, (uint32_t)(rows[i].features >> 32));
		for (unsigned w = 0; w < countof(rows[i].writes); w++) {
			uint32_t val = rows[i].writes[w];

			if (!val && (w + 1 == countof(rows[i].writes) || !rows[i].writes[w + 1]))
				break;
			drv_set(&f.drv, VIRTIO_MMIO_Status, val);
			if (!val)
				assert_int_equal(f.probe.dev.s.accepted, 0);
		}
		if (drv_get(&f.drv, VIRTIO_MMIO_Status) != rows[i].want)
			fail_msg("%s: %x", rows[i].name, drv_get(&f.drv, VIRTIO_MMIO_Status));
		assert_int_equal(f.probe.dev.s.is_live, (rows[i].want & (OK | BAD)) == OK);
		destroy(&f);
	}
}
#undef A
#undef D
#undef OK
#undef F
#undef BAD
#undef RST

static void features_are_read_in_halves_and_freeze(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	for (uint32_t sel = 0; sel < 4; sel++) {
		drv_set(&f.drv, VIRTIO_MMIO_DeviceFeaturesSel, sel);
		assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_DeviceFeatures),
				 sel < 2 ? (uint32_t)(OFFERED >> (sel * 32)) : 0);
		check_shadow(&f);
	}
	drv_set(&f.drv, VIRTIO_MMIO_DeviceFeaturesSel, UINT32_MAX);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_DeviceFeatures), 0);

	assert_int_equal(drv_negotiate(&f.drv, OFFERED & ~FEATURE_A), UP_TO_FEATURES);
	drv_set(&f.drv, VIRTIO_MMIO_DriverFeaturesSel, 0);
	drv_set(&f.drv, VIRTIO_MMIO_DriverFeatures, UINT32_MAX);
	drv_set(&f.drv, VIRTIO_MMIO_DriverFeaturesSel, 7);
	drv_set(&f.drv, VIRTIO_MMIO_DriverFeatures, UINT32_MAX);
	assert_int_equal(f.probe.dev.s.accepted, OFFERED & ~FEATURE_A);
	assert_true(f.probe.dev.queues[1].s.has_event_idx && f.probe.dev.queues[1].s.has_indirect);
	destroy(&f);
}

/* ---- Queues ----------------------------------------------------------------------------------------- */

static void queue_size_and_addresses_freeze_at_activation(void **state)
{
	static const uint32_t regs[] = {
		VIRTIO_MMIO_QueueNum, VIRTIO_MMIO_QueueDescLow, VIRTIO_MMIO_QueueDescHigh, VIRTIO_MMIO_QueueDriverLow,
		VIRTIO_MMIO_QueueDriverHigh, VIRTIO_MMIO_QueueDeviceLow, VIRTIO_MMIO_QueueDeviceHigh,
	};
	struct fixture f;
	struct vq before;

	(void)state;
	create(&f);
	drv_start(&f.drv, OFFERED);
	drv_set(&f.drv, VIRTIO_MMIO_QueueSel, 0);
	before = f.probe.dev.queues[0];
	for (unsigned i = 0; i < countof(regs); i++)
		drv_set(&f.drv, regs[i], 0x8000);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 1);
	assert_memory_equal(&before, &f.probe.dev.queues[0], sizeof(before));

	/* After QueueReady = 0 they may be changed again; the halves do not mix with what was there. */
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 0);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_QueueReady), 0);
	drv_set(&f.drv, VIRTIO_MMIO_QueueDescLow, 0x11110000);
	drv_set(&f.drv, VIRTIO_MMIO_QueueDescHigh, 0x2222);
	drv_set(&f.drv, VIRTIO_MMIO_QueueDescLow, 0x01010000);
	assert_int_equal(f.probe.dev.queues[0].s.desc.raw, 0x222201010000);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 1);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_QueueReady), 0);
	destroy(&f);
}

static void queue_select_out_of_range_selects_nothing(void **state)
{
	static const uint32_t selectors[] = { DRV_QUEUES, DRV_QUEUES + 1, 255, 0x80000000, UINT32_MAX };
	struct fixture f;
	struct virtio_dev before;

	(void)state;
	create(&f);
	drv_negotiate(&f.drv, OFFERED);
	before = f.probe.dev;
	for (unsigned i = 0; row_of(selectors, i); i++) {
		drv_set(&f.drv, VIRTIO_MMIO_QueueSel, selectors[i]);
		assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_QueueNumMax), 0);
		for (uint32_t reg = VIRTIO_MMIO_QueueNum; reg <= VIRTIO_MMIO_QueueDeviceHigh; reg += 4)
			if (reg != VIRTIO_MMIO_Status)
				drv_set(&f.drv, reg, 1);
		assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_QueueReady), 0);
		drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, selectors[i]);
		check_shadow(&f);
	}
	assert_memory_equal(&before, &f.probe.dev, sizeof(before));
	destroy(&f);
}

static void queues_cannot_be_readied_before_features_are_fixed(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	drv_set(&f.drv, VIRTIO_MMIO_Status, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	assert_int_equal(drv_ready(&f.drv, 0), 0);
	destroy(&f);
}

static void no_index_is_speculated_with(void **state)
{
	const size_t registers = VIRTIO_MMIO_CONFIG / 4;
	struct fixture f;

	(void)state;
	create(&f);
	(void)nospec_took(0, 0);
	(void)drv_get(&f.drv, VIRTIO_MMIO_Version);
	assert_true(nospec_took(VIRTIO_MMIO_Version / 4, registers));
	drv_set(&f.drv, VIRTIO_MMIO_Version, 7);		/* does nothing: no register is read again for the shadow */
	assert_true(nospec_took(VIRTIO_MMIO_Version / 4, registers));
	drv_set(&f.drv, VIRTIO_MMIO_QueueSel, 1);
	(void)nospec_took(0, 0);
	(void)drv_get(&f.drv, VIRTIO_MMIO_QueueReady);
	assert_true(nospec_took(1, DRV_QUEUES));
	drv_set(&f.drv, VIRTIO_MMIO_QueueSel, 0);
	(void)nospec_took(0, 0);
	drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, 1);
	assert_true(nospec_took(1, DRV_QUEUES));
	destroy(&f);
}

static void notify_reaches_only_live_ready_queues(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	drv_kick(&f.drv, 0);			/* nothing negotiated */
	drv_negotiate(&f.drv, OFFERED);
	drv_kick(&f.drv, 0);			/* not ready */
	assert_int_equal(drv_ready(&f.drv, 0), 1);
	drv_kick(&f.drv, 0);			/* ready, no DRIVER_OK */
	assert_int_equal(f.probe.notified[0], 0);
	drv_set(&f.drv, VIRTIO_MMIO_Status, LIVE);
	assert_int_equal(f.probe.notified[0], 0);	/* the kick that came too early is answered in the VM's turn */
	drv_work(&f.drv);
	assert_int_equal(f.probe.notified[0], 1);
	drv_kick(&f.drv, 0);
	drv_kick(&f.drv, 1);			/* never made ready */
	assert_int_equal(f.probe.notified[0], 2);
	assert_int_equal(f.probe.notified[1], 0);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 0);
	drv_kick(&f.drv, 0);
	drv_set(&f.drv, VIRTIO_MMIO_Status, LIVE | VIRTIO_STATUS_FAILED);
	drv_kick(&f.drv, 0);
	assert_int_equal(f.probe.notified[0], 2);
	destroy(&f);
}

/* ---- Interrupts, reset, configuration ---------------------------------------------------------------- */

static void line_is_high_while_interrupt_status_is_not_zero(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	drv_start(&f.drv, OFFERED);
	f.probe.dev.interrupt(f.probe.dev.ctx);
	f.probe.dev.interrupt(f.probe.dev.ctx);
	assert_int_equal(f.drv.edges, 1);
	f.probe.dev.config_changed(f.probe.dev.ctx);
	for (unsigned i = 0; i < 3; i++)	/* reading does not acknowledge */
		assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus),
				 VIRTIO_INT_USED_BUFFER | VIRTIO_INT_CONFIG);
	check_shadow(&f);
	drv_set(&f.drv, VIRTIO_MMIO_InterruptACK, VIRTIO_INT_USED_BUFFER);	/* clears only the written bit */
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus), VIRTIO_INT_CONFIG);
	assert_true(f.drv.line);
	drv_set(&f.drv, VIRTIO_MMIO_InterruptACK, ~VIRTIO_INT_CONFIG);
	assert_true(f.drv.line);
	drv_set(&f.drv, VIRTIO_MMIO_InterruptACK, VIRTIO_INT_CONFIG);
	assert_false(f.drv.line);
	destroy(&f);
}

/* What a driver did not see when it read InterruptStatus raises the line anew when that is acknowledged. */
static void every_cause_has_an_edge_behind_it(void **state)
{
	static const struct { uint32_t first, second, ack; unsigned edges; bool is_high; } rows[] = {
		{ VIRTIO_INT_USED_BUFFER, 0, VIRTIO_INT_USED_BUFFER, 1, false },
		{ VIRTIO_INT_USED_BUFFER, VIRTIO_INT_USED_BUFFER, VIRTIO_INT_USED_BUFFER, 1, false },
		{ VIRTIO_INT_USED_BUFFER, VIRTIO_INT_CONFIG, VIRTIO_INT_USED_BUFFER, 2, true },
		{ VIRTIO_INT_CONFIG, VIRTIO_INT_USED_BUFFER, VIRTIO_INT_CONFIG, 2, true },
		{ VIRTIO_INT_CONFIG, VIRTIO_INT_USED_BUFFER, VIRTIO_INT_CONFIG | VIRTIO_INT_USED_BUFFER, 1, false },
		{ VIRTIO_INT_CONFIG, 0, 0, 2, true },
		{ 0, 0, VIRTIO_INT_USED_BUFFER, 0, false },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		const uint32_t causes[] = { rows[i].first, rows[i].second };
		struct fixture f;

		create(&f);
		drv_start(&f.drv, OFFERED);
		for (size_t n = 0; n < countof(causes); n++) {
			if (causes[n] == VIRTIO_INT_USED_BUFFER)
				f.probe.dev.interrupt(f.probe.dev.ctx);
			else if (causes[n] == VIRTIO_INT_CONFIG)
				f.probe.dev.config_changed(f.probe.dev.ctx);
		}
		drv_set(&f.drv, VIRTIO_MMIO_InterruptACK, rows[i].ack);
		assert_int_equal(f.drv.edges, rows[i].edges);
		assert_int_equal(f.drv.line, rows[i].is_high);
		check_shadow(&f);
		destroy(&f);
	}
}

static void config_generation_moves_with_the_configuration(void **state)
{
	struct fixture f;
	uint32_t before;

	(void)state;
	create(&f);
	before = drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration);
	f.probe.config[0]++;
	f.probe.dev.config_changed(f.probe.dev.ctx);
	assert_int_not_equal(drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration), before);
	assert_false(f.drv.line);		/* nobody is listening yet */
	check_shadow(&f);
	drv_start(&f.drv, OFFERED);
	before = drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration);
	f.probe.config[5]++;
	f.probe.dev.config_changed(f.probe.dev.ctx);
	assert_int_not_equal(drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration), before);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus), VIRTIO_INT_CONFIG);
	destroy(&f);
}

static void reset_in_the_middle_forgets_everything(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	drv_start(&f.drv, OFFERED);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	drv_offer(&f.drv, 0, 0);	/* offered, not kicked, interrupt not acknowledged */
	assert_true(f.drv.line);
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
	assert_false(f.drv.line);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_QueueReady), 0);
	drv_kick(&f.drv, 0);
	assert_int_equal(f.probe.notified[0], 2);	/* DRIVER_OK and the kick before the reset */
	assert_int_equal(drv_get16(&f.drv, f.drv.queues[0].used + 2), 1);
	/* And up again from nothing, with indices from 0. */
	drv_start(&f.drv, OFFERED);
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	assert_int_equal(drv_get16(&f.drv, f.drv.queues[0].used + 2), 1);
	destroy(&f);
}

static void a_broken_queue_asks_for_a_reset_and_lives_after_it(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	drv_start(&f.drv, OFFERED);
	drv_offer(&f.drv, 1, 999);
	drv_kick(&f.drv, 1);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_Status), LIVE | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus), VIRTIO_INT_CONFIG);
	drv_kick(&f.drv, 0);
	assert_int_equal(f.probe.notified[0], 1);	/* the whole device waits */
	drv_set(&f.drv, VIRTIO_MMIO_Status, LIVE);	/* writing the old value is no cure */
	drv_kick(&f.drv, 0);
	assert_int_equal(f.probe.notified[0], 1);
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
	drv_start(&f.drv, OFFERED);
	drv_desc(&f.drv, 1, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
	drv_offer(&f.drv, 1, 0);
	drv_kick(&f.drv, 1);
	assert_int_equal(drv_get16(&f.drv, f.drv.queues[1].used + 2), 1);
	destroy(&f);
}

/* ---- The shadow page ---------------------------------------------------------------------------------- */

static uint32_t random_word(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void shadow_equals_registers_after_any_sequence(void **state)
{
	static const uint32_t statuses[] = { 0, 1, 3, 11, 11, 15, 15, 143 };
	uint32_t seed = 0x2545f491;

	(void)state;
	for (unsigned run = 0; run < 40; run++) {
		struct fixture f;

		create(&f);
		for (unsigned step = 0; step < 150; step++) {
			const uint32_t val = random_word(&seed), reg = random_word(&seed) % 0x110 & ~3U;

			switch (random_word(&seed) % 8) {
			case 0: drv_set(&f.drv, VIRTIO_MMIO_Status, statuses[val % countof(statuses)]); break;
			case 1: f.probe.dev.interrupt(f.probe.dev.ctx); break;
			case 2:
				f.probe.config[val % CONFIG_BYTES]++;
				f.probe.dev.config_changed(f.probe.dev.ctx);
				break;
			case 3: drv_negotiate(&f.drv, OFFERED); break;
			case 4: drv_ready(&f.drv, val % DRV_QUEUES); break;
			case 5: drv_offer(&f.drv, 0, (uint16_t)val); drv_kick(&f.drv, 0); break;
			case 6: virtio_mmio_write(&f.drv.mmio, reg + val % 4, 1U << val % 3, val); break;
			default: drv_set(&f.drv, reg, val % 8 ? val % 4 : val); break;
			}
			check_shadow(&f);
			assert_int_equal(f.drv.line, f.drv.mmio.s.interrupt_status != 0);
		}
		destroy(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_and_rights_of_every_register),
		cmocka_unit_test(accesses_out_of_range_or_of_odd_size_are_harmless),
		cmocka_unit_test(status_bits_need_their_order),
		cmocka_unit_test(features_are_read_in_halves_and_freeze),
		cmocka_unit_test(queue_size_and_addresses_freeze_at_activation),
		cmocka_unit_test(queue_select_out_of_range_selects_nothing),
		cmocka_unit_test(queues_cannot_be_readied_before_features_are_fixed),
		cmocka_unit_test(no_index_is_speculated_with),
		cmocka_unit_test(notify_reaches_only_live_ready_queues),
		cmocka_unit_test(line_is_high_while_interrupt_status_is_not_zero),
		cmocka_unit_test(every_cause_has_an_edge_behind_it),
		cmocka_unit_test(config_generation_moves_with_the_configuration),
		cmocka_unit_test(reset_in_the_middle_forgets_everything),
		cmocka_unit_test(a_broken_queue_asks_for_a_reset_and_lives_after_it),
		cmocka_unit_test(shadow_equals_registers_after_any_sequence),
	};

	return cmocka_run_group_tests_name("virtio_mmio", tests, NULL, NULL);
}
