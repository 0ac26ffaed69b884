/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One memory operand of an instruction we carry out for the guest: seg:offset checked and
 * translated as the processor would, then read or written, each page's part where it belongs, in
 * RAM or on the device bus.
 *
 * Map every operand of an instruction before touching one: a fault must leave no side effect.
 * Mapping injects nothing: the caller decides whether the fault goes to operand_inject (a fault after the first REP
 * step is left to the processor).
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/emulate/insn.h"
#include "arch/x86/emulate/walk.h"
#include "hv/addr.h"

struct vcpu;

#define OPERAND_PIECES	2U	/* an operand is smaller than a page: it touches at most two */

struct operand {
	unsigned count;
	struct { gpa_t addr; unsigned len; } piece[OPERAND_PIECES];
};

/*
 * Not a fault: the operand lies in RAM that nobody had touched. Its memory is there now, and the guest executes the
 * instruction again. So mapping zeroes 2 MiB at most in an exit, however many pages an instruction touches. A task
 * switch cannot be executed again once its new task has begun, so it touches all it needs before (exit/task_switch.c).
 */
#define OPERAND_AGAIN	0xffU

struct operand_fault {
	uint8_t  vector;	/* #PF, #GP or #SS; OPERAND_AGAIN; 0: page tables outside RAM, no way to go on */
	uint32_t error;
	gva_t    addr;
};

/* What translation depends on, read from the control block once per exit. */
struct operand_cpu {
	struct vcpu    *vcpu;
	enum insn_mode  mode;
	struct walk_cpu walk;
};

void operand_cpu_of(struct vcpu *vcpu, struct operand_cpu *cpu);

/*
 * The memory operand's offset in its segment: base + index * scale + displacement, cut to the
 * address size.
 */
uint64_t operand_offset(struct vcpu *vcpu, const struct insn *insn);

/* The base of a segment in 64-bit mode, where only FS and GS have one. */
uint64_t operand_base64(struct vcpu *vcpu, uint8_t seg);

__attribute__((warn_unused_result))
bool operand_map(const struct operand_cpu *cpu, uint8_t seg, uint64_t offset, unsigned size,
		 enum walk_access access, struct operand *operand, struct operand_fault *fault);

/* An operand within one page whose guest-physical address the processor reported. */
static inline struct operand operand_at(gpa_t addr, unsigned size)
{
	return (struct operand){ .count = 1, .piece = { { addr, size } } };
}

/* Does the operand touch the page of addr? The re-check against the exit: act on nothing else. */
bool operand_touches(const struct operand *operand, gpa_t addr);

/* Operands of at most 8 bytes as a number; those of any size as bytes. */
uint64_t operand_read(struct vcpu *vcpu, const struct operand *operand);
void     operand_write(struct vcpu *vcpu, const struct operand *operand, uint64_t val);
void     operand_load(struct vcpu *vcpu, const struct operand *operand, void *to);
void     operand_store(struct vcpu *vcpu, const struct operand *operand, const void *from);

/* Queue the fault in the guest, or stop the VM when it is none of the guest's. Returns what the handler answers. */
enum exit_result operand_inject(struct vcpu *vcpu, const struct operand_fault *fault);

/*
 * One access of 1, 2, 4 or 8 bytes to what is not RAM: this processor's local APIC, else the bus.
 */
void device_access(struct vcpu *vcpu, gpa_t addr, unsigned size, bool is_write, uint64_t *val);
