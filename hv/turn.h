/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whose turn it is: nothing but arithmetic over who has used how much time, so that a host test can drive
 * it.
 *
 * Each party that may want the processor has a struct turn in one list. `start` says where on a common
 * clock its turn began, `spent` how much of that turn it has used. Of the parties that are ready the one
 * whose turn began earliest goes first. It keeps the processor until its turn is used up. Then its start
 * moves on by a whole turn, what it used beyond the turn counts as spent of the next one, and others go
 * first. An interrupt in between changes none of these numbers, so a turn that was cut short is continued.
 * Of parties with the same start, the one that has waited longest goes first.
 *
 * The common clock is the start of the latest turn, or of the next one if no waiting party began earlier. A
 * party that slept finds its start behind the clock, and so goes first when it wakes. Its start is then at
 * most half a turn behind: the time for which it did not want the processor is not owed to it, and with two
 * turns in a row it would make the others wait too long. While no party wants the processor the common
 * clock goes on with the time: a party that used more than its share of such time took nothing from others.
 *
 * All time is charged to a party, or counted as idle. There is one mark up to which time has been charged,
 * and one function, turn_bill, that moves it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turn {
	uint64_t     start;
	uint64_t     spent;
	bool         is_begun;	/* it ran in this turn */
	uint64_t     ended;	/* the number of its latest turn, counting the turns of all parties */
	uint64_t     used;	/* ticks, in all its life */
	bool         is_ready;	/* wants the processor now; set by the owner before turn_next */
	bool         was_ready;	/* it wanted the processor at the last turn_next */
	struct turn *next;
};

struct turns {
	uint64_t     length;	/* of a turn, in ticks */
	uint64_t     clock;
	uint64_t     ended;	/* turns that have ended, of all parties */
	struct turn *list;
	struct turn *payer;	/* for whom we work since `mark`; NULL: nobody */
	uint64_t     mark;	/* all time before this moment has been charged */
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

/*
 * Let a sibling of the same VM go in its place: the two exchange their positions, which changes nothing for
 * other VMs.
 */
void turn_swap(struct turn *one, struct turn *other);

/*
 * The debt of a party: how far it is ahead of all others, when that is more than a turn of its own and a
 * turn of another. It cannot run before the others have caught up, and nothing has to be done for it until
 * then. 0: it is not in debt.
 */
uint64_t turn_debt(const struct turns *turns, const struct turn *turn);
