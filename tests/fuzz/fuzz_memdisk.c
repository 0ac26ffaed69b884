/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory against an array of bytes: the input is a list of reads, writes and discards at any offset
 * and length, while the host's memory sometimes runs out. What is read is what the array holds; a refused
 * request is one that reaches past the end, writes to a read-only disk, or found no memory; when all is over
 * every page has come back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hv/account.h"
#include "hv/addr.h"
#include "hv/lib/util.h"
#include "hv/memdisk.h"
#include "page_fake.h"
#include "release_all.h"

#define FILE_MAX	(3 * MEMDISK_CHUNK)
#define OPS_MAX		64U

static uint8_t file[FILE_MAX], model[FILE_MAX], bytes[FILE_MAX];

struct input { const uint8_t *data; size_t size; };

static uint32_t take(struct input *in, unsigned count)
{
	uint32_t val = 0;

	for (; count && in->size; count--, in->size--)
		val = val << 8 | *in->data++;
	return val;
}

/* Mostly near the borders of chunks, where mistakes are. */
static uint64_t take_place(struct input *in)
{
	const uint32_t kind = take(in, 1);

	if (kind == 0xff)
		return (uint64_t)take(in, 4) << 32 | take(in, 4);
	return (uint64_t)(kind % 4) * MEMDISK_CHUNK + (kind & 0x40 ? take(in, 2) : kind & 0x20 ? SECTOR_SIZE : 0);
}

static void operate(struct input *in, struct memdisk *disk)
{
	const uint32_t what = take(in, 1);
	const uint64_t offset = take_place(in), len = take_place(in);
	const bool is_inside = range_fits(offset, len, disk->length);
	struct block *block = &disk->block;
	int result;

	page_fake_limit = what & 0x80 ? page_fake_used + (what & 0x40 ? MEMDISK_CHUNK : 0) : UINT64_MAX;
	switch (what % 3) {
	case 0:
		result = block->read(block, offset, bytes, len);
		assert(result == (is_inside ? 0 : -1));
		assert(!is_inside || !memcmp(bytes, model + offset, len));
		return;
	case 1:
		memset(bytes, (int)(what >> 2), is_inside ? len : 0);
		result = block->write(block, offset, bytes, len);
		break;
	default:
		memset(bytes, 0, is_inside ? len : 0);
		result = block->discard(block, offset, len);
		break;
	}
	assert(!result || !is_inside || block->is_readonly || page_fake_limit != UINT64_MAX);
	assert(result || (is_inside && !block->is_readonly));
	if (!result)
		memcpy(model + offset, bytes, len);
	else if (is_inside && !block->is_readonly)	/* out of memory in the middle: a part was done */
		assert(!block->read(block, 0, model, disk->length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	const struct handoff_disk config = { .mode = take(&in, 1) % 3 };
	const uint64_t length = 1 + take(&in, 3) % FILE_MAX;
	struct account account = { 0 };
	struct memdisk disk;

	page_fake_limit = UINT64_MAX;
	for (size_t i = 0; i < FILE_MAX; i++)
		file[i] = model[i] = i < length ? (uint8_t)(i * 7 + i / 255) : 0;
	if (memdisk_init(&disk, file, length, &config))
		abort();
	while (!memdisk_prepare(&disk))
		continue;
	disk.account = &account;
	for (unsigned i = 0; i < OPS_MAX && in.size; i++)
		operate(&in, &disk);
	page_fake_limit = UINT64_MAX;
	assert(!disk.block.read(&disk.block, 0, bytes, disk.length) && !memcmp(bytes, model, disk.length));
	memdisk_destroy(&disk);
	assert(!page_fake_used && !account.used);
	account_close(&account);
	return 0;
}
