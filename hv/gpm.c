/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory (contract in gpm.h).
 *
 * A chunk entry is the host address of 2 MiB of RAM, or 0 when nothing is there yet. Bit 0 says that all of the chunk's
 * guest addresses are RAM: then one look-up answers "is it RAM?" and "where?" at once. The chunks at the edges of a slot
 * lack the bit and take the slow way, which asks the slots. The entries of a GiB, its directory, are made when the first
 * of its chunks is populated: to make all those of a large VM at once would take longer than an exit may.
 */
#include "hv/gpm.h"

#include "hv/account.h"
#include "hv/host.h"
#include "hv/lib/nospec.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/page.h"
#include "hv/processor.h"

#define CHUNK_WHOLE		1ULL
#define CHUNKS_PER_GIB		512U
#define GIB_SHIFT		30

void gpm_only_look(bool is_on)
{
	host_processor()->only_looks = is_on;
}

static bool only_looks(void) { return host_processor()->only_looks; }

static uint64_t chunk_offset(gpa_t addr) { return addr.raw & (LARGE_SIZE - 1); }

static uint64_t *chunk_slot(const struct gpm *gpm, gpa_t addr)
{
	uint64_t  gib = addr.raw >> GIB_SHIFT;
	uint64_t *dir = gpm->dir[index_nospec(gib, GPM_GIB_MAX)];

	if (gib >= GPM_GIB_MAX || !dir)
		return NULL;
	return &dir[(addr.raw >> LARGE_SHIFT) % CHUNKS_PER_GIB];
}

bool gpm_is_ram(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	for (size_t i = 0; i < gpm->slot_count; i++) {
		const struct gpm_slot *slot = &gpm->slots[i];

		if (addr.raw >= slot->start && range_fits(addr.raw - slot->start, len, slot->length))
			return true;
	}
	return false;
}

bool gpm_is_near(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	const uint64_t *entry = chunk_slot(gpm, addr);

	return entry && (*entry & CHUNK_WHOLE) && *entry != CHUNK_WHOLE && len <= LARGE_SIZE - chunk_offset(addr);
}

/* Is there any RAM between the two? */
static bool has_ram(const struct gpm *gpm, uint64_t begin, uint64_t end)
{
	for (size_t i = 0; i < gpm->slot_count; i++)
		if (gpm->slots[i].start < end && begin < gpm->slots[i].start + gpm->slots[i].length)
			return true;
	return false;
}

static bool slot_is_sane(const struct gpm *gpm, uint64_t start, uint64_t length)
{
	if (!length || start % PAGE_SIZE || length % PAGE_SIZE)
		return false;
	if (!range_fits(start, length, (uint64_t)GPM_GIB_MAX << GIB_SHIFT))
		return false;
	return gpm->slot_count < GPM_SLOTS_MAX && !has_ram(gpm, start, start + length);
}

/* Mark the chunks of one GiB that lie wholly in the slot. */
static void mark_whole(uint64_t *dir, uint64_t gib, const struct gpm_slot *slot)
{
	const uint64_t begin = gib << GIB_SHIFT, end = begin + (1ULL << GIB_SHIFT);
	const uint64_t first = align_up(max_u64(slot->start, begin), LARGE_SIZE);
	const uint64_t last = align_down(min_u64(slot->start + slot->length, end), LARGE_SIZE);

	for (uint64_t chunk = first; chunk < last; chunk += LARGE_SIZE)
		dir[(chunk >> LARGE_SHIFT) % CHUNKS_PER_GIB] |= CHUNK_WHOLE;
}

/* For an address that is RAM: the directory of its GiB, which is not there yet. */
static uint64_t *make_dir(struct gpm *gpm, gpa_t addr)
{
	const uint64_t gib = index_nospec(addr.raw >> GIB_SHIFT, GPM_GIB_MAX);
	uint64_t *dir;

	if (!account_take(gpm->account, PAGE_SIZE))
		return NULL;
	dir = page_alloc();
	account_settle(gpm->account, PAGE_SIZE, dir);
	if (!dir)
		return NULL;
	for (size_t i = 0; i < gpm->slot_count; i++)
		mark_whole(dir, gib, &gpm->slots[i]);
	__atomic_store_n(&gpm->dir[gib], dir, __ATOMIC_RELEASE);	/* behind its marks: others read it without a lock */
	gpm->dirs++;
	return dir;
}

int gpm_add_slot(struct gpm *gpm, gpa_t start, uint64_t length)
{
	const struct gpm_slot slot = { start.raw, length };

	if (!slot_is_sane(gpm, start.raw, length))
		return -1;
	for (uint64_t gib = 0; gib < GPM_GIB_MAX; gib++)
		if (gpm->dir[gib])
			mark_whole(gpm->dir[gib], gib, &slot);
	gpm->slots[gpm->slot_count++] = slot;
	gpm->size += length;
	return 0;
}

uint64_t gpm_chunk_bytes(const struct gpm *gpm)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < gpm->slot_count; i++)
		bytes += align_up(gpm->slots[i].start + gpm->slots[i].length, LARGE_SIZE) -
			 align_down(gpm->slots[i].start, LARGE_SIZE);
	return bytes;
}

bool gpm_release(struct gpm *gpm)
{
	for (size_t gib = 0; gib < GPM_GIB_MAX; gib++) {
		uint64_t *dir = gpm->dir[gib];

		if (!dir)
			continue;
		for (size_t i = 0; i < CHUNKS_PER_GIB; i++) {
			if (!(dir[i] & ~CHUNK_WHOLE))
				continue;
			account_give(gpm->account, LARGE_SIZE);
			page_free_large(hpa(dir[i] & ~CHUNK_WHOLE));
		}
		account_give(gpm->account, PAGE_SIZE);
		page_free(dir);
		gpm->dir[gib] = NULL;
		return false;
	}
	memset(gpm, 0, sizeof(*gpm));
	return true;
}

__attribute__((noinline)) static void count_node(struct gpm *gpm, hpa_t page)
{
	gpm->chunks[node_of(page)]++;
}

/* First touch: called only for addresses that are RAM. */
static uint64_t chunk_fill(struct gpm *gpm, uint64_t *entry)
{
	hpa_t page;

	if (!account_take(gpm->account, LARGE_SIZE))
		return 0;
	page = page_alloc_large(&gpm->wish);
	account_settle(gpm->account, LARGE_SIZE, page.raw);
	if (!page.raw)
		return 0;
	__atomic_store_n(entry, *entry | page.raw, __ATOMIC_RELEASE);	/* behind the zeroes: others read it without a lock */
	gpm->populated += LARGE_SIZE;
	if (gpm->wish.nodes)
		count_node(gpm, page);
	return *entry;
}

hpa_t gpm_populate(struct gpm *gpm, gpa_t addr, bool *is_whole)
{
	uint64_t *entry = chunk_slot(gpm, addr);
	uint64_t  chunk;

	if (!entry && gpm_is_ram(gpm, addr, 1) && make_dir(gpm, addr))
		entry = chunk_slot(gpm, addr);
	if (!entry)
		return hpa(0);
	chunk = *entry;
	if (!(chunk & CHUNK_WHOLE) && !gpm_is_ram(gpm, addr, 1))
		return hpa(0);
	if (!(chunk & ~CHUNK_WHOLE))
		chunk = chunk_fill(gpm, entry);
	*is_whole = chunk & CHUNK_WHOLE;
	return hpa(chunk & ~CHUNK_WHOLE);
}

/* Another processor may populate the same chunk: whoever comes second finds it behind the lock. */
static hpa_t populate(struct gpm *gpm, gpa_t addr)
{
	bool  is_whole;
	hpa_t chunk;

	if (gpm->lock)
		lock_take(gpm->lock);
	chunk = gpm_populate(gpm, addr, &is_whole);
	if (gpm->lock)
		lock_drop(gpm->lock);
	return chunk;
}

/*
 * The first address from `at` on, below `end`, whose chunk is not populated; `end`: there is none. A request may span
 * thousands of chunks (virtio/queue.c), so this takes few instructions for each.
 */
static uint64_t first_missing(const struct gpm *gpm, uint64_t at, uint64_t end)
{
	while (at < end) {
		const uint64_t *entry = chunk_slot(gpm, gpa(at));
		const uint64_t dir_end = min_u64(end, ((at >> GIB_SHIFT) + 1) << GIB_SHIFT);

		if (!entry)	/* nothing of this GiB is populated */
			return has_ram(gpm, at, end) ? at : end;
		for (; at < dir_end; at = align_down(at, LARGE_SIZE) + LARGE_SIZE)
			if (!(*entry++ & ~CHUNK_WHOLE))
				return at;
	}
	return end;
}

bool gpm_is_populated(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	return first_missing(gpm, addr.raw, addr.raw + len) == addr.raw + len;
}

bool gpm_touch(struct gpm *gpm, gpa_t addr, uint64_t len)
{
	const uint64_t end = addr.raw + len;
	uint64_t at = first_missing(gpm, addr.raw, end);

	while (at < end && !gpm_is_ram(gpm, gpa(at), 1))
		at = first_missing(gpm, align_down(at, LARGE_SIZE) + LARGE_SIZE, end);
	if (at == end)
		return true;
	return !only_looks() && !populate(gpm, gpa(at)).raw;
}

/* Where `len` bytes at addr are, all in one chunk; NULL when they are not all RAM. */
static void *ram_ptr(struct gpm *gpm, gpa_t addr, size_t len)
{
	uint64_t *entry = chunk_slot(gpm, addr);
	hpa_t     chunk;

	if (entry && (*entry & CHUNK_WHOLE) && *entry != CHUNK_WHOLE)
		return hpa_ptr(hpa((*entry & ~CHUNK_WHOLE) + chunk_offset(addr)));
	if (!gpm_is_ram(gpm, addr, len))
		return NULL;
	if (only_looks())
		return entry && (*entry & ~CHUNK_WHOLE) ? hpa_ptr(hpa((*entry & ~CHUNK_WHOLE) + chunk_offset(addr))) : NULL;
	chunk = populate(gpm, addr);
	return chunk.raw ? hpa_ptr(hpa_add(chunk, chunk_offset(addr))) : NULL;
}

void *gpm_map(struct gpm *gpm, gpa_t addr, size_t *len)
{
	*len = (size_t)min_u64(*len, LARGE_SIZE - chunk_offset(addr));
	if (!*len)
		return NULL;
	/* Cut at the end of the slot: what lies behind it in the same chunk may be no RAM. */
	for (size_t i = 0; i < gpm->slot_count; i++) {
		const struct gpm_slot *slot = &gpm->slots[i];

		if (addr.raw >= slot->start && addr.raw - slot->start < slot->length) {
			*len = (size_t)min_u64(*len, slot->length - (addr.raw - slot->start));
			return ram_ptr(gpm, addr, *len);
		}
	}
	return NULL;
}

/* One piece of a copy that may cross chunks: the direction decides which side is guest memory. */
typedef void piece_fn(void *guest, void *host, size_t len);

static void piece_read(void *guest, void *host, size_t len) { memcpy(host, guest, len); }
static void piece_write(void *guest, void *host, size_t len) { memcpy(guest, host, len); }
static void piece_fill(void *guest, void *host, size_t len) { memset(guest, *(const uint8_t *)host, len); }

static bool gpm_walk(struct gpm *gpm, gpa_t addr, void *host, size_t len, size_t host_step, piece_fn *piece)
{
	uint8_t *pos = host;

	if (!range_fits(addr.raw, len, (uint64_t)GPM_GIB_MAX << GIB_SHIFT))
		return false;
	while (len) {
		size_t part = len;
		void  *guest = gpm_map(gpm, addr, &part);

		if (!guest)
			return false;
		piece(guest, pos, part);
		addr = gpa_add(addr, part);
		pos += part * host_step;
		len -= part;
	}
	return true;
}

bool gpm_read(struct gpm *gpm, gpa_t addr, void *to, size_t len)
{
	return gpm_walk(gpm, addr, to, len, 1, piece_read);
}

bool gpm_write(struct gpm *gpm, gpa_t addr, const void *from, size_t len)
{
	/* The walk's parameter is not const because reads use it too; piece_write only reads from `from`. */
	return gpm_walk(gpm, addr, (void *)(uintptr_t)from, len, 1, piece_write);
}

bool gpm_fill(struct gpm *gpm, gpa_t addr, uint8_t byte, size_t len)
{
	return gpm_walk(gpm, addr, &byte, len, 0, piece_fill);
}

bool gpm_read16(struct gpm *gpm, gpa_t addr, uint16_t *to)
{
	const volatile uint16_t *ptr = addr.raw % sizeof(*to) ? NULL : ram_ptr(gpm, addr, sizeof(*to));

	if (!ptr)
		return false;
	*to = *ptr;
	return true;
}

bool gpm_read64(struct gpm *gpm, gpa_t addr, uint64_t *to)
{
	const volatile uint64_t *ptr = addr.raw % sizeof(*to) ? NULL : ram_ptr(gpm, addr, sizeof(*to));

	if (!ptr)
		return false;
	*to = *ptr;
	return true;
}

bool gpm_write16(struct gpm *gpm, gpa_t addr, uint16_t val)
{
	volatile uint16_t *ptr = addr.raw % sizeof(val) ? NULL : ram_ptr(gpm, addr, sizeof(val));

	if (!ptr)
		return false;
	*ptr = val;
	return true;
}

bool gpm_exchange8(struct gpm *gpm, gpa_t addr, uint8_t val, uint8_t *old)
{
	uint8_t *ptr = ram_ptr(gpm, addr, sizeof(val));

	if (!ptr)
		return false;
	*old = __atomic_exchange_n(ptr, val, __ATOMIC_SEQ_CST);
	return true;
}

bool gpm_cmpxchg64(struct gpm *gpm, gpa_t addr, uint64_t old, uint64_t val)
{
	uint64_t *ptr = addr.raw % sizeof(val) ? NULL : ram_ptr(gpm, addr, sizeof(val));

	return ptr && __atomic_compare_exchange_n(ptr, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
