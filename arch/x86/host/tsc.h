/* SPDX-License-Identifier: MIT */
#pragma once
/* Measuring the time-stamp counter. Reading it is hv/timer.h: time_now, time_hz. */
#include <stdint.h>

void tsc_init(void);		/* measures, in 30 ms, and reads the date; the first time_hz() does it if nobody did before */
