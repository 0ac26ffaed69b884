/* SPDX-License-Identifier: MIT */
#pragma once
/* A struct in the guest's memory that an MSR of ours names: bit 0 switches it on, the rest is its address. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/pv/kvm.h"
#include "hv/gpm.h"

static inline gpa_t guest_struct_at(uint64_t msr)
{
	return gpa(msr & ~PV_ENABLE);
}

/* May the MSR hold this? Memory that nobody has touched is zeroed in this exit, not when the struct is first written. */
static inline bool guest_struct_accept(struct gpm *gpm, uint64_t msr, uint64_t len)
{
	if (!(msr & PV_ENABLE))
		return true;
	if (!gpm_is_ram(gpm, guest_struct_at(msr), len))
		return false;
	(void)!gpm_touch(gpm, guest_struct_at(msr), len);
	return true;
}
