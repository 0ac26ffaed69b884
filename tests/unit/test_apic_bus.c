/* SPDX-License-Identifier: MIT */
/* Interrupt messages: who is reached, what each delivery mode does, and a processor started by INIT, SIPI, SIPI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/virt/save.h"
#include "hv/dev/apic_bus.h"
#include "hv/host.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define VCPUS	3U

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct look looks[VCPUS];
static struct reset_state started[VCPUS];
static unsigned posts[VCPUS], level_posts, kicks[VCPUS], inits[VCPUS], starts[VCPUS];

/* ---- The world around the code under test ---- */

bool lapic_is_enabled(const struct lapic *lapic) { return lapic->s.svr; }
uint32_t lapic_task_priority(const struct lapic *lapic) { return lapic->s.tpr; }

/* Physical: by ID. Logical: one bit for each ID. Broadcasts are not its business here: stricter than the real one. */
bool lapic_matches(const struct lapic *lapic, uint32_t dest, bool is_logical)
{
	return is_logical ? dest >> lapic->id & 1 : dest == lapic->id;
}

void lapic_merge(struct lapic *lapic, unsigned first, uint64_t vectors, bool is_level)
{
	assert_true(lapic_is_enabled(lapic));
	assert_int_equal(vectors & (vectors - 1), 0);
	posts[lapic->id] = posts[lapic->id] * 256 + first + (unsigned)__builtin_ctzll(vectors);
	level_posts += is_level;
}

void lapic_set_lint0(struct lapic *lapic, bool is_high) { (void)lapic; (void)is_high; }

void lapic_reset(struct lapic *lapic, bool is_init)
{
	assert_true(is_init);
	inits[lapic->id]++;
}

/* All vCPUs are this processor's, so each request is taken at once; test_request.c has those of others. */
struct processor *host_processor(void) { return NULL; }
void host_kick(struct processor *processor, enum host_kick what) { (void)what; fail_msg("kicked %p", (void *)processor); }

static const struct virt_backend backend;
const struct virt_backend *virt = &backend;

void vcpu_kick(struct vcpu *vcpu) { kicks[vcpu->id]++; }

bool vm_stop(struct vm *stopped, enum vm_end end, const char *fmt, ...)
{
	(void)fmt;
	stopped->end = end;
	return true;
}

void vm_stop_if_asleep(struct vm *asleep) { assert_ptr_equal(asleep, &vm); }

static unsigned leaves;
void host_attention_set(void) { leaves++; }

void vcpu_reset(struct vcpu *vcpu, const struct reset_state *state)
{
	started[vcpu->id] = *state;
	starts[vcpu->id]++;
	vcpu->nmi_pending = vcpu->is_unhalted = false;
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(looks, 0, sizeof(looks));
	memset(posts, 0, sizeof(posts));
	memset(kicks, 0, sizeof(kicks));
	memset(inits, 0, sizeof(inits));
	memset(starts, 0, sizeof(starts));
	level_posts = 0;
	vm.vcpu_count = VCPUS;
	for (uint32_t i = 0; i < VCPUS; i++) {
		vm.vcpus[i] = &vcpus[i];
		vcpus[i].vm = &vm;
		vcpus[i].id = vcpus[i].lapic.id = i;
		vcpus[i].lapic.s.svr = 1;
		vcpus[i].lapic.s.base_msr = i ? 0 : APIC_BASE_BSP;
		vcpus[i].state = VCPU_READY;
		vcpus[i].look = &looks[i];
	}
	return 0;
}

/* Was a look at it posted since the last question? Otherwise the scheduler never learns what became of it. */
static bool is_looked_at(uint32_t id)
{
	return atomic_exchange(&looks[id].is_posted, false);
}

/* ---- Tests ---- */

static const struct {
	const char *what;
	bool     is_x2apic;
	uint64_t icr;
	unsigned reached;	/* bit for each vCPU; sent by vCPU 1 */
} rows[] = {
	{ "physical", false, 0x02000000000000ffULL, 4 },
	{ "physical, nobody", false, 0x07000000000000ffULL, 0 },
	{ "physical broadcast", false, 0xff000000000000ffULL, 7 },
	{ "logical", false, 0x05000000000008ffULL, 5 },
	{ "x2APIC physical", true, 0x00000002000000ffULL, 4 },
	{ "x2APIC physical ff is no broadcast", true, 0x000000ff000000ffULL, 0 },
	{ "x2APIC broadcast", true, 0xffffffff000000ffULL, 7 },
	{ "x2APIC logical", true, 0x00000003000008ffULL, 3 },
	{ "x2APIC logical, a number of a vCPU", true, 0x00000002000008ffULL, 2 },
	{ "x2APIC self", true, 0x00000002000400ffULL, 2 },
	{ "x2APIC all", true, 0x00000002000800ffULL, 7 },
	{ "x2APIC others", true, 0x00000002000c00ffULL, 5 },
	{ "x2APIC SMI", true, 0x00000002000002ffULL, 0 },
	{ "x2APIC NMI", true, 0x00000002000004ffULL, 0 },
	{ "x2APIC INIT", true, 0x00000002000045ffULL, 0 },
	{ "self", false, 0x00000000000400ffULL, 2 },
	{ "all", false, 0x00000000000800ffULL, 7 },
	{ "others", false, 0x00000000000c00ffULL, 5 },
	{ "lowest of some", false, 0x06000000000009ffULL, 2 },
	{ "SMI", false, 0xff000000000002ffULL, 0 },
	{ "reserved mode", false, 0xff000000000003ffULL, 0 },
	{ "ExtINT", false, 0xff000000000007ffULL, 0 },
};

static void test_destinations(void **unused)
{
	for (size_t i = 0; i < countof(rows); i++) {
		set_up(unused);
		vcpus[1].lapic.s.base_msr = rows[i].is_x2apic ? APIC_BASE_X2APIC : 0;
		apic_bus_ipi(&vm, &vcpus[1].lapic, rows[i].icr);
		for (uint32_t k = 0; k < VCPUS; k++)
			if (posts[k] != (rows[i].reached >> k & 1) * 0xff)
				fail_msg("%s: vCPU %u", rows[i].what, k);
	}
}

static void test_nobody_home(void **unused)
{
	(void)unused;
	vcpus[0].lapic.s.svr = 0;
	vcpus[2].state = VCPU_PARKED;
	apic_bus_ipi(&vm, &vcpus[1].lapic, 0xff00000000000031ULL);
	assert_int_equal(posts[0] | posts[2], 0);
	assert_int_equal(posts[1], 0x31);
	apic_bus_ipi(&vm, &vcpus[1].lapic, 0xff00000000000400ULL);	/* NMI */
	assert_true(vcpus[0].nmi_pending && vcpus[1].nmi_pending);
	assert_false(vcpus[2].nmi_pending);
	assert_int_equal(kicks[0], 1);
	assert_int_equal(kicks[2], 0);
}

/* To itself a processor may send Fixed interrupts only; in all other ways an NMI reaches it. */
static void test_modes_to_self(void **unused)
{
	static const struct { uint64_t icr; bool is_nmi; } sent[] = {
		{ 0x40400, false }, { 0x40500, false }, { 0x44500, false }, { 0x40699, false }, { 0x401ff, false },
		{ 0x0100000000000400, true }, { 0x80400, true },
	};

	for (size_t i = 0; i < countof(sent); i++) {
		set_up(unused);
		apic_bus_ipi(&vm, &vcpus[1].lapic, sent[i].icr);
		if (vcpus[1].nmi_pending != sent[i].is_nmi || vcpus[1].state != VCPU_READY || posts[1] || inits[1])
			fail_msg("ICR %#llx", (unsigned long long)sent[i].icr);
	}
}

static void test_lowest_priority(void **unused)
{
	const struct ioapic_msg msg = {
		.dest = 7, .is_logical = true, .is_level = true, .vector = 0x40, .mode = APIC_LOWEST,
	};

	(void)unused;
	vcpus[0].lapic.s.tpr = 0x80;
	vcpus[1].lapic.s.tpr = 0x20;
	vcpus[2].state = VCPU_PARKED;
	assert_true(apic_bus_deliver(&vm, &msg));
	assert_int_equal(posts[1], 0x40);
	assert_int_equal(posts[0] | posts[2], 0);
	assert_int_equal(level_posts, 1);
	vcpus[0].lapic.s.tpr = 0x10;
	assert_true(apic_bus_deliver(&vm, &msg));
	assert_int_equal(posts[0], 0x40);
}

static void test_ioapic(void **unused)
{
	static const struct { struct ioapic_msg msg; bool was_taken; } msgs[] = {
		{ { .dest = 1, .vector = 0x30, .mode = APIC_FIXED }, true },
		{ { .dest = 0xff, .vector = 0x30, .mode = APIC_FIXED }, true },
		{ { .dest = 9, .vector = 0x30, .mode = APIC_FIXED }, false },
		{ { .dest = 1, .vector = 0x0f, .mode = APIC_FIXED }, false },
		{ { .dest = 1, .vector = 0x10, .mode = APIC_FIXED }, true },
		{ { .dest = 2, .vector = 0x30, .mode = APIC_FIXED }, false },	/* it is parked */
		{ { .dest = 1, .mode = APIC_NMI }, true },
		{ { .dest = 2, .mode = APIC_NMI }, false },
		{ { .dest = 1, .mode = APIC_INIT }, true },
		{ { .dest = 2, .vector = 0x30, .mode = APIC_SIPI }, false },
		{ { .dest = 1, .vector = 0x30, .mode = APIC_EXTINT }, false },
		{ { .dest = 1, .vector = 0x30, .mode = (enum apic_mode)99 }, false },
	};

	for (size_t i = 0; row_of(msgs, i); i++) {
		set_up(unused);
		vcpus[2].state = VCPU_PARKED;
		assert_int_equal(apic_bus_deliver(&vm, &msgs[i].msg), msgs[i].was_taken);
		assert_int_equal(starts[2], 0);
	}
}

/* A set that begins at any APIC ID, of which this VM has three. */
static void test_set(void **unused)
{
	static const struct { uint32_t first; uint64_t set; enum apic_mode mode; uint32_t taken, reached; } sets[] = {
		{ 0, 7, APIC_FIXED, 3, 7 },		{ 0, 6, APIC_NMI, 2, 6 },
		{ 1, 1, APIC_FIXED, 1, 2 },		{ 2, UINT64_MAX, APIC_FIXED, 1, 4 },
		{ 3, UINT64_MAX, APIC_FIXED, 0, 0 },	{ 0, ~7ULL, APIC_FIXED, 0, 0 },
		{ UINT32_MAX, UINT64_MAX, APIC_FIXED, 0, 0 },	{ 0, 0, APIC_FIXED, 0, 0 },
	};

	for (size_t i = 0; row_of(sets, i); i++) {
		uint32_t reached = 0;

		set_up(unused);
		assert_int_equal(apic_bus_send_set(&vm, sets[i].first, sets[i].set, sets[i].mode, 0x30), sets[i].taken);
		for (uint32_t id = 0; id < VCPUS; id++)
			reached |= (kicks[id] || posts[id]) ? 1U << id : 0;
		assert_int_equal(reached, sets[i].reached);
	}
	set_up(unused);
	assert_int_equal(apic_bus_send_set(&vm, 2, 1, APIC_FIXED, 0x30), 1);
	assert_true(nospec_took(2, VM_VCPUS_MAX));
	vcpus[1].state = VCPU_PARKED;
	vcpus[2].lapic.s.svr = 0;
	assert_int_equal(apic_bus_send_set(&vm, 0, 7, APIC_FIXED, 0x30), 1);
}

static void test_init_sipi_sipi(void **unused)
{
	(void)unused;
	vcpus[2].nmi_pending = vcpus[2].nmi_blocked = vcpus[2].pending.is_valid = vcpus[2].is_unhalted = true;

	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x020000000000c500ULL);	/* INIT, level, assert */
	assert_int_equal(vcpus[2].state, VCPU_PARKED);
	assert_true(is_looked_at(2));
	assert_int_equal(inits[2], 1);
	assert_false(vcpus[2].nmi_pending || vcpus[2].nmi_blocked || vcpus[2].pending.is_valid || vcpus[2].is_unhalted);
	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x0200000000008500ULL);	/* INIT, level, de-assert: nothing */
	assert_int_equal(inits[2], 1);
	vcpu_request(&vcpus[2], REQUEST_UNHALT);	/* one that waits for its SIPI hears no call */
	assert_false(vcpus[2].is_unhalted);
	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x0200000000000500ULL);	/* INIT, edge: once more */
	assert_int_equal(inits[2], 2);
	(void)is_looked_at(2);

	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x020000000000069aULL);	/* SIPI 9a */
	assert_int_equal(vcpus[2].state, VCPU_READY);
	assert_true(is_looked_at(2));
	assert_int_equal(starts[2], 0);		/* not in the sender's exit */
	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x0200000000000400ULL);	/* an NMI behind the SIPI is the started processor's, */
	vcpu_request(&vcpus[2], REQUEST_UNHALT);			/* and so is a call */
	vcpu_start_if_due(&vcpus[2]);
	assert_true(vcpus[2].nmi_pending && vcpus[2].is_unhalted);
	assert_int_equal(vcpus[2].state, VCPU_READY);
	assert_int_equal(started[2].seg[SEG_CS].base, 0x9a000);
	assert_int_equal(started[2].seg[SEG_CS].selector, 0x9a00);
	assert_int_equal(started[2].rip, 0);

	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x020000000000069aULL);	/* the second one finds it running */
	vcpu_start_if_due(&vcpus[2]);
	assert_int_equal(starts[2], 1);
	assert_int_equal(starts[0] + starts[1], 0);
	assert_int_equal(vm.end, VM_END_NONE);
}

static void test_init_others(void **unused)
{
	(void)unused;
	apic_bus_ipi(&vm, &vcpus[0].lapic, 0x00000000000c4500ULL);
	assert_int_equal(vcpus[0].state, VCPU_READY);
	assert_int_equal(vcpus[1].state, VCPU_PARKED);
	assert_int_equal(vcpus[2].state, VCPU_PARKED);
	assert_int_equal(vm.end, VM_END_NONE);
}

/*
 * A processor that sends INIT to itself leaves its run loop, or its next instruction could be HLT, which
 * forgets that it is parked.
 */
static void test_init_to_oneself(void **unused)
{
	(void)unused;
	leaves = 0;
	apic_bus_ipi(&vm, &vcpus[1].lapic, 0x0100000000004500ULL);
	assert_int_equal(vcpus[1].state, VCPU_PARKED);
	assert_int_equal(leaves, 1);
}

static void test_init_boot_processor(void **unused)
{
	(void)unused;
	apic_bus_ipi(&vm, &vcpus[1].lapic, 0x0000000000004500ULL);
	assert_int_equal(vm.end, VM_END_REBOOT);
	assert_int_equal(inits[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_destinations, set_up),
		cmocka_unit_test_setup(test_nobody_home, set_up),
		cmocka_unit_test_setup(test_modes_to_self, set_up),
		cmocka_unit_test_setup(test_lowest_priority, set_up),
		cmocka_unit_test_setup(test_ioapic, set_up), cmocka_unit_test_setup(test_set, set_up),
		cmocka_unit_test_setup(test_init_sipi_sipi, set_up),
		cmocka_unit_test_setup(test_init_others, set_up),
		cmocka_unit_test_setup(test_init_boot_processor, set_up),
		cmocka_unit_test_setup(test_init_to_oneself, set_up),
	};

	return cmocka_run_group_tests_name("apic_bus", tests, NULL, NULL);
}
