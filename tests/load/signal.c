/* SPDX-License-Identifier: MIT */
/*
 * Signals that queue, from each worker to a child of its own that computes meanwhile: each must arrive, once, in order,
 * and must not disturb the computation that it interrupts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

struct sums {
	uint64_t seed;
	unsigned rounds;
	struct {
		uint64_t heard, computed;
		_Atomic int is_listening;
	} of[WORKERS];
};

static volatile uint64_t heard;
static volatile unsigned heard_count;

static void hear(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	heard = mix(heard, (uint32_t)info->si_value.sival_int);
	heard_count++;
}

static uint64_t compute(uint64_t sum)
{
	for (unsigned i = 0; i < 1000; i++)
		sum = mix(sum, i);
	return sum;
}

static void listen_to(struct sums *sums, unsigned worker)
{
	struct sigaction action = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO};
	volatile uint64_t at_start = mix(sums->seed, worker);	/* else one sum would do for both */
	uint64_t computed = at_start;

	need(!sigaction(SIGRTMIN, &action, NULL), "sigaction");
	atomic_store(&sums->of[worker].is_listening, 1);
	while (heard_count < sums->rounds)
		if ((computed = compute(at_start)) != compute(at_start))
			fail("a signal has changed a sum");
	sums->of[worker].heard = heard;
	sums->of[worker].computed = computed;
}

static void work(unsigned worker, void *argument)
{
	struct sums *sums = argument;
	pid_t pid = fork();
	int status;

	need(pid >= 0, "fork");
	if (!pid) {
		listen_to(sums, worker);
		_exit(0);
	}
	while (!atomic_load(&sums->of[worker].is_listening))
		sched_yield();
	for (unsigned round = 0; round < sums->rounds; round++) {
		union sigval value = {.sival_int = (int)mix(sums->seed + worker, round)};

		while (sigqueue(pid, SIGRTMIN, value)) {
			need(errno == EAGAIN, "sigqueue");	/* the queue is full */
			sched_yield();
		}
	}
	need(waitpid(pid, &status, 0) == pid && !status, "the child that listens");
}

uint64_t signal_part(uint64_t seed, unsigned rounds)
{
	struct sums *sums = shared_memory(sizeof *sums);

	sums->seed = seed;
	sums->rounds = rounds;
	in_processes(work, sums);
	for (unsigned worker = 0; worker < WORKERS; worker++)
		seed = mix(mix(seed, sums->of[worker].heard), sums->of[worker].computed);
	return seed;
}
