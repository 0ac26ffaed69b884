/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Why a guest stopped, and what we do about it: what the dispatcher and every handler know. One exit is one row: a
 * vendor's table maps the reason to a name and a handler; handlers are neutral (handlers.h), one file per family, and
 * say what happens to RIP. Only the dispatcher (dispatch.c) moves it.
 */
#include <stdint.h>

struct vcpu;

enum exit_result {
	EXIT_RESUME,	/* run the guest again at the same RIP */
	EXIT_SKIP,	/* the instruction was emulated: step over it, then run */
	EXIT_STOP,	/* leave the run loop: the turn is over, or the VM was stopped; RIP stays */
	EXIT_SKIP_STOP,	/* emulated, and leave the run loop (HLT) */
	EXIT_GO_ON,	/* nothing is decided yet: a helper says so to its handler, never a handler to the dispatcher */
};

typedef enum exit_result exit_fn(struct vcpu *vcpu);

struct exit_row {
	const char *name;	/* as the manual spells it */
	exit_fn    *handle;	/* NULL: our controls never ask for this exit, so it ends the VM */
};

/* A vendor's rows. Dense: enter turns whatever the processor says into an index that is in range. */
struct exit_table { const struct exit_row *rows; uint32_t count; };

/* The chosen vendor's name for a row; "unnamed exit" when it has none. */
const char *exit_name(uint32_t reason);

/*
 * Something got done although RIP stays: memory was mapped, REP steps were made, an exception was injected, a host
 * interrupt taken. Handlers that answer EXIT_RESUME say so, or the dispatcher takes them for an endless loop.
 */
void exit_progress(struct vcpu *vcpu);

/* Stop this VM with a full dump by name; `what` and code explain. Returns EXIT_STOP. */
enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code);

/* A handler too, and the end that an exception comes to when it cannot be delivered. */
exit_fn exit_triple_fault;
