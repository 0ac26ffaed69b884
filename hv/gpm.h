/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Guest-physical memory: the one door to a guest's RAM.
 *
 * RAM is a set of slots. Each is cut into 2 MiB chunks that are allocated, zeroed, when first touched by
 * the guest (a nested fault) or by us (these functions). Every function checks limits and overflow and
 * fails on anything that is not RAM, device windows included, so that device DMA can reach RAM only
 * (re-entrancy through DMA to MMIO). Values read are copies: check the copy, use the copy.
 *
 * A processor that only looks (gpm_only_look) populates nothing: memory that was never touched reads as absent for it.
 * That is for exits that may zero no chunk, or no second one. Other processors notice nothing of it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/addr.h"
#include "hv/node.h"

struct account;
struct lock;

#define GPM_SLOTS_MAX	4
#define GPM_GIB_MAX	64U	/* RAM lies below this many GiB of guest-physical address space */

struct gpm_slot { uint64_t start, length; };	/* guest-physical, multiples of 4 KiB */

struct gpm {
	struct gpm_slot slots[GPM_SLOTS_MAX];
	size_t          slot_count;
	uint64_t       *dir[GPM_GIB_MAX];	/* per GiB: 512 chunk entries (a page), gpm.c; NULL: nothing of it is populated */
	uint32_t        dirs;		/* how many of them there are */
	uint64_t        size;		/* bytes of RAM */
	uint64_t        populated;	/* bytes allocated so far */
	struct node_wish wish;		/* where they are to come from */
	uint32_t        chunks[HANDOFF_NODES_MAX];	/* how many came from each node; counted only where there are several */
	struct account *account;	/* who is charged for them; NULL: nobody counts */
	struct lock    *lock;		/* for whoever populates; NULL: the VM is on one processor. Entries that are there need none */
};

__attribute__((warn_unused_result)) int gpm_add_slot(struct gpm *gpm, gpa_t start, uint64_t length);
uint64_t gpm_chunk_bytes(const struct gpm *gpm);	/* host memory when all of it has been touched */

/*
 * Free a part, at most 1 GiB, so that no call takes long; true when nothing is left. Accepts a half-built
 * struct gpm.
 */
__attribute__((warn_unused_result)) bool gpm_release(struct gpm *gpm);

/* Is [addr, addr+len) wholly RAM? */
bool gpm_is_ram(const struct gpm *gpm, gpa_t addr, uint64_t len);

void gpm_only_look(bool is_on);	/* this processor, from now on; off again before the exit ends */

/*
 * For callers that must not populate much memory at once, because each chunk is zeroed first. gpm_is_near:
 * does this RAM lie in one populated chunk? It costs one look-up, and is false also for some populated RAM
 * (in two chunks, at the edge of a slot). gpm_touch: is all of this RAM populated? If not, the first chunk
 * that is missing is populated now, one at each call. When the host has no memory for it the answer is yes, the chunks
 * behind it are not tried, and accesses to what is missing fail. While this processor only looks nothing is populated, and
 * the answer is no as long as any chunk is missing.
 * gpm_is_populated: is all of this RAM populated? It changes nothing.
 */
bool gpm_is_near(const struct gpm *gpm, gpa_t addr, uint64_t len);
bool gpm_is_populated(const struct gpm *gpm, gpa_t addr, uint64_t len);
__attribute__((warn_unused_result)) bool gpm_touch(struct gpm *gpm, gpa_t addr, uint64_t len);

/* Copy out of / into guest RAM, across chunk and slot borders. False (and nothing or a part done) when not all RAM. */
__attribute__((warn_unused_result)) bool gpm_read(struct gpm *gpm, gpa_t addr, void *to, size_t len);
__attribute__((warn_unused_result)) bool gpm_write(struct gpm *gpm, gpa_t addr, const void *from, size_t len);
__attribute__((warn_unused_result)) bool gpm_fill(struct gpm *gpm, gpa_t addr, uint8_t byte, size_t len);

/* One naturally aligned load or store: a single access the guest cannot tear. */
__attribute__((warn_unused_result)) bool gpm_read16(struct gpm *gpm, gpa_t addr, uint16_t *to);
__attribute__((warn_unused_result)) bool gpm_read64(struct gpm *gpm, gpa_t addr, uint64_t *to);
__attribute__((warn_unused_result)) bool gpm_write16(struct gpm *gpm, gpa_t addr, uint16_t val);

/* A byte, for another one, in one locked instruction: the guest may write it meanwhile. */
__attribute__((warn_unused_result)) bool gpm_exchange8(struct gpm *gpm, gpa_t addr, uint8_t val, uint8_t *old);

/* Set bits in an aligned 64-bit word atomically if it still holds `old` (accessed and dirty bits). */
__attribute__((warn_unused_result)) bool gpm_cmpxchg64(struct gpm *gpm, gpa_t addr, uint64_t old, uint64_t val);

/*
 * Direct pointer to guest RAM for bulk data: valid while the VM lives, never across a 2 MiB border.
 * Returns NULL when addr is not RAM; *len is cut to what is contiguous. The guest may change the bytes at
 * any time: copy what must be checked.
 */
void *gpm_map(struct gpm *gpm, gpa_t addr, size_t *len);

/*
 * The host chunk (2 MiB aligned) behind addr, populating it; *is_whole: all of the chunk is RAM, so that one
 * large nested page may map it. raw 0: not RAM or out of memory. By whoever holds the lock, if there is one.
 */
hpa_t gpm_populate(struct gpm *gpm, gpa_t addr, bool *is_whole);
