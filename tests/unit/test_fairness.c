/* SPDX-License-Identifier: MIT */
/*
 * Both policies and the cap with a thousand vCPUs, in simulated time: what share each VM gets, what a guest gains that
 * halts just before each tick, and how many comparisons a decision takes. One tick is a microsecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cap.h"
#include "hv/lib/util.h"
#include "hv/turn.h"

#define SECOND		1000000U
#define TURN		(SECOND / 100)
#define VMS_MAX		1024U
#define VCPUS_MAX	128U	/* of one VM */
#define NEVER		UINT64_MAX

struct vcpu {
	struct turn turn;
	uint64_t    left, wakes;	/* ticks until it sleeps, NEVER: it does not; when it wakes */
};

struct guest {
	uint32_t vcpus, weight, cap;
	uint64_t work, sleep;		/* each vCPU; work 0: it never sleeps */
	bool     dodges;		/* halts just before each tick of the clock, and wakes behind it */
};

struct vm {
	struct guest guest;
	struct turn  turn;
	struct turns vcpus;
	struct turn *order[2 * VCPUS_MAX];
	struct cap   cap;
	uint64_t     allowed;
	struct vcpu  vcpu[VCPUS_MAX];
};

static struct vm vms[VMS_MAX];
static uint32_t vm_count, vcpu_count;
static struct run_queue queue;
static struct turn *order[2 * VMS_MAX];
static uint64_t due[VMS_MAX];	/* when to look at a VM again, of each */
static uint64_t now, decisions, comparisons;
static struct sched_policy policy;	/* a copy of one of them, which counts */
static bool (*goes_before)(const struct turn *a, const struct turn *b);

static bool count_comparison(const struct turn *a, const struct turn *b)
{
	comparisons++;
	return goes_before(a, b);
}

static void begin(const struct sched_policy *which)
{
	policy = *which;
	goes_before = policy.goes_before;
	policy.goes_before = count_comparison;
	memset(vms, 0, sizeof(vms));
	memset(order, 0, sizeof(order));
	queue = (struct run_queue){ 0 };
	turns_init(&queue.vms, &policy, TURN, order, VMS_MAX);
	vm_count = vcpu_count = 0;
	now = decisions = comparisons = 0;
}

/* Like look_at in hv/sched.c. */
static void look_at(struct vm *vm, struct vcpu *vcpu)
{
	uint64_t wait = cap_wait(&vm->cap, TURN, vm->turn.used, now);

	turn_set_ready(&vcpu->turn, vcpu->wakes <= now);
	vm->allowed = now + wait;
	turn_set_ready(&vm->turn, turns_first(&vm->vcpus) && !wait);
}

/* The next moment at which one of its vCPUs wakes, or its cap lets it run again. */
static void set_due(struct vm *vm)
{
	uint64_t next = vm->allowed > now ? vm->allowed : NEVER;

	if (vm->guest.work || vm->guest.dodges)
		for (const struct vcpu *vcpu = vm->vcpu; vcpu < vm->vcpu + vm->guest.vcpus; vcpu++)
			if (vcpu->wakes > now)
				next = min_u64(next, vcpu->wakes);
	due[vm - vms] = next;
}

static void look_at_all(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->guest.vcpus; i++)
		look_at(vm, &vm->vcpu[i]);
	set_due(vm);
}

static void add(struct guest guest)
{
	struct vm *vm = &vms[vm_count];

	vm->guest = guest;
	turn_join(&queue.vms, &vm->turn, vm_count++, guest.weight ? guest.weight : WEIGHT_DEFAULT);
	turns_init(&vm->vcpus, &policy, TURN, vm->order, VCPUS_MAX);
	cap_init(&vm->cap, guest.cap, TURN, now);
	for (uint32_t i = 0; i < guest.vcpus; i++) {
		turn_join(&vm->vcpus, &vm->vcpu[i].turn, i, WEIGHT_DEFAULT);
		vm->vcpu[i].turn.vm = &vm->turn;
		vm->vcpu[i].left = guest.work ? guest.work : NEVER;
		vm->vcpu[i].wakes = guest.work ? (uint64_t)rand() % (guest.work + guest.sleep) : 0;
		look_at(vm, &vm->vcpu[i]);
		vcpu_count++;
	}
	set_due(vm);
}

/* All whose moment has come are looked at. Returns the next such moment. */
static uint64_t wake_all(void)
{
	uint64_t next = NEVER;

	for (uint32_t i = 0; i < vm_count; i++) {
		if (due[i] <= now)
			look_at_all(&vms[i]);
		next = min_u64(next, due[i]);
	}
	return next;
}

static void run(struct vm *vm, struct vcpu *vcpu, uint64_t next)
{
	uint64_t left = min_u64(policy.tick(&queue.vms, &vm->turn), policy.tick(&vm->vcpus, &vcpu->turn));
	uint64_t until = min_u64(next, now + min_u64(left, cap_left(&vm->cap)));

	turn_bill(&queue, &vcpu->turn, now);
	if (vm->guest.dodges)
		until = min_u64(until, now / TURN * TURN + TURN - 10);
	if (vcpu->left != NEVER)
		until = min_u64(until, now + vcpu->left);
	vcpu->left -= vcpu->left == NEVER ? 0 : until - now;
	now = until;
	turn_bill(&queue, NULL, now);
	if (!vcpu->left) {
		vcpu->left = vm->guest.work;
		vcpu->wakes = now + vm->guest.sleep;
	}
	if (vm->guest.dodges && now % TURN >= TURN - 10)
		vcpu->wakes = (now / TURN + 1) * TURN + 1;
	look_at_all(vm);	/* a sibling may wake at this very moment */
}

static void simulate(uint64_t ticks)
{
	uint64_t end = now + ticks;

	while (now < end) {
		uint64_t next = min_u64(end, wake_all());
		struct turn *first = policy.pick(&queue.vms);
		struct vm *vm;

		if (!first) {
			now = next;
			turn_bill(&queue, NULL, now);
			continue;
		}
		vm = container_of(first, struct vm, turn);
		decisions++;
		run(vm, container_of(policy.pick(&vm->vcpus), struct vcpu, turn), next);
	}
}

static double used(uint32_t vm)
{
	return (double)vms[vm].turn.used;
}

/* 1: all have the same; 1/n: one has all. */
static double jain(double (*of)(uint32_t), uint32_t count)
{
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < count; i++) {
		sum += of(i);
		squares += of(i) * of(i);
	}
	return sum * sum / (count * squares);
}

/* Many who sleep nearly all the time, to make it a thousand vCPUs; all of them together use one percent. */
static void add_sleepers(void)
{
	while (vcpu_count < 1000)
		add((struct guest){ .vcpus = 1, .work = 10, .sleep = SECOND });
}

#define ONE	{ .vcpus = 1 }
#define NAPS(share)	{ .vcpus = 8, .weight = (share), .work = 100, .sleep = 100 }	/* one of them always wants it */

static void expect_share(const char *name, double percent, double wanted)
{
	if (percent < wanted * 0.99 || percent > wanted * 1.01)
		fail_msg("%s, %s: %.3f %% of the processor, not %.3f", policy.name, name, percent, wanted);
}

/* Two that want the processor all the time, among a thousand: what is left by the others is shared by weight. */
static void test_weights(void **state)
{
	static const struct {
		const char *name;
		const struct sched_policy *policy;
		struct guest guests[2];
		double shares[2];
	} rows[] = {
		{ "1:1", &sched_share, { ONE, ONE }, { 50, 50 } },
		{ "3:1", &sched_share, { { .vcpus = 1, .weight = 300 }, ONE }, { 75, 25 } },
		{ "10:1", &sched_share, { { .vcpus = 1, .weight = 1000 }, ONE }, { 1000 / 11.0, 100 / 11.0 } },
		{ "1:20", &sched_share, { { .vcpus = 1, .weight = 5 }, ONE }, { 100 / 21.0, 2000 / 21.0 } },
		{ "3:1, eight vCPUs that sleep half the time", &sched_share, { NAPS(300), ONE }, { 75, 25 } },
		{ "10:1, eight vCPUs that sleep half the time", &sched_share, { NAPS(1000), ONE }, { 1000 / 11.0, 100 / 11.0 } },
		{ "3:1, the lighter with eight vCPUs", &sched_share, { { .vcpus = 1, .weight = 300 }, { .vcpus = 8 } }, { 75, 25 } },
		{ "1:1, 64 vCPUs against one", &sched_share, { { .vcpus = 64 }, ONE }, { 50, 50 } },
		{ "a circle knows no weights", &sched_round_robin, { { .vcpus = 1, .weight = 1000 }, { .vcpus = 8 } }, { 50, 50 } },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		uint64_t total;

		begin(rows[i].policy);
		add(rows[i].guests[0]);
		add(rows[i].guests[1]);
		add_sleepers();
		simulate(10 * SECOND);
		total = vms[0].turn.used + vms[1].turn.used;
		assert_true(total > 98 * 10 * SECOND / 100);
		expect_share(rows[i].name, used(0) * 100 / (double)total, rows[i].shares[0]);
		expect_share(rows[i].name, used(1) * 100 / (double)total, rows[i].shares[1]);
	}
}

/* A quarter of the processor and no more: alone, beside another, with many vCPUs. */
static void test_caps(void **state)
{
	static const struct sched_policy *const policies[] = { &sched_share, &sched_round_robin };
	static const struct { const char *name; struct guest guests[2]; double share; } rows[] = {
		{ "cap 25, alone", { { .vcpus = 1, .cap = 25 } }, 25 },
		{ "cap 25 beside one that computes", { { .vcpus = 1, .cap = 25 }, ONE }, 25 },
		{ "cap 25 with eight vCPUs", { { .vcpus = 8, .cap = 25 }, { .vcpus = 4 } }, 25 },
		{ "cap 25 and ten times the weight", { { .vcpus = 1, .weight = 1000, .cap = 25 }, ONE }, 25 },
		{ "cap 5", { { .vcpus = 1, .cap = 5 }, ONE }, 5 },
		{ "cap 99", { { .vcpus = 1, .cap = 99 } }, 99 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * countof(rows); i++) {
		begin(policies[i % 2]);
		add(rows[i / 2].guests[0]);
		if (rows[i / 2].guests[1].vcpus)
			add(rows[i / 2].guests[1]);
		add_sleepers();
		simulate(SECOND);
		vms[0].turn.used = vms[0].cap.used = 0;
		simulate(10 * SECOND);
		expect_share(rows[i / 2].name, used(0) / SECOND * 10, rows[i / 2].share);
	}
}

/* Overdrawn, by timers or by an exit that took long: then it may run for one tick, not for thousands of years. */
static void test_cap_overdrawn(void **state)
{
	struct cap cap;

	(void)state;
	cap_init(&cap, 4, TURN, 0);
	assert_int_equal(cap_left(&cap), TURN / 4 * 100 / 96 + 1);
	assert_int_equal(cap_wait(&cap, TURN, TURN / 4, 0), TURN / 4 * 100 / 4 + 1);	/* all of it, no more */
	assert_int_equal(cap_left(&cap), 1);
	assert_true(cap_wait(&cap, TURN, TURN, 0));
	assert_int_equal(cap_left(&cap), 1);
}

/* After a minute in which it wanted nothing a VM has two turns for itself, and not fifteen seconds. */
static void test_cap_is_not_saved_up(void **state)
{
	struct cap cap;

	(void)state;
	cap_init(&cap, 25, TURN, 0);
	assert_int_equal(cap_wait(&cap, TURN, 0, 60 * SECOND), 0);
	assert_in_range(cap_left(&cap), 2 * TURN, 3 * TURN);
}

/* The VM comes from a processor whose clock is a little ahead: the allowance neither grows nor shrinks for that. */
static void test_cap_where_time_is_behind(void **state)
{
	struct cap cap;
	uint64_t left;

	(void)state;
	cap_init(&cap, 25, TURN, SECOND);
	(void)cap_wait(&cap, TURN, 0, SECOND);
	left = cap_left(&cap);
	assert_int_equal(cap_wait(&cap, TURN, 0, SECOND - 5), 0);
	assert_int_equal(cap_left(&cap), left);
}

/* A thousand that all compute, in ten VMs of different sizes. */
static void test_all_compute(void **state)
{
	static const struct sched_policy *const policies[] = { &sched_share, &sched_round_robin };
	static const uint32_t sizes[] = { 125, 1, 124, 128, 122, 125, 125, 125, 120, 5 };

	(void)state;
	for (size_t i = 0; i < countof(policies); i++) {
		double index;

		begin(policies[i]);
		for (size_t n = 0; n < countof(sizes); n++)
			add((struct guest){ .vcpus = sizes[n] });
		assert_int_equal(vcpu_count, 1000);
		simulate(10 * SECOND);
		index = jain(used, vm_count);
		print_message("%s: Jain's index %.5f\n", policy.name, index);
		assert_true(index > 0.999);
		assert_int_equal(queue.idle, 0);
		for (uint32_t n = 0; n < vms[0].guest.vcpus; n++)	/* 1 s, in turns of 1/100 s */
			assert_in_range(vms[0].vcpu[n].turn.used, 0, TURN);
	}
}

/* Who halts just before each tick of the clock is charged for what it used all the same. */
static void test_dodger(void **state)
{
	static const struct sched_policy *const policies[] = { &sched_share, &sched_round_robin };

	(void)state;
	for (size_t i = 0; i < countof(policies); i++) {
		begin(policies[i]);
		add((struct guest){ .vcpus = 1, .dodges = true });
		add((struct guest){ .vcpus = 1 });
		add_sleepers();
		simulate(10 * SECOND);
		print_message("%s: who halts before each tick gets %.2f %%\n", policy.name, used(0) / SECOND * 10);
		assert_true(used(0) * 100 <= 51.0 * 10 * SECOND);
	}
}

/* Per turn that ends: the matches of one vCPU and of its VM. There are 128 and 1,024 places here: 7 and 10 at most. */
static void test_cost(void **state)
{
	static const uint32_t counts[] = { 1, 16, 256, 1000 };
	static const struct sched_policy *const policies[] = { &sched_share, &sched_round_robin };

	(void)state;
	for (size_t i = 0; i < countof(policies) * countof(counts); i++) {
		const uint32_t count = counts[i / 2];

		begin(policies[i % 2]);
		while (vcpu_count < count)
			add((struct guest){ .vcpus = 1 });
		decisions = comparisons = 0;
		simulate(10 * SECOND);
		print_message("%s, %u vCPUs: %.2f comparisons a decision\n", policy.name, count,
			      (double)comparisons / (double)decisions);
		assert_true(comparisons <= 2 * 10 * decisions);		/* at the start and the end of a turn */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_cap_overdrawn),
		cmocka_unit_test(test_cap_is_not_saved_up), cmocka_unit_test(test_cap_where_time_is_behind),
		cmocka_unit_test(test_all_compute),
		cmocka_unit_test(test_dodger),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
