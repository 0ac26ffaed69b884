/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory type range registers: rows of the policy table in msr.c, functions in mtrr.c. */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* vcpu->mtrr: eight base/mask pairs, eleven fixed-range registers, the default type. */
enum {
	MTRR_PAIRS = 8, MTRR_VARIABLE = 2 * MTRR_PAIRS, MTRR_FIXED = MTRR_VARIABLE, MTRR_DEFAULT = MTRR_FIXED + 11,
};

#define MTRRCAP_FIX	0x100U
#define MTRRCAP_WC	0x400U
#define MTRRCAP_HERE	(MTRRCAP_WC | MTRRCAP_FIX | MTRR_PAIRS)

uint64_t *mtrr_slot(struct vcpu *vcpu, uint32_t msr);	/* where its value is kept; msr is an MTRR */
bool mtrr_is_valid(uint32_t msr, uint64_t val, unsigned phys_bits);	/* may a guest write this? */
void mtrr_reset(struct vcpu *vcpu);
