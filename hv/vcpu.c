/* SPDX-License-Identifier: MIT */
/* The neutral half of a virtual processor (contract in vcpu.h). Its run loop is in arch/x86/exit/dispatch.c. */
#include "hv/vcpu.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/inject.h"
#include "arch/x86/virt/load.h"
#include "hv/dev/apic_bus.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/page.h"
#include "hv/vm.h"

/* ---- What the local APIC needs of its processor ---- */

static void apic_kick(void *ctx)
{
	vcpu_kick(ctx);
}

static void apic_nmi(void *ctx)
{
	struct vcpu *vcpu = ctx;

	vcpu->nmi_pending = true;
	vcpu_kick(vcpu);
}

static void apic_ipi(void *ctx, const struct lapic *from, uint64_t icr)
{
	struct vcpu *vcpu = ctx;

	apic_bus_ipi(vcpu->vm, from, icr);
}

static void apic_eoi(void *ctx, uint8_t vector)
{
	struct vcpu *vcpu = ctx;

	ioapic_eoi(&vcpu->vm->machine->ioapic, vector);
}

static const struct lapic_env apic_env = {
	.kick = apic_kick, .nmi = apic_nmi, .ipi = apic_ipi, .eoi = apic_eoi,
};

int vcpu_init(struct vcpu *vcpu, struct vm *vm, uint32_t id)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->state = VCPU_PARKED;
	vcpu->xcr0 = XCR0_X87;		/* as after a reset: SDM vol. 1, 13.3 */
	dr_reset(vcpu);
	vcpu->fpu = page_alloc_contiguous(fpu_area_pages());
	if (!vcpu->fpu)
		return -1;
	fpu_area_init(vcpu->fpu);
	msr_reset(vcpu);
	lapic_init(&vcpu->lapic, id, &apic_env, vcpu, &vm->clock, &vcpu->tsc_offset);
	return virt->vcpu_create(vcpu);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	lapic_destroy(&vcpu->lapic);
	vcpu_unload(vcpu);
	virt->vcpu_destroy(vcpu);
	if (vcpu->fpu)
		page_free_contiguous(vcpu->fpu, fpu_area_pages());
	vcpu->fpu = NULL;
}

/* ---- Interrupts and exceptions ---- */

bool vcpu_has_irq(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	return (lapic->s.lint0_is_high && lapic_takes_extint(lapic)) || (lapic->irr_count && lapic_pending(lapic) >= 0);
}

int vcpu_ack_irq(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	int vector;

	if (lapic->s.lint0_is_high && lapic_takes_extint(lapic))
		return pic_ack(&vcpu->vm->machine->pic);
	vector = lapic_pending(lapic);
	if (vector >= 0)
		lapic_accept(lapic, (uint8_t)vector);
	return vector;
}

void vcpu_kick(struct vcpu *vcpu)
{
	vcpu->irq_check = true;
	if (vcpu->state != VCPU_HALTED || !(vcpu->nmi_pending || (vcpu->halted_if && vcpu_has_irq(vcpu))))
		return;
	vcpu->state = VCPU_READY;
	this_cpu()->attention = true;	/* it slept and may go first: the scheduler looks */
}

void vcpu_inject_event(struct vcpu *vcpu, const struct vevent *event)
{
	exit_progress(vcpu);
	vcpu->irq_check = true;
	if (!inject_combine(&vcpu->pending, event))
		exit_triple_fault(vcpu);
}

void vcpu_inject(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	const struct vevent event = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = vector,
				      .has_error = has_error, .error = error };

	vcpu_inject_event(vcpu, &event);
}

void vcpu_inject_pf(struct vcpu *vcpu, uint64_t addr, uint32_t error)
{
	vcpu->cr2 = addr;
	write_cr2(addr);	/* live while the vCPU is loaded; SVM takes it from vcpu->cr2 */
	vcpu_inject(vcpu, VEC_PF, true, error);
}

/* ---- Registers ---- */

uint64_t vcpu_gpr(struct vcpu *vcpu, enum gpr reg)
{
	return reg == GPR_RSP ? virt->get(vcpu, REG_RSP) : vcpu->gpr[reg];
}

void vcpu_set_gpr(struct vcpu *vcpu, enum gpr reg, uint64_t val)
{
	if (reg == GPR_RSP)
		virt->set(vcpu, REG_RSP, val);
	else
		vcpu->gpr[reg] = val;
}

uint64_t vcpu_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high)
{
	uint64_t val = vcpu_gpr(vcpu, reg);

	return (is_high ? field_get(val, FIELD(15, 8)) : val) & size_mask(size);
}

void vcpu_set_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high, uint64_t val)
{
	uint64_t old = vcpu_gpr(vcpu, reg);

	if (is_high)
		val = field_set(old, FIELD(15, 8), val);
	else if (size < 4)
		val = (old & ~size_mask(size)) | (val & size_mask(size));
	else
		val &= size_mask(size);		/* a 32-bit result clears the upper half */
	vcpu_set_gpr(vcpu, reg, val);
}

uint8_t vcpu_cpl(struct vcpu *vcpu)
{
	/* SS.DPL is the CPL in every mode (SDM vol. 3, 25.4.1); real mode has 0, virtual-8086 mode 3 there. */
	return (uint8_t)field_get(virt->get(vcpu, REG_SS_RIGHTS), SEG_DPL_MASK);
}

enum insn_mode vcpu_mode(struct vcpu *vcpu)
{
	uint64_t rights = virt->get(vcpu, REG_CS_RIGHTS);

	if ((rights & SEG_L) && (virt->get(vcpu, REG_EFER) & EFER_LMA))
		return INSN_64;
	return rights & SEG_DB ? INSN_32 : INSN_16;
}

uint64_t vcpu_tsc(const struct vcpu *vcpu)
{
	return vm_now(vcpu->vm) + vcpu->tsc_offset;
}

uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu)
{
	return vcpu->vm->clock.offset + vcpu->tsc_offset;
}
