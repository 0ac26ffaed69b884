/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a popped request: two cursors, one over what the device may read and one over what
 * it may write, each in the order of the descriptors. Contract in queue.h.
 *
 * vq_pop has checked that every segment is RAM, has had it populated and copied its address and length; only the bytes
 * themselves are still the guest's to change, and they are reached piece by piece, never across a
 * 2 MiB border.
 */
#include "hv/virtio/queue.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"

/*
 * From the cursor: the rest of the segment it stands in, at most *len, as far as it is contiguous.
 */
static void *next_piece(struct vq *vq, const struct vq_req *req, struct vq_cursor *at, uint16_t end, size_t *len)
{
	size_t part;
	void *map;

	while (at->seg < end && at->off == req->segs[at->seg].len)
		*at = (struct vq_cursor){ .seg = (uint16_t)(at->seg + 1) };
	if (at->seg == end)
		return NULL;
	part = min_size(*len, req->segs[at->seg].len - at->off);
	map = gpm_map(vq->gpm, gpa_add(req->segs[at->seg].addr, at->off), &part);
	if (!map)
		return NULL;	/* RAM that could not be populated: the host is out of memory */
	vq_charge(vq, part + VQ_PIECE_COST);
	at->off += (uint32_t)part;
	*len = part;
	return map;
}

const void *vq_next_readable(struct vq *vq, struct vq_req *req, size_t *len)
{
	return next_piece(vq, req, &req->read, req->read_segs, len);
}

void *vq_next_writable(struct vq *vq, struct vq_req *req, size_t *len)
{
	void *map = next_piece(vq, req, &req->write, req->seg_count, len);

	if (map)
		req->written += (uint32_t)*len;
	return map;
}

static void skip(const struct vq_req *req, struct vq_cursor *at, uint16_t end, uint64_t len)
{
	while (len && at->seg < end) {
		uint32_t part = (uint32_t)min_u64(len, req->segs[at->seg].len - at->off);

		at->off += part;
		len -= part;
		if (at->off == req->segs[at->seg].len)
			*at = (struct vq_cursor){ .seg = (uint16_t)(at->seg + 1) };
	}
}

void vq_skip_readable(struct vq_req *req, uint64_t len)
{
	skip(req, &req->read, req->read_segs, len);
}

void vq_skip_writable(struct vq_req *req, uint64_t len)
{
	skip(req, &req->write, req->seg_count, len);
}

static bool is_cursor_sane(const struct vq_req *req, const struct vq_cursor *at, uint16_t first, uint16_t end)
{
	if (at->seg < first || at->seg > end)
		return false;
	return at->off <= (at->seg == end ? 0 : req->segs[at->seg].len);
}

bool vq_req_is_sane(const struct vq *vq, struct vq_req *req)
{
	if (req->seg_count > VQ_SIZE_MAX || req->read_segs > req->seg_count)
		return false;
	req->readable = req->writable = 0;
	for (uint16_t i = 0; i < req->seg_count; i++) {
		const struct vq_seg *seg = &req->segs[i];

		if (seg->len && !gpm_is_ram(vq->gpm, seg->addr, seg->len))
			return false;
		*(i < req->read_segs ? &req->readable : &req->writable) += seg->len;
	}
	return req->readable + req->writable <= UINT32_MAX && req->written <= req->writable &&
	       is_cursor_sane(req, &req->read, 0, req->read_segs) &&
	       is_cursor_sane(req, &req->write, req->read_segs, req->seg_count);
}

size_t vq_read(struct vq *vq, struct vq_req *req, void *to, size_t len)
{
	uint8_t *out = to;
	size_t done = 0;

	while (done < len) {
		size_t part = len - done;
		const void *from = vq_next_readable(vq, req, &part);

		if (!from)
			break;
		memcpy(out + done, from, part);
		done += part;
	}
	compiler_barrier();	/* the caller looks at its copy: guest memory is not read again */
	return done;
}

size_t vq_write(struct vq *vq, struct vq_req *req, const void *from, size_t len)
{
	const uint8_t *in = from;
	size_t done = 0;

	while (done < len) {
		size_t part = len - done;
		void *to = vq_next_writable(vq, req, &part);

		if (!to)
			break;
		memcpy(to, in + done, part);
		done += part;
	}
	return done;
}
