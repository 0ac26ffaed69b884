/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One instruction on the processor that the test runs on, with all general registers, RSP too, and the flags
 * given. It must not fault, and not jump.
 */
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

struct native_cpu {
	uint64_t gpr[GPR_COUNT];	/* by enum gpr */
	uint64_t rflags;
	void    *fpu;			/* XSAVE area with the components `fpu_mask`; NULL: not looked at */
	uint64_t fpu_mask;
};

void native_prepare(void);			/* once, before the others */
void native_load_code(const uint8_t *code, size_t len);
void native_run(struct native_cpu *cpu);	/* before, then after */
