/* SPDX-License-Identifier: MIT */
/* What all parts use: processes and threads that work at once, memory that they share, and an end with a reason. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

/* Each bit of both decides about half of those of the result; the two do not change places, nor cancel each other. */
uint64_t mix(uint64_t hash, uint64_t word)
{
	uint64_t x = (hash * 0xd1342543de82ef95u + word + 1) * 0x9e3779b97f4a7c15u;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

void fail(const char *format, ...)
{
	char why[160], name[16] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof why, format, arguments);
	va_end(arguments);
	prctl(PR_GET_NAME, name);
	dprintf(1, "LOAD FAIL %s %s\n", name, why);
	_exit(1);
}

void need(int ok, const char *what)
{
	if (!ok)
		fail("%s: %s", what, strerror(errno));
}

void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	need(memory != MAP_FAILED, "mmap");
	return memory;
}

void in_processes(void (*work)(unsigned worker, void *argument), void *argument)
{
	pid_t children[WORKERS];

	for (unsigned worker = 0; worker < WORKERS; worker++) {
		children[worker] = fork();
		need(children[worker] >= 0, "fork");
		if (!children[worker]) {
			work(worker, argument);
			_exit(0);
		}
	}
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		int status;

		need(waitpid(children[worker], &status, 0) == children[worker], "waitpid");
		if (status)
			fail("worker %u has ended with %#x", worker, (unsigned)status);
	}
}

struct order {
	void (*work)(unsigned worker, void *argument);
	void *argument;
	unsigned worker;
};

static void *run_order(void *at)
{
	const struct order *order = at;

	order->work(order->worker, order->argument);
	return NULL;
}

void in_threads(void (*work)(unsigned worker, void *argument), void *argument)
{
	pthread_t threads[WORKERS];
	struct order orders[WORKERS];

	for (unsigned worker = 0; worker < WORKERS; worker++) {
		orders[worker] = (struct order){work, argument, worker};
		need(!pthread_create(&threads[worker], NULL, run_order, &orders[worker]), "pthread_create");
	}
	for (unsigned worker = 0; worker < WORKERS; worker++)
		need(!pthread_join(threads[worker], NULL), "pthread_join");
}

void move_to(unsigned step)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(step % (unsigned)sysconf(_SC_NPROCESSORS_CONF), &set);
	need(!sched_setaffinity(0, sizeof set, &set) || errno == EINVAL, "sched_setaffinity");
}
