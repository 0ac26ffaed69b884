/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory types as MSRs: rows of the policy table in msr.c, functions in mtrr.c. */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* vcpu->mtrr: eight base/mask pairs, eleven fixed-range registers, the default type. */
enum { MTRR_PAIRS = 8, MTRR_VARIABLE = 2 * MTRR_PAIRS, MTRR_FIXED = MTRR_VARIABLE, MTRR_DEFAULT = MTRR_FIXED + 11 };

bool mtrr_read_cap(struct vcpu *vcpu, uint32_t msr, uint64_t *val);
bool mtrr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *val);
bool mtrr_write(struct vcpu *vcpu, uint32_t msr, uint64_t val);
void mtrr_reset(struct vcpu *vcpu);

bool pat_is_valid(uint64_t val);	/* all eight entries are memory types: SDM vol. 3, 12.12.2 */
