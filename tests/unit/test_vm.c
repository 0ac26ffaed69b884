/* SPDX-License-Identifier: MIT */
/*
 * hv/vm.c, hv/vm_life.c and hv/vm_start.c: a VM is built whole or not at all, starts in short pieces, ends
 * for the first reason, and leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/cpuid_policy.h"
#include "arch/x86/guestboot/copies.h"
#include "arch/x86/guestboot/loader.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/virt/save.h"
#include "clock_fake.h"
#include "hv/dev/apic_wires.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/machine.h"
#include "hv/page.h"
#include "hv/restore_test.h"
#include "hv/turn.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_life.h"
#include "hv/vm_state.h"
#include "log_fake.h"
#include "page_fake.h"
#include "processor_fake.h"
#include "release_all.h"

#define MEMORY		(16ULL << 20)
#define FILE_SIZE	150000U		/* three pieces */
#define DISK_SIZE	3000000U	/* two large pages of copies */
#define ZERO_PIECES	10U
#define RELEASES	3U
#define PREPARES	2U

static struct {
	bool     machine_fails, loader_fails;
	unsigned zeroed, most_zeroed, stops, prepares, releases, vcpus;
	unsigned init_fails;	/* of which vCPU, counted from 1; 0: of none */
	uint64_t copy_to, entry;
	unsigned processor, node;
	bool     clock_runs, attention, has_disks;
} fake;

static struct handoff_vm config;

/* ---- What they call ---- */

void vcpu_request(struct vcpu *vcpu, uint32_t what) { vcpu->requests |= what; }
void host_attention_set(void) { fake.attention = true; }
static const struct npt_format format = { .read = 1, .write = 2, .exec = 4, .large = 1 << 7, .table = 7,
					  .addr_mask = 0xffffffffff000 };
void restore_test_end(struct vm *vm) { (void)vm; }

void vcpu_reset(struct vcpu *vcpu, const struct reset_state *state)
{
	(void)vcpu;
	fake.entry = state->rip;
}

static struct guest_caps caps;
static const struct virt_backend fake_backend = { .npt = &format, .caps = &caps };
const struct virt_backend *virt = &fake_backend;

struct cpuid_table *cpuid_create(uint32_t vcpu_count, uint32_t test_apic)
{
	assert_int_equal(vcpu_count, config.vcpus);
	assert_int_equal(test_apic, config.test_apic);
	return page_alloc();
}

uint64_t page_free_bytes(void) { return page_fake_limit - page_fake_used; }
bool page_prepare(const struct node_wish *wish, uint64_t bytes)
{
	assert_int_equal(wish->first, fake.node);
	assert_int_equal(bytes, MEMORY);
	return fake.zeroed++ < ZERO_PIECES;
}

unsigned host_processor_number(struct processor *processor)
{
	(void)processor;
	return fake.processor;
}

const struct lapic_env apic_wires;

int vcpu_init(struct vcpu *vcpu, struct vm *vm, uint32_t id, const struct lapic_env *wires)
{
	assert_ptr_equal(wires, &apic_wires);
	assert_ptr_equal(vm->vcpus[id], vcpu);
	fake.vcpus++;
	return fake.vcpus == fake.init_fails ? -1 : 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	(void)vcpu;
	fake.vcpus--;
}

static const unsigned disk_numbers[] = { 0, HANDOFF_DISKS_MAX - 1 };

int machine_create(struct vm *vm)
{
	static const struct handoff_disk cow = { .mode = DISK_COW };
	static uint8_t file[2][DISK_SIZE];

	for (unsigned i = 0; fake.has_disks && i < countof(disk_numbers); i++)
		assert_int_equal(memdisk_init(&vm->machine->disks[disk_numbers[i]], file[i], DISK_SIZE, &cow), 0);
	return vm->machine && fake.machine_fails ? -1 : 0;
}

bool machine_prepare(struct vm *vm)
{
	assert_non_null(vm->machine);
	return ++fake.prepares > PREPARES;
}

void machine_stop(struct vm *vm)
{
	assert_non_null(vm->machine);
	fake.stops++;
}

bool machine_release(struct vm *vm)
{
	assert_non_null(vm->machine);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX; i++)
		memdisk_destroy(&vm->machine->disks[i]);
	return ++fake.releases % RELEASES == 0;
}

void bus_init(struct bus *bus, const char *name) { memset(bus, 0, sizeof(*bus) + 0 * strlen(name)); }
void vm_run_clock(struct vm *vm)
{
	assert_int_equal(vm->state, VM_STARTING);
	fake.clock_runs = true;
}

int loader_load(struct vm *vm, struct reset_state *state, struct guest_copies *copies)
{
	static const uint8_t file[FILE_SIZE];
	uint64_t before;

	assert_false(fake.clock_runs);
	assert_true(fake.prepares > PREPARES);
	/* Zeroing the low memory was a piece of its own, unless there is none to be had. */
	before = vm->gpm.populated;
	if (gpm_write(&vm->gpm, gpa(0x500), file, sizeof(file[0])))
		assert_int_equal(vm->gpm.populated, before);
	if (fake.loader_fails) {
		vm_kill(vm, "cannot start");
		return -1;
	}
	state->rip = 0x1234;
	return guest_copies_add(copies, fake.copy_to, file, sizeof(file)) ? 0 : -1;
}

/* ---- The tests ---- */

static struct account account;
static struct look look;

static struct vm *create(void)
{
	return vm_create(&config, &account, NULL, &look);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&caps, 0, sizeof(caps));
	fake.copy_to = 1 << 20;
	page_fake_limit = 64ULL << 20;
	config = (struct handoff_vm){ .name = "guest", .vcpus = 2, .memory = MEMORY };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (account.used)
		return -1;
	account_close(&account);
	return page_fake_used != 0 || fake.vcpus != 0 ? -1 : 0;
}

/* Whoever finds a vCPU there would use pages that are somebody else's. */
static void check_no_vcpu_behind(const struct vm *vm)
{
	for (uint32_t i = vm->vcpu_count; i < VM_VCPUS_MAX; i++)
		assert_null(vm->vcpus[i]);
}

static unsigned destroy(struct vm *vm)
{
	unsigned calls = 1;

	vm_take_down(vm);
	assert_int_equal(vm->state, VM_ENDING);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		assert_true(vm->vcpus[i]->requests & REQUEST_END);	/* wherever they run, they leave their run loops */
	while (!vm_dismantle(vm)) {
		check_no_vcpu_behind(vm);
		calls++;
	}
	return calls;
}

/* Calls of vm_start until it runs or has ended; none zeroes more than a few pieces. */
static unsigned start(struct vm *vm)
{
	unsigned calls = 0;

	while (vm->state == VM_STARTING && vm->end == VM_END_NONE) {
		unsigned before = fake.zeroed;
		uint64_t populated = vm->gpm.populated;

		vm_start(vm);
		assert_true(fake.zeroed - before <= 4);
		assert_true(vm->gpm.populated - populated <= LARGE_SIZE);
		calls++;
	}
	return calls;
}

static void test_life(void **state)
{
	struct vm *vm = create();
	unsigned lines = log_fake_lines;

	(void)state;
	assert_non_null(vm);
	assert_int_equal(vm->state, VM_STARTING);
	assert_int_equal(vm->overhead + vm->npt.tables * PAGE_SIZE, page_fake_used);	/* the line of its end adds them up */
	assert_false(vm_is_alive(vm));
	assert_int_equal(start(vm), 2 + PREPARES + 3 + 1 + 3);	/* vCPUs, disks' tables, zeroing, loading, copying and the start */
	assert_true(vm_is_alive(vm));
	assert_int_equal(vm->vcpus[0]->state, VCPU_READY);
	assert_int_equal(fake.entry, 0x1234);
	assert_true(fake.clock_runs);
	assert_null(vm->start);
	assert_int_equal(log_fake_lines, lines + 1);
	assert_true(destroy(vm) > RELEASES);
	assert_int_equal(fake.stops, 1);
}

/* Each vCPU takes pages of our own, which the line of its end tells as well. */
static void test_vcpus_are_counted(void **state)
{
	struct vm *vm;

	(void)state;
	config.vcpus = VM_VCPUS_MAX;
	vm = create();
	assert_non_null(vm);
	while (vm->vcpu_count < VM_VCPUS_MAX) {
		vm_start(vm);
		assert_int_equal(vm->overhead + vm->npt.tables * PAGE_SIZE, page_fake_used);
	}
	(void)destroy(vm);
}

static void never(void *ctx) { fail_msg("a timer of %s", (const char *)ctx); }

/* Those of its vCPUs, and of a device that nobody named at its end, leave the list; others' stay. */
static void test_timers_end_with_it(void **state)
{
	struct turn mine = { 0 }, other = { 0 };
	struct vm_clock clock = { .payer = &other };
	struct timer device, neighbour, host;
	struct vm *vm = vm_create(&config, &account, &mine, &look);

	(void)state;
	assert_non_null(vm);
	(void)start(vm);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		timer_arm(&vm->vcpus[i]->lapic.timer, fake_now + 50);
	vm_clock_start(&vm->clock);
	vm_clock_start(&clock);
	vm_clock_timer(&vm->clock, &device, never, "this VM");
	vm_clock_timer(&clock, &neighbour, never, "another VM");
	timer_init(&host, never, "the hypervisor");
	vm_clock_arm(&vm->clock, &device, 100);
	vm_clock_arm(&clock, &neighbour, 200);
	timer_arm(&host, fake_now + 300);
	destroy(vm);
	assert_false(timer_is_armed(&device));
	assert_int_equal(timer_next(), fake_now + 200);
	timer_disarm(&neighbour);
	assert_int_equal(timer_next(), fake_now + 300);
	timer_disarm(&host);
}

/* Of its memory nothing is used behind its end, and all of it still promised: to its next life, and nobody else. */
static void test_promise_outlives_it(void **state)
{
	const uint64_t all = account_unclaimed();
	struct vm *vm = create();
	bool is_whole;

	(void)state;
	(void)start(vm);
	assert_int_not_equal(gpm_populate(&vm->gpm, gpa(0), &is_whole).raw, 0);
	assert_true(account.used > LARGE_SIZE);		/* a table or two as well */
	assert_in_range(all - account_unclaimed(), MEMORY, MEMORY + 2 * LARGE_SIZE);
	(void)destroy(vm);
	assert_int_equal(account.used, 0);
	assert_in_range(all - account_unclaimed(), MEMORY, MEMORY + 2 * LARGE_SIZE);
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN + account.promise;	/* nothing that is promised to nobody */
	vm = create();
	assert_non_null(vm);
	(void)destroy(vm);
}

/*
 * The promise: all RAM, every table that it can need and all its vCPUs, and a copy of everything on the disks; one page
 * less is refused.
 */
static void test_promise_is_for_all(void **state)
{
	static const struct { bool small_code, has_disks; uint32_t vcpus; uint64_t memory, own, copies; } rows[] = {
		{ false, false, 1, MEMORY, LARGE_SIZE, 0 },
		{ false, false, 64, MEMORY, 3 * LARGE_SIZE, 0 },	/* 64 KiB each */
		{ false, true, 2, MEMORY, LARGE_SIZE, 2 * 2 * LARGE_SIZE },
		{ false, false, 2, 1ULL << 30, LARGE_SIZE, 0 },
		{ true, false, 2, 1ULL << 30, 2 * LARGE_SIZE, 0 },	/* each large page may be cut into 512 small ones */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		const uint64_t all = rows[i].memory + rows[i].own + rows[i].copies;
		struct vm *vm;

		caps.small_code = rows[i].small_code;
		fake.has_disks = rows[i].has_disks;
		config.memory = rows[i].memory;
		config.vcpus = rows[i].vcpus;
		page_fake_limit = 4ULL << 30;
		vm = create();
		assert_non_null(vm);
		assert_int_equal(account.promise, all);
		assert_ptr_equal(vm->gpm.account, &account);
		assert_ptr_equal(vm->npt.account, &account);
		for (unsigned n = 0; n < countof(disk_numbers); n++)
			assert_ptr_equal(vm->machine->disks[disk_numbers[n]].account, &account);
		page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN + all;
		(void)destroy(vm);
		account_close(&account);
		vm = create();
		assert_non_null(vm);
		(void)destroy(vm);
		account_close(&account);
		page_fake_limit -= PAGE_SIZE;
		assert_null(create());
		assert_int_equal(account.promise, 0);
	}
}

/* With overcommit it is created all the same, with a warning; without need of one there is none. */
static void test_overcommit_warns(void **state)
{
	struct vm *vm = create();

	(void)state;
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN + account.promise;
	(void)destroy(vm);
	account_close(&account);
	config.overcommit = 1;
	for (unsigned too_little = 0; too_little < 2; too_little++) {
		log_fake_init();
		vm = create();
		assert_non_null(vm);
		assert_int_equal(account.promise, 0);
		assert_int_equal(log_fake_lines, too_little);
		if (too_little)
			assert_non_null(strstr(log_fake_text, "TZ-W021 guest may need 18 MiB, 17 MiB are free"));
		(void)destroy(vm);
		page_fake_limit -= PAGE_SIZE;
	}
}

static void test_restart_is_silent(void **state)
{
	struct vm *vm = create();
	unsigned lines = log_fake_lines;

	(void)state;
	vm->is_restart = true;
	(void)start(vm);
	assert_true(vm_is_alive(vm));
	assert_int_equal(log_fake_lines, lines);
	(void)destroy(vm);
}

static void test_starts_that_fail(void **state)
{
	struct vm *vm;

	(void)state;
	fake.loader_fails = true;
	vm = create();
	(void)start(vm);
	assert_int_equal(vm->end, VM_END_CRASHED);
	assert_int_equal(vm->state, VM_STARTING);
	(void)destroy(vm);

	fake.loader_fails = false;
	fake.zeroed = 0;
	vm = create();
	while (vm->vcpu_count < config.vcpus)
		vm_start(vm);
	page_fake_limit = page_fake_used;		/* none left for the file */
	(void)start(vm);
	assert_int_equal(vm->end, VM_END_CRASHED);
	assert_string_equal(vm->end_reason, "cannot start: out of host memory while its files were copied");
	assert_false(fake.clock_runs);
	(void)destroy(vm);
}

/* The processor leaves the run loop and finds a look: otherwise it is done when the turn is over, or never. */
static void test_work_is_seen(void **state)
{
	struct vm *vm = create();

	(void)state;
	look = (struct look){ .home = host_processor() };
	fake.attention = false;
	vm->work.wake(vm->work.ctx);
	assert_true(fake.attention);
	assert_true(look.is_posted);
	look = (struct look){ .home = &processors_fake[1] };	/* another one's: that one is interrupted, and here a guest goes on */
	fake.attention = false;
	vm->work.wake(vm->work.ctx);
	assert_false(fake.attention);
	assert_true(look.is_posted);
	(void)destroy(vm);
}

static void test_first_reason_wins(void **state)
{
	struct vm *vm = create();
	unsigned lines;

	(void)state;
	(void)start(vm);
	look = (struct look){ .home = host_processor(), .is_posted = true };	/* it may have been put off */
	host_processor()->resumes = false;
	fake.attention = false;
	assert_true(vm_stop(vm, VM_END_REBOOT, "reset by %s", "the guest"));
	assert_true(fake.attention);
	assert_true(host_processor()->resumes);
	assert_false(vm_is_alive(vm));
	lines = log_fake_lines;
	assert_false(vm_kill(vm, "too late"));
	assert_int_equal(log_fake_lines, lines);
	assert_false(vm_stop(vm, VM_END_SHUTDOWN, "too late"));
	assert_int_equal(vm->end, VM_END_REBOOT);
	assert_string_equal(vm->end_reason, "reset by the guest");
	assert_true(vm->has_reason);		/* for another processor, which may ask at the same time */
	(void)destroy(vm);
	vm = create();
	lines = log_fake_lines;
	assert_true(vm_kill(vm, "in time"));
	assert_int_equal(log_fake_lines, lines + 1);
	(void)destroy(vm);
}

/* Whichever page it does not get: no VM, and nothing is lost. */
static void test_out_of_memory(void **state)
{
	struct vm *vm = NULL;
	uint64_t pages = 0;

	(void)state;
	config.memory = 1 << 20;
	while (!vm) {
		page_fake_limit = pages++ * PAGE_SIZE;
		vm = create();
		if (!vm)
			assert_true(page_fake_used == 0 && fake.vcpus == 0 && account.promise == 0);
	}
	assert_true(pages > 10);
	(void)destroy(vm);
}

/* No pages for its second vCPU, or no control block, or nothing left that it may have: it ends, and gives back the first. */
static void test_no_vcpu(void **state)
{
	static const struct { unsigned init_fails; bool has_no_pages, has_no_account; const char *reason; } rows[] = {
		{ 2, false, false, "cannot start: no memory for vCPU 1" },
		{ 0, true, false, "cannot start: no memory for vCPU 1" },
		{ 0, false, true, "out of memory: it has 0 MiB of the host's, the rest is promised to others" },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct vm *vm;

		config.overcommit = rows[i].has_no_account;
		page_fake_limit = 64ULL << 20;
		fake.init_fails = rows[i].init_fails;
		vm = create();
		vm_start(vm);
		assert_int_equal(vm->vcpu_count, 1);
		assert_int_equal(fake.vcpus, 1);
		if (rows[i].has_no_pages || rows[i].has_no_account)
			page_fake_limit = page_fake_used;
		(void)start(vm);
		assert_int_equal(vm->end, VM_END_CRASHED);
		assert_string_equal(vm->end_reason, rows[i].reason);
		assert_int_equal(vm->vcpu_count, 1);
		check_no_vcpu_behind(vm);
		(void)destroy(vm);
		account_close(&account);
		assert_int_equal(page_fake_used, 0);
	}
}

static void test_refusals(void **state)
{
	(void)state;
	fake.machine_fails = true;
	assert_null(create());
	fake.machine_fails = false;
	config.memory = 1ULL << 30;		/* more than there is */
	assert_null(create());
	config.memory = MEMORY;
	config.vcpus = 0;
	assert_null(create());
	config.vcpus = VM_VCPUS_MAX + 1;
	assert_null(create());
}

/* Two nodes: node 1 has all memory that pages are taken from here, node 0 the processor 0. */
static void test_nodes(void **state)
{
	static const struct handoff one_node;
	struct handoff handoff = { .cpu_count = 2, .nodes = { .with_memory = 3, .range_count = 2, .cpus = { 0, 1 },
							      .ranges = { { 0, 1, 0, 0 }, { 1, 1, 1, 0 } } } };

	(void)state;
	nodes_init(&handoff);
	for (fake.processor = 0; fake.processor < 2; fake.processor++) {
		struct vm *vm = NULL;
		char says[40];

		fake.zeroed = fake.prepares = 0;
		fake.clock_runs = false;
		fake.node = fake.processor;
		log_fake_init();
		vm = create();
		assert_non_null(vm);
		while (vm->state == VM_STARTING)
			vm_start(vm);
		snprintf(says, sizeof(says), ", memory from node %u\n", fake.node);
		assert_non_null(strstr(log_fake_text, says));
		assert_int_equal(vm->gpm.wish.nodes, 3);
		assert_int_equal(vm->gpm.chunks[0], 0);
		assert_int_equal(vm->gpm.chunks[1] * LARGE_SIZE, vm->gpm.populated);
		assert_true(vm->gpm.populated);
		(void)destroy(vm);
	}
	nodes_init(&one_node);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_life), TEST(test_vcpus_are_counted), TEST(test_timers_end_with_it), TEST(test_promise_outlives_it),
		TEST(test_promise_is_for_all), TEST(test_overcommit_warns), TEST(test_restart_is_silent), TEST(test_starts_that_fail),
		TEST(test_first_reason_wins), TEST(test_work_is_seen),
		TEST(test_out_of_memory), TEST(test_no_vcpu), TEST(test_refusals), TEST(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
