/* SPDX-License-Identifier: MIT */
/*
 * What we want of VT-x, in five lists, reconciled once with what the processor can do. Pure.
 *
 * required: without it this hypervisor does not work      wished: taken where it exists
 * forbidden: would send us exits nobody handles
 */
#include <stddef.h>

#include "arch/x86/vmx/vmx.h"

/* SDM vol. 3, appendix A.3: low half = bits that must be 1, high half = bits that may be 1. */
bool vmx_reconcile(uint64_t cap, uint64_t required, uint64_t wished, uint64_t forbidden,
		   uint64_t *result, uint64_t *missing)
{
	uint64_t must = lo32(cap), may = hi32(cap);
	uint64_t impossible = (required & ~may) | (forbidden & must);

	*result = ((required | wished) & may) | must;
	*missing = impossible & -impossible;
	return !impossible;
}

struct control_set {
	const char *word;
	uint64_t    required, wished, forbidden;
};

static const struct control_set pin_set = {
	"pin-based", PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI, PIN_PREEMPTION_TIMER, 0,
};

static const struct control_set proc_set = {
	"primary processor-based",
	PROC_TSC_OFFSETTING | PROC_HLT | PROC_MWAIT | PROC_MONITOR | PROC_RDPMC | PROC_CR8_LOAD | PROC_CR8_STORE |
	PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_SECONDARY,
	0,
	PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG | PROC_RDTSC | PROC_MOV_DR | PROC_UNCONDITIONAL_IO,
};

static const struct control_set proc2_set = {
	"secondary processor-based",
	PROC2_EPT | PROC2_UNRESTRICTED,
	PROC2_RDTSCP | PROC2_VPID | PROC2_INVPCID | PROC2_WBINVD | PROC2_XSAVES,
	0,
};

static const struct control_set exit_set = {
	"VM-exit",
	EXITC_HOST_64 | EXITC_ACK_INTERRUPT | EXITC_SAVE_DEBUG | EXITC_SAVE_EFER | EXITC_LOAD_EFER | EXITC_SAVE_PAT |
	EXITC_LOAD_PAT,
	EXITC_SAVE_TIMER, 0,
};

static const struct control_set entry_set = {
	"VM-entry", ENTRYC_LOAD_DEBUG | ENTRYC_LOAD_EFER | ENTRYC_LOAD_PAT, 0, ENTRYC_IA32E_GUEST,
};

/* Names for the bits above that a processor may lack. */
static const struct { const struct control_set *set; uint64_t bit; const char *name; } bit_names[] = {
	{ &pin_set, PIN_VIRTUAL_NMI, "virtual NMIs" },
	{ &proc_set, PROC_SECONDARY, "secondary controls" },
	{ &proc_set, PROC_MSR_BITMAPS, "MSR bitmaps" },
	{ &proc_set, PROC_CR3_LOAD, "clearing CR3-load exiting" },
	{ &proc_set, PROC_CR3_STORE, "clearing CR3-store exiting" },
	{ &proc2_set, PROC2_EPT, "EPT" },
	{ &proc2_set, PROC2_UNRESTRICTED, "unrestricted guest (needs Westmere, 2010, or newer)" },
	{ &exit_set, EXITC_LOAD_PAT, "load IA32_PAT on exit" },
	{ &exit_set, EXITC_LOAD_EFER, "load IA32_EFER on exit" },
};

static const char *name_of(const struct control_set *set, uint64_t bit)
{
	for (size_t i = 0; i < sizeof(bit_names) / sizeof(bit_names[0]); i++)
		if (bit_names[i].set == set && bit_names[i].bit == bit)
			return bit_names[i].name;
	return set->word;
}

bool vmx_controls_init(const struct vmx_caps *caps, struct vmx_controls *out, const char **missing)
{
	const struct { const struct control_set *set; uint64_t cap; uint64_t *result; } words[] = {
		{ &pin_set, caps->pin, &out->pin },	{ &proc_set, caps->proc, &out->proc },
		{ &proc2_set, caps->proc2, &out->proc2 },	{ &exit_set, caps->exit, &out->exit },
		{ &entry_set, caps->entry, &out->entry },
	};
	uint64_t bit;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct control_set *set = words[i].set;

		if (!vmx_reconcile(words[i].cap, set->required, set->wished, set->forbidden, words[i].result, &bit)) {
			*missing = name_of(set, bit);
			return false;
		}
	}
	/* A turn is counted in guest time only when exits keep what is left of it: both controls or neither. */
	if (!(out->exit & EXITC_SAVE_TIMER))
		out->pin &= ~PIN_PREEMPTION_TIMER | lo32(caps->pin);
	return true;
}
