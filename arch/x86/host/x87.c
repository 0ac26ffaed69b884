/* SPDX-License-Identifier: MIT */
/*
 * The x87 instructions with a memory operand (contract in x87.h): all 64 combinations of opcode and reg
 * field, each a stub of four bytes that executes the instruction with its operand at [RDI] and returns.
 * Combinations that are no instruction do not get past the decoder. Assembly, because the hypervisor's C is
 * compiled without these registers.
 */
#include "arch/x86/host/x87.h"

#define STUB_SIZE	4U
#define FSW_ES		0x80U	/* an unmasked exception is pending (SDM vol. 1, 8.1.3 "x87 FPU Status Register") */

typedef void stub_fn(uint8_t *operand);
extern const uint8_t x87_stubs[];

__asm__(
	".pushsection .text.x87_stubs, \"ax\"\n"
	".globl x87_stubs\n"
	"x87_stubs:\n"
	".set number, 0\n"
	".rept 64\n"
	"	.byte 0xd8 + number / 8, number % 8 * 8 + 7\n"
	"	ret\n"
	"	.byte 0x90\n"
	"	.set number, number + 1\n"
	".endr\n"
	".popsection\n");

static void save(struct fpu_area *area) { __asm__ volatile("fxsave64 %0" : "=m"(*area)); }
static void load(const struct fpu_area *area) { __asm__ volatile("fxrstor64 %0" : : "m"(*area)); }

static stub_fn *stub_of(unsigned number)
{
	return (stub_fn *)(uintptr_t)(x87_stubs + (number & 63) * STUB_SIZE);
}

/* FNSTCW and FNSTSW (SDM vol. 1, 8.3.11 "Waiting vs. Non-waiting Instructions"). */
static bool is_waiting(unsigned number)
{
	return number != X87_NUMBER(0xd9, 7) && number != X87_NUMBER(0xdd, 7);
}

bool x87_may_execute(struct fpu_area *scratch, unsigned number)
{
	save(scratch);
	return !(scratch->fsw & FSW_ES) || !is_waiting(number);
}

void x87_execute(struct fpu_area *scratch, unsigned number, uint8_t operand[X87_OPERAND_MAX], uint64_t rip,
		 uint64_t addr)
{
	uint64_t fip = scratch->fip, fdp = scratch->fdp;

	stub_of(number)(operand);
	save(scratch);
	/* Some processors update the two addresses only with an exception: compare what the area holds first. */
	if (scratch->fip == fip && scratch->fdp == fdp)
		return;
	if (scratch->fip != fip)
		scratch->fip = rip;
	if (scratch->fdp != fdp)
		scratch->fdp = addr;
	load(scratch);
}
