/* SPDX-License-Identifier: MIT */
/*
 * Homes of VMs, on two fake processors: where a new VM goes, what moves with a VM and what stays, who gives one to a
 * processor that is idle, and who interrupts whom.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/virt/load.h"
#include "clock_fake.h"
#include "hv/home.h"
#include "hv/host.h"
#include "hv/limb.h"
#include "hv/slots.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "processor_fake.h"
#include "row.h"

#define TURN	1000U
#define VMS	5U
#define VCPUS	4U		/* of a VM, at most */

enum { ONE, TWO, THREE };

static struct handoff_vm configs[VMS];
static struct slot table[HANDOFF_VMS_MAX];
static struct vm vms[VMS];
static struct party parties[VMS][VCPUS];
static struct limb limbs[VMS][PROCESSORS];
static struct turn *orders[VMS][PROCESSORS][2 * VCPUS];
static struct vcpu vcpus[VMS][VCPUS];
static struct timer timers[VMS];
static struct bus no_bus;
static unsigned kicks[PROCESSORS], processors_on;
struct slot *slots = table;

/* ---- The world around the code under test ---- */

unsigned host_processor_number(struct processor *processor) { return 2 * processor->index; }
struct processor *host_processor_at(unsigned n) { return n < processors_on ? &processors_fake[n] : NULL; }

void host_kick(struct processor *processor, enum host_kick what)
{
	assert_int_equal(what, KICK_WAKE);
	assert_ptr_not_equal(processor, host_processor());
	kicks[processor->index]++;
}

void party_does(struct party *party, enum activity activity)
{
	activity_change(&party->activities, activity, host_processor()->queue.mark, host_processor()->used, VMS);
}

void vcpu_give(struct vcpu *vcpu, struct processor *to)
{
	const struct party *party = &parties[vcpu->vm - vms][vcpu->id];

	assert_ptr_equal(vcpu->processor, host_processor());
	assert_ptr_equal(party->look.home, host_processor());	/* behind that write it is the other's */
	vcpu->processor = to;
}

/* ---- VMs ---- */

static struct processor *at(unsigned n) { return &processors_fake[n]; }

static void on(unsigned n) { processor_fake_run_on(n); }

/* All processors are on; balance has tests of its own, which begin with balance_from_now. */
static void start_homes(uint32_t count)
{
	processors_on = count;
	homes_init();
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(at(i)->may_balance, 0);
		at(i)->may_balance = UINT64_MAX;
	}
}

static void balance_from_now(void)
{
	host_processor()->may_balance = 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(processors_fake, 0, sizeof(processors_fake));
	memset(table, 0, sizeof(table));
	memset(kicks, 0, sizeof(kicks));
	memset(timers, 0, sizeof(timers));
	processors_fake[ONE].waiting = processors_fake[TWO].waiting = 1;	/* of an earlier test */
	start_homes(2);
	assert_int_equal(processors_fake[ONE].waiting + processors_fake[TWO].waiting, 0);
	for (unsigned i = 0; i < PROCESSORS; i++) {
		turns_init(&at(i)->queue.vms, &sched_share, TURN, at(i)->order, HANDOFF_VMS_MAX);
		at(i)->queue.used = at(i)->used;
		at(i)->queue.mark = fake_now;
	}
	on(ONE);
	return 0;
}

static void nothing(void *ctx) { (void)ctx; }

static void add_limbs(struct slot *slot, unsigned n)
{
	memset(limbs[n], 0, sizeof(limbs[n]));
	memset(orders[n], 0, sizeof(orders[n]));
	for (unsigned i = 0; i < PROCESSORS; i++) {
		limbs[n][i].slot = slot;
		limbs[n][i].processor = at(i);
		limbs[n][i].order = orders[n][i];
	}
	slot->limbs = limbs[n];
}

/* A VM that lives on this processor, with a timer of its own and one of each vCPU; none of these is ready. */
static struct slot *add_with(unsigned n, uint32_t count)
{
	struct slot *slot = &slots[n];

	configs[n] = (struct handoff_vm){ .vcpus = count, .weight = WEIGHT_DEFAULT };
	*slot = (struct slot){ .config = &configs[n], .vm = &vms[n], .parties = parties[n], .vcpus = count };
	memset(parties[n], 0, sizeof(parties[n]));
	memset(vcpus[n], 0, sizeof(vcpus[n]));
	add_limbs(slot, n);
	vms[n] = (struct vm){ .vcpu_count = count, .state = VM_RUNNING };
	for (uint32_t i = 0; i < count; i++) {
		slot->parties[i].slot = slot;
		vms[n].vcpus[i] = &vcpus[n][i];
		vcpus[n][i].vm = &vms[n];
		vcpus[n][i].id = i;
		vcpus[n][i].pio = vcpus[n][i].mmio = bus_view(&no_bus);
		vcpus[n][i].processor = slot->parties[i].look.home = host_processor();
		timer_init(&vcpus[n][i].lapic.timer, nothing, NULL);
		vcpus[n][i].lapic.timer.payer = &slot->parties[i].turn;
	}
	home_enter(slot);
	limb_start(limb_at(slot, host_processor()));
	timer_init(&timers[n], nothing, NULL);
	timers[n].payer = &slot->turn;
	timer_arm(&timers[n], fake_now + 100 * (n + 1));
	return slot;
}

static struct slot *add(unsigned n) { return add_with(n, 1); }

static struct processor *home_of(const struct slot *slot) { return slot->parties[0].look.home; }

static struct turn *turn_at(const struct slot *slot, unsigned n) { return &limb_at(slot, at(n))->turn; }

/* So many of its vCPUs, the first ones, want the processor that is its home, of those that live there. */
static void want(struct slot *slot, unsigned count)
{
	struct limb *limb = limb_at(slot, home_of(slot));

	for (unsigned i = 0; i < slot->vcpus; i++)
		if (limb_has(limb, &slot->parties[i]))
			limb_set_ready(limb, &slot->parties[i], i < count);
	limb_want(limb, count);
}

static struct look *take(void) { return look_take(&host_processor()->looks, &(uint64_t){ 0 }); }

/* ---- Tests ---- */

static void test_where_new_ones_go(void **state)
{
	const struct handoff_vm anywhere = { 0 }, only_two = { .cpuset = 1U << 2 }, nowhere = { .cpuset = 1U << 1 };

	(void)state;
	assert_ptr_equal(home_choose(&anywhere), at(ONE));
	at(ONE)->weight = 3;
	assert_ptr_equal(home_choose(&anywhere), at(TWO));
	at(TWO)->weight = 3;
	assert_ptr_equal(home_choose(&anywhere), at(ONE));
	at(TWO)->weight = 1;
	start_homes(3);
	at(ONE)->weight = 3;
	at(TWO)->weight = 2;
	at(THREE)->weight = 1;
	assert_ptr_equal(home_choose(&anywhere), at(THREE));	/* the least, not only less */
	assert_ptr_equal(home_choose(&only_two), at(TWO));	/* numbers of those that are left out are not used again */
	assert_null(home_choose(&nowhere));
	processors_on = 1;
	homes_init();
	at(ONE)->weight = 3;
	assert_ptr_equal(home_choose(&anywhere), at(ONE));
}

/* The processor that it left was a little ahead. */
static void test_activity_where_time_is_behind(void **state)
{
	struct activities did = { .now = ACTIVITY_PAUSED, .since = 1000 };

	(void)state;
	activity_change(&did, ACTIVITY_HALTED, 995, NULL, 0);
	assert_int_equal(did.ticks[ACTIVITY_PAUSED], 0);
	assert_int_equal(did.now, ACTIVITY_HALTED);
}

/* What each VM uses while it is ready; not before that, and not behind it. */
static void test_activity_for_whom_it_waited(void **state)
{
	struct activities did = { .now = ACTIVITY_HALTED };
	uint64_t used[] = { 100, 1000 };

	(void)state;
	activity_change(&did, ACTIVITY_READY, 1100, used, 2);
	used[0] += 30;
	used[1] += 5;
	activity_change(&did, ACTIVITY_RUN, 1135, used, 2);
	used[1] += 400;
	activity_change(&did, ACTIVITY_HALTED, 1535, NULL, 0);
	used[0] += 50;
	activity_change(&did, ACTIVITY_READY, 1585, used, 2);
	activity_change(&did, ACTIVITY_RUN, 1585, used, 2);
	activity_change(&did, ACTIVITY_READY, 1600, used, 2);
	used[0] += 1;
	activity_change(&did, ACTIVITY_LIMITED, 1601, used, 2);
	assert_int_equal(did.waited_for[0], 31);
	assert_int_equal(did.waited_for[1], 5);
	assert_int_equal(did.ticks[ACTIVITY_READY], 36);
	assert_int_equal(did.ticks[ACTIVITY_RUN], 415);
}

static void test_what_moves(void **state)
{
	struct slot *slot = add(0), *other = add(1);
	uint64_t begin = fake_now;

	(void)state;
	want(slot, 1);
	want(other, 1);
	turn_bill(&at(ONE)->queue, &slot->turn, fake_now);
	fake_now += 300;
	home_give_all(slot, at(TWO));
	assert_int_equal(slot->turn.used, 300);
	assert_int_equal(at(ONE)->used[0], 300);
	assert_null(at(ONE)->queue.payer);		/* nobody pays here for one that is gone */
	assert_int_equal(at(ONE)->queue.vms.count, 1);
	assert_int_equal(at(ONE)->queue.vms.ready, 1);
	assert_ptr_equal(vcpus[0][0].processor, at(TWO));
	assert_int_equal(at(ONE)->weight, WEIGHT_DEFAULT);
	assert_int_equal(at(TWO)->weight, WEIGHT_DEFAULT);
	assert_int_equal(kicks[TWO], 1);
	assert_int_equal(slot->moves, 1);		/* the line of its end says it */
	assert_ptr_equal(at(ONE)->timers.first, &timers[1]);	/* the neighbour's stays */
	assert_null(timers[1].next);

	on(TWO);
	fake_now += 50;
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot->parties));
	assert_int_equal(at(TWO)->queue.mark, fake_now);	/* time from before it came is not its own */
	assert_int_equal(at(TWO)->queue.vms.count, 1);
	assert_int_equal(timer_next(), begin + 100);	/* as armed, though it is over */
	assert_int_equal(slot->turn.used, 300);		/* its account goes on... */
	assert_int_equal(at(TWO)->used[0], 0);		/* ...and neighbours here have lost nothing to it */
	turn_bill(&at(TWO)->queue, &slot->turn, fake_now);
	turn_bill(&at(TWO)->queue, NULL, fake_now + 7);
	assert_int_equal(slot->turn.used, 307);
	assert_int_equal(at(TWO)->used[0], 7);
	assert_true(home_is_here(slot->parties));		/* taken in once */
	assert_null(take());
	on(ONE);
}

/* Of a VM that moves as a whole the first vCPU goes first, and nothing is locked. */
static void test_siblings_move(void **state)
{
	struct slot *slot = add_with(0, 2);

	(void)state;
	home_give_all(slot, at(TWO));
	assert_false(vms[0].is_spread);
	assert_ptr_equal(vcpus[0][1].processor, at(TWO));
	assert_ptr_equal(slot->parties[1].look.home, at(TWO));
	assert_int_equal(at(ONE)->weight, 0);
	assert_int_equal(at(TWO)->weight, WEIGHT_DEFAULT);
	assert_int_equal(at(ONE)->queue.vms.count, 0);
	assert_int_equal(slot->moves, 2);
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[1].look);
	assert_true(home_is_here(&slot->parties[1]));
	assert_true(home_is_of_vm(slot));			/* its first vCPU is taken in before any other */
	assert_true(home_is_whole(slot));
	assert_ptr_equal(slot->turn.vm, turn_at(slot, TWO));
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot->parties));
	assert_int_equal(limb_at(slot, at(TWO))->vcpus.count, 2);
	assert_null(take());
	assert_int_equal(turn_at(slot, TWO)->weight, WEIGHT_DEFAULT);
	home_leave(slot);
	assert_int_equal(at(TWO)->weight, 0);
	assert_int_equal(at(TWO)->queue.vms.count, 0);
}

static void check_locks(const struct vm *vm, bool is_spread)
{
	assert_int_equal(vm->is_spread, is_spread);
	assert_ptr_equal(vm->gpm.lock, is_spread ? &vm->memory_lock : NULL);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		assert_ptr_equal(vm->vcpus[i]->pio.lock, is_spread ? &vm->machine_lock : NULL);
		assert_ptr_equal(vm->vcpus[i]->mmio.lock, is_spread ? &vm->machine_lock : NULL);
	}
}

/* Of three vCPUs the last one lives on TWO, and this is TWO. The weight goes where vCPUs want a processor. */
static void check_weights(struct slot *slot)
{
	static const struct { unsigned one, two, weight_one, weight_two; } rows[] = {
		{ 2, 1, 2 * WEIGHT_DEFAULT / 3, WEIGHT_DEFAULT / 3 }, { 1, 1, WEIGHT_DEFAULT / 2, WEIGHT_DEFAULT / 2 },
		{ 0, 1, WEIGHT_DEFAULT / 2, WEIGHT_DEFAULT },	/* ONE has the VM's work and timers to do */
		{ 2, 0, WEIGHT_DEFAULT, WEIGHT_DEFAULT / 3 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		limb_set_ready(limb_at(slot, at(TWO)), &slot->parties[2], rows[i].two);
		on(ONE);
		want(slot, rows[i].one);
		limb_weigh(limb_at(slot, at(ONE)));
		assert_int_equal(turn_at(slot, ONE)->weight, rows[i].weight_one);
		on(TWO);
		limb_weigh(limb_at(slot, at(TWO)));
		assert_int_equal(turn_at(slot, TWO)->weight, rows[i].weight_two);
	}
	configs[0].weight = 1;		/* never 0, by which turns would be divided */
	limb_weigh(limb_at(slot, at(TWO)));
	assert_int_equal(turn_at(slot, TWO)->weight, 1);
	configs[0].weight = WEIGHT_DEFAULT;
}

/*
 * One vCPU goes alone: what it has armed goes with it, what the VM has armed stays. The VM's weight is divided by how
 * many live where, and what all of them share is locked until the last one is back.
 */
static void test_one_of_three_moves(void **state)
{
	struct slot *slot = add_with(0, 3);
	struct timer *lapic = &vcpus[0][2].lapic.timer;

	(void)state;
	want(slot, 3);
	timer_arm(lapic, fake_now + 40);
	turn_bill(&at(ONE)->queue, &slot->parties[2].turn, fake_now);
	fake_now += 30;
	home_give(&slot->parties[2], at(TWO));
	check_locks(&vms[0], true);
	assert_int_equal(slot->parties[2].turn.used, 30);
	assert_int_equal(turn_at(slot, ONE)->used, 30);
	assert_null(at(ONE)->queue.payer);
	assert_ptr_equal(at(ONE)->timers.first, &timers[0]);
	assert_true(home_is_of_vm(slot));
	assert_false(home_is_whole(slot));
	assert_true(turn_at(slot, ONE)->is_ready);
	assert_int_equal(limb_at(slot, at(ONE))->vcpus.ready, 2);

	on(TWO);
	assert_ptr_equal(take(), &slot->parties[2].look);
	assert_true(home_is_here(&slot->parties[2]));
	assert_int_equal(turn_at(slot, TWO)->weight, WEIGHT_DEFAULT / 3);
	check_weights(slot);
	assert_ptr_equal(at(TWO)->timers.first, lapic);
	turn_bill(&at(TWO)->queue, &slot->parties[2].turn, fake_now);
	turn_bill(&at(TWO)->queue, NULL, fake_now + 7);
	assert_int_equal(slot->parties[2].turn.used, 37);
	assert_int_equal(turn_at(slot, TWO)->used, 7);
	assert_int_equal(turn_at(slot, ONE)->used, 30);
	on(ONE);
	assert_true(home_gather(slot));				/* as at the end of the VM: who is away is looked at there */
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[2].look);
	assert_null(take());
	assert_false(home_gather(slot));			/* and goes home */
	assert_int_equal(at(TWO)->queue.vms.count, 0);
	check_locks(&vms[0], true);

	on(ONE);
	assert_ptr_equal(take(), &slot->parties[2].look);
	assert_true(home_is_here(&slot->parties[2]));
	assert_null(take());
	check_locks(&vms[0], false);
	assert_true(home_is_whole(slot));
	assert_true(home_gather(slot));
	assert_int_equal(turn_at(slot, ONE)->weight, WEIGHT_DEFAULT);
}

/* The first vCPU may leave the others: the home of the VM goes with it, and who paid for the VM here pays no longer. */
static void test_the_first_moves(void **state)
{
	struct slot *slot = add_with(0, 2);

	(void)state;
	want(slot, 1);
	turn_bill(&at(ONE)->queue, &slot->turn, fake_now);
	home_give(&slot->parties[0], at(TWO));
	check_locks(&vms[0], true);
	assert_null(at(ONE)->queue.payer);
	assert_null(at(ONE)->timers.first);
	assert_false(turn_at(slot, ONE)->is_ready);		/* of those that are left here none is */
	assert_int_equal(at(ONE)->queue.vms.count, 1);
	assert_false(home_is_of_vm(slot));
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot->parties));
	assert_true(home_is_of_vm(slot));
	assert_ptr_equal(slot->turn.vm, turn_at(slot, TWO));
	assert_ptr_equal(at(TWO)->timers.first, &timers[0]);
	on(ONE);
	assert_false(home_gather(slot));
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[1].look);
	assert_true(home_is_here(&slot->parties[1]));
	check_locks(&vms[0], false);
}

/* The cap of a VM counts what it uses, wherever it uses it. */
static void test_a_cap_moves(void **state)
{
	struct slot *slot = add(0);
	uint64_t left;

	(void)state;
	configs[0].cap = 50;
	cap_init(&slot->cap, 50, TURN, fake_now);
	turn_bill(&at(ONE)->queue, &slot->turn, fake_now);
	fake_now += 20;
	home_give_all(slot, at(TWO));
	left = cap_left(&slot->cap);
	on(TWO);
	turn_at(slot, TWO)->used = 1000;			/* of an earlier time */
	assert_true(home_is_here(take() ? slot->parties : NULL));
	assert_int_equal(cap_wait(&slot->cap, TURN, turn_at(slot, TWO)->used, fake_now), 0);
	assert_int_equal(cap_left(&slot->cap), left);
}

/* In a VM that has the processor for itself a vCPU that waits for its sibling goes where nobody is; the sibling stays. */
static void test_siblings_spread(void **state)
{
	struct slot *slot = add_with(0, 3);

	(void)state;
	want(slot, 2);
	home_offer(&slot->parties[1]);
	assert_int_equal(at(ONE)->waiting, 1);
	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 1);
	on(ONE);
	home_offer(&slot->parties[1]);
	assert_ptr_equal(slot->parties[0].look.home, at(TWO));
	assert_ptr_equal(slot->parties[1].look.home, at(ONE));
	assert_ptr_equal(slot->parties[2].look.home, at(ONE));	/* it sleeps */
	assert_int_equal(at(ONE)->waiting, 0);
	check_locks(&vms[0], true);
}

/* One processor is offered to each that waits, in a VM that waits as a whole as well. */
static void test_parts_of_a_vm_that_waits(void **state)
{
	struct slot *running = add(0), *waits = add_with(1, 3);

	(void)state;
	start_homes(3);
	want(running, 1);
	want(waits, 2);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(waits->parties[0].look.home, at(TWO));
	assert_ptr_equal(waits->parties[1].look.home, at(ONE));
	check_locks(&vms[1], true);
	on(THREE);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(waits->parties[1].look.home, at(THREE));
	assert_ptr_equal(waits->parties[2].look.home, at(ONE));
}

static void offer_again(const struct slot *running)
{
	balance_from_now();
	home_offer(running->parties);
}

/* All are busy: one that waits goes where there is less even with its own part of its VM's weight, and no other goes. */
static void test_balance(void **state)
{
	struct slot *slot = add_with(0, 3), *pinned = add_with(1, 3);

	(void)state;
	configs[1].cpuset = 1;
	want(pinned, 3);
	want(slot, 2);
	assert_int_equal(at(ONE)->load, 200);
	at(TWO)->load = 150;
	offer_again(slot);
	assert_ptr_equal(slot->parties[1].look.home, at(ONE));
	at(TWO)->load = 149;
	offer_again(slot);
	assert_ptr_equal(slot->parties[0].look.home, at(ONE));
	assert_ptr_equal(slot->parties[1].look.home, at(TWO));
	assert_int_equal(at(TWO)->load, 199);		/* as soon as it is on its way */
	at(TWO)->load = 0;
	offer_again(slot);				/* those that wait are pinned */
	assert_int_equal(at(TWO)->load, 0);
	on(TWO);
	at(TWO)->load = 150;
	assert_true(home_is_here(&slot->parties[1]));
	assert_int_equal(at(TWO)->load, 100);		/* until it was looked at */
}

/* Of VMs with equal weights a part of the large one goes where a small one as a whole would only turn the difference round. */
static void test_balance_by_weight(void **state)
{
	static const struct { uint32_t small, load; bool small_goes, large_goes; } rows[] = {
		{ 100, 200, false, true }, { 100, 199, true, false }, { 100, 275, false, false }, { 100, 274, false, true },
		{ 10, 199, true, false }, { 10, 200, false, false },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *running, *small, *large;

		(void)set_up(state);
		running = add(0);
		small = add(1);
		large = add_with(2, 4);
		configs[1].weight = rows[i].small;
		limb_weigh(limb_at(small, at(ONE)));
		want(running, 1);
		want(small, 1);
		want(large, 4);
		assert_int_equal(at(ONE)->load, 200 + rows[i].small);
		at(TWO)->load = rows[i].load;
		offer_again(running);
		assert_int_equal(small->moves, rows[i].small_goes);
		assert_int_equal(large->moves, rows[i].large_goes);
	}
}

/* Parts that do not come out even: one of three goes where it leaves less than there was here, or it would be sent back for ever. */
static void test_balance_of_odd_parts(void **state)
{
	struct slot *slot = add_with(0, 3);

	(void)state;
	configs[0].weight = 50;
	want(slot, 2);
	slot->ready = 3;		/* one more elsewhere */
	limb_weigh(limb_at(slot, at(ONE)));
	assert_int_equal(at(ONE)->load, 33);
	at(TWO)->load = 16;
	offer_again(slot);
	assert_int_equal(slot->moves, 0);
	at(TWO)->load = 15;
	offer_again(slot);
	assert_int_equal(slot->moves, 1);
}

/* Once a turn, and of several less busy ones to the least busy. */
static void test_balance_once_a_turn(void **state)
{
	struct slot *running;

	(void)state;
	start_homes(3);
	running = add(0);
	want(running, 1);
	for (unsigned i = 1; i < 5; i++)
		want(add(i), 1);
	at(TWO)->load = 101;
	at(THREE)->load = 100;
	balance_from_now();
	home_offer(running->parties);
	assert_int_equal(at(THREE)->load, 200);
	home_offer(running->parties);
	assert_int_equal(at(TWO)->load, 101);
	at(ONE)->queue.mark += at(ONE)->queue.vms.length;
	home_offer(running->parties);
	assert_int_equal(at(TWO)->load, 201);
}

/* One allowance, one test, a start or an end: such a VM moves as a whole or not at all. */
static void test_some_stay_together(void **state)
{
	static const struct { uint32_t cap, test_restore; enum vm_state state; } rows[] = {
		{ 50, 0, VM_RUNNING }, { 0, 7, VM_RUNNING }, { 0, 0, VM_STARTING }, { 0, 0, VM_ENDING },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *slot, *other;

		(void)set_up(state);
		slot = add_with(0, 2);
		other = add(1);
		configs[0].cap = rows[i].cap;
		configs[0].test_restore = rows[i].test_restore;
		vms[0].state = rows[i].state;
		want(slot, 2);
		home_offer(slot->parties);
		assert_int_equal(at(ONE)->waiting, 0);
		on(TWO);
		home_idle_begin();
		assert_int_equal(kicks[ONE], 0);
		on(ONE);
		home_offer(slot->parties);
		assert_ptr_equal(slot->parties[1].look.home, at(ONE));
		want(other, 1);
		home_offer(other->parties);
		assert_ptr_equal(slot->parties[0].look.home, at(TWO));
		assert_ptr_equal(slot->parties[1].look.home, at(TWO));
		check_locks(&vms[0], false);
	}
}

/* A look that was posted, or found, at the former home goes on to the next one. */
static void test_looks_follow(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	look_post(&slot->parties[0].look);
	home_give_all(slot, at(TWO));
	assert_int_equal(kicks[TWO], 0);		/* it waits in the list here */
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_false(home_is_here(slot->parties));
	assert_int_equal(kicks[TWO], 1);
	assert_null(take());
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot->parties));
}

static void test_idle_ones_get_what_waits(void **state)
{
	struct slot *running = add(0), *asleep = add(1), *waits = add(2);

	(void)state;
	want(running, 1);
	want(waits, 1);
	home_offer(running->parties);		/* nobody is idle */
	assert_int_equal(at(ONE)->waiting, 1);
	assert_ptr_equal(home_of(waits), at(ONE));

	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 1);
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(waits), at(TWO));
	assert_ptr_equal(home_of(running), at(ONE));
	assert_ptr_equal(home_of(asleep), at(ONE));
	assert_false(at(TWO)->is_idle);		/* one is enough */
	assert_int_equal(kicks[TWO], 1);

	want(asleep, 1);
	home_offer(running->parties);			/* so nobody else is sent there */
	assert_ptr_equal(home_of(asleep), at(ONE));
	on(TWO);
	home_idle_end();
	home_idle_begin();
	home_idle_end();
	on(ONE);
	home_offer(running->parties);			/* it has found something else to do */
	assert_ptr_equal(home_of(asleep), at(ONE));
	assert_int_equal(kicks[TWO], 1);
}

/* The boot processor is one like the others: it is given what waits, and is woken at the end. */
static void test_the_first_is_idle(void **state)
{
	struct slot *running, *waits;

	(void)state;
	home_idle_begin();
	on(TWO);
	running = add(0);
	waits = add(1);
	want(running, 1);
	home_offer(running->parties);
	assert_ptr_equal(home_of(running), at(TWO));
	want(waits, 1);
	home_offer(running->parties);
	assert_ptr_equal(home_of(waits), at(ONE));
	assert_int_equal(kicks[ONE], 1);
	homes_wake();
	assert_int_equal(kicks[ONE], 2);
}

/* Who goes idle interrupts only those with whom somebody waits. */
static void test_nobody_waits(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	home_offer(slot->parties);		/* it has work, but wants the processor no longer */
	assert_int_equal(at(ONE)->waiting, 0);
	want(slot, 1);
	home_offer(slot->parties);
	on(TWO);
	home_idle_begin();
	home_idle_end();
	assert_int_equal(kicks[ONE], 0);
	on(ONE);
	home_leave(slot);
	assert_int_equal(at(ONE)->weight, 0);
	homes_wake();
	assert_int_equal(kicks[ONE], 0);
	assert_int_equal(kicks[TWO], 1);
}

/* All that wait go at once: those that are idle already look no more. */
static void test_two_idle_two_wait(void **state)
{
	struct slot *running = add(0), *one = add(1), *other = add(2);

	(void)state;
	want(running, 1);
	want(one, 1);
	want(other, 1);
	start_homes(3);
	on(TWO);
	home_idle_begin();
	on(THREE);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(running), at(ONE));
	assert_true(home_of(one) != at(ONE) && home_of(other) != at(ONE) && home_of(one) != home_of(other));
	assert_int_equal(at(ONE)->waiting, 0);
	assert_false(at(TWO)->is_idle || at(THREE)->is_idle);
}

/* Who waits stays where its cpuset wants it; another one that waits may go. */
static void test_pinned_ones_wait(void **state)
{
	struct slot *running = add(0), *pinned = add(1), *other = add(2);

	(void)state;
	configs[1].cpuset = 1;
	want(running, 1);
	want(pinned, 1);
	want(other, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(pinned), at(ONE));
	assert_ptr_equal(home_of(other), at(TWO));
	assert_int_equal(at(ONE)->waiting, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(pinned), at(ONE));
	assert_true(at(TWO)->is_idle);
}

/* Who may take none of those that wait does not interrupt them: the one that runs cannot come, nor can a sleeper. */
static void test_pinned_ones_are_left_alone(void **state)
{
	struct slot *running = add(0), *pinned = add(1), *asleep = add(2);

	(void)state;
	configs[1].cpuset = 1;
	want(running, 1);
	want(pinned, 1);
	home_offer(running->parties);
	assert_ptr_equal(home_of(asleep), at(ONE));
	on(TWO);
	want(add(3), 1);	/* it may come here, and lives here */
	home_idle_begin();
	home_idle_end();
	assert_int_equal(kicks[ONE], 0);
	configs[1].cpuset = 0;
	home_idle_begin();
	assert_int_equal(kicks[ONE], 1);
	on(ONE);
	on(TWO);
}

/* Who is idle for a moment only, and so is given nothing, calls once in a turn; who is given something may call again at once. */
static void test_brief_idling(void **state)
{
	struct slot *running = add(0), *waits = add(1), *more = add(2);

	(void)state;
	want(running, 1);
	want(waits, 1);
	home_offer(running->parties);
	on(TWO);
	for (unsigned i = 0; i < 2 * TURN; i++) {
		home_idle_begin();
		home_idle_end();
		at(TWO)->queue.mark++;
	}
	assert_int_equal(kicks[ONE], 2);
	at(TWO)->queue.mark = at(TWO)->may_call;
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(waits), at(TWO));
	want(more, 1);
	home_offer(running->parties);
	on(TWO);
	home_idle_end();
	home_idle_begin();
	assert_int_equal(kicks[ONE], 4);
}

/* A VM that is taken apart in pieces moves between two of them, and its vCPUs may be gone by then. */
static void test_without_vcpus(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	vms[0].vcpus[0] = NULL;
	vms[0].vcpu_count = 0;
	home_give_all(slot, at(TWO));
	assert_ptr_equal(home_of(slot), at(TWO));
	assert_ptr_equal(slot->parties[0].look.home, at(TWO));
}

static void test_gone_is_gone(void **state)
{
	struct slot *running = add(0), *waits = add(1);

	(void)state;
	want(running, 1);
	want(waits, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(waits), at(TWO));
	want(running, 0);	/* it halts: nobody is left here, home_offer is not called */
	home_idle_begin();
	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 0);
	on(ONE);
}

/* ---- What stays ---- */

/* Of VM 0 the last vCPU lives on TWO, and all sleep. */
static struct slot *add_spread(uint32_t count)
{
	struct slot *slot = add_with(0, count);

	home_give(&slot->parties[count - 1], at(TWO));
	on(TWO);
	assert_true(home_is_here(take() ? &slot->parties[count - 1] : NULL));
	on(ONE);
	return slot;
}

/* What its devices put off keeps a VM in its turns here when its last vCPU that wanted them goes; it goes with the first one. */
static void test_work_stays_at_home(void **state)
{
	static const struct { bool has_work; uint32_t goes; bool stays; } rows[] = {
		{ true, 1, true }, { false, 1, false }, { true, 0, false },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *slot;

		(void)set_up(state);
		slot = add_with(0, 2);
		vms[0].work.is_asked = rows[i].has_work;
		limb_set_ready(limb_at(slot, at(ONE)), &slot->parties[rows[i].goes], true);
		limb_want(limb_at(slot, at(ONE)), true);
		home_give(&slot->parties[rows[i].goes], at(TWO));
		assert_int_equal(turn_at(slot, ONE)->is_ready, rows[i].stays);
	}
}

/* The part of a VM that has nothing but its work to do is no reason to move what sleeps. */
static void test_work_is_no_vcpu(void **state)
{
	struct slot *slot = add_spread(2), *running = add(1);

	(void)state;
	limb_want(limb_at(slot, at(ONE)), true);
	want(running, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_ptr_equal(home_of(slot), at(ONE));
	assert_int_equal(slot->moves, 1);
	assert_true(at(TWO)->is_idle);
}

/* The one that runs does not go for a sibling that sleeps, though others wait here, and TWO could have it. */
static void test_the_one_that_runs_stays(void **state)
{
	struct slot *running = add_with(0, 2), *pinned = add(1);

	(void)state;
	configs[1].cpuset = 1;
	want(running, 1);
	want(pinned, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running->parties);
	assert_int_equal(running->moves + pinned->moves, 0);
	assert_true(at(TWO)->is_idle);
}

/* Nobody is told of a VM that stays together and runs, though others wait here. */
static void test_the_one_that_runs_is_no_offer(void **state)
{
	struct slot *running = add_with(0, 2), *pinned = add(1);

	(void)state;
	configs[0].cap = 50;
	configs[1].cpuset = 1;
	want(running, 2);
	want(pinned, 1);
	home_offer(running->parties);
	assert_int_equal(at(ONE)->waiting, 1);
	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 0);
}

/* A sleeper makes its next home no busier, neither on the way there nor when it is taken in. */
static void test_a_sleeper_moves(void **state)
{
	struct slot *slot = add_spread(2);

	(void)state;
	assert_int_equal(at(TWO)->load, 0);
	home_give(&slot->parties[0], at(TWO));
	assert_int_equal(at(TWO)->load, 0);
	on(TWO);
	assert_true(home_is_here(slot->parties));
	assert_int_equal(at(TWO)->load, 0);
}

/* A VM of one vCPU stays together and yet goes where fewer want the processor. */
static void test_balance_of_single_ones(void **state)
{
	struct slot *running = add(0), *waits = add(1), *other = add(2);

	(void)state;
	want(running, 1);
	want(waits, 1);
	want(other, 1);
	offer_again(running);
	assert_int_equal(running->moves, 0);
	assert_int_equal(waits->moves + other->moves, 1);
	assert_int_equal(at(TWO)->load, 100);
}

/* One that has several and stays together does not, and is not taken apart either. */
static void test_balance_of_one_with_a_cap(void **state)
{
	struct slot *running = add_with(0, 3), *limited = add_with(1, 2);

	(void)state;
	configs[0].cpuset = 1;
	configs[1].cap = 50;
	want(running, 3);
	want(limited, 2);
	offer_again(running);
	assert_int_equal(running->moves + limited->moves, 0);
}

/* A VM none of which lives here may be gone at any moment: nothing that its slot points to is followed. */
static void test_balance_beside_others(void **state)
{
	struct slot *running = add_with(0, 3), *away;

	(void)state;
	configs[0].cpuset = 1;
	want(running, 3);
	on(TWO);
	away = add_with(1, 2);
	want(away, 2);
	away->vm = (struct vm *)8;
	on(ONE);
	offer_again(running);
	assert_int_equal(running->moves + away->moves, 0);
	home_idle_begin();
}

/* What a vCPU knows of the buses is its own processor's: it is touched when the first one leaves, and never again. */
static void test_spread_once(void **state)
{
	static struct bus_range range;
	struct slot *slot = add_spread(3);

	(void)state;
	vcpus[0][2].pio.last_locked = &range;
	home_give(&slot->parties[1], at(TWO));
	assert_ptr_equal(vcpus[0][2].pio.last_locked, &range);
}

/* When all sleep nobody waits any more, whatever was so at the latest choice. */
static void test_idle_waits_for_nothing(void **state)
{
	struct slot *running = add(0), *pinned = add(1);

	(void)state;
	configs[1].cpuset = 1;
	want(running, 1);
	want(pinned, 1);
	home_offer(running->parties);
	assert_int_equal(at(ONE)->waiting, 1);
	want(running, 0);
	want(pinned, 0);
	home_idle_begin();
	assert_int_equal(at(ONE)->waiting, 0);
}

/* A VM makes its processor busier by its weight, however many vCPUs it has, and not while its cap keeps it from running. */
static void test_what_counts(void **state)
{
	static const struct { uint32_t cap; bool is_limited; unsigned load; } rows[] = {
		{ 0, false, 100 }, { 50, false, 100 }, { 50, true, 0 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *slot;

		(void)set_up(state);
		slot = add_with(0, 3);
		configs[0].cap = rows[i].cap;
		want(slot, 3);
		limb_want(limb_at(slot, at(ONE)), !rows[i].is_limited);
		assert_int_equal(at(ONE)->load, rows[i].load);
		want(slot, 0);
		limb_want(limb_at(slot, at(ONE)), true);		/* for its work alone */
		assert_int_equal(at(ONE)->load, 0);
	}
}

/* A look that was put off here goes on at once to the next home of its vCPU; those of others wait on. */
static void test_put_off_looks_follow(void **state)
{
	struct slot *slot = add(0), *other = add(1);

	(void)state;
	assert_true(look_put_off(&slot->parties[0].look));
	assert_true(look_put_off(&other->parties[0].look));
	home_give_all(slot, at(TWO));
	assert_ptr_equal(at(ONE)->put_off, &other->parties[0].look);
	assert_null(take());
	assert_int_equal(kicks[TWO], 1);
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[0].look);
}

/* Where it lives a VM weighs what its configuration says, in equal parts of at least one for each vCPU. */
static void test_what_a_vm_weighs(void **state)
{
	static const struct { uint32_t weight, vcpus, whole; } rows[] = {
		{ 300, 1, 300 }, { 300, 3, 300 }, { 100, 3, 99 }, { 1, 3, 3 }, { 10000, 2, 10000 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *slot;

		set_up(state);
		slot = add_with(0, rows[i].vcpus);
		configs[0].weight = rows[i].weight;
		at(ONE)->weight = 0;
		home_enter(slot);
		assert_int_equal(at(ONE)->weight, rows[i].whole);
		home_give_all(slot, at(TWO));
		assert_int_equal(at(ONE)->weight, 0);
		assert_int_equal(at(TWO)->weight, rows[i].whole);
	}
}

/* It uses so much of the processor on which it lives. */
static void use(struct party *party, uint64_t ticks)
{
	struct run_queue *queue = &host_processor()->queue;

	turn_bill(queue, &party->turn, queue->mark);
	turn_bill(queue, NULL, queue->mark + ticks);
}

static void set_asleep(struct slot *slot, unsigned n, bool is_asleep)
{
	struct limb *limb = limb_at(slot, at(n));

	limb_set_ready(limb, &slot->parties[n], !is_asleep);
	limb_want(limb, !is_asleep);
}

/* A VM of two vCPUs, one here and one on TWO, and on each of the two a VM that computes, if it is to. */
static struct slot *add_apart(bool has_rivals)
{
	struct slot *slot = add_with(0, 2);

	want(slot, 2);
	want(add(1), has_rivals);
	use(&slot->parties[0], 3 * TURN);	/* while all of it is here nobody elsewhere has to pay for that */
	home_give(&slot->parties[1], at(TWO));
	assert_int_equal(slot->wanted, 0);
	on(TWO);
	(void)take();
	assert_true(home_is_here(&slot->parties[1]));
	set_asleep(slot, TWO, false);
	want(add(2), has_rivals);
	on(ONE);
	return slot;
}

/* What it uses on ONE while others wait there it pays for on TWO when it wakes, up to two turns; nothing for what nobody waited for. */
static void test_who_slept_pays(void **state)
{
	static const struct { bool has_rivals, sleeps; uint64_t ticks, pays; } rows[] = {
		{ true, true, TURN / 2, TURN / 2 }, { true, true, 3 * TURN, 2 * TURN }, { false, true, TURN / 2, 0 },
		{ true, false, TURN / 2, 0 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct slot *slot;
		struct turn *two;
		int64_t before;

		set_up(state);
		slot = add_apart(rows[i].has_rivals);
		two = turn_at(slot, TWO);
		on(TWO);
		set_asleep(slot, TWO, rows[i].sleeps);
		on(ONE);
		limb_weigh(limb_at(slot, at(ONE)));
		use(&slot->parties[0], rows[i].ticks);
		limb_weigh(limb_at(slot, at(ONE)));
		assert_int_equal(slot->wanted, rows[i].has_rivals ? rows[i].ticks : 0);
		on(TWO);
		turn_stand(two, 0);
		before = turn_lead(two);
		set_asleep(slot, TWO, false);
		assert_int_equal(turn_lead(two) - before, rows[i].pays);
	}
}

/* Who is ready on both pays as it goes, by its part of the weight, and owes nothing behind a short sleep. */
static void test_who_did_not_sleep_owes_nothing(void **state)
{
	struct slot *slot = add_apart(true);
	int64_t before;

	(void)state;
	for (unsigned n = ONE; n <= TWO; n++) {
		on(n);
		limb_weigh(limb_at(slot, at(n)));
		use(&slot->parties[n], TURN / 2);
		limb_weigh(limb_at(slot, at(n)));
	}
	on(ONE);
	set_asleep(slot, ONE, true);
	turn_stand(turn_at(slot, ONE), 0);
	before = turn_lead(turn_at(slot, ONE));
	set_asleep(slot, ONE, false);
	assert_int_equal(turn_lead(turn_at(slot, ONE)), before);
}

/* A debt goes with who moves. */
static void test_debt_moves(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	want(add(1), 1);
	on(TWO);
	want(add(2), 1);
	on(ONE);
	turn_stand(turn_at(slot, ONE), 5 * TURN);
	home_give(slot->parties, at(TWO));
	on(TWO);
	assert_true(home_is_here(slot->parties));
	assert_int_equal(turn_lead(turn_at(slot, TWO)), 5 * TURN);
	assert_true(turn_debt(turn_at(slot, TWO)) > 0);
	on(ONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_where_new_ones_go, set_up), cmocka_unit_test_setup(test_what_moves, set_up),
		cmocka_unit_test(test_activity_where_time_is_behind),
		cmocka_unit_test(test_activity_for_whom_it_waited),
		cmocka_unit_test_setup(test_looks_follow, set_up), cmocka_unit_test_setup(test_idle_ones_get_what_waits, set_up),
		cmocka_unit_test_setup(test_two_idle_two_wait, set_up), cmocka_unit_test_setup(test_without_vcpus, set_up),
		cmocka_unit_test_setup(test_pinned_ones_wait, set_up),
		cmocka_unit_test_setup(test_pinned_ones_are_left_alone, set_up),
		cmocka_unit_test_setup(test_nobody_waits, set_up), cmocka_unit_test_setup(test_siblings_move, set_up),
		cmocka_unit_test_setup(test_one_of_three_moves, set_up), cmocka_unit_test_setup(test_the_first_moves, set_up),
		cmocka_unit_test_setup(test_a_cap_moves, set_up), cmocka_unit_test_setup(test_siblings_spread, set_up),
		cmocka_unit_test_setup(test_parts_of_a_vm_that_waits, set_up), cmocka_unit_test_setup(test_some_stay_together, set_up), cmocka_unit_test_setup(test_balance, set_up),
		cmocka_unit_test_setup(test_balance_by_weight, set_up), cmocka_unit_test_setup(test_balance_of_odd_parts, set_up),
		cmocka_unit_test_setup(test_balance_once_a_turn, set_up),
		cmocka_unit_test_setup(test_the_first_is_idle, set_up), cmocka_unit_test_setup(test_gone_is_gone, set_up),
		cmocka_unit_test_setup(test_work_stays_at_home, set_up), cmocka_unit_test_setup(test_work_is_no_vcpu, set_up),
		cmocka_unit_test_setup(test_the_one_that_runs_stays, set_up),
		cmocka_unit_test_setup(test_the_one_that_runs_is_no_offer, set_up),
		cmocka_unit_test_setup(test_a_sleeper_moves, set_up), cmocka_unit_test_setup(test_balance_of_single_ones, set_up),
		cmocka_unit_test_setup(test_balance_of_one_with_a_cap, set_up),
		cmocka_unit_test_setup(test_balance_beside_others, set_up), cmocka_unit_test_setup(test_spread_once, set_up),
		cmocka_unit_test_setup(test_idle_waits_for_nothing, set_up), cmocka_unit_test_setup(test_what_counts, set_up),
		cmocka_unit_test_setup(test_what_a_vm_weighs, set_up), cmocka_unit_test_setup(test_who_slept_pays, set_up),
		cmocka_unit_test_setup(test_who_did_not_sleep_owes_nothing, set_up), cmocka_unit_test_setup(test_debt_moves, set_up),
		cmocka_unit_test_setup(test_put_off_looks_follow, set_up), cmocka_unit_test_setup(test_brief_idling, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
