/* SPDX-License-Identifier: MIT */
/*
 * Intercepted exceptions. #DB and #AC always exit, because a guest can make their delivery raise themselves
 * again for ever, with no instruction in between and no interrupt getting through (CVE-2015-5307,
 * CVE-2015-8104). We inject each one into the guest again; an exception that is raised while the same vector is
 * being delivered, again and again, ends the VM. #MC is the host's: after a machine check nothing in the machine
 * can be trusted, so we panic.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* So many deliveries in a row that raised the exception which they deliver: then it is a loop. */
#define DELIVERY_LOOP_MAX 32U

/*
 * The address of the guest's handler for a vector, from its IDT; all ones in real mode, or when the gate
 * cannot be read.
 */
static uint64_t handler_of(struct vcpu *vcpu, uint8_t vector)
{
	enum { OFFSET_0, OFFSET_16 = 3, OFFSET_32, OFFSET_48, GATE_WORDS = 8 };
	bool     is_long = virt->get(vcpu, REG_EFER) & EFER_LMA;
	uint16_t gate[GATE_WORDS] = { 0 };
	size_t   size = is_long ? sizeof(gate) : sizeof(gate) / 2;
	struct segment idt;
	gva_t    fault;
	uint32_t error;

	virt->get_seg(vcpu, SEG_IDTR, &idt);
	if (!(virt->get(vcpu, REG_CR0) & CR0_PE) || (vector + 1U) * size - 1 > idt.limit ||
	    !gva_read(vcpu, gva(idt.base + vector * size), gate, size, &fault, &error))
		return ~0ULL;
	return join32(is_long ? (uint32_t)gate[OFFSET_32] | (uint32_t)gate[OFFSET_48] << 16 : 0,
		      (uint32_t)gate[OFFSET_0] | (uint32_t)gate[OFFSET_16] << 16);
}

/*
 * Was this exception raised while the same exception was being delivered (#AC: the handler's stack is
 * misaligned), or before the handler's first instruction (#DB: a watchpoint on that stack; the trap comes
 * before any interrupt)?
 */
static bool is_delivery_loop(struct vcpu *vcpu, uint8_t vector)
{
	bool nested = (vcpu->pending.is_valid && vcpu->pending.vector == vector) ||
		      vcpu->exit.rip == handler_of(vcpu, vector);

	vcpu->delivery_loops = nested ? vcpu->delivery_loops + 1 : 0;
	return vcpu->delivery_loops > DELIVERY_LOOP_MAX;
}

enum exit_result exit_exception(struct vcpu *vcpu, const struct exc_info *info)
{
	if (info->vector == VEC_MC)
		panic("machine check while vCPU %u of %s ran", vcpu->id, vcpu->vm->name);
	if (is_delivery_loop(vcpu, info->vector))
		return exit_fatal(vcpu, "endless loop delivering exception", info->vector);
	if (info->int1_len)
		dr_raise_int1(vcpu, info->int1_len);
	else if (info->vector == VEC_DB)
		dr_raise(vcpu, info->dr6_bits);
	else if (info->vector == VEC_PF)
		vcpu_inject_pf(vcpu, info->fault_addr, info->error);
	else
		vcpu_inject(vcpu, info->vector, info->has_error, info->error);
	return EXIT_RESUME;
}

/* An instruction this machine does not have, or that CPUID does not offer: #UD, as on a processor without it. */
enum exit_result exit_undefined(struct vcpu *vcpu)
{
	vcpu_inject_ud(vcpu);
	return EXIT_RESUME;
}
