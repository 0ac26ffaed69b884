/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a processor has learnt from one VM must not steer, or be read by, another: branch predictors, the L1 data cache
 * and internal buffers are cleared when a processor goes from one VM to another, as far as CPUID offers it. Nor may it
 * steer us: IBRS, and at each exit new return predictions where the processor needs them. README.md says what all that
 * covers and what it does not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_features;

/* What the return stack needs at each exit, before our first RET. */
enum return_fill {
	RETURN_FILL_NONE,	/* the processor keeps a guest's return predictions from us, or nothing is known */
	RETURN_FILL_ONE,	/* all but one of them: "Post-barrier Return Stack Buffer Predictions" */
	RETURN_FILL_ALL,
};

struct speculation {
	bool ibrs;		/* branches of ours ignore what less privileged code trained: on from the start */
	bool auto_ibrs;		/* the same as a bit of EFER, which cpu_init.c sets */
	bool ibpb;		/* IA32_PRED_CMD: forget all indirect branches */
	bool flush_l1d;		/* IA32_FLUSH_CMD, on processors with L1TF */
	bool clear_buffers;	/* VERW clears them (MD_CLEAR) */
	enum return_fill at_exit;
};

/* Pure: what to do on a processor with these features. */
struct speculation speculation_plan(const struct cpu_features *has);
/* "IBRS, IBPB", or "nothing that CPUID offers"; for the log. */
void speculation_words(char *text, size_t size);

void speculation_init(void);			/* on each processor, when its features are known */
enum return_fill speculation_return_fill(void);	/* of the plan; the back ends choose their way out of a guest by it */
void return_stack_replace(void);		/* return_stack.asm */
void speculation_leave_vm(uint32_t next_vm);	/* before a vCPU is entered that was not the last; its VM's id */
