/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How many expensive instructions the hypervisor has executed, for the hypercall HC_COUNTS. An ordinary build
 * does not count: counting would cost more than some of what it counts. `make bench` builds a second hv.elf with
 * tests/bench/count first on the include path, where the instruction headers count and this one knows the sums.
 */
#include <stdint.h>

enum insn_count {
	COUNT_VMREAD = 1,	/* 0 is the number of exits, which every build knows */
	COUNT_VMWRITE,
	COUNT_MSR,		/* RDMSR and WRMSR */
	COUNT_INV,		/* INVEPT and INVVPID */
	COUNT_VMLOAD,		/* VMLOAD and VMSAVE */
	COUNT_END
};

static inline uint64_t insn_count(uint64_t which)
{
	(void)which;
	return 0;
}
