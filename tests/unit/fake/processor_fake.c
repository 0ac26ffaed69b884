/* SPDX-License-Identifier: MIT */
/* Processors for host tests (contract in processor_fake.h). */
#include "processor_fake.h"

#include "hv/host.h"

struct processor processors_fake[PROCESSORS];

static unsigned running;

void processor_fake_run_on(unsigned index)
{
	running = index;
}

struct processor *host_processor(void)
{
	return &processors_fake[running];
}
