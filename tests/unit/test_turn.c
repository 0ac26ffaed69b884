/* SPDX-License-Identifier: MIT */
/*
 * hv/turn.c and both policies under simulated guests: what share of the processor each gets, how long one
 * waits for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/turn.h"

#define TURN	10000U
#define SETTLE	(30ULL * TURN)	/* all begin together: until they no longer do */
#define LONG	(2000ULL * TURN)
#define NEVER	UINT64_MAX
#define ACTORS	4U

/* One guest: works for a while, sleeps for a while; some make the host's timer interrupt whoever runs. */
struct actor {
	struct turn turn;
	bool     plays;
	uint32_t weight;	/* 0: the default */
	uint64_t work;		/* ticks until it sleeps; 0: never sleeps */
	uint64_t sleep;
	uint64_t period;	/* its timer interrupts this often; 0: it has none */
	uint64_t tail;		/* its timer interrupts so long after the start of another's turn; 0: it does not */
	uint64_t overrun;	/* runs this much longer than it may */

	uint64_t to_do, wakes, used, last_ran, longest_gap;
};

struct world {
	struct run_queue queue;
	struct turn *order[2 * ACTORS];
	struct actor actors[ACTORS];
	size_t       count;
	uint64_t     now;
};

static void join(struct world *world)
{
	turns_init(&world->queue.vms, &sched_share, TURN, world->order, ACTORS);
	for (; world->count < ACTORS && world->actors[world->count].plays; world->count++) {
		struct actor *actor = &world->actors[world->count];

		turn_join(&world->queue.vms, &actor->turn, (uint32_t)world->count, actor->weight ? actor->weight : WEIGHT_DEFAULT);
		actor->to_do = actor->work ? actor->work : NEVER;
	}
}

static uint64_t next_event(const struct world *world, const struct actor *running, bool is_new)
{
	uint64_t next = NEVER;

	for (size_t i = 0; i < world->count; i++) {
		const struct actor *actor = &world->actors[i];

		if (actor->wakes > world->now)
			next = min_u64(next, actor->wakes);
		if (actor->period)
			next = min_u64(next, (world->now / actor->period + 1) * actor->period);
		if (actor->tail && actor != running && is_new)
			next = min_u64(next, world->now + actor->tail);
	}
	return next;
}

static void run(struct world *world, struct actor *actor, bool is_new)
{
	uint64_t until = world->now + sched_share.tick(&world->queue.vms, &actor->turn) + actor->overrun;
	uint64_t start = world->now;

	turn_bill(&world->queue, &actor->turn, start);
	until = min_u64(until, next_event(world, actor, is_new));
	if (actor->to_do != NEVER)
		until = min_u64(until, start + actor->to_do);
	if (start - actor->last_ran > actor->longest_gap)
		actor->longest_gap = start - actor->last_ran;
	world->now = actor->last_ran = until;
	actor->used += until - start;
	turn_bill(&world->queue, NULL, until);
	if (actor->to_do == NEVER)
		return;
	actor->to_do -= until - start;
	if (!actor->to_do) {
		actor->wakes = until + actor->sleep;
		actor->to_do = actor->work;
	}
}

static void simulate(struct world *world, uint64_t ticks)
{
	const struct turn *before = NULL;
	uint64_t end = world->now + ticks;

	while (world->now < end) {
		struct turn *next;

		/* Who sleeps now has left when another wakes. */
		for (size_t i = 0; i < 2 * world->count; i++) {
			struct actor *actor = &world->actors[i % world->count];

			if (i >= world->count || actor->wakes > world->now)
				turn_set_ready(&actor->turn, actor->wakes <= world->now);
		}
		next = sched_share.pick(&world->queue.vms);
		if (!next) {
			world->now = next_event(world, NULL, false);
			continue;
		}
		run(world, container_of(next, struct actor, turn), next != before);
		before = next;
	}
}

#define HOG	{ .plays = true }

static void test_shares(void **state)
{
	static const struct {
		const char *name;
		struct actor actors[ACTORS];
		unsigned low, high;	/* percent of the processor that the first gets */
		uint64_t gap;		/* and how long it never waits */
	} rows[] = {
		{ "alone", { HOG }, 100, 100, 0 },
		{ "two that compute", { HOG, HOG }, 49, 51, TURN },
		{ "four that compute", { HOG, HOG, HOG, HOG }, 24, 26, 3 * TURN },
		{ "a neighbour's timer fires just behind its turn", { HOG, { .plays = true, .tail = 200 } },
		  49, 51, TURN },
		{ "a neighbour's timer fires all the time", { HOG, { .plays = true, .period = 300 } },
		  49, 51, TURN },
		{ "a neighbour that overruns its turns", { HOG, { .plays = true, .overrun = 9 * TURN } },
		  49, 51, 10 * TURN },
		{ "a neighbour that overruns, and another", { HOG, HOG, { .plays = true, .overrun = 9 * TURN } },
		  32, 34, 11 * TURN },
		{ "neighbours that overrun a little, each by something else",
		  { HOG, { .plays = true, .overrun = 900 }, { .plays = true, .overrun = 1700 },
		    { .plays = true, .overrun = 300 } }, 24, 26, 3 * TURN + 2900 },
		{ "one that overruns its turns beside three",
		  { { .plays = true, .overrun = 900 }, HOG, HOG, { .plays = true, .overrun = 100 } },
		  24, 26, 3 * TURN + 1000 },
		{ "a neighbour that sleeps just before the end of its turn",
		  { HOG, { .plays = true, .work = TURN - 10, .sleep = 20 } }, 49, 52, 2 * TURN },
		{ "neighbours that sleep a little, often",
		  { HOG, { .plays = true, .work = 300, .sleep = 50 },
		    { .plays = true, .work = 300, .sleep = 70 } }, 32, 36, 4 * TURN },
		{ "a sleeper beside one that computes",
		  { { .plays = true, .work = 100, .sleep = 900 }, HOG }, 9, 10, 900 },
		{ "a sleeper beside three that compute",
		  { { .plays = true, .work = 100, .sleep = 900 }, HOG, HOG, HOG }, 9, 10, 900 },
		{ "one that computes beside a sleeper",
		  { HOG, { .plays = true, .work = 100, .sleep = 900 } }, 90, 91, 200 },
		{ "one that computes beside one that slept long",
		  { HOG, { .plays = true, .work = 50 * TURN, .sleep = 500 * TURN } }, 90, 96, TURN },
		{ "one of three times the weight", { { .plays = true, .weight = 300 }, HOG }, 75, 75, TURN },
		{ "beside one of three times the weight", { HOG, { .plays = true, .weight = 300 } }, 25, 25, 4 * TURN },
		{ "one of ten times the weight", { { .plays = true, .weight = 1000 }, HOG }, 91, 91, TURN },
		{ "beside one of ten times the weight that sleeps often",
		  { HOG, { .plays = true, .weight = 1000, .work = 500, .sleep = 10 } }, 9, 11, 12 * TURN },
		{ "of a tenth of the weight, sleeping just before the ends of its turns",
		  { { .plays = true, .weight = 10, .work = TURN - 10, .sleep = 20 }, HOG }, 9, 9, 11 * TURN },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct world world = { 0 };
		struct actor *first = &world.actors[0];
		unsigned share;
		uint64_t start;

		memcpy(world.actors, rows[i].actors, sizeof(world.actors));
		join(&world);
		simulate(&world, SETTLE);
		start = world.now;
		first->used = first->longest_gap = 0;
		simulate(&world, LONG);
		share = (unsigned)((first->used * 100 + LONG / 2) / (world.now - start));
		if (share < rows[i].low || share > rows[i].high || first->longest_gap > rows[i].gap)
			fail_msg("%s: share %u%%, longest gap %lu", rows[i].name, share, first->longest_gap);
	}
}

/* A few that take turns, all ready. */
struct table {
	struct run_queue queue;
	struct turn *order[2 * ACTORS];
	struct turn turns[ACTORS];
};

static void set_table(struct table *table, const struct sched_policy *policy, uint32_t count)
{
	*table = (struct table){ .queue.mark = 1000 };
	turns_init(&table->queue.vms, policy, TURN, table->order, ACTORS);
	for (uint32_t i = 0; i < count; i++) {
		turn_join(&table->queue.vms, &table->turns[i], i, WEIGHT_DEFAULT);
		turn_set_ready(&table->turns[i], true);
	}
}

static struct turn *next_of(struct table *table)
{
	return table->queue.vms.policy->pick(&table->queue.vms);
}

static void use(struct table *table, struct turn *turn, uint64_t ticks)
{
	turn_bill(&table->queue, turn, table->queue.mark);
	turn_bill(&table->queue, NULL, table->queue.mark + ticks);
}

static uint64_t left(const struct turn *turn)
{
	return turn->in->policy->tick(turn->in, turn);
}

/* An interrupt in the middle of a turn gives the processor to nobody else. */
static void test_continues(void **state)
{
	struct table table;
	struct turn *a = &table.turns[0], *b = &table.turns[1];

	(void)state;
	set_table(&table, &sched_share, 1);
	assert_false(turn_has_rivals(a));
	set_table(&table, &sched_share, 2);
	assert_true(turn_has_rivals(a));
	assert_ptr_equal(next_of(&table), a);
	assert_int_equal(left(a), TURN);
	use(&table, a, TURN - 1);
	assert_ptr_equal(next_of(&table), a);
	assert_int_equal(left(a), 1);
	use(&table, a, 1);
	assert_ptr_equal(next_of(&table), b);
	turn_set_ready(b, false);
	assert_ptr_equal(next_of(&table), a);
	turn_set_ready(a, false);
	assert_null(next_of(&table));
}

/* Nobody gains by leaving and joining anew. */
static void test_newcomers(void **state)
{
	struct table table;
	struct turn *hog = &table.turns[0];
	uint64_t used = 0;

	(void)state;
	set_table(&table, &sched_share, 3);
	for (unsigned i = 0; i < 3000; i++) {
		struct turn *next = next_of(&table);

		use(&table, next, TURN);
		used += next == hog;
		if (next != hog) {
			uint32_t place = next->place;

			turn_leave(&table.queue, next);
			assert_false(next->is_ready);
			turn_join(&table.queue.vms, next, place, WEIGHT_DEFAULT);
			turn_set_ready(next, true);
		}
	}
	assert_in_range(used, 950, 1550);
	assert_int_equal(table.queue.vms.count, 3);
	for (unsigned i = 0; i < 3; i++)
		turn_leave(&table.queue, &table.turns[i]);
	assert_int_equal(table.queue.vms.count, 0);
	assert_null(next_of(&table));
}

/* Where it is put it stands: ahead, and behind as far as who wakes may be. In a circle there is no such place. */
static void test_where_it_stands(void **state)
{
	static const int64_t leads[] = { 3 * TURN, TURN / 4, 0, -(int64_t)TURN / 4 };
	struct table table;

	(void)state;
	for (size_t i = 0; row_of(leads, i); i++) {
		struct turn *turn = &table.turns[0];

		set_table(&table, &sched_share, 2);
		for (unsigned n = 0; n < 10; n++)
			use(&table, next_of(&table), TURN);
		turn_set_ready(turn, false);
		turn_stand(turn, leads[i]);
		assert_int_equal(turn_lead(turn), leads[i]);
		turn_set_ready(turn, true);
		assert_int_equal(turn->start - table.turns[1].start, leads[i]);
	}
	set_table(&table, &sched_round_robin, 2);
	turn_stand(&table.turns[0], TURN);
	assert_int_equal(turn_lead(&table.turns[0]), 0);
}

/* One that slept long is at most half a stride behind the common clock, which is half a turn of its own by its weight. */
static void test_credit(void **state)
{
	static const struct { uint32_t weight; uint64_t credit; } rows[] = {
		{ WEIGHT_DEFAULT, TURN / 2 }, { 2 * WEIGHT_DEFAULT, TURN / 4 }, { WEIGHT_DEFAULT / 2, TURN },
		{ WEIGHT_DEFAULT / 10, 5 * TURN },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct table table;
		struct turn *sleeper = &table.turns[0], *other = &table.turns[1];

		set_table(&table, &sched_share, 2);
		sleeper->weight = rows[i].weight;
		turn_set_ready(sleeper, false);
		for (unsigned turns = 0; turns < 100; turns++) {
			assert_ptr_equal(next_of(&table), other);
			use(&table, other, TURN);
		}
		turn_set_ready(sleeper, true);
		assert_int_equal(table.queue.vms.clock - sleeper->start, rows[i].credit);
	}
}

/* Time that nobody wanted is owed to nobody: behind it a sleeper goes first, and one that comes has its share at once. */
static void test_behind_idle_time(void **state)
{
	struct table table;
	struct turn *sleeper = &table.turns[0], *other = &table.turns[1];
	uint64_t used = 0;

	(void)state;
	set_table(&table, &sched_share, 2);
	turn_set_ready(sleeper, false);
	turn_set_ready(other, false);
	turn_bill(&table.queue, NULL, table.queue.mark + 1000 * TURN);
	turn_set_ready(other, true);
	use(&table, other, 3 * TURN);
	turn_set_ready(sleeper, true);
	assert_ptr_equal(next_of(&table), sleeper);
	turn_leave(&table.queue, other);	/* as one that comes from another processor */
	turn_join(&table.queue.vms, other, 1, WEIGHT_DEFAULT);
	turn_stand(other, 0);
	turn_set_ready(other, true);
	for (unsigned i = 0; i < 100; i++) {
		struct turn *next = next_of(&table);

		use(&table, next, TURN);
		used += next == other;
	}
	assert_in_range(used, 49, 51);
}

/* Whoever the payer is, and whatever is said twice or too late: all time is charged once. */
static void test_all_time_is_charged(void **state)
{
	struct table table;
	struct run_queue *queue = &table.queue;
	uint64_t now, sum;

	(void)state;
	srand(1);
	set_table(&table, &sched_share, ACTORS);
	now = queue->mark;
	for (unsigned round = 0; round < 100000; round++) {
		unsigned who = (unsigned)rand() % (ACTORS + 1);

		now += (unsigned)rand() % (TURN / 3);
		turn_bill(queue, who < ACTORS ? &table.turns[who] : NULL, now - (unsigned)rand() % 50);
		(void)next_of(&table);
		sum = queue->idle;
		for (size_t i = 0; i < ACTORS; i++)
			sum += table.turns[i].used;
		assert_int_equal(sum, queue->mark - 1000);
		assert_true(queue->mark <= now && now - queue->mark < 50);
	}
	assert_true(queue->idle > now / 10);
	turn_bill(queue, &table.turns[0], now);
	turn_leave(queue, &table.turns[0]);
	assert_null(queue->payer);		/* nobody pays for what is left of somebody's time */
}

/* Two timers are due in one round, the later one first: what is charged already is not charged again. */
static void test_charged_once(void **state)
{
	struct table table;
	uint64_t mark;

	(void)state;
	set_table(&table, &sched_share, 2);
	mark = table.queue.mark;
	turn_bill(&table.queue, &table.turns[0], mark + 10);
	turn_bill(&table.queue, &table.turns[1], mark + 5);
	assert_int_equal(table.queue.mark, mark + 10);
	assert_int_equal(table.turns[0].used, 0);
	turn_bill(&table.queue, NULL, mark + 30);
	assert_int_equal(table.turns[1].used, 20);
}

/*
 * Who used more than its share while others waited is in debt until they have caught up, or nobody wants the
 * processor.
 */
static void test_debt(void **state)
{
	struct table table;
	struct turn *hog = &table.turns[0], *other = &table.turns[1];

	(void)state;
	set_table(&table, &sched_share, 2);
	turn_set_ready(hog, false);
	(void)next_of(&table);
	use(&table, hog, 2 * TURN);
	assert_int_equal(turn_debt(hog), 0);		/* it runs next to nobody's harm, or nearly */
	use(&table, hog, 3 * TURN);
	assert_int_equal(turn_debt(hog), 5 * TURN);
	assert_int_equal(turn_debt(other), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(next_of(&table), other);
		use(&table, other, TURN);
	}
	assert_int_equal(turn_debt(hog), 0);
	use(&table, hog, 5 * TURN);
	assert_true(turn_debt(hog) > 5 * TURN);
	turn_bill(&table.queue, NULL, table.queue.mark + 5 * TURN);
	assert_int_equal(turn_debt(hog), 0);
}

/* A turn of one that has little weight moves its start far, which is no debt; several turns are, in its own measure. */
static void test_debt_of_little_weight(void **state)
{
	struct table table;
	struct turn *hog = &table.turns[0];

	(void)state;
	set_table(&table, &sched_share, 2);
	turn_set_ready(hog, false);
	hog->weight = WEIGHT_DEFAULT / 10;
	use(&table, hog, 2 * TURN);
	assert_int_equal(turn_debt(hog), 0);
	use(&table, hog, TURN);
	assert_int_equal(turn_debt(hog), 3 * TURN);
}

/* A vCPU's time is its VM's as well; a VM with four of them gets no more than one with one. */
static void test_two_levels(void **state)
{
	struct table table;
	struct turns vcpus;
	struct turn *order[8] = { NULL }, threads[4], *big = &table.turns[0];

	(void)state;
	set_table(&table, &sched_share, 2);
	turns_init(&vcpus, &sched_share, TURN, order, 4);
	for (uint32_t i = 0; i < 4; i++) {
		turn_join(&vcpus, &threads[i], i, WEIGHT_DEFAULT);
		threads[i].vm = big;
		turn_set_ready(&threads[i], true);
	}
	for (unsigned i = 0; i < 800; i++) {
		struct turn *next = next_of(&table);

		use(&table, next == big ? sched_share.pick(&vcpus) : next, TURN);
	}
	assert_int_equal(big->used, 400 * TURN);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(threads[i].used, 100 * TURN);
	turn_bill(&table.queue, &threads[1], table.queue.mark);
	turn_leave(&table.queue, big);
	assert_null(table.queue.payer);
}

/* One that gives up the rest of its turn goes behind all others of its VM, and its VM keeps what is left. */
static void test_gives_up(void **state)
{
	static const struct sched_policy *const policies[] = { &sched_share, &sched_round_robin };

	(void)state;
	for (unsigned i = 0; i < countof(policies); i++) {
		struct table table;

		set_table(&table, policies[i], 3);
		assert_ptr_equal(next_of(&table), &table.turns[0]);
		use(&table, &table.turns[0], TURN / 4);
		turn_put(&table.turns[0]);
		assert_int_equal(left(&table.turns[0]), TURN);
		assert_ptr_equal(next_of(&table), &table.turns[1]);
		use(&table, &table.turns[1], TURN);
		assert_ptr_equal(next_of(&table), &table.turns[2]);
		use(&table, &table.turns[2], TURN);
		assert_ptr_equal(next_of(&table), &table.turns[0]);
	}
}

/* In a circle, a whole turn each; who sleeps loses its place, but does not gain a new turn by it. */
static void test_round_robin(void **state)
{
	struct table table;
	struct turn *a = &table.turns[0], *b = &table.turns[1], *c = &table.turns[2];

	(void)state;
	set_table(&table, &sched_round_robin, 3);
	use(&table, a, TURN - 1);
	assert_ptr_equal(next_of(&table), a);
	turn_set_ready(a, false);
	assert_ptr_equal(next_of(&table), b);
	turn_set_ready(a, true);
	use(&table, b, TURN + 5);
	assert_int_equal(left(b), TURN - 5);
	assert_ptr_equal(next_of(&table), c);
	use(&table, c, TURN);
	assert_ptr_equal(next_of(&table), a);
	assert_int_equal(left(a), 1);
	use(&table, a, 1);
	assert_ptr_equal(next_of(&table), b);
}

/*
 * In a circle, too, one that used up a turn by its timers owes the others theirs, ready or not. One that has just
 * gone behind the others owes nothing: it used nothing.
 */
static void test_debt_in_a_circle(void **state)
{
	struct table table;
	struct turn *hog = &table.turns[0], *b = &table.turns[1], *c = &table.turns[2];

	(void)state;
	set_table(&table, &sched_round_robin, 3);
	for (unsigned i = 0; i < 2; i++) {
		turn_set_ready(hog, false);
		turn_set_ready(hog, i);
		use(&table, hog, TURN - 1);
		assert_int_equal(turn_debt(hog), 0);
		use(&table, hog, 1);
		assert_int_equal(turn_debt(hog), TURN);
		assert_int_equal(turn_debt(b), 0);
		use(&table, b, TURN / 4);
		assert_int_equal(turn_debt(hog), TURN - TURN / 4);
		use(&table, b, TURN - TURN / 4);
		assert_int_equal(turn_debt(hog), TURN);
		use(&table, c, TURN);
		assert_int_equal(turn_debt(hog), 0);
	}
	use(&table, hog, TURN);
	turn_set_ready(hog, false);
	turn_set_ready(b, false);
	turn_set_ready(c, false);
	assert_int_equal(turn_debt(hog), 0);		/* nobody wants the processor */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_continues),
		cmocka_unit_test(test_newcomers),
		cmocka_unit_test(test_where_it_stands), cmocka_unit_test(test_credit), cmocka_unit_test(test_behind_idle_time),
		cmocka_unit_test(test_all_time_is_charged), cmocka_unit_test(test_charged_once),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_debt_of_little_weight),
		cmocka_unit_test(test_two_levels),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_round_robin),
		cmocka_unit_test(test_debt_in_a_circle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
