/* SPDX-License-Identifier: MIT */
/* A processor for host tests (contract in cpu_fake.h). */
#include "cpu_fake.h"

#include <asm/prctl.h>
#include <assert.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct cpu cpu_fake;

void cpu_fake_install(void)
{
	long failed;

	memset(&cpu_fake, 0, sizeof(cpu_fake));
	cpu_fake.self = &cpu_fake;
	failed = syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu_fake);
	assert(!failed);
}
