/* SPDX-License-Identifier: MIT */
/*
 * The sections of virtio devices: any contents are made safe and survive the trip, and a request that is half
 * done when the device is saved is finished by the one that is loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/virtio/blk.h"
#include "hv/virtio/console.h"
#include "hv/virtio/rng.h"
#include "virtio_driver.h"

#define SECTORS		8192U
#define DISK_BYTES	(SECTORS * SECTOR_SIZE)
#define HEADER		DRV_DATA
#define STATUS		(DRV_DATA + 0x800)
#define BUFFER_MAX	65536U
#define ROUNDS		3000U
#define STEPS		20U

enum kind { BLK, CONSOLE, RNG, KINDS };

static struct fixture {
	struct drv            drv;
	struct virtio_dev    *dev;
	struct virtio_blk     blk;
	struct virtio_console con;
	struct virtio_rng     rng;
	struct block          disk;
	uint64_t              moved;
	size_t                room;
} f;

static int disk_move(uint64_t offset, size_t len)
{
	assert_true(range_fits(offset, len, SECTORS * SECTOR_SIZE));
	f.moved += len;
	return 0;
}

static int disk_read(struct block *block, uint64_t offset, void *to, size_t len)
{
	(void)block;
	memset(to, (int)(offset >> 16), len);
	return disk_move(offset, len);
}

static int disk_write(struct block *block, uint64_t offset, const void *from, size_t len)
{
	(void)block;
	(void)from;
	return disk_move(offset, len);
}

static int disk_discard(struct block *block, uint64_t offset, uint64_t len)
{
	block->extra += len;
	return disk_move(offset, (size_t)len);
}

static size_t back_write(void *ctx, const uint8_t *data, size_t len)
{
	const size_t part = len < f.room ? len : f.room;

	(void)ctx;
	(void)data;
	f.room -= part;
	return part;
}

size_t entropy_fill(void *ctx, uint8_t *to, size_t len)
{
	(void)ctx;
	memset(to, 7, len);
	return f.room ? len : 0;
}

/* A line may be set to the level it has: that is what after_load does. */
static void line_set(void *ctx, unsigned pin, bool is_high)
{
	(void)pin;
	((struct drv *)ctx)->line = is_high;
}

static void build(enum kind kind)
{
	const struct char_back back = { .write = back_write };
	struct virtio_dev *const devs[KINDS] = { &f.blk.dev, &f.con.dev, &f.rng.dev };

	memset(&f, 0, sizeof(f));
	f.disk = (struct block){ .sectors = SECTORS, .read = disk_read, .write = disk_write, .discard = disk_discard };
	virtio_blk_init(&f.blk, &f.disk);
	virtio_console_init(&f.con, &back);
	virtio_rng_init(&f.rng, NULL, NULL);
	f.dev = devs[kind];
	drv_create(&f.drv, f.dev);
	f.drv.mmio.irq.set = line_set;
}

static size_t save(uint8_t *buffer)
{
	struct state_object objects[VIRTIO_MMIO_OBJECTS];
	const size_t len = state_save(objects, virtio_mmio_objects(&f.drv.mmio, 3, objects), buffer, BUFFER_MAX);

	assert_true(len > 0);
	return len;
}

static void load(const uint8_t *buffer, size_t len)
{
	struct state_object objects[VIRTIO_MMIO_OBJECTS];
	const size_t count = virtio_mmio_objects(&f.drv.mmio, 3, objects);
	struct state_error error;

	if (!state_load(objects, count, buffer, len, &error))
		fail_msg("%s: %s", error.section, error.what);
	state_settle(objects, count);
}

/* Most bytes random, now and then a section that makes sense, so that all of the checks are reached. */
static void randomize(bool is_wild)
{
	struct state_object objects[VIRTIO_MMIO_OBJECTS];
	const size_t count = virtio_mmio_objects(&f.drv.mmio, 3, objects);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++) {
			const struct state_section *section = &objects[i].sections[k];
			uint8_t *at = (uint8_t *)objects[i].base + section->offset;

			for (size_t n = 0; n < section->size; n++)
				if (is_wild || rand() % 40 == 0)
					at[n] = (uint8_t)rand();
		}
}

static void random_states_are_made_safe(void **state)
{
	static uint8_t first[BUFFER_MAX], second[BUFFER_MAX];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		const enum kind kind = round % KINDS;
		struct virtio_dev *dev;
		size_t len;

		build(kind);
		dev = f.dev;
		if (round % 2)
			drv_start(&f.drv, dev->offered);
		randomize(round % 4 == 0);
		len = save(first);
		drv_destroy(&f.drv);
		build(kind);
		load(first, len);
		assert_int_equal(save(first), len);		/* safe now */
		drv_destroy(&f.drv);
		build(kind);
		load(first, len);
		assert_int_equal(save(second), len);
		assert_memory_equal(first, second, len);
		/* And at work it stays inside its memory, its disk and its budget. */
		f.room = 100;
		for (unsigned queue = 0; queue < dev->queue_count; queue++)
			drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, queue);
		for (unsigned i = 0; i < STEPS; i++) {
			f.moved = 0;
			work_run_one(&f.drv.work);
			assert_true(f.moved <= 2 * VQ_BUDGET);
		}
		drv_destroy(&f.drv);
	}
}

/* Bits that no driver can see are gone, and who waits for a back end is looked at once: its promise was another one's. */
static void a_loaded_transport_is_looked_at(void **state)
{
	static uint8_t buffer[BUFFER_MAX];
	struct gpm_fake mem;
	size_t size;

	(void)state;
	build(CONSOLE);
	drv_start(&f.drv, f.dev->offered);
	f.dev->queues[1].s.is_held = true;
	f.drv.mmio.s.later_queues = 0;
	f.drv.mmio.s.interrupt_status = UINT32_MAX;
	size = save(buffer);
	mem = f.drv.mem;
	build(CONSOLE);
	f.drv.mem = mem;
	load(buffer, size);
	assert_int_equal(f.drv.mmio.s.interrupt_status, 3);
	assert_true(f.drv.mmio.s.later_queues & 2);
	drv_destroy(&f.drv);
}

/* A request to read the whole disk, of which a first piece is done. */
static void hold_a_request(void)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 0 };
	uint8_t status = 0xee;

	build(BLK);
	drv_start(&f.drv, f.dev->offered);
	drv_write_mem(&f.drv, HEADER, &header, sizeof(header));
	drv_write_mem(&f.drv, STATUS, &status, 1);
	drv_touch(&f.drv, 0x400000, DISK_BYTES);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0x400000, DISK_BYTES, DESC_NEXT | DESC_WRITE, 2 });
	drv_desc(&f.drv, 0, 2, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, 0);
	work_run_one(&f.drv.work);
	assert_in_range(f.moved, 1, DISK_BYTES - 1);
}

/* What is loaded of a request is kept exactly when a request can have come there. */
static void a_request_that_cannot_be_is_dropped(void **state)
{
	static const struct {
		const char *what;
		uint32_t    type;
		uint64_t    offset, left;
		uint32_t    range, range_count;
		uint32_t    bad_range;		/* this one lies behind the disk's end; RANGES_MAX: none does */
		bool        is_readonly, is_kept;
	} rows[] = {
		{ "to the last byte", VIRTIO_BLK_T_IN, 512, DISK_BYTES - 512, 0, 0, VIRTIO_BLK_RANGES_MAX, false, true },
		{ "a byte beyond", VIRTIO_BLK_T_IN, 512, DISK_BYTES - 511, 0, 0, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "read of a read-only disk", VIRTIO_BLK_T_IN, 0, 512, 0, 0, VIRTIO_BLK_RANGES_MAX, true, true },
		{ "write to one", VIRTIO_BLK_T_OUT, 0, 512, 0, 0, VIRTIO_BLK_RANGES_MAX, true, false },
		{ "done at once", VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "the first type behind the table", VIRTIO_BLK_T_WRITE_ZEROES + 1, 0, 0, 0, 0, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "no such type", 1000, 0, 0, 0, 0, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "all ranges, in the last", VIRTIO_BLK_T_DISCARD, 0, 512, VIRTIO_BLK_RANGES_MAX, VIRTIO_BLK_RANGES_MAX,
		  VIRTIO_BLK_RANGES_MAX, false, true },
		{ "one more", VIRTIO_BLK_T_DISCARD, 0, 512, 0, VIRTIO_BLK_RANGES_MAX + 1, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "behind its ranges", VIRTIO_BLK_T_DISCARD, 0, 512, 3, 2, VIRTIO_BLK_RANGES_MAX, false, false },
		{ "a range behind the end", VIRTIO_BLK_T_DISCARD, 0, 512, 1, 2, 1, false, false },
		{ "another request's", VIRTIO_BLK_T_DISCARD, 0, 512, 1, 2, 2, false, true },
	};
	static uint8_t buffer[BUFFER_MAX];

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct virtio_blk_op *op = &f.blk.s.op;
		struct gpm_fake mem;
		size_t size;

		hold_a_request();
		*op = (struct virtio_blk_op){ .type = rows[i].type, .offset = rows[i].offset, .left = rows[i].left,
					      .range = rows[i].range, .range_count = rows[i].range_count };
		/* What follows the ranges looks like a good one: only the count says that it is none. */
		if (rows[i].range_count)
			memset(&f.blk.s.req, 0, sizeof(f.blk.s.req));
		if (rows[i].bad_range < VIRTIO_BLK_RANGES_MAX)
			op->ranges[rows[i].bad_range].sector = SECTORS + 1;
		size = save(buffer);
		mem = f.drv.mem;
		build(BLK);
		f.drv.mem = mem;
		f.disk.is_readonly = rows[i].is_readonly;
		load(buffer, size);
		assert_int_equal(f.dev->queues[0].s.is_held, rows[i].is_kept);
		drv_destroy(&f.drv);
	}
}

/* The guest's memory is saved by others: here it stays where it is while the device is forgotten and loaded. */
static void a_half_done_request_is_finished(void **state)
{
	static uint8_t buffer[BUFFER_MAX];
	struct gpm_fake mem;
	struct drv_queue queue;
	uint32_t id, len;
	uint8_t status;
	uint64_t moved;
	size_t size;

	(void)state;
	hold_a_request();
	moved = f.moved;

	size = save(buffer);
	mem = f.drv.mem;
	queue = f.drv.queues[0];
	build(BLK);
	f.drv.mem = mem;
	f.drv.queues[0] = queue;
	load(buffer, size);
	drv_work(&f.drv);
	assert_int_equal(moved + f.moved, DISK_BYTES);
	assert_true(drv_take(&f.drv, 0, &id, &len) && id == 0 && len == DISK_BYTES + 1);
	drv_read_mem(&f.drv, STATUS, &status, 1);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	assert_int_equal(drv_get16(&f.drv, 0x400000 + DISK_BYTES - 2), 0x0101 * ((DISK_BYTES - 2) >> 16));
	assert_true(f.drv.line);
	drv_destroy(&f.drv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_states_are_made_safe),
		cmocka_unit_test(a_loaded_transport_is_looked_at), cmocka_unit_test(a_request_that_cannot_be_is_dropped),
		cmocka_unit_test(a_half_done_request_is_finished),
	};

	return cmocka_run_group_tests_name("virtio_state", tests, NULL, NULL);
}
