/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Where a register is in the area that XSAVE or FXSAVE64 wrote (standard format). SDM vol. 1, 10.5.1 "FXSAVE Area"
 * and 13.4 "XSAVE Area".
 */
#include <stddef.h>
#include <stdint.h>

/* The first 576 bytes of an area: legacy region and XSAVE header. */
struct fpu_area {
	uint16_t fcw, fsw;
	uint8_t  ftw, reserved0;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t  st[8][16];
	uint8_t  xmm[16][16];
	uint8_t  reserved1[96];
	uint64_t xstate_bv, xcomp_bv;
	uint8_t  reserved2[48];
};
_Static_assert(offsetof(struct fpu_area, xmm) == 160, "FXSAVE64");
_Static_assert(offsetof(struct fpu_area, xstate_bv) == 512, "XSAVE header");

#define FPU_COMPONENT_SSE	1U	/* bit numbers of XCR0 */
#define FPU_COMPONENT_AVX	2U	/* bits 128 to 255 of sixteen registers */
#define FPU_COMPONENT_ZMM_HIGH	6U	/* bits 256 to 511 of them */

/*
 * Where a component's bytes are in the area. The component is marked as in use; if it was in its initial
 * state, its bytes are set to zero first. `components` is XCR0 at the time of the save, 0 for FXSAVE64.
 * NULL: not in this area.
 */
uint8_t *fpu_component(struct fpu_area *area, unsigned component, uint64_t components);
