/* SPDX-License-Identifier: MIT */
#pragma once
/* What trap_entry.asm leaves on the stack, and who looks at it. */
#include <stdint.h>

#define TRAP_EXCEPTIONS	32U	/* vectors below are exceptions, the others interrupts */

/* In the order of trap_entry.asm, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;	/* pushed by the processor */
};

void trap_handle(struct trap_frame *frame);	/* called by trap_entry.asm only */

const char *trap_name(uint64_t vector);		/* "#GP general protection"; "interrupt" from 32 on */
void trap_log_registers(const struct trap_frame *frame);	/* by name, one log line each row */
void trap_log_control(void);			/* CR0, CR2, CR3, CR4, EFER, this processor */
