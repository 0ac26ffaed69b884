/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a guest may be promised of this processor, with the controls that this back end got: filled once, by
 * `supported` on the boot processor, and constant from then on. struct cpu_features says what the processor
 * has, and nobody but host/cpu.c writes it.
 */
#include <stdbool.h>

struct guest_caps {
	bool rdtscp, invpcid, xsaves;	/* instructions that need a control of VT-x; CPUID offers them only with it */
	bool small_code;		/* guests execute from small pages only: npt.h */
};
