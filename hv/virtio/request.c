/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a popped request: two cursors, one over what the device may read and one over what
 * it may write, each in the order of the descriptors. Contract in queue.h.
 *
 * vq_pop has checked that every segment is RAM and copied its address and length; only the bytes
 * themselves are still the guest's to change, and they are reached piece by piece, never across a
 * 2 MiB border.
 */
#include "hv/virtio/queue.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"

/*
 * From the cursor: the rest of the segment it stands in, at most *len, as far as it is contiguous.
 */
static void *next_piece(struct vq *vq, struct vq_req *req, uint16_t *seg, uint32_t *off,
			size_t *len)
{
	const uint16_t end = seg == &req->read_seg ? req->read_segs : req->seg_count;

	while (*seg < end && *off == req->segs[*seg].len) {
		(*seg)++;
		*off = 0;
	}
	if (*seg == end)
		return NULL;

	size_t part = min_size(*len, req->segs[*seg].len - *off);
	void *map = gpm_map(vq->gpm, gpa_add(req->segs[*seg].addr, *off), &part);

	if (!map)
		return NULL;	/* RAM that could not be populated: the host is out of memory */
	*off += (uint32_t)part;
	*len = part;
	return map;
}

const void *vq_next_readable(struct vq *vq, struct vq_req *req, size_t *len)
{
	return next_piece(vq, req, &req->read_seg, &req->read_off, len);
}

void *vq_next_writable(struct vq *vq, struct vq_req *req, size_t *len)
{
	void *map = next_piece(vq, req, &req->write_seg, &req->write_off, len);

	if (map)
		req->written += (uint32_t)*len;
	return map;
}

static void skip(const struct vq_req *req, uint16_t end, uint16_t *seg, uint32_t *off, uint64_t len)
{
	while (len && *seg < end) {
		uint32_t part = (uint32_t)min_u64(len, req->segs[*seg].len - *off);

		*off += part;
		len -= part;
		if (*off == req->segs[*seg].len) {
			(*seg)++;
			*off = 0;
		}
	}
}

void vq_skip_readable(struct vq_req *req, uint64_t len)
{
	skip(req, req->read_segs, &req->read_seg, &req->read_off, len);
}

void vq_skip_writable(struct vq_req *req, uint64_t len)
{
	skip(req, req->seg_count, &req->write_seg, &req->write_off, len);
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
	/* The compiler must not read guest memory again where the caller looks at its copy. */
	__asm__ volatile("" : : : "memory");
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
