/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU's registers are in this processor. Extended state, CR2, DR0 to DR3 and the MSRs of SYSCALL stay there
 * across exits, and change hands only when another vCPU comes.
 */
struct vcpu;

void vcpu_load(struct vcpu *vcpu);	/* this processor's registers become its, another's are saved first */
void vcpu_leave(void);			/* the vCPU that runs here leaves its run loop behind this exit */
void vcpu_unload(struct vcpu *vcpu);	/* if this processor has its registers, they go back into struct vcpu */
