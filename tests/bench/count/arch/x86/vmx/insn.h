/* SPDX-License-Identifier: MIT */
#pragma once
/* The VMX instructions, counted. Each wrapper has the signature of what it replaces. */
#include "hv/count.h"

#define vmread		uncounted_vmread
#define vmread_optional	uncounted_vmread_optional
#define vmwrite		uncounted_vmwrite
#define invept		uncounted_invept
#define invvpid		uncounted_invvpid
#include_next "arch/x86/vmx/insn.h"
#undef vmread
#undef vmread_optional
#undef vmwrite
#undef invept
#undef invvpid

static inline uint64_t vmread(uint64_t field)
{
	insn_counts[COUNT_VMREAD]++;
	return uncounted_vmread(field);
}

static inline uint64_t vmread_optional(uint64_t field)
{
	insn_counts[COUNT_VMREAD]++;
	return uncounted_vmread_optional(field);
}

static inline void vmwrite(uint64_t field, uint64_t val)
{
	insn_counts[COUNT_VMWRITE]++;
	uncounted_vmwrite(field, val);
}

static inline bool invept(uint64_t type, uint64_t eptp)
{
	insn_counts[COUNT_INV]++;
	return uncounted_invept(type, eptp);
}

static inline bool invvpid(uint64_t type, uint16_t vpid)
{
	insn_counts[COUNT_INV]++;
	return uncounted_invvpid(type, vpid);
}
