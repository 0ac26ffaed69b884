/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whose turn it is: nothing but arithmetic over who has used how much time, so that a host test can drive
 * it.
 *
 * Everybody who may want the processor has a struct turn in one list. `start` says where on a common clock
 * its turn began, `spent` how much of that turn it has used. Who is ready and began earliest goes first,
 * and keeps the processor until its turn is used up: then its start moves on by a whole turn, what it used
 * beyond is spent of the next one, and others come first. An interrupt in between changes none of these
 * numbers, so a turn that was cut short is continued. Of those who began at the same time, who waits
 * longest goes first.
 *
 * The common clock is the start of the latest turn, or of the next one if nobody who waits began earlier.
 * Who slept finds its start behind the clock, and so goes first when it wakes; but at most half a turn
 * behind, for time in which it did not want the processor is not owed to it, and two turns in a row would
 * be more than the others are to wait. While nobody wants the processor the common clock goes on with the
 * time: who used more than its share took nothing from anybody.
 *
 * All time is on somebody's bill. There is one mark up to which everything is charged, and one function
 * that moves it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turn {
	uint64_t     start;
	uint64_t     spent;
	bool         is_begun;	/* it ran in this turn */
	uint64_t     ended;	/* number of its latest turn, of all that anybody had */
	uint64_t     used;	/* ticks, in all its life */
	bool         is_ready;	/* wants the processor now; set by the owner before turn_next */
	bool         was_ready;	/* it did the last time */
	struct turn *next;
};

struct turns {
	uint64_t     length;	/* of a turn, in ticks */
	uint64_t     clock;
	uint64_t     ended;	/* turns that anybody had */
	struct turn *list;
	struct turn *payer;	/* for whom we work since `mark`; NULL: nobody */
	uint64_t     mark;	/* all time before is charged */
	uint64_t     idle;	/* ticks that were charged to nobody */
};

/* Add it to those who take turns, as if it had just used a turn: a newcomer does not go before the others. */
void turn_join(struct turns *turns, struct turn *turn);
void turn_leave(struct turns *turns, struct turn *turn);

struct turn *turn_next(struct turns *turns);	/* who goes next, NULL when nobody is ready */

/* May somebody else want the processor before this turn is over? A sleeper may wake by then, so all others count. */
static inline bool turn_has_rivals(const struct turns *turns) { return turns->list && turns->list->next; }

uint64_t turn_left(const struct turns *turns, const struct turn *turn);	/* ticks, never 0 */

/*
 * From `now` on we work for `payer`; what passed since the last call is charged to whoever was the payer
 * until then. A time that was charged already is not charged again.
 */
void turn_bill(struct turns *turns, struct turn *payer, uint64_t now);

/* Lets a sibling of the same owner go in its place: they swap what they have used, which changes nothing for others. */
void turn_swap(struct turn *one, struct turn *other);

/*
 * How far it is ahead of all others, when that is more than a turn of its own and one of somebody else: its
 * debt. It cannot run before they have caught up, and nothing has to be done for it until then. 0: it is
 * not in debt.
 */
uint64_t turn_debt(const struct turns *turns, const struct turn *turn);
