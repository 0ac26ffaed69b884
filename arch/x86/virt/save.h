/* SPDX-License-Identifier: MIT */
#pragma once
/* A vCPU as plain data (struct guest_state), there and back, and the start state it begins with. */
struct vcpu;
struct reset_state;

/*
 * Copy between the vCPU and vcpu->saved, one function for each direction. If the vCPU is loaded, it is
 * unloaded first.
 */
void vcpu_save(struct vcpu *vcpu);
void vcpu_restore(struct vcpu *vcpu);

/*
 * Let the vCPU begin at a start state: general registers, segments, control registers. Of the MSRs, EFER, PAT,
 * DEBUGCTL, SYSENTER's and those that name memory of the guest's (arch/x86/pv) begin anew; others and extended state
 * stay.
 */
void vcpu_reset(struct vcpu *vcpu, const struct reset_state *start);
