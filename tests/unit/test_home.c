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
#include "hv/slots.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "processor_fake.h"

#define TURN	1000U
#define VMS	4U

enum { ONE, TWO, THREE };

static struct handoff_vm configs[VMS];
static struct slot table[HANDOFF_VMS_MAX];
static struct vm vms[VMS];
static struct party parties[VMS][2];
static struct vcpu vcpus[VMS];
static struct timer timers[VMS];
static unsigned kicks[PROCESSORS], processors_on;
struct slot *slots = table;

/* ---- The world around the code under test ---- */

unsigned host_processor_number(struct processor *processor) { return 2 * processor->index; }
struct processor *host_processor_at(unsigned n) { return n < processors_on ? &processors_fake[n] : NULL; }
uint32_t party_count(const struct slot *slot) { return slot->config->vcpus; }

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
	assert_ptr_equal(vcpu->processor, host_processor());
	vcpu->processor = to;
}

/* ---- VMs ---- */

static struct processor *at(unsigned n) { return &processors_fake[n]; }

static void on(unsigned n) { processor_fake_run_on(n); }

static int set_up(void **state)
{
	(void)state;
	memset(processors_fake, 0, sizeof(processors_fake));
	memset(table, 0, sizeof(table));
	memset(kicks, 0, sizeof(kicks));
	memset(timers, 0, sizeof(timers));
	processors_on = 2;
	processors_fake[ONE].waiting = processors_fake[TWO].waiting = 1;	/* of an earlier test */
	homes_init();
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

/* A VM that lives on this processor, with a timer. */
static struct slot *add(unsigned n)
{
	struct slot *slot = &slots[n];

	configs[n] = (struct handoff_vm){ .vcpus = 1 };
	*slot = (struct slot){ .config = &configs[n], .vm = &vms[n], .home = host_processor(), .parties = parties[n] };
	memset(parties[n], 0, sizeof(parties[n]));
	vms[n] = (struct vm){ .vcpu_count = 1, .vcpus = { &vcpus[n] } };
	vcpus[n].processor = slot->parties[0].look.home = host_processor();
	host_processor()->vcpus++;
	turn_join(&host_processor()->queue.vms, &slot->turn, n, WEIGHT_DEFAULT);
	timer_init(&timers[n], nothing, NULL);
	timers[n].payer = &slot->turn;
	timer_arm(&timers[n], fake_now + 100 * (n + 1));
	return slot;
}

static struct look *take(void) { return look_take(&host_processor()->looks); }

/* ---- Tests ---- */

static void test_where_new_ones_go(void **state)
{
	const struct handoff_vm anywhere = { 0 }, only_two = { .cpuset = 1U << 2 }, nowhere = { .cpuset = 1U << 1 };

	(void)state;
	assert_ptr_equal(home_choose(&anywhere), at(ONE));
	at(ONE)->vcpus = 3;
	assert_ptr_equal(home_choose(&anywhere), at(TWO));
	at(TWO)->vcpus = 3;
	assert_ptr_equal(home_choose(&anywhere), at(ONE));
	at(TWO)->vcpus = 1;
	processors_on = 3;
	homes_init();
	at(ONE)->vcpus = 3;
	at(TWO)->vcpus = 2;
	at(THREE)->vcpus = 1;
	assert_ptr_equal(home_choose(&anywhere), at(THREE));	/* the fewest, not only fewer */
	assert_ptr_equal(home_choose(&only_two), at(TWO));	/* numbers of those that are left out are not used again */
	assert_null(home_choose(&nowhere));
	processors_on = 1;
	homes_init();
	at(ONE)->vcpus = 3;
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
	turn_set_ready(&slot->turn, true);
	turn_set_ready(&other->turn, true);
	turn_bill(&at(ONE)->queue, &slot->turn, fake_now);
	fake_now += 300;
	home_give(slot, at(TWO));
	assert_int_equal(slot->turn.used, 300);
	assert_int_equal(at(ONE)->used[0], 300);
	assert_null(at(ONE)->queue.payer);		/* nobody pays here for one that is gone */
	assert_int_equal(at(ONE)->queue.vms.count, 1);
	assert_int_equal(at(ONE)->queue.vms.ready, 1);
	assert_ptr_equal(vcpus[0].processor, at(TWO));
	assert_int_equal(at(ONE)->vcpus, 1);
	assert_int_equal(at(TWO)->vcpus, 1);
	assert_int_equal(kicks[TWO], 1);
	assert_int_equal(slot->moves, 1);		/* the line of its end says it */
	assert_ptr_equal(at(ONE)->timers.first, &timers[1]);	/* the neighbour's stays */
	assert_null(timers[1].next);

	on(TWO);
	fake_now += 50;
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot, 0));
	assert_int_equal(at(TWO)->queue.mark, fake_now);	/* time from before it came is not its own */
	assert_ptr_equal(take(), &slot->parties[0].look);	/* does it want this processor? */
	assert_int_equal(at(TWO)->queue.vms.count, 1);
	assert_int_equal(timer_next(), begin + 100);	/* as armed, though it is over */
	assert_int_equal(slot->turn.used, 300);		/* its account goes on... */
	assert_int_equal(at(TWO)->used[0], 0);		/* ...and neighbours here have lost nothing to it */
	turn_bill(&at(TWO)->queue, &slot->turn, fake_now);
	turn_bill(&at(TWO)->queue, NULL, fake_now + 7);
	assert_int_equal(slot->turn.used, 307);
	assert_int_equal(at(TWO)->used[0], 7);
	assert_true(home_is_here(slot, 0));		/* taken in once */
	assert_null(take());
	timer_disarm(&timers[0]);
	on(ONE);
	timer_disarm(&timers[1]);
}

/* All vCPUs of a VM go where it goes, and are looked at there. */
static void test_siblings_move(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	configs[0].vcpus = vms[0].vcpu_count = 2;
	vms[0].vcpus[1] = &vcpus[1];
	vcpus[1].processor = slot->parties[1].look.home = at(ONE);
	at(ONE)->vcpus = 2;
	home_give(slot, at(TWO));
	assert_ptr_equal(vcpus[1].processor, at(TWO));
	assert_ptr_equal(slot->parties[1].look.home, at(TWO));
	assert_int_equal(at(ONE)->vcpus, 0);
	assert_int_equal(at(TWO)->vcpus, 2);
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot, 0));
	assert_ptr_equal(take(), &slot->parties[1].look);
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_null(take());
	timer_disarm(&timers[0]);
}

/* A look that was posted, or found, at the former home goes on to the next one. */
static void test_looks_follow(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	look_post(&slot->parties[0].look);
	home_give(slot, at(TWO));
	assert_int_equal(kicks[TWO], 0);		/* it waits in the list here */
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_false(home_is_here(slot, 0));
	assert_int_equal(kicks[TWO], 1);
	assert_null(take());
	on(TWO);
	assert_ptr_equal(take(), &slot->parties[0].look);
	assert_true(home_is_here(slot, 0));
	timer_disarm(&timers[0]);
}

static void test_idle_ones_get_what_waits(void **state)
{
	struct slot *running = add(0), *asleep = add(1), *waits = add(2);

	(void)state;
	turn_set_ready(&running->turn, true);
	turn_set_ready(&waits->turn, true);
	home_offer(running);		/* nobody is idle */
	assert_int_equal(at(ONE)->waiting, 1);
	assert_ptr_equal(waits->home, at(ONE));

	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 1);
	on(ONE);
	home_offer(running);
	assert_ptr_equal(waits->home, at(TWO));
	assert_ptr_equal(running->home, at(ONE));
	assert_ptr_equal(asleep->home, at(ONE));
	assert_false(at(TWO)->is_idle);		/* one is enough */
	assert_int_equal(kicks[TWO], 1);

	turn_set_ready(&asleep->turn, true);
	home_offer(running);			/* so nobody else is sent there */
	assert_ptr_equal(asleep->home, at(ONE));
	on(TWO);
	home_idle_end();
	home_idle_begin();
	home_idle_end();
	on(ONE);
	home_offer(running);			/* it has found something else to do */
	assert_ptr_equal(asleep->home, at(ONE));
	assert_int_equal(kicks[TWO], 1);
	timer_disarm_all(&running->turn);
	timer_disarm_all(&asleep->turn);
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
	turn_set_ready(&running->turn, true);
	home_offer(running);
	assert_ptr_equal(running->home, at(TWO));
	turn_set_ready(&waits->turn, true);
	home_offer(running);
	assert_ptr_equal(waits->home, at(ONE));
	assert_int_equal(kicks[ONE], 1);
	homes_wake();
	assert_int_equal(kicks[ONE], 2);
	timer_disarm_all(&running->turn);
}

/* Who goes idle interrupts only those with whom somebody waits. */
static void test_nobody_waits(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	home_offer(slot);		/* it has work, but wants the processor no longer */
	assert_int_equal(at(ONE)->waiting, 0);
	turn_set_ready(&slot->turn, true);
	home_offer(slot);
	on(TWO);
	home_idle_begin();
	home_idle_end();
	assert_int_equal(kicks[ONE], 0);
	on(ONE);
	home_leave(slot);
	assert_int_equal(at(ONE)->vcpus, 0);
	homes_wake();
	assert_int_equal(kicks[ONE], 0);
	assert_int_equal(kicks[TWO], 1);
	timer_disarm(&timers[0]);
}

/* All that wait go at once: those that are idle already look no more. */
static void test_two_idle_two_wait(void **state)
{
	struct slot *running = add(0), *one = add(1), *other = add(2);

	(void)state;
	turn_set_ready(&running->turn, true);
	turn_set_ready(&one->turn, true);
	turn_set_ready(&other->turn, true);
	processors_on = 3;
	homes_init();
	on(TWO);
	home_idle_begin();
	on(THREE);
	home_idle_begin();
	on(ONE);
	home_offer(running);
	assert_ptr_equal(running->home, at(ONE));
	assert_true(one->home != at(ONE) && other->home != at(ONE) && one->home != other->home);
	assert_int_equal(at(ONE)->waiting, 0);
	assert_false(at(TWO)->is_idle || at(THREE)->is_idle);
	timer_disarm(&timers[0]);
}

/* Who waits stays where its cpuset wants it; another one that waits may go. */
static void test_pinned_ones_wait(void **state)
{
	struct slot *running = add(0), *pinned = add(1), *other = add(2);

	(void)state;
	configs[1].cpuset = 1;
	turn_set_ready(&running->turn, true);
	turn_set_ready(&pinned->turn, true);
	turn_set_ready(&other->turn, true);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running);
	assert_ptr_equal(pinned->home, at(ONE));
	assert_ptr_equal(other->home, at(TWO));
	assert_int_equal(at(ONE)->waiting, 1);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running);
	assert_ptr_equal(pinned->home, at(ONE));
	assert_true(at(TWO)->is_idle);
	timer_disarm(&timers[0]);
	timer_disarm(&timers[1]);
}

/* Who may take none of those that wait does not interrupt them: the one that runs cannot come, nor can a sleeper. */
static void test_pinned_ones_are_left_alone(void **state)
{
	struct slot *running = add(0), *pinned = add(1), *asleep = add(2);

	(void)state;
	configs[1].cpuset = 1;
	turn_set_ready(&running->turn, true);
	turn_set_ready(&pinned->turn, true);
	home_offer(running);
	assert_ptr_equal(asleep->home, at(ONE));
	on(TWO);
	turn_set_ready(&add(3)->turn, true);	/* it may come here, and lives here */
	home_idle_begin();
	home_idle_end();
	assert_int_equal(kicks[ONE], 0);
	configs[1].cpuset = 0;
	home_idle_begin();
	assert_int_equal(kicks[ONE], 1);
	on(ONE);
	timer_disarm(&timers[0]);
	timer_disarm(&timers[1]);
	timer_disarm(&timers[2]);
	on(TWO);
	timer_disarm(&timers[3]);
}

/* A VM that is taken apart in pieces moves between two of them, and its vCPUs may be gone by then. */
static void test_without_vcpus(void **state)
{
	struct slot *slot = add(0);

	(void)state;
	vms[0].vcpus[0] = NULL;
	home_give(slot, at(TWO));
	assert_ptr_equal(slot->home, at(TWO));
	assert_ptr_equal(slot->parties[0].look.home, at(TWO));
}

static void test_gone_is_gone(void **state)
{
	struct slot *running = add(0), *waits = add(1);

	(void)state;
	turn_set_ready(&running->turn, true);
	turn_set_ready(&waits->turn, true);
	on(TWO);
	home_idle_begin();
	on(ONE);
	home_offer(running);
	assert_ptr_equal(waits->home, at(TWO));
	turn_set_ready(&running->turn, false);	/* it halts: nobody is left here, home_offer is not called */
	home_idle_begin();
	on(TWO);
	home_idle_begin();
	assert_int_equal(kicks[ONE], 0);
	timer_disarm_all(&waits->turn);
	on(ONE);
	timer_disarm_all(&running->turn);
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
		cmocka_unit_test_setup(test_the_first_is_idle, set_up), cmocka_unit_test_setup(test_gone_is_gone, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
