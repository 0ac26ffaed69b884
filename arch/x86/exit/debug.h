/* SPDX-License-Identifier: MIT */
#pragma once
/* A guest's debug registers (dr.c), for who changes vCPUs, steps over an instruction or switches tasks. */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

void dr_reset(struct vcpu *vcpu);
void dr_load(const struct vcpu *vcpu);			/* its breakpoints into the processor, if DR7 enables one */
void dr_raise(struct vcpu *vcpu, uint64_t dr6_bits);	/* #DB, with its reason in DR6 */
void dr_raise_int1(struct vcpu *vcpu, uint32_t insn_len);	/* #DB by INT1: returns behind it */
bool dr_step_due(struct vcpu *vcpu);			/* must #DB follow the instruction that is being emulated? */
void dr_end_task(struct vcpu *vcpu);			/* local breakpoints are the old task's */
