/* SPDX-License-Identifier: MIT */
/*
 * MSR accesses that may fault. Each such instruction leaves a row (its address, where to go on) in the
 * section .fixup_table; the #GP and #UD handlers look a faulting RIP up and continue at the landing place
 * as if the instruction had been skipped. hv.ld gathers the rows between __fixup_start and __fixup_end.
 */
#include "arch/x86/host/fixup.h"

#include "hv/lib/bits.h"

struct fixup { uint64_t insn, landing; };

extern const struct fixup __fixup_start[], __fixup_end[];

#define FIXUP_ROW	".pushsection .fixup_table, \"a\"\n\t.quad 1b, 2f\n\t.popsection\n\t"

bool rdmsr_safe(uint32_t msr, uint64_t *val)
{
	uint32_t lo = 0, hi = 0, ok = 0;

	__asm__ volatile("1:\trdmsr\n\t"
			 FIXUP_ROW
			 "movl $1, %0\n"
			 "2:"
			 : "+r"(ok), "+a"(lo), "+d"(hi) : "c"(msr));
	*val = join32(hi, lo);
	return ok;
}

bool wrmsr_safe(uint32_t msr, uint64_t val)
{
	uint32_t ok = 0;

	__asm__ volatile("1:\twrmsr\n\t"
			 FIXUP_ROW
			 "movl $1, %0\n"
			 "2:"
			 : "+r"(ok) : "c"(msr), "a"((uint32_t)lo32(val)), "d"((uint32_t)hi32(val)) : "memory");
	return ok;
}

uint64_t fixup_find(uint64_t rip)
{
	for (const struct fixup *row = __fixup_start; row < __fixup_end; row++)
		if (row->insn == rip)
			return row->landing;
	return 0;
}
