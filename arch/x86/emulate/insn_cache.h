/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU keeps of the instructions that caused its exits (fetch.h reads and fills it).
 *
 * What was found at a RIP is remembered, and never trusted: the translation holds only while CR3
 * and every page-table word the walk went through are unchanged, the decoding only while the very
 * same bytes stand there in the same mode. Checking that is some forty instructions; a walk and a
 * decoding are thousands.
 */
#include <stdint.h>

#include "arch/x86/emulate/insn.h"

#define INSN_CACHE_SLOTS 16U	/* by low bits of RIP */
#define FETCH_LEVELS	4U	/* page-table words of a 64-bit walk, at most */

struct insn_cache {
	uint64_t       rip;
	uint64_t       cr3;
	const uint8_t *code;				/* in guest RAM; NULL: walk each time */
	const volatile uint64_t *entry[FETCH_LEVELS];	/* the page-table words of the walk */
	uint64_t       word[FETCH_LEVELS];		/* and what they held */
	uint64_t       bytes[2];			/* INSN_MAX bytes, zero-padded */
	uint8_t        mode;				/* enum insn_mode */
	struct insn    insn;				/* decoded from them; len 0: none */
};
