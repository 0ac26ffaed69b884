/* SPDX-License-Identifier: MIT */
/* hv/turn.c under simulated guests: what share of the processor each gets, and how long one waits for it. */
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
	uint64_t work;		/* ticks until it sleeps; 0: never sleeps */
	uint64_t sleep;
	uint64_t period;	/* its timer interrupts this often; 0: it has none */
	uint64_t tail;		/* its timer interrupts so long after the start of another's turn; 0: it does not */
	uint64_t overrun;	/* runs this much longer than it may */

	uint64_t to_do, wakes, used, last_ran, longest_gap;
};

struct world {
	struct turns turns;
	struct actor actors[ACTORS];
	size_t       count;
	uint64_t     now, interrupt;	/* when the next host interrupt comes */
};

static void join(struct world *world)
{
	world->turns = (struct turns){ .length = TURN };
	for (; world->count < ACTORS && world->actors[world->count].turn.is_ready; world->count++) {
		struct actor *actor = &world->actors[world->count];

		turn_join(&world->turns, &actor->turn);
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
	uint64_t until = world->now + turn_left(&world->turns, &actor->turn) + actor->overrun;
	uint64_t start = world->now;

	turn_bill(&world->turns, &actor->turn, start);
	until = min_u64(until, next_event(world, actor, is_new));
	if (actor->to_do != NEVER)
		until = min_u64(until, start + actor->to_do);
	if (start - actor->last_ran > actor->longest_gap)
		actor->longest_gap = start - actor->last_ran;
	world->now = actor->last_ran = until;
	actor->used += until - start;
	turn_bill(&world->turns, NULL, until);
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

		for (size_t i = 0; i < world->count; i++)
			world->actors[i].turn.is_ready = world->actors[i].wakes <= world->now;
		next = turn_next(&world->turns);
		if (!next) {
			world->now = next_event(world, NULL, false);
			continue;
		}
		run(world, container_of(next, struct actor, turn), next != before);
		before = next;
	}
}

#define HOG	{ .turn.is_ready = true }

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
		{ "a neighbour's timer fires just behind its turn", { HOG, { .turn.is_ready = true, .tail = 200 } },
		  49, 51, TURN },
		{ "a neighbour's timer fires all the time", { HOG, { .turn.is_ready = true, .period = 300 } },
		  49, 51, TURN },
		{ "a neighbour that overruns its turns", { HOG, { .turn.is_ready = true, .overrun = 9 * TURN } },
		  49, 51, 10 * TURN },
		{ "a neighbour that overruns, and another", { HOG, HOG, { .turn.is_ready = true, .overrun = 9 * TURN } },
		  32, 34, 11 * TURN },
		{ "neighbours that overrun a little, each by something else",
		  { HOG, { .turn.is_ready = true, .overrun = 900 }, { .turn.is_ready = true, .overrun = 1700 },
		    { .turn.is_ready = true, .overrun = 300 } }, 24, 26, 3 * TURN + 2900 },
		{ "one that overruns its turns beside three",
		  { { .turn.is_ready = true, .overrun = 900 }, HOG, HOG, { .turn.is_ready = true, .overrun = 100 } },
		  24, 26, 3 * TURN + 1000 },
		{ "a neighbour that sleeps just before the end of its turn",
		  { HOG, { .turn.is_ready = true, .work = TURN - 10, .sleep = 20 } }, 49, 52, 2 * TURN },
		{ "neighbours that sleep a little, often",
		  { HOG, { .turn.is_ready = true, .work = 300, .sleep = 50 },
		    { .turn.is_ready = true, .work = 300, .sleep = 70 } }, 32, 36, 4 * TURN },
		{ "a sleeper beside one that computes",
		  { { .turn.is_ready = true, .work = 100, .sleep = 900 }, HOG }, 9, 10, 900 },
		{ "a sleeper beside three that compute",
		  { { .turn.is_ready = true, .work = 100, .sleep = 900 }, HOG, HOG, HOG }, 9, 10, 900 },
		{ "one that computes beside a sleeper",
		  { HOG, { .turn.is_ready = true, .work = 100, .sleep = 900 } }, 90, 91, 200 },
		{ "one that computes beside one that slept long",
		  { HOG, { .turn.is_ready = true, .work = 50 * TURN, .sleep = 500 * TURN } }, 90, 96, TURN },
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

static void use(struct turns *turns, struct turn *turn, uint64_t ticks)
{
	turn_bill(turns, turn, turns->mark);
	turn_bill(turns, NULL, turns->mark + ticks);
}

/* An interrupt in the middle of a turn gives the processor to nobody else. */
static void test_continues(void **state)
{
	struct turns turns = { .length = TURN };
	struct turn a, b;

	(void)state;
	assert_false(turn_has_rivals(&turns));
	turn_join(&turns, &a);
	assert_false(turn_has_rivals(&turns));
	turn_join(&turns, &b);
	assert_true(turn_has_rivals(&turns));
	a.is_ready = b.is_ready = true;
	assert_ptr_equal(turn_next(&turns), &a);
	assert_int_equal(turn_left(&turns, &a), TURN);
	use(&turns, &a, TURN - 1);
	assert_ptr_equal(turn_next(&turns), &a);
	assert_int_equal(turn_left(&turns, &a), 1);
	use(&turns, &a, 1);
	assert_ptr_equal(turn_next(&turns), &b);
	b.is_ready = false;
	assert_ptr_equal(turn_next(&turns), &a);
	a.is_ready = false;
	assert_null(turn_next(&turns));
}

/* Nobody gains by leaving and joining anew. */
static void test_newcomers(void **state)
{
	struct turns turns = { .length = TURN };
	struct turn hog, loopers[2];
	uint64_t used = 0;

	(void)state;
	turn_join(&turns, &hog);
	turn_join(&turns, &loopers[0]);
	turn_join(&turns, &loopers[1]);
	for (unsigned i = 0; i < 3000; i++) {
		struct turn *next;

		hog.is_ready = loopers[0].is_ready = loopers[1].is_ready = true;
		next = turn_next(&turns);
		use(&turns, next, TURN);
		used += next == &hog;
		if (next != &hog) {
			turn_leave(&turns, next);
			assert_false(next->is_ready);
			turn_join(&turns, next);
		}
	}
	assert_in_range(used, 950, 1550);
	turn_leave(&turns, &loopers[0]);
	turn_leave(&turns, &loopers[0]);	/* harmless */
	turn_leave(&turns, &hog);
	turn_leave(&turns, &loopers[1]);
	assert_null(turns.list);
}

/* Whoever the payer is, and whatever is said twice or too late: all time is charged once. */
static void test_all_time_is_charged(void **state)
{
	struct turns turns = { .length = TURN, .mark = 1000 };
	struct turn people[ACTORS];
	uint64_t now = turns.mark, sum;

	(void)state;
	srand(1);
	for (size_t i = 0; i < ACTORS; i++)
		turn_join(&turns, &people[i]);
	for (unsigned round = 0; round < 100000; round++) {
		unsigned who = (unsigned)rand() % (ACTORS + 1);

		now += (unsigned)rand() % (TURN / 3);
		turn_bill(&turns, who < ACTORS ? &people[who] : NULL, now - (unsigned)rand() % 50);
		(void)turn_next(&turns);
		sum = turns.idle;
		for (size_t i = 0; i < ACTORS; i++)
			sum += people[i].used;
		assert_int_equal(sum, turns.mark - 1000);
		assert_true(turns.mark <= now && now - turns.mark < 50);
	}
	assert_true(turns.idle > now / 10);
	turn_bill(&turns, &people[0], now);
	turn_leave(&turns, &people[0]);
	assert_null(turns.payer);		/* nobody pays for what is left of somebody's time */
}

/* Who used more than its share while others waited is in debt until they have caught up, or nobody wants the processor. */
static void test_debt(void **state)
{
	struct turns turns = { .length = TURN };
	struct turn hog, other;

	(void)state;
	turn_join(&turns, &hog);
	turn_join(&turns, &other);
	hog.is_ready = false;
	other.is_ready = true;
	(void)turn_next(&turns);
	use(&turns, &hog, 2 * TURN);
	assert_int_equal(turn_debt(&turns, &hog), 0);		/* it runs next to nobody's harm, or nearly */
	use(&turns, &hog, 3 * TURN);
	assert_int_equal(turn_debt(&turns, &hog), 5 * TURN);
	assert_int_equal(turn_debt(&turns, &other), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(turn_next(&turns), &other);
		use(&turns, &other, TURN);
	}
	assert_int_equal(turn_debt(&turns, &hog), 0);
	use(&turns, &hog, 5 * TURN);
	assert_true(turn_debt(&turns, &hog) > 5 * TURN);
	turn_bill(&turns, NULL, turns.mark + 5 * TURN);
	assert_int_equal(turn_debt(&turns, &hog), 0);
}

/* Two of one owner swap places; a neighbour goes when it would have gone. */
static void test_swap(void **state)
{
	struct turns turns = { .length = TURN };
	struct turn spinner, holder, neighbour;

	(void)state;
	turn_join(&turns, &spinner);
	turn_join(&turns, &neighbour);
	turn_join(&turns, &holder);
	spinner.is_ready = neighbour.is_ready = holder.is_ready = true;
	assert_ptr_equal(turn_next(&turns), &spinner);
	use(&turns, &spinner, TURN / 4);
	turn_swap(&spinner, &holder);
	assert_ptr_equal(turn_next(&turns), &holder);
	assert_int_equal(turn_left(&turns, &holder), TURN - TURN / 4);
	use(&turns, &holder, TURN - TURN / 4);
	assert_ptr_equal(turn_next(&turns), &spinner);		/* of two that waited as long the one in the list first */
	use(&turns, &spinner, TURN);
	assert_ptr_equal(turn_next(&turns), &neighbour);
	assert_int_equal(spinner.used, TURN / 4 + TURN);
	assert_int_equal(holder.used, TURN - TURN / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_continues),
		cmocka_unit_test(test_newcomers),
		cmocka_unit_test(test_all_time_is_charged),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
