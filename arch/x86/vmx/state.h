/* SPDX-License-Identifier: MIT */
#pragma once
/* The back end's register accessors (state.c), for backend.c. */
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

struct vcpu;

uint64_t vmx_get(struct vcpu *vcpu, enum guest_reg reg);
void vmx_set(struct vcpu *vcpu, enum guest_reg reg, uint64_t val);
bool vmx_limit_turn(struct vcpu *vcpu, uint64_t ticks);
void vmx_end_shadow(struct vcpu *vcpu);
void vmx_set_tsc_offset(struct vcpu *vcpu, uint64_t offset);
void vmx_get_seg(struct vcpu *vcpu, enum guest_seg index, struct segment *seg);
void vmx_set_seg(struct vcpu *vcpu, enum guest_seg index, const struct segment *seg);
