/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One x87 instruction with a memory operand, executed by this processor on the x87 registers that are in it: the
 * guest's, at an exit. Nobody could compute FBSTP or FDIVR more exactly.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/host/fpu_area.h"

/*
 * Opcode D8 to DF (low three bits), reg field of ModRM (low three bits): the number of an instruction. Not for
 * FLDENV, FNSTENV, FNSAVE and FRSTOR, which are larger than an operand and know addresses.
 */
#define X87_NUMBER(opcode, reg)	(((opcode) & 7U) << 3 | (reg))
#define X87_OPERAND_MAX	16U

/*
 * May this one be executed now? False: an unmasked exception is pending, which comes first. The instructions
 * that do not wait for exceptions may. `scratch` is overwritten.
 */
__attribute__((warn_unused_result)) bool x87_may_execute(struct fpu_area *scratch, unsigned number);

/*
 * Only if it may, and with scratch as it was left then. The instruction and operand addresses that the processor
 * remembers become `rip` and `addr`, not ours.
 */
void x87_execute(struct fpu_area *scratch, unsigned number, uint8_t operand[X87_OPERAND_MAX], uint64_t rip,
		 uint64_t addr);
