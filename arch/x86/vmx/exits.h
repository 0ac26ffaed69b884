/* SPDX-License-Identifier: MIT */
#pragma once
/* What the files of this directory that work at an exit share: layouts of the qualification, the rows, the step. */
#include "arch/x86/exit/decoded.h"
#include "arch/x86/exit/exit.h"
#include "hv/lib/bits.h"
#include "arch/x86/vmx/vmx.h"

struct vcpu;

/* Exit qualification for I/O instructions, table 28-5. */
#define IOQ_SIZE	FIELD(2, 0)	/* bytes - 1 */
#define IOQ_IN		BIT(3)
#define IOQ_STRING	BIT(4)
#define IOQ_REP		BIT(5)
#define IOQ_PORT	FIELD(31, 16)

/*
 * EPT violations, table 28-7. Pure; inline, because device notifications and first touches come this way.
 * EPTQ_RIGHTS are the permissions that the entries on the way to the page had in common: all clear means
 * that nothing was mapped. The access was the guest's own page walk (setting an accessed bit, reading an
 * entry) when a linear address is given that was not the one being translated at last.
 */
static inline struct npt_fault vmx_decode_ept(uint64_t qual, uint64_t addr)
{
	return (struct npt_fault){
		.addr = gpa(addr),
		.is_write = qual & EPTQ_WRITE,
		.is_fetch = qual & EPTQ_FETCH,
		.was_mapped = qual & EPTQ_RIGHTS,
		.in_walk = (qual & EPTQ_LINEAR_VALID) && !(qual & EPTQ_FINAL),
	};
}

/* Two rows of ours behind the manual's reasons: a reason that is not in the list, and an entry that failed. */
enum { VMX_ROW_UNKNOWN = VMX_EXIT_TPAUSE + 1, VMX_ROW_REFUSED, VMX_ROW_COUNT };

extern const struct exit_row vmx_rows[VMX_ROW_COUNT];

void vmx_step_over(struct vcpu *vcpu);
void vmx_close_windows(struct vcpu *vcpu);	/* inject.c: the processor does not clear these controls at the exit */

/* A failed VM entry in words (explain_report.c): stops the VM. */
enum exit_result vmx_entry_failed(struct vcpu *vcpu);
