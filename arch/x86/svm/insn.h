/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One inline function for each SVM instruction that is used from C; VMRUN and VMLOAD are in switch.asm. APM
 * vol. 3, "System Instruction Reference". All take a physical address in RAX, where they take one.
 */
#include <stdint.h>

/* FS, GS, TR, LDTR, KERNEL_GS_BASE, STAR, LSTAR, CSTAR, SFMASK and SYSENTER_* into a VMCB. */
static inline void vmsave(uint64_t vmcb_pa) { __asm__ volatile("vmsave" : : "a"(vmcb_pa) : "memory"); }

/* The global interrupt flag: with it clear nothing, not even an NMI, comes in. */
static inline void stgi(void) { __asm__ volatile("stgi" : : : "memory"); }
static inline void clgi(void) { __asm__ volatile("clgi" : : : "memory"); }

