/* SPDX-License-Identifier: MIT */
/* The virtio block device over a disk in memory: every request type, right and wrong, and what it reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/virtio/blk.h"
#include "virtio_driver.h"

#define SECTORS		64U
#define DISK_BYTES	(SECTORS * SECTOR_SIZE)
#define FEATURES	(VIRTIO_F_COMMON | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH | \
			 VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES)
#define HEADER		DRV_DATA
#define PAYLOAD		(DRV_DATA + 0x1000)
#define STATUS		(DRV_DATA + 0x800)
#define UNSET		0xeeU		/* a status byte nobody wrote */

struct disk {
	struct block block;		/* first */
	uint8_t      data[DISK_BYTES];
	unsigned     flushes;
	bool         is_failing;
};

struct fixture {
	struct drv        drv;
	struct disk       disk;
	struct virtio_blk blk;
};

static struct disk *disk_of(struct block *block)
{
	return container_of(block, struct disk, block);
}

/* The device promises checked ranges, so the disk insists on them. */
static int disk_read(struct block *block, uint64_t offset, void *to, size_t len)
{
	assert_true(range_fits(offset, len, DISK_BYTES));
	if (disk_of(block)->is_failing)
		return -1;
	memcpy(to, disk_of(block)->data + offset, len);
	return 0;
}

static int disk_write(struct block *block, uint64_t offset, const void *from, size_t len)
{
	assert_true(range_fits(offset, len, DISK_BYTES) && !block->is_readonly);
	if (disk_of(block)->is_failing)
		return -1;
	memcpy(disk_of(block)->data + offset, from, len);
	return 0;
}

static int disk_flush(struct block *block)
{
	disk_of(block)->flushes++;
	return disk_of(block)->is_failing ? -1 : 0;
}

static int disk_discard(struct block *block, uint64_t offset, uint64_t len)
{
	assert_true(range_fits(offset, len, DISK_BYTES) && !block->is_readonly);
	if (disk_of(block)->is_failing)
		return -1;
	memset(disk_of(block)->data + offset, 0, len);
	return 0;
}

static void create(struct fixture *f, bool is_readonly, uint64_t features)
{
	memset(f, 0, sizeof(*f));
	f->disk.block = (struct block){
		.sectors = SECTORS, .is_readonly = is_readonly, .serial = "twenty-bytes-serial!",
		.read = disk_read, .write = disk_write, .flush = disk_flush, .discard = disk_discard,
	};
	for (unsigned i = 0; i < DISK_BYTES; i++)
		f->disk.data[i] = (uint8_t)(i / SECTOR_SIZE * 3 + i);
	virtio_blk_init(&f->blk, &f->disk.block);
	drv_create(&f->drv, &f->blk.dev);
	drv_start(&f->drv, features & f->blk.dev.offered);
}

/* Header, then `out` bytes readable and `in` writable at PAYLOAD, then a status byte. Returns the status. */
static unsigned request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t out, uint32_t in, uint32_t *len)
{
	const struct virtio_blk_header header = { type, 0, sector };
	uint8_t status = UNSET;
	uint32_t id;

	drv_write_mem(&f->drv, HEADER, &header, sizeof(header));
	drv_write_mem(&f->drv, STATUS, &status, 1);
	drv_desc(&f->drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	drv_desc(&f->drv, 0, 1, (struct drv_desc){ PAYLOAD, out, DESC_NEXT, 2 });
	drv_desc(&f->drv, 0, 2, (struct drv_desc){ PAYLOAD, in, DESC_NEXT | DESC_WRITE, 3 });
	drv_desc(&f->drv, 0, 3, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	drv_offer(&f->drv, 0, 0);
	drv_kick(&f->drv, 0);
	assert_true(drv_take(&f->drv, 0, &id, len) && id == 0);
	drv_read_mem(&f->drv, STATUS, &status, 1);
	return status;
}

static void configuration_describes_the_disk(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, false, FEATURES);
	assert_int_equal(f.blk.dev.offered, FEATURES);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_DeviceID), VIRTIO_ID_BLOCK);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 0), SECTORS);	/* capacity */
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 4), 0);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 12), VQ_SIZE_MAX - 2);	/* seg_max */
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 20), SECTOR_SIZE);	/* blk_size */
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 34, 2), 1);	/* num_queues */
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 36), SECTORS);	/* max_discard_sectors */
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 48), SECTORS);	/* max_write_zeroes_sectors */
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 56, 1), 1);	/* may_unmap */
	drv_destroy(&f.drv);
	create(&f, true, FEATURES | VIRTIO_BLK_F_RO);
	assert_true(f.blk.dev.offered & VIRTIO_BLK_F_RO);
	assert_false(f.blk.dev.offered & (VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES));
	drv_destroy(&f.drv);
}

static void data_moves_both_ways(void **state)
{
	struct fixture f;
	uint8_t data[1024];
	uint32_t len;

	(void)state;
	create(&f, false, FEATURES);
	assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 3, 0, 1024, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1025);
	drv_read_mem(&f.drv, PAYLOAD, data, sizeof(data));
	assert_memory_equal(data, f.disk.data + 3 * SECTOR_SIZE, sizeof(data));
	memset(data, 0x77, sizeof(data));
	drv_write_mem(&f.drv, PAYLOAD, data, sizeof(data));
	assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, SECTORS - 2, 1024, 0, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1);
	assert_memory_equal(data, f.disk.data + DISK_BYTES - 1024, sizeof(data));
	assert_true(f.drv.line);
	drv_destroy(&f.drv);
}

static void every_request_type_answers(void **state)
{
	static const struct row {
		const char *name;
		uint32_t    type;
		uint64_t    sector;
		uint32_t    out, in;
		uint8_t     status;
		uint32_t    len;
	} rows[] = {
		{ "read all", VIRTIO_BLK_T_IN, 0, 0, DISK_BYTES, VIRTIO_BLK_S_OK, DISK_BYTES + 1 },
		{ "read nothing", VIRTIO_BLK_T_IN, 0, 0, 0, VIRTIO_BLK_S_OK, 1 },
		{ "read past the end", VIRTIO_BLK_T_IN, SECTORS - 1, 0, 1024, VIRTIO_BLK_S_IOERR, 0 },
		{ "read behind the end", VIRTIO_BLK_T_IN, SECTORS, 0, 512, VIRTIO_BLK_S_IOERR, 0 },
		{ "sector that wraps in bytes", VIRTIO_BLK_T_IN, 1ULL << 55, 0, 512, VIRTIO_BLK_S_IOERR, 0 },
		{ "sector 2^64 - 1", VIRTIO_BLK_T_IN, UINT64_MAX, 0, 512, VIRTIO_BLK_S_IOERR, 0 },
		{ "half a sector", VIRTIO_BLK_T_IN, 0, 0, 256, VIRTIO_BLK_S_IOERR, 0 },
		{ "write past the end", VIRTIO_BLK_T_OUT, SECTORS - 1, 1024, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "write half a sector", VIRTIO_BLK_T_OUT, 0, 100, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "write at 2^64 - 1", VIRTIO_BLK_T_OUT, UINT64_MAX, 512, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "flush", VIRTIO_BLK_T_FLUSH, 0, 0, 0, VIRTIO_BLK_S_OK, 1 },
		{ "serial", VIRTIO_BLK_T_GET_ID, 0, 0, 20, VIRTIO_BLK_S_OK, 21 },
		{ "serial, room for 19", VIRTIO_BLK_T_GET_ID, 0, 0, 19, VIRTIO_BLK_S_IOERR, 0 },
		{ "serial, room for more", VIRTIO_BLK_T_GET_ID, 0, 0, 64, VIRTIO_BLK_S_OK, 20 },
		{ "unknown type", 5, 0, 0, 512, VIRTIO_BLK_S_UNSUPP, 0 },
		{ "type behind the table", 14, 0, 512, 0, VIRTIO_BLK_S_UNSUPP, 1 },
		{ "type 2^32 - 1", UINT32_MAX, 0, 0, 0, VIRTIO_BLK_S_UNSUPP, 1 },
		{ "discard nothing", VIRTIO_BLK_T_DISCARD, 0, 0, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "discard half a range", VIRTIO_BLK_T_DISCARD, 0, 24, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "discard 17 ranges", VIRTIO_BLK_T_DISCARD, 0, 17 * 16, 0, VIRTIO_BLK_S_IOERR, 1 },
		{ "discard 16 MiB of ranges", VIRTIO_BLK_T_DISCARD, 0, 1U << 24, 0, VIRTIO_BLK_S_IOERR, 1 },
	};
	struct fixture f;
	char serial[21] = "";

	(void)state;
	create(&f, false, FEATURES);
	for (unsigned i = 0; i < countof(rows); i++) {
		uint32_t len;
		const unsigned status = request(&f, rows[i].type, rows[i].sector, rows[i].out, rows[i].in, &len);

		if (status != rows[i].status || len != rows[i].len)
			fail_msg("%s: status %u, length %u", rows[i].name, status, len);
		if (rows[i].type == VIRTIO_BLK_T_GET_ID && rows[i].in == 20) {
			drv_read_mem(&f.drv, PAYLOAD, serial, 20);
			assert_string_equal(serial, "twenty-bytes-serial!");
		}
	}
	assert_int_equal(f.disk.flushes, 1);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_Status) & VIRTIO_STATUS_NEEDS_RESET, 0);
	drv_destroy(&f.drv);
}

static void discard_and_write_zeroes(void **state)
{
	static const struct { uint32_t type; struct virtio_blk_range range; uint8_t status; } rows[] = {
		{ VIRTIO_BLK_T_DISCARD, { 4, 2, 0 }, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 8, 1, 0 }, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { SECTORS - 1, 1, VIRTIO_BLK_RANGE_UNMAP }, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_DISCARD, { 0, 1, VIRTIO_BLK_RANGE_UNMAP }, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 0, 1, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, { SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, { UINT64_MAX, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 1, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 1ULL << 55, 1, 0 }, VIRTIO_BLK_S_IOERR },
	};
	struct fixture f;
	uint32_t len;

	(void)state;
	create(&f, false, FEATURES);
	for (unsigned i = 0; row_of(rows, i); i++) {
		/* The first range of two is always good: a bad second one must keep it from happening. */
		const struct virtio_blk_range ranges[2] = { { 20, 1, 0 }, rows[i].range };
		uint64_t count = 0;

		f.disk.data[20 * SECTOR_SIZE] = 0xff;
		drv_write_mem(&f.drv, PAYLOAD, ranges, sizeof(ranges));
		assert_int_equal(request(&f, rows[i].type, 0, sizeof(ranges), 0, &len), rows[i].status);
		assert_true(nospec_took(rows[i].type, VIRTIO_BLK_T_WRITE_ZEROES + 1));
		assert_int_equal(f.disk.data[20 * SECTOR_SIZE], rows[i].status ? 0xff : 0);
		if (rows[i].status == VIRTIO_BLK_S_OK) {
			for (unsigned b = 0; b < rows[i].range.num_sectors * SECTOR_SIZE; b++)
				count += f.disk.data[rows[i].range.sector * SECTOR_SIZE + b];
			assert_int_equal(count, 0);
		}
	}
	drv_destroy(&f.drv);
}

static void a_read_only_disk_takes_no_writes(void **state)
{
	static const struct virtio_blk_range range = { 0, 1, 0 };
	struct fixture f;
	uint32_t len;

	(void)state;
	create(&f, true, FEATURES | VIRTIO_BLK_F_RO);
	drv_write_mem(&f.drv, PAYLOAD, &range, sizeof(range));
	assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, 0, 512, 0, &len), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 16, 0, &len), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0, &len), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 0, 0, 512, &len), VIRTIO_BLK_S_OK);
	drv_destroy(&f.drv);
}

static void what_was_not_negotiated_is_not_supported(void **state)
{
	struct fixture f;
	uint32_t len;

	(void)state;
	create(&f, false, VIRTIO_F_VERSION_1);
	assert_int_equal(request(&f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &len), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 16, 0, &len), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 0, 0, 512, &len), VIRTIO_BLK_S_OK);
	drv_destroy(&f.drv);
}

static void a_failing_disk_is_reported_and_leaks_nothing(void **state)
{
	struct fixture f;
	uint8_t data[1024];
	uint32_t len;

	(void)state;
	create(&f, false, FEATURES);
	f.disk.is_failing = true;
	memset(data, 0x77, sizeof(data));
	drv_write_mem(&f.drv, PAYLOAD, data, sizeof(data));
	assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 0, 0, 1024, &len), VIRTIO_BLK_S_IOERR);
	drv_read_mem(&f.drv, PAYLOAD, data, sizeof(data));
	assert_int_equal(data[0] | data[1023], 0);	/* counted as written, therefore written */
	assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, 0, 1024, 0, &len), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &len), VIRTIO_BLK_S_IOERR);
	drv_destroy(&f.drv);
}

static void framing_is_the_drivers_choice(void **state)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 1 };
	struct fixture f;
	uint8_t data[SECTOR_SIZE + 1];
	uint32_t id, len;

	(void)state;
	create(&f, false, FEATURES);
	/* 2.7.4: a header in three parts, data and status in one, all of it across chunk borders. */
	drv_write_mem(&f.drv, 0x400000 - 6, &header, sizeof(header));
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x400000 - 6, 1, DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0x400000 - 5, 9, DESC_NEXT, 2 });
	drv_desc(&f.drv, 0, 2, (struct drv_desc){ 0x400000 + 4, 6, DESC_NEXT, 3 });
	drv_desc(&f.drv, 0, 3, (struct drv_desc){ 0x600000 - 100, sizeof(data), DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len));
	assert_int_equal(len, sizeof(data));
	drv_read_mem(&f.drv, 0x600000 - 100, data, sizeof(data));
	assert_memory_equal(data, f.disk.data + SECTOR_SIZE, SECTOR_SIZE);
	assert_int_equal(data[SECTOR_SIZE], VIRTIO_BLK_S_OK);
	drv_destroy(&f.drv);
}

static void requests_without_header_or_status_are_given_back(void **state)
{
	struct fixture f;
	uint8_t status = UNSET;
	uint32_t id, len;

	(void)state;
	create(&f, false, FEATURES);
	drv_write_mem(&f.drv, STATUS, &status, 1);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ HEADER, 16, 0, 0 });			/* no status */
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });		/* no header */
	drv_desc(&f.drv, 0, 2, (struct drv_desc){ HEADER, 15, DESC_NEXT, 1 });		/* a short one */
	for (uint16_t head = 0; head < 3; head++)
		drv_offer(&f.drv, 0, head);
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len) && id == 0 && len == 0);
	assert_true(drv_take(&f.drv, 0, &id, &len) && id == 1 && len == 1);
	assert_true(drv_take(&f.drv, 0, &id, &len) && id == 2 && len == 1);
	drv_read_mem(&f.drv, STATUS, &status, 1);
	assert_int_equal(status, VIRTIO_BLK_S_IOERR);
	drv_destroy(&f.drv);
}

static void a_full_ring_is_served_with_one_kick_and_one_interrupt(void **state)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_FLUSH, 0, 0 };
	struct fixture f;
	uint32_t id, len;

	(void)state;
	create(&f, false, FEATURES);
	drv_write_mem(&f.drv, HEADER, &header, sizeof(header));
	for (uint16_t head = 0; head < DRV_SIZE; head = (uint16_t)(head + 2)) {
		drv_desc(&f.drv, 0, head, (struct drv_desc){ HEADER, 16, DESC_NEXT, (uint16_t)(head + 1) });
		drv_desc(&f.drv, 0, head + 1U, (struct drv_desc){ STATUS + head, 1, DESC_WRITE, 0 });
		drv_offer(&f.drv, 0, head);
	}
	drv_kick(&f.drv, 0);
	for (unsigned i = 0; i < DRV_SIZE / 2; i++)
		assert_true(drv_take(&f.drv, 0, &id, &len) && id == i * 2);
	assert_int_equal(f.drv.edges, 1);
	assert_int_equal(f.disk.flushes, DRV_SIZE / 2);
	drv_destroy(&f.drv);
}

/* ---- Work is bounded, and goes on in the VM's own turn ------------------------------------------------- */

#define BIG_SECTORS	(1ULL << 17)		/* 64 MiB */
#define MOST_BYTES	(VQ_BUDGET + VQ_PIECE_MAX)

/* A disk that only counts what it is asked to do in one step. */
struct big {
	struct block block;		/* first */
	uint64_t     bytes, most, total;
	unsigned     calls;
	uint16_t     fed;		/* not 0: reads give an available ring with one entry more than this */
};

static struct {
	struct drv        drv;
	struct virtio_blk blk;
	struct big        big;
} b;

static void big_count(struct block *block, uint64_t len)
{
	struct big *big = container_of(block, struct big, block);

	big->calls++;
	big->bytes += len;
	big->total += len;
}

static int big_read(struct block *block, uint64_t offset, void *to, size_t len)
{
	(void)offset;
	big_count(block, len);
	memset(to, 0, len);
	if (b.big.fed && len >= 4)
		((uint16_t *)to)[1] = ++b.big.fed;
	return 0;
}

static int big_write(struct block *block, uint64_t offset, const void *from, size_t len)
{
	(void)offset;
	(void)from;
	big_count(block, len);
	return 0;
}

static int big_discard(struct block *block, uint64_t offset, uint64_t len)
{
	(void)offset;
	big_count(block, len);
	block->extra += len;
	return 0;
}

static void create_big(void)
{
	memset(&b, 0, sizeof(b));
	b.big.block = (struct block){
		.sectors = BIG_SECTORS, .read = big_read, .write = big_write, .discard = big_discard,
	};
	virtio_blk_init(&b.blk, &b.big.block);
	drv_create(&b.drv, &b.blk.dev);
	drv_start(&b.drv, b.blk.dev.offered);
}

/* The steps of work, each measured; at most `steps` of them. */
static void run_steps(unsigned steps)
{
	for (; steps && work_is_pending(&b.drv.work); steps--) {
		b.big.most = b.big.bytes > b.big.most ? b.big.bytes : b.big.most;
		b.big.bytes = 0;
		work_run_one(&b.drv.work);
	}
	b.big.most = b.big.bytes > b.big.most ? b.big.bytes : b.big.most;
}

/* A full ring of requests for the whole disk, data in four buffers that lie over one another. */
static void offer_whole_disk(uint32_t type)
{
	static const struct virtio_blk_range ranges[1] = { { 0, (uint32_t)BIG_SECTORS, 0 } };
	const struct virtio_blk_header header = { type, 0, 0 };
	const uint16_t write = type == VIRTIO_BLK_T_IN ? DESC_WRITE : 0;
	const uint32_t quarter = 16U << 20;

	drv_write_mem(&b.drv, HEADER, &header, sizeof(header));
	drv_write_mem(&b.drv, PAYLOAD, ranges, sizeof(ranges));
	drv_touch(&b.drv, 0x400000, quarter);
	drv_desc(&b.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	for (uint16_t i = 1; i <= 4; i++)
		drv_desc(&b.drv, 0, i, (struct drv_desc){ 0x400000, quarter, DESC_NEXT | write, (uint16_t)(i + 1) });
	if (type == VIRTIO_BLK_T_DISCARD)
		drv_desc(&b.drv, 0, 1, (struct drv_desc){ PAYLOAD, sizeof(ranges), DESC_NEXT, 5 });
	drv_desc(&b.drv, 0, 5, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	for (unsigned i = 0; i < DRV_SIZE; i++)
		drv_offer(&b.drv, 0, 0);
}

static void large_requests_are_done_a_piece_at_a_time(void **state)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD };

	(void)state;
	for (unsigned i = 0; row_of(types, i); i++) {
		const uint64_t whole = BIG_SECTORS * SECTOR_SIZE;
		uint8_t status;
		uint32_t id, len;

		create_big();
		offer_whole_disk(types[i]);
		drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
		assert_in_range(b.big.total, 1, MOST_BYTES);
		assert_false(drv_take(&b.drv, 0, &id, &len));
		run_steps(UINT32_MAX);
		assert_true(b.big.most <= MOST_BYTES);
		assert_int_equal(b.big.total, whole * DRV_SIZE);
		for (unsigned n = 0; n < DRV_SIZE; n++)
			assert_true(drv_take(&b.drv, 0, &id, &len) && len == (i ? 0 : whole) + 1);
		drv_read_mem(&b.drv, STATUS, &status, 1);
		assert_int_equal(status, VIRTIO_BLK_S_OK);
		assert_int_equal(drv_get(&b.drv, VIRTIO_MMIO_Status) & VIRTIO_STATUS_NEEDS_RESET, 0);
		drv_destroy(&b.drv);
	}
}

/* A request may use up the budget with its last byte: the driver is still asked to kick for the next one. */
static void whatever_a_request_costs_the_next_one_is_seen(void **state)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_OUT, 0, 0 };
	const uint32_t most = 2U << 20, step = 4096;

	(void)state;
	create_big();
	drv_write_mem(&b.drv, HEADER, &header, sizeof(header));
	for (uint32_t bytes = step; bytes <= most; bytes += step) {
		uint32_t id, len;

		drv_desc(&b.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
		drv_desc(&b.drv, 0, 1, (struct drv_desc){ 0x400000, bytes, DESC_NEXT, 2 });
		drv_desc(&b.drv, 0, 2, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
		drv_offer(&b.drv, 0, 0);
		drv_kick_if_wanted(&b.drv, 0);
		(void)drv_work(&b.drv);
		if (!drv_take(&b.drv, 0, &id, &len))
			fail_msg("nobody served the request of %u bytes: the kick before it was not asked for", bytes);
	}
	drv_destroy(&b.drv);
}

/* One sector in the smallest pieces, 240 a request: a round moves as many pieces as its budget pays for. */
static void small_pieces_are_paid_for(void **state)
{
	enum { PIECES = 240, REQUESTS = 8, A_ROUND = VQ_BUDGET / VQ_PIECE_COST + 1 };
	const struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 0 };
	uint32_t id, len;

	(void)state;
	create_big();
	drv_set(&b.drv, VIRTIO_MMIO_Status, 0);
	b.drv.queues[0].size = VQ_SIZE_MAX;
	drv_start(&b.drv, b.blk.dev.offered);
	drv_write_mem(&b.drv, HEADER, &header, sizeof(header));
	drv_desc(&b.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	for (uint16_t i = 1; i <= PIECES; i++)
		drv_desc(&b.drv, 0, i, (struct drv_desc){ PAYLOAD, i < PIECES ? 1 : SECTOR_SIZE - PIECES + 1,
							  DESC_NEXT | DESC_WRITE, (uint16_t)(i + 1) });
	drv_desc(&b.drv, 0, PIECES + 1, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	for (unsigned i = 0; i < REQUESTS; i++)
		drv_offer(&b.drv, 0, 0);
	drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
	do {
		assert_in_range(b.big.calls, 1, A_ROUND);
		b.big.calls = 0;
		work_run_one(&b.drv.work);
	} while (b.big.calls);
	for (unsigned i = 0; i < REQUESTS; i++)
		assert_true(drv_take(&b.drv, 0, &id, &len) && len == SECTOR_SIZE + 1);
	drv_destroy(&b.drv);
}

static void a_reset_in_the_middle_of_a_request_ends_it(void **state)
{
	uint64_t total;

	(void)state;
	create_big();
	offer_whole_disk(VIRTIO_BLK_T_IN);
	drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
	run_steps(3);
	total = b.big.total;
	drv_set(&b.drv, VIRTIO_MMIO_Status, 0);
	run_steps(100);
	assert_int_equal(b.big.total, total);
	drv_start(&b.drv, b.blk.dev.offered);
	drv_kick(&b.drv, 0);
	assert_int_equal(b.big.total, total);
	assert_int_equal(drv_get16(&b.drv, b.drv.queues[0].used + 2), 0);
	drv_destroy(&b.drv);
}

/* Data that lands on the available ring announces the next request, which does the same: for ever, one ring a step. */
static void a_queue_that_feeds_itself_takes_only_its_own_turns(void **state)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 0 };

	(void)state;
	create_big();
	b.big.fed = 1;
	drv_write_mem(&b.drv, HEADER, &header, sizeof(header));
	drv_desc(&b.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	drv_desc(&b.drv, 0, 1, (struct drv_desc){ b.drv.queues[0].avail, SECTOR_SIZE, DESC_NEXT | DESC_WRITE, 2 });
	drv_desc(&b.drv, 0, 2, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	drv_offer(&b.drv, 0, 0);
	drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
	assert_int_equal(b.big.calls, 1);
	run_steps(50);
	assert_int_equal(b.big.calls, 51);
	assert_true(work_is_pending(&b.drv.work));
	drv_destroy(&b.drv);
}

/*
 * Memory that nobody touched is zeroed 2 MiB at a time: one chunk uses a round up, however few bytes go there, and so
 * does finding out that it is missing.
 */
static void untouched_memory_is_paid_for(void **state)
{
	const struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 0 };
	uint64_t before;
	uint32_t id, len;

	(void)state;
	create_big();
	drv_write_mem(&b.drv, HEADER, &header, sizeof(header));
	drv_desc(&b.drv, 0, 0, (struct drv_desc){ HEADER, sizeof(header), DESC_NEXT, 1 });
	for (uint16_t i = 1; i <= 8; i++)
		drv_desc(&b.drv, 0, i, (struct drv_desc){ 0x800000 + i * LARGE_SIZE, SECTOR_SIZE, DESC_NEXT | DESC_WRITE,
							  (uint16_t)(i + 1) });
	drv_desc(&b.drv, 0, 9, (struct drv_desc){ STATUS, 1, DESC_WRITE, 0 });
	drv_offer(&b.drv, 0, 0);
	before = b.drv.mem.gpm.populated;
	drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
	for (unsigned i = 1; i <= 8; i++) {
		assert_int_equal(b.drv.mem.gpm.populated, before + (i - 1) * LARGE_SIZE);
		work_run_one(&b.drv.work);
		assert_int_equal(b.drv.mem.gpm.populated, before + i * LARGE_SIZE);
		work_run_one(&b.drv.work);
	}
	assert_true(drv_take(&b.drv, 0, &id, &len) && len == 8 * SECTOR_SIZE + 1);
	drv_destroy(&b.drv);
}

/*
 * A driver that spreads everything over untouched memory, a byte in each 2 MiB: rings, indirect table, header, data and
 * status. However often it kicks, a round populates one chunk; in the end the request is served, once.
 */
static void a_byte_in_each_chunk_is_a_round_each(void **state)
{
	enum { PIECES = 13, BUFFERS = PIECES + 2 };		/* of the header: four bytes, then one at a time */
	const uint64_t table = 0x600000 - 24, first = 0x800000;
	struct drv_desc desc = { table, BUFFERS * sizeof(desc), DESC_INDIRECT, 0 };
	uint32_t id, len, steps = 0;
	uint64_t before;

	(void)state;
	/* What untouched memory says. */
	_Static_assert(VIRTIO_BLK_T_IN == 0, "the header is all zeros");
	create_big();
	drv_desc(&b.drv, 0, 0, desc);
	for (uint32_t i = 0; i < BUFFERS; i++) {
		const uint32_t bytes = i == 0 ? sizeof(struct virtio_blk_header) + 1 - PIECES : i == PIECES ? SECTOR_SIZE : 1;
		const uint16_t flags = (i < BUFFERS - 1 ? DESC_NEXT : 0) | (i < PIECES ? 0 : DESC_WRITE);

		desc = (struct drv_desc){ first + i * LARGE_SIZE, bytes, flags, (uint16_t)(i + 1) };
		drv_write_mem(&b.drv, table + i * sizeof(desc), &desc, sizeof(desc));
	}
	drv_offer(&b.drv, 0, 0);
	for (before = b.drv.mem.gpm.populated; !drv_take(&b.drv, 0, &id, &len); before = b.drv.mem.gpm.populated) {
		drv_set(&b.drv, VIRTIO_MMIO_QueueNotify, 0);
		assert_in_range(b.drv.mem.gpm.populated - before, 0, LARGE_SIZE);
		before = b.drv.mem.gpm.populated;
		work_run_one(&b.drv.work);
		assert_in_range(b.drv.mem.gpm.populated - before, 0, LARGE_SIZE);
		assert_in_range(++steps, 1, 2 * BUFFERS);
	}
	assert_int_equal(len, SECTOR_SIZE + 1);
	assert_int_equal(b.big.calls, 1);
	drv_work(&b.drv);
	assert_false(drv_take(&b.drv, 0, &id, &len));
	assert_int_equal(b.big.calls, 1);
	drv_destroy(&b.drv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_describes_the_disk),
		cmocka_unit_test(data_moves_both_ways),
		cmocka_unit_test(every_request_type_answers),
		cmocka_unit_test(discard_and_write_zeroes),
		cmocka_unit_test(a_read_only_disk_takes_no_writes),
		cmocka_unit_test(what_was_not_negotiated_is_not_supported),
		cmocka_unit_test(a_failing_disk_is_reported_and_leaks_nothing),
		cmocka_unit_test(framing_is_the_drivers_choice),
		cmocka_unit_test(requests_without_header_or_status_are_given_back),
		cmocka_unit_test(a_full_ring_is_served_with_one_kick_and_one_interrupt),
		cmocka_unit_test(whatever_a_request_costs_the_next_one_is_seen),
		cmocka_unit_test(large_requests_are_done_a_piece_at_a_time),
		cmocka_unit_test(small_pieces_are_paid_for),
		cmocka_unit_test(a_reset_in_the_middle_of_a_request_ends_it),
		cmocka_unit_test(a_queue_that_feeds_itself_takes_only_its_own_turns),
		cmocka_unit_test(untouched_memory_is_paid_for),
		cmocka_unit_test(a_byte_in_each_chunk_is_a_round_each),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
