/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * KVM's end of interrupt without an exit. The guest names a word of its memory. When it takes an interrupt whose end
 * nobody waits for, we set bit 0 there, and it may clear that bit instead of writing EOI to its local APIC. We look
 * when the APIC is next asked what is in service, which may be much later (vcpu_offer_eoi and vcpu_withdraw_eoi of
 * hv/vcpu.h). Linux, "KVM-specific MSRs", MSR_KVM_PV_EOI_EN.
 *
 * The guest tests and clears in one instruction on the vCPU whose word it is, and we touch the word only while that
 * vCPU does not run: so it needs no lock.
 */
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* The MSR. False: the reserved bit, or an address that is not RAM. */
bool eoi_write(struct vcpu *vcpu, uint64_t val);
