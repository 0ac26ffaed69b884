/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Extended state (x87, SSE, AVX, AVX-512). The hypervisor is compiled without it, so a guest's
 * registers may stay in the processor across exits; they are switched only when another vCPU runs here.
 * Then the whole state of the old vCPU is stored and the whole state of the new one loaded, used or not, so
 * that nothing of one guest is left for another. XCR0 and XSS are part of that state.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t   fpu_area_pages(void);			/* pages to allocate for one area */
void     fpu_area_init(void *area);		/* architectural initial state: FCW 037f, MXCSR 1f80 */

/*
 * fpu_save leaves XCR0 with all that guests may set, and fpu_restore relies on that: it is called behind fpu_save, or while
 * no vCPU has been loaded since the start. Else what the former guest had in AVX registers would stay there.
 */
void     fpu_save(void *area, uint64_t xcr0);	/* of the loaded vCPU: what fpu_live_xcr0 says */
void     fpu_restore(const void *area, uint64_t xcr0, uint64_t xss);
bool     fpu_has_xsave(void);			/* else areas are FXSAVE64's */
uint64_t fpu_live_xcr0(void);			/* what the loaded vCPU has there: asked of the processor, see fpu.c */
uint64_t fpu_guest_xcr0_mask(void);		/* bits a guest may set on this host: x87, SSE, AVX, AVX-512 */
