/* SPDX-License-Identifier: MIT */
#pragma once
/* RDMSR and WRMSR, counted. */
#include "hv/count.h"

#define rdmsr uncounted_rdmsr
#define wrmsr uncounted_wrmsr
#include_next "arch/x86/hw/insn.h"
#undef rdmsr
#undef wrmsr

static inline uint64_t rdmsr(uint32_t msr)
{
	insn_counts[COUNT_MSR]++;
	return uncounted_rdmsr(msr);
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	insn_counts[COUNT_MSR]++;
	uncounted_wrmsr(msr, val);
}
