/* SPDX-License-Identifier: MIT */
#pragma once
/* Which events are faults, and what becomes of two. Pure. */
#include <stdbool.h>

#include "arch/x86/virt/cpu_state.h"

/*
 * A fault pushes RFLAGS with RF set, so that a breakpoint on the instruction does not strike again when it is
 * executed anew. Traps, aborts, #DB and everything that is no exception push RF as it is (SDM vol. 3, 18.3.1.1
 * "Instruction-Breakpoint Exception Condition").
 */
bool vevent_is_fault(const struct vevent *event);

/*
 * A second event while one is pending (SDM vol. 3, 6.15, table 6-5 "Conditions for Generating a Double
 * Fault"): replaces it, becomes #DF, or is a triple fault (returns false).
 */
__attribute__((warn_unused_result)) bool vevent_combine(struct vevent *pending, const struct vevent *second);
