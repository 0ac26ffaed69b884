/* SPDX-License-Identifier: MIT */
/*
 * The neutral handlers of what happens to a guest rather than what it asks for: exceptions, host interrupts,
 * HLT, nested faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "cpu_fake.h"
#include "hv/dev/apic_wires.h"
#include "hv/lib/util.h"
#include "hv/watch.h"
#include "npt_walk.h"
#include "page_fake.h"
#include "panic_fake.h"
#include "vcpu_fake.h"

#define CODE	0x1000U
#define LOOPS	32U		/* deliveries in a row that raise themselves, before the VM is ended */

static struct vcpu_fake fake;
static struct vcpu other;
static unsigned mmios, deliveries;
static uint8_t irq;

void cpu_dispatch_interrupt(uint8_t vector) { irq = vector; }
void vcpu_halt(struct vcpu *vcpu) { vcpu->state = VCPU_HALTED; }
bool apic_wires_carry_nmi(const struct vm *vm) { (void)vm; return false; }
bool vcpu_has_irq(struct vcpu *vcpu) { (void)vcpu; return fake.has_irq; }

bool vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	(void)fmt;
	vm->end = end;
	return true;
}

enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	(void)vcpu;
	(void)addr;
	mmios += is_write ? 10 : 1;
	return EXIT_SKIP;
}

enum exit_result mmio_in_delivery(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	(void)vcpu;
	(void)addr;
	deliveries += is_write ? 10 : 1;
	return EXIT_RESUME;
}

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	memset(&other, 0, sizeof(other));
	cpu_fake_install();
	fake.vm.vcpu_count = 2;
	fake.vm.vcpus[0] = &fake.vcpu;
	fake.vm.vcpus[1] = &other;
	fake.vcpu.exit.rip = CODE;
	fake.vcpu.dr6 = DR6_RESET;
	mmios = deliveries = 0;
	page_fake_limit = UINT64_MAX;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

/* ---- Exceptions ---- */

static void test_handed_back(void **unused)
{
	(void)unused;
	assert_int_equal(exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_AC, .has_error = true }), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_AC);
	assert_int_equal(fake.error, 0);
	exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_GP, .has_error = true, .error = 0x28 });
	assert_int_equal(fake.error, 0x28);
	exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_PF, .has_error = true, .error = 7, .fault_addr = 0xbad000 });
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.vcpu.cr2, 0xbad000);
	exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_DB, .dr6_bits = DR6_BS });
	assert_int_equal(fake.vector, VEC_DB);
	assert_int_equal(fake.vcpu.dr6, DR6_RESET | DR6_BS);
	assert_int_equal(fake.injected, 4);
	assert_int_equal(exit_undefined(&fake.vcpu), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_UD);
}

/* INT1 returns behind itself. */
static void test_int1(void **unused)
{
	(void)unused;
	exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_DB, .int1_len = 1 });
	assert_int_equal(fake.event.type, VEVENT_PRIV_SOFT);
	assert_int_equal(fake.event.insn_len, 1);
}

static unsigned answers;
void watch_answer(void) { answers++; }

static void machine_check(void) { (void)exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_MC }); }

static void test_machine_check(void **unused)
{
	(void)unused;
	assert_true(panics(machine_check));
	assert_non_null(strstr(panic_fake_text, "machine check"));
}

/* CVE-2015-5307: #AC while #AC is delivered, for ever; 32 in a row may still be an accident. */
static void test_delivery_loop(void **unused)
{
	const struct exc_info ac = { .vector = VEC_AC, .has_error = true };

	(void)unused;
	fake.vcpu.pending = (struct vevent){ .is_valid = true, .vector = VEC_AC };
	for (unsigned i = 0; i < LOOPS; i++)
		assert_int_equal(exit_exception(&fake.vcpu, &ac), EXIT_RESUME);
	fake.vcpu.pending.vector = VEC_PF;		/* another event's delivery raised it: no loop */
	assert_int_equal(exit_exception(&fake.vcpu, &ac), EXIT_RESUME);
	fake.vcpu.pending.vector = VEC_AC;
	for (unsigned i = 0; i < LOOPS; i++)
		assert_int_equal(exit_exception(&fake.vcpu, &ac), EXIT_RESUME);
	assert_int_equal(exit_exception(&fake.vcpu, &ac), EXIT_STOP);
	assert_true(fake.is_killed);
}

/*
 * CVE-2015-8104: #DB before the first instruction of its own handler. SDM vol. 3, 6.11 and 6.14.1: what a
 * gate looks like.
 */
static void test_handler_loop(void **unused)
{
	static const struct { bool is_long; uint64_t handler; uint16_t gate[8]; uint32_t limit; bool is_loop; } rows[] = {
		{ false, 0x00123456, { 0x3456, 8, 0x8e00, 0x0012 }, 0x7ff, true },
		{ false, 0x00123457, { 0x3456, 8, 0x8e00, 0x0012 }, 0x7ff, false },
		{ false, 0x00123456, { 0x3456, 8, 0x8e00, 0x0012 }, 14, false },	/* beyond the table's limit */
		{ false, 0x00123456, { 0x3456, 8, 0x8e00, 0x0012 }, 15, true },
		{ true, 0xffff800000123456, { 0x3456, 8, 0x8e00, 0x0012, 0x8000, 0xffff }, 0xfff, true },
		{ true, 0x00123456, { 0x3456, 8, 0x8e00, 0x0012, 0x8000, 0xffff }, 0xfff, false },
		{ true, 0xffff800000123456, { 0x3456, 8, 0x8e00, 0x0012, 0x8000, 0xffff }, 30, false },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		enum exit_result result = EXIT_RESUME;

		tear_down(NULL);
		set_up(NULL);
		if (rows[i].is_long) {
			vcpu_fake_free(&fake);
			vcpu_fake_long(&fake);
			vcpu_fake_map(&fake, 0x5000, 0x5000, 2);
		}
		fake.segs[SEG_IDTR] = (struct segment){ .base = 0x5000, .limit = rows[i].limit };
		vcpu_fake_put(&fake, 0x5000 + (rows[i].is_long ? 16 : 8), rows[i].gate, sizeof(rows[i].gate));
		fake.vcpu.exit.rip = rows[i].handler;
		for (unsigned n = 0; n <= LOOPS; n++)
			result = exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_DB, .dr6_bits = 1 });
		assert_int_equal(result, rows[i].is_loop ? EXIT_STOP : EXIT_RESUME);
	}
}

/* A gate across two chunks of RAM that nobody has touched: one of them at an exit. */
static void test_untouched_gate(void **unused)
{
	const uint64_t far = 0x40000000;
	uint64_t before = fake.vm.gpm.populated;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), 2 * LARGE_SIZE), 0);
	fake.segs[SEG_IDTR] = (struct segment){ .base = far + LARGE_SIZE - 12, .limit = 0x7ff };
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_DB, .dr6_bits = 1 }), EXIT_RESUME);
		assert_int_equal(fake.vm.gpm.populated, before + i * LARGE_SIZE);
		assert_int_equal(fake.injected, i);
	}
}

/* In real mode there are no gates: what stands at the table's base is no address of a handler. */
static void test_real_mode(void **unused)
{
	(void)unused;
	fake.regs[REG_CR0] = 0;
	fake.segs[SEG_IDTR] = (struct segment){ .limit = 0x3ff };
	fake.vcpu.exit.rip = 0;
	for (unsigned n = 0; n < 2 * LOOPS; n++)
		assert_int_equal(exit_exception(&fake.vcpu, &(struct exc_info){ .vector = VEC_DB, .dr6_bits = 1 }), EXIT_RESUME);
}

/* ---- The host's own ---- */

static void test_host(void **unused)
{
	(void)unused;
	assert_int_equal(exit_external_irq(&fake.vcpu, 0xf0), EXIT_RESUME);
	assert_int_equal(irq, 0xf0);
	assert_int_equal(exit_host_nmi(&fake.vcpu), EXIT_RESUME);
	assert_int_equal(answers, 1);		/* to the processor that watches this one */
	assert_int_equal(fake.injected, 0);		/* a guest never sees the host's NMI */
	assert_int_equal(fake.progress, 2);
	assert_int_equal(exit_turn_over(&fake.vcpu), EXIT_STOP);
}

static void test_windows(void **unused)
{
	(void)unused;
	fake.vcpu.nmi_blocked = true;
	assert_int_equal(exit_irq_window(&fake.vcpu), EXIT_RESUME);
	assert_true(fake.vcpu.irq_check && fake.vcpu.nmi_blocked);
	fake.vcpu.irq_check = false;
	assert_int_equal(exit_nmi_window(&fake.vcpu), EXIT_RESUME);
	assert_true(fake.vcpu.irq_check && !fake.vcpu.nmi_blocked);
}

/* ---- HLT and its like ---- */

static void test_hlt(void **unused)
{
	static const struct {
		uint64_t flags; bool irq, nmi; enum vcpu_state others; bool others_if;
		enum exit_result want; enum vm_end end;
	} rows[] = {
		{ RFLAGS_IF, false, false, VCPU_PARKED, false, EXIT_SKIP_STOP, VM_END_NONE },
		{ RFLAGS_IF, true, false, VCPU_PARKED, false, EXIT_SKIP, VM_END_NONE },		/* an interrupt waits */
		{ 0, true, false, VCPU_READY, false, EXIT_SKIP_STOP, VM_END_NONE },		/* masked */
		{ 0, false, true, VCPU_PARKED, false, EXIT_SKIP, VM_END_NONE },
		{ RFLAGS_IF | RFLAGS_TF, false, false, VCPU_PARKED, false, EXIT_SKIP, VM_END_NONE },	/* the step's #DB wakes it */
		/* nobody is left who could wake it */
		{ 0, false, false, VCPU_PARKED, false, EXIT_SKIP_STOP, VM_END_SHUTDOWN },
		{ 0, false, false, VCPU_HALTED, false, EXIT_SKIP_STOP, VM_END_SHUTDOWN },
		{ 0, false, false, VCPU_HALTED, true, EXIT_SKIP_STOP, VM_END_NONE },
		{ 0, false, false, VCPU_READY, false, EXIT_SKIP_STOP, VM_END_NONE },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.regs[REG_RFLAGS] = rows[i].flags;
		fake.has_irq = rows[i].irq;
		fake.vcpu.nmi_pending = rows[i].nmi;
		fake.vcpu.state = VCPU_READY;
		other.state = rows[i].others;
		other.halted_if = rows[i].others_if;
		fake.vm.end = VM_END_NONE;
		assert_int_equal(exit_hlt(&fake.vcpu), rows[i].want);
		assert_int_equal(fake.vm.end, rows[i].end);
		assert_int_equal(fake.vcpu.state, rows[i].want == EXIT_SKIP ? VCPU_READY : VCPU_HALTED);
		assert_int_equal(fake.vcpu.halted_if, !!(rows[i].flags & RFLAGS_IF));
	}
}

static void test_do_nothing(void **unused)
{
	(void)unused;
	assert_int_equal(exit_wbinvd(&fake.vcpu), EXIT_SKIP);
	assert_int_equal(exit_invd(&fake.vcpu), EXIT_SKIP);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(exit_monitor(&fake.vcpu), EXIT_RESUME);
	assert_int_equal(exit_mwait(&fake.vcpu), EXIT_RESUME);
	assert_int_equal(fake.injected, 2);
	assert_int_equal(fake.vector, VEC_UD);
}

/* A vCPU that spins makes room for a sibling that could run, but not at once, and for nobody else. */
static void test_pause(void **unused)
{
	static const enum vcpu_state idle[] = { VCPU_PARKED, VCPU_HALTED };
	unsigned passed = 0;

	(void)unused;
	for (size_t i = 0; row_of(idle, i); i++) {
		other.state = idle[i];
		for (unsigned n = 0; n < 1000; n++)
			assert_int_equal(exit_pause(&fake.vcpu), EXIT_SKIP);
	}
	other.state = VCPU_READY;
	while (exit_pause(&fake.vcpu) == EXIT_SKIP)
		assert_in_range(++passed, 1, 1000);
	assert_true(fake.vcpu.yields);
	assert_in_range(passed, 1, 1000);
}

/* ---- Nested faults ---- */

static enum exit_result fault(uint64_t addr, bool is_fetch, bool in_walk, bool was_mapped)
{
	return exit_npt(&fake.vcpu, &(struct npt_fault){ .addr = gpa(addr), .is_fetch = is_fetch, .in_walk = in_walk,
							 .was_mapped = was_mapped });
}

static uint64_t mapped_size(uint64_t addr)
{
	uint64_t to, size;
	unsigned rights;
	uint8_t there;

	if (!npt_walk(&fake.vm.npt, addr, &to, &rights, &size))
		return 0;
	assert_int_equal(rights, NPT_R | NPT_W | NPT_X);
	vcpu_fake_put(&fake, addr, "x", 1);		/* it leads where the VM's memory is */
	memcpy(&there, (void *)to, 1);
	assert_int_equal(there, 'x');
	return size;
}

/* RAM that is touched for the first time: the whole chunk of 2 MiB in one page. */
static void test_first_touch(void **unused)
{
	(void)unused;
	assert_int_equal(mapped_size(0x212345), 0);
	assert_int_equal(fault(0x212345, false, false, false), EXIT_RESUME);
	assert_int_equal(mapped_size(0x212345), LARGE_SIZE);
	assert_int_equal(fake.progress, 1);
	assert_int_equal(mmios, 0);
}

/* The chunk at the end of an odd memory size: small pages, and no further than there is RAM. */
static void test_last_chunk(void **unused)
{
	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(0x800000), 0x3000), 0);
	assert_int_equal(fault(0x801000, false, false, false), EXIT_RESUME);
	assert_int_equal(mapped_size(0x801000), 0);		/* it has memory, which took long: mapped the next time */
	assert_int_equal(fault(0x801000, false, false, false), EXIT_RESUME);
	assert_int_equal(mapped_size(0x800000), PAGE_SIZE);
	assert_int_equal(mapped_size(0x802fff), PAGE_SIZE);
	assert_int_equal(mapped_size(0x803000), 0);
	assert_int_equal(fake.progress, 2);
}

static void test_no_memory(void **unused)
{
	(void)unused;
	page_fake_limit = page_fake_used;
	assert_int_equal(fault(0x212345, false, false, false), EXIT_STOP);
	assert_true(fake.is_killed);
}

/* Where no RAM is: data is a device's or a hole's; code and page tables cannot be there. */
static void test_no_ram(void **unused)
{
	(void)unused;
	assert_int_equal(fault(FAKE_RAM, false, false, false), EXIT_SKIP);
	assert_int_equal(mmios, 1);
	assert_int_equal(exit_npt(&fake.vcpu, &(struct npt_fault){ .addr = gpa(FAKE_RAM), .is_write = true, .was_mapped = true }),
			 EXIT_SKIP);
	assert_int_equal(mmios, 11);
	assert_false(fake.is_killed);
	assert_int_equal(fault(FAKE_RAM, true, false, false), EXIT_STOP);
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(fault(FAKE_RAM, false, true, false), EXIT_STOP);
	assert_true(fake.is_killed);
	assert_int_equal(mmios, 11);
}

/* While an event is delivered the access is the processor's: RAM is mapped for it, and no instruction emulated. */
static void test_delivery(void **unused)
{
	(void)unused;
	fake.vcpu.pending = (struct vevent){ .is_valid = true, .vector = VEC_GP };
	assert_int_equal(fault(0x212345, false, false, false), EXIT_RESUME);
	assert_int_equal(mapped_size(0x212345), LARGE_SIZE);
	assert_int_equal(deliveries, 0);
	assert_int_equal(fault(FAKE_RAM, false, false, false), EXIT_RESUME);
	assert_int_equal(deliveries, 1);
	assert_int_equal(exit_npt(&fake.vcpu, &(struct npt_fault){ .addr = gpa(FAKE_RAM), .is_write = true, .was_mapped = true }),
			 EXIT_RESUME);
	assert_int_equal(deliveries, 11);
	assert_int_equal(fault(FAKE_RAM, false, true, false), EXIT_STOP);
	assert_int_equal(mmios, 0);
	assert_true(fake.vcpu.pending.is_valid);
}

static void memory_is_held(void)
{
	assert_int_not_equal(fake.vm.memory_lock.drawn, fake.vm.memory_lock.served);
}

/* While siblings run on other processors memory and tables grow under the lock of the VM's memory, and it is free behind that. */
static void test_siblings_elsewhere(void **unused)
{
	const struct lock *lock = &fake.vm.memory_lock;

	(void)unused;
	fake.vm.is_spread = true;
	fake.vm.memory_lock = (struct lock){ .rank = LOCK_MEMORY };
	page_fake_meanwhile = memory_is_held;
	assert_int_equal(fault(0x212345, false, false, false), EXIT_RESUME);
	assert_null(page_fake_meanwhile);
	assert_int_equal(mapped_size(0x212345), LARGE_SIZE);
	assert_int_equal(lock->drawn, 1);
	assert_int_equal(fault(0x212345, false, false, false), EXIT_RESUME);	/* both touched it: the other was first */
	assert_int_equal(lock->drawn, 2);
	assert_int_equal(fault(FAKE_RAM, false, false, false), EXIT_SKIP);	/* a device's */
	assert_int_equal(lock->drawn, 3);
	fake.vm.npt.small_code = true;
	assert_int_equal(fault(0x12345, false, false, false), EXIT_RESUME);
	page_fake_meanwhile = memory_is_held;
	assert_int_equal(fault(0x12345, true, false, true), EXIT_RESUME);
	assert_null(page_fake_meanwhile);
	assert_int_equal(mapped_size(0x12345), PAGE_SIZE);
	assert_int_equal(fault(0x12345, true, false, true), EXIT_RESUME);	/* this one's translation was older */
	assert_int_equal(lock->drawn, lock->served);
	assert_int_equal(lock->drawn, 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handed_back), TEST(test_int1), TEST(test_machine_check), TEST(test_delivery_loop), TEST(test_handler_loop),
		TEST(test_untouched_gate), TEST(test_real_mode), TEST(test_host), TEST(test_windows), TEST(test_hlt), TEST(test_do_nothing), TEST(test_pause),
		TEST(test_first_touch), TEST(test_last_chunk), TEST(test_no_memory), TEST(test_no_ram),
		TEST(test_delivery), TEST(test_siblings_elsewhere),
	};

	return cmocka_run_group_tests_name("exit_events", tests, NULL, NULL);
}
