/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Between the files of exit/ that carry out one access to a device's memory: npt.c finds that it is one, mmio.c the
 * instruction and its operand, a form does what the instruction does. Forms are in mmio_forms.c (integers),
 * mmio_stack.c, mmio_string.c, mmio_vector.c and mmio_x87.c.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/emulate/operand.h"

struct vm;

/* Carry out the instruction at RIP, of which the processor reported an access to addr. */
enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write);

struct mmio {
	struct vcpu       *vcpu;
	const struct insn *insn;
	gpa_t              addr;	/* what the processor reported */
	bool               is_write;
	bool               is_plain;	/* operand is at addr, whole, and no RAM */
	struct operand     operand;	/* the ModRM operand, located */
};

typedef enum exit_result mmio_fn(struct mmio *mmio);

struct mmio_form {
	mmio_fn *run;		/* NULL: there is no form for this instruction */
	bool     is_wide;	/* the operand may have any size, not only that of a bus access */
	bool     finds_operands; /* the form finds its operands itself: on the stack, at RSI and RDI */
};

struct mmio_form mmio_form_of(enum insn_kind kind);

/* The located operand of 1, 2, 4 or 8 bytes; the instruction's register operand. */
uint64_t mmio_read(struct mmio *mmio);
void     mmio_write(struct mmio *mmio, uint64_t val);
uint64_t mmio_register(const struct mmio *mmio);
void     mmio_set_register(const struct mmio *mmio, uint64_t val);

/* An instruction for which there is no form, or not in this variant: mmio_hole.c. */
bool mmio_is_hole(struct vm *vm, gpa_t addr);	/* nothing in the whole page of addr? */
enum exit_result mmio_unknown(struct vcpu *vcpu, const struct insn *insn, gpa_t addr, bool is_write);
/* The processor itself accessed addr, to deliver an event: no instruction is looked at. */
enum exit_result mmio_in_delivery(struct vcpu *vcpu, gpa_t addr, bool is_write);

mmio_fn mmio_string, mmio_vector, mmio_x87;
mmio_fn mmio_push, mmio_pop, mmio_enter, mmio_leave;

/* Before a local APIC takes this page: it may be mapped as one where nothing is (mmio_hole.c). */
void mmio_hole_forget(struct vcpu *vcpu, uint64_t apic_base);
