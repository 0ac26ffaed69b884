/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What an exit says, in neutral words: the vendors' decoders produce these, and are pure; the handlers that need them
 * read them (handlers.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/addr.h"

#define SEG_UNKNOWN	0xffU	/* hardware did not say: ask the decoder */

/* INS and OUTS: VMX exit qualification, SVM EXITINFO1. */
struct pio_access {
	uint16_t port;
	uint8_t  size;		/* 1, 2, 4 */
	bool     is_in, is_rep;
	uint8_t  addr_size;	/* 2, 4 or 8 bytes; 0 = unknown, ask the decoder */
	uint8_t  seg;		/* OUTS: enum guest_seg of the source, or SEG_UNKNOWN */
};

enum cr_op { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

struct cr_access {
	enum cr_op op;
	uint8_t    cr;		/* 0, 3, 4, 8: VT-x has no exits of CR2, of AMD-V we ask for none */
	uint8_t    gpr;		/* enum gpr, for the MOV forms */
	uint16_t   lmsw;	/* LMSW source data */
};

struct dr_access {
	uint8_t dr;
	uint8_t gpr;
	bool    is_read;	/* MOV r, DRn */
};

/* A nested page fault: EPT violation or #NPF. */
struct npt_fault {
	gpa_t addr;
	bool  is_write, is_fetch;
	bool  was_mapped;	/* an entry existed but forbade it */
	bool  in_walk;		/* the guest's own page walk touched addr, not the instruction's operand */
};

/* Numbered as VMX numbers them. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

/* A hardware task switch that the guest attempted. TASK_GATE: by an event, through the IDT. */
struct task_switch {
	uint16_t         selector;	/* of the new task's TSS */
	enum task_source source;
	bool             is_event;	/* a gate, and no INT n, INT3 or INTO: the old task goes on where it was */
	bool             has_error;	/* the exception's error code goes onto the new stack */
	uint32_t         error;
};

/* An intercepted exception. */
struct exc_info {
	uint8_t  vector;
	bool     has_error;
	uint32_t error;
	uint64_t dr6_bits;	/* #DB: what it adds to DR6 */
	uint32_t int1_len;	/* #DB by INT1: bytes from RIP to where its handler returns; else 0 */
	uint64_t fault_addr;	/* #PF */
};
