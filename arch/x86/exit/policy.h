/* SPDX-License-Identifier: MIT */
#pragma once
/* What a guest may do with MSRs, CR0, CR4 and XCR0: the vendors' bitmaps and controls are computed from it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/virt/guest_caps.h"

struct vcpu;

enum msr_rule { MSR_DENY, MSR_PASS, MSR_EMULATE };	/* #GP; straight to the guest's own register; our handler */

enum msr_source { MSR_FUNCTION, MSR_VALUE, MSR_FIELD, MSR_REG };	/* where an emulated register's value comes from */

/* The register's number is in ECX. False: #GP. */
typedef bool msr_read_fn(struct vcpu *vcpu, uint64_t *val);
typedef bool msr_write_fn(struct vcpu *vcpu, uint64_t val);

struct msr_policy {
	uint32_t      msr, last;	/* last: end of a range, 0 = one register */
	enum msr_rule read : 8, write : 8;
	enum msr_vendor vendor : 8;	/* whose processors have it: #GP on the others */
	enum msr_source source : 8;
	union {
		uint64_t     value;	/* the constant, the offset in struct vcpu, or the enum guest_reg */
		msr_read_fn *read_fn;	/* for MSR_FUNCTION */
	};
	msr_write_fn *write_fn;		/* only of an emulated one; NULL: what is written is ignored */
};
const struct msr_policy *msr_policy_table(size_t *count);	/* sorted by msr; PASS rows matter to the bitmaps */

void msr_reset(struct vcpu *vcpu);	/* the emulated registers' reset values */

/* CR0 and CR4 bits a guest may set on this host; everything else is #GP. */
uint64_t cr0_guest_allowed(void);
uint64_t cr4_guest_allowed(const struct vcpu *vcpu);
/* CR4 bits whose changes need no exit. */
uint64_t cr4_guest_owned(const struct vcpu *vcpu);

bool xcr0_is_valid(uint64_t val, uint64_t mask);	/* pure part of XSETBV */
