/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * KVM's steal time: for how long a vCPU wanted a processor and had none, because others had it or its VM's cap was used up.
 * Without it a guest's kernel takes that time for its program's; with it `top` shows it under "st". Linux,
 * "KVM-specific MSRs", MSR_KVM_STEAL_TIME.
 *
 * A byte of the struct, `preempted`, says whether the vCPU has a processor. While it has none a sibling that wants it to forget
 * translations need not interrupt it and wait: it sets a bit there, and we flush before the vCPU runs again (KVM_FEATURE_PV_TLB_FLUSH; vcpu_tell_running of hv/vcpu.h).
 */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* The MSR. What was waited for before is not told. False: reserved bits, or an address that is not RAM. */
bool steal_write(struct vcpu *vcpu, uint64_t val);

/* Before the vCPU runs on: it has waited for so many ticks in all. The first call says from where to count. */
void steal_tell(struct vcpu *vcpu, uint64_t waited);
