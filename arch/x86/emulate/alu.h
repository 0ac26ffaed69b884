/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Integer arithmetic as the processor does it, flags included: for instructions whose memory
 * operand is a device. Pure. SDM vol. 1, 3.4.3.1 "Status Flags"; vol. 2 for each instruction's
 * "Flags Affected".
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/emulate/insn.h"

/* Does alu_run know this kind? ADD to TEST, INC, DEC, NOT, NEG, XADD, BT, BTS, BTR, BTC. */
bool alu_has(enum insn_kind kind);

/*
 * The new value of `dest` (its old one for CMP, TEST and BT) of 1, 2, 4 or 8 bytes; *rflags gets
 * the flags the instruction defines and keeps all others. Undefined flags: AF is cleared by logic
 * operations, BT changes CF only, both as processors do. One-operand forms ignore src. BT's src is
 * a bit number below the size.
 */
uint64_t alu_run(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src, uint64_t *rflags);
