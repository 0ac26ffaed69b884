/* SPDX-License-Identifier: MIT */
/*
 * x87 loads, stores and arithmetic with a device as their operand. We move the bytes between the device and
 * a buffer; the processor executes the instruction on that buffer (host/x87.h), with the guest's x87
 * registers, which it still holds.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/host/x87.h"
#include "hv/vcpu.h"

enum exit_result mmio_x87(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	struct vcpu *vcpu = mmio->vcpu;
	uint8_t bytes[X87_OPERAND_MAX] = { 0 };

	if (insn->is_load)
		operand_load(vcpu, &mmio->operand, bytes);
	if (!x87_execute(vcpu->fpu, insn->x87_number, bytes, vcpu->exit.rip, operand_offset(vcpu, insn)))
		return mmio_unknown(vcpu, insn, mmio->addr, mmio->is_write);
	if (insn->is_store)
		operand_store(vcpu, &mmio->operand, bytes);
	return EXIT_SKIP;
}
