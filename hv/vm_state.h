/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All that a guest can see, in one list of sections (hv/state.h), and the clock that stands while it is saved or
 * loaded. Guest memory is not in it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "hv/state.h"

struct vm;

/* The VM's clock goes on, or stands; its devices' timers and the guest's TSC follow. */
void vm_run_clock(struct vm *vm);
void vm_stop_clock(struct vm *vm);

size_t vm_state_size(struct vm *vm);
/* The clock stands. Bytes written, or 0: no room, or the clock runs. */
size_t vm_save(struct vm *vm, void *buffer, size_t room);
/*
 * For tests: set all state to zero, so that afterwards only what a saved state holds is there. The clock
 * stands, no vCPU is loaded.
 */
void vm_wipe(struct vm *vm);

/* The clock stands. False: nothing has changed, *error says why. */
__attribute__((warn_unused_result))
bool vm_load(struct vm *vm, const void *buffer, size_t len, struct state_error *error);
