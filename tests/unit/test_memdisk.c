/* SPDX-License-Identifier: MIT */
/* hv/memdisk.c: three modes against a plain array, memory that comes back, and no memory at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/memdisk.h"
#include "page_fake.h"
#include "release_all.h"

#define LENGTH	(3 * MEMDISK_CHUNK + 4 * SECTOR_SIZE - 100)	/* neither whole chunks nor whole sectors */
#define ROUNDED	(3 * MEMDISK_CHUNK + 4 * SECTOR_SIZE)

static uint8_t *new_file(void)
{
	uint8_t *file = calloc(1, ROUNDED);

	assert_non_null(file);
	for (size_t i = 0; i < LENGTH; i++)
		file[i] = (uint8_t)(i * 7 + i / 251);
	return file;
}

static struct handoff_disk config(uint32_t mode)
{
	return (struct handoff_disk){ .mode = mode, .serial = "trapeze-disk-0123456" };
}

/* As a VM's start does it. */
static int make_disk(struct memdisk *disk, uint8_t *file, uint64_t length, const struct handoff_disk *conf)
{
	if (memdisk_init(disk, file, length, conf))
		return -1;
	while (!memdisk_prepare(disk))
		continue;
	return 0;
}

/* The table of a large disk takes long to zero too. What is not zeroed yet is not taken for copies. */
static void test_prepare(void **state)
{
	struct handoff_disk conf = config(DISK_COW);
	struct memdisk disk;
	uint8_t file = 0;

	(void)state;
	for (unsigned calls = 0; calls < 5; calls++) {
		assert_int_equal(memdisk_init(&disk, &file, 20000ULL * MEMDISK_CHUNK, &conf), 0);
		for (unsigned i = 0; i < calls; i++)
			assert_int_equal(memdisk_prepare(&disk), i == 3);
		for (size_t chunk = 0; chunk < disk.chunk_count; chunk++)
			if (!disk.chunks[chunk] != (chunk < calls * 8192))
				fail_msg("%u calls: chunk %zu", calls, chunk);
		memdisk_destroy(&disk);
		assert_int_equal(page_fake_used, 0);
	}
}

/* A few copies at each call: freeing them takes as long as many turns. */
static void test_release(void **state)
{
	const uint64_t length = 200ULL * MEMDISK_CHUNK;
	struct handoff_disk conf = config(DISK_COW);
	uint8_t *file = calloc(1, length);
	struct memdisk disk;
	unsigned calls = 0;

	(void)state;
	assert_int_equal(make_disk(&disk, file, length, &conf), 0);
	for (uint64_t at = 0; at < length; at += MEMDISK_CHUNK)
		assert_int_equal(disk.block.write(&disk.block, at, "x", 1), 0);
	for (uint64_t before = page_fake_used; !memdisk_release(&disk); before = page_fake_used, calls++)
		assert_in_range(before - page_fake_used, 1, 64 * MEMDISK_CHUNK);
	assert_int_equal(calls, 3);
	assert_int_equal(page_fake_used, 0);
	free(file);
}

static void test_capacity_and_serial(void **state)
{
	struct handoff_disk conf = config(DISK_READONLY);
	uint8_t *file = new_file();
	struct memdisk disk;

	(void)state;
	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
	assert_int_equal(disk.block.sectors, ROUNDED / SECTOR_SIZE);
	assert_memory_equal(disk.block.serial, "trapeze-disk-0123456", 20);
	memdisk_destroy(&disk);
	assert_int_equal(make_disk(&disk, NULL, LENGTH, &conf), -1);
	memdisk_destroy(&disk);
	assert_int_equal(make_disk(&disk, file, 0, &conf), -1);
	conf.mode = DISK_COW;
	assert_int_equal(make_disk(&disk, file, 17ULL << 30, &conf), -1);
	memdisk_destroy(&disk);
	assert_int_equal(page_fake_used, 0);
	free(file);
}

static void test_readonly(void **state)
{
	struct handoff_disk conf = config(DISK_READONLY);
	uint8_t *file = new_file(), buf[SECTOR_SIZE];
	struct memdisk disk;
	struct block *block = &disk.block;

	(void)state;
	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
	assert_true(block->is_readonly);
	assert_int_equal(block->read(block, 512, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, file + 512, sizeof(buf));
	assert_int_equal(block->write(block, 0, buf, sizeof(buf)), -1);
	assert_int_equal(block->discard(block, 0, 512), -1);
	assert_int_equal(block->flush(block), 0);
	memdisk_destroy(&disk);
	free(file);
}

static void test_bounds(void **state)
{
	static const struct { uint64_t offset; size_t len; } rows[] = {
		{ ROUNDED, 1 }, { ROUNDED - 511, 512 }, { UINT64_MAX, 1 }, { UINT64_MAX - 10, 512 }, { 0, ROUNDED + 1 },
		{ 512, SIZE_MAX }, { 512, SIZE_MAX - 511 },
	};
	uint8_t *file = new_file(), buf[1] = { 0 };

	(void)state;
	for (uint32_t mode = DISK_COW; mode <= DISK_WRITE; mode++) {
		struct handoff_disk conf = config(mode);
		struct memdisk disk;
		struct block *block = &disk.block;

		assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
		for (size_t i = 0; row_of(rows, i); i++) {
			assert_int_equal(block->read(block, rows[i].offset, buf, rows[i].len), -1);
			assert_int_equal(block->write(block, rows[i].offset, buf, rows[i].len), -1);
			assert_int_equal(block->discard(block, rows[i].offset, rows[i].len), -1);
		}
		memdisk_destroy(&disk);
	}
	free(file);
}

/* Random reads, writes and discards give what an array gives; the file changes in DISK_WRITE only. */
static void check_against_array(uint32_t mode)
{
	struct handoff_disk conf = config(mode);
	uint8_t *file = new_file(), *original = new_file(), *model = new_file(), *buf = malloc(ROUNDED);
	struct memdisk disk;
	struct block *block = &disk.block;
	uint32_t seed = 13;

	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
	for (int i = 0; i < 3000; i++) {
		seed = seed * 1664525 + 1013904223;
		size_t offset = (seed >> 8) % ROUNDED;
		size_t len = (seed >> 4) % 5 ? (seed >> 10) % 5000 : (seed >> 3) % ROUNDED;
		unsigned what = seed >> 29;

		len = min_size(len, ROUNDED - offset);
		(void)nospec_took(0, 0);
		if (what < 3) {
			assert_int_equal(block->read(block, offset, buf, len), 0);
			assert_memory_equal(buf, model + offset, len);
		} else if (what < 7) {
			memset(buf, (int)(seed >> 12), len);
			assert_int_equal(block->write(block, offset, buf, len), 0);
			memcpy(model + offset, buf, len);
		} else {
			assert_int_equal(block->discard(block, offset, len), 0);
			memset(model + offset, 0, len);
		}
		assert_int_equal(nospec_took(offset / MEMDISK_CHUNK, disk.chunk_count), mode == DISK_COW && len);
	}
	assert_int_equal(block->read(block, 0, buf, ROUNDED), 0);
	assert_memory_equal(buf, model, ROUNDED);
	assert_memory_equal(file, mode == DISK_WRITE ? model : original, ROUNDED);
	memdisk_destroy(&disk);
	assert_int_equal(page_fake_used, 0);
	free(file);
	free(original);
	free(model);
	free(buf);
}

static void test_cow(void **state)
{
	(void)state;
	check_against_array(DISK_COW);
}

static void test_in_place(void **state)
{
	(void)state;
	check_against_array(DISK_WRITE);
}

static void test_memory_follows_use(void **state)
{
	struct handoff_disk conf = config(DISK_COW);
	uint8_t *file = new_file(), byte = 1;
	struct memdisk disk;
	struct block *block = &disk.block;
	uint64_t before;

	(void)state;
	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
	before = page_fake_used;
	assert_int_equal(block->write(block, 5, &byte, 1), 0);
	assert_int_equal(block->write(block, 6, &byte, 1), 0);
	assert_int_equal(page_fake_used, before + MEMDISK_CHUNK);
	assert_int_equal(block->discard(block, 0, 2 * MEMDISK_CHUNK), 0);
	assert_int_equal(page_fake_used, before);
	assert_int_equal(block->discard(block, 2 * MEMDISK_CHUNK, ROUNDED - 2 * MEMDISK_CHUNK), 0);
	assert_int_equal(page_fake_used, before);
	assert_int_equal(block->read(block, ROUNDED - 1, &byte, 1), 0);
	assert_int_equal(byte, 0);
	memdisk_destroy(&disk);
	memdisk_destroy(&disk);
	free(file);
}

/* Out of host memory: the request fails, what was written stays. */
static void test_out_of_memory(void **state)
{
	struct handoff_disk conf = config(DISK_COW);
	uint8_t *file = new_file(), in[2] = { 0x5a, 0xa5 }, out = 0;
	struct memdisk disk;
	struct block *block = &disk.block;

	(void)state;
	page_fake_limit = 0;
	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), -1);
	memdisk_destroy(&disk);
	page_fake_limit = 4096 + MEMDISK_CHUNK;
	assert_int_equal(make_disk(&disk, file, LENGTH, &conf), 0);
	assert_int_equal(block->write(block, MEMDISK_CHUNK - 1, in, 2), -1);
	assert_int_equal(block->discard(block, MEMDISK_CHUNK, 512), -1);
	assert_int_equal(block->read(block, MEMDISK_CHUNK - 1, &out, 1), 0);
	assert_int_equal(out, 0x5a);
	page_fake_limit = UINT64_MAX;
	memdisk_destroy(&disk);
	assert_int_equal(page_fake_used, 0);
	free(file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity_and_serial), cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_prepare), cmocka_unit_test(test_release), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cow), cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_memory_follows_use), cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("memdisk", tests, NULL, NULL);
}
