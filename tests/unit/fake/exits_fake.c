/* SPDX-License-Identifier: MIT */
/* Neutral handlers that only take notes; contract in exits_fake.h. */
#include "exits_fake.h"

#include <string.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/dev/lapic_page.h"
#include "hv/vcpu.h"

struct exits_fake exits_fake;

void exits_fake_init(void)
{
	memset(&exits_fake, 0, sizeof(exits_fake));
}

void lapic_page_ended(struct lapic *lapic, uint8_t vector)
{
	(void)lapic;
	exits_fake.apic.ended = vector;
}

bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t val)
{
	(void)lapic;
	exits_fake.apic.msr = msr;
	exits_fake.apic.val = val;
	return !exits_fake.apic.refuses;
}

static enum exit_result note(const char *name)
{
	exits_fake.name = name;
	exits_fake.calls++;
	return EXIT_SKIP;
}

#define PLAIN(handler) enum exit_result exit_##handler(struct vcpu *vcpu) { (void)vcpu; return note(#handler); }
PLAIN(cpuid) PLAIN(hlt) PLAIN(pause) PLAIN(rdmsr) PLAIN(wrmsr) PLAIN(xsetbv) PLAIN(rdpmc) PLAIN(monitor) PLAIN(mwait)
PLAIN(invd) PLAIN(wbinvd) PLAIN(hypercall) PLAIN(undefined) PLAIN(triple_fault) PLAIN(irq_window) PLAIN(nmi_window)
PLAIN(turn_over) PLAIN(host_nmi)

#define TOLD(handler, type, field)								\
enum exit_result exit_##handler(struct vcpu *vcpu, const type *told)				\
{												\
	(void)vcpu;										\
	exits_fake.field = *told;								\
	return note(#handler);									\
}
TOLD(pio_string, struct pio_access, pio)
TOLD(cr, struct cr_access, cr)
TOLD(dr, struct dr_access, dr)
TOLD(npt, struct npt_fault, npt)
TOLD(task_switch, struct task_switch, task)
TOLD(exception, struct exc_info, exc)

enum exit_result exit_in(struct vcpu *vcpu, uint16_t port, unsigned size)
{
	(void)vcpu;
	exits_fake.pio = (struct pio_access){ .port = port, .size = (uint8_t)size, .is_in = true };
	return note("in");
}

enum exit_result exit_out(struct vcpu *vcpu, uint16_t port, unsigned size)
{
	(void)vcpu;
	exits_fake.pio = (struct pio_access){ .port = port, .size = (uint8_t)size };
	return note("out");
}

enum exit_result exit_external_irq(struct vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	exits_fake.irq = vector;
	return note("external_irq");
}

/* ---- exit/dr.c ---- */

bool dr_step_due(struct vcpu *vcpu)
{
	return virt->get(vcpu, REG_RFLAGS) & RFLAGS_TF;
}

void dr_raise(struct vcpu *vcpu, uint64_t dr6_bits)
{
	vcpu->dr6 |= dr6_bits;
	vcpu_inject(vcpu, VEC_DB, false, 0);
}
