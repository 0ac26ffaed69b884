/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer in its three modes (SDM vol. 3, "APIC Timer"). Counts run at LAPIC_TIMER_HZ and are
 * never counted: the current count follows from the guest's TSC. lapic_deadline_write is a path we measure.
 */
#include "hv/dev/lapic_regs.h"

#include "hv/lib/util.h"

#define DIVIDE_BITS	0x0bU
#define PERIODS_PER_SECOND_MAX 20000U	/* a shorter period would leave the processor nothing but this timer */

/* SDM vol. 3, figure "Divide Configuration Register": bits 3, 1, 0 count from "by 2", the last is "by 1". */
static unsigned divide_shift(const struct lapic *lapic)
{
	unsigned code = (lapic->timer_divide & 3U) | (lapic->timer_divide >> 1 & 4U);

	return (code + 1) & 7U;
}

static uint64_t guest_tsc(const struct lapic *lapic)
{
	return lapic->env->guest_tsc(lapic->ctx);
}

/* Guest TSC for so many counts, and the reverse. */
static uint64_t counts_to_tsc(const struct lapic *lapic, uint64_t counts)
{
	return mul_div64(counts << divide_shift(lapic), time_hz(), LAPIC_TIMER_HZ);
}

static uint64_t tsc_to_counts(const struct lapic *lapic, uint64_t tsc)
{
	return mul_div64(tsc, LAPIC_TIMER_HZ, time_hz()) >> divide_shift(lapic);
}

static bool is_mode(const struct lapic *lapic, uint32_t mode)
{
	return (lapic->lvt[LVT_TIMER] & LVT_TIMER_MODE) == mode;
}

static uint64_t timer_period(const struct lapic *lapic)
{
	return max_u64(counts_to_tsc(lapic, lapic->timer_initial), time_hz() / PERIODS_PER_SECOND_MAX);
}

static void arm_at(struct lapic *lapic, uint64_t tsc)
{
	timer_arm(&lapic->timer, lapic->env->host_deadline(lapic->ctx, tsc));
}

/* One-shot or periodic, from timer_start. */
static void arm_count(struct lapic *lapic)
{
	if (!lapic->timer_initial)
		timer_disarm(&lapic->timer);
	else if (is_mode(lapic, LVT_PERIODIC))
		arm_at(lapic, lapic->timer_start + timer_period(lapic));
	else
		arm_at(lapic, lapic->timer_start + counts_to_tsc(lapic, lapic->timer_initial));
}

/* Whole periods that went by unseen are one interrupt, and the phase stays. */
static void next_period(struct lapic *lapic)
{
	uint64_t period = timer_period(lapic);
	uint64_t passed = (guest_tsc(lapic) - lapic->timer_start) / period;

	lapic->timer_start += max_u64(passed, 1) * period;
	arm_count(lapic);
}

static void lapic_timer_fire(void *ctx)
{
	struct lapic *lapic = ctx;
	uint32_t lvt = lapic->lvt[LVT_TIMER];

	if (is_mode(lapic, LVT_DEADLINE))
		lapic->tsc_deadline = 0;
	else if (is_mode(lapic, LVT_PERIODIC))
		next_period(lapic);
	if (!(lvt & LVT_MASKED))
		lapic_post(lapic, (uint8_t)lvt, false);
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
	uint64_t initial = lapic->timer_initial, counts;

	if (!initial || is_mode(lapic, LVT_DEADLINE))
		return 0;
	counts = tsc_to_counts(lapic, guest_tsc(lapic) - lapic->timer_start);
	if (is_mode(lapic, LVT_PERIODIC))
		counts %= initial;
	return (uint32_t)(counts < initial ? initial - counts : 0);
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t count)
{
	if (is_mode(lapic, LVT_DEADLINE))
		return;
	lapic->timer_initial = count;
	lapic->timer_start = guest_tsc(lapic);
	arm_count(lapic);
}

/* What is left of a running count goes on at the new speed. */
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
	uint32_t left = lapic_timer_current(lapic);

	lapic->timer_divide = value & DIVIDE_BITS;
	if (!left)
		return;
	lapic->timer_start = guest_tsc(lapic) - counts_to_tsc(lapic, lapic->timer_initial - left);
	arm_count(lapic);
}

void lapic_timer_set_lvt(struct lapic *lapic, uint32_t lvt)
{
	uint32_t changed = (lapic->lvt[LVT_TIMER] ^ lvt) & LVT_TIMER_MODE;
	bool is_running = timer_is_armed(&lapic->timer);

	lapic->lvt[LVT_TIMER] = lvt;
	if (changed & LVT_DEADLINE) {
		lapic_timer_reset(lapic);	/* into or out of TSC-deadline mode: disarmed */
	} else if (changed && is_running) {
		arm_count(lapic);
	}
}

uint64_t lapic_deadline_read(const struct lapic *lapic)
{
	return lapic->tsc_deadline;
}

void lapic_deadline_write(struct lapic *lapic, uint64_t tsc)
{
	if (!is_mode(lapic, LVT_DEADLINE))
		return;
	lapic->tsc_deadline = tsc;
	if (tsc)
		arm_at(lapic, tsc);
	else
		timer_disarm(&lapic->timer);
}

void lapic_timer_reset(struct lapic *lapic)
{
	timer_disarm(&lapic->timer);
	lapic->timer_initial = 0;
	lapic->tsc_deadline = 0;
}

void lapic_timer_init(struct lapic *lapic)
{
	timer_init(&lapic->timer, lapic_timer_fire, lapic);
}
