/* SPDX-License-Identifier: MIT */
/*
 * load SEED [TIMES]: everything that a kernel and its processors do for each other, all at once; a program for the
 * Debian guest, and for the computer that builds it. Each part is a process with workers of its own. Lines:
 *
 *	LOAD name NUMBER	for each part
 *	LOAD END NUMBER		of all of them: the same for a seed wherever it runs, on however many processors
 *	LOAD FAIL name why	something that must never be seen; the status is 1
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

/* Rounds that take each part a second or two, on one processor in Bochs. An unmapped page waits for a turn of every vCPU. */
static const struct {
	const char *name;
	part_fn *run;
	unsigned rounds;
} parts[] = {
	{"memory", memory_part, 30},
	{"fork", fork_part, 20},
	{"futex", futex_part, 200},
	{"signal", signal_part, 300},
	{"timer", timer_part, 50},
	{"clock", clock_part, 20},
	{"unmap", unmap_part, 15},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

static pid_t start(unsigned part, uint64_t seed, unsigned times, uint64_t *result)
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_NAME, parts[part].name);
		*result = parts[part].run(mix(seed, part), parts[part].rounds * times);
		_exit(0);
	}
	return pid;
}

int main(int count, char **words)
{
	uint64_t seed = count > 1 ? strtoull(words[1], NULL, 0) : 1, sum = seed;
	unsigned times = count > 2 ? (unsigned)strtoul(words[2], NULL, 0) : 1, failed = 0;
	uint64_t *results = shared_memory(PARTS * sizeof *results);
	pid_t pids[PARTS];

	for (unsigned part = 0; part < PARTS; part++)
		pids[part] = start(part, seed, times, &results[part]);
	for (unsigned part = 0; part < PARTS; part++) {
		int status;

		need(waitpid(pids[part], &status, 0) == pids[part], "waitpid");
		failed += status != 0;
		sum = mix(sum, results[part]);
		dprintf(1, "LOAD %s %016llx\n", parts[part].name, (unsigned long long)results[part]);
	}
	if (failed) {
		dprintf(1, "LOAD FAIL main %u of %u parts have failed\n", failed, PARTS);
		return 1;
	}
	dprintf(1, "LOAD END %016llx\n", (unsigned long long)sum);
	return 0;
}
