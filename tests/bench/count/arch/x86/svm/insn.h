/* SPDX-License-Identifier: MIT */
#pragma once
/* VMSAVE from C, counted. INVLPGA counts as an invalidation. */
#include "hv/count.h"

#define vmsave	uncounted_vmsave
#define invlpga	uncounted_invlpga
#include_next "arch/x86/svm/insn.h"
#undef vmsave
#undef invlpga

static inline void vmsave(uint64_t vmcb_pa)
{
	insn_counts[COUNT_VMLOAD]++;
	uncounted_vmsave(vmcb_pa);
}

static inline void invlpga(uint64_t addr, uint32_t asid)
{
	insn_counts[COUNT_INV]++;
	uncounted_invlpga(addr, asid);
}
