/* SPDX-License-Identifier: MIT */
/*
 * What we want of VT-x, reconciled once with what the processor can do. Pure.
 *
 * Five control words of the VMCS decide what a guest may do without us and what happens at entries and
 * exits. Which bits a processor lets us choose differs from model to model, and a single wrong bit makes
 * every entry fail with "invalid control field(s)". So for each word we say what we want, in three sets of
 * bits, and compute the word from that:
 *
 *   required   without it this hypervisor does not work; a processor that lacks it is refused, by name
 *   wished     taken where it exists; the rest of the code looks at the result
 *   forbidden  must be clear: it would send us exits that no row of the exit table handles
 *
 * All other bits stay as the processor wants them: clear, or set where it insists. Some reserved bits must
 * be 1 for historical reasons ("default1", SDM vol. 3, appendix A.2), which is why a control word is never
 * written as a constant.
 */
#include <stddef.h>

#include "arch/x86/vmx/vmx.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

/*
 * A capability MSR (SDM vol. 3, appendix A.3 to A.5) has two halves of 32 bits: a bit that is 1 in the low
 * half must be 1 in the control word, a bit that is 0 in the high half must be 0. When wishes cannot be
 * had, the lowest such bit is reported: one name suffices for a message.
 */
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

/*
 * What happens to the machine while a guest runs is the host's: interrupts and NMIs leave the guest. With
 * virtual NMIs the processor tracks whether the guest is inside an NMI handler of its own, and can tell
 * when it has left it. The preemption timer ends a turn without the help of an interrupt.
 */
static const struct control_set pin_set = {
	"pin-based", PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI, PIN_PREEMPTION_TIMER, 0,
};

/*
 * Required. TSC offsetting gives each guest a clock that starts at 0. HLT, MWAIT and MONITOR exit, so that
 * a guest that waits gives the processor to others. RDPMC exits, because a guest has no counters. CR8 is
 * the task priority of the local APIC that we emulate. MOV DR exits, so that no guest finds the debug
 * registers of another (exit/dr.c). The two bitmaps name the few MSRs that a guest may touch itself, and
 * stop every port.
 *
 * Forbidden. CR3, INVLPG and RDTSC are harmless with EPT, VPID and the offset, and frequent: an exit would
 * only cost. Unconditional I/O exiting would take the place of the bitmaps.
 */
static const struct control_set proc_set = {
	"primary processor-based",
	PROC_TSC_OFFSETTING | PROC_HLT | PROC_MWAIT | PROC_MONITOR | PROC_RDPMC | PROC_CR8_LOAD | PROC_CR8_STORE |
	PROC_MOV_DR | PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_SECONDARY,
	PROC_TPR_SHADOW,
	PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG | PROC_RDTSC | PROC_UNCONDITIONAL_IO,
};

/*
 * EPT gives a guest physical memory of its own. An unrestricted guest may run without paging and in real
 * mode, where it starts; without it we would have to emulate every instruction of that time. The wished
 * instructions raise #UD in a guest unless their control is set, so CPUID offers them only then (struct
 * guest_caps). VPID keeps translations across exits. PAUSE-loop exiting ends a spin loop of the guest's
 * kernel without an exit at each PAUSE. The last three, with the TPR shadow of the primary word, are for guests that
 * use x2APIC mode: their interrupts need no exit (virtual_apic.c).
 */
static const struct control_set proc2_set = {
	"secondary processor-based",
	PROC2_EPT | PROC2_UNRESTRICTED,
	PROC2_RDTSCP | PROC2_VPID | PROC2_INVPCID | PROC2_WBINVD | PROC2_PAUSE_LOOP | PROC2_XSAVES | PROC2_VIRTUAL_APIC,
	0,
};

/*
 * Both sides have an EFER and a PAT of their own, switched by the processor at each exit and entry, so that
 * neither can see or change the other's. DR7 and IA32_DEBUGCTL are saved by the exit, which sets DR7 to 400h
 * (28.5.1), and loaded by the entry: a guest's breakpoints count in the guest only. An exit for an interrupt
 * acknowledges it: the vector is in a field, and no second interrupt through our IDT follows. What is left
 * in the preemption timer is saved, or each exit would begin the guest's turn anew.
 */
static const struct control_set exit_set = {
	"VM-exit",
	EXITC_HOST_64 | EXITC_ACK_INTERRUPT | EXITC_SAVE_DEBUG | EXITC_SAVE_EFER | EXITC_LOAD_EFER | EXITC_SAVE_PAT |
	EXITC_LOAD_PAT,
	EXITC_SAVE_TIMER, 0,
};

/*
 * "IA-32e mode guest" must equal the guest's EFER.LMA at each entry. A guest starts in real mode, so the
 * bit starts clear, and state.c (set_efer) moves it when the guest switches long mode on or off: it must be
 * possible to clear it.
 */
static const struct control_set entry_set = {
	"VM-entry", ENTRYC_LOAD_DEBUG | ENTRYC_LOAD_EFER | ENTRYC_LOAD_PAT, 0, ENTRYC_IA32E_GUEST,
};

/* Names for the bits above, and what is done without a wished one. */
static const struct { const struct control_set *set; uint64_t bit; const char *name, *instead; } bit_names[] = {
	{ &pin_set, PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting", NULL },
	{ &pin_set, PIN_NMI, "NMI exiting", NULL },
	{ &pin_set, PIN_VIRTUAL_NMI, "virtual NMIs", NULL },
	{ &pin_set, PIN_PREEMPTION_TIMER, "preemption timer", "turns end by the host's timer" },
	{ &proc_set, PROC_TSC_OFFSETTING, "TSC offsetting", NULL },
	{ &proc_set, PROC_TPR_SHADOW, "TPR shadow", "TPR is software" },
	{ &proc_set, PROC_HLT, "HLT exiting", NULL },
	{ &proc_set, PROC_MWAIT, "MWAIT exiting", NULL },
	{ &proc_set, PROC_MONITOR, "MONITOR exiting", NULL },
	{ &proc_set, PROC_RDPMC, "RDPMC exiting", NULL },
	{ &proc_set, PROC_CR8_LOAD, "CR8-load exiting", NULL },
	{ &proc_set, PROC_CR8_STORE, "CR8-store exiting", NULL },
	{ &proc_set, PROC_MOV_DR, "MOV-DR exiting", NULL },
	{ &proc_set, PROC_IO_BITMAPS, "I/O bitmaps", NULL },
	{ &proc_set, PROC_MSR_BITMAPS, "MSR bitmaps", NULL },
	{ &proc_set, PROC_SECONDARY, "secondary controls", NULL },
	{ &proc_set, PROC_CR3_LOAD, "clearing CR3-load exiting", NULL },
	{ &proc_set, PROC_CR3_STORE, "clearing CR3-store exiting", NULL },
	{ &proc_set, PROC_INVLPG, "clearing INVLPG exiting", NULL },
	{ &proc_set, PROC_RDTSC, "clearing RDTSC exiting", NULL },
	{ &proc_set, PROC_UNCONDITIONAL_IO, "clearing unconditional I/O exiting", NULL },
	{ &proc2_set, PROC2_EPT, "EPT", NULL },
	{ &proc2_set, PROC2_UNRESTRICTED, "unrestricted guest (needs Westmere, 2010, or newer)", NULL },
	{ &proc2_set, PROC2_VPID, "VPID", "every entry flushes" },
	{ &proc2_set, PROC2_RDTSCP, "RDTSCP", "guests have none" },
	{ &proc2_set, PROC2_INVPCID, "INVPCID", "guests have none" },
	{ &proc2_set, PROC2_PAUSE_LOOP, "PAUSE-loop exiting", "each PAUSE exits" },
	{ &proc2_set, PROC2_XSAVES, "XSAVES", "guests have none" },
	{ &proc2_set, PROC2_WBINVD, "WBINVD exiting", "guests flush the caches themselves" },
	{ &proc2_set, PROC2_X2APIC, "x2APIC mode", "EOI exits" },
	{ &proc2_set, PROC2_APIC_REGISTERS, "APIC registers", "reads exit" },
	{ &proc2_set, PROC2_VIRTUAL_IRQS, "interrupt delivery", "interrupts are injected" },
	{ &exit_set, EXITC_HOST_64, "host address-space size", NULL },
	{ &exit_set, EXITC_ACK_INTERRUPT, "acknowledge interrupt on exit", NULL },
	{ &exit_set, EXITC_SAVE_DEBUG, "save debug controls on exit", NULL },
	{ &exit_set, EXITC_SAVE_EFER, "save IA32_EFER on exit", NULL },
	{ &exit_set, EXITC_LOAD_EFER, "load IA32_EFER on exit", NULL },
	{ &exit_set, EXITC_SAVE_PAT, "save IA32_PAT on exit", NULL },
	{ &exit_set, EXITC_LOAD_PAT, "load IA32_PAT on exit", NULL },
	{ &exit_set, EXITC_SAVE_TIMER, "save preemption timer", "turns end by the host's timer" },
	{ &entry_set, ENTRYC_LOAD_DEBUG, "load debug controls on entry", NULL },
	{ &entry_set, ENTRYC_LOAD_EFER, "load IA32_EFER on entry", NULL },
	{ &entry_set, ENTRYC_LOAD_PAT, "load IA32_PAT on entry", NULL },
	{ &entry_set, ENTRYC_IA32E_GUEST, "clearing IA-32e mode guest", NULL },
};

/*
 * Rows for the "optional" lines of the log at start: each wished control, whether we got it, and what is
 * done without.
 */
size_t vmx_wished_rows(const struct vmx_controls *controls, struct cap_row *rows, size_t max)
{
	const struct { const struct control_set *set; uint64_t word; } words[] = {
		{ &pin_set, controls->pin }, { &proc_set, controls->proc }, { &proc2_set, controls->proc2 },
		{ &exit_set, controls->exit }, { &entry_set, controls->entry },
	};
	size_t count = 0;

	for (size_t i = 0; i < countof(bit_names); i++)
		for (size_t k = 0; k < countof(words) && count < max; k++)
			if (bit_names[i].set == words[k].set && (words[k].set->wished & bit_names[i].bit))
				rows[count++] = (struct cap_row){ bit_names[i].name, words[k].word & bit_names[i].bit,
								  bit_names[i].instead };
	return count;
}

static const char *name_of(const struct control_set *set, uint64_t bit)
{
	for (size_t i = 0; i < countof(bit_names); i++)
		if (bit_names[i].set == set && bit_names[i].bit == bit)
			return bit_names[i].name;
	return set->word;
}

/*
 * A virtual APIC is all of its controls or none of them: one that delivers interrupts must let their ends through. And
 * CR8, which exits as long as the APIC is software, must then be allowed not to.
 */
static void complete_virtual_apic(const struct vmx_caps *caps, struct vmx_controls *out)
{
	bool has_all = (out->proc2 & PROC2_VIRTUAL_APIC) == PROC2_VIRTUAL_APIC && (out->proc & PROC_TPR_SHADOW);

	if (has_all && !(caps->proc & (PROC_CR8_LOAD | PROC_CR8_STORE)))
		return;
	out->proc &= ~(uint64_t)PROC_TPR_SHADOW | lo32(caps->proc);
	out->proc2 &= ~(uint64_t)PROC2_VIRTUAL_APIC | lo32(caps->proc2);
}

/*
 * The five words for this processor. On a failure *missing is the name of a control that it lacks, for the
 * message that tells the user why his processor does not suffice.
 */
bool vmx_controls_init(const struct vmx_caps *caps, struct vmx_controls *out, const char **missing)
{
	const struct { const struct control_set *set; uint64_t cap; uint64_t *result; } words[] = {
		{ &pin_set, caps->pin, &out->pin },	{ &proc_set, caps->proc, &out->proc },
		{ &proc2_set, caps->proc2, &out->proc2 },	{ &exit_set, caps->exit, &out->exit },
		{ &entry_set, caps->entry, &out->entry },
	};
	uint64_t bit;

	for (size_t i = 0; i < countof(words); i++) {
		const struct control_set *set = words[i].set;

		if (!vmx_reconcile(words[i].cap, set->required, set->wished, set->forbidden, words[i].result, &bit)) {
			*missing = name_of(set, bit);
			return false;
		}
	}
	/* A turn is counted in guest time only when exits keep what is left of it: both controls or neither. */
	if (!(out->exit & EXITC_SAVE_TIMER))
		out->pin &= ~PIN_PREEMPTION_TIMER | lo32(caps->pin);
	complete_virtual_apic(caps, out);
	return true;
}

#define CAP_ROW(name, field) { name, offsetof(struct vmx_caps, field), sizeof(((struct vmx_caps *)NULL)->field) }

/*
 * vmx_controls is computed once, on the boot processor, and a vCPU may be entered on any processor: another
 * one must have exactly the same capabilities, or an entry could fail there that worked here.
 */
const char *vmx_caps_difference(const struct vmx_caps *one, const struct vmx_caps *other)
{
	static const struct { const char *name; size_t offset, size; } rows[] = {
		CAP_ROW("VMCS revision", revision),
		CAP_ROW("TRUE control registers", has_true),
		CAP_ROW("pin-based controls", pin),
		CAP_ROW("primary processor-based controls", proc),
		CAP_ROW("secondary processor-based controls", proc2),
		CAP_ROW("VM-exit controls", exit),
		CAP_ROW("VM-entry controls", entry),
		CAP_ROW("EPT and VPID", ept_vpid),
		CAP_ROW("miscellaneous data", misc),
		CAP_ROW("fixed bits of CR0", cr0_fixed0), CAP_ROW("fixed bits of CR0", cr0_fixed1),
		CAP_ROW("fixed bits of CR4", cr4_fixed0), CAP_ROW("fixed bits of CR4", cr4_fixed1),
	};

	for (size_t i = 0; i < countof(rows); i++)
		if (memcmp((const char *)one + rows[i].offset, (const char *)other + rows[i].offset, rows[i].size))
			return rows[i].name;
	return NULL;
}
