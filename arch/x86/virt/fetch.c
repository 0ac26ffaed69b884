/* SPDX-License-Identifier: MIT */
/*
 * Instruction fetch with two memories (contract in fetch.h). The short path, for 64-bit code that has been
 * here before, is: RIP's page, CR3, the page-table words, sixteen bytes of code, the cache slot.
 */
#include "arch/x86/virt/fetch.h"

#include "arch/x86/hw/bits.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/walk.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define FETCH_SPAN	16U			/* what two 8-byte loads bring: INSN_MAX and one byte too many */
#define SPAN_EXCESS	FIELD(63, 56)		/* that byte, in the second word */

_Static_assert(FETCH_SPAN == INSN_MAX + 1, "the two words of struct insn_cache hold one instruction");
_Static_assert(FETCH_LEVELS >= WALK_LEVELS_MAX, "a memo holds every walk");

/*
 * RIP beyond 4 GiB exists in 64-bit mode only (SDM vol. 3, 27.3.1.4 "Checks on Guest RIP, RFLAGS, and
 * SSP"): kernels live there, and the code segment need not be read.
 */
static enum insn_mode fetch_mode(struct vcpu *vcpu)
{
	return hi32(vcpu->exit_rip) ? INSN_64 : vcpu_mode(vcpu);
}

/*
 * The code page this address had before, if its translation is the same today. No right is checked again:
 * the processor has just executed from there, and the words that grant the rights are unchanged.
 */
static const uint8_t *memo_find(const struct fetch_memo *memo, uint64_t cr3, uint64_t page)
{
	if (memo->page != page || memo->cr3 != cr3 || !memo->code)
		return NULL;
	for (size_t i = 0; i < memo->count; i++)
		if (*memo->entry[i] != memo->word[i])
			return NULL;
	return memo->code;
}

static bool memo_entries(struct fetch_memo *memo, struct gpm *gpm, const struct walk_trail *trail)
{
	memo->count = trail->count;
	for (size_t i = 0; i < trail->count; i++) {
		size_t len = sizeof(uint64_t);

		memo->entry[i] = gpm_map(gpm, trail->addr[i], &len);
		memo->word[i] = trail->word[i];
		if (!memo->entry[i] || len < sizeof(uint64_t))
			return false;
	}
	return true;
}

/* Walk, and remember how. NULL leaves it to the careful way to find out what is wrong. */
static const uint8_t *memo_make(struct vcpu *vcpu, struct fetch_memo *memo, uint64_t page)
{
	struct gpm       *gpm = &vcpu->vm->gpm;
	struct walk_cpu   cpu;
	struct walk_trail trail;
	gpa_t             where;
	uint32_t          error;
	size_t            len = PAGE_SIZE;
	const uint8_t    *code;

	memo->code = NULL;
	walk_cpu_of(vcpu, &cpu);
	if (!walk_gva_trail(gpm, &cpu, gva(page * PAGE_SIZE), WALK_FETCH, &where, &error, &trail))
		return NULL;
	code = gpm_map(gpm, where, &len);
	if (!code || len < PAGE_SIZE || !memo_entries(memo, gpm, &trail))
		return NULL;
	memo->page = page;
	memo->cr3 = cpu.cr3;
	memo->code = code;
	return code;
}

/* Sixteen bytes of 64-bit code that lie in one page, as two words. */
static bool fetch_short(struct vcpu *vcpu, uint64_t words[2])
{
	uint64_t rip = vcpu->exit_rip;
	uint64_t page = rip / PAGE_SIZE, offset = rip % PAGE_SIZE;
	struct fetch_memo *memo = &vcpu->fetch_memo[page % FETCH_MEMOS];
	const uint8_t *code;

	if (offset > PAGE_SIZE - FETCH_SPAN)
		return false;
	code = memo_find(memo, virt->get(vcpu, REG_CR3), page);
	if (!code)
		code = memo_make(vcpu, memo, page);
	if (!code)
		return false;
	__builtin_memcpy(words, code + offset, FETCH_SPAN);
	/* From here on the copy only: the compiler may not read the guest's bytes a second time. */
	__asm__ volatile("" : : : "memory");
	words[1] &= ~SPAN_EXCESS;
	return true;
}

/* The bytes that could be had, zero-padded; how many. */
static size_t fetch_bytes(struct vcpu *vcpu, enum insn_mode mode, uint64_t words[2])
{
	if (mode == INSN_64 && fetch_short(vcpu, words))
		return INSN_MAX;
	words[0] = words[1] = 0;
	return gva_fetch_insn(vcpu, (uint8_t *)words);
}

/* The instruction continues where nothing could be read: say so as the processor would. */
static enum fetch_result fetch_fault(struct vcpu *vcpu, enum insn_mode mode, size_t had)
{
	struct walk_cpu cpu;
	gva_t           addr = gva_add(gva_of_rip(vcpu, mode), had);
	gpa_t           where;
	uint32_t        error;

	walk_cpu_of(vcpu, &cpu);
	if (walk_gva(&vcpu->vm->gpm, &cpu, addr, WALK_FETCH, &where, &error))
		return FETCH_BAD;	/* mapped, but not to RAM */
	if (error == WALK_NOT_RAM || error == WALK_NOT_CANONICAL)
		return FETCH_BAD;
	vcpu_inject_pf(vcpu, addr.raw, error);
	return FETCH_FAULT;
}

enum fetch_result fetch_insn(struct vcpu *vcpu, const struct insn **insn)
{
	enum insn_mode     mode = fetch_mode(vcpu);
	struct insn_cache *slot = &vcpu->insn_cache[vcpu->exit_rip % INSN_CACHE_SLOTS];
	uint64_t           words[2];
	size_t             had = fetch_bytes(vcpu, mode, words);

	*insn = &slot->insn;
	if (slot->rip == vcpu->exit_rip && slot->bytes[0] == words[0] && slot->bytes[1] == words[1] &&
	    slot->mode == mode && slot->insn.len && slot->insn.len <= had)
		return FETCH_OK;
	slot->rip = vcpu->exit_rip;
	slot->bytes[0] = words[0];
	slot->bytes[1] = words[1];
	slot->mode = (uint8_t)mode;
	if (insn_decode(&slot->insn, mode, (const uint8_t *)words, had) == 0)
		return FETCH_OK;
	slot->insn.len = 0;
	return had < INSN_MAX ? fetch_fault(vcpu, mode, had) : FETCH_BAD;
}

void fetch_log(struct vcpu *vcpu, const char *why)
{
	enum insn_mode mode = fetch_mode(vcpu);
	char           text[96], hex[INSN_MAX * 3 + 1] = "";
	uint64_t       words[2];
	size_t         had = fetch_bytes(vcpu, mode, words), at = 0;
	const uint8_t *bytes = (const uint8_t *)words;

	insn_text(text, sizeof(text), mode, vcpu->exit_rip, bytes, had);
	for (size_t i = 0; i < had; i++)
		at += format_buf(hex + at, sizeof(hex) - at, "%02x ", bytes[i]);
	vm_log(vcpu->vm, "%s: rip %llx: %s | %s", why, (unsigned long long)vcpu->exit_rip, text, hex);
}
