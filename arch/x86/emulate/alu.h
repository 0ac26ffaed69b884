/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Integer arithmetic as the processor does it, flags included: for instructions whose memory
 * operand is a device. Pure. SDM vol. 1, 3.4.3.1 "Status Flags"; vol. 2 for each instruction's
 * "Flags Affected". tests/unit/test_native.c compares all of it with the host's own processor.
 *
 * In all functions *rflags gets the flags that the instruction defines and keeps all others.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/emulate/insn.h"

/*
 * The new value of `dest` (its old one for CMP, TEST and BT) of 1, 2, 4 or 8 bytes, for the kinds
 * INSN_ADD to INSN_NEG, XADD, BT to BTC, ROL to SAR, IMUL, BSF and BSR. One-operand forms ignore src. For shifts and
 * rotates src is the count as written, for BT a bit number below the size, for BSF and BSR the value that
 * is searched: when it is 0, dest stays.
 *
 * Flags that the manual leaves undefined: AF is cleared by logic operations and shifts, BT changes
 * CF only, OF is set as for a count of one.
 */
uint64_t alu_run(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src, uint64_t *rflags);

/* SHLD and SHRD: dest shifted, filled up with bits of src. */
uint64_t alu_double_shift(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src,
			  uint64_t count, uint64_t *rflags);

/* The whole product of two factors: its low half is returned, its high half stored. */
uint64_t alu_multiply(bool is_signed, unsigned size, uint64_t left, uint64_t right, uint64_t *high,
		      uint64_t *rflags);

/*
 * high:low by a divisor of half their size. False: the divisor is zero, or the quotient has no room in it:
 * #DE. All flags are undefined afterwards.
 */
__attribute__((warn_unused_result))
bool alu_divide(bool is_signed, unsigned size, uint64_t high, uint64_t low, uint64_t divisor, uint64_t *quotient,
		uint64_t *remainder);

/* Does the condition hold, 0 (O) to 15 (G), as JO to JG, SETcc and CMOVcc encode it? */
bool alu_condition(unsigned condition, uint64_t rflags);
