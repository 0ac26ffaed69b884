/* SPDX-License-Identifier: MIT */
#pragma once
/* Between the files of this directory that meet at an exit. */
#include "arch/x86/exit/exit.h"

struct vcpu;

extern const struct exit_table vmx_exit_tables[];

enum exit_result vmx_handle(struct vcpu *vcpu);
void vmx_close_windows(struct vcpu *vcpu);	/* inject.c: the controls do not clear themselves (facts, 36) */

/* A failed VM entry in words (explain_report.c): stops the VM. reason 0: VMLAUNCH or VMRESUME failed. */
enum exit_result vmx_entry_failed(struct vcpu *vcpu, uint64_t reason);
