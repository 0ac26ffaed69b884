/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who takes turns on a processor, and who pays: nothing but arithmetic over who has used how much time, so that a host
 * test can drive it. In which order they go is the policy's part (below): proportional share (share.c) or round robin
 * (round_robin.c).
 *
 * There are two levels of the same kind. The VMs take turns on the processor, and within each VM its vCPUs take turns.
 * All time that a vCPU uses is charged to it and to its VM, so a VM with eight vCPUs gets no more than a VM with one.
 *
 * A turn has a length. Whoever is first keeps the processor until its turn is used up. An interrupt in between changes
 * nothing, so a turn that was cut short is continued. What was used beyond the turn counts as spent of the next one.
 *
 * To choose does not take longer when more are ready. The order is kept as a tournament: everybody has a place, two
 * neighbours play a match, the winners of two matches play the next one, and the last winner goes first. When
 * something changes about one of them, only the matches on the way from its place to the end are played again, and
 * how many these are depends on the number of places alone.
 *
 * All time is charged to somebody, or counted as idle. There is one mark up to which time has been charged, and one
 * function, turn_bill, that moves it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

#define WEIGHT_DEFAULT	HANDOFF_WEIGHT_DEFAULT	/* all vCPUs have it */

struct sched_policy;

struct turn {
	struct turns *in;	/* those among whom it takes turns; NULL: it takes none, and time is only counted */
	struct turn  *vm;	/* of a vCPU: the turn of its VM, which pays as well; NULL: it is a VM itself */
	uint32_t      place;	/* in the tournament */
	uint32_t      weight;	/* its share in relation to others */
	bool          is_ready;	/* wants the processor; of a VM, other processors read it (home.c) */
	bool          is_begun;	/* share.c: it ran in this turn */
	uint64_t      start;	/* share.c: where on the common clock its turn began */
	uint64_t      used_up;	/* round_robin.c: `ended` of the latest turn that it used up */
	uint64_t      slept;	/* share.c: what others had been served when it last ceased to be ready */
	uint64_t      spent;	/* of this turn, in ticks */
	uint64_t      ended;	/* the number of its latest turn, counting the turns of all */
	uint64_t      used;	/* ticks, in all its life */
};

/* All that take turns with each other. */
struct turns {
	const struct sched_policy *policy;
	struct turn **order;	/* of 2 * places elements: the winner of match n, 1 being the last; from `places` on the turns */
	uint32_t      places;
	uint32_t      count;	/* how many take turns, ready or not */
	uint32_t      ready;
	uint64_t      length;	/* of a turn, in ticks */
	uint64_t      clock;	/* share.c; so is... */
	uint64_t      served;	/* ...the sum of what all have used, each in the measure of its weight */
	uint64_t      ended;	/* turns that have ended, of all */
};

struct sched_policy {
	const char *name;
	bool (*goes_before)(const struct turn *a, const struct turn *b);
	/* Who goes next, NULL when nobody is ready. */
	struct turn *(*pick)(struct turns *turns);
	/*
	 * As if it had just used a turn, so behind all others of no smaller weight: a newcomer, or one that
	 * gives up the rest of its turn.
	 */
	void (*put)(struct turns *turns, struct turn *turn);
	/* It used so much time, whether it is ready or not. True: its place in the order has changed. */
	bool (*charge)(struct turns *turns, struct turn *turn, uint64_t ticks);
	/* It was not ready until now. */
	void (*wake)(struct turns *turns, struct turn *turn);
	/* It is ready no longer. NULL: that changes nothing. */
	void (*sleep)(struct turns *turns, struct turn *turn);
	/* For how many ticks it may run before somebody else is picked; never 0. */
	uint64_t (*tick)(const struct turns *turns, const struct turn *turn);
	/*
	 * It used more than its share, by its timers for example, while others wanted the processor: for how many ticks
	 * at least it cannot run, so that nothing has to be done for it. 0: it is not in debt.
	 */
	uint64_t (*debt)(const struct turns *turns, const struct turn *turn);
	/*
	 * How far it is ahead of the others, in ticks of one whose weight is WEIGHT_DEFAULT; negative: behind. And put it so
	 * far ahead. Both NULL: there is no such measure.
	 */
	int64_t (*lead)(const struct turns *turns, const struct turn *turn);
	void (*stand)(struct turns *turns, struct turn *turn, int64_t lead);
	/* So much time passed while nobody wanted the processor. NULL: that changes nothing. */
	void (*idle)(struct turns *turns, uint64_t ticks);
};

extern const struct sched_policy sched_share, sched_round_robin;

/* What a processor owns: the VMs that take turns on it, and whose time it is. */
struct run_queue {
	struct turns vms;
	struct turn *payer;	/* for whom we work since `mark`; NULL: nobody */
	uint64_t     mark;	/* all time before this moment has been charged */
	uint64_t     idle;	/* ticks that were charged to nobody */
	uint64_t    *used;	/* ticks of each VM here, by its place: it may have used others elsewhere; NULL: not kept */
};

/* `order` has 2 * places elements, all NULL. */
void turns_init(struct turns *turns, const struct sched_policy *policy, uint64_t length, struct turn **order, uint32_t places);
static inline struct turn *turns_first(const struct turns *turns) { return turns->order[1]; }

/*
 * Add it to those who take turns; it is not ready yet. It begins as if it had just used a turn. Most have a weight of
 * WEIGHT_DEFAULT.
 */
void turn_join(struct turns *turns, struct turn *turn, uint32_t place, uint32_t weight);
void turn_join_again(struct turns *turns, struct turn *turn);	/* it has left others: what it used stays, and its place and weight */
void turn_leave(struct run_queue *queue, struct turn *turn);

void turn_set_ready(struct turn *turn, bool is_ready);
void turn_put(struct turn *turn);	/* it gives up the rest of its turn */

/* Where it stands among others (lead and stand of the policy). It is put somewhere else while it is not ready. */
int64_t turn_lead(const struct turn *turn);
void turn_stand(struct turn *turn, int64_t lead);

/* May somebody else want the processor before this turn is over? A sleeper may wake by then, so all others count. */
static inline bool turn_has_rivals(const struct turn *turn) { return turn->in->count > 1; }

/*
 * From `now` on we work for `payer`, a vCPU or a VM; what passed since the last call is charged to whoever was the
 * payer until then. A time that was charged already is not charged again.
 */
void turn_bill(struct run_queue *queue, struct turn *payer, uint64_t now);

/*
 * For how many ticks at least it cannot run, because it used more than others who want the processor; 0: it
 * may go on.
 */
static inline uint64_t turn_debt(const struct turn *turn) { return turn->in->policy->debt(turn->in, turn); }
