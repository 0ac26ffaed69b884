/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue against a driver that is right, and against the things drivers did to other
 * hypervisors. Every test runs with the rings in one piece (host pointers) and, where the path differs, with
 * each ring across a 2 MiB border (through gpm).
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

#define ALL	VIRTIO_F_COMMON
#define PLAIN	VIRTIO_F_VERSION_1

struct fixture {
	struct drv        drv;
	struct virtio_dev dev;
	struct vq        *vq;
	struct vq_req     req;
};

static void notify_nothing(struct virtio_dev *dev, unsigned queue) { (void)dev; (void)queue; }
static const struct virtio_ops null_ops = { .notify = notify_nothing };

/* placement: 0 = usual, 1 = each ring across a border of two chunks */
static void start(struct fixture *f, uint64_t features, uint32_t size, unsigned placement)
{
	memset(f, 0, sizeof(*f));
	f->dev = (struct virtio_dev){
		.name = "null", .device_id = 1, .offered = ALL, .queue_count = 1, .ops = &null_ops,
	};
	drv_create(&f->drv, &f->dev);
	f->vq = &f->dev.queues[0];
	f->drv.queues[0].size = size;
	if (placement) {
		f->drv.queues[0].desc = 0x400000 - 32;
		f->drv.queues[0].avail = 0x600000 - 8;
		f->drv.queues[0].used = 0x800000 - 12;
	}
	drv_start(&f->drv, features);
	assert_int_equal(f->vq->avail_map == NULL, placement);
}

static bool is_broken(struct fixture *f)
{
	const bool told = drv_get(&f->drv, VIRTIO_MMIO_Status) & VIRTIO_STATUS_NEEDS_RESET;

	assert_int_equal(told, f->vq->s.is_broken);
	return told;
}

/* A round each time its memory is not all there. */
static bool look_and_pop(struct fixture *f)
{
	while (vq_begin(f->vq)) {
		if (vq_pop(f->vq, &f->req))
			return true;
		if (f->vq->budget > 0)
			return false;
	}
	return false;
}

static void requests_come_in_order_with_their_bytes(void **state)
{
	(void)state;
	for (unsigned placement = 0; placement < 2; placement++) {
		struct fixture f;
		uint32_t id, len;

		start(&f, ALL, DRV_SIZE, placement);
		/* Three times around the ring. */
		for (unsigned i = 0; i < 3 * DRV_SIZE; i++) {
			const uint16_t head = (uint16_t)(i * 2 % DRV_SIZE);
			const uint64_t data = DRV_DATA + i * 64ULL;
			char text[16] = "", want[16] = "abcdefgh";

			want[0] = (char)('A' + i % 26);
			drv_write_mem(&f.drv, data, want, 8);
			drv_desc(&f.drv, 0, head, (struct drv_desc){ data, 8, DESC_NEXT, (uint16_t)(head + 1) });
			drv_desc(&f.drv, 0, head + 1U, (struct drv_desc){ data + 32, 5, DESC_WRITE, 0 });
			drv_offer(&f.drv, 0, head);

			(void)nospec_took(0, 0);
			assert_true(look_and_pop(&f));
			assert_true(nospec_took(head + 1U, DRV_SIZE));
			assert_int_equal(f.req.head, head);
			assert_int_equal(f.req.readable, 8);
			assert_int_equal(f.req.writable, 5);
			assert_int_equal(vq_read(f.vq, &f.req, text, 3), 3);
			assert_int_equal(vq_read(f.vq, &f.req, text + 3, sizeof(text) - 3), 5);
			assert_string_equal(text, want);
			assert_int_equal(vq_write(f.vq, &f.req, "0123456789", 10), 5);
			vq_push(f.vq, &f.req);
			assert_true(drv_take(&f.drv, 0, &id, &len));
			assert_int_equal(id, head);
			assert_int_equal(len, 5);
			drv_read_mem(&f.drv, data + 32, text, 6);
			assert_memory_equal(text, "01234", 6);	/* and not one byte more */
		}
		assert_false(look_and_pop(&f));
		assert_false(is_broken(&f));
		drv_destroy(&f.drv);
	}
}

static void bytes_cross_segments_and_chunks(void **state)
{
	struct fixture f;
	uint8_t out[300], in[300];

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	/* 100 bytes across a chunk border, nothing, 200 bytes; all of it twice, to read and to write. */
	drv_write_mem(&f.drv, 0x400000 - 50, in, 100);
	drv_write_mem(&f.drv, DRV_DATA, in + 100, 200);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x400000 - 50, 100, DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0xdeadbeef00, 0, DESC_NEXT, 2 });
	drv_desc(&f.drv, 0, 2, (struct drv_desc){ DRV_DATA, 200, DESC_NEXT, 3 });
	drv_desc(&f.drv, 0, 3, (struct drv_desc){ 0x600000 - 50, 100, DESC_NEXT | DESC_WRITE, 4 });
	drv_desc(&f.drv, 0, 4, (struct drv_desc){ 0xdeadbeef00, 0, DESC_NEXT | DESC_WRITE, 5 });
	drv_desc(&f.drv, 0, 5, (struct drv_desc){ DRV_DATA + 0x1000, 200, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(look_and_pop(&f));
	for (size_t done = 0; done < sizeof(out); done += 30)
		assert_int_equal(vq_read(f.vq, &f.req, out + done, 30), 30);
	assert_memory_equal(out, in, sizeof(in));
	assert_int_equal(vq_read(f.vq, &f.req, out, 1), 0);

	vq_skip_writable(&f.req, 20);
	assert_int_equal(f.req.written, 0);
	assert_int_equal(vq_write(f.vq, &f.req, in, 300), 280);
	assert_int_equal(f.req.written, 280);
	drv_read_mem(&f.drv, 0x600000 - 30, out, 80);
	drv_read_mem(&f.drv, DRV_DATA + 0x1000, out + 80, 200);
	assert_memory_equal(out, in, 280);

	f.req.read = (struct vq_cursor){ 0 };	/* once more from the start */
	vq_skip_readable(&f.req, 100);
	assert_int_equal(vq_read(f.vq, &f.req, out, 300), 200);
	assert_memory_equal(out, in + 100, 200);
	vq_skip_readable(&f.req, UINT64_MAX);
	drv_destroy(&f.drv);
}

static void pieces_point_into_guest_memory(void **state)
{
	struct fixture f;
	size_t len = 4096;
	uint8_t *piece;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x400000 - 512, 2048, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(look_and_pop(&f));
	piece = vq_next_writable(f.vq, &f.req, &len);
	assert_int_equal(len, 512);	/* up to the border */
	memset(piece, 0x5a, len);
	len = 1000;
	piece = vq_next_writable(f.vq, &f.req, &len);
	assert_int_equal(len, 1000);
	len = 1000;
	assert_non_null(vq_next_writable(f.vq, &f.req, &len));
	assert_int_equal(len, 536);
	assert_null(vq_next_writable(f.vq, &f.req, &len));
	assert_null(vq_next_readable(f.vq, &f.req, &len));
	assert_int_equal(f.req.written, 2048);
	assert_int_equal(drv_get16(&f.drv, 0x400000 - 2), 0x5a5a);
	drv_destroy(&f.drv);
}

/* ---- Attacks: one chain each ---------------------------------------------------------------------- */

#define TABLE		0x310000ULL	/* an indirect table */
#define TABLE_BYTES(n)	((n) * 16U)
#define MIB		(1U << 20)
#define BIG		0x3c00000U	/* 60 MiB, all of it RAM from 1 MiB on */

static const struct chain {
	const char     *name;
	uint64_t        features;
	uint16_t        head;
	bool            is_good;
	struct drv_desc descs[4];	/* into the ring from 0 */
	struct drv_desc table[3];	/* into TABLE */
} chains[] = {
	{ "one buffer", ALL, 0, true, { { DRV_DATA, 16, 0, 0 } }, { { 0 } } },
	{ "garbage in next without NEXT", ALL, 0, true, { { DRV_DATA, 16, 0, 0xffff } }, { { 0 } } },
	{ "unknown flag bits", ALL, 0, true, { { DRV_DATA, 16, 0xfff8, 0 } }, { { 0 } } },
	{ "last byte of RAM", ALL, 0, true, { { DRV_RAM_END - 16, 16, 0, 0 } }, { { 0 } } },
	{ "indirect", ALL, 0, true, { { TABLE, TABLE_BYTES(2), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { DRV_DATA, 16, DESC_WRITE, 0 } } },
	{ "indirect with WRITE, which is ignored", ALL, 0, true,
	  { { TABLE, TABLE_BYTES(1), DESC_INDIRECT | DESC_WRITE, 0 } }, { { DRV_DATA, 16, 0, 0 } } },
	{ "direct, then indirect", ALL, 0, true,
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, DESC_WRITE, 0 } } },

	{ "head out of range", ALL, DRV_SIZE, false, { { DRV_DATA, 16, 0, 0 } }, { { 0 } } },
	{ "head 65535", ALL, 0xffff, false, { { DRV_DATA, 16, 0, 0 } }, { { 0 } } },
	{ "next out of range", ALL, 0, false, { { DRV_DATA, 16, DESC_NEXT, DRV_SIZE } }, { { 0 } } },
	{ "loop of one", ALL, 0, false, { { DRV_DATA, 16, DESC_NEXT, 0 } }, { { 0 } } },
	{ "loop of two", ALL, 0, false,
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { DRV_DATA, 16, DESC_NEXT, 0 } }, { { 0 } } },
	{ "loop of empty buffers", ALL, 0, false, { { DRV_DATA, 0, DESC_NEXT, 0 } }, { { 0 } } },
	{ "readable after writable", ALL, 0, false,
	  { { DRV_DATA, 16, DESC_NEXT | DESC_WRITE, 1 }, { DRV_DATA, 16, 0, 0 } }, { { 0 } } },
	{ "readable after an empty writable", ALL, 0, false,
	  { { DRV_DATA, 0, DESC_NEXT | DESC_WRITE, 1 }, { DRV_DATA, 16, 0, 0 } }, { { 0 } } },
	{ "buffer in a device window", ALL, 0, false, { { 0xd0000000, 16, 0, 0 } }, { { 0 } } },
	{ "buffer in the local APIC", ALL, 0, false, { { 0xfee00000, 16, DESC_WRITE, 0 } }, { { 0 } } },
	{ "buffer in the hole below 1 MiB", ALL, 0, false, { { DRV_LOW_END, 16, 0, 0 } }, { { 0 } } },
	{ "buffer that ends in the hole", ALL, 0, false, { { DRV_LOW_END - 8, 16, 0, 0 } }, { { 0 } } },
	{ "buffer that ends behind RAM", ALL, 0, false, { { DRV_RAM_END - 8, 16, 0, 0 } }, { { 0 } } },
	{ "buffer that wraps", ALL, 0, false, { { UINT64_MAX - 7, 16, 0, 0 } }, { { 0 } } },
	{ "length 2^32 - 1", ALL, 0, false, { { DRV_RAM_START, UINT32_MAX, 0, 0 } }, { { 0 } } },

	{ "indirect, not negotiated", PLAIN, 0, false, { { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, 0, 0 } } },
	{ "indirect table of length 0", ALL, 0, false, { { TABLE, 0, DESC_INDIRECT, 0 } }, { { DRV_DATA, 16, 0, 0 } } },
	{ "indirect table of half a descriptor", ALL, 0, false, { { TABLE, 24, DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, 0, 0 } } },
	{ "indirect table with NEXT", ALL, 0, false,
	  { { TABLE, TABLE_BYTES(1), DESC_INDIRECT | DESC_NEXT, 1 }, { DRV_DATA, 16, 0, 0 } },
	  { { DRV_DATA, 16, 0, 0 } } },
	{ "indirect in indirect", ALL, 0, false, { { TABLE, TABLE_BYTES(2), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { TABLE, TABLE_BYTES(2), DESC_INDIRECT, 0 } } },
	{ "indirect that names itself", ALL, 0, false, { { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 } },
	  { { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 } } },
	{ "loop in an indirect table", ALL, 0, false, { { TABLE, TABLE_BYTES(2), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { DRV_DATA, 16, DESC_NEXT, 0 } } },
	{ "next behind the indirect table", ALL, 0, false, { { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, DESC_NEXT, 1 }, { DRV_DATA, 16, 0, 0 } } },
	{ "indirect table in a device window", ALL, 0, false,
	  { { 0xd0000000, TABLE_BYTES(1), DESC_INDIRECT, 0 } }, { { 0 } } },
	{ "indirect table of 4 GiB", ALL, 0, false, { { TABLE, 0xfffffff0, DESC_INDIRECT, 0 } },
	  { { DRV_DATA, 16, 0, 0 } } },
};

static void hostile_chains_break_the_queue_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 2 * countof(chains); row++) {
		const struct chain *chain = &chains[row / 2];
		struct fixture f;

		start(&f, chain->features, DRV_SIZE, row % 2);
		for (unsigned i = 0; i < countof(chain->descs); i++)
			drv_desc(&f.drv, 0, i, chain->descs[i]);
		drv_write_mem(&f.drv, TABLE, chain->table, sizeof(chain->table));
		drv_offer(&f.drv, 0, chain->head);
		if (look_and_pop(&f) != chain->is_good || is_broken(&f) == chain->is_good)
			fail_msg("%s, placement %u", chain->name, row % 2);
		if (!chain->is_good) {
			/* It stays broken, says so once by interrupt, and touches no memory. */
			assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus), VIRTIO_INT_CONFIG);
			assert_true(f.drv.line);
			assert_false(look_and_pop(&f));
			vq_push(f.vq, &f.req);
			assert_false(vq_enable_notify(f.vq));
			assert_false(vq_should_interrupt(f.vq));
			assert_int_equal(drv_get16(&f.drv, f.drv.queues[0].used + 2), 0);
		}
		drv_destroy(&f.drv);
	}
}

static void indirect_tables_may_be_unaligned_and_in_two_chunks(void **state)
{
	static const uint64_t places[] = { TABLE + 1, TABLE + 8, 0x400000 - 16, 0x400000 - 7 };
	const struct drv_desc table[2] = { { DRV_DATA, 16, DESC_NEXT, 1 }, { DRV_DATA + 16, 32, DESC_WRITE, 0 } };

	(void)state;
	for (unsigned i = 0; row_of(places, i); i++) {
		struct fixture f;

		start(&f, ALL, DRV_SIZE, 0);
		drv_write_mem(&f.drv, places[i], table, sizeof(table));
		drv_desc(&f.drv, 0, 3, (struct drv_desc){ places[i], sizeof(table), DESC_INDIRECT, 0 });
		drv_offer(&f.drv, 0, 3);
		assert_true(look_and_pop(&f));
		assert_int_equal(f.req.readable, 16);
		assert_int_equal(f.req.writable, 32);
		drv_destroy(&f.drv);
	}
}

/* `count` buffers of `len` bytes, in the ring or in an indirect table. */
static bool pop_chain_of(uint32_t size, unsigned count, uint32_t len, bool is_indirect)
{
	struct fixture f;
	uint64_t before;
	bool is_popped;

	start(&f, ALL, size, 0);
	for (unsigned i = 0; i < count; i++) {
		const struct drv_desc desc = {
			DRV_RAM_START, len, i + 1 < count ? DESC_NEXT : 0, (uint16_t)(i + 1),
		};

		if (is_indirect)
			drv_write_mem(&f.drv, TABLE + i * sizeof(desc), &desc, sizeof(desc));
		else
			drv_desc(&f.drv, 0, i, desc);
	}
	if (is_indirect)
		drv_desc(&f.drv, 0, 0, (struct drv_desc){ TABLE, TABLE_BYTES(count), DESC_INDIRECT, 0 });
	drv_offer(&f.drv, 0, 0);
	before = f.drv.mem.gpm.populated;
	is_popped = look_and_pop(&f);
	assert_int_equal(is_popped, !is_broken(&f));
	if (is_popped)
		assert_int_equal(f.req.readable, (uint64_t)count * len);
	else
		assert_int_equal(f.drv.mem.gpm.populated, before);	/* nobody looked at its memory */
	drv_destroy(&f.drv);
	return is_popped;
}

static void chains_longer_than_the_queue_are_refused(void **state)
{
	(void)state;
	assert_true(pop_chain_of(16, 16, 8, false));
	assert_true(pop_chain_of(16, 16, 8, true));
	assert_false(pop_chain_of(16, 17, 8, true));
	assert_true(pop_chain_of(256, 256, 8, false));
	assert_true(pop_chain_of(256, 256, 8, true));
	assert_false(pop_chain_of(256, 257, 8, true));
	assert_false(pop_chain_of(256, 4000, 8, true));
	assert_true(pop_chain_of(1, 1, 8, false));
}

static void lengths_past_4_gib_are_refused(void **state)
{
	(void)state;
	assert_true(pop_chain_of(256, 68, BIG, false));		/* 4,080 MiB */
	assert_false(pop_chain_of(256, 69, BIG, false));
	assert_false(pop_chain_of(256, 256, 0x1000000, true));	/* exactly 2^32: 0 in 32 bits */
	assert_false(pop_chain_of(256, 256, 0x1000001, true));
}

static void avail_index_too_far_ahead_is_refused(void **state)
{
	static const struct { uint16_t jump; bool is_good; } rows[] = {
		{ DRV_SIZE, true }, { DRV_SIZE + 1, false }, { 0x8000, false }, { 0xffff, false },
	};

	(void)state;
	for (unsigned i = 0; i < 2 * countof(rows); i++) {
		struct fixture f;

		start(&f, ALL, DRV_SIZE, i % 2);
		drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
		drv_put16(&f.drv, f.drv.queues[0].avail + 2, rows[i / 2].jump);
		assert_int_equal(look_and_pop(&f), rows[i / 2].is_good);
		assert_int_equal(is_broken(&f), !rows[i / 2].is_good);
		drv_destroy(&f.drv);
	}
}

static void descriptors_changed_after_pop_have_no_effect(void **state)
{
	struct fixture f;
	uint8_t bytes[64];

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ DRV_DATA + 64, 8, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(look_and_pop(&f));
	/* The double fetch: what was checked is what is used. */
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0xd0000000, 0xffffffff, DESC_NEXT, 0 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0xfee00000, 0xffffffff, DESC_NEXT, 1 });
	assert_int_equal(vq_read(f.vq, &f.req, bytes, sizeof(bytes)), 8);
	assert_int_equal(vq_write(f.vq, &f.req, bytes, sizeof(bytes)), 8);
	drv_destroy(&f.drv);
}

static void a_host_out_of_memory_ends_a_request_early(void **state)
{
	struct fixture f;
	uint8_t bytes[64] = { 0 };
	size_t len = 64;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x600000 - 16, 64, DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0xa00000 - 16, 64, DESC_WRITE, 0 });
	drv_write_mem(&f.drv, 0x600000 - 16, bytes, 16);	/* these chunks are there, the next ones are not */
	drv_write_mem(&f.drv, 0xa00000 - 16, bytes, 16);
	drv_offer(&f.drv, 0, 0);
	f.drv.mem.is_exhausted = true;
	assert_true(look_and_pop(&f));
	assert_int_equal(vq_read(f.vq, &f.req, bytes, sizeof(bytes)), 16);
	assert_int_equal(vq_write(f.vq, &f.req, bytes, sizeof(bytes)), 16);
	assert_int_equal(f.req.written, 16);
	assert_null(vq_next_writable(f.vq, &f.req, &len));
	vq_push(f.vq, &f.req);
	assert_false(is_broken(&f));
	drv_destroy(&f.drv);

	/* Rings nobody has touched yet: the queue breaks at the first look, the hypervisor goes on. */
	start(&f, ALL, DRV_SIZE, 0);
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
	drv_negotiate(&f.drv, ALL);
	f.drv.queues[0].avail = 0xa00000;
	f.drv.mem.is_exhausted = true;
	assert_int_equal(drv_ready(&f.drv, 0), 1);
	assert_false(look_and_pop(&f));
	assert_true(is_broken(&f));
	drv_destroy(&f.drv);
}

/* ---- Activation ----------------------------------------------------------------------------------- */

static void queues_of_impossible_shape_stay_off(void **state)
{
	static const struct { const char *name; struct drv_queue q; bool is_good; } rows[] = {
		{ "good",              { 16, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, true },
		{ "size 1",            { 1, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, true },
		{ "size 256",          { 256, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, true },
		{ "size 0",            { 0, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "size 3",            { 3, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "size 512",          { 512, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "size 2^31",         { 1U << 31, 0x200000, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "desc unaligned",    { 16, 0x200008, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "avail unaligned",   { 16, 0x200000, 0x202001, 0x204000, 0, 0, 0 }, false },
		{ "used unaligned",    { 16, 0x200000, 0x202000, 0x204002, 0, 0, 0 }, false },
		{ "desc in a window",  { 16, 0xd0000000, 0x202000, 0x204000, 0, 0, 0 }, false },
		{ "avail in a window", { 16, 0x200000, 0xd0000000, 0x204000, 0, 0, 0 }, false },
		{ "used in a window",  { 16, 0x200000, 0x202000, 0xd0000000, 0, 0, 0 }, false },
		{ "used ends outside", { 16, 0x200000, 0x202000, DRV_RAM_END - 128, 0, 0, 0 }, false },
		{ "desc above 2^63",   { 16, 0xfffffffffffffff0, 0x202000, 0x204000, 0, 0, 0 }, false },
	};

	(void)state;
	for (unsigned i = 0; i < countof(rows); i++) {
		struct fixture f;

		start(&f, ALL, DRV_SIZE, 0);
		drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
		drv_negotiate(&f.drv, ALL);
		f.drv.queues[0] = rows[i].q;
		if (drv_ready(&f.drv, 0) != rows[i].is_good)
			fail_msg("%s", rows[i].name);
		drv_destroy(&f.drv);
	}
}

/* ---- Notifications -------------------------------------------------------------------------------- */

static void push_one(struct fixture *f)
{
	drv_desc(&f->drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
	drv_offer(&f->drv, 0, 0);
	assert_true(look_and_pop(f));
	vq_push(f->vq, &f->req);
}

static void interrupts_follow_the_flag_without_event_idx(void **state)
{
	(void)state;
	for (unsigned placement = 0; placement < 2; placement++) {
		struct fixture f;

		start(&f, PLAIN, DRV_SIZE, placement);
		assert_false(vq_should_interrupt(f.vq));	/* nothing was pushed */
		push_one(&f);
		assert_true(vq_should_interrupt(f.vq));
		assert_false(vq_should_interrupt(f.vq));
		drv_put16(&f.drv, f.drv.queues[0].avail, 1);	/* VIRTQ_AVAIL_F_NO_INTERRUPT */
		push_one(&f);
		assert_false(vq_should_interrupt(f.vq));
		drv_destroy(&f.drv);
	}
}

static void interrupts_follow_used_event_around_the_wrap(void **state)
{
	(void)state;
	for (unsigned placement = 0; placement < 2; placement++) {
		struct fixture f;
		uint64_t event;
		unsigned count = 0;

		start(&f, ALL, DRV_SIZE, placement);
		event = f.drv.queues[0].avail + 4 + DRV_SIZE * 2;
		/* Ask for every third; twice around 2^16, so that the comparison wraps too. */
		for (unsigned i = 1; i <= 0x20000; i++) {
			drv_put16(&f.drv, event, (uint16_t)(i - 1 + (3 - i % 3) % 3));
			push_one(&f);
			const bool is_wanted = vq_should_interrupt(f.vq);

			if (i == 1)
				continue;	/* the first is always sent */
			assert_int_equal(is_wanted, i % 3 == 0);
			count += is_wanted;
		}
		assert_int_equal(count, 0x20000 / 3);
		drv_destroy(&f.drv);
	}
}

static void kicks_are_asked_for_and_nothing_is_missed(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 4; row++) {
		const bool has_event = row & 1;
		struct fixture f;
		uint64_t event, flags;

		start(&f, has_event ? ALL : PLAIN, DRV_SIZE, row / 2);
		event = f.drv.queues[0].used + 4 + DRV_SIZE * 8;
		flags = f.drv.queues[0].used;
		vq_disable_notify(f.vq);
		assert_int_equal(drv_get16(&f.drv, flags), !has_event);
		push_one(&f);
		assert_false(vq_enable_notify(f.vq));
		assert_int_equal(drv_get16(&f.drv, flags), 0);
		assert_int_equal(drv_get16(&f.drv, event), has_event ? 1 : 0);
		/* One that arrived between the last pop and the enabling must be reported. */
		drv_offer(&f.drv, 0, 0);
		assert_true(vq_enable_notify(f.vq));
		drv_destroy(&f.drv);
	}
}

/*
 * Three rings, each across a border, in memory that nobody has touched: six chunks, one a call; until then a
 * kick does nothing.
 */
static void rings_in_untouched_memory_are_populated_a_chunk_a_call(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	start(&f, ALL, DRV_SIZE, 1);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 0);
	f.drv.queues[0].desc = 0x1000000 - 32;
	f.drv.queues[0].avail = 0x1400000 - 8;
	f.drv.queues[0].used = 0x1800000 - 12;
	before = f.drv.mem.gpm.populated;
	assert_int_equal(drv_ready(&f.drv, 0), 1);
	for (unsigned chunks = 1; chunks < 6; chunks++) {
		assert_int_equal(f.drv.mem.gpm.populated, before + chunks * LARGE_SIZE);
		assert_false(vq_begin(f.vq));
		assert_true(work_is_pending(&f.drv.work));
		work_run_one(&f.drv.work);
	}
	assert_int_equal(f.drv.mem.gpm.populated, before + 6 * LARGE_SIZE);
	drv_work(&f.drv);
	f.drv.queues[0].avail_idx = 0;
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(look_and_pop(&f));
	assert_int_equal(f.req.readable, 8);
	drv_destroy(&f.drv);
}

/* ---- What a round may cost ------------------------------------------------------------------------ */

/* A ring of requests that span all of the memory, four times: each chunk that is looked at is paid for. */
static void looks_at_memory_are_paid_for(void **state)
{
	enum { PARTS = 4, LOOKS = PARTS * (BIG / LARGE_SIZE), A_ROUND = VQ_BUDGET / (LOOKS * VQ_CHUNK_COST) + 1 };
	struct fixture f;
	unsigned total = 0;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_touch(&f.drv, DRV_RAM_START, BIG);
	for (uint16_t i = 0; i < PARTS; i++)
		drv_desc(&f.drv, 0, i, (struct drv_desc){ DRV_RAM_START, BIG, i < PARTS - 1 ? DESC_NEXT : 0, (uint16_t)(i + 1) });
	for (unsigned i = 0; i < DRV_SIZE; i++)
		drv_offer(&f.drv, 0, 0);
	while (vq_begin(f.vq)) {
		unsigned count = 0;

		while (f.vq->budget > 0 && vq_pop(f.vq, &f.req))
			count++;
		assert_in_range(count, 1, A_ROUND);
		total += count;
	}
	assert_int_equal(total, DRV_SIZE);
	drv_destroy(&f.drv);
}

/*
 * So is taking a request, and each descriptor of it: a ring of tiny requests may not last longer than one of
 * large ones.
 */
static void requests_and_descriptors_are_paid_for(void **state)
{
	static const unsigned counts[] = { 1, VQ_SIZE_MAX };

	(void)state;
	for (unsigned i = 0; row_of(counts, i); i++) {
		const unsigned count = counts[i];
		struct fixture f;
		int64_t before;

		start(&f, ALL, VQ_SIZE_MAX, 0);
		drv_touch(&f.drv, DRV_DATA, 8);
		for (unsigned n = 0; n < count; n++)
			drv_desc(&f.drv, 0, n, (struct drv_desc){ DRV_DATA, 8, n + 1 < count ? DESC_NEXT : 0, (uint16_t)(n + 1) });
		drv_offer(&f.drv, 0, 0);
		assert_true(vq_begin(f.vq));
		before = f.vq->budget;
		assert_true(vq_pop(f.vq, &f.req));
		assert_int_equal(before - f.vq->budget, VQ_REQUEST_COST + count * VQ_DESCRIPTOR_COST);
		drv_destroy(&f.drv);
	}
}

/* Of an indirect table only the 65,536 descriptors that `next` can name are looked at, however long it says it is. */
static void what_no_index_reaches_is_not_populated(void **state)
{
	static const struct { uint64_t table; unsigned chunks; } rows[] = { { 0x800000 - MIB, 1 }, { 0x800000 - MIB + 16, 2 } };
	const struct drv_desc in_table = { DRV_DATA, 8, 0, 0 };

	(void)state;
	for (unsigned i = 0; row_of(rows, i); i++) {
		struct fixture f;
		uint64_t before;

		start(&f, ALL, DRV_SIZE, 0);
		drv_touch(&f.drv, DRV_DATA, 8);
		before = f.drv.mem.gpm.populated;
		drv_write_mem(&f.drv, rows[i].table, &in_table, sizeof(in_table));
		drv_desc(&f.drv, 0, 0, (struct drv_desc){ rows[i].table, 16 * MIB, DESC_INDIRECT, 0 });
		drv_offer(&f.drv, 0, 0);
		assert_true(look_and_pop(&f));
		assert_int_equal(f.drv.mem.gpm.populated - before, rows[i].chunks * LARGE_SIZE);
		drv_destroy(&f.drv);
	}
}

/* What one driver's request lacked is nothing that the next driver's first round should do. */
static void a_reset_forgets_what_was_missing(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_touch(&f.drv, DRV_DATA, 8);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x800000, 8, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(vq_begin(f.vq) && !vq_pop(f.vq, &f.req));
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
	drv_start(&f.drv, ALL);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	before = f.drv.mem.gpm.populated;
	assert_true(vq_begin(f.vq) && vq_pop(f.vq, &f.req));
	assert_int_equal(f.drv.mem.gpm.populated, before);
	drv_destroy(&f.drv);
}

/* Also a piece of one byte has to be found and moved. */
static void a_piece_has_a_price_beside_its_bytes(void **state)
{
	struct fixture f;
	int64_t before;
	size_t len = 1;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 1, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(look_and_pop(&f));
	before = f.vq->budget;
	assert_non_null(vq_next_readable(f.vq, &f.req, &len));
	assert_int_equal(before - f.vq->budget, 1 + VQ_PIECE_COST);
	drv_destroy(&f.drv);
}

/* Zeroing a chunk takes as long as a round: after a request it waits for the next one. */
static void a_chunk_is_populated_only_by_a_round_that_did_nothing_else(void **state)
{
	const struct drv_desc rows[] = {
		{ 0x800000, 8, 0, 0 }, { TABLE, TABLE_BYTES(1), DESC_INDIRECT, 0 }, { 0xc00000, sizeof(struct drv_desc), DESC_INDIRECT, 0 },
	};
	const struct drv_desc in_table = { 0x800000, 8, 0, 0 };

	(void)state;
	for (unsigned i = 0; row_of(rows, i); i++) {
		struct fixture f;
		uint64_t before;

		start(&f, ALL, DRV_SIZE, 0);
		drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, 0, 0 });
		drv_desc(&f.drv, 0, 1, rows[i]);
		drv_write_mem(&f.drv, TABLE, &in_table, sizeof(in_table));
		drv_touch(&f.drv, DRV_DATA, 8);
		drv_offer(&f.drv, 0, 0);
		drv_offer(&f.drv, 0, 1);
		before = f.drv.mem.gpm.populated;
		assert_true(vq_begin(f.vq));
		assert_true(vq_pop(f.vq, &f.req));
		assert_false(vq_pop(f.vq, &f.req));
		assert_int_equal(f.drv.mem.gpm.populated, before);
		assert_true(f.vq->budget <= 0);
		assert_true(vq_enable_notify(f.vq));	/* it is still there */
		assert_true(vq_begin(f.vq));
		assert_false(vq_pop(f.vq, &f.req));
		assert_int_equal(f.drv.mem.gpm.populated, before + LARGE_SIZE);
		assert_true(look_and_pop(&f));
		assert_int_equal(f.req.head, 1);
		assert_false(is_broken(&f));
		drv_destroy(&f.drv);
	}
}

/* Finding out which chunk is missing takes long when a chain has many buffers: the same round populates nothing. */
static void a_round_that_looked_populates_nothing(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x800000, 2 * LARGE_SIZE, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	before = f.drv.mem.gpm.populated;
	for (unsigned chunks = 0; chunks < 2; chunks++) {
		assert_true(vq_begin(f.vq) && !vq_pop(f.vq, &f.req));
		assert_int_equal(f.drv.mem.gpm.populated, before + chunks * LARGE_SIZE);
		assert_true(f.vq->budget <= 0);
		assert_true(vq_begin(f.vq) && !vq_pop(f.vq, &f.req));
		assert_int_equal(f.drv.mem.gpm.populated, before + (chunks + 1) * LARGE_SIZE);
		assert_true(f.vq->budget <= 0);
	}
	assert_true(look_and_pop(&f));
	drv_destroy(&f.drv);
}

/* Another queue populates what this one misses: no reason to give up on the rest of the chain and to zero it unseen. */
static void a_chunk_that_came_by_another_way_settles_nothing(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	start(&f, ALL, DRV_SIZE, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ 0x800000, 8, DESC_NEXT, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ 0x800000 + LARGE_SIZE, 8, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	assert_true(vq_begin(f.vq) && !vq_pop(f.vq, &f.req));
	drv_touch(&f.drv, 0x800000, 8);
	before = f.drv.mem.gpm.populated;
	assert_true(vq_begin(f.vq) && !vq_pop(f.vq, &f.req));
	assert_int_equal(f.drv.mem.gpm.populated, before);
	assert_true(look_and_pop(&f));
	drv_destroy(&f.drv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunk_that_came_by_another_way_settles_nothing),
		cmocka_unit_test(requests_come_in_order_with_their_bytes),
		cmocka_unit_test(bytes_cross_segments_and_chunks),
		cmocka_unit_test(pieces_point_into_guest_memory),
		cmocka_unit_test(hostile_chains_break_the_queue_and_nothing_else),
		cmocka_unit_test(indirect_tables_may_be_unaligned_and_in_two_chunks),
		cmocka_unit_test(chains_longer_than_the_queue_are_refused),
		cmocka_unit_test(lengths_past_4_gib_are_refused),
		cmocka_unit_test(avail_index_too_far_ahead_is_refused),
		cmocka_unit_test(descriptors_changed_after_pop_have_no_effect),
		cmocka_unit_test(a_host_out_of_memory_ends_a_request_early),
		cmocka_unit_test(queues_of_impossible_shape_stay_off),
		cmocka_unit_test(interrupts_follow_the_flag_without_event_idx),
		cmocka_unit_test(interrupts_follow_used_event_around_the_wrap),
		cmocka_unit_test(kicks_are_asked_for_and_nothing_is_missed),
		cmocka_unit_test(rings_in_untouched_memory_are_populated_a_chunk_a_call),
		cmocka_unit_test(looks_at_memory_are_paid_for),
		cmocka_unit_test(requests_and_descriptors_are_paid_for),
		cmocka_unit_test(what_no_index_reaches_is_not_populated),
		cmocka_unit_test(a_reset_forgets_what_was_missing),
		cmocka_unit_test(a_piece_has_a_price_beside_its_bytes),
		cmocka_unit_test(a_chunk_is_populated_only_by_a_round_that_did_nothing_else),
		cmocka_unit_test(a_round_that_looked_populates_nothing),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
