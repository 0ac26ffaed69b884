/* SPDX-License-Identifier: MIT */
/*
 * Extended state, switched when another vCPU comes to this processor: XSAVE in the standard format, or FXSAVE
 * on processors without it. SDM vol. 1, chapter 13 "Managing State Using the XSAVE Feature Set". Not XSAVES:
 * guests have no supervisor components (exit/msr.c keeps XSS at 0), and who looks into an area (fpu_area.c) knows
 * where everything is.
 *
 * XSAVE touches only what XCR0 enables, and a guest may have filled AVX registers and then switched AVX off
 * in its XCR0. So both directions run with every bit a guest may ever set: XCR0 has them from fpu_save to fpu_restore, and from
 * the start on (cpu_init.c). The guest's own XCR0 comes last. XSETBV waits for all before it, and guests mostly have all of these bits set. XSS is of no effect to either: the guest's is there when it runs. Plain assembly: the hypervisor is compiled
 * without these registers.
 */
#include "arch/x86/host/fpu.h"

#include "arch/x86/host/features.h"
#include "arch/x86/host/fpu_area.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/fpu_area.h"
#include "hv/addr.h"
#include "hv/lib/string.h"

#define FCW_INIT	0x037fU
#define MXCSR_INIT	0x1f80U
#define MXCSR_BITS	0xffffU

bool fpu_has_xsave(void) { return cpu_features.has_xsave; }

uint64_t fpu_guest_xcr0_mask(void) { return cpu_features.xcr0_guest; }

size_t fpu_area_size(void)
{
	return cpu_features.has_xsave ? cpu_features.xsave_size : sizeof(struct fpu_area);
}

size_t fpu_area_pages(void)
{
	return (size_t)(align_up(fpu_area_size(), PAGE_SIZE) / PAGE_SIZE);
}

/* SDM vol. 1, 13.8.1 "Standard Form of XRSTOR", 10.5.1.2 "SSE State": reserved bits of MXCSR and of the header. */
void fpu_area_bound(void *area)
{
	struct fpu_area *fpu = area;

	fpu->mxcsr &= MXCSR_BITS;
	fpu->xstate_bv &= fpu_guest_xcr0_mask();
	fpu->xcomp_bv = 0;
	memset(fpu->reserved1, 0, sizeof(fpu->reserved1));
}

void fpu_area_init(void *area)
{
	struct fpu_area *fpu = area;

	memset(area, 0, fpu_area_pages() * PAGE_SIZE);
	fpu->fcw = FCW_INIT;
	fpu->mxcsr = MXCSR_INIT;
	/*
	 * x87 and SSE are marked as in use, so that MXCSR is loaded from the area; the rest takes its
	 * initial state.
	 */
	fpu->xstate_bv = XCR0_X87 | XCR0_SSE;
}

/*
 * XCR0 is read from the processor, which has it while the vCPU is loaded: vcpu->xcr0 may be out of date. With an old
 * value CPUID leaf 0xD would be wrong, and AVX state would not be saved.
 */
uint64_t fpu_live_xcr0(void)
{
	return cpu_features.has_xsave ? xgetbv(0) : XCR0_X87;
}

/* EDX:EAX is a mask of components; the instructions work on those that are in the mask and in XCR0 or XSS. */
#define XSTATE(insn, area, mask)						\
	__asm__ volatile(insn " (%0)" : : "r"(area), "a"((uint32_t)lo32(mask)),	\
			 "d"((uint32_t)hi32(mask)) : "memory")

void fpu_save(void *area, uint64_t xcr0)
{
	const uint64_t mask = fpu_guest_xcr0_mask();

	if (!cpu_features.has_xsave) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
		return;
	}
	if (mask != xcr0)
		xsetbv(0, mask);
	XSTATE("xsave64", area, mask);
}

/* FNINIT first: AMD's processors restore the last x87 instruction's addresses only when an error is pending. */
void fpu_restore(const void *area, uint64_t xcr0, uint64_t xss)
{
	const uint64_t mask = fpu_guest_xcr0_mask();

	__asm__ volatile("fninit" : : : "memory");
	if (!cpu_features.has_xsave) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		return;
	}
	XSTATE("xrstor64", area, mask);
	if (mask != xcr0)
		xsetbv(0, xcr0);
	if (cpu_features.has_xsaves)
		wrmsr(MSR_IA32_XSS, xss);
}
