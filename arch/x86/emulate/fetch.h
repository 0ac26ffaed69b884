/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The instruction that caused this exit, decoded: read through the guest's page tables into a
 * private copy and decoded from the copy only, because another vCPU may change the guest's bytes at any time.
 * What was found at a RIP is remembered (insn_cache.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/emulate/insn.h"
#include "arch/x86/emulate/insn_cache.h"
#include "arch/x86/exit/exit.h"

enum fetch_result {
	FETCH_OK,	/* *insn is the instruction at vcpu->exit.rip, valid until the next fetch */
	FETCH_FAULT,	/* its bytes are not there (any more): #PF was queued, resume the guest */
	FETCH_UNDEFINED,/* its bytes were read, and they are no instruction of this mode: #UD */
	FETCH_AGAIN,	/* they lay in RAM that nobody had touched, and that has memory now: resume the guest */
	FETCH_UNREADABLE,/* not in RAM: nobody knows what stands there */
};

struct vcpu;
enum fetch_result fetch_insn(struct vcpu *vcpu, const struct insn **insn);

/* The slot that fetch_insn answered from: the bytes that were decoded, and the mode. */
static inline const struct insn_cache *fetch_slot(const struct insn *insn)
{
	return (const void *)((const char *)insn - offsetof(struct insn_cache, insn));
}

/*
 * What a handler answers when fetch_insn was not FETCH_OK: the exception the processor would have
 * raised, or the end of the VM, with `what` and code as its reason, where there is none.
 */
enum exit_result fetch_failed(struct vcpu *vcpu, enum fetch_result fetched, const char *what,
			      uint64_t code);

/* One log line with the bytes and the text of that instruction, before the VM is stopped for it. */
void fetch_log(struct vcpu *vcpu, const char *why);
