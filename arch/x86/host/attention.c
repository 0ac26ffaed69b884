/* SPDX-License-Identifier: MIT */
/* What interrupt handlers leave for the run loop, as hv/ sets and reads it (contract in cpu.h and hv/host.h). */
#include "arch/x86/host/cpu.h"
#include "hv/host.h"

void host_attention_set(void)
{
	this_cpu()->attention |= ATTENTION_OTHER;
}

void host_attention_look(bool is_due)
{
	struct cpu *cpu = this_cpu();

	cpu->attention = (uint8_t)(is_due ? cpu->attention | ATTENTION_LOOK : cpu->attention & ~ATTENTION_LOOK);
}

void host_attention_clear(void)
{
	this_cpu()->attention = 0;
}

bool host_attention_is_set(void)
{
	return this_cpu()->attention;
}

bool host_attention_is_look(void)
{
	return this_cpu()->attention == ATTENTION_LOOK;
}

bool host_attention_is_timer(void)
{
	return this_cpu()->attention == ATTENTION_TIMER;
}
