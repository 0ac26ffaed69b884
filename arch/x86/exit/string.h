/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The loop of a string instruction, with or without REP: map what the step reads and writes, do the step,
 * advance RSI, RDI and RCX (SDM vol. 1, 7.3.9 "String Operations").
 *
 * An exit does a bounded number of steps. Then the guest resumes at the same RIP with RSI, RDI and RCX
 * updated, as after an interrupt in the middle of REP, so that interrupts get in. A fault at a later step
 * ends the exit in the same way: when the guest executes the instruction again, that step is the first.
 * Only a fault at the first step is injected from here.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/emulate/operand.h"

#define STRING_STEPS_MAX 64U
#define STRING_TICKS_MAX 100000U	/* the end of a line on the console may take 4,000: fewer steps, then */

enum string_verdict {
	STRING_NEXT,	/* done, go on if RCX says so */
	STRING_LAST,	/* done, and REPE or REPNE ends here */
	STRING_REFUSE,	/* nothing was done: this is not what the exit was for */
};

struct string_op;
typedef enum string_verdict string_step_fn(struct string_op *op, const struct operand *src,
					   const struct operand *dest);

struct string_op {
	struct vcpu     *vcpu;
	string_step_fn  *step;
	unsigned         size, addr_size;	/* bytes of an element, of RSI, RDI and RCX */
	bool             has_rep;
	bool             has_src, has_dest;	/* seg:RSI, ES:RDI */
	uint8_t          seg;
	enum walk_access dest_access;		/* WALK_READ: SCAS, CMPS */
	unsigned         steps_done;
};

enum exit_result string_run(struct string_op *op);
