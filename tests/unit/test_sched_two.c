/* SPDX-License-Identifier: MIT */
/*
 * hv/sched.c on two processors, of which the test lets one or the other go round its loop: where the work of a VM is done
 * whose vCPUs live on both, what becomes of it when it ends, who pays for looks that the other processor posts, and what share
 * each gets when some sleep for moments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/pv/steal.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "boot/handoff.h"
#include "clock_fake.h"
#include "hv/console.h"
#include "hv/home.h"
#include "hv/host.h"
#include "hv/lib/bits.h"
#include "hv/limb.h"
#include "hv/page.h"
#include "hv/restore_test.h"
#include "hv/sched.h"
#include "hv/slots.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_timers.h"
#include "hv/watch.h"
#include "processor_fake.h"

#define TURN	(FAKE_HZ / 100)
#define WAY	(TURN / 1000)	/* at most so much of an interrupt is charged to whom it was for */
#define VMS	3U
#define VCPUS	3U		/* of a VM, at most */
#define POSTS	10000U
#define ROUNDS	100U		/* behind so many a processor has come to everybody */

enum { ONE, TWO, ON };
enum { SPREAD, NEIGHBOUR, THIRD };

static struct handoff_vm configs[VMS];
static struct slot table[HANDOFF_VMS_MAX];
static struct vm vms[VMS];
static struct party parties[VMS][VCPUS];
static struct limb limbs[VMS][ON];
static struct turn *orders[VMS][ON][2 * VCPUS];
static struct vcpu vcpus[VMS][VCPUS];
static struct bus no_bus;
struct slot *slots = table;

static unsigned rounds_left;	/* of the loop */
static uint64_t step;		/* ticks of the guest each time that it runs */
static void (*in_guest)(void);	/* then; NULL: nothing happens */
static const struct vcpu *last;	/* that ran in this round; NULL: none did */
static uint64_t guest_ticks[VMS];
static unsigned kicks[ON], idles, pieces, works;	/* idles: rounds in which nobody wanted the processor */

/* ---- The world around the code under test ---- */

static struct processor *at(unsigned n) { return &processors_fake[n]; }
static void on(unsigned n) { processor_fake_run_on(n); }

unsigned host_processor_number(struct processor *processor) { return processor->index; }
struct processor *host_processor_at(unsigned n) { return n < ON ? at(n) : NULL; }
void host_attention_set(void) { }
void host_attention_look(bool is_due) { (void)is_due; }
void host_attention_clear(void) { }
bool host_attention_is_set(void) { return false; }
bool host_attention_is_timer(void) { return false; }
static bool is_look;
bool host_attention_is_look(void) { return is_look; }
void host_take_interrupts(void) { }
void host_wake_at(uint64_t tsc) { (void)tsc; }
void host_idle(void) { fail(); }
static uint32_t polls;
void console_poll(void) { polls++; }
void steal_tell(struct vcpu *vcpu, uint64_t waited) { (void)vcpu; (void)waited; }
void restore_test_step(struct vm *vm) { (void)vm; fail(); }
void slots_init(const char *attach, uint32_t count) { (void)attach; (void)count; }
bool slots_in_use(void) { return rounds_left && rounds_left--; }
void party_say_where(struct party *party) { (void)party; fail(); }
void watch_begin(void) { }
void watch_end(void) { }

bool page_idle_work(void)
{
	idles++;
	return false;
}

void host_kick(struct processor *processor, enum host_kick what)
{
	assert_int_equal(what, KICK_WAKE);
	assert_ptr_not_equal(processor, host_processor());
	kicks[processor->index]++;
}

void party_does(struct party *party, enum activity activity)
{
	assert_true(look_is_here(&party->look));
	activity_change(&party->activities, activity, host_processor()->queue.mark, host_processor()->used, VMS);
}

/* A piece of its end, and there is but one. */
void slot_work(struct slot *slot)
{
	assert_true(home_is_whole(slot));
	pieces++;
	slot->vm = NULL;
}

void vcpu_give(struct vcpu *vcpu, struct processor *to)
{
	assert_ptr_equal(vcpu->processor, host_processor());
	vcpu->processor = to;
}

void vcpu_load(struct vcpu *vcpu) { assert_ptr_equal(vcpu->processor, host_processor()); }

void vcpu_run(struct vcpu *vcpu, uint64_t turn_end)
{
	(void)turn_end;
	last = vcpu;
	fake_now += step;
	guest_ticks[vcpu->vm - vms] += step;
	if (in_guest)
		in_guest();
}

static bool limit_turn(struct vcpu *vcpu, uint64_t ticks)
{
	(void)vcpu;
	(void)ticks;
	return true;
}

static const struct virt_backend backend = { .limit_turn = limit_turn };
const struct virt_backend *virt = &backend;

/* ---- VMs ---- */

static int set_up(void **state)
{
	static const struct handoff_host host = { .attach = "none" };

	(void)state;
	memset(processors_fake, 0, sizeof(processors_fake));
	memset(table, 0, sizeof(table));
	memset(kicks, 0, sizeof(kicks));
	memset(guest_ticks, 0, sizeof(guest_ticks));
	idles = pieces = works = 0;
	step = TURN;
	in_guest = NULL;
	on(ONE);
	sched_init(&host, VMS);
	return 0;
}

/* Once round the loop of this processor, on which the test is from then on. */
static void go(unsigned n)
{
	on(n);
	rounds_left = 1;
	last = NULL;
	sched_run();
}

static void add_limbs(struct slot *slot, unsigned n)
{
	memset(limbs[n], 0, sizeof(limbs[n]));
	memset(orders[n], 0, sizeof(orders[n]));
	for (unsigned i = 0; i < ON; i++) {
		limbs[n][i].slot = slot;
		limbs[n][i].processor = &processors_fake[i];
		limbs[n][i].order = orders[n][i];
	}
	slot->limbs = limbs[n];
}

/* A VM that lives on this processor; all its vCPUs compute. None leaves by itself. */
static struct slot *add(unsigned n, uint32_t count)
{
	struct slot *slot = &slots[n];

	configs[n] = (struct handoff_vm){ .vcpus = count, .weight = WEIGHT_DEFAULT, .cpuset = BIT(host_processor()->index) };
	*slot = (struct slot){ .config = &configs[n], .vm = &vms[n], .parties = parties[n], .vcpus = count };
	memset(parties[n], 0, sizeof(parties[n]));
	memset(vcpus[n], 0, sizeof(vcpus[n]));
	add_limbs(slot, n);
	vms[n] = (struct vm){ .vcpu_count = count, .state = VM_RUNNING, .look = &parties[n][0].look };
	vm_timers_init(&vms[n], &slot->turn);
	for (uint32_t i = 0; i < count; i++) {
		parties[n][i].slot = slot;
		vms[n].vcpus[i] = &vcpus[n][i];
		vcpus[n][i].vm = &vms[n];
		vcpus[n][i].state = VCPU_READY;
		vcpus[n][i].pio = vcpus[n][i].mmio = bus_view(&no_bus);
		vcpus[n][i].processor = parties[n][i].look.home = host_processor();
	}
	home_enter(slot);
	limb_start(limb_at(slot, host_processor()));
	for (uint32_t i = 0; i < count; i++)
		look_post(&parties[n][i].look);
	return slot;
}

/* A VM whose last vCPU lives on TWO, and has been taken in there; the others on ONE. */
static struct slot *add_spread(uint32_t count)
{
	struct slot *slot = add(SPREAD, count);

	go(ONE);
	home_give(&slot->parties[count - 1], at(TWO));
	configs[SPREAD].cpuset = BIT(ON);	/* a processor that is not there: all stay where they are, however busy that is */
	go(TWO);
	assert_ptr_equal(last, &vcpus[SPREAD][count - 1]);
	assert_true(vms[SPREAD].is_spread);
	vms[SPREAD].restore_test.left = 1;	/* no such step is done while it is spread */
	go(ONE);
	assert_ptr_equal(last->processor, at(ONE));
	return slot;
}

/* It sleeps, and this processor, its home, knows that. */
static void halt(unsigned n, unsigned id)
{
	vcpus[n][id].state = VCPU_HALTED;
	look_post(&parties[n][id].look);
	go(host_processor()->index);
}

static uint64_t used(unsigned n, unsigned processor) { return limbs[n][processor].turn.used; }

/* ---- A VM that runs on both ---- */

static bool is_held(const struct lock *lock) { return lock->drawn != lock->served; }

static void do_work(void *ctx)
{
	(void)ctx;
	assert_ptr_equal(host_processor(), at(ONE));
	assert_true(is_held(&vms[SPREAD].machine_lock));
	works++;
}

/* What its devices put off is done at its home, under the lock, also when none of its vCPUs wants that processor. */
static void test_work_is_done_at_home(void **state)
{
	struct slot *slot = add_spread(2);
	struct work work = { .run = do_work };

	(void)state;
	halt(SPREAD, 0);
	work_add(&vms[SPREAD].work, &work);
	go(TWO);
	assert_ptr_equal(last, &vcpus[SPREAD][1]);
	assert_int_equal(idles, 1);
	halt(SPREAD, 1);
	assert_null(last);
	assert_int_equal(idles, 2);
	assert_int_equal(works, 0);
	on(ONE);
	look_post(&slot->parties[0].look);
	go(ONE);
	assert_int_equal(works, 1);
	assert_null(last);
	assert_false(is_held(&vms[SPREAD].machine_lock));
}

static void nothing(void *ctx) { (void)ctx; }

/* The alarm of its devices' timers is its home's, whoever armed them, and whoever is looked at in between. */
static void test_timers_go_home(void **state)
{
	struct slot *slot = add_spread(2);
	struct timer timer;

	(void)state;
	timer_init(&timer, nothing, NULL);
	timer.owner = &vms[SPREAD].timers;
	on(TWO);
	timer_arm(&timer, fake_now + 100 * TURN);
	look_post(&slot->parties[1].look);
	go(TWO);
	assert_true(vms[SPREAD].alarm_is_stale);
	assert_false(timer_is_armed(&vms[SPREAD].alarm));
	go(ONE);
	assert_false(vms[SPREAD].alarm_is_stale);
	assert_ptr_equal(vms[SPREAD].alarm.list, &at(ONE)->timers);
	timer_arm(&timer, fake_now + 50 * TURN);
	go(ONE);
	assert_int_equal(vms[SPREAD].alarm.deadline, timer.deadline);
	vm_timers_end(&vms[SPREAD]);
}

/* A look that was posted before the vCPU moved goes to its new home, whatever that does with the vCPU by now. */
static void test_look_follows(void **state)
{
	struct slot *slot = add_spread(2);
	struct look *look = &slot->parties[1].look;

	(void)state;
	look->home = at(ONE);
	look_post(look);
	look->home = at(TWO);
	go(ONE);
	assert_ptr_equal(at(TWO)->looks, look);
}

/* When a vCPU sleeps, the others have the VM's weight where they are, from the next choice on. */
static void test_weight_follows(void **state)
{
	struct slot *slot = add_spread(2);

	(void)state;
	assert_int_equal(limb_at(slot, at(ONE))->turn.weight, WEIGHT_DEFAULT / 2);
	on(TWO);
	halt(SPREAD, 1);
	go(ONE);
	assert_int_equal(limb_at(slot, at(ONE))->turn.weight, WEIGHT_DEFAULT);
}

/* ---- Its end ---- */

/* All come home, and there a piece of the end is done; nowhere else, and not before. Nobody goes round for nothing. */
static void test_end_while_spread(void **state)
{
	struct slot *slot = add_spread(3);
	const struct limb *home = limb_at(slot, at(ONE)), *away = limb_at(slot, at(TWO));

	(void)state;
	kicks[ONE] = kicks[TWO] = 0;
	vms[SPREAD].end = VM_END_SHUTDOWN;
	go(ONE);
	assert_null(last);
	assert_int_equal(idles, 1);
	assert_int_equal(home->vcpus.ready, 0);
	assert_int_equal(at(ONE)->load, 0);
	assert_int_equal(kicks[TWO], 1);
	go(TWO);
	assert_null(last);
	assert_int_equal(idles, 2);
	assert_int_equal(away->vcpus.count, 0);
	assert_int_equal(at(TWO)->weight, 0);
	assert_int_equal(kicks[ONE], 1);
	assert_int_equal(pieces, 0);
	go(ONE);
	assert_int_equal(pieces, 1);
	assert_int_equal(home->vcpus.count, 3);
	assert_false(vms[SPREAD].is_spread);
	go(ONE);
	assert_int_equal(idles, 3);
}

/* The first vCPU may live apart from the others: the end is done where it lives. */
static void test_end_of_the_first(void **state)
{
	struct slot *slot = add(SPREAD, 2);

	(void)state;
	go(ONE);
	home_give(&slot->parties[0], at(TWO));
	go(TWO);
	go(ONE);
	vms[SPREAD].end = VM_END_SHUTDOWN;
	go(ONE);
	assert_int_equal(limb_at(slot, at(ONE))->vcpus.count, 0);
	assert_int_equal(pieces, 0);
	go(TWO);
	assert_int_equal(pieces, 1);
}

/* One that was not told yet is chosen in its turn: it does nothing but find out, and then goes home. */
static void test_end_is_found_out(void **state)
{
	struct slot *slot = add_spread(2);

	(void)state;
	on(TWO);
	add(NEIGHBOUR, 1);
	for (unsigned i = 0; i < ROUNDS && last != &vcpus[NEIGHBOUR][0]; i++)
		go(TWO);
	assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
	vms[SPREAD].end = VM_END_SHUTDOWN;
	for (unsigned i = 0; i < ROUNDS && last; i++)
		go(TWO);
	assert_null(last);
	assert_true(slot->parties[1].look.is_posted);
	assert_false(slot->parties[0].look.is_posted);
	assert_int_equal(limb_at(slot, at(TWO))->vcpus.count, 1);
	go(TWO);
	assert_int_equal(limb_at(slot, at(TWO))->vcpus.count, 0);
	assert_int_equal(pieces, 0);
	go(ONE);
	assert_int_equal(pieces, 1);
}

/* ---- Looks that another processor posts ---- */

static struct look *woken(void) { return &parties[SPREAD][1].look; }

/* TWO runs a neighbour beside a vCPU that sleeps, whose sibling runs on ONE. */
static void set_up_neighbours(void)
{
	add_spread(2);
	on(TWO);
	halt(SPREAD, 1);
	add(NEIGHBOUR, 1);
	go(TWO);
	assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
	go(TWO);		/* now all before its latest run is charged */
}

static void post_from_one(void)
{
	on(ONE);
	look_post(woken());
	on(TWO);
}

/* An interrupt comes, and the way from it to the scheduler takes its time. */
static void interrupt(void)
{
	const unsigned before = kicks[TWO];

	post_from_one();
	if (kicks[TWO] != before)
		fake_now += WAY;
}

/* Until the look waits for the end of its VM's debt. */
static void put_off(void)
{
	step = WAY / 4;
	in_guest = interrupt;
	for (unsigned i = 0; i < POSTS; i++)
		go(TWO);
	in_guest = NULL;
	for (unsigned i = 0; i < ROUNDS && !at(TWO)->put_off; i++) {
		post_from_one();
		go(TWO);
	}
	assert_ptr_equal(at(TWO)->put_off, woken());
	assert_true(timer_is_armed(&at(TWO)->resume));
}

/*
 * The neighbour pays for its own time alone, and is hardly interrupted when the VM of the look has used its share; no more than
 * that is due to one that has slept for long.
 */
static void test_looks_are_paid(void **state)
{
	static const unsigned turns_before[] = { 0, 1000 };

	for (size_t i = 0; row_of(turns_before, i); i++) {
		uint64_t charged, ran;

		(void)set_up(state);
		set_up_neighbours();
		for (unsigned n = 0; n < turns_before[i]; n++)
			go(TWO);
		charged = used(NEIGHBOUR, TWO);
		ran = guest_ticks[NEIGHBOUR] - step;	/* the latest run is charged in the next round */
		kicks[TWO] = 0;
		put_off();
		assert_in_range(kicks[TWO], 1, POSTS / 2);
		assert_int_equal(used(NEIGHBOUR, TWO) - charged, guest_ticks[NEIGHBOUR] - step - ran);
	}
}

/* Nothing is lost: it is looked at when the debt is over, and not before. */
static void test_put_off_look_comes_back(void **state)
{
	unsigned rounds = 0;

	(void)state;
	set_up_neighbours();
	put_off();
	step = TURN / 10;
	vcpus[SPREAD][1].requests = REQUEST_NMI;
	do
		go(TWO);
	while (last != &vcpus[SPREAD][1] && ++rounds < ROUNDS);
	assert_in_range(rounds, 5, ROUNDS - 1);
	assert_null(at(TWO)->put_off);
	assert_false(woken()->is_posted);
}

/* When nobody else wants the processor, there is nothing to wait for. */
static void test_put_off_look_of_the_only_one(void **state)
{
	(void)state;
	set_up_neighbours();
	put_off();
	vcpus[SPREAD][1].requests = REQUEST_NMI;
	vcpus[NEIGHBOUR][0].state = VCPU_HALTED;
	go(TWO);
	assert_null(last);
	assert_int_equal(vcpus[SPREAD][1].requests, REQUEST_NMI);
	go(TWO);
	assert_ptr_equal(last, &vcpus[SPREAD][1]);
}

/* At ONE a VM that has used much more than its neighbour, which runs there; its first vCPU sleeps. */
static struct slot *set_up_debt(void)
{
	struct slot *slot = add_spread(2);

	add(NEIGHBOUR, 1);
	halt(SPREAD, 0);
	turn_bill(&at(ONE)->queue, &slot->parties[0].turn, fake_now);
	fake_now += 10 * TURN;
	turn_bill(&at(ONE)->queue, &parties[NEIGHBOUR][0].turn, fake_now);	/* which runs there now */
	assert_int_not_equal(turn_debt(&limb_at(slot, at(ONE))->turn), 0);
	return slot;
}

/* An end waits for no debt, whether it comes with its look or behind one that was put off: its vCPUs come home. */
static void test_end_in_debt(void **state)
{
	static const bool is_late[] = { false, true };

	for (size_t i = 0; row_of(is_late, i); i++) {
		struct slot *slot;

		(void)set_up(state);
		slot = set_up_debt();
		if (is_late[i]) {
			on(TWO);
			look_post(&slot->parties[0].look);
			go(ONE);
			assert_ptr_equal(at(ONE)->put_off, &slot->parties[0].look);
		}
		kicks[ONE] = 0;
		vms[SPREAD].end = VM_END_SHUTDOWN;
		on(TWO);
		look_post_end(&slot->parties[0].look);
		assert_int_equal(kicks[ONE], 1);
		go(ONE);
		assert_null(at(ONE)->put_off);
		assert_true(slot->parties[1].look.is_posted);
	}
}

/* Nor does that of a VM whose other vCPU lives where it is in debt: it goes home in the next round. */
static void test_end_of_a_put_off_sibling(void **state)
{
	(void)state;
	set_up_neighbours();
	put_off();
	vms[SPREAD].end = VM_END_SHUTDOWN;
	go(ONE);
	go(TWO);
	assert_int_equal(limbs[SPREAD][TWO].vcpus.count, 0);
	assert_ptr_equal(woken()->home, at(ONE));
}

/* Nor is a look that the vCPU's own home has posted, which interrupted nobody. */
static void test_own_look_in_debt(void **state)
{
	struct slot *slot = set_up_debt();

	(void)state;
	vcpus[SPREAD][0].requests = REQUEST_NMI;
	look_post(&slot->parties[0].look);
	go(ONE);
	assert_int_equal(vcpus[SPREAD][0].requests, 0);
}

/* Nor one for which nobody has been interrupted, because nobody ran. */
static void test_look_while_nobody_ran(void **state)
{
	struct slot *slot = set_up_debt();

	(void)state;
	turn_bill(&at(ONE)->queue, NULL, fake_now);
	vcpus[SPREAD][0].requests = REQUEST_NMI;
	on(TWO);
	look_post(&slot->parties[0].look);
	go(ONE);
	assert_null(at(ONE)->put_off);
	assert_int_equal(vcpus[SPREAD][0].requests, 0);
}

static int64_t late;	/* the look was posted so many ticks from now */

static void post_then(void)
{
	post_from_one();
	woken()->since = fake_now + (uint64_t)late;
}

static void post_own(void) { look_post(&parties[NEIGHBOUR][0].look); }

static void post_here(void)
{
	look_post(woken());
	fake_now += WAY / 2;
}

/*
 * No more than an interrupt can take is charged to whose look it is; nothing when the other's clock is ahead, or its own
 * home has posted it.
 */
static void test_who_pays_for_a_look(void **state)
{
	static const struct { void (*post)(void); int64_t late; uint64_t pays; } rows[] = {
		{ post_then, 0, 0 },			{ post_then, -(int64_t)WAY / 2, WAY / 2 },
		{ post_then, -(int64_t)WAY * 20, WAY }, { post_then, WAY * 20, 0 },
		{ post_here, 0, 0 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t pays, neighbour, mark;

		(void)set_up(state);
		set_up_neighbours();
		step = TURN / 10;
		go(TWO);
		pays = used(SPREAD, TWO);
		neighbour = used(NEIGHBOUR, TWO);
		mark = at(TWO)->queue.mark;
		late = rows[i].late;
		in_guest = rows[i].post;
		go(TWO);
		in_guest = NULL;
		go(TWO);
		assert_int_equal(used(SPREAD, TWO) - pays, rows[i].pays);
		assert_int_equal(used(NEIGHBOUR, TWO) - neighbour, at(TWO)->queue.mark - mark - rows[i].pays);
	}
}

/* A round for nothing but one that woke here leaves the host's work to the next one. */
static void test_round_for_a_look(void **state)
{
	uint32_t before;

	(void)state;
	go(TWO);
	before = polls;
	is_look = true;
	go(TWO);
	assert_int_equal(polls, before);
	is_look = false;
	go(TWO);
	assert_int_equal(polls, before + 1);
}

/* As much is charged where the one that is asked for is ready, and would be passed over if its home had posted the look. */
static void test_look_at_one_that_waits(void **state)
{
	uint64_t pays, neighbour, mark;

	(void)state;
	set_up_neighbours();
	on(TWO);
	vcpus[SPREAD][1].state = VCPU_READY;
	look_post(woken());
	step = TURN / 10;
	for (unsigned i = 0; i < ROUNDS && (go(TWO), last != &vcpus[NEIGHBOUR][0]); i++)
		continue;
	assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
	go(TWO);
	pays = used(SPREAD, TWO);
	neighbour = used(NEIGHBOUR, TWO);
	mark = at(TWO)->queue.mark;
	late = -(int64_t)WAY / 2;
	in_guest = post_then;
	go(TWO);
	in_guest = NULL;
	assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
	go(TWO);
	assert_int_equal(used(SPREAD, TWO) - pays, WAY / 2);
	assert_int_equal(used(NEIGHBOUR, TWO) - neighbour, at(TWO)->queue.mark - mark - WAY / 2);
}

/* Whether a cap is used up is known as exactly: to an interrupt's time, and to the tick when no other processor posted. */
static void test_cap_before_a_look(void **state)
{
	static const struct { void (*post)(void); int64_t late; uint64_t above; } rows[] = {
		{ post_then, -(int64_t)WAY * 20, WAY * 3 / 2 }, { post_own, 0, WAY / 2 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct cap *cap = &slots[NEIGHBOUR].cap;

		(void)set_up(state);
		set_up_neighbours();
		step = 0;
		go(TWO);
		cap_init(cap, 1, TURN, fake_now);
		cap->used = used(NEIGHBOUR, TWO);
		go(TWO);
		assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
		step = cap_left(cap) + rows[i].above;
		late = rows[i].late;
		in_guest = rows[i].post;
		go(TWO);
		assert_ptr_equal(last, &vcpus[NEIGHBOUR][0]);
		go(TWO);
		assert_null(last);
	}
}

/* ---- What they get when some sleep for moments ---- */

#define STEPS	50U		/* of a turn */
#define TURNS	600U

/* After so much time of a processor a vCPU of this VM sleeps, for so long; or until its sibling does, which wakes then. */
static struct nap { uint64_t behind, length; bool alternates; } naps[VMS];
static uint64_t has_run[VMS][VCPUS], wakes_at[VMS][VCPUS];	/* wakes_at 0: not by itself */
static bool is_idle[ON];

static void nap(void)
{
	const size_t n = (size_t)(last->vm - vms), id = (size_t)(last - vcpus[n]);

	has_run[n][id] += step;
	if (!naps[n].behind || has_run[n][id] < naps[n].behind)
		return;
	has_run[n][id] = 0;
	vcpus[n][id].state = VCPU_HALTED;
	wakes_at[n][naps[n].alternates ? !id : id] = fake_now + naps[n].length;
}

static void wake(unsigned n, unsigned id)
{
	if (vcpus[n][id].state != VCPU_HALTED || !wakes_at[n][id] || wakes_at[n][id] > fake_now)
		return;
	wakes_at[n][id] = 0;
	on(parties[n][id].look.home->index);
	vcpus[n][id].state = VCPU_READY;
	look_post(&parties[n][id].look);
}

/* One step of a processor: until somebody has run, or nobody wants it. */
static void go_on(unsigned processor)
{
	on(processor);
	if (is_idle[processor])
		home_idle_end();
	do
		go(processor);
	while (!last && (at(processor)->looks || at(processor)->queue.vms.ready));
	is_idle[processor] = !last;
	if (!last)
		home_idle_begin();
}

/* Both at once. Behind it guest_ticks says what each VM had in it. */
static void go_for(uint64_t ticks)
{
	const uint64_t end = fake_now + ticks;

	memset(has_run, 0, sizeof(has_run));
	memset(wakes_at, 0, sizeof(wakes_at));
	memset(is_idle, 0, sizeof(is_idle));
	memset(guest_ticks, 0, sizeof(guest_ticks));
	step = TURN / STEPS;
	in_guest = nap;
	for (uint64_t now = fake_now; now < end; now += step) {
		fake_now = now;
		for (unsigned n = 0; n < VMS; n++)
			for (unsigned id = 0; id < VCPUS; id++)
				wake(n, id);
		for (unsigned processor = 0; processor < ON; processor++) {
			fake_now = now;
			go_on(processor);
		}
	}
}

/*
 * It moves to and fro, to whichever of the two sleeps. That is no reason to begin again behind the other one each time. Two thirds
 * of a processor are due to it, less what nobody wants while one sleeps and it computes on the other one.
 */
static void test_one_that_moves_all_the_time(void **state)
{
	(void)state;
	naps[SPREAD] = (struct nap){ .behind = TURN * 40 / 100, .length = TURN * 4 / 100 };
	naps[NEIGHBOUR] = (struct nap){ .behind = TURN * 44 / 100, .length = TURN * 4 / 100 };
	naps[THIRD] = (struct nap){ .behind = 0 };
	add(SPREAD, 1);
	on(TWO);
	add(NEIGHBOUR, 1);
	on(ONE);
	add(THIRD, 1);
	configs[THIRD].cpuset = 0;
	go_for(TURNS * TURN);
	assert_true(slots[THIRD].moves > TURNS / 4);
	assert_in_range(guest_ticks[THIRD], TURNS * TURN * 57 / 100, TURNS * TURN * 68 / 100);
}

/* Each of its vCPUs sleeps while the other one computes: together they get no more than one that computes all the time. */
static void test_two_that_alternate(void **state)
{
	static const uint64_t pieces_of[] = { TURN / 2, TURN };

	for (size_t i = 0; row_of(pieces_of, i); i++) {
		(void)set_up(state);
		naps[SPREAD] = (struct nap){ .behind = pieces_of[i], .alternates = true };
		naps[NEIGHBOUR] = naps[THIRD] = (struct nap){ .behind = 0 };
		add_spread(2);
		vcpus[SPREAD][1].state = VCPU_HALTED;
		on(ONE);
		add(NEIGHBOUR, 1);
		on(TWO);
		add(THIRD, 1);
		go_for(TURNS * TURN);
		for (unsigned n = 0; n < VMS; n++)
			assert_in_range(guest_ticks[n], TURNS * TURN * 65 / 100, TURNS * TURN * 68 / 100);
	}
}

/* Both of its vCPUs sleep for moments. What one has used while the other was ready is paid for by the weight that they divide. */
static void test_two_that_doze(void **state)
{
	(void)state;
	naps[SPREAD] = (struct nap){ .behind = TURN * 40 / 100, .length = TURN * 4 / 100 };
	naps[NEIGHBOUR] = naps[THIRD] = (struct nap){ .behind = 0 };
	add_spread(2);
	on(ONE);
	add(NEIGHBOUR, 1);
	on(TWO);
	add(THIRD, 1);
	go_for(TURNS * TURN);
	for (unsigned n = 0; n < VMS; n++)
		assert_in_range(guest_ticks[n], TURNS * TURN * 65 / 100, TURNS * TURN * 68 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_work_is_done_at_home, set_up), cmocka_unit_test_setup(test_timers_go_home, set_up),
		cmocka_unit_test_setup(test_look_follows, set_up),
		cmocka_unit_test_setup(test_weight_follows, set_up), cmocka_unit_test_setup(test_end_while_spread, set_up),
		cmocka_unit_test_setup(test_end_of_the_first, set_up), cmocka_unit_test_setup(test_end_is_found_out, set_up),
		cmocka_unit_test_setup(test_looks_are_paid, set_up), cmocka_unit_test_setup(test_put_off_look_comes_back, set_up),
		cmocka_unit_test_setup(test_put_off_look_of_the_only_one, set_up), cmocka_unit_test_setup(test_end_in_debt, set_up),
		cmocka_unit_test_setup(test_end_of_a_put_off_sibling, set_up), cmocka_unit_test_setup(test_own_look_in_debt, set_up), cmocka_unit_test_setup(test_cap_before_a_look, set_up),
		cmocka_unit_test_setup(test_who_pays_for_a_look, set_up), cmocka_unit_test_setup(test_look_at_one_that_waits, set_up), cmocka_unit_test_setup(test_look_while_nobody_ran, set_up),
		cmocka_unit_test_setup(test_one_that_moves_all_the_time, set_up), cmocka_unit_test_setup(test_two_that_alternate, set_up),
		cmocka_unit_test_setup(test_two_that_doze, set_up), cmocka_unit_test_setup(test_round_for_a_look, set_up),
	};

	return cmocka_run_group_tests_name("sched on two processors", tests, NULL, NULL);
}
