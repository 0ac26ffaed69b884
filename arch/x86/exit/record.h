/* SPDX-License-Identifier: MIT */
#pragma once
/* What a vCPU keeps of its exits: the dispatcher (dispatch.c) and the vendor's enter write it; the trace copies it. */
#include <stdbool.h>
#include <stdint.h>

/*
 * One exit in neutral words. struct vcpu holds the one that is being handled.
 *
 * insn_len is what EXIT_SKIP moves RIP by. VT-x: the processor's number at every exit, stale where no
 * instruction caused it, so it is valid only once the row's adapter has run: that one sets it to 0
 * (vmx/exits.c, no_instruction). AMD-V: the next RIP says it. Without next-RIP save it is decoded before the
 * handler runs, for exits whose instruction has one form; where the bytes do not fit, the exit becomes
 * SVM_ROW_CHANGED (svm/exits.c, find_length).
 */
struct exit_record {
	uint64_t rip;		/* of the instruction that exited, or that the guest was about to execute */
	uint32_t reason;	/* index of a row in virt->exits: dense on both vendors */
	uint32_t insn_len;	/* bytes; 0: not known, and a handler that decodes stores it */
};

/*
 * The exit-loop detector: how often in a row the same exit came at the same RIP while no handler said
 * exit_progress.
 */
struct exit_loop {
	uint64_t rip;
	uint64_t next;		/* vcpu->exits at an exit that follows directly on the last one counted here */
	uint32_t reason, count;
	bool     made_progress;
};

/* The exit whose handling took longest: ticks of the host's TSC in the dispatcher, the handler and step_over. */
struct longest_exit {
	uint32_t           ticks;
	struct exit_record exit;
};
