/* SPDX-License-Identifier: MIT */
#pragma once
/* A processor for host tests: this_cpu() finds it through GS, which a user program may set as it likes. */
#include "arch/x86/host/cpu.h"

extern struct cpu cpu_fake;

void cpu_fake_install(void);	/* all zero, and from now on the one we run on */
