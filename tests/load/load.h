/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the load share (main.c has their table). A part starts processes or threads of its own, WORKERS
 * at least whatever the machine has, and returns a number that its seed and the count of rounds alone decide: not the
 * order in which the workers were run, nor the number of processors. What must never be seen ends it through fail().
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { WORKERS = 4, PAGE = 4096 };

typedef uint64_t part_fn(uint64_t seed, unsigned rounds);

part_fn memory_part, fork_part, futex_part, signal_part, timer_part, clock_part, unmap_part;

uint64_t mix(uint64_t hash, uint64_t word);

/* "LOAD FAIL part why", and the end of this process with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
/* `ok`, or the end through fail() with the name of what did not work, and errno. */
void need(int ok, const char *what);

void *shared_memory(size_t size);

/* Runs `work(worker, argument)` in a process, or a thread, for each worker, all at once; returns when all have ended. */
void in_processes(void (*work)(unsigned worker, void *argument), void *argument);
void in_threads(void (*work)(unsigned worker, void *argument), void *argument);

/* Moves the caller to one processor after the other: `step` says to which. One that is offline is left out. */
void move_to(unsigned step);
