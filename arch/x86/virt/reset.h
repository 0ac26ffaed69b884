/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a virtual processor holds before its first instruction, as one struct of constants per way to start:
 * the architectural reset, a real-mode start (boot sector, SIPI), Linux' 64-bit entry, flat protected mode
 * (Multiboot, Linux' 32-bit entry). vcpu_reset (save.h) gives it to a vCPU; nothing else writes start state.
 */
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

/* Selectors of the flat starts; the loader writes the GDT that goes with them and sets GDTR. */
#define RESET_LINUX_CODE	0x10
#define RESET_LINUX_DATA	0x18
#define RESET_MULTIBOOT_CODE	0x08
#define RESET_MULTIBOOT_DATA	0x10

struct reset_state {
	uint64_t       gpr[GPR_COUNT];
	uint64_t       rip, rsp, rflags;
	uint64_t       cr0, cr3, cr4, efer;
	struct segment seg[SEG_COUNT];
};

/* Real mode at segment:0; base = segment * 16 (SDM vol. 3, 9.4 "Multiple-Processor (MP) Initialization", SIPI). */
void reset_real_mode(struct reset_state *state, uint16_t segment, uint16_t ip);

/* Long mode with paging on, flat segments with Linux' selectors. */
void reset_long_mode(struct reset_state *state, uint64_t rip, uint64_t cr3);

/* 32-bit protected mode without paging, flat segments, A20 open. */
void reset_protected_mode(struct reset_state *state, uint32_t eip, uint16_t code_selector, uint16_t data_selector);
