/* SPDX-License-Identifier: MIT */
/*
 * A virtual processor: how it comes and goes, its interrupts and exceptions up to the triple fault, its
 * registers by name, and what changes hands when another one is loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/exit.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "clock_fake.h"
#include "cpu_fake.h"
#include "hv/dev/apic_bus.h"
#include "hv/dev/apic_wires.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/machine.h"
#include "hv/page.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "insn_fake.h"
#include "page_fake.h"

const char *exit_name(uint32_t reason) { (void)reason; return "HLT"; }
static struct vm vm;
static struct machine machine;
static struct vcpu vcpu, other;
static uint64_t regs[GUEST_READ_COUNT];
static char steps[256];		/* who was called, in order */
static unsigned progress, acks;
static int create_result;
static bool device_nmi, asks_for_flush;

static void step(const char *name, const struct vcpu *of)
{
	strcat(steps, name);
	strcat(steps, of == &other ? "2 " : "1 ");
}

/* ---- The back end ---- */

static uint64_t get(struct vcpu *unused, enum guest_reg reg) { (void)unused; return regs[reg]; }
static void set(struct vcpu *unused, enum guest_reg reg, uint64_t val) { (void)unused; regs[reg] = val; }
static void get_seg(struct vcpu *unused, enum guest_seg seg, struct segment *to)
{
	(void)unused;
	(void)seg;
	*to = (struct segment){ .base = 0x1234000, .limit = 0xfff };
}
static int create(struct vcpu *unused) { (void)unused; return create_result; }
static void destroy(struct vcpu *of) { step("destroy", of); }
static void load(struct vcpu *of) { step("load", of); }
/* As on AMD-V: CR2 comes from elsewhere into the register. */
static void flush(struct vcpu *of) { step("flush", of); }
static void put(struct vcpu *of) { step("put", of); insn_fake.cr2 = 0x7000; }

/* Nothing of it may be in the processor any more, and it must not be another's yet. */
static void leave(struct vcpu *of)
{
	assert_null(cpu_fake.loaded);
	assert_ptr_equal(of->processor, &cpu_fake.processor);
	step("leave", of);
}

static const struct virt_backend backend = {
	.get = get, .set = set, .get_seg = get_seg, .vcpu_create = create, .vcpu_destroy = destroy, .load = load, .put = put,
	.leave = leave, .flush = flush,
};
const struct virt_backend *virt = &backend;

/* ---- The rest of the tree ---- */

size_t fpu_area_pages(void) { return 2; }
void fpu_area_init(void *area) { memset(area, 0x5a, 2 * PAGE_SIZE); }
uint64_t fpu_live_xcr0(void) { return 7; }
void fpu_save(void *area, uint64_t xcr0)
{
	assert_int_equal(xcr0, 7);	/* what the guest has by now */
	step("save", area == other.fpu ? &other : &vcpu);
}
void fpu_restore(const void *area, uint64_t xcr0, uint64_t xss)
{
	(void)xcr0;
	(void)xss;
	step("restore", area == other.fpu ? &other : &vcpu);
}
void dr_reset(struct vcpu *of) { of->dr6 = 0xffff0ff0; }
void dr_load(const struct vcpu *of) { step("dr", of); }
void msr_reset(struct vcpu *of) { of->misc_enable = 1; }
void speculation_leave_vm(uint32_t next) { assert_int_equal(next, 9); strcat(steps, "barrier "); }
void vcpu_start_if_due(struct vcpu *of) { step("start", of); }
void exit_progress(struct vcpu *unused) { (void)unused; progress++; }
void vcpu_tell_preempted(struct vcpu *of) { assert_int_equal(of->xcr0, 7); step("out", of); }
bool vcpu_tell_running(struct vcpu *of) { step("in", of); return asks_for_flush; }
void apic_bus_ipi(struct vm *of, const struct lapic *from, uint64_t icr)
{
	assert_true(of == &vm && from == &vcpu.lapic);
	steps[0] = (char)icr;
}
bool ioapic_has_nmi(const struct ioapic *of) { assert_true(of == &machine.ioapic); return device_nmi; }

/* The vCPUs of a VM may reach these at the same time, each from its own local APIC. */
static void check_lock(void) { assert_int_equal(vm.machine_lock.drawn - vm.machine_lock.served, vm.is_spread); }

void ioapic_eoi(struct ioapic *of, uint8_t vector)
{
	assert_true(of == &machine.ioapic);
	check_lock();
	acks = vector;
}

bool vcpu_offer_eoi(struct vcpu *to) { step("offer", to); return true; }
bool vcpu_withdraw_eoi(struct vcpu *from) { step("withdraw", from); return true; }

uint8_t pic_ack(struct pic *of)
{
	assert_true(of == &machine.pic);
	check_lock();
	return 0x08;
}

bool vm_kill(struct vm *of, const char *fmt, ...)
{
	const bool is_first = of->end == VM_END_NONE;

	(void)fmt;
	of->end = VM_END_CRASHED;
	return is_first;
}

void vm_log(const struct vm *of, const char *fmt, ...)
{
	(void)of;
	(void)fmt;
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&vm, 0, sizeof(vm));
	memset(regs, 0, sizeof(regs));
	vm.machine = &machine;
	vm.id = 9;
	vm.clock = (struct vm_clock){ .is_running = true };
	insn_fake_init();
	cpu_fake_install();
	page_fake_limit = UINT64_MAX;
	create_result = 0;
	assert_int_equal(vcpu_init(&vcpu, &vm, 0, &apic_wires), 0);
	assert_int_equal(vcpu_init(&other, &vm, 1, &apic_wires), 0);
	lapic_reset(&vcpu.lapic, false);
	memset(steps, 0, sizeof(steps));
	progress = 0;
	vm.dumped = NULL;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_destroy(&vcpu);
	vcpu_destroy(&other);
	assert_int_equal(page_fake_used, 0);
	return 0;
}

/* ---- It comes and goes ---- */

static void test_new(void **unused)
{
	(void)unused;
	assert_int_equal(vcpu.state, VCPU_PARKED);
	assert_int_equal(other.id, 1);
	assert_ptr_equal(vcpu.processor, host_processor());	/* whoever builds it owns it */
	assert_int_equal(vcpu.xcr0, 1);			/* x87 alone: SDM vol. 1, 13.3 */
	assert_int_equal(((uint8_t *)vcpu.fpu)[8191], 0x5a);
	assert_int_equal(vcpu.dr6, 0xffff0ff0);
	assert_false(vcpu.pending.is_valid);
}

/* Half-built vCPUs are destroyed like others. */
static void test_fails(void **unused)
{
	struct vcpu half;

	(void)unused;
	page_fake_limit = page_fake_used + PAGE_SIZE;
	assert_int_not_equal(vcpu_init(&half, &vm, 2, &apic_wires), 0);
	page_fake_limit = UINT64_MAX;
	create_result = -1;
	assert_int_equal(vcpu_init(&half, &vm, 2, &apic_wires), -1);
	vcpu_destroy(&half);
	assert_null(half.fpu);
}

/* ---- Interrupts ---- */

/* SVR on, vector 31h waits; LINT0 as ExtINT and unmasked hands over the 8259's instead, and before it. */
static void test_irqs(void **unused)
{
	struct lapic *lapic = &vcpu.lapic;

	(void)unused;
	lapic_mmio_write(lapic, 0xf0, 4, 0x1ff);
	assert_false(vcpu_has_irq(&vcpu));
	lapic_post(lapic, 0xff, false);
	lapic_mmio_write(lapic, 0x80, 4, 0xff);
	assert_int_equal(vcpu_ack_irq(&vcpu), -1);
	lapic_mmio_write(lapic, 0x80, 4, 0);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0xff);
	lapic_mmio_write(lapic, 0xb0, 4, 0);
	assert_int_equal(vcpu_ack_irq(&vcpu), -1);
	lapic_post(lapic, 0x31, false);
	assert_true(vcpu_has_irq(&vcpu));
	lapic_mmio_write(lapic, 0x350, 4, 0x700);
	lapic->s.lint0_is_high = true;
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x08);
	lapic->s.lint0_is_high = false;
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x31);
	assert_false(vcpu_has_irq(&vcpu));		/* in service: it is not offered twice */
	lapic_mmio_write(lapic, 0x350, 4, 0x10700);	/* masked: the 8259 does not get through */
	lapic->s.lint0_is_high = true;
	assert_false(vcpu_has_irq(&vcpu));
}

/* A guest that has ended its interrupt without an exit gets the next one. Whether it has is asked only then. */
static void test_eoi_without_exit(void **unused)
{
	(void)unused;
	lapic_mmio_write(&vcpu.lapic, 0xf0, 4, 0x1ff);
	lapic_post(&vcpu.lapic, 0x21, false);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x21);
	assert_string_equal(steps, "");		/* the guest has named no word for it */
	vcpu.pv_eoi = 0x1001;
	lapic_post(&vcpu.lapic, 0x41, false);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x41);
	assert_false(vcpu_has_irq(&vcpu));
	assert_string_equal(steps, "offer1 ");
	lapic_post(&vcpu.lapic, 0x40, false);
	assert_true(vcpu_has_irq(&vcpu));
	assert_string_equal(steps, "offer1 withdraw1 ");
}

/* One of a higher class waits for IF alone: what is offered stands until that one is taken. */
static void test_offer_stands(void **unused)
{
	(void)unused;
	lapic_mmio_write(&vcpu.lapic, 0xf0, 4, 0x1ff);
	vcpu.pv_eoi = 0x1001;
	lapic_post(&vcpu.lapic, 0x21, false);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x21);
	lapic_post(&vcpu.lapic, 0x41, false);
	assert_true(vcpu_has_irq(&vcpu));
	assert_string_equal(steps, "offer1 ");
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x41);
	assert_string_equal(steps, "offer1 withdraw1 offer1 ");
	assert_int_equal(vcpu.lapic.s.isr[1], 0);	/* it had ended the first */
}

/* A sibling's call wakes it whatever its IF, and once. One that comes too early waits for its HLT (exit/hlt.c). */
static void test_unhalt(void **unused)
{
	struct look look = { .home = host_processor() };

	(void)unused;
	vcpu.look = &look;
	vcpu.state = VCPU_HALTED;
	vcpu.halted_if = false;
	vcpu_unhalt(&vcpu);
	assert_int_equal(vcpu.state, VCPU_READY);
	assert_true(look.is_posted);
	assert_false(vcpu.is_unhalted);
	vcpu_unhalt(&vcpu);
	assert_true(vcpu.is_unhalted);
}

/* An interrupt wakes a halted vCPU only if it halted with IF set; an NMI always does. */
static void test_kick(void **unused)
{
	static const struct { enum vcpu_state state; bool with_if, irq, nmi, wakes; } rows[] = {
		{ VCPU_HALTED, true, true, false, true },	{ VCPU_HALTED, false, true, false, false },
		{ VCPU_HALTED, true, false, false, false },	{ VCPU_HALTED, false, false, true, true },
		{ VCPU_READY, true, true, false, false },	{ VCPU_PARKED, true, true, true, false },
	};
	struct look look;

	(void)unused;
	vcpu.look = &look;
	lapic_mmio_write(&vcpu.lapic, 0xf0, 4, 0x1ff);
	for (size_t i = 0; row_of(rows, i); i++) {
		vcpu.state = rows[i].state;
		vcpu.halted_if = rows[i].with_if;
		vcpu.nmi_pending = rows[i].nmi;
		lapic_reset(&vcpu.lapic, false);
		lapic_mmio_write(&vcpu.lapic, 0xf0, 4, 0x1ff);
		if (rows[i].irq)
			lapic_post(&vcpu.lapic, 0x40, false);
		vcpu.state = rows[i].state;
		vcpu.irq_check = false;
		look.is_posted = false;
		host_attention_clear();
		vcpu_kick(&vcpu);
		assert_true(vcpu.irq_check);		/* whatever it does: at its next entry it looks */
		assert_int_equal(host_attention_is_set(), rows[i].wakes);
		assert_int_equal(look.is_posted, rows[i].wakes);	/* or the scheduler never learns of it */
		assert_int_equal(vcpu.state, rows[i].wakes ? VCPU_READY : rows[i].state);
	}
}

/* What the local APIC asks of its processor: LINT0 as NMI, an ICR write, the end of a level-triggered vector. */
static void test_apic_env(void **unused)
{
	struct lapic *lapic = &vcpu.lapic;

	(void)unused;
	lapic_mmio_write(lapic, 0xf0, 4, 0x1ff);
	lapic_mmio_write(lapic, 0x350, 4, 0x400);
	lapic_set_lint0(lapic, true);
	assert_true(vcpu.nmi_pending);
	lapic_post(lapic, 0x51, true);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x51);
	lapic_mmio_write(lapic, 0xb0, 4, 0);
	assert_int_equal(acks, 0x51);
	lapic_mmio_write(lapic, 0x310, 4, 1 << 24);
	lapic_mmio_write(lapic, 0x300, 4, 0x4000 | 'x');
	assert_int_equal(steps[0], 'x');
}

/* While its vCPUs are on several processors, what the local APIC reaches of the machine is locked, once each time. */
static void test_wires_are_locked(void **unused)
{
	struct lapic *lapic = &vcpu.lapic;

	(void)unused;
	vm.is_spread = true;
	lapic_mmio_write(lapic, 0xf0, 4, 0x1ff);
	lapic_mmio_write(lapic, 0x350, 4, 0x700);
	lapic->s.lint0_is_high = true;
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x08);
	assert_int_equal(vm.machine_lock.drawn, 1);
	lapic->s.lint0_is_high = false;
	lapic_post(lapic, 0x51, true);
	assert_int_equal(vcpu_ack_irq(&vcpu), 0x51);
	lapic_mmio_write(lapic, 0xb0, 4, 0);
	assert_int_equal(vm.machine_lock.drawn, 2);
	assert_int_equal(vm.machine_lock.served, 2);
}

/* Either of the two ways by which a device reaches a vCPU that has interrupts off, at whichever vCPU. */
static void test_nmis_of_devices(void **unused)
{
	(void)unused;
	vm.vcpu_count = 2;
	vm.vcpus[0] = &vcpu;
	vm.vcpus[1] = &other;
	device_nmi = false;
	assert_false(apic_wires_carry_nmi(&vm));
	device_nmi = true;
	assert_true(apic_wires_carry_nmi(&vm));
	device_nmi = false;
	lapic_mmio_write(&other.lapic, 0xf0, 4, 0x1ff);
	lapic_mmio_write(&other.lapic, 0x350, 4, 0x400);
	assert_true(apic_wires_carry_nmi(&vm));
}

/* ---- Exceptions: SDM vol. 3, table 6-5 ---- */

static void test_exceptions(void **unused)
{
	(void)unused;
	vcpu_inject(&vcpu, VEC_GP, true, 0x18);
	assert_true(vcpu.pending.is_valid && vcpu.pending.vector == VEC_GP && vcpu.pending.has_error);
	assert_int_equal(vcpu.pending.error, 0x18);
	assert_int_equal(vcpu.pending.type, VEVENT_EXCEPTION);
	assert_true(vcpu.irq_check);
	assert_int_equal(progress, 1);
	vcpu_inject(&vcpu, VEC_NP, true, 0x20);		/* while that one is delivered */
	assert_int_equal(vcpu.pending.vector, VEC_DF);
	assert_int_equal(vcpu.pending.error, 0);
	assert_int_equal(vm.end, VM_END_NONE);
	vcpu_inject(&vcpu, VEC_NP, true, 0x20);
	assert_int_equal(vm.end, VM_END_CRASHED);	/* a triple fault, told with a dump */
	assert_ptr_equal(vm.dumped, &vcpu);	/* by the scheduler */
	vm.dumped = NULL;
	vcpu_inject(&vcpu, VEC_NP, true, 0x20);		/* the same when a sibling has ended it: that one is dumped */
	assert_null(vm.dumped);
}

/* The address goes where the guest reads it: into the register, and where AMD-V takes it from. */
static void test_page_fault(void **unused)
{
	(void)unused;
	vcpu_inject_pf(&vcpu, 0xdead000, 6);
	assert_int_equal(vcpu.pending.vector, VEC_PF);
	assert_int_equal(vcpu.pending.error, 6);
	assert_int_equal(vcpu.cr2, 0xdead000);
	assert_int_equal(insn_fake.cr2, 0xdead000);
}

/* ---- Registers ---- */

/* SDM vol. 1, 3.4.1.1: 32 bits clear the upper half, 8 and 16 keep the rest; AH to BH are bits 15:8. */
static void test_partial_registers(void **unused)
{
	static const struct { unsigned size; bool is_high; uint64_t val, want, read; } rows[] = {
		{ 1, false, 0xaabb, 0x11223344556677bb, 0xbb }, { 1, true, 0xaabb, 0x112233445566bb88, 0xbb },
		{ 2, false, 0x12aabb, 0x112233445566aabb, 0xaabb }, { 4, false, 0x99aabbccdd, 0xaabbccdd, 0xaabbccdd },
		{ 8, false, 0x99aabbccddeeff00, 0x99aabbccddeeff00, 0x99aabbccddeeff00 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		const enum gpr both[] = { GPR_RCX, GPR_RSP };	/* RSP is in the control block */

		for (size_t at = 0; at < countof(both); at++) {
			vcpu_set_gpr(&vcpu, both[at], 0x1122334455667788);
			vcpu_set_gpr_sized(&vcpu, both[at], rows[i].size, rows[i].is_high, rows[i].val);
			assert_int_equal(vcpu_gpr(&vcpu, both[at]), rows[i].want);
			assert_int_equal(vcpu_gpr_sized(&vcpu, both[at], rows[i].size, rows[i].is_high), rows[i].read);
		}
		assert_int_equal(regs[REG_RSP], rows[i].want);
	}
}

static void test_mode(void **unused)
{
	static const struct { uint64_t cs, efer; enum insn_mode want; } rows[] = {
		{ 0, 0, INSN_16 }, { SEG_DB, 0, INSN_32 }, { SEG_L, EFER_LMA, INSN_64 }, { SEG_DB, EFER_LMA, INSN_32 },
		{ 0, EFER_LMA, INSN_16 }, { SEG_L, EFER_LME, INSN_16 },		/* L means nothing outside long mode */
		{ SEG_L | SEG_DB, 0, INSN_32 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		regs[REG_CS_RIGHTS] = rows[i].cs;
		regs[REG_EFER] = rows[i].efer;
		assert_int_equal(vcpu_mode(&vcpu), rows[i].want);
	}
	for (uint64_t cpl = 0; cpl < 4; cpl++) {
		regs[REG_SS_RIGHTS] = 0x93 | cpl << 5;
		assert_int_equal(vcpu_cpl(&vcpu), cpl);
	}
}

static void test_tsc(void **unused)
{
	(void)unused;
	fake_now = 5000;
	vm.clock.offset = (uint64_t)-3000;
	vcpu.tsc_offset = 100;
	assert_int_equal(vcpu_tsc(&vcpu), 2100);
	assert_int_equal(vcpu_host_tsc_offset(&vcpu), (uint64_t)-2900);
}

/* ---- Loaded and unloaded ---- */

static void test_load(void **unused)
{
	(void)unused;
	vcpu.cr2 = 0x1000;
	other.cr2 = 0x2000;
	vcpu_load(&vcpu);
	assert_string_equal(steps, "start1 restore1 dr1 barrier load1 in1 ");
	assert_int_equal(insn_fake.cr2, 0x1000);
	*steps = '\0';
	assert_false(vcpu.irq_check);
	assert_ptr_equal(vcpu.processor, &cpu_fake.processor);
	vcpu_load(&vcpu);			/* nothing to do, but a start may be due */
	assert_string_equal(steps, "start1 ");
	*steps = '\0';
	other.processor = NULL;
	other.requests = REQUEST_IRQ;		/* its sender has interrupted the former owner */
	vcpu_load(&other);			/* the old one's state leaves first, and the barrier comes behind it */
	assert_string_equal(steps, "start2 put1 save1 out1 restore2 dr2 barrier load2 in2 ");
	assert_true(other.irq_check);
	assert_ptr_equal(other.processor, &cpu_fake.processor);
	assert_int_equal(vcpu.cr2, 0x7000);	/* as put left it in the register */
	assert_int_equal(vcpu.xcr0, 7);
	assert_int_equal(insn_fake.cr2, 0x2000);
	*steps = '\0';
	vcpu_unload(&vcpu);			/* not the loaded one */
	assert_string_equal(steps, "");
	vcpu_unload(&other);
	assert_string_equal(steps, "put2 save2 out2 ");
	assert_null(cpu_fake.loaded);
	*steps = '\0';
	asks_for_flush = true;			/* a sibling of the guest's, while it had no processor */
	vcpu_load(&other);
	assert_string_equal(steps, "start2 restore2 dr2 barrier load2 in2 flush2 ");
	asks_for_flush = false;
}

/* The owner's last access is the one that names the next owner. */
static void test_give(void **unused)
{
	struct processor next;

	(void)unused;
	vcpu_load(&vcpu);
	*steps = '\0';
	vcpu_give(&vcpu, &next);
	assert_string_equal(steps, "put1 save1 out1 leave1 ");
	assert_ptr_equal(vcpu.processor, &next);
	*steps = '\0';
	vcpu.processor = &cpu_fake.processor;
	vcpu_give(&vcpu, &next);		/* it has not been loaded since: its control block may still be here */
	assert_string_equal(steps, "leave1 ");
}

/* A vCPU that is destroyed while it is loaded leaves nothing that the next one would save into. */
static void test_destroy_loaded(void **unused)
{
	struct vcpu third;

	(void)unused;
	assert_int_equal(vcpu_init(&third, &vm, 2, &apic_wires), 0);
	vcpu_load(&third);
	vcpu_destroy(&third);
	assert_null(cpu_fake.loaded);
	assert_null(third.fpu);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new), TEST(test_fails), TEST(test_irqs), TEST(test_eoi_without_exit), TEST(test_offer_stands),
		TEST(test_unhalt), TEST(test_kick), TEST(test_apic_env), TEST(test_wires_are_locked), TEST(test_nmis_of_devices),
		TEST(test_exceptions),
		TEST(test_page_fault), TEST(test_partial_registers), TEST(test_mode), TEST(test_tsc), TEST(test_load), TEST(test_give),
		TEST(test_destroy_loaded),
	};

	return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
