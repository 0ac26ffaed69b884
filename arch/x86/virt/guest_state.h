/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All of a virtual processor that its guest can see, in neutral words: what save.c saves and restores.
 * Extended state and the local APIC are sections of their own (hv/vm_state.c).
 *
 * It is plain data and may come from anywhere. guest_state_bound makes it harmless to us: what would fault
 * when we load it into the processor becomes zero. A state that the guest could not have, but that harms
 * nobody else, is left to the entry, which refuses it and ends that VM by name.
 */
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

#define MTRR_REGS	32U

struct guest_event { uint32_t is_valid, type, vector, has_error, error, insn_len; };

struct guest_state {
	uint64_t       gpr[GPR_COUNT];			/* RSP in its place */
	uint64_t       reg[GUEST_REG_COUNT];		/* by enum guest_reg */
	struct segment seg[SEG_COUNT];
	uint64_t       pdpte[4];			/* in PAE paging they are registers */
	uint64_t       star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t       cr2, dr[4], dr6, dr7;		/* as the guest reads them; the processor's DR7 follows from it */
	uint64_t       xcr0, xss;
	uint64_t       tsc_offset, tsc_adjust, tsc_aux;
	uint64_t       misc_enable, pv_time, pv_wall, pv_steal, pv_eoi;
	uint64_t       mtrr[MTRR_REGS];
	struct guest_event pending;
	uint32_t       run_state;			/* enum vcpu_state */
	uint32_t       halted_if, nmi_pending, nmi_blocked, is_unhalted;
	uint32_t       in_shadow;			/* 0, or enum shadow_kind */
	uint32_t       debug_due;			/* of a #DB that has not been delivered yet: DEBUG_DUE_... */
	uint32_t       unused;				/* or a saved state would hold bytes that have no name */
};

/*
 * A single step that ended or breakpoints that were met while a #DB could not be delivered, behind MOV SS. The bits
 * are those of DR6, and one that tells whether a breakpoint is enabled in DR7 (SDM vol. 3, 25.4.2, table 25-4).
 * AMD-V tells of neither.
 */
#define DEBUG_DUE_BREAKPOINTS	0x0000000fU	/* B0 to B3 */
#define DEBUG_DUE_ENABLED	0x00001000U
#define DEBUG_DUE_STEP		0x00004000U	/* BS */

/* AMD-V does not say which instruction cast the shadow: there it is always SHADOW_STI. */
enum shadow_kind { SHADOW_NONE, SHADOW_STI, SHADOW_MOV_SS };

/* Pure: xcr0_mask says which bits of XCR0 a guest may set here. */
void guest_state_bound(struct guest_state *state, uint64_t xcr0_mask);
