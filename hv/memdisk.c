/* SPDX-License-Identifier: MIT */
/*
 * A file in memory as a disk (memdisk.h). A chunk of a copy-on-write disk is in one of three states, told by
 * its slot: NULL (still the file's), ZEROS (discarded), or the page-aligned private copy.
 */
#include "hv/memdisk.h"

#include <stdbool.h>

#include "hv/account.h"
#include "hv/addr.h"
#include "hv/lib/nospec.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/page.h"

#define CHUNK_PAGES	(MEMDISK_CHUNK / PAGE_SIZE)
#define LARGE_CHUNKS	(LARGE_SIZE / MEMDISK_CHUNK - 1)	/* of them fit into a large page beside its header (buddy.c) */
#define CHUNK_MEMORY	(LARGE_SIZE / LARGE_CHUNKS)	/* so one takes this much */
#define TABLE_PAGES_MAX	512U		/* page_alloc_contiguous gives no more: disks up to 16 GiB */
#define PREPARE_CHUNKS	8192U		/* zeroed in one call of memdisk_prepare: some 8,000 ticks */
#define RELEASE_CHUNKS	64U		/* looked at in one call of memdisk_release */
#define ZEROS		((uint8_t *)1)	/* no chunk is there */
#define DISCARD_COST	512U		/* of a chunk that has no copy: its slot is rewritten */
#define FREE_COST	4096U	/* of giving a copy back */

/* What a transfer does with its next stretch inside one chunk, whose number comes from the guest's sector. */
struct stretch { size_t chunk; uint64_t offset; size_t len; };

static struct stretch stretch_at(const struct memdisk *disk, uint64_t offset, uint64_t len)
{
	uint64_t within = offset % MEMDISK_CHUNK;

	return (struct stretch){
		.chunk = index_nospec((size_t)(offset / MEMDISK_CHUNK), disk->chunk_count), .offset = within,
		.len = (size_t)min_u64(len, MEMDISK_CHUNK - within),
	};
}

static bool is_cow(const struct memdisk *disk)
{
	return disk->mode == DISK_COW;
}

static bool is_private(const uint8_t *chunk)
{
	return chunk && chunk != ZEROS;
}

/* The bytes of the file behind a chunk: fewer than a chunk at its end. */
static size_t chunk_bytes(const struct memdisk *disk, size_t chunk)
{
	return (size_t)min_u64(MEMDISK_CHUNK, disk->length - (uint64_t)chunk * MEMDISK_CHUNK);
}

static void chunk_free(struct memdisk *disk, size_t chunk)
{
	if (is_private(disk->chunks[chunk])) {
		account_give(disk->account, CHUNK_MEMORY);
		page_free_contiguous(disk->chunks[chunk], CHUNK_PAGES);
		disk->block.extra += FREE_COST;
	}
	disk->chunks[chunk] = NULL;
}

/* A private copy to write to; will_fill: all of it is about to be overwritten. NULL: out of memory. */
static uint8_t *chunk_private(struct memdisk *disk, size_t chunk, bool will_fill)
{
	uint8_t *old = disk->chunks[chunk], *copy;

	if (is_private(old))
		return old;
	if (!account_take(disk->account, CHUNK_MEMORY))
		return NULL;
	copy = page_alloc_contiguous(CHUNK_PAGES);	/* zeroed by the allocator */
	account_settle(disk->account, CHUNK_MEMORY, copy);
	if (!copy)
		return NULL;
	disk->block.extra += MEMDISK_CHUNK;
	if (!old && !will_fill) {
		memcpy(copy, disk->base + (uint64_t)chunk * MEMDISK_CHUNK, chunk_bytes(disk, chunk));
		disk->block.extra += MEMDISK_CHUNK;
	}
	disk->chunks[chunk] = copy;
	return copy;
}

static int memdisk_read(struct block *block, uint64_t offset, void *to, size_t len)
{
	struct memdisk *disk = container_of(block, struct memdisk, block);
	uint8_t *out = to;

	if (!range_fits(offset, len, disk->length))
		return -1;
	if (!is_cow(disk)) {
		memcpy(out, disk->base + offset, len);
		return 0;
	}
	while (len) {
		struct stretch s = stretch_at(disk, offset, len);
		const uint8_t *chunk = disk->chunks[s.chunk];

		if (chunk == ZEROS)
			memset(out, 0, s.len);
		else if (chunk)
			memcpy(out, chunk + s.offset, s.len);
		else
			memcpy(out, disk->base + offset, s.len);
		out += s.len;
		offset += s.len;
		len -= s.len;
	}
	return 0;
}

static int memdisk_write(struct block *block, uint64_t offset, const void *from, size_t len)
{
	struct memdisk *disk = container_of(block, struct memdisk, block);
	const uint8_t *in = from;

	if (block->is_readonly || !range_fits(offset, len, disk->length))
		return -1;
	if (!is_cow(disk)) {
		memcpy(disk->base + offset, in, len);
		return 0;
	}
	while (len) {
		struct stretch s = stretch_at(disk, offset, len);
		uint8_t *chunk = chunk_private(disk, s.chunk, s.len == MEMDISK_CHUNK);

		if (!chunk)
			return -1;
		memcpy(chunk + s.offset, in, s.len);
		in += s.len;
		offset += s.len;
		len -= s.len;
	}
	return 0;
}

static int memdisk_flush(struct block *block)
{
	(void)block;
	return 0;	/* there is nothing behind the memory to write it to */
}

static int discard_cow(struct memdisk *disk, uint64_t offset, uint64_t len)
{
	while (len) {
		struct stretch s = stretch_at(disk, offset, len);
		uint8_t *chunk = disk->chunks[s.chunk];

		if (s.len == chunk_bytes(disk, s.chunk)) {
			chunk_free(disk, s.chunk);
			disk->chunks[s.chunk] = ZEROS;
			disk->block.extra += DISCARD_COST;
		} else if (chunk != ZEROS) {
			chunk = chunk_private(disk, s.chunk, false);
			if (!chunk)
				return -1;
			memset(chunk + s.offset, 0, s.len);
			disk->block.extra += s.len;
		}
		offset += s.len;
		len -= s.len;
	}
	return 0;
}

static int memdisk_discard(struct block *block, uint64_t offset, uint64_t len)
{
	struct memdisk *disk = container_of(block, struct memdisk, block);

	if (block->is_readonly || !range_fits(offset, len, disk->length))
		return -1;
	if (is_cow(disk))
		return discard_cow(disk, offset, len);
	memset(disk->base + offset, 0, len);
	block->extra += len;
	return 0;
}

static int create_table(struct memdisk *disk)
{
	disk->chunk_count = (size_t)(align_up(disk->length, MEMDISK_CHUNK) / MEMDISK_CHUNK);
	disk->table_pages = (size_t)(align_up(disk->chunk_count * sizeof(disk->chunks[0]), PAGE_SIZE) / PAGE_SIZE);
	if (disk->table_pages > TABLE_PAGES_MAX)
		return -1;
	disk->chunks = page_take_contiguous(disk->table_pages);
	return disk->chunks ? 0 : -1;
}

int memdisk_init(struct memdisk *disk, void *base, uint64_t length, const struct handoff_disk *config)
{
	memset(disk, 0, sizeof(*disk));
	if (!base || !length)
		return -1;
	disk->mode = config->mode;
	disk->base = base;
	disk->length = align_up(length, SECTOR_SIZE);
	disk->block = (struct block){
		.sectors = disk->length / SECTOR_SIZE, .is_readonly = config->mode == DISK_READONLY,
		.read = memdisk_read, .write = memdisk_write, .flush = memdisk_flush, .discard = memdisk_discard,
	};
	memcpy(disk->block.serial, config->serial, sizeof(disk->block.serial));
	return is_cow(disk) ? create_table(disk) : 0;
}

bool memdisk_prepare(struct memdisk *disk)
{
	const size_t count = min_size(disk->chunk_count - disk->ready, PREPARE_CHUNKS);

	if (!count)
		return true;
	memset(disk->chunks + disk->ready, 0, count * sizeof(disk->chunks[0]));
	disk->ready += count;
	return false;
}

uint64_t memdisk_copy_bytes(const struct memdisk *disk)
{
	return align_up(disk->chunk_count, LARGE_CHUNKS) / LARGE_CHUNKS * LARGE_SIZE;
}

bool memdisk_release(struct memdisk *disk)
{
	if (!disk->chunks)
		return true;
	disk->chunk_count = min_size(disk->chunk_count, disk->ready);
	for (unsigned i = 0; i < RELEASE_CHUNKS && disk->chunk_count > 0; i++)
		chunk_free(disk, --disk->chunk_count);
	if (disk->chunk_count > 0)
		return false;
	page_free_contiguous(disk->chunks, disk->table_pages);
	disk->chunks = NULL;
	return true;
}
