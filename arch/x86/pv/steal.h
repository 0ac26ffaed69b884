/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * KVM's steal time: for how long a vCPU wanted a processor and had none, because others had it or its VM's cap was used up.
 * Without it a guest's kernel takes that time for its program's; with it `top` shows it under "st". Linux,
 * "KVM-specific MSRs", MSR_KVM_STEAL_TIME. `preempted` in the struct stays 0, which says nothing about who runs.
 */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* The MSR. What was waited for before is not told. False: reserved bits, or an address that is not RAM. */
bool steal_write(struct vcpu *vcpu, uint64_t val);

/* Before the vCPU runs on: it has waited for so many ticks in all. The first call says from where to count. */
void steal_tell(struct vcpu *vcpu, uint64_t waited);
