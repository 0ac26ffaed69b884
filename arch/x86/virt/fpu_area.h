/* SPDX-License-Identifier: MIT */
#pragma once
/* Extended state of a vCPU as data (host/fpu.c): what hv/vm_state.c needs to know of it. */
#include <stddef.h>

size_t fpu_area_size(void);		/* bytes */

/* The area came from outside: what XRSTOR and FXRSTOR would refuse with #GP becomes valid. */
void fpu_area_bound(void *area);
