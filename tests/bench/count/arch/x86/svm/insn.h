/* SPDX-License-Identifier: MIT */
#pragma once
/* VMSAVE from C, counted. */
#include "hv/count.h"

#define vmsave	uncounted_vmsave
#include_next "arch/x86/svm/insn.h"
#undef vmsave

static inline void vmsave(uint64_t vmcb_pa)
{
	insn_counts[COUNT_VMLOAD]++;
	uncounted_vmsave(vmcb_pa);
}
