/* SPDX-License-Identifier: MIT */
/* A processor's registers for host tests; contract in insn_fake.h. */
#include "insn_fake.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/host/fixup.h"
#include "arch/x86/svm/insn.h"
#include "hv/lib/util.h"

struct insn_fake insn_fake;
struct fake_svm fake_svm;

void insn_fake_init(void)
{
	memset(&insn_fake, 0, sizeof(insn_fake));
}

static struct fake_msr *find(uint32_t msr)
{
	for (unsigned i = 0; i < insn_fake.msr_count; i++)
		if (insn_fake.msrs[i].msr == msr)
			return &insn_fake.msrs[i];
	return NULL;
}

struct fake_msr *insn_fake_msr(uint32_t msr)
{
	struct fake_msr *found = find(msr);

	if (found)
		return found;
	assert(insn_fake.msr_count < countof(insn_fake.msrs));
	found = &insn_fake.msrs[insn_fake.msr_count++];
	found->msr = msr;
	return found;
}

/* ---- MSRs ---- */

bool rdmsr_safe(uint32_t msr, uint64_t *val)
{
	struct fake_msr *found = find(msr);

	*val = 0;
	if (!found)
		return false;
	found->reads++;
	*val = found->val;
	return true;
}

bool wrmsr_safe(uint32_t msr, uint64_t val)
{
	struct fake_msr *found = find(msr);

	if (!found || found->is_locked)
		return false;
	found->writes++;
	found->val = val;
	return true;
}

static void must(bool is_done, const char *what, uint32_t msr)
{
	if (is_done)
		return;
	fprintf(stderr, "%s of MSR %#x: #GP\n", what, msr);
	abort();
}

uint64_t rdmsr(uint32_t msr)
{
	uint64_t val;

	must(rdmsr_safe(msr, &val), "RDMSR", msr);
	return val;
}

void wrmsr(uint32_t msr, uint64_t val) { must(wrmsr_safe(msr, val), "WRMSR", msr); }

/* ---- Registers ---- */

#define ACCESSORS(name, reg)					\
uint64_t read_##name(void) { return insn_fake.reg; }		\
void write_##name(uint64_t val) { insn_fake.reg = val; }
ACCESSORS(cr0, cr0)
ACCESSORS(cr2, cr2)
ACCESSORS(cr3, cr3)
ACCESSORS(cr4, cr4)
ACCESSORS(dr0, dr[0])
ACCESSORS(dr1, dr[1])
ACCESSORS(dr2, dr[2])
ACCESSORS(dr3, dr[3])
ACCESSORS(dr6, dr[6])
ACCESSORS(dr7, dr[7])

uint64_t xgetbv(uint32_t index)
{
	assert(index == 0);
	return insn_fake.xcr0;
}

void xsetbv(uint32_t index, uint64_t val)
{
	assert(index == 0 && val & 1);		/* x87 is always on */
	insn_fake.xcr0 = val;
}

uint64_t rdtsc(void)
{
	if (!insn_fake.tsc_step)
		return __builtin_ia32_rdtsc();
	return insn_fake.tsc += insn_fake.tsc_step;
}

uint32_t rdtsc32(void) { return (uint32_t)rdtsc(); }

struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs regs;

	if (insn_fake.cpuid)
		return insn_fake.cpuid(leaf, subleaf);
	__asm__ volatile("cpuid" : "=a"(regs.eax), "=b"(regs.ebx), "=c"(regs.ecx), "=d"(regs.edx) : "a"(leaf), "c"(subleaf));
	return regs;
}

/* ---- Ports, waiting, random numbers ---- */

void outb(uint16_t port, uint8_t val) { insn_fake.out(port, 1, val); }
void outw(uint16_t port, uint16_t val) { insn_fake.out(port, 2, val); }
uint8_t inb(uint16_t port) { return (uint8_t)insn_fake.in(port, 1); }
uint32_t inl(uint16_t port) { return insn_fake.in(port, 4); }

void cpu_cli(void) {}
void cpu_pause(void) { insn_fake.pauses++; }
void cpu_take_nmi(void) { insn_fake.nmis++; }
void verw(uint16_t selector) { insn_fake.verws += selector != 0; }
void cpu_wait_irq(void) { insn_fake.wait_irqs++; }
void cpu_open_irq(void) { insn_fake.open_irqs++; }
void cpu_fence(void) {}
void cpu_halt(void) { insn_fake.halt(); }

void cpu_stop(void)
{
	insn_fake.stop();
	abort();
}

uint64_t flags_behind_cmpxchg16b(uint64_t addend) { return insn_fake.garbles_flags ? addend : 0; }
bool rdrand64(uint64_t *val) { *val = 0; return false; }
bool rdseed64(uint64_t *val) { *val = 0; return false; }
