/* SPDX-License-Identifier: MIT */
#pragma once
/* The back end's verbs and register accessors, for backend.c: their contracts are in arch/x86/virt/backend.h. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/virt/npt.h"

struct guest_state;
struct vcpu;

/* state.c */
int  svm_vcpu_create(struct vcpu *vcpu);
void svm_vcpu_destroy(struct vcpu *vcpu);
void svm_enter(struct vcpu *vcpu);	/* backend.c */
void svm_flush(struct vcpu *vcpu);
bool svm_limit_turn(struct vcpu *vcpu, uint64_t ticks);
void svm_end_shadow(struct vcpu *vcpu);
void svm_set_tsc_offset(struct vcpu *vcpu, uint64_t offset);
uint64_t svm_get(struct vcpu *vcpu, enum guest_reg reg);
void svm_set(struct vcpu *vcpu, enum guest_reg reg, uint64_t val);
void svm_get_seg(struct vcpu *vcpu, enum guest_seg seg, struct segment *out);
void svm_set_seg(struct vcpu *vcpu, enum guest_seg seg, const struct segment *in);
/* save.c */
void svm_load(struct vcpu *vcpu);
void svm_put(struct vcpu *vcpu);
void svm_leave(struct vcpu *vcpu);
void svm_save(struct vcpu *vcpu, struct guest_state *state);
void svm_restore(struct vcpu *vcpu, const struct guest_state *state);
/* dump.c */
bool svm_dump(struct vcpu *vcpu, unsigned line);
/* npt_format.c */
extern const struct npt_format svm_npt_format;
