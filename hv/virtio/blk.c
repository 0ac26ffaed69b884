/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device (OASIS virtio 1.2, 5.2 "Block Device"). Contract in blk.h.
 *
 * A request is: a 16-byte header, data, one status byte at the very end of what the device may
 * write. Each type has a row with the feature it needs and a function that moves the data and
 * returns the status. Every range is checked against the capacity before the first byte moves, in
 * sectors, without overflow.
 */
#include "hv/virtio/blk.h"

#include "hv/addr.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define STATUS_BYTES	1U
#define PIECE_MAX	LARGE_SIZE		/* nothing contiguous is longer */
#define RANGES_MAX	16U			/* ranges of one DISCARD or WRITE_ZEROES */
#define SEG_MAX		(VQ_SIZE_MAX - 2)	/* beside header and status */

/* One request being served. */
struct blk_op {
	struct virtio_blk *blk;
	struct vq         *vq;
	uint32_t           type;
	uint64_t           sector;
};

typedef uint8_t blk_fn(struct blk_op *op);

static struct virtio_blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

/*
 * Are `bytes` at this sector whole sectors of the disk? The second test keeps sector * SECTOR_SIZE
 * from wrapping.
 */
static bool is_on_disk(const struct blk_op *op, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR_SIZE == 0 &&
	       range_fits(sector, bytes / SECTOR_SIZE, op->blk->block->sectors);
}

static uint8_t blk_in(struct blk_op *op)
{
	struct block *block = op->blk->block;
	uint64_t left = op->blk->req.writable - STATUS_BYTES;
	uint64_t offset = op->sector * SECTOR_SIZE;

	if (!is_on_disk(op, op->sector, left))
		return VIRTIO_BLK_S_IOERR;
	while (left) {
		size_t len = (size_t)min_u64(left, PIECE_MAX);
		void *to = vq_next_writable(op->vq, &op->blk->req, &len);

		if (!to)
			return VIRTIO_BLK_S_IOERR;
		if (block->read(block, offset, to, len)) {
			memset(to, 0, len);	/* it counts as written, so it has to be */
			return VIRTIO_BLK_S_IOERR;
		}
		offset += len;
		left -= len;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t blk_out(struct blk_op *op)
{
	struct block *block = op->blk->block;
	uint64_t left = op->blk->req.readable - sizeof(struct virtio_blk_header);
	uint64_t offset = op->sector * SECTOR_SIZE;

	if (block->is_readonly || !is_on_disk(op, op->sector, left))
		return VIRTIO_BLK_S_IOERR;
	while (left) {
		size_t len = (size_t)min_u64(left, PIECE_MAX);
		const void *from = vq_next_readable(op->vq, &op->blk->req, &len);

		if (!from || block->write(block, offset, from, len))
			return VIRTIO_BLK_S_IOERR;
		offset += len;
		left -= len;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t blk_flush(struct blk_op *op)
{
	struct block *block = op->blk->block;

	return block->flush(block) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static uint8_t blk_get_id(struct blk_op *op)
{
	struct vq_req *req = &op->blk->req;
	const char *serial = op->blk->block->serial;

	if (req->writable < VIRTIO_BLK_ID_BYTES + STATUS_BYTES)
		return VIRTIO_BLK_S_IOERR;
	if (vq_write(op->vq, req, serial, VIRTIO_BLK_ID_BYTES) < VIRTIO_BLK_ID_BYTES)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.2: flags that the command does not have make it unsupported; DISCARD has none. */
static uint8_t check_range(const struct blk_op *op, const struct virtio_blk_range *range)
{
	const uint32_t known = op->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_RANGE_UNMAP : 0;

	if (range->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (!is_on_disk(op, range->sector, (uint64_t)range->num_sectors * SECTOR_SIZE))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* DISCARD and WRITE_ZEROES: struct block promises zeros after a discard, so they are one. */
static uint8_t blk_discard(struct blk_op *op)
{
	struct block *block = op->blk->block;
	const uint64_t bytes = op->blk->req.readable - sizeof(struct virtio_blk_header);
	const size_t count = (size_t)(bytes / sizeof(struct virtio_blk_range));
	struct virtio_blk_range ranges[RANGES_MAX];

	if (!count || count > RANGES_MAX || bytes % sizeof(ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	if (vq_read(op->vq, &op->blk->req, ranges, (size_t)bytes) < bytes)
		return VIRTIO_BLK_S_IOERR;
	for (size_t i = 0; i < count; i++) {
		const uint8_t status = check_range(op, &ranges[i]);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	for (size_t i = 0; i < count; i++)
		if (block->discard(block, ranges[i].sector * SECTOR_SIZE,
				   (uint64_t)ranges[i].num_sectors * SECTOR_SIZE))
			return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static const struct {
	blk_fn  *serve;		/* NULL: no such type */
	uint64_t feature;	/* must have been negotiated */
} blk_types[] = {
	[VIRTIO_BLK_T_IN]           = { blk_in,      0 },
	[VIRTIO_BLK_T_OUT]          = { blk_out,     0 },
	[VIRTIO_BLK_T_FLUSH]        = { blk_flush,   VIRTIO_BLK_F_FLUSH },
	[VIRTIO_BLK_T_GET_ID]       = { blk_get_id,  0 },
	[VIRTIO_BLK_T_DISCARD]      = { blk_discard, VIRTIO_BLK_F_DISCARD },
	[VIRTIO_BLK_T_WRITE_ZEROES] = { blk_discard, VIRTIO_BLK_F_WRITE_ZEROES },
};

static uint8_t serve(struct virtio_blk *blk, struct vq *vq)
{
	struct virtio_blk_header header;
	struct blk_op op = { blk, vq, 0, 0 };

	if (vq_read(vq, &blk->req, &header, sizeof(header)) < sizeof(header))
		return VIRTIO_BLK_S_IOERR;
	op.type = header.type;
	op.sector = header.sector;
	if (op.type >= countof(blk_types) || !blk_types[op.type].serve)
		return VIRTIO_BLK_S_UNSUPP;
	if ((blk->dev.accepted & blk_types[op.type].feature) != blk_types[op.type].feature)
		return VIRTIO_BLK_S_UNSUPP;
	return blk_types[op.type].serve(&op);
}

/*
 * Serve one and put the status where it belongs. Without room for it (the driver's fault) there is
 * just no answer.
 */
static void serve_request(struct virtio_blk *blk, struct vq *vq)
{
	struct vq_req *req = &blk->req;
	uint8_t status;
	uint32_t written;

	if (req->writable < STATUS_BYTES)
		return;
	status = serve(blk, vq);
	written = req->written;
	if (written + STATUS_BYTES < req->writable) {
		/*
		 * A gap before the status: only what is contiguous from the start may be reported.
		 */
		vq_skip_writable(req, req->writable - written - STATUS_BYTES);
		vq_write(vq, req, &status, STATUS_BYTES);
		req->written = written;
	} else {
		vq_write(vq, req, &status, STATUS_BYTES);
	}
}

static void blk_notify(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_blk *blk = blk_of(dev);
	struct vq *vq = &dev->queues[queue];

	if (!vq_has_more(vq))
		return;
	do {
		vq_disable_notify(vq);
		while (vq_pop(vq, &blk->req)) {
			serve_request(blk, vq);
			vq_push(vq, &blk->req);
		}
	} while (vq_enable_notify(vq));
	if (vq_should_interrupt(vq))
		dev->interrupt(dev->ctx);
}

static uint64_t blk_config_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, (const uint8_t *)&blk_of(dev)->config + offset, size);
	return val;
}

static const struct virtio_ops blk_ops = { .notify = blk_notify, .config_read = blk_config_read };

static uint64_t offered_features(const struct block *block)
{
	uint64_t offered = VIRTIO_F_COMMON | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE;

	if (block->flush)
		offered |= VIRTIO_BLK_F_FLUSH;
	if (block->is_readonly)
		offered |= VIRTIO_BLK_F_RO;
	else if (block->discard)
		offered |= VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
	return offered;
}

void virtio_blk_init(struct virtio_blk *blk, struct block *block)
{
	const uint32_t range_max = (uint32_t)min_u64(block->sectors, UINT32_MAX);

	blk->block = block;
	blk->config = (struct virtio_blk_config){
		.capacity = block->sectors,
		.seg_max = SEG_MAX,
		.blk_size = SECTOR_SIZE,
		.num_queues = 1,
		.max_discard_sectors = range_max,
		.max_discard_seg = RANGES_MAX,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = range_max,
		.max_write_zeroes_seg = RANGES_MAX,
		.write_zeroes_may_unmap = 1,
	};
	blk->dev = (struct virtio_dev){
		.name = "virtio-blk",
		.device_id = VIRTIO_ID_BLOCK,
		.offered = offered_features(block),
		.config_size = VIRTIO_BLK_CONFIG_BYTES,
		.queue_count = 1,
		.ops = &blk_ops,
	};
}
