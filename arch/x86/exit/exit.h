/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Why a guest stopped, and what we do about it. One exit is one row: a vendor's table maps the reason to a
 * name and a handler; handlers are neutral, one file per family, and say what happens to RIP. Only the
 * dispatcher (dispatch.c) moves it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/virt/guest_caps.h"
#include "hv/addr.h"

struct vcpu;

enum exit_result {
	EXIT_RESUME,	/* run the guest again at the same RIP */
	EXIT_SKIP,	/* the instruction was emulated: step over it, then run */
	EXIT_STOP,	/* leave the run loop: halted, parked or killed; RIP stays */
	EXIT_SKIP_STOP,	/* emulated, and leave the run loop (HLT) */
	EXIT_GO_ON,	/* nothing is decided yet: a helper says so to its handler, never a handler to the dispatcher */
};

typedef enum exit_result exit_fn(struct vcpu *vcpu);

struct exit_row {
	const char *name;	/* as the manual spells it */
	exit_fn    *handle;	/* NULL: our controls never ask for this exit, so it ends the VM */
};

/* A vendor's rows. Dense: enter turns whatever the processor says into an index that is in range. */
struct exit_table { const struct exit_row *rows; uint32_t count; };

/* The chosen vendor's name for a row; "unnamed exit" when it has none. */
const char *exit_name(uint32_t reason);

/* ---- What vendor decoders produce (pure, no instruction wrappers) ---- */

#define SEG_UNKNOWN	0xffU	/* hardware did not say: ask the decoder */

/* Port I/O: VMX exit qualification, SVM EXITINFO1. */
struct pio_access {
	uint16_t port;
	uint8_t  size;		/* 1, 2, 4 */
	bool     is_in, is_string, is_rep;
	uint8_t  addr_size;	/* string forms: 2, 4 or 8 bytes; 0 = unknown, ask the decoder */
	uint8_t  seg;		/* OUTS: enum guest_seg of the source, or SEG_UNKNOWN */
};

enum cr_op { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

struct cr_access {
	enum cr_op op;
	uint8_t    cr;		/* 0, 3, 4, 8: neither vendor has CR2 exit */
	uint8_t    gpr;		/* enum gpr, for the MOV forms */
	uint16_t   lmsw;	/* LMSW source data */
};

struct dr_access {
	uint8_t dr;
	uint8_t gpr;
	bool    is_read;	/* MOV r, DRn */
};

/* A nested page fault: EPT violation or #NPF. */
struct npt_fault {
	gpa_t addr;
	bool  is_write, is_fetch;
	bool  was_mapped;	/* an entry existed but forbade it */
	bool  in_walk;		/* the guest's own page walk touched addr, not the instruction's operand */
};

/* Numbered as VMX numbers them. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

/* A hardware task switch that the guest attempted. TASK_GATE: by an event, through the IDT. */
struct task_switch {
	uint16_t         selector;	/* of the new task's TSS */
	enum task_source source;
	bool             is_event;	/* a gate, and no INT n, INT3 or INTO: the old task goes on where it was */
	bool             has_error;	/* the exception's error code goes onto the new stack */
	uint32_t         error;
};

/* An intercepted exception. */
struct exc_info {
	uint8_t  vector;
	bool     has_error;
	uint32_t error;
	uint64_t dr6_bits;	/* #DB: what it adds to DR6 */
	uint32_t int1_len;	/* #DB by INT1: bytes from RIP to where its handler returns; else 0 */
	uint64_t fault_addr;	/* #PF */
};

/* ---- Families: neutral handlers that go straight into both tables ---- */
exit_fn exit_cpuid, exit_hlt, exit_pause, exit_rdmsr, exit_wrmsr, exit_xsetbv, exit_rdpmc, exit_monitor, exit_mwait;
exit_fn exit_invd, exit_wbinvd, exit_hypercall, exit_undefined, exit_triple_fault, exit_irq_window;
exit_fn exit_nmi_window, exit_turn_over;

/* ---- Families that need decoded facts: a five-line adapter in vmx/exits.c or svm/exits.c calls them ---- */
enum exit_result exit_pio(struct vcpu *vcpu, const struct pio_access *access);
/* IN and OUT of one value, the exits that guests make most: their facts are passed in registers, without a struct. */
enum exit_result exit_in(struct vcpu *vcpu, uint16_t port, unsigned size);
enum exit_result exit_out(struct vcpu *vcpu, uint16_t port, unsigned size);
enum exit_result exit_cr(struct vcpu *vcpu, const struct cr_access *access);
enum exit_result exit_dr(struct vcpu *vcpu, const struct dr_access *access);
enum exit_result exit_npt(struct vcpu *vcpu, const struct npt_fault *fault);
enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write);
enum exit_result mmio_in_delivery(struct vcpu *vcpu, gpa_t addr, bool is_write);
enum exit_result exit_task_switch(struct vcpu *vcpu, const struct task_switch *how);
enum exit_result exit_exception(struct vcpu *vcpu, const struct exc_info *info);
enum exit_result exit_external_irq(struct vcpu *vcpu, uint8_t vector);
enum exit_result exit_host_nmi(struct vcpu *vcpu);

/* ---- Debug registers (dr.c); called from virt/load.c when vCPUs change, and from both step_over ---- */
void dr_reset(struct vcpu *vcpu);
void dr_load(const struct vcpu *vcpu);			/* its breakpoints into the processor, if DR7 enables one */
void dr_raise(struct vcpu *vcpu, uint64_t dr6_bits);	/* #DB, with its reason in DR6 */
void dr_raise_int1(struct vcpu *vcpu, uint32_t insn_len);	/* #DB by INT1: returns behind it */
bool dr_step_due(struct vcpu *vcpu);			/* must #DB follow the instruction that is being emulated? */
void dr_end_task(struct vcpu *vcpu);			/* local breakpoints are the old task's */

/*
 * Something got done although RIP stays: memory was mapped, REP steps were made, an exception was injected, a host
 * interrupt taken. Handlers that answer EXIT_RESUME say so, or the dispatcher takes them for an endless loop.
 */
void exit_progress(struct vcpu *vcpu);

/* Before a local APIC takes this page: it may be mapped as one where nothing is (mmio_hole.c). */
void mmio_hole_forget(struct vcpu *vcpu, uint64_t apic_base);

bool xcr0_is_valid(uint64_t val, uint64_t mask);	/* pure part of XSETBV */

/* Stop this VM with a full dump by name; `what` and code explain. Returns EXIT_STOP. */
enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code);

/* ---- Policy the vendors' bitmaps and controls are computed from ---- */
enum msr_rule { MSR_DENY, MSR_PASS, MSR_EMULATE };	/* #GP; straight to the guest's own register; our handler */

enum msr_source { MSR_FUNCTION, MSR_VALUE, MSR_FIELD, MSR_REG };	/* where an emulated register's value comes from */

/* The register's number is in ECX. False: #GP. */
typedef bool msr_read_fn(struct vcpu *vcpu, uint64_t *val);
typedef bool msr_write_fn(struct vcpu *vcpu, uint64_t val);

struct msr_policy {
	uint32_t      msr, last;	/* last: end of a range, 0 = one register */
	enum msr_rule read, write;
	enum msr_vendor vendor;		/* whose processors have it: #GP on the others */
	enum msr_source source;
	uint64_t      value;		/* the constant, the offset in struct vcpu, or the enum guest_reg */
	msr_read_fn  *read_fn;		/* for MSR_FUNCTION */
	msr_write_fn *write_fn;		/* NULL: what is written is ignored */
};
const struct msr_policy *msr_policy_table(size_t *count);	/* sorted by msr; PASS rows matter to the bitmaps */

void msr_reset(struct vcpu *vcpu);	/* the emulated registers' reset values */

/* CR0 and CR4 bits a guest may set on this host; everything else is #GP. */
uint64_t cr0_guest_allowed(void);
uint64_t cr4_guest_allowed(const struct vcpu *vcpu);
/* CR4 bits whose changes need no exit. */
uint64_t cr4_guest_owned(const struct vcpu *vcpu);
