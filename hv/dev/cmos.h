/* SPDX-License-Identifier: MIT */
#pragma once
/* The sizes of memory that old kernels read from the clock's memory. */
#include <stdint.h>

/* bytes: all 128 of them. low, above_4g: bytes of RAM below 4 GiB and above. */
void cmos_fill(uint8_t *bytes, uint64_t low, uint64_t above_4g);
