/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The names of our own functions, for backtraces. There are some 1,500, and the table stays in memory: so it holds no
 * addresses and no pointers, but distances in half as many bytes.
 *
 * Written by scripts/mksymtab from the first of two links of hv.elf (empty in that first one) and sorted by
 * address: the function that contains an address is the last entry not above it.
 */
#include <stdint.h>

struct hv_symbol {
	uint32_t offset;	/* from the start of the code */
	uint32_t name;		/* where it begins in hv_symtab_names */
};

extern const struct hv_symbol hv_symtab[];
extern const char hv_symtab_names[];
extern const uint32_t hv_symtab_count;
