/* SPDX-License-Identifier: MIT */
/*
 * Pages that are taken away while others write to them: threads write all the time; the first makes the pages read-only,
 * looks for a while, and gives them back to the kernel. A processor that was not told (a flush of its TLB that was lost) would
 * write on: into what is looked at, or into a page that by then belongs to another process.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "load.h"

enum { PAGES = 4, LOOKS = 500 };

struct target {
	_Atomic uint64_t (*pages)[PAGE / sizeof(uint64_t)];
	_Atomic int is_over;
	unsigned rounds;
};

static void wait_for_page(int number)
{
	const struct timespec pause = {.tv_nsec = 50000};

	(void)number;
	nanosleep(&pause, NULL);	/* then the write is tried again */
}

static void write_all(struct target *target, unsigned worker)
{
	for (uint64_t i = 0; !atomic_load(&target->is_over); i++)
		for (unsigned page = 0; page < PAGES; page++)
			atomic_store_explicit(&target->pages[page][worker], i, memory_order_relaxed);
}

static void take_away(struct target *target, unsigned round)
{
	_Atomic uint64_t *page = target->pages[round % PAGES];
	uint64_t seen[WORKERS];

	need(!mprotect(page, PAGE, PROT_READ), "mprotect");
	for (unsigned i = 0; i < WORKERS; i++)
		seen[i] = atomic_load(&page[i]);
	for (unsigned i = 0; i < LOOKS * WORKERS; i++)
		if (atomic_load(&page[i % WORKERS]) != seen[i % WORKERS])
			fail("a read-only page was written to");
	need(!madvise(page, PAGE, MADV_DONTNEED), "madvise");
	for (unsigned i = 0; i < WORKERS; i++)
		if (atomic_load(&page[i]))
			fail("a new page is not zero");
	need(!mprotect(page, PAGE, PROT_READ | PROT_WRITE), "mprotect");
}

static void work(unsigned worker, void *argument)
{
	struct target *target = argument;

	if (worker) {
		write_all(target, worker);
		return;
	}
	for (unsigned round = 0; round < target->rounds; round++) {
		move_to(round);
		take_away(target, round);
	}
	atomic_store(&target->is_over, 1);
}

uint64_t unmap_part(uint64_t seed, unsigned rounds)
{
	struct target target = {.rounds = rounds};
	struct sigaction action = {.sa_handler = wait_for_page};

	target.pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(target.pages != MAP_FAILED, "mmap");
	need(!sigaction(SIGSEGV, &action, NULL), "sigaction");
	in_threads(work, &target);
	return mix(seed, rounds);
}
