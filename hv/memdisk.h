/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A disk whose contents are a file that boot/ loaded into memory.
 *
 * DISK_WRITE changes the file's memory in place (every VM with that disk sees it), DISK_READONLY refuses
 * writes, DISK_COW keeps private copies of the 64 KiB chunks that were written. Discarded chunks cost no
 * memory. Offsets and lengths come checked against the capacity (hv/block.h); they are checked again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/block.h"

struct account;

#define MEMDISK_CHUNK	65536U

struct memdisk {
	struct block block;
	uint32_t     mode;		/* enum handoff_disk_mode */
	uint8_t     *base;		/* the file */
	uint64_t     length;		/* whole sectors; behind the file's end its last page is zero */
	uint8_t    **chunks;		/* DISK_COW: private copies; NULL = as in the file */
	size_t       chunk_count, table_pages;
	size_t       ready;		/* of the slots in chunks, those that memdisk_prepare has zeroed */
	struct account *account;	/* who is charged for the copies; NULL: nobody counts them */
};

/*
 * base and length: the file; mode and serial number from config. 0, or -1 when there is no file, or no memory
 * for the chunk table.
 */
__attribute__((warn_unused_result))
int memdisk_init(struct memdisk *disk, void *base, uint64_t length, const struct handoff_disk *config);

/* Zero a part of the chunk table, so that no call takes long; true when nothing is left. Before the disk is used. */
__attribute__((warn_unused_result)) bool memdisk_prepare(struct memdisk *disk);
uint64_t memdisk_copy_bytes(const struct memdisk *disk);	/* memory when every chunk has been written */

/* Free some of the copies, so that no call takes long; true when none is left. Accepts a zeroed or half-built disk. */
__attribute__((warn_unused_result)) bool memdisk_release(struct memdisk *disk);
