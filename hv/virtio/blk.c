/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device (OASIS virtio 1.2, 5.2 "Block Device"). Contract in blk.h.
 *
 * A request is: a 16-byte header, data, one status byte at the very end of what the device may
 * write. Each type has a row with the feature it needs, a function that checks the request and one
 * that does a piece of it. Every range is checked against the capacity before the first byte moves,
 * in sectors, without overflow. Between two pieces the budget is looked at; when it is used up,
 * struct virtio_blk_op says where to go on.
 */
#include "hv/virtio/blk.h"

#include "hv/addr.h"
#include "hv/lib/nospec.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/state.h"

#define STATUS_BYTES	1U
#define STATUS_GO_ON	0xffU			/* ours, never the driver's: there is more to do */
#define DISCARD_MAX	(256U * 1024U)		/* bytes of a disk given up between two looks at the budget */
#define DISCARD_COST	1024U			/* of one such piece, beside what the disk says */
#define SEG_MAX		(VQ_SIZE_MAX - 2)	/* beside header and status */

/* Both return a status, or STATUS_GO_ON. */
typedef uint8_t blk_fn(struct virtio_blk *blk, struct vq *vq);

static struct virtio_blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

/*
 * Are `bytes` at this sector whole sectors of the disk? The second test keeps sector * SECTOR_SIZE
 * from wrapping.
 */
static bool is_on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR_SIZE == 0 &&
	       range_fits(sector, bytes / SECTOR_SIZE, blk->block->sectors);
}

/* ---- Reading and writing ----------------------------------------------- */

static uint8_t start_transfer(struct virtio_blk *blk, uint64_t bytes)
{
	struct virtio_blk_op *op = &blk->s.op;

	if (!is_on_disk(blk, op->sector, bytes))
		return VIRTIO_BLK_S_IOERR;
	op->offset = op->sector * SECTOR_SIZE;
	op->left = bytes;
	return op->left ? STATUS_GO_ON : VIRTIO_BLK_S_OK;
}

static uint8_t end_piece(struct virtio_blk_op *op, uint64_t len)
{
	op->offset += len;
	op->left -= len;
	return op->left ? STATUS_GO_ON : VIRTIO_BLK_S_OK;
}

static uint8_t start_in(struct virtio_blk *blk, struct vq *vq)
{
	(void)vq;
	return start_transfer(blk, blk->s.req.writable - STATUS_BYTES);
}

static uint8_t step_in(struct virtio_blk *blk, struct vq *vq)
{
	struct block *block = blk->block;
	size_t len = (size_t)min_u64(blk->s.op.left, VQ_PIECE_MAX);
	void *to = vq_next_writable(vq, &blk->s.req, &len);

	if (!to)
		return VIRTIO_BLK_S_IOERR;
	if (block->read(block, blk->s.op.offset, to, len)) {
		memset(to, 0, len);	/* reported as written: the driver must not see what was there before */
		return VIRTIO_BLK_S_IOERR;
	}
	return end_piece(&blk->s.op, len);
}

static uint8_t start_out(struct virtio_blk *blk, struct vq *vq)
{
	(void)vq;
	if (blk->block->is_readonly)
		return VIRTIO_BLK_S_IOERR;
	return start_transfer(blk, blk->s.req.readable - sizeof(struct virtio_blk_header));
}

static uint8_t step_out(struct virtio_blk *blk, struct vq *vq)
{
	struct block *block = blk->block;
	size_t len = (size_t)min_u64(blk->s.op.left, VQ_PIECE_MAX);
	const void *from = vq_next_readable(vq, &blk->s.req, &len);

	if (!from || block->write(block, blk->s.op.offset, from, len))
		return VIRTIO_BLK_S_IOERR;
	return end_piece(&blk->s.op, len);
}

/* ---- The small ones ---------------------------------------------------- */

static uint8_t start_flush(struct virtio_blk *blk, struct vq *vq)
{
	(void)vq;
	return blk->block->flush(blk->block) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static uint8_t start_get_id(struct virtio_blk *blk, struct vq *vq)
{
	if (blk->s.req.writable < VIRTIO_BLK_ID_BYTES + STATUS_BYTES)
		return VIRTIO_BLK_S_IOERR;
	if (vq_write(vq, &blk->s.req, blk->block->serial, VIRTIO_BLK_ID_BYTES) < VIRTIO_BLK_ID_BYTES)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* ---- DISCARD and WRITE_ZEROES: struct block promises zeros after a discard, so they are one -- */

/* 5.2.6.2: flags that the command does not have make it unsupported; DISCARD has none. */
static uint8_t check_range(const struct virtio_blk *blk, const struct virtio_blk_range *range)
{
	const uint32_t known = blk->s.op.type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_RANGE_UNMAP : 0;

	if (range->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (!is_on_disk(blk, range->sector, (uint64_t)range->num_sectors * SECTOR_SIZE))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t start_discard(struct virtio_blk *blk, struct vq *vq)
{
	struct virtio_blk_op *op = &blk->s.op;
	const uint64_t bytes = blk->s.req.readable - sizeof(struct virtio_blk_header);
	const uint64_t count = bytes / sizeof(struct virtio_blk_range);

	if (!count || count > VIRTIO_BLK_RANGES_MAX || bytes % sizeof(op->ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	if (vq_read(vq, &blk->s.req, op->ranges, (size_t)bytes) < bytes)
		return VIRTIO_BLK_S_IOERR;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t status = check_range(blk, &op->ranges[i]);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	op->range_count = (uint32_t)count;
	return STATUS_GO_ON;
}

static uint8_t step_discard(struct virtio_blk *blk, struct vq *vq)
{
	struct virtio_blk_op *op = &blk->s.op;
	const uint64_t len = min_u64(op->left, DISCARD_MAX);

	vq_charge(vq, DISCARD_COST);
	if (!op->left) {
		if (op->range == op->range_count)
			return VIRTIO_BLK_S_OK;
		op->offset = op->ranges[op->range].sector * SECTOR_SIZE;
		op->left = (uint64_t)op->ranges[op->range++].num_sectors * SECTOR_SIZE;
		return STATUS_GO_ON;
	}
	if (blk->block->discard(blk->block, op->offset, len))
		return VIRTIO_BLK_S_IOERR;
	(void)end_piece(op, len);
	return STATUS_GO_ON;
}

/* ---- Requests ---------------------------------------------------------- */

static const struct {
	blk_fn  *start, *step;	/* start NULL: no such type; step NULL: start does it all */
	uint64_t feature;	/* must have been negotiated */
} blk_types[] = {
	[VIRTIO_BLK_T_IN]           = { start_in, step_in, 0 },
	[VIRTIO_BLK_T_OUT]          = { start_out, step_out, 0 },
	[VIRTIO_BLK_T_FLUSH]        = { start_flush, NULL, VIRTIO_BLK_F_FLUSH },
	[VIRTIO_BLK_T_GET_ID]       = { start_get_id, NULL, 0 },
	[VIRTIO_BLK_T_DISCARD]      = { start_discard, step_discard, VIRTIO_BLK_F_DISCARD },
	[VIRTIO_BLK_T_WRITE_ZEROES] = { start_discard, step_discard, VIRTIO_BLK_F_WRITE_ZEROES },
};

static uint8_t start(struct virtio_blk *blk, struct vq *vq)
{
	struct virtio_blk_op *op = &blk->s.op;
	struct virtio_blk_header header;

	if (vq_read(vq, &blk->s.req, &header, sizeof(header)) < sizeof(header))
		return VIRTIO_BLK_S_IOERR;
	*op = (struct virtio_blk_op){ .sector = header.sector };
	if (header.type >= countof(blk_types))
		return VIRTIO_BLK_S_UNSUPP;
	op->type = (uint32_t)index_nospec(header.type, countof(blk_types));
	if (!blk_types[op->type].start)
		return VIRTIO_BLK_S_UNSUPP;
	if ((blk->dev.s.accepted & blk_types[op->type].feature) != blk_types[op->type].feature)
		return VIRTIO_BLK_S_UNSUPP;
	return blk_types[op->type].start(blk, vq);
}

/* One more piece, which costs what the disk had to do for it beside the bytes that the queue counts. */
static uint8_t step(struct virtio_blk *blk, struct vq *vq)
{
	const uint64_t extra = blk->block->extra;
	const uint8_t status = blk_types[blk->s.op.type].step(blk, vq);

	vq_charge(vq, blk->block->extra - extra);
	return status;
}

/* Write the status into the last byte of what the device may write. */
static void finish(struct virtio_blk *blk, struct vq *vq, uint8_t status)
{
	struct vq_req *req = &blk->s.req;
	const uint32_t written = req->written;

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

/* Without room for a status (the driver's fault) there is just no answer. */
static enum virtio_answer blk_serve(struct virtio_dev *dev, struct vq *vq, struct vq_req *req, bool is_new)
{
	struct virtio_blk *blk = blk_of(dev);
	uint8_t status = STATUS_GO_ON;

	if (req->writable < STATUS_BYTES)
		return VIRTIO_DONE;
	if (is_new)
		status = start(blk, vq);
	while (status == STATUS_GO_ON) {
		if (vq->budget <= 0)
			return VIRTIO_LATER;
		status = step(blk, vq);
	}
	finish(blk, vq, status);
	return VIRTIO_DONE;
}

static void blk_notify(struct virtio_dev *dev, unsigned queue)
{
	virtio_serve(dev, queue, &blk_of(dev)->s.req, blk_serve);
}

static uint64_t blk_config_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, (const uint8_t *)&blk_of(dev)->config + offset, size);
	return val;
}

/* Could a request have come to this point? Checks everything that step() relies on, after a state was loaded. */
static bool is_op_sane(const struct virtio_blk *blk)
{
	const struct virtio_blk_op *op = &blk->s.op;

	if (op->type >= countof(blk_types) || !blk_types[op->type].step)
		return false;
	if (op->type != VIRTIO_BLK_T_IN && blk->block->is_readonly)
		return false;
	if (!range_fits(op->offset, op->left, blk->block->sectors * SECTOR_SIZE))
		return false;
	if (op->range_count > VIRTIO_BLK_RANGES_MAX || op->range > op->range_count)
		return false;
	for (uint32_t i = 0; i < op->range_count; i++)
		if (check_range(blk, &op->ranges[i]) != VIRTIO_BLK_S_OK)
			return false;
	return true;
}

static void blk_after_load(void *state)
{
	struct virtio_blk *blk = container_of(state, struct virtio_blk, s);
	struct vq *vq = &blk->dev.queues[0];

	if (vq->s.is_held && !(vq_req_is_sane(vq, &blk->s.req) && is_op_sane(blk)))
		vq->s.is_held = false;
}

static const struct state_section blk_section = {
	"virtio-blk", 1, offsetof(struct virtio_blk, s), sizeof(struct virtio_blk_state), blk_after_load,
};

static const struct virtio_ops blk_ops = {
	.notify = blk_notify, .config_read = blk_config_read, .section = &blk_section,
};

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
		.max_discard_seg = VIRTIO_BLK_RANGES_MAX,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = range_max,
		.max_write_zeroes_seg = VIRTIO_BLK_RANGES_MAX,
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
