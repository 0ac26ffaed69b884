/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the files of this directory that work at an exit share: the rows, what the VMCB says about an exit, the events
 * that it cut short, the step, and an entry that was refused.
 */
#include "arch/x86/exit/decoded.h"
#include "arch/x86/exit/exit.h"
#include "arch/x86/svm/svm.h"
#include "arch/x86/virt/cpu_state.h"

struct insn;
struct vcpu;

/* The exit table is dense: the run from 400h follows the run from 0, then what is no exit code. */
enum svm_row {
	SVM_ROW_HIGH = SVM_EXIT_TLBSYNC + 1,
	SVM_ROW_UNKNOWN = SVM_EXIT_VMGEXIT - SVM_EXIT_HIGH_BASE + SVM_ROW_HIGH + 1,	/* a code that is not in the list */
	SVM_ROW_REFUSED,	/* VMRUN did not enter: VMEXIT_INVALID */
	SVM_ROW_CHANGED,	/* what stands at RIP is not the instruction that caused the exit */
	SVM_ROW_COUNT
};

/* exits.c */
void svm_read_exit(struct vcpu *vcpu);		/* the VMCB's words about the exit into vcpu->exit */
void svm_step_over(struct vcpu *vcpu);
uint32_t svm_row_of(uint32_t code);		/* a row of svm_rows for any exit code */
extern const struct exit_row svm_rows[SVM_ROW_COUNT];
/* decode.c, pure */
void svm_decode_string_io(uint64_t info1, bool has_assists, struct pio_access *access);
void svm_decode_npf(uint64_t info1, uint64_t info2, struct npt_fault *fault);
bool svm_decode_cr(uint64_t code, uint64_t info1, struct cr_access *access);
bool svm_decode_dr(uint64_t code, uint64_t info1, struct dr_access *access);
bool svm_decode_cr_insn(uint64_t code, const struct insn *insn, struct cr_access *access);
bool svm_decode_dr_insn(uint64_t code, const struct insn *insn, struct dr_access *access);
bool svm_decode_event(uint64_t word, struct vevent *event);
void svm_decode_task_switch(const struct vmcb *vmcb, struct task_switch *how);
uint64_t svm_encode_event(const struct vevent *event);
bool svm_insn_has_form(uint64_t code);
unsigned svm_insn_length(uint64_t code, uint64_t info1, bool is_64, const uint8_t *bytes, size_t avail);
/* inject.c */
void svm_deliver(struct vcpu *vcpu);
void svm_take_interrupted(struct vcpu *vcpu);
void svm_begin_step(struct vcpu *vcpu);		/* the next entry lasts for one instruction */
void svm_end_step(struct vcpu *vcpu);		/* first after the exit of an entry with is_stepping */
void svm_block_nmi(struct vcpu *vcpu);
bool svm_is_own_step(struct vcpu *vcpu, uint64_t *dr6_bits);
/* explain.c, pure: which rules of VMRUN this VMCB breaks; at most max are stored, all are counted */
struct svm_explain { const char *field; uint64_t val; const char *rule; };
struct svm_limits { uint8_t phys_bits; bool has_long_mode; uint64_t cr4_reserved; };
size_t svm_explain(const struct vmcb *vmcb, const struct svm_limits *limits, struct svm_explain *out, size_t max);
/*
 * explain_report.c: VMRUN checked the VMCB and did not enter the guest (15.5.1 "Basic Operation", "Canonicalization and
 * Consistency Checks"). The processor does not say which rule was broken: explain.c checks them again. Stops the VM.
 */
enum exit_result svm_entry_refused(struct vcpu *vcpu);
