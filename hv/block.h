/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A disk as a device model sees it: sectors of 512 bytes at offsets. A transfer is complete when its function returns.
 * Whoever implements a disk (memdisk.c) fills in the functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/pc.h"

struct block {
	uint64_t sectors;	/* capacity */
	bool     is_readonly;
	char     serial[20];	/* virtio-blk's device ID: not terminated when full */
	uint64_t extra;		/* work beyond the transfers (copies, look-ups), as bytes: for budgets */
	/* Offsets and lengths are in bytes, checked against the capacity by the caller. 0 or -1 (I/O error). */
	int    (*read)(struct block *, uint64_t offset, void *to, size_t len);
	int    (*write)(struct block *, uint64_t offset, const void *from, size_t len);
	int    (*flush)(struct block *);
	int    (*discard)(struct block *, uint64_t offset, uint64_t len);	/* reads zeros afterwards */
};
