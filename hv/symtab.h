/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The names of our own functions, for backtraces.
 *
 * Written by scripts/mksymtab from the first of two links of hv.elf (empty in that first one) and sorted by
 * address: the function that contains an address is the last entry not above it.
 */
#include <stdint.h>

struct hv_symbol {
	uint64_t    address;
	const char *name;
};

extern const struct hv_symbol hv_symtab[];
extern const uint32_t hv_symtab_count;
