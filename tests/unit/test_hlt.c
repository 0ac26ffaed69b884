/* SPDX-License-Identifier: MIT */
/* arch/x86/exit/hlt.c: a guest that waits sleeps, ends or gives way, whichever is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/dev/apic_wires.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define PAUSES_ENOUGH	1000U

static struct vm vm;
static struct vcpu vcpus[2];
static struct { uint64_t rflags; bool has_irq, has_step, has_nmi; uint32_t halts_meanwhile; unsigned stops; } fake;

static uint64_t get(struct vcpu *vcpu, enum guest_reg reg)
{
	(void)vcpu;
	assert_int_equal(reg, REG_RFLAGS);
	return fake.rflags;
}

static const struct virt_backend backend = { .get = get };
const struct virt_backend *virt = &backend;

void vcpu_halt(struct vcpu *vcpu) { vcpu->state = VCPU_HALTED; }
bool vcpu_has_irq(struct vcpu *vcpu) { (void)vcpu; return fake.has_irq; }

bool apic_wires_carry_nmi(const struct vm *of)
{
	assert_ptr_equal(of, &vm);
	vm.halts += fake.halts_meanwhile;
	return fake.has_nmi;
}

bool dr_step_due(struct vcpu *vcpu) { (void)vcpu; return fake.has_step; }
enum exit_result exit_undefined(struct vcpu *vcpu) { (void)vcpu; return EXIT_RESUME; }

bool vm_stop(struct vm *stopped, enum vm_end end, const char *fmt, ...)
{
	(void)fmt;
	stopped->end = end;
	fake.stops++;
	return true;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(vcpus, 0, sizeof(vcpus));
	vm = (struct vm){ .vcpu_count = 2, .vcpus = { &vcpus[0], &vcpus[1] } };
	vcpus[0].vm = vcpus[1].vm = &vm;
	vcpus[0].state = VCPU_READY;
	vcpus[1].state = VCPU_PARKED;
	return 0;
}

static void test_hlt(void **state)
{
	(void)state;
	fake.rflags = RFLAGS_IF;
	fake.has_irq = true;
	assert_int_equal(exit_hlt(&vcpus[0]), EXIT_SKIP);		/* it would wake at once */
	fake.has_irq = false;
	fake.has_step = true;
	assert_int_equal(exit_hlt(&vcpus[0]), EXIT_SKIP);
	fake.has_step = false;
	vcpus[0].is_unhalted = true;
	fake.rflags = 0;
	assert_int_equal(exit_hlt(&vcpus[0]), EXIT_SKIP);		/* a sibling called it before: this one HLT does not wait */
	fake.rflags = RFLAGS_IF;
	assert_int_equal(exit_hlt(&vcpus[0]), EXIT_SKIP_STOP);
	assert_int_equal(vcpus[0].state, VCPU_HALTED);
	assert_int_equal(fake.stops, 0);
}

/* The end of a VM in which nothing can run again: not while another one runs, or sleeps with interrupts on. */
static void test_halted_for_good(void **state)
{
	(void)state;
	vcpus[1].state = VCPU_READY;
	(void)exit_hlt(&vcpus[0]);
	assert_int_equal(fake.stops, 0);
	vcpus[1].state = VCPU_HALTED;
	vcpus[1].halted_if = true;
	(void)exit_hlt(&vcpus[0]);
	assert_int_equal(fake.stops, 0);
	vcpus[1].halted_if = false;
	(void)exit_hlt(&vcpus[0]);
	assert_int_equal(fake.stops, 1);
	assert_int_equal(vm.end, VM_END_SHUTDOWN);
}

/* It waits for an NMI that a device will send: a watchdog, say. */
static void test_waits_for_nmi(void **state)
{
	(void)state;
	fake.has_nmi = true;
	assert_int_equal(exit_hlt(&vcpus[0]), EXIT_SKIP_STOP);
	assert_int_equal(fake.stops, 0);
}

/* Whichever of them it is that runs. */
static void test_first_runs(void **state)
{
	(void)state;
	vcpus[1].state = VCPU_READY;
	(void)exit_hlt(&vcpus[1]);
	assert_int_equal(fake.stops, 0);
}

/* A sibling that sleeps with interrupts off has a request that may wake it, or its owner is about to say what it is. */
static void test_not_for_good(void **state)
{
	static const uint32_t requests[] = { REQUEST_NMI, REQUEST_TAKING };

	(void)state;
	vcpus[1].state = VCPU_HALTED;
	for (size_t i = 0; i < 2; i++) {
		vcpus[1].requests = requests[i];
		(void)exit_hlt(&vcpus[0]);
		assert_int_equal(fake.stops, 0);
	}
}

/* While it looks a sibling sends a request to one that was passed already, and halts: that one has to look then. */
static void test_sibling_halts_meanwhile(void **state)
{
	(void)state;
	fake.halts_meanwhile = 1;
	(void)exit_hlt(&vcpus[0]);
	assert_int_equal(fake.stops, 0);
	fake.halts_meanwhile = 0;
	vm_stop_if_asleep(&vm);
	assert_int_equal(fake.stops, 1);
}

/* Alone it spins on. With a sibling that could run it gives way, but not at each PAUSE. */
static void test_pause(void **state)
{
	unsigned skipped = 0;

	(void)state;
	for (unsigned i = 0; i < PAUSES_ENOUGH; i++)
		assert_int_equal(exit_pause(&vcpus[0]), EXIT_SKIP);
	assert_false(vcpus[0].yields);
	vcpus[1].state = VCPU_READY;
	while (exit_pause(&vcpus[0]) == EXIT_SKIP && skipped < PAUSES_ENOUGH)
		skipped++;
	assert_true(vcpus[0].yields);
	assert_in_range(skipped, 4, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hlt, setup), cmocka_unit_test_setup(test_halted_for_good, setup),
		cmocka_unit_test_setup(test_waits_for_nmi, setup), cmocka_unit_test_setup(test_first_runs, setup),
		cmocka_unit_test_setup(test_not_for_good, setup), cmocka_unit_test_setup(test_pause, setup),
		cmocka_unit_test_setup(test_sibling_halts_meanwhile, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
