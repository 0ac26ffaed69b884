/* SPDX-License-Identifier: MIT */
/*
 * x87 loads, stores and arithmetic with a device as their operand. We move the bytes between the device and
 * a buffer; the processor executes the instruction on that buffer (host/x87.h), with the guest's x87
 * registers, which it still holds.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/host/x87.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"

/*
 * An exception of an earlier instruction is raised before this one does anything. That is #MF, or with CR0.NE
 * clear an interrupt by way of chips which this machine does not have (SDM vol. 1, 8.7 "Handling x87 FPU
 * Exceptions in Software").
 */
static enum exit_result raise_pending(const struct mmio *mmio)
{
	if (!(virt->get(mmio->vcpu, REG_CR0) & CR0_NE))
		return mmio_unknown(mmio->vcpu, mmio->insn, mmio->addr, mmio->is_write);
	vcpu_inject(mmio->vcpu, VEC_MF, false, 0);
	return EXIT_RESUME;
}

enum exit_result mmio_x87(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	struct vcpu *vcpu = mmio->vcpu;
	uint8_t bytes[X87_OPERAND_MAX] = { 0 };

	if (!x87_may_execute(vcpu->fpu, insn->x87_number))
		return raise_pending(mmio);
	if (insn->is_load)
		operand_load(vcpu, &mmio->operand, bytes);
	x87_execute(vcpu->fpu, insn->x87_number, bytes, vcpu->exit.rip, operand_offset(vcpu, insn));
	if (insn->is_store)
		operand_store(vcpu, &mmio->operand, bytes);
	return EXIT_SKIP;
}
