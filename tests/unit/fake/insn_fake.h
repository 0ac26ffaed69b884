/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The registers behind the fake arch/x86/hw/insn.h, and host/fixup.h's accesses that may fault. An MSR exists when the
 * test has made it: any other ends the test, or makes a safe access fail, as #GP does on hardware.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/hw/insn.h"

struct fake_msr { uint32_t msr; bool is_locked; unsigned reads, writes; uint64_t val; };	/* locked: a write is #GP */

extern struct insn_fake {
	struct fake_msr msrs[64];
	unsigned msr_count;
	uint64_t cr0, cr2, cr3, cr4, dr[8], xcr0;
	uint64_t tsc, tsc_step;		/* each RDTSC adds the step; with step 0 it is this computer's */
	bool garbles_flags;		/* CMPXCHG16B does */
	unsigned open_irqs, wait_irqs, pauses, verws, nmis;
	/* What else instructions do; without a function CPUID is this computer's, and the others end the test. */
	struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t subleaf);
	uint32_t (*in)(uint16_t port, unsigned size);
	void (*out)(uint16_t port, unsigned size, uint32_t val);
	void (*halt)(void);
	void (*stop)(void);		/* must not return */
} insn_fake;

void insn_fake_init(void);			/* all registers 0, no MSR, no functions */
struct fake_msr *insn_fake_msr(uint32_t msr);	/* makes it, with 0, if it does not exist */
