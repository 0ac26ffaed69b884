/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The instruction that caused this exit, decoded: read through the guest's page tables into a private copy
 * and decoded from the copy only, so that another processor can change neither under our hands.
 *
 * Two memories make the common case short, and neither is ever trusted: a translation is used again only
 * while every page-table word it came from is unchanged (struct fetch_memo), a decoding only while the very
 * same bytes stand at the same RIP (struct insn_cache in hv/vcpu.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/virt/insn.h"

#define FETCH_MEMOS	4U	/* by page number */
#define FETCH_LEVELS	4U

/* Where a page of 64-bit code was found: pointers into guest RAM, valid while the VM lives (hv/gpm.h). */
struct fetch_memo {
	uint64_t                 cr3, page;
	const uint8_t           *code;			/* NULL: not in use */
	size_t                   count;
	const volatile uint64_t *entry[FETCH_LEVELS];	/* the page-table words of the walk */
	uint64_t                 word[FETCH_LEVELS];	/* and what they held */
};

enum fetch_result {
	FETCH_OK,	/* *insn is the instruction at vcpu->exit_rip, valid until the next fetch */
	FETCH_FAULT,	/* its bytes are not there (any more): #PF was queued, resume the guest */
	FETCH_BAD,	/* no instruction of this mode, or not in RAM */
};

struct vcpu;
enum fetch_result fetch_insn(struct vcpu *vcpu, const struct insn **insn);

/* One log line with the bytes and the text of that instruction, before the VM is stopped for it. */
void fetch_log(struct vcpu *vcpu, const char *why);
