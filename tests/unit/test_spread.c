/* SPDX-License-Identifier: MIT */
/*
 * A VM whose vCPUs live on several processors: its locks are held at the doors of spread.h and nowhere else, and its
 * devices' timers go by way of its home.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/spread.h"
#include "hv/turn.h"
#include "hv/vcpu.h"
#include "hv/vm_timers.h"
#include "page_fake.h"
#include "processor_fake.h"
#include "release_all.h"

#define PORT	0x100U

static struct vm vm;
static struct vcpu vcpus[2];
static struct look look;
static struct turn payer;
static bool attention;
static unsigned calls;		/* of a device, of its timer */

void host_attention_set(void) { attention = true; }

static bool is_held(const struct lock *lock) { return lock->drawn != lock->served; }

/* Is the machine's lock held now, as it has to be in all that belongs to a device? */
static void device_is_called(void)
{
	assert_int_equal(is_held(&vm.machine_lock), vm.is_spread);
	calls++;
}

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	device_is_called();
	return 7;
}

static void device_timer(void *ctx)
{
	(void)ctx;
	device_is_called();
}

static int set_up(void **state)
{
	const struct bus_range range = { "device", PORT, 4, BUS_SIZE_1, device_read, NULL, NULL };

	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(processors_fake, 0, sizeof(processors_fake));
	look = (struct look){ .home = host_processor() };
	attention = false;
	calls = 0;
	bus_init(&vm.pio, "ports");
	bus_init(&vm.mmio, "memory");
	assert_int_equal(bus_add(&vm.pio, &range), 0);
	vm.look = &look;
	vm.vcpu_count = countof(vcpus);
	for (size_t i = 0; i < countof(vcpus); i++) {
		vm.vcpus[i] = &vcpus[i];
		vcpus[i].pio = bus_view(&vm.pio);
		vcpus[i].mmio = bus_view(&vm.mmio);
	}
	vm.clock.payer = &payer;
	vm.clock.timers = &vm.timers;
	vm_timers_init(&vm, &payer);
	vm_clock_start(&vm.clock);
	return 0;
}

/* One access in one piece or in four, to a device or to nobody: the lock is taken once each time, and free behind it. */
static void test_bus(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(bus_access(&vcpus[0].pio, PORT, 1, false, &value));
	assert_int_equal(vm.machine_lock.drawn, 0);
	vm.machine_lock.rank = vm.memory_lock.rank = LOCK_RANKS;
	vm_spread(&vm);
	assert_int_equal(vm.machine_lock.rank, LOCK_MACHINE);
	assert_int_equal(vm.memory_lock.rank, LOCK_MEMORY);
	for (size_t i = 0; i < countof(vcpus); i++)
		assert_true(bus_access(&vcpus[i].pio, PORT, 1, false, &value));
	assert_true(bus_access(&vcpus[0].pio, PORT, 4, false, &value));
	assert_false(bus_access(&vcpus[1].mmio, PORT, 4, false, &value));
	assert_int_equal(calls, 3 + 4);
	assert_int_equal(vm.machine_lock.drawn, 4);
	assert_false(is_held(&vm.machine_lock));
	vm_gather(&vm);
	assert_true(bus_access(&vcpus[1].pio, PORT, 1, false, &value));
	assert_int_equal(vm.machine_lock.drawn, 4);
}

/* What grows is locked, what is there is found without. */
static void test_memory(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(gpm_add_slot(&vm.gpm, gpa(0), 3 * LARGE_SIZE), 0);
	assert_true(gpm_write16(&vm.gpm, gpa(0), 1));
	vm_spread(&vm);
	assert_true(gpm_read64(&vm.gpm, gpa(0), &value));
	assert_int_equal(vm.memory_lock.drawn, 0);
	assert_true(gpm_write16(&vm.gpm, gpa(LARGE_SIZE), 1));
	assert_int_equal(vm.memory_lock.drawn, 1);
	assert_false(is_held(&vm.memory_lock));
	assert_int_equal(vm.machine_lock.drawn, 0);
	vm_gather(&vm);
	assert_true(gpm_write16(&vm.gpm, gpa(2 * LARGE_SIZE), 1));
	assert_int_equal(vm.memory_lock.drawn, 1);
	gpm_destroy(&vm.gpm);
}

/* On one processor the alarm follows at once, and the VM pays for it. */
static void test_timers_together(void **state)
{
	struct timer one, other;

	(void)state;
	vm_clock_timer(&vm.clock, &one, device_timer, NULL);
	vm_clock_timer(&vm.clock, &other, device_timer, NULL);
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 100);
	assert_int_equal(timer_next(), fake_now + 100);
	assert_ptr_equal(host_processor()->timers.first, &vm.alarm);
	assert_ptr_equal(vm.alarm.payer, &payer);
	vm_clock_arm(&vm.clock, &other, vm_now(&vm) + 40);
	assert_int_equal(timer_next(), fake_now + 40);
	clock_jump(40);
	assert_int_equal(calls, 1);
	assert_int_equal(timer_next(), fake_now + 60);
	timer_disarm(&one);
	assert_int_equal(timer_next(), TIMER_NEVER);
	assert_false(look.is_posted || attention);
}

/* A vCPU elsewhere has a device arm its timer: the home sets the alarm when it looks, and fires under the lock. */
static void test_timers_spread(void **state)
{
	struct timer one;

	(void)state;
	vm_clock_timer(&vm.clock, &one, device_timer, NULL);
	vm_spread(&vm);
	processor_fake_run_on(1);
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 100);
	assert_int_equal(timer_next(), TIMER_NEVER);
	assert_true(look.is_posted && !attention);
	processor_fake_run_on(0);
	assert_int_equal(timer_next(), TIMER_NEVER);
	vm_timers_follow(&vm);
	assert_int_equal(timer_next(), fake_now + 100);
	assert_int_equal(vm.machine_lock.drawn, 1);
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 100);
	assert_false(attention);			/* the same deadline */
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 99);
	assert_true(attention);				/* at home it leaves its loop, and looks */
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 100);
	vm_timers_follow(&vm);
	assert_int_equal(vm.machine_lock.drawn, 2);
	vm_timers_follow(&vm);				/* nothing has changed since */
	assert_int_equal(vm.machine_lock.drawn, 2);
	clock_jump(100);
	assert_int_equal(calls, 1);
	assert_false(is_held(&vm.machine_lock));
	/* What is left when the last vCPU has come home is followed all the same. */
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 50);
	vm_gather(&vm);
	vm_timers_follow(&vm);
	assert_int_equal(timer_next(), fake_now + 50);
	vm_timers_end(&vm);
	assert_int_equal(timer_next(), TIMER_NEVER);
	vm_clock_arm(&vm.clock, &one, vm_now(&vm) + 50);	/* a device on its way to the end */
	assert_int_equal(timer_next(), TIMER_NEVER);
}

/* A device's timer that arms itself again at its home needs nobody's look. */
static struct timer again;

static void arm_again(void *ctx)
{
	(void)ctx;
	device_is_called();
	vm_clock_arm(&vm.clock, &again, vm_now(&vm) + 100);
}

static void test_timer_repeats(void **state)
{
	(void)state;
	vm_clock_timer(&vm.clock, &again, arm_again, NULL);
	vm_clock_arm(&vm.clock, &again, vm_now(&vm) + 100);
	vm_spread(&vm);
	look = (struct look){ .home = host_processor() };
	attention = false;
	for (unsigned i = 1; i < 4; i++) {
		clock_jump(100);
		assert_int_equal(calls, i);
		assert_int_equal(timer_next(), fake_now + 100);
		assert_false(look.is_posted || attention || vm.alarm_is_stale);
	}
	vm_timers_end(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bus, set_up), cmocka_unit_test_setup(test_memory, set_up),
		cmocka_unit_test_setup(test_timers_together, set_up), cmocka_unit_test_setup(test_timers_spread, set_up),
		cmocka_unit_test_setup(test_timer_repeats, set_up),
	};

	return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
