/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue, device side (OASIS virtio 1.2, 2.7 "Split Virtqueues"). Contract in
 * queue.h.
 *
 * Everything in the rings belongs to a driver that may change it at any time. Therefore: each
 * field is loaded once, with a volatile or fenced access, into our own memory; the copy is
 * checked; the copy is used. The walk over a chain ends after `size` buffers at the latest,
 * whatever the descriptors say.
 *
 * Order on the memory bus. x86 keeps loads in order with loads and stores with stores (SDM vol. 3,
 * "Memory Ordering"), so what the specification calls read and write barriers is a compiler
 * barrier here: avail->idx before the entry it announces, a used element before used->idx. The one
 * reordering the processor does make, a load before an older store, matters in two places and gets
 * a full fence: vq_enable_notify and vq_should_interrupt, where each side publishes one word and
 * then looks at the other's.
 */
#include "hv/virtio/queue.h"

#include "hv/lib/nospec.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/state.h"

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring_used_elem { uint32_t id, len; };

#define DESC_F_NEXT	1U
#define DESC_F_WRITE	2U
#define DESC_F_INDIRECT	4U

#define AVAIL_F_NO_INTERRUPT	1U
#define USED_F_NO_NOTIFY	1U

/*
 * Both rings are a header of two 16-bit words, entries, and one more word for EVENT_IDX at the
 * end.
 */
#define RING_FLAGS	0U
#define RING_IDX	1U
#define RING_ENTRIES	2U
#define WORD		sizeof(uint16_t)
#define USED_WORDS	((uint32_t)(sizeof(struct vring_used_elem) / WORD))

#define INDIRECT_BYTES_MAX	((UINT16_MAX + 1U) * sizeof(struct vring_desc))	/* of a table: `next` reaches no further */

#define DESC_ALIGN	16U
#define AVAIL_ALIGN	2U
#define USED_ALIGN	4U

/* Our older stores are visible to the driver before our younger loads are made. */
static inline void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline bool load_word(struct vq *vq, const uint16_t *map, gpa_t area, uint32_t word,
			     uint16_t *to)
{
	if (__builtin_expect(!map, 0))
		return gpm_read16(vq->gpm, gpa_add(area, word * WORD), to);
	*to = *(const volatile uint16_t *)&map[word];
	return true;
}

static inline bool store_word(struct vq *vq, uint16_t *map, gpa_t area, uint32_t word, uint16_t val)
{
	if (__builtin_expect(!map, 0))
		return gpm_write16(vq->gpm, gpa_add(area, word * WORD), val);
	*(volatile uint16_t *)&map[word] = val;
	return true;
}

static inline bool load_avail(struct vq *vq, uint32_t word, uint16_t *to)
{
	return load_word(vq, vq->avail_map, vq->s.avail, word, to);
}

static inline bool store_used(struct vq *vq, uint32_t word, uint16_t val)
{
	return store_word(vq, vq->used_map, vq->s.used, word, val);
}

static bool mark_broken(struct vq *vq)
{
	vq->s.is_broken = true;
	vq->is_mapped = false;
	if (vq->on_broken)
		vq->on_broken(vq->ctx);
	return false;
}

/* ---- Switching on and off ---------------------------------------------- */

void vq_deactivate(struct vq *vq)
{
	vq->s.is_ready = vq->s.is_broken = false;
	vq->is_mapped = false;
	vq->desc_map = NULL;
	vq->avail_map = vq->used_map = NULL;
	vq->s.last_avail = vq->s.avail_idx = vq->s.used_idx = vq->s.signalled = 0;
	vq->s.is_held = false;
	vq->budget = 0;
	vq->missing_len = 0;
	vq->s.signalled_valid = false;
}

void vq_reset(struct vq *vq)
{
	vq_deactivate(vq);
	vq->s.has_event_idx = vq->s.has_indirect = false;
	vq->s.size = 0;
	vq->s.desc = vq->s.avail = vq->s.used = gpa(0);
}

/* A pointer to the whole area, NULL when it is in pieces. RAM never moves while the VM lives. */
static void *map_area(struct vq *vq, gpa_t area, size_t bytes)
{
	size_t len = bytes;
	void *map = gpm_map(vq->gpm, area, &len);

	return len == bytes ? map : NULL;
}

static size_t desc_bytes(const struct vq *vq) { return vq->s.size * sizeof(struct vring_desc); }
static size_t avail_bytes(const struct vq *vq) { return (RING_ENTRIES + vq->s.size + 1) * WORD; }
static size_t used_bytes(const struct vq *vq) { return (RING_ENTRIES + vq->s.size * USED_WORDS + 1) * WORD; }

static bool is_possible(const struct vq *vq)
{
	const struct vq_state *s = &vq->s;

	if (!s->size || s->size > VQ_SIZE_MAX || (s->size & (s->size - 1)))
		return false;
	if (s->desc.raw % DESC_ALIGN || s->avail.raw % AVAIL_ALIGN || s->used.raw % USED_ALIGN)
		return false;
	return gpm_is_ram(vq->gpm, s->desc, desc_bytes(vq)) && gpm_is_ram(vq->gpm, s->avail, avail_bytes(vq)) &&
	       gpm_is_ram(vq->gpm, s->used, used_bytes(vq));
}

/* Each call populates one chunk at most: the three areas may lie in up to six chunks that were never touched. */
bool vq_prepare(struct vq *vq)
{
	if (vq->is_mapped)
		return true;
	if (!gpm_touch(vq->gpm, vq->s.desc, desc_bytes(vq)) || !gpm_touch(vq->gpm, vq->s.avail, avail_bytes(vq)) ||
	    !gpm_touch(vq->gpm, vq->s.used, used_bytes(vq)))
		return false;
	vq->desc_map = map_area(vq, vq->s.desc, desc_bytes(vq));
	vq->avail_map = map_area(vq, vq->s.avail, avail_bytes(vq));
	vq->used_map = map_area(vq, vq->s.used, used_bytes(vq));
	vq->is_mapped = !vq->s.is_broken;
	return true;
}

bool vq_activate(struct vq *vq)
{
	if (vq->s.is_ready || !is_possible(vq))
		return false;
	vq_deactivate(vq);
	vq->s.is_ready = true;
	return true;
}

void vq_after_load(void *device)
{
	struct vq *vq = device;

	state_fix_bool(&vq->s.is_ready);
	state_fix_bool(&vq->s.is_broken);
	state_fix_bool(&vq->s.has_event_idx);
	state_fix_bool(&vq->s.has_indirect);
	state_fix_bool(&vq->s.signalled_valid);
	state_fix_bool(&vq->s.is_held);
	vq->is_mapped = false;
	if (!vq->s.is_ready || !is_possible(vq))
		vq_deactivate(vq);
}

/* ---- Taking requests --------------------------------------------------- */

/* Where descriptors come from: the queue's own table or an indirect one. */
struct desc_table {
	const uint8_t *map;	/* NULL: through gpm */
	gpa_t          addr;
	uint32_t       count;
};

static inline bool load_desc(struct vq *vq, const struct desc_table *table, uint32_t index,
			     struct vring_desc *to)
{
	const size_t offset = index * sizeof(*to);

	if (__builtin_expect(!table->map, 0))
		return gpm_read(vq->gpm, gpa_add(table->addr, offset), to, sizeof(*to));
	/* A copy, because indirect tables may be unaligned. */
	memcpy(to, table->map + offset, sizeof(*to));
	compiler_barrier();
	return true;
}

/* What walk_chain may do, and found. */
struct chain_walk {
	bool is_hopeless;	/* the host has no memory for what is missing: go on, and accesses fail */
	bool is_here;		/* all memory that was looked at is populated */
};

/* Is this memory populated? If not, the next round begins with it, because zeroing a chunk takes as long as a round. */
static bool is_there(struct vq *vq, const struct chain_walk *walk, gpa_t addr, uint64_t len)
{
	if (walk->is_hopeless || gpm_is_populated(vq->gpm, addr, len))
		return true;
	vq->missing = addr;
	vq->missing_len = len;
	return false;
}

/* 2.7.5.3.1: negotiated, the last of its chain, whole descriptors, not within another one. */
static bool enter_indirect(struct vq *vq, const struct vring_desc *desc, struct desc_table *table, struct chain_walk *walk)
{
	if (!vq->s.has_indirect || (desc->flags & DESC_F_NEXT))
		return false;
	if (!desc->len || desc->len % sizeof(*desc))
		return false;
	if (!gpm_is_ram(vq->gpm, gpa(desc->addr), desc->len))
		return false;
	table->addr = gpa(desc->addr);
	table->count = desc->len / (uint32_t)sizeof(*desc);
	walk->is_here = is_there(vq, walk, table->addr, min_u64(desc->len, INDIRECT_BYTES_MAX));
	if (!walk->is_here)
		return true;
	table->map = map_area(vq, table->addr, desc->len);
	return true;
}

static inline bool add_segment(struct vq *vq, struct vq_req *req, const struct vring_desc *desc, bool *are_near)
{
	const bool is_write = desc->flags & DESC_F_WRITE;

	/* Buffers of length 0 are pointless but not forbidden; nobody touches their address. */
	if (desc->len && !gpm_is_near(vq->gpm, gpa(desc->addr), desc->len)) {
		if (!gpm_is_ram(vq->gpm, gpa(desc->addr), desc->len))
			return false;
		*are_near = false;
		vq_charge(vq, (desc->len / LARGE_SIZE + 2) * VQ_CHUNK_COST);	/* in so many chunks at most */
	}
	if (is_write) {
		req->writable += desc->len;
	} else {
		if (req->seg_count != req->read_segs)
			return false;		/* readable after writable, 2.7.4.2 */
		req->read_segs++;
		req->readable += desc->len;
	}
	vq_charge(vq, VQ_DESCRIPTOR_COST);
	req->segs[req->seg_count++] = (struct vq_seg){ gpa(desc->addr), desc->len };
	return true;
}

/*
 * Is the memory of all segments populated? Devices may then go from segment to segment without looking at the
 * budget, however many chunks these are in.
 */
static bool are_segments_there(struct vq *vq, const struct chain_walk *walk, const struct vq_req *req)
{
	for (uint16_t i = 0; i < req->seg_count; i++)
		if (!is_there(vq, walk, req->segs[i].addr, req->segs[i].len))
			return false;
	return true;
}

/*
 * Copy the chain that starts at `index` into req. walk->is_here: false when some of its memory was not
 * populated; then the chain has to be walked once more, in another round. At most `size` buffers, at most
 * one change to an indirect table, so the loop ends. 2.7.5: all lengths together stay below 2^32;
 * `written` has 32 bits. That is checked before memory is looked at, so these are some 2,500 chunks at most.
 */
static bool walk_chain(struct vq *vq, struct vq_req *req, uint32_t index, struct chain_walk *walk)
{
	struct desc_table table = { vq->desc_map, vq->s.desc, vq->s.size };
	bool is_indirect = false, are_near = true;
	struct vring_desc desc;

	while (req->seg_count < vq->s.size) {
		if (index >= table.count || !load_desc(vq, &table, (uint32_t)index_nospec(index, table.count), &desc))
			return false;
		if (__builtin_expect(desc.flags & DESC_F_INDIRECT, 0)) {
			if (is_indirect || !enter_indirect(vq, &desc, &table, walk))
				return false;
			if (!walk->is_here)
				return true;
			is_indirect = true;
			index = 0;
			continue;
		}
		if (!add_segment(vq, req, &desc, &are_near))
			return false;
		if (!(desc.flags & DESC_F_NEXT)) {
			if (req->readable + req->writable > UINT32_MAX)
				return false;
			walk->is_here = are_near || are_segments_there(vq, walk, req);
			return true;
		}
		index = desc.next;
	}
	return false;
}

bool vq_begin(struct vq *vq)
{
	uint16_t avail_idx;

	if (!vq->is_mapped)
		return false;
	if (!load_avail(vq, RING_IDX, &avail_idx))
		return mark_broken(vq);
	if (avail_idx == vq->s.last_avail && !vq->s.is_held)
		return false;
	/* The driver claims more entries than the ring has: without this check we would serve up to 65,535 of them. */
	if ((uint16_t)(avail_idx - vq->s.last_avail) > vq->s.size)
		return mark_broken(vq);
	vq->s.avail_idx = avail_idx;
	vq->budget = VQ_BUDGET;
	return true;
}

/*
 * The chunk that the last look at a chain did not find. False: it is being made now, and that is enough for a
 * round. What is still missing behind a settled touch is what the host has no memory for; another queue may
 * also have made it in between, and then the look goes on as ever.
 */
static bool populate_missing(struct vq *vq, struct chain_walk *walk)
{
	const bool is_settled = gpm_touch(vq->gpm, vq->missing, vq->missing_len);

	walk->is_hopeless = is_settled && !gpm_is_populated(vq->gpm, vq->missing, vq->missing_len);
	vq->missing_len = 0;
	if (!is_settled)
		vq->budget = 0;
	return is_settled;
}

bool vq_pop(struct vq *vq, struct vq_req *req)
{
	struct chain_walk walk = { .is_here = true };
	uint16_t head;

	if (!vq->s.is_ready || vq->s.is_broken || vq->s.avail_idx == vq->s.last_avail)
		return false;
	if (__builtin_expect(vq->missing_len != 0, 0) && !populate_missing(vq, &walk))
		return false;
	/* The driver stores the entry, then avail->idx: we load in the other order. */
	compiler_barrier();
	if (!load_avail(vq, RING_ENTRIES + (vq->s.last_avail & (vq->s.size - 1)), &head))
		return mark_broken(vq);

	/*
	 * Only the header: clearing or copying the 256 segments would cost more than everything
	 * else here.
	 */
	req->head = head;
	req->seg_count = req->read_segs = 0;
	req->read = req->write = (struct vq_cursor){ 0 };
	req->written = 0;
	req->readable = req->writable = 0;
	if (!walk_chain(vq, req, head, &walk))
		return mark_broken(vq);
	vq_charge(vq, VQ_REQUEST_COST);
	if (!walk.is_here) {
		vq->budget = 0;
		return false;
	}
	req->write.seg = req->read_segs;
	vq->s.last_avail++;
	return true;
}

/* ---- Giving them back -------------------------------------------------- */

void vq_push(struct vq *vq, struct vq_req *req)
{
	const uint32_t slot = vq->s.used_idx & (vq->s.size - 1);
	const struct vring_used_elem elem = { req->head, req->written };

	if (!vq->s.is_ready || vq->s.is_broken)
		return;
	if (__builtin_expect(vq->used_map != NULL, 1)) {
		/* Aligned to 4 only, hence two stores. */
		volatile struct vring_used_elem *entry =
			(void *)&vq->used_map[RING_ENTRIES + slot * USED_WORDS];

		entry->id = elem.id;
		entry->len = elem.len;
	} else if (!gpm_write(vq->gpm, gpa_add(vq->s.used, (RING_ENTRIES + slot * USED_WORDS) * WORD),
			      &elem, sizeof(elem))) {
		(void)mark_broken(vq);
		return;
	}
	/* The driver loads used->idx, then the element: data and element are stored first. */
	compiler_barrier();
	vq->s.used_idx++;
	if (!store_used(vq, RING_IDX, vq->s.used_idx))
		(void)mark_broken(vq);
}

bool vq_enable_notify(struct vq *vq)
{
	uint16_t avail_idx;
	bool is_stored;

	if (!vq->s.is_ready || vq->s.is_broken)
		return false;
	if (vq->s.has_event_idx)
		is_stored = store_used(vq, RING_ENTRIES + vq->s.size * USED_WORDS, vq->s.last_avail);
	else
		is_stored = store_used(vq, RING_FLAGS, 0);
	/*
	 * The driver stores avail->idx, fences, and loads what we stored above; without this fence
	 * both could miss the other's store: it would not kick, and we would sleep on a full ring.
	 */
	full_fence();
	if (!is_stored || !load_avail(vq, RING_IDX, &avail_idx))
		return mark_broken(vq);
	return avail_idx != vq->s.last_avail;
}

void vq_disable_notify(struct vq *vq)
{
	/*
	 * With EVENT_IDX nothing to do: avail_event stays behind, and the driver kicks only when
	 * it passes it.
	 */
	if (!vq->s.is_ready || vq->s.is_broken || vq->s.has_event_idx)
		return;
	if (!store_used(vq, RING_FLAGS, USED_F_NO_NOTIFY))
		(void)mark_broken(vq);
}

bool vq_should_interrupt(struct vq *vq)
{
	const uint16_t old = vq->s.signalled, new = vq->s.used_idx;
	const bool is_first = !vq->s.signalled_valid;
	uint16_t word;

	if (!vq->s.is_ready || vq->s.is_broken || new == old)
		return false;
	vq->s.signalled = new;
	vq->s.signalled_valid = true;
	/*
	 * The driver stores used_event or flags, fences, and looks at used->idx, which vq_push
	 * stored: as above.
	 */
	full_fence();
	if (!load_avail(vq, vq->s.has_event_idx ? RING_ENTRIES + vq->s.size : RING_FLAGS, &word))
		return mark_broken(vq);
	if (!vq->s.has_event_idx)
		return !(word & AVAIL_F_NO_INTERRUPT);
	/*
	 * 2.7.10 "Used Buffer Notification Suppression": did used->idx pass used_event, modulo
	 * 2^16?
	 */
	return is_first || (uint16_t)(new - word - 1) < (uint16_t)(new - old);
}
