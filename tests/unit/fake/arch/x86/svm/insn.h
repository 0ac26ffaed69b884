/* SPDX-License-Identifier: MIT */
#pragma once
/* Stand-ins for the SVM instructions: they only count, and STGI/CLGI must alternate. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_svm { unsigned vmsaves; bool gif; };

static inline struct fake_svm *fake_svm(void)
{
	static struct fake_svm state = { 0, true };

	return &state;
}

static inline void vmsave(uint64_t vmcb_pa) { assert(vmcb_pa % 4096 == 0); fake_svm()->vmsaves++; }
static inline void stgi(void) { assert(!fake_svm()->gif); fake_svm()->gif = true; }
static inline void clgi(void) { assert(fake_svm()->gif); fake_svm()->gif = false; }
