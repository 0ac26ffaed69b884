/* SPDX-License-Identifier: MIT */
#include "pc_fake.h"

#include <stdlib.h>
#include <string.h>

#include "arch/x86/virt/fpu_area.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/save.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/vm_clock.h"

#define RTC_AT_START	1735689598U
#define TAKEN_MAX	64U		/* a level that nobody lowers asks for ever */
#define MSR_EOI		0x80bU
#define MMIO_EOI	0xb0U

static void isa_line(void *ctx, unsigned pin, bool is_high)
{
	struct pc *pc = ctx;

	pic_set_line(&pc->machine.pic, pin, is_high);
	ioapic_set_line(&pc->machine.ioapic, pin ? pin : 2, is_high);
}

static void pic_int(void *ctx, unsigned pin, bool is_high)
{
	struct pc *pc = ctx;

	(void)pin;
	vcpu_request_lint0(&pc->vcpu, is_high);
}

static bool ioapic_message(void *ctx, const struct ioapic_msg *msg)
{
	struct pc *pc = ctx;

	if (msg->mode > APIC_LOWEST || !lapic_matches(&pc->vcpu.lapic, msg->dest, msg->is_logical) ||
	    !lapic_is_enabled(&pc->vcpu.lapic) || msg->vector < 16)
		return false;
	lapic_post(&pc->vcpu.lapic, msg->vector, msg->is_level);
	return true;
}

static struct pc *pc_of(void *vcpu)
{
	return container_of(vcpu, struct pc, vcpu);
}

static void count_kick(void *ctx) { pc_of(ctx)->kicks++; }
static void count_nmi(void *ctx) { pc_of(ctx)->nmis++; }
static void apic_eoi(void *ctx, uint8_t vector) { ioapic_eoi(&pc_of(ctx)->machine.ioapic, vector); }

static void count_ipi(void *ctx, const struct lapic *from, uint64_t icr)
{
	(void)from;
	(void)icr;
	pc_of(ctx)->ipis++;
}

/* A guest that is told of most offers, and accepts some: by their number, so that a run can be repeated. */
static bool count_offer(void *ctx) { return pc_of(ctx)->offers++ % 5; }
static bool is_accepted(void *ctx) { return pc_of(ctx)->offers % 3; }

static const struct lapic_env apic_env = {
	.kick = count_kick, .nmi = count_nmi, .ipi = count_ipi, .eoi = apic_eoi, .offer_eoi = count_offer, .withdraw_eoi = is_accepted,
};

static void count_reset(void *ctx) { ((struct pc *)ctx)->resets++; }
static void count_off(void *ctx) { ((struct pc *)ctx)->offs++; }

static void count_exit(void *ctx, uint32_t code)
{
	(void)code;
	((struct pc *)ctx)->exits++;
}

static size_t take_bytes(void *ctx, const uint8_t *data, size_t len)
{
	struct pc *pc = ctx;
	size_t taken = min_size(len, pc->room);

	for (size_t i = 0; i < taken; i++)	/* so that a read beyond the data is seen */
		pc->sent += data[i];
	pc->room -= taken;
	return taken;
}

static void must(int result)
{
	if (result)
		abort();
}

void pc_build(struct pc *pc)
{
	struct machine *m = &pc->machine;
	struct vm *vm = &pc->vm;
	const struct irq_line irq[3] = { { isa_line, pc, 0, NULL }, { isa_line, pc, 1, NULL }, { isa_line, pc, 4, NULL } };
	const struct irq_line rtc = { isa_line, pc, 8, NULL }, sci = { isa_line, pc, 9, NULL }, output = { pic_int, pc, 0, NULL };
	const struct char_back back = { .write = take_bytes, .ctx = pc };

	memset(pc, 0, sizeof(*pc));
	vm->machine = m;
	vm->vcpus[0] = &pc->vcpu;
	vm->vcpu_count = 1;
	pc->vcpu.vm = vm;
	pc->vcpu.processor = host_processor();
	pc->vcpu.fpu = pc->fpu;
	bus_init(&vm->pio, "ports");
	bus_init(&vm->mmio, "memory");
	vm_clock_start(&vm->clock);
	lapic_init(&pc->vcpu.lapic, 0, &apic_env, &pc->vcpu, &vm->clock, &pc->vcpu.tsc_offset);
	pic_init(&m->pic, &output);
	ioapic_init(&m->ioapic, ioapic_message, pc);
	pit_init(&m->pit, &vm->clock, &irq[0]);
	rtc_init(&m->rtc, RTC_AT_START, 1 << 24, 0, &vm->clock, &rtc);
	uart_init(&m->uart, &back, &irq[2]);
	i8042_init(&m->i8042, &irq[1], count_reset, pc);
	acpi_pm_init(&m->acpi_pm, &vm->clock, &sci, count_off, pc);
	crtc_init(&m->crtc);
	debugcon_init(&m->debugcon, &back, count_exit, pc);
	must(pic_map(&m->pic, &vm->pio) || ioapic_map(&m->ioapic, &vm->mmio) || pit_map(&m->pit, &vm->pio) ||
	     rtc_map(&m->rtc, &vm->pio) || uart_map(&m->uart, &vm->pio, 0x3f8) || i8042_map(&m->i8042, &vm->pio) ||
	     acpi_pm_map(&m->acpi_pm, &vm->pio) || debugcon_map(&m->debugcon, &vm->pio) ||
	     crtc_map(&m->crtc, &vm->pio));
}

void pc_destroy(struct pc *pc)
{
	timer_disarm(&pc->machine.pit.timer);
	timer_disarm(&pc->machine.rtc.timer);
	timer_disarm(&pc->machine.acpi_pm.timer);
	timer_disarm(&pc->vcpu.lapic.timer);
}

unsigned pc_take_interrupts(struct pc *pc)
{
	struct lapic *lapic = &pc->vcpu.lapic;
	unsigned taken = 0;

	for (; taken < TAKEN_MAX; taken++) {
		int vector;

		lapic_settle(lapic);
		vector = lapic_pending(lapic);
		if (lapic->s.lint0_is_high && lapic_takes_extint(lapic)) {
			(void)pic_ack(&pc->machine.pic);
			continue;
		}
		if (vector < 0)
			break;
		lapic_accept(lapic, (uint8_t)vector);
		lapic_offer_eoi(lapic, (uint8_t)vector);
		if (lapic->s.eoi_is_offered && is_accepted(&pc->vcpu))
			continue;
		if (!lapic_msr_write(lapic, MSR_EOI, 0))	/* false in xAPIC mode */
			lapic_mmio_write(lapic, MMIO_EOI, 4, 0);
	}
	return taken;
}

/* ---- The processor's half of a vCPU's state: arch/x86/virt/save.c has a test of its own ---- */

void vcpu_save(struct vcpu *vcpu) { (void)vcpu; }
void vcpu_restore(struct vcpu *vcpu) { (void)vcpu; }
void vcpu_unload(struct vcpu *vcpu) { (void)vcpu; }
void vcpu_take_init(struct vcpu *vcpu) { (void)vcpu; }
void vm_stop_if_asleep(struct vm *vm) { vm->end = VM_END_SHUTDOWN; }
void vcpu_take_sipi(struct vcpu *vcpu, uint8_t vector) { (void)vcpu; (void)vector; }
void vcpu_kick(struct vcpu *vcpu) { count_kick(vcpu); }
void host_attention_set(void) { }
void host_kick(struct processor *processor, enum host_kick what) { (void)processor; (void)what; }
size_t fpu_area_size(void) { return sizeof(((struct pc *)NULL)->fpu); }
void fpu_area_bound(void *area) { (void)area; }
