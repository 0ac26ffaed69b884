/* SPDX-License-Identifier: MIT */
/*
 * Guest page tables walked in software (contract in walk.h).
 *
 * One loop serves every paging mode; what differs is a row of `struct paging`. Entries are read as
 * aligned 64-bit words, once each, into a private copy; a 32-bit entry is a half of its word.
 * Accessed and dirty bits are set only after the whole walk succeeded and only if the entry is
 * still what was checked; else the walk starts again, a bounded number of times, for a guest may
 * rewrite its tables meanwhile. SDM vol. 3, chapter 4 "Paging". Not here: protection keys, 5-level
 * paging (guests are offered neither).
 */
#include "arch/x86/emulate/walk.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/pte.h"
#include "arch/x86/virt/cpu_state.h"

#define ENTRY_ADDR_TOP	51

#define LARGE_RESERVED_LOW	13		/* a large leaf: from here to its size, reserved */
#define PSE_ADDR		FIELD(31, 22)	/* 4 MiB pages: address bits 31:22 */
#define PSE36_ADDR		FIELD(20, 13)	/* and 39:32 */
#define PSE_RESERVED		BIT(21)
#define PAE_PDPTE_RESERVED	(FIELD(2, 1) | FIELD(8, 6))	/* no rights; bit 5 is checked where they are loaded (gva.c) */
#define PAE_LEGACY_RESERVED	FIELD(62, 52)	/* ignored in 4-level paging, reserved in PAE */

#define WALK_TRIES	8

struct paging {
	unsigned levels, entry_size, index_bits;
	uint64_t root_mask;		/* CR3's address bits */
	unsigned large_levels;		/* leaves may be at levels 2..this */
};

static const struct paging paging_32   = { 2, 4, 10, FIELD(31, 12), 2 };
static const struct paging paging_pae  = { 3, 8, 9, FIELD(31, 5), 2 };
static const struct paging paging_long = { 4, 8, 9, PTE_ADDR, 3 };

struct walk {
	struct gpm            *gpm;
	const struct walk_cpu *cpu;
	const struct paging   *paging;
	gva_t                  addr;
	enum walk_access       access;
	uint64_t               rights;		/* W and U of all levels ANDed, NX ORed */
	uint64_t               entry;		/* the leaf */
	unsigned               level;		/* the leaf's level: 1 is a 4 KiB page */
	struct walk_trail      trail;
};

enum walk_result { WALK_DONE, WALK_FAULT, WALK_AGAIN };

static const struct paging *paging_of(const struct walk_cpu *cpu)
{
	if (!(cpu->cr4 & CR4_PAE))
		return &paging_32;
	return cpu->efer & EFER_LMA ? &paging_long : &paging_pae;
}

/* Bits of the linear address below an entry of this level: 12 for a page table's. */
static unsigned level_shift(const struct walk *walk, unsigned level)
{
	return PAGE_SHIFT + walk->paging->index_bits * (level - 1);
}

static uint64_t level_size(const struct walk *walk, unsigned level)
{
	return BIT(level_shift(walk, level));
}

static bool has_no_rights(const struct walk *walk, unsigned level)
{
	return walk->paging == &paging_pae && level == walk->paging->levels;
}

static bool is_leaf(const struct walk *walk, uint64_t entry, unsigned level)
{
	if (level == 1)
		return true;
	if (level > walk->paging->large_levels || !(entry & PTE_PS))
		return false;
	return walk->paging != &paging_32 || (walk->cpu->cr4 & CR4_PSE);
}

static uint64_t reserved_bits(const struct walk *walk, uint64_t entry, unsigned level)
{
	bool     is_large = level > 1 && is_leaf(walk, entry, level);
	unsigned phys_bits = walk->cpu->phys_bits;
	uint64_t mask = 0;

	if (walk->paging == &paging_32)
		return is_large ? PSE_RESERVED : 0;
	if (phys_bits <= ENTRY_ADDR_TOP)
		mask |= FIELD(ENTRY_ADDR_TOP, phys_bits);
	if (!(walk->cpu->efer & EFER_NXE))
		mask |= PTE_NX;
	if (is_large)
		mask |= FIELD(level_shift(walk, level) - 1, LARGE_RESERVED_LOW);
	if (walk->paging == &paging_pae)
		mask |= PAE_LEGACY_RESERVED;
	if (has_no_rights(walk, level))
		return mask | PAE_PDPTE_RESERVED | PTE_NX;
	return level > walk->paging->large_levels ? mask | PTE_PS : mask;
}

static bool is_allowed(const struct walk *walk)
{
	const struct walk_cpu *cpu = walk->cpu;
	bool is_user = cpu->cpl == CPL_USER;
	bool is_user_page = walk->rights & PTE_U;

	if (is_user && !is_user_page)
		return false;
	if (walk->access == WALK_FETCH)
		return !(walk->rights & PTE_NX) &&
		       (is_user || !is_user_page || !(cpu->cr4 & CR4_SMEP));
	if (!is_user && is_user_page && (cpu->cr4 & CR4_SMAP) && !(cpu->rflags & RFLAGS_AC))
		return false;
	return walk->access == WALK_READ || (walk->rights & PTE_W) ||
	       !(is_user || (cpu->cr0 & CR0_WP));
}

/* SDM vol. 3, 4.7: the I/D flag is shown only where fetches can be forbidden. */
static uint32_t fault_code(const struct walk *walk, uint32_t cause)
{
	const struct walk_cpu *cpu = walk->cpu;
	bool has_nx = (cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE);

	if (walk->access == WALK_WRITE)
		cause |= PF_WRITE;
	if (walk->access == WALK_FETCH && (has_nx || (cpu->cr4 & CR4_SMEP)))
		cause |= PF_FETCH;
	return cpu->cpl == CPL_USER ? cause | PF_USER : cause;
}

/* A 32-bit entry in the upper half of its aligned word. */
static bool is_upper_half(const struct walk *walk, gpa_t entry_addr)
{
	return walk->paging->entry_size == sizeof(uint32_t) && entry_addr.raw % sizeof(uint64_t);
}

static bool read_entry(struct walk *walk, gpa_t entry_addr, uint64_t *entry)
{
	struct walk_trail *trail = &walk->trail;
	gpa_t word_addr = gpa(align_down(entry_addr.raw, sizeof(uint64_t)));
	uint64_t word;

	if (!gpm_read64(walk->gpm, word_addr, &word))
		return false;
	trail->addr[trail->count] = entry_addr;
	trail->word[trail->count++] = word;
	*entry = word;
	if (walk->paging->entry_size == sizeof(uint32_t))
		*entry = is_upper_half(walk, entry_addr) ? hi32(word) : lo32(word);
	return true;
}

static gpa_t leaf_address(const struct walk *walk)
{
	uint64_t size = level_size(walk, walk->level);
	uint64_t frame = align_down(walk->entry & PTE_ADDR, size);

	if (walk->paging == &paging_32 && walk->level > 1)
		frame = join32(field_get(walk->entry, PSE36_ADDR), walk->entry & PSE_ADDR);
	return gpa(frame + walk->addr.raw % size);
}

/* Follow the tables to the leaf; checks what does not depend on the access. *cause: what failed. */
static enum walk_result descend(struct walk *walk, uint32_t *cause)
{
	const struct paging *paging = walk->paging;
	uint64_t table = walk->cpu->cr3 & paging->root_mask;

	walk->rights = PTE_W | PTE_U;
	walk->trail.count = 0;
	for (walk->level = paging->levels; ; walk->level--) {
		uint64_t index = walk->addr.raw / level_size(walk, walk->level);
		uint64_t entry;

		index %= BIT(paging->index_bits);
		if (!read_entry(walk, gpa(table + index * paging->entry_size), &entry)) {
			*cause = WALK_NOT_RAM;
			return WALK_FAULT;
		}
		*cause = 0;
		if (!(entry & PTE_P))
			return WALK_FAULT;
		*cause = PF_PRESENT | PF_RSVD;
		if (entry & reserved_bits(walk, entry, walk->level))
			return WALK_FAULT;
		if (!has_no_rights(walk, walk->level)) {
			walk->rights &= entry | PTE_NX;
			walk->rights |= entry & PTE_NX;
		}
		walk->entry = entry;
		if (is_leaf(walk, entry, walk->level))
			return WALK_DONE;
		table = entry & PTE_ADDR;
	}
}

/*
 * Accessed bits on the way, the dirty bit at the leaf (SDM vol. 3, 4.8 "Accessed and Dirty Flags").
 */
static enum walk_result mark_used(struct walk *walk)
{
	struct walk_trail *trail = &walk->trail;

	for (size_t i = 0; i < trail->count; i++) {
		bool     is_last = i == trail->count - 1;
		uint64_t want = PTE_A | (is_last && walk->access == WALK_WRITE ? PTE_D : 0);
		uint64_t old = trail->word[i];
		gpa_t    word_addr = gpa(align_down(trail->addr[i].raw, sizeof(uint64_t)));

		if (has_no_rights(walk, walk->paging->levels - (unsigned)i))
			continue;
		if (is_upper_half(walk, trail->addr[i]))
			want = join32(want, 0);
		if ((old & want) == want)
			continue;
		if (!gpm_cmpxchg64(walk->gpm, word_addr, old, old | want))
			return WALK_AGAIN;
		trail->word[i] = old | want;
	}
	return WALK_DONE;
}

static enum walk_result walk_once(struct walk *walk, uint32_t *error)
{
	uint32_t cause;

	if (descend(walk, &cause) == WALK_DONE) {
		if (is_allowed(walk))
			return mark_used(walk);
		cause = PF_PRESENT;
	}
	*error = cause == WALK_NOT_RAM ? cause : fault_code(walk, cause);
	return WALK_FAULT;
}

bool walk_gva_trail(struct gpm *gpm, const struct walk_cpu *cpu, gva_t addr,
		    enum walk_access access, gpa_t *out, uint32_t *error, struct walk_trail *trail)
{
	struct walk walk = {
		.gpm = gpm, .cpu = cpu, .paging = paging_of(cpu), .addr = addr, .access = access,
	};
	enum walk_result result = WALK_AGAIN;

	trail->count = 0;
	if (!(cpu->cr0 & CR0_PG)) {
		*out = gpa(lo32(addr.raw));
		return true;
	}
	*error = WALK_NOT_CANONICAL;
	if (walk.paging != &paging_long)
		walk.addr = gva(lo32(addr.raw));
	else if (!is_canonical(addr.raw))
		return false;
	for (unsigned i = 0; i < WALK_TRIES && result == WALK_AGAIN; i++)
		result = walk_once(&walk, error);
	if (result == WALK_FAULT)
		return false;
	/*
	 * Still WALK_AGAIN: the guest rewrites its own entries all the time. The translation is used, and
	 * accessed and dirty bits stay as the guest wrote them.
	 */
	*out = leaf_address(&walk);
	*trail = walk.trail;
	return true;
}

bool walk_gva(struct gpm *gpm, const struct walk_cpu *cpu, gva_t addr, enum walk_access access,
	      gpa_t *out, uint32_t *error)
{
	struct walk_trail trail;

	return walk_gva_trail(gpm, cpu, addr, access, out, error, &trail);
}
