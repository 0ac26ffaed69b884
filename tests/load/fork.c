/* SPDX-License-Identifier: MIT */
/*
 * A storm of forks: each worker starts one child after the other. A child changes pages that it has in common with its
 * parent until it writes to them, says through a pipe and its exit status what came of it, and has changed nothing here.
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

enum { PAGES = 8, STATUS_MASK = 0x7f };

struct sums {
	uint64_t seed;
	unsigned rounds;
	uint64_t of[WORKERS];
};

static uint64_t pages[PAGES][PAGE / sizeof(uint64_t)];

static uint64_t sum_of_pages(uint64_t sum)
{
	for (unsigned page = 0; page < PAGES; page++)
		sum = mix(sum, pages[page][sum % (PAGE / sizeof(uint64_t))]);
	return sum;
}

__attribute__((noreturn)) static void child(uint64_t seed, int pipe_in)
{
	uint64_t sum;

	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < PAGE / sizeof(uint64_t); i += 8)
			pages[page][i] = mix(seed, pages[page][i]);
	sum = sum_of_pages(seed);
	need(write(pipe_in, &sum, sizeof sum) == sizeof sum, "write");
	_exit(sum & STATUS_MASK);
}

static uint64_t fork_one(uint64_t seed)
{
	uint64_t sum;
	int ends[2], status;
	pid_t pid;

	need(!pipe(ends), "pipe");
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid)
		child(seed, ends[1]);
	need(read(ends[0], &sum, sizeof sum) == sizeof sum, "read");
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	need(!close(ends[0]) && !close(ends[1]), "close");
	if (!WIFEXITED(status) || (unsigned)WEXITSTATUS(status) != (sum & STATUS_MASK))
		fail("a child's status is %#x, its sum %#llx", (unsigned)status, (unsigned long long)sum);
	return sum;
}

static void work(unsigned worker, void *argument)
{
	struct sums *sums = argument;
	uint64_t sum = mix(sums->seed, worker);

	for (unsigned round = 0; round < sums->rounds; round++)
		sum = mix(sum_of_pages(sum), fork_one(sum));
	sums->of[worker] = sum;
}

uint64_t fork_part(uint64_t seed, unsigned rounds)
{
	struct sums *sums = shared_memory(sizeof *sums);

	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < PAGE / sizeof(uint64_t); i++)
			pages[page][i] = mix(seed + page, i);
	sums->seed = seed;
	sums->rounds = rounds;
	in_processes(work, sums);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		seed = mix(seed, sums->of[worker]);
	return seed;
}
