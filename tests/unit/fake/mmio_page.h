/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A page of device registers for host tests of drivers: each aligned access of 32 bits to it becomes a call. The page
 * can be neither read nor written; the fault's handler shows the register's value for one instruction.
 */
#include <stdint.h>

/* Map it at an address that is free. The functions are given the offset in the page. */
void mmio_page_map(uint64_t addr, uint32_t (*read)(uint64_t addr), void (*write)(uint64_t addr, uint32_t val));

/* First in each test: the test library has handlers of its own for these signals, which it sets before. */
void mmio_page_arm(void);
