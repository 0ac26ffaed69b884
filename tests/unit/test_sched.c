/* SPDX-License-Identifier: MIT */
/*
 * hv/sched.c with VMs whose life is a script: who runs when, what a start, an end and a loop of restarts cost the
 * neighbour, and what the verdict is.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "clock_fake.h"
#include "hv/console.h"
#include "hv/end.h"
#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/processor.h"
#include "hv/restore_test.h"
#include "arch/x86/pv/steal.h"
#include "hv/sched.h"
#include "hv/slots.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/watch.h"
#include "hv/vm_life.h"
#include "log_fake.h"

#define SECOND		FAKE_HZ
#define MS		(FAKE_HZ / 1000)
#define LONGEST	777U
#define TURN		(10 * MS)
#define PIECE		10000U		/* ticks of one call of vm_start or vm_dismantle */
#define PLAYERS		3U
#define HOST_MEMORY	(200ULL << 20)
#define TIMERS_PER_SECOND 20000U
#define TICKS_TO_WAKE	1000U
#define ROUNDS_MAX	1000000U	/* of the scheduler's loop in one test: it is stuck */
#define STRETCHES	8U
#define TAKES_MAX	8U		/* pieces of the host's memory in one test, for slots and what takes turns in them */
#define GAP		(MS / 100)

/* What a VM does in each of its lives, and what became of it. */
struct player {
	struct handoff_vm config;
	uint64_t     life;		/* ticks it runs until it ends... */
	enum vm_end  end;		/* ...so */
	unsigned     lives;		/* then its next end is a shutdown */
	unsigned     start_pieces, end_pieces;
	uint64_t     sleeps_every, sleeps_for;
	bool         is_refused;
	unsigned     refusals;		/* so many of its restarts fail... */
	bool         fails_late;	/* ...not when it is created, but while its files are copied */
	bool         fails_at_first;	/* so does the first start */
	uint64_t     exits_every;	/* it leaves the run loop so often */
	uint64_t     ticker_cost;	/* of its devices' timer, TIMERS_PER_SECOND times; 0: it has none */
	bool         all_compute;	/* all its vCPUs run, not the first one alone */
	unsigned     spins;		/* so often its first vCPU waits for the second, for as long as exits_every says */
	bool         is_heard;		/* has said something on a console */
	unsigned     moves;		/* from one processor to another, as its slot has counted them */

	struct timer alarm, ticker;
	struct look *look;		/* its VM's */
	unsigned     ticks;		/* of its ticker */
	bool         wants_round;	/* of the scheduler's loop, before its guest goes on */
	uint64_t     waited;		/* as the guest is told */
	uint64_t     ran, awake, last_seen, longest_gap, ended_at;
	unsigned     starts, pieces, log_lines;
	unsigned     wheres;		/* lines that say where a vCPU of it is */
	unsigned     asks_again;	/* the key is pressed again behind so many; 0: it is not */
	uint64_t     where_at;		/* the last of them */
	uint32_t     slowest;		/* its vCPU with the longest exit */
	unsigned     dump_steps;	/* of the dump with which its life ends; 0: it ends without */
	unsigned     dumped;		/* steps of it so far */
	const struct vcpu *vcpu;	/* that ran last */
	unsigned     stretches;		/* of a vCPU that ran, with less than GAP between; how long the first ones were: */
	uint64_t     stretch[STRETCHES];
};

static struct player players[PLAYERS];
static unsigned rounds;		/* of the scheduler's loop in this test */
static uint64_t wake_at;	/* the host's timer interrupts then */
static uint64_t late_by;	/* ticks from there to the scheduler's loop */
static bool has_turn_timer;	/* has the back end one? All tests run with each answer. */
static bool is_taken_at_exit;	/* is the timer's interrupt, at the exit that it causes? Or in the loop. All tests run with each. */
static uint64_t limit;		/* what the back end's timer was told last */
static uint32_t noted_ticks;	/* of the longest exit */
static const char *noted_name;	/* of that exit, or of device work */
static uint32_t noted_piece;	/* ticks of the longest piece of a start or an end */
static uint64_t loop_cost;	/* ticks once round the scheduler's loop, beside what it does for somebody */
static uint64_t load_cost;	/* ticks to put one vCPU in another's place */
static bool in_host_work;
static bool attention, has_timer_fired;
static unsigned pages_to_zero;	/* pieces of them, when nobody wants the processor */

static struct player *player_with(const struct handoff_vm *config)
{
	struct player *player = players;

	while (&player->config != config)
		player++;
	return player;
}

static struct player *player_of(const struct vm *vm)
{
	return player_with(vm->config);
}

static uint64_t used_by(unsigned n) { return limb_at(&slots[n], host_processor())->turn.used; }

/* ---- What the scheduler calls ---- */

struct vm *vm_create(const struct handoff_vm *config, struct account *account, struct turn *payer, struct look *look)
{
	struct player *player = player_with(config);
	struct vm *vm;

	assert_false(in_host_work);
	assert_ptr_equal(host_processor()->queue.payer, payer);
	fake_now += PIECE;
	if (player->is_refused || (!player->fails_late && player->starts && player->refusals && player->refusals--))
		return NULL;
	if (!account->promise && !account_open(account, config->memory))
		return NULL;
	container_of(payer, struct slot, turn)->moves = player->moves;
	vm = calloc(1, sizeof(*vm));
	vm->config = config;
	vm->account = account;
	vm->clock.payer = payer;
	vm->look = player_with(config)->look = look;
	vm->vcpu_count = config->vcpus;
	strcpy(vm->name, config->name);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		vm->vcpus[i] = calloc(1, sizeof(struct vcpu));
		vm->vcpus[i]->vm = vm;
		vm->vcpus[i]->id = i;
		vm->vcpus[i]->exits = i + 1;
		vm->vcpus[i]->state = VCPU_PARKED;
	}
	player->starts++;
	player->pieces = 0;
	player->ran = 0;
	return vm;
}

static void tick(void *ctx)
{
	struct player *player = ctx;

	assert_true(in_host_work || !attention);	/* what wants a round comes before timers that need none */
	timer_arm(&player->ticker, fake_now + FAKE_HZ / TIMERS_PER_SECOND);
	player->ticks++;
	fake_now += player->ticker_cost;
	if (player->ticks % TICKS_TO_WAKE == 0)
		look_post(player->look);	/* as if it left word with another VM */
	else if (player->ticks % TICKS_TO_WAKE == TICKS_TO_WAKE / 2)
		player->wants_round = true;	/* as if it put work off */
	if (player->wants_round)
		host_attention_set();
}

void vm_start(struct vm *vm)
{
	struct player *player = player_of(vm);

	fake_now += PIECE;
	if (++player->pieces < player->start_pieces)
		return;
	if (player->fails_at_first || (player->fails_late && vm->is_restart && player->refusals && player->refusals--)) {
		vm->end = VM_END_CRASHED;
		return;
	}
	vm->state = VM_RUNNING;
	vm->vcpus[0]->state = VCPU_READY;
	for (uint32_t i = 1; player->all_compute && i < vm->vcpu_count; i++) {
		vm->vcpus[i]->state = VCPU_READY;
		look_post(&container_of(vm->clock.payer, struct slot, turn)->parties[i].look);
	}
	vm_clock_start(&vm->clock);
	if (!player->ticker_cost)
		return;
	vm_clock_timer(&vm->clock, &player->ticker, tick, player);
	timer_arm(&player->ticker, fake_now);
}

void vm_take_down(struct vm *vm)
{
	timer_disarm(&player_of(vm)->alarm);
	timer_disarm(&player_of(vm)->ticker);
	player_of(vm)->pieces = 0;
	vm->state = VM_ENDING;
}

bool vm_dismantle(struct vm *vm)
{
	struct player *player = player_of(vm);

	fake_now += PIECE;
	if (++player->pieces < player->end_pieces)
		return false;
	player->ended_at = fake_now;
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		free(vm->vcpus[i]);
	free(vm);
	return true;
}

static char last_said[256];		/* of any VM */

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)format_vbuf(last_said, sizeof(last_said), fmt, args);
	va_end(args);
	assert_ptr_equal(host_processor()->queue.payer, vm->clock.payer);
	player_of(vm)->log_lines++;
}

void host_attention_set(void) { attention = true; }

/* It is watched while it is in its loop. */
static bool is_watched;
void watch_begin(void) { assert_false(is_watched); is_watched = true; }
void watch_end(void) { assert_true(is_watched); is_watched = false; }

unsigned host_cpu_count(void) { return 1; }
struct processor *host_processor_at(unsigned n) { return n ? NULL : host_processor(); }
unsigned host_processor_number(struct processor *processor) { return processor->index; }
void vcpu_give(struct vcpu *vcpu, struct processor *to) { (void)vcpu; (void)to; fail(); }
void host_kick(struct processor *processor, enum host_kick what) { (void)processor; (void)what; fail(); }

/* One that wakes while the scheduler looks needs no other round: the loop says so before anybody runs. */
static bool look_is_due;
void host_attention_look(bool is_due)
{
	assert_null(host_processor()->looks);
	look_is_due = is_due;
}

void host_attention_clear(void) { attention = has_timer_fired = false; }
bool host_attention_is_set(void) { return attention || has_timer_fired; }
bool host_attention_is_timer(void) { return has_timer_fired && !attention; }
bool host_attention_is_look(void) { return false; }

/* The scheduler reports a VM's longest exit when it ends. */
void end_note_exit(const char *vm_name, const char *exit, uint32_t ticks)
{
	assert_non_null(exit);
	assert_non_null(vm_name);
	if (!strcmp(exit, "its start or end")) {
		noted_piece = (uint32_t)max_u64(noted_piece, ticks);
		return;
	}
	noted_ticks = ticks;
	noted_name = exit;
}

static void wake(void *ctx)
{
	struct vcpu *vcpu = ctx;

	vcpu->state = VCPU_READY;
	look_post(vcpu->look);
	host_attention_set();
}

/* The scheduler's timer ends the turn only where the back end's does not, and no turn takes what is not the vCPU's. */
static void check_turn(const struct vcpu *vcpu, uint64_t turn_end)
{
	const struct processor *self = host_processor();
	const struct turn *own = &self->running->turn;
	const struct slot *slot = self->running->slot;
	const struct turn *all = &limb_at(slot, self)->turn;
	const uint64_t left = min_u64(TURN - max_u64(own->spent, all->spent), cap_left(&slot->cap));
	const bool is_limited = limit != TIMER_NEVER;

	assert_false(look_is_due);
	assert_ptr_equal(slot->vm->vcpus[self->running - slot->parties], vcpu);
	assert_ptr_equal(vcpu->look, &self->running->look);
	assert_ptr_equal(own->in->policy, all->in->policy);
	assert_false(slot->cap.is_used_up);
	assert_true(turn_end <= fake_now + left);
	assert_true(!is_limited || limit <= left);
	assert_int_equal(timer_is_armed(&self->turn_end), is_limited && !has_turn_timer);
	assert_true(!timer_is_armed(&self->turn_end) || self->turn_end.deadline <= fake_now + left);
}

/* Until what makes a guest exit that does not by itself: a timer's interrupt, or the back end's timer. */
static uint64_t next_exit(void)
{
	const uint64_t interrupt = host_attention_is_set() ? fake_now : max_u64(wake_at, fake_now);

	return has_turn_timer && limit != TIMER_NEVER ? min_u64(interrupt, fake_now + limit) : interrupt;
}

static void pass(struct player *player, const struct vcpu *vcpu, uint64_t until)
{
	player->longest_gap = max_u64(player->longest_gap, fake_now - player->last_seen);
	if (vcpu != player->vcpu || fake_now - player->last_seen >= GAP)
		player->stretches++;
	if (player->stretches <= STRETCHES)
		player->stretch[player->stretches - 1] += until - fake_now;
	player->vcpu = vcpu;
	fake_now = player->last_seen = until;
}

static void take_timer(void)
{
	if (fake_now < wake_at)
		return;
	fake_now += late_by;
	wake_at = TIMER_NEVER;
	has_timer_fired = true;
}

/* Until its life ends, it sleeps, or it has to exit; for one that exits by itself, until its turn is over. */
static void live(struct vcpu *vcpu, uint64_t turn_end)
{
	struct player *player = player_of(vcpu->vm);
	uint64_t until = min_u64(next_exit(), fake_now + player->life - player->ran), begin = fake_now;

	check_turn(vcpu, turn_end);
	assert_false((host_processor()->looks && !attention) || player->wants_round);
	if (player->exits_every)
		until = min_u64(until, min_u64(turn_end, fake_now + player->exits_every));
	if (player->spins && vcpu == vcpu->vm->vcpus[0]) {
		pass(player, vcpu, until);
		player->spins--;
		vcpu->yields = true;
		host_attention_set();
		return;
	}
	if (player->sleeps_every)
		until = min_u64(until, fake_now + player->sleeps_every - player->awake);
	vcpu->longest.ticks = vcpu->id == player->slowest ? LONGEST : LONGEST / 2;
	pass(player, vcpu, until);
	player->ran += until - begin;
	player->awake += until - begin;
	if (player->ran == player->life) {
		vcpu->vm->end = player->starts < player->lives ? player->end : VM_END_SHUTDOWN;
		vcpu->vm->dumped = player->dump_steps ? vcpu : NULL;
		host_attention_set();
	} else if (player->awake == player->sleeps_every) {
		player->awake = 0;
		vcpu->state = VCPU_HALTED;
		host_attention_set();
		timer_init(&player->alarm, wake, vcpu);
		player->alarm.payer = vcpu->vm->clock.payer;
		timer_arm(&player->alarm, fake_now + player->sleeps_for);
	}
}

void vcpu_run(struct vcpu *vcpu, uint64_t turn_end)
{
	live(vcpu, turn_end);
	if (is_taken_at_exit)
		take_timer();
}

static bool limit_turn(struct vcpu *vcpu, uint64_t ticks)
{
	(void)vcpu;
	limit = ticks;
	return has_turn_timer;
}

static const struct virt_backend fake_backend = { .limit_turn = limit_turn };
const struct virt_backend *virt = &fake_backend;

void steal_tell(struct vcpu *vcpu, uint64_t waited) { player_of(vcpu->vm)->waited = waited; }
const char *exit_name(uint32_t reason) { (void)reason; return ""; }
void restore_test_step(struct vm *vm) { (void)vm; }
static struct vcpu *loaded;

void vcpu_load(struct vcpu *vcpu)
{
	if (loaded != vcpu)
		fake_now += load_cost;
	loaded = vcpu;
}

void host_take_interrupts(void)
{
	in_host_work = true;
	assert_true(++rounds < ROUNDS_MAX);
	fake_now += 10 + loop_cost;
	take_timer();
}

static void    *taken[TAKES_MAX];	/* in this test; slots are for ever, so nobody gives any back */
static unsigned takes;
static size_t   pages_taken;
static bool     has_no_pages;

/* Each an allocation of its own, so that the address sanitizer sees what lies behind it. */
void *page_alloc_contiguous(size_t pages)
{
	if (has_no_pages)
		return NULL;
	assert_true(takes < TAKES_MAX);
	taken[takes] = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
	assert_non_null(taken[takes]);
	pages_taken += pages;
	return memset(taken[takes++], 0, pages * PAGE_SIZE);
}

static void free_pages(void)
{
	while (takes)
		free(taken[--takes]);
}

uint64_t page_free_large_bytes(void) { return HOST_MEMORY; }

/* One that is armed already and comes earlier stays. */
void host_wake_at(uint64_t tsc)
{
	wake_at = min_u64(wake_at, tsc);
}

/* Somebody has to wake it, but not for a turn that is over. */
void host_idle(void)
{
	assert_true(slots_in_use() && !pages_to_zero);
	assert_true(wake_at != TIMER_NEVER);
	assert_false(timer_is_armed(&host_processor()->turn_end));
	fake_now = max_u64(fake_now, wake_at);
}

/* Whoever has something to zero is idle for others all the same. */
bool page_idle_work(void)
{
	assert_true(host_processor()->is_idle);
	return pages_to_zero && pages_to_zero--;
}

void console_attach(struct vm *vm) { (void)vm; }
bool console_has_heard(const struct vm *vm) { return player_of(vm)->is_heard; }

static void (*press_where)(void);
static uint64_t press_at;
static bool in_poll;

void console_on_where(void (*where)(void)) { press_where = where; }

void console_poll(void)
{
	look_is_due = true;
	for (unsigned i = 0; i < PLAYERS; i++)
		players[i].wants_round = false;
	in_host_work = false;
	if (fake_now < press_at)
		return;
	press_at = TIMER_NEVER;
	in_poll = true;
	press_where();
	in_poll = false;
}

/* Registers can only be read of the vCPU that is loaded. */
void vcpu_where(struct vcpu *vcpu)
{
	assert_false(in_poll);		/* that may be another processor */
	assert_ptr_equal(loaded, vcpu);
	assert_ptr_equal(host_processor()->queue.payer, &host_processor()->running->turn);
	player_of(vcpu->vm)->where_at = fake_now;
	if (++player_of(vcpu->vm)->wheres == player_of(vcpu->vm)->asks_again) {
		press_where();		/* on another processor, which interrupts this one */
		attention = true;
	}
}

/* It takes half a turn a step. */
bool vcpu_dump(struct vcpu *vcpu)
{
	struct player *player = player_of(vcpu->vm);

	assert_ptr_equal(loaded, vcpu);
	player->dumped++;
	assert_int_equal(player->log_lines, 0);		/* it ends behind its dump */
	fake_now += TURN / 2;
	return player->dumped < player->dump_steps;
}

/* ---- The tests ---- */

static int setup(void **state)
{
	(void)state;
	static const struct handoff_host host = { .attach = "none" };

	for (size_t i = 0; slots && i < PLAYERS; i++)		/* behind a test that failed */
		account_close(&slots[i].account);
	memset(host_processor(), 0, sizeof(struct processor));
	memset(players, 0, sizeof(players));
	for (size_t i = 0; i < PLAYERS; i++) {
		strcpy(players[i].config.name, "player");
		players[i].config.vcpus = 1;
		players[i].config.weight = HANDOFF_WEIGHT_DEFAULT;
		players[i].config.on_reboot = ACTION_RESTART;
		players[i].config.memory = 32ULL << 20;
		players[i].start_pieces = players[i].end_pieces = 1;
		players[i].life = SECOND;
		players[i].last_seen = fake_now;
	}
	free_pages();
	*last_said = '\0';
	has_no_pages = false;
	press_at = wake_at = TIMER_NEVER;
	loop_cost = late_by = load_cost = 0;
	host_attention_clear();
	rounds = 0;
	in_host_work = false;
	sched_init(&host, PLAYERS);
	return 0;
}

/* Each vCPU did one of five things at any moment, and while it was ready somebody had the processor. */
static void check_activities(const struct slot *slot, uint64_t begin)
{
	for (uint32_t i = 0; i < players[slot - slots].config.vcpus; i++) {
		const struct activities *did = &slot->parties[i].activities;
		uint64_t sum = 0, waited = 0;

		for (size_t n = 0; n < ACTIVITIES; n++)
			sum += did->ticks[n];
		for (size_t n = 0; n < HANDOFF_VMS_MAX; n++)
			waited += did->waited_for[n];
		assert_in_range(did->since - sum, begin, begin + PLAYERS * PIECE);
		/* Nobody pays for the way round the loop behind the end of a VM. */
		assert_in_range(waited, did->ticks[ACTIVITY_READY] - min_u64(did->ticks[ACTIVITY_READY], PLAYERS * (10 + loop_cost)),
				did->ticks[ACTIVITY_READY]);
	}
}

/* All time that passes is charged to somebody, or was idle. */
static uint32_t play(unsigned count)
{
	const struct run_queue *queue = &host_processor()->queue;
	uint64_t begin = queue->mark, idle = queue->idle, kept = slots_kept(), sum;
	size_t   pages = pages_taken;
	uint32_t crashed;

	for (unsigned i = 0; i < count; i++)
		(void)slots_add(&players[i].config);
	sched_run();
	assert_false(is_watched);
	crashed = slots_crashed();
	sum = queue->idle - idle;
	for (unsigned i = 0; i < count; i++)
		sum += used_by(i);
	assert_int_equal(sum, queue->mark - begin);
	for (unsigned i = 0; i < count; i++)
		check_activities(&slots[i], begin);
	assert_true(fake_now - queue->mark <= PIECE);	/* the last thing that was done */
	for (unsigned i = 0; i < count; i++)
		assert_false(timer_is_armed(&slots[i].allowed) || timer_is_armed(&slots[i].again) || timer_is_armed(&slots[i].silence));
	assert_int_equal(account_unclaimed(), HOST_MEMORY - ACCOUNT_OUR_OWN);
	assert_int_equal(slots_kept() - kept, (pages_taken - pages) * PAGE_SIZE);
	return crashed;
}

/* One that resets at once, for ever: its neighbour notices nothing, and the log hardly. */
static void test_reboot_loop(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = MS / 10;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 4;
	players[1].life = 3 * SECOND;
	assert_int_equal(play(2), 0);
	assert_in_range(players[1].ended_at - begin, 3 * SECOND, 3 * SECOND + 5 * TURN);
	assert_true(players[1].longest_gap < 2 * TURN);
	assert_int_equal(players[0].starts, 4);
	assert_int_equal(noted_ticks, LONGEST);
	assert_int_equal(noted_piece, PIECE);
	assert_in_range(players[0].ended_at - begin, 7 * SECOND, 7 * SECOND + 10 * TURN);	/* 1 + 2 + 4 */
	assert_int_equal(players[0].log_lines, 4);
}

/* So it is when several vCPUs compute, of which all but one are ready when it resets: they are no reason to start again sooner. */
static void test_reboot_of_several(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = 4 * TURN;
	players[0].config.vcpus = 4;
	players[0].all_compute = true;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 2;
	assert_int_equal(play(1), 0);
	assert_int_equal(players[0].starts, 2);
	assert_in_range(players[0].ended_at - begin, SECOND, SECOND + 10 * TURN);
}

/* What takes long to start and to take apart does so in turns of its own. */
static void test_big_reset(void **state)
{
	(void)state;
	players[0].start_pieces = players[0].end_pieces = 20000;	/* 100 ms each */
	players[0].life = MS;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 2;
	players[1].life = 2 * SECOND;
	assert_int_equal(play(2), 0);
	assert_true(players[1].longest_gap <= TURN + MS);
	assert_true(players[0].ended_at < players[1].ended_at);
}

static void test_crashes(void **state)
{
	uint64_t begin = fake_now;
	unsigned before = log_fake_lines;

	(void)state;
	players[0].life = MS;
	players[0].end = VM_END_CRASHED;
	players[0].lives = 100;
	players[0].config.on_crash = ACTION_RESTART;
	assert_int_equal(play(1), 1);
	assert_int_equal(players[0].starts, 5);
	assert_in_range(fake_now - begin, 15 * SECOND, 15 * SECOND + 10 * TURN);	/* 1 + 2 + 4 + 8 */
	assert_int_equal(log_fake_lines, before + 3);		/* "not started again", what it used, what its vCPU did */
}

static void test_ends_that_are_final(void **state)
{
	(void)state;
	players[0].end = VM_END_REBOOT;
	players[0].config.on_reboot = ACTION_DESTROY;
	players[1].end = VM_END_CRASHED;
	players[2].is_refused = true;
	players[0].lives = players[1].lives = 100;
	assert_int_equal(play(3), 2);
	assert_int_equal(players[0].starts, 1);
	assert_int_equal(players[1].starts, 1);
}

/* Bound to processors of which none is on. */
static void test_no_processor(void **state)
{
	(void)state;
	players[0].config.cpuset = 2;
	assert_int_equal(slots_add(&players[0].config), -1);
	assert_int_equal(slots_crashed(), 1);
	assert_false(slots_in_use());
	assert_non_null(strstr(log_fake_text, "not started: no processor of its cpuset is on"));
}

/* For its parties, before there is a VM. */
static void test_no_memory(void **state)
{
	(void)state;
	log_fake_init();
	has_no_pages = true;
	assert_int_equal(slots_add(&players[0].config), -1);
	assert_int_equal(slots_crashed(), 1);
	assert_false(slots_in_use());
	assert_non_null(strstr(log_fake_text, "not started: no memory for its vCPUs"));
}

/* However many vCPUs: all their parties find room, and the order of their turns; the sanitizer sees what lies beyond. */
static void test_room_for_parties(void **state)
{
	for (uint32_t vcpus = 1; vcpus <= HANDOFF_VCPUS_MAX; vcpus++) {
		(void)setup(state);
		players[0].all_compute = true;
		players[0].config.vcpus = vcpus;
		players[0].life = vcpus * MS;
		assert_int_equal(play(1), 0);
	}
}

/* The line of its end tells of all its vCPUs: the longest exit of any, and the exits of all. */
static void test_exits_of_siblings(void **state)
{
	for (uint32_t slowest = 0; slowest < 3; slowest++) {
		(void)setup(state);
		players[0].all_compute = true;
		players[0].config.vcpus = 3;
		players[0].slowest = slowest;
		assert_int_equal(play(1), 0);
		assert_int_equal(noted_ticks, LONGEST);
		assert_non_null(strstr(last_said, "; 6 exits, the longest 777 ticks ("));	/* 1 + 2 + 3 */
	}
}

/* Who lives for a minute starts again at once. */
static void test_long_life(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = 61 * SECOND;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 3;
	assert_int_equal(play(1), 0);
	assert_in_range(fake_now - begin, 183 * SECOND, 183 * SECOND + TURN);
}

/* Short sleeps, whose alarms interrupt the neighbour's turns, leave the neighbour its half. */
static void test_sleepers(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = players[1].life = SECOND;
	players[1].sleeps_every = TURN - MS / 5;
	players[1].sleeps_for = MS / 5;
	assert_int_equal(play(2), 0);
	assert_in_range(players[0].ended_at - begin, SECOND, 2 * SECOND + SECOND / 50);
	assert_true(players[0].longest_gap <= 2 * TURN + MS);
}

/*
 * One that sleeps and wakes all the time has its neighbour put back in its place as often: it pays for that, and so gets
 * no more than its share. The neighbour would have less than a third for itself.
 */
static void test_naps(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	load_cost = MS / 25;
	players[0].life = 2 * SECOND;
	players[0].sleeps_every = MS / 50;
	players[0].sleeps_for = 2 * MS / 25;
	players[1].life = SECOND / 10;
	assert_int_equal(play(2), 0);
	assert_in_range(players[1].ended_at - begin, SECOND / 10, SECOND / 5 + SECOND / 100);
}

/* The way round the loop is the time of whoever goes it: many short exits are worth no more than a long run. */
static void test_short_exits(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	loop_cost = 20000;
	players[0].exits_every = 1000;
	players[0].life = SECOND / 8;	/* 21 times as long with its exits */
	players[1].life = 2 * SECOND;
	assert_int_equal(play(2), 0);
	assert_in_range(players[1].ended_at - begin, 4 * SECOND - SECOND / 20, 4 * SECOND + SECOND / 20);
	assert_true(players[1].longest_gap < TURN + MS);
}

/*
 * So are its timers, whether it sleeps or not, under either policy: 45 of every 50 us would be 9 tenths of
 * the processor.
 */
static void test_timers_of_a_sleeper(void **state)
{
	static const uint32_t schedulers[] = { SCHEDULER_SHARE, SCHEDULER_ROUND_ROBIN };

	for (unsigned i = 0; i < 2 * countof(schedulers); i++) {
		const struct handoff_host host = { .attach = "none", .scheduler = schedulers[i / 2] };
		uint64_t begin;

		(void)setup(state);
		sched_init(&host, PLAYERS);
		begin = fake_now;
		players[0].ticker_cost = 45 * (MS / 1000);
		players[0].life = i % 2 ? SECOND / 20 : 2 * MS;	/* it wants the processor, or sleeps for 3 s between */
		players[0].sleeps_every = i % 2 ? 0 : MS;
		players[0].sleeps_for = 3 * SECOND;
		players[1].life = SECOND;
		assert_int_equal(play(2), 0);
		assert_in_range(players[1].ended_at - begin, SECOND, 2 * SECOND + SECOND / 10);
	}
}

/*
 * The interrupt of a timer is paid by its owner and not by the VM that it interrupts, but no more than the
 * way from there to the scheduler can take: a longer one is the neighbour's.
 */
static void test_late_timers(void **state)
{
	static const struct { uint64_t late, paid; } rows[] = { { MS / 200, MS / 200 }, { MS / 50, TURN / 1000 } };

	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t paid, rest;

		(void)setup(state);
		late_by = rows[i].late;
		players[0].life = SECOND / 2;
		players[1].life = 2 * MS;
		players[1].sleeps_every = MS;
		players[1].sleeps_for = SECOND / 2;
		players[1].ticker_cost = 1;
		assert_int_equal(play(2), 0);
		paid = players[1].ticks * rows[i].paid;
		rest = players[1].ticks * (rows[i].late - rows[i].paid);
		assert_in_range(used_by(1), paid, paid + 5 * MS);
		assert_in_range(used_by(0), SECOND / 2, SECOND / 2 + rest + 2 * MS);
	}
}

/* So is the interrupt that ends the wait of a capped one. */
static void test_late_cap(void **state)
{
	const uint64_t ends = has_turn_timer ? 0 : 2 * MS;	/* our own timer, which ends turns, is late as well */

	(void)state;
	late_by = MS / 100;
	players[0].life = SECOND;
	players[1].life = SECOND / 4;
	players[1].config.cap = 25;
	assert_int_equal(play(2), 0);
	assert_in_range(used_by(0), SECOND, SECOND + MS / 10 + ends);
}

/* A VM's own timer takes it out of the guest and back, not through the loop; the neighbour's share stays the same. */
static void test_own_timers(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].ticker_cost = 1;
	assert_int_equal(play(1), 0);
	assert_in_range(players[0].ticks, TIMERS_PER_SECOND - 100, TIMERS_PER_SECOND + 100);
	assert_true(!is_taken_at_exit || rounds < 3 * SECOND / TURN);
	assert_true(is_taken_at_exit || rounds > TIMERS_PER_SECOND / 2);
	(void)setup(state);
	players[0].ticker_cost = 5 * (MS / 1000);
	begin = fake_now;
	assert_int_equal(play(2), 0);
	assert_in_range(players[1].ended_at - begin, 2 * SECOND - 2 * TURN, 2 * SECOND + 2 * TURN);
}

/* Nobody wants the processor, so the timers of one that sleeps take it from nobody, and are not late. */
static void test_timers_alone(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].ticker_cost = 25 * (MS / 1000);
	players[0].life = SECOND / 10;
	players[0].sleeps_every = MS;
	players[0].sleeps_for = 9 * MS;
	assert_int_equal(play(1), 0);
	assert_in_range(players[0].ended_at - begin, SECOND - SECOND / 20, SECOND + SECOND / 10);
}

/*
 * Whoever spins gives its place to the sibling that it waits for, and takes nothing from the neighbour: that
 * has half of the processor, like a VM beside one with a single vCPU.
 */
static void test_spinner(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].all_compute = true;
	players[0].spins = UINT_MAX;
	players[0].exits_every = MS / 10;
	players[0].config.vcpus = 2;
	players[1].life = SECOND;
	players[0].life = 2 * SECOND - SECOND / 10;
	assert_int_equal(play(2), 0);
	assert_in_range(players[0].ended_at - begin, 0, 3 * SECOND + SECOND / 10);
	assert_in_range(players[1].ended_at - begin, 2 * SECOND - SECOND / 50, 2 * SECOND + SECOND / 50);
}

/* One that spins once has a whole turn when it is next. */
static void test_spins_once(void **state)
{
	(void)state;
	players[0].all_compute = true;
	players[0].spins = 1;
	players[0].exits_every = TURN * 4 / 5;
	players[0].config.vcpus = 2;
	players[0].life = 4 * TURN;
	assert_int_equal(play(1), 0);
	assert_int_equal(players[0].stretch[0], TURN * 4 / 5);
	for (size_t i = 1; i < 4; i++)
		assert_in_range(players[0].stretch[i], TURN - MS / 100, TURN);
}

/* Siblings take turns although no other VM wants the processor. */
static void test_siblings(void **state)
{
	(void)state;
	players[0].all_compute = true;
	players[0].config.vcpus = HANDOFF_VCPUS_MAX;
	players[0].life = HANDOFF_VCPUS_MAX * TURN;
	assert_int_equal(play(1), 0);
	for (size_t i = 0; i < STRETCHES; i++)
		assert_in_range(players[0].stretch[i], TURN - MS / 100, TURN);
	for (size_t i = 0; i < HANDOFF_VCPUS_MAX; i++)
		assert_in_range(slots[0].parties[i].turn.used, TURN - MS / 100, TURN + MS / 100);
}

/* Three times the weight is three times the time, where weights count. */
static void test_weights(void **state)
{
	static const struct { uint32_t scheduler; uint64_t heavy, light; } rows[] = {
		{ SCHEDULER_SHARE, 4 * SECOND, 4 * SECOND }, { SCHEDULER_ROUND_ROBIN, 4 * SECOND, 2 * SECOND },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		const struct handoff_host host = { .attach = "none", .scheduler = rows[i].scheduler };
		uint64_t begin;

		(void)setup(state);
		sched_init(&host, PLAYERS);
		begin = fake_now;
		players[0].config.weight = 3 * HANDOFF_WEIGHT_DEFAULT;
		players[0].life = 3 * SECOND;
		players[1].life = SECOND;
		assert_int_equal(play(2), 0);
		assert_in_range(players[0].ended_at - begin, rows[i].heavy - 5 * TURN, rows[i].heavy + 5 * TURN);
		assert_in_range(players[1].ended_at - begin, rows[i].light - 5 * TURN, rows[i].light + 5 * TURN);
	}
}

/* A cap holds although nobody else wants the processor. */
static void test_cap(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].config.cap = 25;
	players[0].life = SECOND / 2;
	assert_int_equal(play(1), 0);
	assert_in_range(players[0].ended_at - begin, 2 * SECOND - TURN, 2 * SECOND + TURN);
}

/*
 * It runs for a useful while, then waits for a while: neither its timers nor the interrupt that ends a wait
 * cut that up.
 */
static void test_cap_waits(void **state)
{
	(void)state;
	players[0].config.cap = 25;
	players[0].ticker_cost = 1;
	players[0].life = SECOND / 10;
	late_by = MS / 200;
	assert_int_equal(play(1), 0);
	assert_in_range(players[0].stretches, 25, 50);
	assert_true(rounds < 4000);
}

/*
 * What its timers cost counts as well: a fifth of the processor while it runs, nine tenths, if they could,
 * while it sleeps.
 */
static void test_cap_counts_timers(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t begin;

		(void)setup(state);
		begin = fake_now;
		players[0].config.cap = 25;
		players[0].ticker_cost = (i ? 45 : 10) * (MS / 1000);
		players[0].life = i ? 2 * MS : SECOND / 20;
		players[0].sleeps_every = i ? MS : 0;
		players[0].sleeps_for = 3 * SECOND;
		assert_int_equal(play(1), 0);
		assert_in_range(used_by(0), (fake_now - begin) / 5, (fake_now - begin) / 4 + 5 * TURN);
	}
}

/* Its timers use up a small cap while it waits for the processor that another has: then it must not run. */
static void test_cap_is_used_up_while_ready(void **state)
{
	static const struct handoff_host host = { .attach = "none", .scheduler = SCHEDULER_ROUND_ROBIN };
	uint64_t begin = fake_now;

	(void)state;
	sched_init(&host, PLAYERS);
	players[0].config.cap = 4;
	players[0].ticker_cost = 30 * (MS / 1000);
	players[0].life = 3 * MS;
	players[1].life = SECOND;
	assert_int_equal(play(2), 0);
	assert_in_range(used_by(0), 0, (fake_now - begin) / 25 + TURN);
}

/* Where the time went: half a second each for two that compute, a quarter for a capped one; who slept was halted. */
static void test_activities(void **state)
{
	const struct activities *did[PLAYERS];

	(void)state;
	players[0].life = players[1].life = SECOND / 2;
	players[2].life = 2 * MS;
	players[2].sleeps_every = MS;
	players[2].sleeps_for = SECOND / 2;
	assert_int_equal(play(3), 0);
	for (size_t i = 0; i < PLAYERS; i++)
		did[i] = &slots[i].parties[0].activities;
	for (size_t i = 0; i < 2; i++) {
		assert_in_range(did[i]->ticks[ACTIVITY_RUN], SECOND / 2, SECOND / 2 + 2 * MS);
		assert_in_range(did[i]->ticks[ACTIVITY_READY], SECOND / 2 - 2 * TURN, SECOND / 2 + 2 * TURN);
		assert_in_range(did[i]->waited_for[1 - i], SECOND / 2 - 2 * TURN, SECOND / 2 + 2 * TURN);
		assert_int_equal(did[i]->ticks[ACTIVITY_LIMITED], 0);
		assert_in_range(players[i].waited, SECOND / 2 - 2 * TURN, SECOND / 2 + 2 * TURN);
	}
	assert_in_range(did[2]->ticks[ACTIVITY_HALTED], SECOND / 2 - MS, SECOND / 2);
	assert_in_range(players[2].waited, 0, 2 * TURN);	/* not while it slept */
	(void)setup(NULL);
	players[0].life = SECOND / 4;
	players[0].config.cap = 25;
	assert_int_equal(play(1), 0);
	did[0] = &slots[0].parties[0].activities;
	assert_in_range(did[0]->ticks[ACTIVITY_RUN], SECOND / 4, SECOND / 4 + MS);
	assert_in_range(did[0]->ticks[ACTIVITY_LIMITED], SECOND * 3 / 4 - TURN, SECOND * 3 / 4 + TURN);
	assert_in_range(did[0]->ticks[ACTIVITY_READY], 0, MS);
	assert_in_range(players[0].waited, SECOND * 3 / 4 - TURN, SECOND * 3 / 4 + TURN);
	assert_in_range(did[0]->ticks[ACTIVITY_PAUSED], 2 * PIECE, 2 * TURN);
}

/* What becomes of a VM is noted of all its vCPUs, whichever was looked at. */
static void test_activities_of_siblings(void **state)
{
	(void)state;
	players[0].all_compute = true;
	players[0].config.vcpus = 2;
	players[0].config.cap = 25;
	players[0].life = SECOND / 4;
	players[0].end_pieces = SECOND / 20 / PIECE;
	assert_int_equal(play(1), 0);
	for (size_t i = 0; i < 2; i++) {
		const struct activities *did = &slots[0].parties[i].activities;
		const uint64_t *ticks = did->ticks;
		assert_in_range(ticks[ACTIVITY_RUN], SECOND / 8 - TURN, SECOND / 8 + TURN);
		assert_in_range(ticks[ACTIVITY_READY], SECOND / 8 - TURN, SECOND / 8 + TURN);
		assert_in_range(ticks[ACTIVITY_LIMITED], SECOND * 3 / 4 - TURN, SECOND * 3 / 4 + TURN);
		assert_int_equal(did->now, ACTIVITY_PAUSED);
		assert_true(host_processor()->queue.mark - did->since >= SECOND / 20);	/* its end */
	}
}

static uint64_t did_halt(size_t party)
{
	return slots[0].parties[party].activities.ticks[ACTIVITY_HALTED];
}

/* Without a cap too: when a VM ends, a sibling that slept is paused, although nobody looked at it. */
static void test_siblings_are_paused(void **state)
{
	(void)state;
	players[0].config.vcpus = 2;
	players[0].life = SECOND / 4;
	players[0].end_pieces = SECOND / 20 / PIECE;
	assert_int_equal(play(1), 0);
	for (size_t i = 0; i < 2; i++) {
		const struct activities *did = &slots[0].parties[i].activities;

		assert_int_equal(did->now, ACTIVITY_PAUSED);
		assert_true(host_processor()->queue.mark - did->since >= SECOND / 20);	/* its end */
	}
	assert_in_range(did_halt(1), SECOND / 4 - MS, SECOND / 4 + MS);
}

static void log_slowly(void)
{
	fake_now += PIECE;
}

/* What eight vCPUs did is said in pieces of one line each, which names the VM that each waited for longest. */
static void test_report_in_pieces(void **state)
{
	(void)state;
	players[0].config.vcpus = 8;
	players[0].life = players[1].life = SECOND / 4;
	players[2].life = SECOND / 10;
	strcpy(players[1].config.name, "noisy");
	log_fake_init();
	log_fake_each = log_slowly;
	noted_piece = 0;
	assert_int_equal(play(3), 0);
	log_fake_each = NULL;
	assert_int_equal(noted_piece, PIECE);
	assert_int_equal(log_fake_lines, 8 + 1 + 1 + 3);
	assert_non_null(strstr(log_fake_text, "player: vCPU 0: run 250 ms, ready 3"));
	assert_non_null(strstr(log_fake_text, " while noisy ran), limited 0,"));
	assert_non_null(strstr(log_fake_text, "player: vCPU 7: run 0 ms, ready 0, limited 0, halted"));
}

/* The lines of the end, whole: whose they are, who was waited for longest, and what nobody had. */
static void test_report_text(void **state)
{
	static const char *const names[] = { "brief", "calm", "noisy" };

	(void)state;
	for (size_t i = 0; i < PLAYERS; i++)
		strcpy(players[i].config.name, names[i]);
	players[0].life = SECOND / 10;
	players[0].end_pieces = SECOND / 20 / PIECE;
	players[1].life = SECOND / 4;
	players[1].sleeps_every = MS;
	players[1].sleeps_for = 10 * MS;
	players[1].moves = 1;
	players[2].moves = 2;
	players[2].life = SECOND;
	players[2].config.vcpus = 2;	/* they wait for each other too: that names nobody */
	players[2].all_compute = true;
	log_fake_init();
	assert_int_equal(play(3), 0);
	assert_string_equal(log_fake_text,
		"brief: vCPU 0: run 100 ms, ready 118 (99 while noisy ran), limited 0, halted 0, paused 110\n"
		"brief: 150 ms of a processor in all, moved 0 times; nobody had 0 ms of the last one\n"
		"noisy: vCPU 0: run 500 ms, ready 752 (140 while brief ran), limited 0, halted 0, paused 11\n"
		"noisy: vCPU 1: run 500 ms, ready 752 (140 while brief ran), limited 0, halted 0, paused 11\n"
		"noisy: 1000 ms of a processor in all, moved 2 times; nobody had 0 ms of the last one\n"
		"calm: vCPU 0: run 250 ms, ready 20 (10 while noisy ran), limited 0, halted 2490, paused 10\n"
		"calm: 250 ms of a processor in all, moved 1 time; nobody had 1369 ms of the last one\n");
}

static uint64_t unclaimed;

static void look_at_memory(void *ctx)
{
	(void)ctx;
	unclaimed = account_unclaimed();
}

/* What it was promised stays so while it waits for its next start. */
static void test_promise_while_it_waits(void **state)
{
	struct timer timer;

	(void)state;
	players[0].life = MS;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 2;
	timer_init(&timer, look_at_memory, NULL);
	timer_arm(&timer, fake_now + SECOND / 2);
	assert_int_equal(play(1), 0);
	assert_int_equal(unclaimed, HOST_MEMORY - ACCOUNT_OUR_OWN - players[0].config.memory);
}

/* A restart that fails is tried again, later each time, and says so. */
static void test_restart_fails(void **state)
{
	uint64_t begin = fake_now;
	unsigned before = log_fake_lines;

	(void)state;
	players[0].life = MS;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 2;
	players[0].refusals = 2;
	assert_int_equal(play(1), 0);
	assert_int_equal(players[0].starts, 2);
	assert_int_equal(log_fake_lines, before + 4);		/* and what it used, what its vCPU did */
	assert_in_range(fake_now - begin, 7 * SECOND, 7 * SECOND + TURN);	/* 1 + 2 + 4 */
}

/* So is one that fails later, whatever a crash would lead to; a first start that fails is not. */
static void test_restart_fails_late(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = MS;
	players[0].end = VM_END_REBOOT;
	players[0].lives = 4;
	players[0].refusals = 2;
	players[0].fails_late = true;
	players[1].fails_at_first = true;
	players[1].config.on_crash = ACTION_RESTART;
	assert_int_equal(play(2), 1);
	assert_int_equal(players[0].starts, 4);
	assert_int_equal(players[1].starts, 1);
	assert_in_range(fake_now - begin, 7 * SECOND, 7 * SECOND + TURN);	/* 1 + 2 + 4 */
}

static unsigned works_done;

static void do_work(void *ctx)
{
	works_done++;
	fake_now += 2 * LONGEST;
	((struct vm *)ctx)->end = VM_END_SHUTDOWN;	/* in its own turn: the scheduler looks without being told */
}

static void put_off(void *ctx)
{
	static struct work work;

	(void)ctx;
	work = (struct work){ .run = do_work, .ctx = loaded->vm };
	work_add(&loaded->vm->work, &work);
	look_post(loaded->vm->look);
}

/* A VM of one vCPU that runs for 1 ms and then sleeps; 3 ms later `fire` does something to it. */
static void play_a_sleeper(void (*fire)(void *))
{
	struct timer timer;

	players[0].sleeps_every = MS;
	players[0].sleeps_for = 1000 * SECOND;
	timer_init(&timer, fire, NULL);
	timer_arm(&timer, fake_now + 3 * MS);
	assert_int_equal(play(1), 0);
}

/* A VM whose processors all sleep has its devices' work done all the same, and its time is reported as an exit's is. */
static void test_work_of_sleepers(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	works_done = 0;
	pages_to_zero = 3;
	play_a_sleeper(put_off);
	assert_int_equal(pages_to_zero, 0);
	assert_int_equal(works_done, 1);
	assert_int_equal(noted_ticks, 2 * LONGEST);
	assert_string_equal(noted_name, "device work");
	assert_true(fake_now - begin < TURN);
}

/* What another processor does to a vCPU that sleeps here: it asks, and posts a look. */
static void ask(void *ctx)
{
	struct vcpu *sleeper = loaded;

	(void)ctx;
	assert_int_equal(sleeper->state, VCPU_HALTED);
	sleeper->requests = REQUEST_IRQ;
	look_post(sleeper->look);
}

/* Its state changes only when its owner takes the request, which the scheduler has it do. */
static void test_sleeper_is_asked(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = 2 * MS;
	play_a_sleeper(ask);
	assert_true(fake_now - begin < 5 * MS);
}

/* Who has said nothing for 20 s is looked at, once. */
static void test_where_silence(void **state)
{
	uint64_t begin = fake_now;

	(void)state;
	players[0].life = players[1].life = 12 * SECOND;	/* of the processor; two share it */
	players[0].config.vcpus = 2;
	players[1].is_heard = true;
	players[2].life = SECOND;
	assert_int_equal(play(3), 0);
	assert_true(fake_now - begin > 24 * SECOND);
	assert_int_equal(players[0].wheres, 2);
	assert_int_equal(players[1].wheres, 0);
	assert_int_equal(players[2].wheres, 0);
}

/* At the key all are, while they live; a vCPU in each turn, for there may be many, and a line takes long. */
static void test_where_key(void **state)
{
	(void)state;
	players[0].config.vcpus = HANDOFF_VCPUS_MAX;
	players[0].life = players[1].life = 2 * SECOND;
	press_at = fake_now + SECOND;
	assert_int_equal(play(2), 0);
	assert_int_equal(players[0].wheres, HANDOFF_VCPUS_MAX);
	assert_int_equal(players[1].wheres, 1);
}

/* A second press, before all have told: those that had told tell again. */
static void test_where_again(void **state)
{
	(void)state;
	players[0].config.vcpus = HANDOFF_VCPUS_MAX;
	players[0].asks_again = 10;
	press_at = fake_now + SECOND / 2;
	assert_int_equal(play(1), 0);
	assert_int_equal(players[0].wheres, 10 + HANDOFF_VCPUS_MAX);
}

/* Its end answers the question: the next life tells nothing, whether some had told or it waited for its start. */
static void test_where_ends(void **state)
{
	static const struct { uint64_t life, press; unsigned vcpus, least, most; } rows[] = {
		{ SECOND, SECOND - TURN, HANDOFF_VCPUS_MAX, 1, HANDOFF_VCPUS_MAX - 1 }, { MS, SECOND / 2, 2, 0, 0 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		(void)setup(state);
		players[0].config.vcpus = rows[i].vcpus;
		players[0].life = rows[i].life;
		players[0].all_compute = true;		/* each tells in a turn of its own */
		players[0].exits_every = MS;
		players[0].end = VM_END_REBOOT;
		players[0].lives = 2;
		press_at = fake_now + rows[i].press;
		assert_int_equal(play(1), 0);
		assert_int_equal(players[0].starts, 2);
		assert_in_range(players[0].wheres, rows[i].least, rows[i].most);
	}
}

/* It has said nothing, and sleeps when that is noticed, and long behind. */
static void test_where_silence_asleep(void **state)
{
	const uint64_t begin = fake_now;

	(void)state;
	players[0].config.vcpus = 2;
	players[0].sleeps_every = MS;
	players[0].sleeps_for = 30 * SECOND;
	players[0].life = 2 * MS;
	assert_int_equal(play(1), 0);
	assert_int_equal(players[0].wheres, 2);
	assert_in_range(players[0].where_at - begin, 20 * SECOND, 20 * SECOND + TURN);
}

/* All of its processors sleep when the key is pressed, and long behind that. */
static void test_where_asleep(void **state)
{
	(void)state;
	players[0].config.vcpus = 2;
	players[0].sleeps_every = MS;
	players[0].sleeps_for = 3 * SECOND;
	players[0].life = 2 * MS;
	players[1].life = 2 * SECOND;
	press_at = fake_now + SECOND;
	assert_int_equal(play(2), 0);
	assert_int_equal(players[0].wheres, 2);
	assert_int_equal(players[1].wheres, 1);
}

/* A dump takes long: it is written in the VM's own turns, and its neighbour goes on. */
static void test_dump(void **state)
{
	(void)state;
	players[0].life = MS;
	players[0].dump_steps = 20;
	players[1].life = SECOND;
	assert_int_equal(play(2), 0);
	assert_int_equal(players[0].dumped, 20);
	assert_int_equal(players[0].log_lines, 1);
	assert_true(players[1].longest_gap < 2 * TURN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reboot_loop, setup), cmocka_unit_test_setup(test_reboot_of_several, setup), cmocka_unit_test_setup(test_big_reset, setup),
		cmocka_unit_test_setup(test_crashes, setup), cmocka_unit_test_setup(test_ends_that_are_final, setup),
		cmocka_unit_test_setup(test_long_life, setup), cmocka_unit_test_setup(test_sleepers, setup),
		cmocka_unit_test_setup(test_short_exits, setup), cmocka_unit_test_setup(test_naps, setup),
		cmocka_unit_test_setup(test_timers_of_a_sleeper, setup),
		cmocka_unit_test_setup(test_timers_alone, setup), cmocka_unit_test_setup(test_own_timers, setup),
		cmocka_unit_test_setup(test_spinner, setup),
		cmocka_unit_test_setup(test_promise_while_it_waits, setup), cmocka_unit_test_setup(test_restart_fails, setup),
		cmocka_unit_test_setup(test_restart_fails_late, setup), cmocka_unit_test_setup(test_work_of_sleepers, setup),
		cmocka_unit_test_setup(test_where_silence, setup),
		cmocka_unit_test_setup(test_where_key, setup), cmocka_unit_test_setup(test_where_asleep, setup), cmocka_unit_test_setup(test_no_processor, setup), cmocka_unit_test_setup(test_sleeper_is_asked, setup),
		cmocka_unit_test_setup(test_dump, setup), cmocka_unit_test_setup(test_weights, setup),
		cmocka_unit_test_setup(test_no_memory, setup), cmocka_unit_test_setup(test_room_for_parties, setup),
		cmocka_unit_test_setup(test_exits_of_siblings, setup), cmocka_unit_test_setup(test_where_again, setup),
		cmocka_unit_test_setup(test_where_ends, setup), cmocka_unit_test_setup(test_where_silence_asleep, setup),
		cmocka_unit_test_setup(test_activities, setup), cmocka_unit_test_setup(test_cap, setup),
		cmocka_unit_test_setup(test_cap_counts_timers, setup), cmocka_unit_test_setup(test_cap_is_used_up_while_ready, setup),
		cmocka_unit_test_setup(test_report_in_pieces, setup), cmocka_unit_test_setup(test_cap_waits, setup),
		cmocka_unit_test_setup(test_spins_once, setup), cmocka_unit_test_setup(test_siblings, setup),
		cmocka_unit_test_setup(test_late_timers, setup), cmocka_unit_test_setup(test_late_cap, setup),
		cmocka_unit_test_setup(test_activities_of_siblings, setup),
		cmocka_unit_test_setup(test_siblings_are_paused, setup), cmocka_unit_test_setup(test_report_text, setup),
	};

	int failed = 0;

	for (unsigned i = 0; i < 4; i++) {
		has_turn_timer = i & 1;
		is_taken_at_exit = i & 2;
		failed += cmocka_run_group_tests_name(has_turn_timer ? "the back end's timer" : "our own timer", tests, NULL, NULL);
	}
	return failed;
}
