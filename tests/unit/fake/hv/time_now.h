/* SPDX-License-Identifier: MIT */
#pragma once
/* The time that each test makes. */
#include <stdint.h>

uint64_t time_now(void);
