/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer in its three modes (SDM vol. 3, "APIC Timer"). Counts run at LAPIC_TIMER_HZ and are
 * never counted: the current count follows from the VM's clock. lapic_deadline_write is a path we measure.
 */
#include "hv/dev/lapic_regs.h"

#include "hv/lib/util.h"
#include "hv/state.h"

#define DIVIDE_BITS	0x0bU
#define PERIODS_PER_SECOND_MAX 20000U	/* a shorter period would leave the processor nothing but this timer */

/* SDM vol. 3, figure "Divide Configuration Register": bits 3, 1, 0 count from "by 2", the last is "by 1". */
static unsigned divide_shift(const struct lapic *lapic)
{
	unsigned code = (lapic->s.timer_divide & 3U) | (lapic->s.timer_divide >> 1 & 4U);

	return (code + 1) & 7U;
}

/* Ticks of the VM's clock for so many counts, and the reverse. */
static uint64_t counts_to_time(const struct lapic *lapic, uint64_t counts)
{
	return mul_div64(counts << divide_shift(lapic), time_hz(), LAPIC_TIMER_HZ);
}

static uint64_t time_to_counts(const struct lapic *lapic, uint64_t time)
{
	return mul_div64(time, LAPIC_TIMER_HZ, time_hz()) >> divide_shift(lapic);
}

static bool is_mode(const struct lapic *lapic, uint32_t mode)
{
	return (lapic->s.lvt[LVT_TIMER] & LVT_TIMER_MODE) == mode;
}

/* How long a count runs, or each period of it. */
static uint64_t count_length(const struct lapic *lapic)
{
	uint64_t length = counts_to_time(lapic, lapic->s.timer_initial);

	return is_mode(lapic, LVT_PERIODIC) ? max_u64(length, time_hz() / PERIODS_PER_SECOND_MAX) : length;
}

/*
 * While its vector is requested, further periods make no difference to the guest, whoever requested it. An illegal one is an
 * error instead, of which ESR takes no second before it is written.
 */
static bool can_wait(const struct lapic *lapic)
{
	const uint8_t vector = (uint8_t)lapic->s.lvt[LVT_TIMER];

	if (!is_mode(lapic, LVT_PERIODIC))
		return false;
	return lapic_vector_is_illegal(vector) ? lapic->s.esr_latch & ESR_RECEIVE_ILLEGAL : lapic_is_requested(lapic, vector);
}

static void arm(struct lapic *lapic)
{
	vm_clock_arm(lapic->clock, &lapic->timer, lapic->s.timer_start + count_length(lapic));
}

/*
 * Arm the host's timer for a one-shot or periodic count. Not while its interrupt is masked: nobody would notice, and a
 * periodic count would cost the host's time for ever. Nor while a periodic one's interrupt waits to be taken: each period
 * would cost the time of whoever runs meanwhile. Then lapic_accept has it armed, or with a page the next entry; and a
 * write to ESR in any case.
 */
static void arm_count(struct lapic *lapic)
{
	bool is_heard = lapic->s.timer_counts && !(lapic->s.lvt[LVT_TIMER] & LVT_MASKED);

	lapic->timer_waits = is_heard && can_wait(lapic);
	if (is_heard && !lapic->timer_waits) {
		arm(lapic);
		return;
	}
	timer_disarm(&lapic->timer);
	if (lapic->timer_waits && lapic->page && !lapic_vector_is_illegal((uint8_t)lapic->s.lvt[LVT_TIMER]))
		lapic_page_remind(lapic, (uint8_t)lapic->s.lvt[LVT_TIMER]);
}

/* Move the start on by the whole periods that are over: the phase stays. */
static void skip_periods(struct lapic *lapic)
{
	uint64_t period = count_length(lapic);

	if (lapic->s.timer_counts && is_mode(lapic, LVT_PERIODIC))
		lapic->s.timer_start += (vm_clock_now(lapic->clock) - lapic->s.timer_start) / period * period;
}

/* Periods that the VM missed become one interrupt. */
void lapic_timer_go_on(struct lapic *lapic)
{
	lapic->timer_waits = false;
	skip_periods(lapic);
	arm(lapic);
}

static void lapic_timer_fire(void *ctx)
{
	struct lapic *lapic = ctx;
	const uint32_t lvt = lapic->s.lvt[LVT_TIMER];
	const bool is_periodic = is_mode(lapic, LVT_PERIODIC);

	if (is_mode(lapic, LVT_DEADLINE))
		lapic->s.tsc_deadline = 0;
	else if (!is_periodic)
		lapic->s.timer_counts = false;
	if (!(lvt & LVT_MASKED))
		lapic_post(lapic, (uint8_t)lvt, false);
	if (is_periodic) {
		skip_periods(lapic);
		arm_count(lapic);		/* behind the request, for which it may wait */
	}
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
	uint64_t initial = lapic->s.timer_initial, counts;

	if (!lapic->s.timer_counts)
		return 0;
	counts = time_to_counts(lapic, vm_clock_now(lapic->clock) - lapic->s.timer_start);
	if (is_mode(lapic, LVT_PERIODIC))
		counts %= initial;
	return (uint32_t)(counts < initial ? initial - counts : 0);
}

/* Not for 0, which is no deadline. */
static bool has_passed(uint64_t deadline, uint64_t guest_now)
{
	return deadline - 1 < guest_now;
}

/* Has the timer come to its end, whether or not the host's timer has been looked at? A period that nobody hears has none. */
static bool is_over(const struct lapic *lapic)
{
	uint64_t now = vm_clock_now(lapic->clock);

	if (is_mode(lapic, LVT_DEADLINE))
		return has_passed(lapic->s.tsc_deadline, now + *lapic->tsc_offset);
	if (is_mode(lapic, LVT_PERIODIC) && ((lapic->s.lvt[LVT_TIMER] & LVT_MASKED) || lapic->timer_waits))
		return false;
	return lapic->s.timer_counts && now - lapic->s.timer_start >= count_length(lapic);
}

/*
 * What is over has fired, also when the host's timer comes late: what is written next must not take its interrupt away,
 * a one-shot count must not count on by another mode or divisor, and the host's timer must not end it again.
 */
void lapic_timer_settle(struct lapic *lapic)
{
	if (!is_over(lapic))
		return;
	timer_disarm(&lapic->timer);
	lapic_timer_fire(lapic);
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t count)
{
	if (is_mode(lapic, LVT_DEADLINE))
		return;
	lapic_timer_settle(lapic);
	lapic->s.timer_initial = count;
	lapic->s.timer_start = vm_clock_now(lapic->clock);
	lapic->s.timer_counts = count != 0;
	arm_count(lapic);
}

/* What is left of a running count goes on at the new speed. */
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
	uint32_t left;

	lapic_timer_settle(lapic);
	left = lapic_timer_current(lapic);
	lapic->s.timer_divide = value & DIVIDE_BITS;
	if (!left)
		return;
	lapic->s.timer_start = vm_clock_now(lapic->clock) - counts_to_time(lapic, lapic->s.timer_initial - left);
	arm_count(lapic);
}

void lapic_timer_set_lvt(struct lapic *lapic, uint32_t lvt)
{
	uint32_t old = lapic->s.lvt[LVT_TIMER], changed = old ^ lvt;

	lapic_timer_settle(lapic);
	if ((old & LVT_MASKED) || lapic->timer_waits)
		skip_periods(lapic);	/* periods that ended while the interrupt was masked, or waited, cause none */
	lapic->s.lvt[LVT_TIMER] = lvt;
	if (changed & LVT_DEADLINE)
		lapic_timer_reset(lapic);	/* into or out of TSC-deadline mode: disarmed */
	else if ((changed & (LVT_TIMER_MODE | LVT_MASKED)) || lapic->timer_waits)
		arm_count(lapic);
}

/*
 * A deadline that has passed fires at once, before the guest's next instruction. A deadline is armed even while its
 * interrupt is masked, because its MSR must read 0 once it has passed.
 */
static void arm_deadline(struct lapic *lapic)
{
	uint64_t deadline = lapic->s.tsc_deadline, now = vm_clock_now(lapic->clock);
	uint64_t guest_now = now + *lapic->tsc_offset;

	if (deadline > guest_now) {
		vm_clock_arm_in(lapic->clock, &lapic->timer, now, deadline - guest_now);
		return;
	}
	timer_disarm(&lapic->timer);
	if (deadline)
		lapic_timer_fire(lapic);
}

/* Apart, for the last deadline or this one has passed, or there is none: the other case is measured. */
__attribute__((noinline)) static void deadline_write_slowly(struct lapic *lapic, uint64_t tsc)
{
	lapic_timer_settle(lapic);
	lapic->s.tsc_deadline = tsc;
	arm_deadline(lapic);
}

void lapic_deadline_write(struct lapic *lapic, uint64_t tsc)
{
	const struct vm_clock *clock = lapic->clock;
	uint64_t now, guest_now;

	if (!is_mode(lapic, LVT_DEADLINE))
		return;
	now = vm_clock_now(clock);
	guest_now = now + *lapic->tsc_offset;
	if (has_passed(lapic->s.tsc_deadline, guest_now) || tsc <= guest_now) {
		deadline_write_slowly(lapic, tsc);
		return;
	}
	lapic->s.tsc_deadline = tsc;
	vm_clock_arm_in(clock, &lapic->timer, now, tsc - guest_now);
}

void lapic_tsc_moved(struct lapic *lapic)
{
	if (is_mode(lapic, LVT_DEADLINE))
		arm_deadline(lapic);
}

void lapic_timer_reset(struct lapic *lapic)
{
	timer_disarm(&lapic->timer);
	lapic->timer_waits = false;
	lapic->s.timer_initial = 0;
	lapic->s.timer_counts = false;
	lapic->s.tsc_deadline = 0;
}

void lapic_timer_after_load(struct lapic *lapic)
{
	struct lapic_state *s = &lapic->s;
	uint64_t now = vm_clock_now(lapic->clock);

	state_fix_bool(&s->timer_counts);
	s->timer_divide &= DIVIDE_BITS;
	if ((int64_t)s->timer_start > (int64_t)now)
		s->timer_start = now;
	s->timer_counts = s->timer_counts && s->timer_initial && !is_mode(lapic, LVT_DEADLINE);
	lapic->timer_waits = false;	/* that was the old count's */
	if (is_mode(lapic, LVT_DEADLINE))
		arm_deadline(lapic);
	else
		arm_count(lapic);
}

void lapic_timer_init(struct lapic *lapic)
{
	timer_init(&lapic->timer, lapic_timer_fire, lapic);	/* in its owner's list: it goes where the vCPU goes */
	lapic->timer.payer = lapic->clock->payer;
}
