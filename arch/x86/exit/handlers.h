/* SPDX-License-Identifier: MIT */
#pragma once
/* The handlers of exits, for the vendors' tables: each is neutral, and its file is that of its family (README.md). */
#include <stdint.h>

#include "arch/x86/exit/decoded.h"
#include "arch/x86/exit/exit.h"

/* Rows of both tables name these. */
exit_fn exit_cpuid, exit_hlt, exit_pause, exit_xsetbv, exit_rdpmc, exit_monitor, exit_mwait;
exit_fn exit_invd, exit_wbinvd, exit_hypercall, exit_undefined;

/*
 * These need no facts either, but for at least one vendor an adapter calls them: it tells two exits apart, or
 * notes that no instruction caused the exit.
 */
exit_fn exit_rdmsr, exit_wrmsr, exit_irq_window, exit_nmi_window, exit_turn_over, exit_host_nmi;

/* These need decoded facts: an adapter in vmx/exits.c or svm/exits.c calls them. */
enum exit_result exit_pio_string(struct vcpu *vcpu, const struct pio_access *access);
/* IN and OUT of one value, the exits that guests make most: their facts are passed in registers, without a struct. */
enum exit_result exit_in(struct vcpu *vcpu, uint16_t port, unsigned size);
enum exit_result exit_out(struct vcpu *vcpu, uint16_t port, unsigned size);
enum exit_result exit_cr(struct vcpu *vcpu, const struct cr_access *access);
enum exit_result exit_dr(struct vcpu *vcpu, const struct dr_access *access);
enum exit_result exit_npt(struct vcpu *vcpu, const struct npt_fault *fault);
enum exit_result exit_task_switch(struct vcpu *vcpu, const struct task_switch *how);
enum exit_result exit_exception(struct vcpu *vcpu, const struct exc_info *info);
enum exit_result exit_external_irq(struct vcpu *vcpu, uint8_t vector);
