/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The vendor cut: everything the rest of the tree may ask of Intel VT-x or AMD-V, and nothing else.
 * arch/x86/vmx/ and arch/x86/svm/ each supply one const struct; virt_choose picks it once, before any VM.
 * Policy (CPUID, MSR, CR) is not here: it exists once, in arch/x86/exit/, and each vendor's bitmaps.c
 * computes its bitmaps from those tables.
 *
 * All functions run on the processor that owns the vCPU, interrupts off.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/virt/guest_caps.h"
#include "arch/x86/virt/npt.h"

struct vcpu;
struct vm;
struct guest_state;

struct virt_backend {
	const char *name;			/* "VT-x", "AMD-V" */
	const char *block_name;			/* "VMCS", "VMCB" */

	/*
	 * Asked on each processor, the boot processor first: others must also be like it, for a vCPU may
	 * run on any. false: *why_not is a TZ-Exxx line with the remedy, or on others what differs.
	 */
	bool (*supported)(const char **why_not);
	void (*cpu_on)(void);			/* once per processor */
	void (*cpu_off)(void);

	int  (*vcpu_create)(struct vcpu *);
	void (*vcpu_destroy)(struct vcpu *);	/* accepts half-built vCPUs */

	/*
	 * MSRs that stay in the processor across exits: load puts the vCPU's into this processor, put takes
	 * them back.
	 */
	void (*load)(struct vcpu *);
	void (*put)(struct vcpu *);

	/* A vCPU that is not loaded goes to another processor: nothing of its control block stays in this one. */
	void (*leave)(struct vcpu *);

	/*
	 * What get and get_seg do not reach, of a vCPU that is not loaded: MSRs, blocking, shadow, PDPTEs.
	 * restore comes last, and leaves nothing of an earlier life: no event, no window.
	 */
	void (*save)(struct vcpu *, struct guest_state *);
	void (*restore)(struct vcpu *, const struct guest_state *);

	/*
	 * deliver: make the vCPU's control block ready for an entry (VT-x: current again), and inject what
	 * waits for the guest; virt/inject.h decides, the vendor writes the fields. enter: until the exit.
	 */
	void (*deliver)(struct vcpu *);
	void (*enter)(struct vcpu *);		/* fills vcpu->exit; an entry that failed is a row of its own */
	void (*step_over)(struct vcpu *);	/* the instruction of vcpu->exit was emulated: move RIP; RF, shadow, TF */

	uint64_t (*get)(struct vcpu *, enum guest_reg);	/* parts of segments too */
	void (*set)(struct vcpu *, enum guest_reg, uint64_t);	/* below GUEST_REG_COUNT */
	void (*get_seg)(struct vcpu *, enum guest_seg, struct segment *);
	void (*set_seg)(struct vcpu *, enum guest_seg, const struct segment *);

	/*
	 * The vCPU leaves the guest after so many ticks of guest time. false: this processor has no timer
	 * that does it.
	 */
	bool (*limit_turn)(struct vcpu *, uint64_t ticks);
	void (*end_shadow)(struct vcpu *);	/* the interrupt shadow of STI, MOV SS and POP SS is over */
	void (*set_tsc_offset)(struct vcpu *, uint64_t offset);	/* what hardware adds to the host's TSC for this guest */

	void (*flush)(struct vcpu *);		/* translations of this guest, nested and its own */
	bool (*dump)(struct vcpu *, unsigned line);	/* a line about its fields, to the log; false: there are fewer */

	const struct guest_caps *caps;		/* data, not functions */
	const struct npt_format *npt;		/* likewise */
	struct exit_table exits;		/* likewise: a row for each reason */
};

extern const struct virt_backend vmx_backend, svm_backend;
extern const struct virt_backend *virt;	/* the chosen one; set once by virt_choose */

/*
 * The first that this processor supports. NULL: done; else why there is none, with the remedy, in the words
 * of its vendor.
 */
__attribute__((warn_unused_result)) const char *virt_choose(void);
