/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Instructions that may fault on some processors: a table of (instruction, landing place) for the #GP and #UD
 * handlers.
 */
#include <stdbool.h>
#include <stdint.h>

__attribute__((warn_unused_result)) bool rdmsr_safe(uint32_t msr, uint64_t *val);
__attribute__((warn_unused_result)) bool wrmsr_safe(uint32_t msr, uint64_t val);

uint64_t fixup_find(uint64_t rip);	/* where to go on after a fault at rip; 0: no fault is expected there */
