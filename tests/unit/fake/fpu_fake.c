/* SPDX-License-Identifier: MIT */
/*
 * host/fpu.c for host tests: a vCPU's registers are always in its area, never in the processor. The
 * layout is that of the processor the test runs on.
 */
#include "arch/x86/host/fpu.h"

#include "arch/x86/hw/cr.h"

bool     fpu_has_xsave(void) { return true; }
uint64_t fpu_live_xcr0(void) { return fpu_guest_xcr0_mask(); }

uint64_t fpu_guest_xcr0_mask(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low | (uint64_t)high << 32) & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
}

void fpu_save(void *area, uint64_t xcr0)
{
	(void)area;
	(void)xcr0;
}

void fpu_restore(const void *area, uint64_t xcr0, uint64_t xss)
{
	(void)area;
	(void)xcr0;
	(void)xss;
}
