/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A split virtqueue, seen from the device, with a driver that may lie (virtio 1.2, 2.7 "Split Virtqueues").
 *
 * vq_pop copies each descriptor once into struct vq_req, follows at most `size` of them, checks every
 * index, every range through gpm, the readable-before-writable order, and indirect tables; lengths are
 * summed in 64 bits. A malformed ring sets is_broken, tells the device through on_broken, and nothing else
 * happens. Addresses and size freeze when the queue is made ready.
 *
 * Work is bounded, whatever the ring says. vq_begin looks at avail->idx once and grants a budget; vq_pop
 * gives only what was there at that look, at most `size` requests. Everything that takes time is charged to
 * the budget in bytes moved: requests, descriptors, pieces of data, looks at memory. Who serves the queue
 * stops when the budget is used up and goes on later, in its VM's own turn (virtio_serve in virtio.h).
 *
 * Guest memory that nobody has touched is zeroed first, 2 MiB of it, which takes as long as a whole round. So
 * rings and requests are looked at only when all of their memory is populated, and a round populates one
 * chunk at most, and then does nothing else: also finding out which one may take 40,000 ticks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/addr.h"
#include "hv/gpm.h"

#define VQ_SIZE_MAX	256U

/* What one round may cost, in bytes moved; the processor moves eight a tick. It may be exceeded by one piece. */
#define VQ_BUDGET		(256 * 1024)
#define VQ_PIECE_MAX		65536U	/* so devices move at most this between two looks at the budget */
#define VQ_REQUEST_COST		1024U	/* ring entries, the device's own checks */
#define VQ_DESCRIPTOR_COST	256U	/* load, checks, look-ups in the memory map */
#define VQ_CHUNK_COST		256U	/* a look at one chunk of a buffer that does not lie in one populated chunk */
#define VQ_PIECE_COST		512U	/* where a piece of data is, the calls to move it: also when it is one byte */

struct vq_seg { gpa_t addr; uint32_t len; };

struct vq_cursor { uint16_t seg; uint32_t off; };	/* segment, byte in it */

struct vq_req {
	uint16_t      head;
	uint16_t      seg_count;	/* readable ones first, */
	uint16_t      read_segs;	/* this many */
	uint32_t      written;		/* bytes vq_write put: what the used element reports */
	uint64_t      readable, writable;	/* bytes in all */
	struct vq_cursor read, write;		/* the next byte to read, to write */
	struct vq_seg segs[VQ_SIZE_MAX];
};

/* What is saved of a queue. The addresses of its areas are wiring: they follow from this. */
struct vq_state {
	uint32_t    size;		/* 0 until set; power of two, at most VQ_SIZE_MAX */
	bool        is_ready, is_broken;
	bool        has_event_idx, has_indirect;	/* negotiated */
	gpa_t       desc, avail, used;
	uint16_t    last_avail;		/* next available entry to take */
	uint16_t    avail_idx;		/* avail->idx when vq_begin looked */
	uint16_t    used_idx;		/* our copy of used->idx */
	uint16_t    signalled;		/* used_idx at the last interrupt */
	bool        signalled_valid;	/* false until the first interrupt: that one is always sent */
	bool        is_held;		/* the device has taken a request and not given it back */
};

struct vq {
	struct vq_state s;
	struct gpm *gpm;
	bool        is_mapped;		/* vq_prepare is done, and the queue not broken: it may be served */
	/* The three areas in our address space, when each lies in one 2 MiB chunk; NULL: through gpm, piecewise. */
	const void *desc_map;
	uint16_t   *avail_map, *used_map;
	int64_t     budget;		/* what is left of VQ_BUDGET in this round */
	gpa_t       missing;		/* a part of the next request that is not all populated, */
	uint64_t    missing_len;	/* and its length; 0: none is known */
	void      (*on_broken)(void *ctx);
	void       *ctx;
};

/* To the state before the driver touched it. Keeps gpm, on_broken and ctx, which their owner set. */
void vq_reset(struct vq *vq);
void vq_deactivate(struct vq *vq);	/* stop; size and addresses may be changed again */

/* Check size, alignment and ranges and switch the queue on. False: refused, stays off. */
__attribute__((warn_unused_result)) bool vq_activate(struct vq *vq);
/* Of a queue that was switched on, or loaded: populate the areas, a chunk a call. True when it may be served. */
__attribute__((warn_unused_result)) bool vq_prepare(struct vq *vq);

/* For state sections (hv/state.h): a queue that no driver could have made ready is switched off. */
void vq_after_load(void *vq);
/* A request that was loaded: is it one that vq_pop could have given, cursors included? Sums are computed anew. */
__attribute__((warn_unused_result)) bool vq_req_is_sane(const struct vq *vq, struct vq_req *req);

/*
 * Begin a round: look at avail->idx, grant a fresh budget. False: no request is waiting, nothing else is to
 * be called.
 */
bool   vq_begin(struct vq *vq);
/*
 * Take the next request, as a validated copy. False: none is left, the queue is broken, or the request's
 * memory is not all populated, which has used up the budget: call again in another round.
 */
bool   vq_pop(struct vq *vq, struct vq_req *req);
static inline void vq_charge(struct vq *vq, uint64_t bytes) { vq->budget -= (int64_t)bytes; }
size_t vq_read(struct vq *vq, struct vq_req *req, void *to, size_t len);	/* device-readable bytes, in order */
size_t vq_write(struct vq *vq, struct vq_req *req, const void *from, size_t len);	/* device-writable bytes */

/*
 * The next piece of the request as a pointer into guest memory, for devices that need no copy. *len is cut to
 * what is contiguous; the cursor moves past it, and a writable piece counts as written: the caller fills
 * all of it. NULL at the end. The guest may change the bytes at any time.
 */
const void *vq_next_readable(struct vq *vq, struct vq_req *req, size_t *len);
void       *vq_next_writable(struct vq *vq, struct vq_req *req, size_t *len);
/* Move a cursor without touching memory; skipped writable bytes do not count as written. */
void   vq_skip_readable(struct vq_req *req, uint64_t len);
void   vq_skip_writable(struct vq_req *req, uint64_t len);

void   vq_push(struct vq *vq, struct vq_req *req);		/* used element; length is what was written */

/* Ask the driver to kick (or not) for new buffers; returns true when some arrived meanwhile: pop again. */
bool   vq_enable_notify(struct vq *vq);
void   vq_disable_notify(struct vq *vq);
/* Must the driver be interrupted for what was pushed since the last time? (2.7.7, EVENT_IDX or flags) */
bool   vq_should_interrupt(struct vq *vq);
