/* SPDX-License-Identifier: MIT */
/*
 * MOVS, STOS, LODS, SCAS and CMPS with a device on either side, or on both. The loop is in
 * string.c.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/emulate/alu.h"
#include "arch/x86/exit/string.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

struct mmio_string {
	struct string_op   op;		/* first: the step gets a pointer to it */
	const struct mmio *mmio;
};

/* The side that trapped must be one this instruction has, at the page the processor named. */
static bool is_what_trapped(const struct string_op *op, const struct mmio *mmio,
			    const struct operand *src, const struct operand *dest)
{
	bool dest_writes = op->dest_access == WALK_WRITE;

	if (op->has_src && !mmio->is_write && operand_touches(src, mmio->addr))
		return true;
	return op->has_dest && dest_writes == mmio->is_write && operand_touches(dest, mmio->addr);
}

static enum string_verdict compare(const struct mmio *mmio, uint64_t left, uint64_t right)
{
	struct vcpu *vcpu = mmio->vcpu;
	uint64_t rflags = virt->get(vcpu, REG_RFLAGS);
	bool     are_equal;

	alu_run(INSN_CMP, mmio->insn->size, left, right, &rflags);
	virt->set(vcpu, REG_RFLAGS, rflags);
	are_equal = rflags & RFLAGS_ZF;
	return are_equal == mmio->insn->is_repne ? STRING_LAST : STRING_NEXT;
}

static enum string_verdict mmio_step(struct string_op *op, const struct operand *src,
				     const struct operand *dest)
{
	const struct mmio *mmio = container_of(op, struct mmio_string, op)->mmio;
	struct vcpu *vcpu = op->vcpu;
	uint64_t     val;

	if (!op->steps_done && !is_what_trapped(op, mmio, src, dest))
		return STRING_REFUSE;
	val = op->has_src ? operand_read(vcpu, src) :
			    vcpu_gpr_sized(vcpu, GPR_RAX, op->size, false);
	if (op->has_dest && op->dest_access == WALK_READ)
		return compare(mmio, val, operand_read(vcpu, dest));
	if (op->has_dest)
		operand_write(vcpu, dest, val);
	else
		vcpu_set_gpr_sized(vcpu, GPR_RAX, op->size, false, val);
	return STRING_NEXT;
}

enum exit_result mmio_string(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	enum insn_kind     kind = insn->kind;
	struct mmio_string run = {
		.op = {
			.vcpu = mmio->vcpu, .step = mmio_step, .size = insn->size,
			.addr_size = insn->addr_size, .has_rep = insn->has_rep, .seg = insn->seg,
			.has_src = kind == INSN_MOVS || kind == INSN_LODS || kind == INSN_CMPS,
			.has_dest = kind != INSN_LODS,
			.dest_access = insn->is_store ? WALK_WRITE : WALK_READ,
		},
		.mmio = mmio,
	};

	return string_run(&run.op);
}
