/* SPDX-License-Identifier: MIT */
#pragma once
/* hv/timer.h's clock for host tests: it stands still until the test moves it. */
#include <stdint.h>

#define FAKE_HZ	2000000000ULL

struct vm_clock;

extern uint64_t fake_now;
extern uint64_t fake_hz;	/* FAKE_HZ unless a test says otherwise */
extern struct vm_clock fake_clock;	/* a VM's clock that shows fake_now */

/* Move on in steps of at most one timer deadline, firing what falls due at its exact time. */
void clock_advance(uint64_t ticks);
/* The same in one jump, as if the VM had not run meanwhile: timers are late. */
void clock_jump(uint64_t ticks);

static inline uint64_t fake_us(uint64_t us) { return us * (FAKE_HZ / 1000000); }
