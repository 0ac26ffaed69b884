/* SPDX-License-Identifier: MIT */
#pragma once
/* Stand-ins for the SVM instructions: they only count, and STGI/CLGI must alternate. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

extern struct fake_svm { unsigned vmsaves; bool is_gif_clear; } fake_svm;	/* insn_fake.c */

static inline void vmsave(uint64_t vmcb_pa) { assert(vmcb_pa % 4096 == 0); fake_svm.vmsaves++; }
static inline void stgi(void) { assert(fake_svm.is_gif_clear); fake_svm.is_gif_clear = false; }
static inline void clgi(void) { assert(!fake_svm.is_gif_clear); fake_svm.is_gif_clear = true; }
