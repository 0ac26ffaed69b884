/* SPDX-License-Identifier: MIT */
#pragma once
/* One exit in neutral words. struct vcpu holds the one that is being handled; the trace copies it. */
#include <stdint.h>

struct exit_record {
	uint64_t rip;		/* of the instruction that exited, or that the guest was about to execute */
	uint32_t reason;	/* index of a row in virt->exits: dense on both vendors */
	uint32_t insn_len;	/* bytes; 0: not known yet, and a handler that decodes stores it */
};
