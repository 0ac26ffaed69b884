/* SPDX-License-Identifier: MIT */
/*
 * Instruction fetch that remembers (contract in fetch.h). Short path first: slot_is_current.
 * Everything after it is the careful way, which fills the slot.
 */
#include "arch/x86/emulate/fetch.h"

#include "hv/lib/bits.h"
#include "arch/x86/emulate/walk.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define FETCH_SPAN	16U			/* two 8-byte loads: INSN_MAX and a byte too many */
#define SPAN_EXCESS	FIELD(63, 56)		/* that byte, in the second word */

_Static_assert(FETCH_SPAN == INSN_MAX + 1, "two words hold one instruction");
_Static_assert(WALK_LEVELS_MAX == 4 && FETCH_LEVELS == 4, "slot_is_current compares four words");

/* Stands in for the levels a walk to a large page does not have. */
static const uint64_t no_entry;

/*
 * RIP beyond 4 GiB exists in 64-bit mode only (SDM vol. 3, 27.3.1.4 "Checks on Guest RIP, RFLAGS,
 * and SSP"): kernels live there, and the code segment need not be read.
 */
static enum insn_mode fetch_mode(struct vcpu *vcpu)
{
	return hi32(vcpu->exit.rip) ? INSN_64 : vcpu_mode(vcpu);
}

/* Sixteen bytes of code as two words, read once. */
static void copy_code(const uint8_t *code, uint64_t words[2])
{
	memcpy(words, code, FETCH_SPAN);
	compiler_barrier();	/* from here on the copy only: the guest's bytes are not read a second time */
	words[1] &= ~SPAN_EXCESS;
}

static uint64_t entry_change(const struct insn_cache *slot, size_t level)
{
	return *slot->entry[level] ^ slot->word[level];
}

/*
 * Is the slot valid: the same RIP, CR3, page-table entries and bytes? Rights are not checked again: the processor
 * has just executed from there, and the entries that grant them are unchanged.
 */
static bool slot_is_current(struct vcpu *vcpu, const struct insn_cache *slot)
{
	uint64_t words[2];

	if (slot->rip != vcpu->exit.rip || !slot->code || slot->cr3 != virt->get(vcpu, REG_CR3))
		return false;
	if (entry_change(slot, 0) | entry_change(slot, 1) |
	    entry_change(slot, 2) | entry_change(slot, 3))
		return false;
	copy_code(slot->code, words);
	return words[0] == slot->bytes[0] && words[1] == slot->bytes[1] &&
	       fetch_mode(vcpu) == INSN_64;
}

static bool remember_entries(struct insn_cache *slot, struct gpm *gpm,
			     const struct walk_trail *trail)
{
	for (size_t i = 0; i < FETCH_LEVELS; i++) {
		size_t len = sizeof(uint64_t);
		bool   is_used = i < trail->count;

		slot->entry[i] = is_used ? gpm_map(gpm, trail->addr[i], &len) : &no_entry;
		slot->word[i] = is_used ? trail->word[i] : no_entry;
		if (!slot->entry[i] || len < sizeof(uint64_t))
			return false;
	}
	return true;
}

/*
 * 64-bit code, sixteen bytes of it in one page: walk, and remember how. False: the careful way
 * finds out why not.
 */
static bool find_code(struct vcpu *vcpu, struct insn_cache *slot)
{
	struct gpm       *gpm = &vcpu->vm->gpm;
	struct walk_cpu   cpu;
	struct walk_trail trail;
	gpa_t             where;
	uint32_t          error;
	size_t            len = FETCH_SPAN;
	const uint8_t    *code;

	if (vcpu->exit.rip % PAGE_SIZE > PAGE_SIZE - FETCH_SPAN)
		return false;
	walk_cpu_of(vcpu, &cpu);
	if (!walk_gva_trail(gpm, &cpu, gva(vcpu->exit.rip), WALK_FETCH, &where, &error, &trail))
		return false;
	code = gpm_map(gpm, where, &len);
	if (!code || len < FETCH_SPAN || !remember_entries(slot, gpm, &trail))
		return false;
	slot->cr3 = cpu.cr3;
	slot->code = code;
	return true;
}

/*
 * The bytes that could be had, zero-padded; how many. No memory is populated, because the instruction may need none of
 * it: fetch_fault does that.
 */
static size_t fetch_bytes(struct vcpu *vcpu, struct insn_cache *slot, enum insn_mode mode,
			  uint64_t words[2])
{
	size_t had = INSN_MAX;

	slot->code = NULL;
	gpm_only_look(true);
	if (mode == INSN_64 && find_code(vcpu, slot)) {
		copy_code(slot->code, words);
	} else {
		words[0] = words[1] = 0;
		had = gva_fetch_insn(vcpu, (uint8_t *)words);
	}
	gpm_only_look(false);
	return had;
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
		return gpm_touch(&vcpu->vm->gpm, where, 1) ? FETCH_UNREADABLE : FETCH_AGAIN;
	if (error == WALK_NOT_RAM || error == WALK_NOT_CANONICAL)
		return FETCH_UNREADABLE;
	vcpu_inject_pf(vcpu, addr.raw, error);
	return FETCH_FAULT;
}

/*
 * The slot is not valid: fetch the bytes again, and decode them unless the slot holds the same bytes
 * decoded. A function of its own, so that the short way stays short.
 */
__attribute__((noinline))
static enum fetch_result fill_slot(struct vcpu *vcpu, struct insn_cache *slot)
{
	enum insn_mode mode = fetch_mode(vcpu);
	uint64_t       words[2];
	size_t         had = fetch_bytes(vcpu, slot, mode, words);
	enum insn_result result;

	if (slot->rip == vcpu->exit.rip && slot->mode == mode &&
	    slot->bytes[0] == words[0] && slot->bytes[1] == words[1] &&
	    slot->insn.len && slot->insn.len <= had)
		return FETCH_OK;
	slot->rip = vcpu->exit.rip;
	slot->bytes[0] = words[0];
	slot->bytes[1] = words[1];
	slot->mode = (uint8_t)mode;
	result = insn_decode(&slot->insn, mode, (const uint8_t *)words, had);
	if (result == INSN_OK)
		return FETCH_OK;
	slot->insn.len = 0;
	slot->code = NULL;
	return result == INSN_CUT ? fetch_fault(vcpu, mode, had) : FETCH_UNDEFINED;
}

enum fetch_result fetch_insn(struct vcpu *vcpu, const struct insn **insn)
{
	struct insn_cache *slot = &vcpu->insn_cache[vcpu->exit.rip % INSN_CACHE_SLOTS];

	*insn = &slot->insn;
	return slot_is_current(vcpu, slot) ? FETCH_OK : fill_slot(vcpu, slot);
}

enum exit_result fetch_failed(struct vcpu *vcpu, enum fetch_result fetched, const char *what,
			      uint64_t code)
{
	if (fetched == FETCH_UNREADABLE) {
		fetch_log(vcpu, "the instruction of this exit cannot be read");
		return exit_fatal(vcpu, what, code);
	}
	/*
	 * The bytes are no instruction, and yet they caused an exit: another vCPU has changed them since, or
	 * the processor looked for the exit before it looked at a LOCK prefix. The guest gets what a processor
	 * does with these bytes: #UD (SDM vol. 2, 2.1.1 "Instruction Prefixes").
	 */
	if (fetched == FETCH_UNDEFINED)
		vcpu_inject_ud(vcpu);
	else if (fetched == FETCH_AGAIN)
		exit_progress(vcpu);
	return EXIT_RESUME;
}

void fetch_log(struct vcpu *vcpu, const char *why)
{
	enum insn_mode mode = fetch_mode(vcpu);
	uint8_t        bytes[INSN_MAX];
	size_t         had = gva_fetch_insn(vcpu, bytes), at = 0;
	char           text[96], hex[INSN_MAX * 3 + 1] = "";

	insn_text(text, sizeof(text), mode, vcpu->exit.rip, bytes, had);
	for (size_t i = 0; i < had; i++)
		at += format_buf(hex + at, sizeof(hex) - at, "%02x ", bytes[i]);
	vm_log(vcpu->vm, "%s: rip 0x%lx: %s | %s", why, vcpu->exit.rip, text, hex);
}
