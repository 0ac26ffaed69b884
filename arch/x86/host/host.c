/* SPDX-License-Identifier: MIT */
/* What hv/ asks of the machine and no other file here answers by itself (contract in hv/host.h). */
#include "hv/host.h"

#include <stddef.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/cpu_init.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/kick.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/tsc.h"
#include "arch/x86/hw/insn.h"

void host_init(void)
{
	cpu_init_boot(0);
}

void host_init_memory(const struct handoff *handoff)
{
	paging_init(handoff);
}

void host_init_clock(const struct handoff *handoff)
{
	tsc_init();
	host_lapic_init();
	host_ioapic_init(handoff->rsdp);
	kick_init();
}

bool host_is_virtual(void)
{
	return cpu_features.has_hypervisor;
}

void host_halt(void)
{
	cpu_stop();
}

struct processor *host_processor(void)
{
	return &this_cpu()->processor;
}

void host_take_interrupts(void)
{
	cpu_open_irq();
}

/* Apart: a backtrace of an idle processor names it, and the watchdog's boot rows find the place by that (tests/boot/test_broken.py). */
__attribute__((noinline)) void host_idle(void)
{
	if (!this_cpu()->attention)
		cpu_wait_irq();
}

void host_pause(void)
{
	cpu_pause();
}

host_random_fn *host_random_source(unsigned n)
{
	host_random_fn *sources[2];
	unsigned count = 0;

	if (cpu_features.has_rdseed)
		sources[count++] = rdseed64;
	if (cpu_features.has_rdrand)
		sources[count++] = rdrand64;
	return n < count ? sources[n] : NULL;
}
