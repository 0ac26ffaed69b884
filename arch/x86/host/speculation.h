/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a processor has learnt from one VM must not steer, or be read by, another: branch predictors, the L1 data cache
 * and internal buffers are cleared when a processor goes from one VM to another, as far as CPUID offers it. README.md
 * says what that covers and what it does not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_features;

struct speculation {
	bool ibrs;		/* branches of ours ignore what less privileged code trained: on from the start */
	bool auto_ibrs;		/* the same as a bit of EFER, which cpu_init.c sets */
	bool ibpb;		/* IA32_PRED_CMD: forget all indirect branches */
	bool flush_l1d;		/* IA32_FLUSH_CMD, on processors with L1TF */
	bool clear_buffers;	/* VERW clears them (MD_CLEAR) */
};

/* Pure: what to do on a processor with these features. */
struct speculation speculation_plan(const struct cpu_features *has);
/* "IBRS, IBPB", or "nothing that CPUID offers"; for the log. */
void speculation_words(char *text, size_t size);

void speculation_init(void);			/* on each processor, when its features are known */
void speculation_leave_vm(uint32_t next_vm);	/* before a vCPU is entered that was not the last; its VM's id */
