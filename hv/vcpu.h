/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The neutral half of a virtual processor. One processor owns it (`processor` says which), and only that one
 * touches it; others post requests, and read a few fields (request.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/emulate/insn.h"
#include "arch/x86/emulate/insn_cache.h"
#include "arch/x86/exit/record.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/virt/guest_state.h"
#include "hv/bus.h"
#include "hv/dev/lapic.h"
#include "hv/request.h"
#include "hv/trace.h"

struct processor;
struct look;
struct vm;

enum vcpu_state {
	VCPU_PARKED,	/* waiting for INIT-SIPI: kept in our scheduler, never in the control block */
	VCPU_READY,
	VCPU_HALTED,	/* HLT with nothing pending */
};

#define POSTED_WORDS	4U	/* of 64 vectors */

struct vcpu {
	uint64_t gpr[GPR_COUNT];	/* first: switch.asm addresses it. GPR_RSP unused, RSP is in the control block */
	void    *arch;			/* second, likewise: struct vmx_vcpu or struct svm_vcpu */
	uint64_t cr2;			/* switched with the vCPU, not at each exit, except on SVM */

	struct vm   *vm;
	uint32_t     id;		/* index in its VM = APIC ID */
	_Atomic(enum vcpu_state) state;
	struct look *look;		/* posted when `state` changes other than by its own exit; NULL: nobody looks yet */
	bool         start_is_due;	/* a SIPI came: sipi_vector says where */
	uint8_t      sipi_vector;
	bool         is_unhalted;	/* a sibling called it out of a HLT that it has not executed yet */
	_Atomic bool halted_if;		/* HLT was executed with RFLAGS.IF set: interrupts wake the vCPU */
	bool         yields;		/* it spins and left the run loop for a sibling */
	uint32_t     pauses;		/* exits of it for PAUSE, modulo 2^32 */

	_Atomic(struct processor *) processor;	/* its owner */
	_Atomic uint32_t requests;	/* enum vcpu_request: of others, not yet taken (request.c says in which order) */
	_Atomic uint64_t posted[2][POSTED_WORDS];	/* vectors of others: edges; levels. REQUEST_IRQ goes with them */

	struct exit_record exit;	/* the exit that is being handled, and nothing older */

	/* Events */
	struct vevent pending;		/* cut short by the exit, or an exception to inject: goes first */
	bool         nmi_pending;
	bool         nmi_blocked;	/* an NMI handler runs (backends that track it themselves ignore this) */
	bool         irq_check;		/* an event or a request may be waiting: look, and virt->deliver readies the next entry */
	struct lapic lapic;

	struct bus_view pio, mmio;	/* the VM's buses, and which device this vCPU used last */
	uint8_t      msr_guesses[64];	/* exit/msr.c: rows of the policy that were found, by the low bits of the MSR */

	/* MSRs we keep for the guest */
	uint64_t     xcr0, xss;
	uint64_t     tsc_offset;	/* guest TSC = the VM's clock + this */
	uint64_t     tsc_adjust, tsc_aux;
	uint64_t     misc_enable;
	uint64_t     pv_time, pv_wall, pv_steal, pv_eoi;	/* arch/x86/pv/ */
	uint64_t     waited;		/* ticks for which it wanted a processor before this turn, in all: pv/steal.c */
	uint64_t     mtrr[MTRR_REGS];	/* see exit/mtrr.c for the order */

	uint64_t     dr[4], dr6, dr7;	/* debug registers as the guest sees them: exit/dr.c */

	void        *fpu;		/* XSAVE area, 64-byte aligned, host/fpu.c; a page or more */

	uint64_t     exits;		/* so far; this and the next two are the dispatcher's */
	struct exit_loop loop;
	struct longest_exit longest;
	uint32_t     delivery_loops;	/* exit/exception.c */

	struct { struct guest_state s; } saved;	/* where vcpu_save puts what the guest can see, and vcpu_restore takes it */

	struct insn_cache insn_cache[INSN_CACHE_SLOTS];	/* emulate/fetch.c */
	struct trace trace;
};

/* For dumps: the port, guest-physical address or MSR that the exit being handled is about. */
static inline void vcpu_touch(struct vcpu *vcpu, enum touch_kind kind, uint64_t addr)
{
	vcpu->trace.touched[(vcpu->exits - 1) % TRACE_RING] = (uint64_t)kind << TOUCH_SHIFT | addr;
}

__attribute__((warn_unused_result)) int vcpu_init(struct vcpu *vcpu, struct vm *vm, uint32_t id,
								 const struct lapic_env *wires);
void vcpu_destroy(struct vcpu *vcpu);
__attribute__((warn_unused_result)) int vcpu_registers_init(struct vcpu *vcpu);	/* virt/registers.c: its part of vcpu_init... */
void vcpu_registers_free(struct vcpu *vcpu);		/* ...and of vcpu_destroy, which accepts half-built ones */

/* Run until the vCPU halts, its VM ends, the processor has other work (cpu attention), or the host's TSC says so. */
void vcpu_run(struct vcpu *vcpu, uint64_t turn_end);

/*
 * Something is pending that was not: have it look, and wake it if that wakes it. Its owner's, as all of the
 * following.
 */
void vcpu_kick(struct vcpu *vcpu);
static inline void vcpu_raise_nmi(struct vcpu *vcpu)
{
	vcpu->nmi_pending = true;
	vcpu_kick(vcpu);
}

static inline void vcpu_unhalt(struct vcpu *vcpu)
{
	vcpu->is_unhalted = vcpu->state != VCPU_PARKED;	/* one that waits for its SIPI hears no call */
	vcpu_kick(vcpu);
}

/*
 * The two messages that start processors (SDM vol. 3, 9.4 "Multiple-Processor (MP) Initialization"). A vCPU
 * that waits for its SIPI is parked in our scheduler, never in the control block's activity state.
 * vcpu_take_sipi does nothing to one that does not wait: the second SIPI of the usual pair.
 */
void vcpu_take_init(struct vcpu *vcpu);
void vcpu_take_sipi(struct vcpu *vcpu, uint8_t vector);

/*
 * A SIPI comes in the middle of the sender's exit, and only the owner of a vCPU touches its control block: so the start
 * state is loaded here, before the vCPU runs or is saved.
 */
void vcpu_start_if_due(struct vcpu *vcpu);

/* Queue an exception. If one is queued already, the two combine (double fault), or the VM ends (triple fault). */
void vcpu_inject(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
void vcpu_inject_event(struct vcpu *vcpu, const struct vevent *event);
static inline void vcpu_inject_ud(struct vcpu *vcpu) { vcpu_inject(vcpu, VEC_UD, false, 0); }
static inline void vcpu_inject_gp(struct vcpu *vcpu) { vcpu_inject(vcpu, VEC_GP, true, 0); }
void vcpu_inject_pf(struct vcpu *vcpu, uint64_t addr, uint32_t error);

/* General registers with RSP included; the size forms follow the rules of partial writes (32 bits clear the top). */
uint64_t vcpu_gpr(struct vcpu *vcpu, enum gpr reg);
void vcpu_set_gpr(struct vcpu *vcpu, enum gpr reg, uint64_t val);
void vcpu_set_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high, uint64_t val);
uint64_t vcpu_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high);

/*
 * Has the local APIC or the 8259 an interrupt for the vCPU? vcpu_ack_irq takes it, and must then be injected. An EOI that
 * was offered is settled first, by vcpu_has_irq only if its answer depends on that; this may write the guest's memory (lapic.h).
 */
bool vcpu_has_irq(struct vcpu *vcpu);
static inline bool vcpu_has_extint(struct vcpu *vcpu)	/* the 8259 alone */
{
	return vcpu->lapic.s.lint0_is_high && lapic_takes_extint(&vcpu->lapic);
}
int  vcpu_ack_irq(struct vcpu *vcpu);	/* vector, or -1 */

/* In HLT, with what IF was there in halted_if: does nothing end it? */
static inline bool vcpu_may_sleep(struct vcpu *vcpu)
{
	return !vcpu->nmi_pending && !vcpu->is_unhalted && !(vcpu->halted_if && vcpu_has_irq(vcpu));
}

/*
 * pv/eoi.c: tell the guest that it may end its interrupt without an exit; false: it has named no place for that, or none
 * that can be written. vcpu_withdraw_eoi ends the offer: true when the guest has accepted it.
 */
bool vcpu_offer_eoi(struct vcpu *vcpu);
bool vcpu_withdraw_eoi(struct vcpu *vcpu);

/*
 * pv/steal.c: its registers leave a processor, and come to one; the guest may know. True: a sibling has asked meanwhile that
 * it forgets its translations. One that asks later finds that it has a processor, and interrupts it.
 */
void vcpu_tell_preempted(struct vcpu *vcpu);
bool vcpu_tell_running(struct vcpu *vcpu);

uint8_t vcpu_cpl(struct vcpu *vcpu);
enum insn_mode vcpu_mode(struct vcpu *vcpu);	/* from CS.L, CS.D, EFER.LMA */
uint64_t vcpu_tsc(const struct vcpu *vcpu);	/* the guest's time-stamp counter now */
uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu);	/* what hardware adds to the host's */

/*
 * One log line: state, mode, where the last exit was, and which port, address or MSR the last exits had in common. Like
 * vcpu_dump only while the vCPU is loaded.
 */
void vcpu_where(struct vcpu *vcpu);

/*
 * Registers, last exits, exit counts, control block: by name, to the log. All of it takes millions of ticks, so a call
 * prints a few lines, and vm->dump says where the next goes on. False: those were the last.
 */
bool vcpu_dump(struct vcpu *vcpu);
