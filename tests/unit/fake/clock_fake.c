/* SPDX-License-Identifier: MIT */
#include "clock_fake.h"

#include "hv/vm_clock.h"

uint64_t fake_now = 1000;
uint64_t fake_hz = FAKE_HZ;
struct vm_clock fake_clock = { .is_running = true };

uint64_t time_now(void)
{
	return fake_now;
}

uint64_t time_hz(void)
{
	return fake_hz;
}

void clock_advance(uint64_t ticks)
{
	uint64_t end = fake_now + ticks;

	while (timer_next() <= end) {
		if (timer_next() > fake_now)
			fake_now = timer_next();
		timer_run_due();
	}
	fake_now = end;
}

void clock_jump(uint64_t ticks)
{
	fake_now += ticks;
	timer_run_due();
}
