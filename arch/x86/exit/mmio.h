/* SPDX-License-Identifier: MIT */
#pragma once
/* Inside exit/: what exit_mmio hands to the string forms (mmio_string.c). */
#include "arch/x86/exit/exit.h"
#include "arch/x86/emulate/operand.h"

/* One trapped access being carried out. */
struct mmio {
	struct vcpu       *vcpu;
	const struct insn *insn;
	gpa_t              addr;	/* what the processor reported */
	bool               is_write;
	bool               is_plain;	/* operand is at addr, whole, and no RAM */
	struct operand     operand;	/* the ModRM operand, located */
};

enum exit_result mmio_string(struct mmio *mmio);
