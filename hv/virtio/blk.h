/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The virtio block device over struct block: one queue, requests answered inside the notification
 * or, when they ask for much, a piece at a time in the VM's own turn (OASIS virtio 1.2, 5.2 "Block
 * Device"). Data moves between guest memory and the disk without a copy of ours.
 */
#include <stdint.h>

#include "hv/block.h"
#include "hv/virtio/virtio.h"

#define VIRTIO_BLK_F_SEG_MAX		(1ULL << 2)
#define VIRTIO_BLK_F_RO			(1ULL << 5)
#define VIRTIO_BLK_F_BLK_SIZE		(1ULL << 6)
#define VIRTIO_BLK_F_FLUSH		(1ULL << 9)
#define VIRTIO_BLK_F_DISCARD		(1ULL << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES	(1ULL << 14)

/* 5.2.6 "Device Operation": request types and status byte */
#define VIRTIO_BLK_T_IN			0U
#define VIRTIO_BLK_T_OUT		1U
#define VIRTIO_BLK_T_FLUSH		4U
#define VIRTIO_BLK_T_GET_ID		8U
#define VIRTIO_BLK_T_DISCARD		11U
#define VIRTIO_BLK_T_WRITE_ZEROES	13U

#define VIRTIO_BLK_S_OK			0U
#define VIRTIO_BLK_S_IOERR		1U
#define VIRTIO_BLK_S_UNSUPP		2U

#define VIRTIO_BLK_ID_BYTES		20U
#define VIRTIO_BLK_RANGES_MAX		16U	/* of one DISCARD or WRITE_ZEROES */
#define VIRTIO_BLK_RANGE_UNMAP		1U	/* flag of a WRITE_ZEROES range */

struct virtio_blk_header { uint32_t type, reserved; uint64_t sector; };
/* DISCARD and WRITE_ZEROES carry some of these. */
struct virtio_blk_range { uint64_t sector; uint32_t num_sectors, flags; };

/* 5.2.4 "Device configuration layout"; little-endian, as we are. */
struct virtio_blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t  heads, sectors;
	uint32_t blk_size;
	uint8_t  physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t  writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t  write_zeroes_may_unmap, unused1[3];
};
#define VIRTIO_BLK_CONFIG_BYTES		60U	/* of which the compiler makes 64 */

/* The request being served, as far as it got. */
struct virtio_blk_op {
	uint32_t type;
	uint64_t sector;		/* as the header says */
	uint64_t offset, left;		/* bytes of the disk still to do: of all the data, or of one range */
	uint32_t range, range_count;	/* the next range to begin; DISCARD and WRITE_ZEROES only */
	struct virtio_blk_range ranges[VIRTIO_BLK_RANGES_MAX];
};

struct virtio_blk_state {
	struct virtio_blk_op op;
	struct vq_req        req;
};

struct virtio_blk {
	struct virtio_dev        dev;
	struct virtio_blk_state  s;
	struct virtio_blk_config config;
	struct block            *block;
};

/*
 * block outlives the device. DISCARD and WRITE_ZEROES are offered when it is writable and can
 * discard.
 */
void virtio_blk_init(struct virtio_blk *blk, struct block *block);
