/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What an emulated processor gets wrong in a way that we have to put right: the manual says one thing, it
 * does another, and a guest would notice, or we would. Each is measured once, on the boot processor, by what
 * it does and not by its name (or concluded, where minding it is right on every processor), and minded where its
 * comment here says. On a processor that keeps to the manuals all are false.
 *
 * What an emulator does differently within the manuals' freedom, or what costs nothing to allow for, is no quirk.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/hw/insn.h"
#include "boot/handoff.h"

struct quirks {
	/*
	 * Bochs 2.7. CPUID leaf 0Dh, subleaf 1, EBX is the size of the compacted XSAVE area (SDM vol. 1,
	 * 13.4.3); it is the standard format's, and XRSTORS then loses registers ZMM16 to ZMM31. Measured:
	 * that size. Minded: exit/cpuid_create.c, for a policy without XSAVEC.
	 */
	bool compacts_wrongly;

	/*
	 * QEMU 7.2. CMPXCHG16B changes ZF and no other flag (SDM vol. 2); it leaves some number that was added
	 * before in RFLAGS, VM, TF and reserved bits too, until the next instruction that computes flags. An exit
	 * meanwhile, for an interrupt or a page, saves them, and the next VMRUN loads them: the guest dies. Measured:
	 * by one. Minded: exit/cpuid_create.c does not offer it. CMPXCHG8B does the same, and every 64-bit kernel
	 * takes for granted that it is there.
	 */
	bool garbles_flags;

	/*
	 * Bochs 2.7, VT-x. A virtual interrupt waits while the guest's IF is 0 (SDM vol. 3, 30.2.2 "Virtual-Interrupt
	 * Delivery"); when one of the host's arrives meanwhile, it is delivered all the same, and a kernel that holds a
	 * spin lock waits for itself. Concluded: from virtual-interrupt delivery without posted interrupts, which no
	 * processor of Intel's has. Minded: vmx/quirk_masked.c.
	 */
	bool delivers_masked;

	/* The rest is of AMD-V, measured with tiny guests in svm/quirks.c. */

	/*
	 * QEMU 7.2. VMRUN loads the interrupt shadow of the VMCB (APM vol. 2, 15.21.5); it forgets it.
	 * Measured: a virtual interrupt strikes in the shadow. Minded: svm/quirk_shadow.c keeps the shadow,
	 * and steps out of it before it opens a window.
	 */
	bool forgets_shadow;

	/*
	 * QEMU 7.2. SYSENTER in compatibility mode is #UD on AMD's processors (APM vol. 3, SYSENTER); it
	 * runs, and leaves a CS with both L and D set, which VMRUN refuses. Measured: by one. Minded:
	 * svm/backend.c, by svm_mend_cs.
	 */
	bool mixes_cs;

	/*
	 * QEMU 7.2. Bit 5 of a PDPTE in PAE paging is reserved (APM vol. 2, 5.2.3); it sets it, as if
	 * accessed. Measured: after a guest with PAE paging has run. Minded: emulate/gva.c takes such an
	 * entry for good.
	 */
	bool marks_pae_pointers;

	/*
	 * Bochs 2.7. DR6 is up to date when #DB exits (APM vol. 2, 15.12.2); BS is missing after a single
	 * step. Measured: by one step. Minded: svm_debug_status concludes that it was a step.
	 */
	bool hides_step;

	/*
	 * Bochs 2.7. A guest's single step over an instruction that is intercepted is gone with the exit (APM
	 * vol. 2, 15.5.1: #VMEXIT loads the host's RFLAGS); it strikes in us, right behind VMRUN. Measured:
	 * steps_dropped. Minded: host/trap.c drops it.
	 */
	bool     steps_reach_us;
	uint32_t steps_dropped;
};

extern struct quirks quirks;

/*
 * Shall a processor that delivers interrupts (struct guest_caps) do so in a VM whose key test_apic says this? By itself not
 * where that takes so much care that to inject is quicker.
 */
static inline bool quirks_let_deliver(bool delivers, uint32_t test_apic)
{
	return delivers && (test_apic == LAPIC_PROCESSOR || (test_apic == LAPIC_AUTO && !quirks.delivers_masked));
}

/* Last of a back end's start on the boot processor: measures what does not take a guest, and logs all by name. */
void quirks_complete(void);

/* Pure: the components that the host has enabled, and what it says to CPUID. */
bool quirks_compaction_is_wrong(uint64_t components, struct cpuid_regs (*host)(uint32_t leaf, uint32_t subleaf));
