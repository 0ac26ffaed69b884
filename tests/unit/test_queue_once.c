/* SPDX-License-Identifier: MIT */
/*
 * A driver on another processor changes a descriptor while the queue looks at it (the double fetch of XSA-155 and
 * CVE-2015-8550). Here it does so at the worst moment each time: right behind the copy that the queue takes. The
 * descriptors lie in pages that nothing but that copy may read, so whoever looks there again is caught as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/state.h"
#include "virtio_driver.h"

#define TABLE		DRV_DATA			/* the indirect one */
#define BORDER		0x400000ULL			/* between two chunks */

static const struct drv_desc hostile = { 0xfee00000, 0xffffffff, DESC_NEXT | DESC_WRITE, 0 };

static struct drv drv;
static unsigned copies;

static uint8_t *host_page(uint64_t addr)
{
	return drv.mem.chunks[addr / LARGE_SIZE] + align_down(addr % LARGE_SIZE, PAGE_SIZE);
}

/* The pages that hold descriptors; those on both sides of the border when the table lies across it. */
static void protect(int how)
{
	const uint64_t pages[] = { drv.queues[0].desc, drv.queues[0].desc + PAGE_SIZE, TABLE };

	for (size_t i = 0; i < countof(pages); i++)
		assert_int_equal(mprotect(host_page(pages[i]), PAGE_SIZE, how), 0);
}

/* In place of the copy through a pointer. */
static void *copy_once(void *to, const void *from, size_t len)
{
	protect(PROT_READ | PROT_WRITE);
	memcpy(to, from, len);
	memcpy((void *)(uintptr_t)from, &hostile, sizeof(hostile));
	protect(PROT_NONE);
	copies++;
	return to;
}

/* In place of the copy through gpm. */
static bool gpm_read_once(struct gpm *gpm, gpa_t addr, void *to, size_t len)
{
	bool is_read;

	protect(PROT_READ | PROT_WRITE);
	is_read = gpm_read(gpm, addr, to, len);
	drv_write_mem(&drv, addr.raw, &hostile, sizeof(hostile));
	protect(PROT_NONE);
	copies++;
	return is_read;
}

#define memcpy	copy_once
#define gpm_read gpm_read_once
#include "hv/virtio/queue.c"
#undef memcpy
#undef gpm_read

static void notify_nothing(struct virtio_dev *dev, unsigned queue) { (void)dev; (void)queue; }

static void a_descriptor_is_read_once(void **state)
{
	static const struct virtio_ops ops = { .notify = notify_nothing };
	static const struct { const char *what; uint64_t desc; bool is_indirect; } rows[] = {
		{ "through a pointer", DRV_RINGS, false },
		{ "through a pointer, indirect", DRV_RINGS, true },
		{ "through gpm", BORDER - 32, false },
		{ "through gpm, indirect", BORDER - 32, true },
	};
	static const struct drv_desc first = { DRV_DATA + PAGE_SIZE, 8, DESC_NEXT, 1 },
				     last = { DRV_DATA + PAGE_SIZE + 64, 16, DESC_WRITE, 0 };
	const struct drv_desc table[] = { first, last };
	struct vq_req req;

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct virtio_dev dev = { .name = "null", .device_id = 1, .offered = VIRTIO_F_COMMON, .queue_count = 1, .ops = &ops };
		struct vq *vq = &dev.queues[0];

		drv_create(&drv, &dev);
		drv.queues[0].desc = rows[i].desc;
		drv_start(&drv, VIRTIO_F_COMMON);
		drv_touch(&drv, DRV_DATA, LARGE_SIZE);
		drv_write_mem(&drv, TABLE, table, sizeof(table));
		drv_desc(&drv, 0, 0, rows[i].is_indirect ? (struct drv_desc){ TABLE, sizeof(table), DESC_INDIRECT, 0 } : first);
		drv_desc(&drv, 0, 1, last);
		drv_offer(&drv, 0, 0);
		copies = 0;
		protect(PROT_NONE);
		assert_true(vq_begin(vq));
		assert_true(vq_pop(vq, &req));
		protect(PROT_READ | PROT_WRITE);
		assert_int_equal(copies, rows[i].is_indirect ? 3 : 2);
		assert_int_equal(req.seg_count, 2);
		assert_int_equal(req.read_segs, 1);
		assert_int_equal(req.segs[0].addr.raw, first.addr);
		assert_int_equal(req.segs[0].len, first.len);
		assert_int_equal(req.segs[1].addr.raw, last.addr);
		assert_int_equal(req.segs[1].len, last.len);
		assert_int_equal(req.readable, first.len);
		assert_int_equal(req.writable, last.len);
		drv_destroy(&drv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_descriptor_is_read_once) };

	return cmocka_run_group_tests_name("queue_once", tests, NULL, NULL);
}
