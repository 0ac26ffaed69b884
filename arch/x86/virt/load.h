/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU's registers are in this processor. Extended state, CR2, DR0 to DR3 and the MSRs of SYSCALL stay there
 * across exits, and change hands only when another vCPU comes.
 */
#include <stdint.h>

struct processor;
struct vcpu;

void vcpu_load(struct vcpu *vcpu);	/* its registers into this processor; unloads another vCPU first */
void vcpu_unload(struct vcpu *vcpu);	/* if this processor has its registers, they go back into struct vcpu */

/*
 * Its owner gives the vCPU to another processor, which may load it from then on. This one must not touch it
 * any more.
 */
void vcpu_give(struct vcpu *vcpu, struct processor *to);

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t addr);	/* of the loaded one; SVM takes it from vcpu->cr2 at the entry */
