/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a virtual processor holds before its first instruction, as one struct of constants per way to start:
 * the architectural reset, a real-mode start (boot sector, SIPI), Linux' 64-bit entry, Multiboot's flat
 * protected mode. vcpu_reset (guest_state.h) gives it to a vCPU; nothing else writes start state.
 */
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

/* Selectors of the two flat starts; a GDT that goes with them is the loader's business. */
#define RESET_LONG_CODE	0x10
#define RESET_LONG_DATA	0x18
#define RESET_FLAT_CODE	0x08
#define RESET_FLAT_DATA	0x10

struct reset_state {
	uint64_t       gpr[GPR_COUNT];
	uint64_t       rip, rsp, rflags;
	uint64_t       cr0, cr3, cr4, efer;
	struct segment seg[SEG_COUNT];
};

/* SDM vol. 3, 10.1.1 "Processor State After Reset": CS base ffff0000, RIP fff0. */
void reset_architectural(struct reset_state *state);

/* Real mode at segment:0; base = segment * 16 (SDM vol. 3, 9.4 "Multiple-Processor (MP) Initialization", SIPI). */
void reset_real_mode(struct reset_state *state, uint16_t segment, uint16_t ip);

/* Long mode with paging on, flat segments (selectors 0x10 code, 0x18 data), GDT at gdt_base. */
void reset_long_mode(struct reset_state *state, uint64_t rip, uint64_t cr3, uint64_t gdt_base,
		     uint16_t gdt_limit);

/* 32-bit protected mode without paging, flat segments (selectors 0x08 code, 0x10 data), A20 open. */
void reset_protected_mode(struct reset_state *state, uint32_t eip);
