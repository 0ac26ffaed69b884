/* SPDX-License-Identifier: MIT */
#pragma once
/* One inline function per instruction that a unit test replaces; others are in vmx/insn.h, svm/insn.h and hv/time_now.h. */
#include <stdbool.h>
#include <stdint.h>

struct cpuid_regs { uint32_t eax, ebx, ecx, edx; };

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs regs;

	__asm__ volatile("cpuid" : "=a"(regs.eax), "=b"(regs.ebx), "=c"(regs.ecx), "=d"(regs.edx)
			 : "a"(leaf), "c"(subleaf));
	return regs;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return ((uint64_t)hi << 32) | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((uint64_t)hi << 32) | lo;
}

/* The low half alone, for differences below 2^32 ticks. */
static inline uint32_t rdtsc32(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo;
}

#define CR_ACCESSORS(n)								\
static inline uint64_t read_cr##n(void)						\
{										\
	uint64_t val;								\
										\
	__asm__ volatile("mov %%cr" #n ", %0" : "=r"(val) : : "memory");	\
	return val;								\
}										\
static inline void write_cr##n(uint64_t val)					\
{										\
	__asm__ volatile("mov %0, %%cr" #n : : "r"(val) : "memory");		\
}
CR_ACCESSORS(0)
CR_ACCESSORS(2)
CR_ACCESSORS(3)
CR_ACCESSORS(4)
#undef CR_ACCESSORS

#define DR_ACCESSORS(n)								\
static inline uint64_t read_dr##n(void)						\
{										\
	uint64_t val;								\
										\
	__asm__ volatile("mov %%dr" #n ", %0" : "=r"(val));			\
	return val;								\
}										\
static inline void write_dr##n(uint64_t val)					\
{										\
	__asm__ volatile("mov %0, %%dr" #n : : "r"(val));			\
}
DR_ACCESSORS(0)
DR_ACCESSORS(1)
DR_ACCESSORS(2)
DR_ACCESSORS(3)
DR_ACCESSORS(6)
DR_ACCESSORS(7)
#undef DR_ACCESSORS

static inline uint64_t xgetbv(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return ((uint64_t)hi << 32) | lo;
}

static inline void xsetbv(uint32_t index, uint64_t val)
{
	__asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)));
}

static inline void outb(uint16_t port, uint8_t val) { __asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port)); }
static inline void outw(uint16_t port, uint16_t val) { __asm__ volatile("outw %0, %1" : : "a"(val), "Nd"(port)); }

static inline uint8_t inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline void cpu_cli(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void cpu_pause(void) { __asm__ volatile("pause" : : : "memory"); }

/*
 * Wait for an interrupt with none lost in between: STI holds interrupts off for one instruction. Returns
 * with them off.
 */
static inline void cpu_wait_irq(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

/* Take the interrupts that are already pending. NOP, because STI holds interrupts back for one instruction. */
static inline void cpu_open_irq(void) { __asm__ volatile("sti; nop; cli" : : : "memory"); }

/* Only an NMI (or a machine check, INIT, SMI) ends it. */
static inline void cpu_halt(void) { __asm__ volatile("cli; hlt" : : : "memory"); }

/* Run our NMI handler, whose IRET lets the next NMI in. */
static inline void cpu_take_nmi(void) { __asm__ volatile("int $2" : : : "memory"); }

/* Stores are seen by others before what follows: a WRMSR to the x2APIC waits for none (SDM vol. 3, 11.12.3). */
static inline void cpu_fence(void) { __asm__ volatile("mfence; lfence" : : : "memory"); }

__attribute__((noreturn)) static inline void cpu_stop(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* The segment's type is what it asks for; where CPUID has MD_CLEAR it clears buffers too (host/speculation.c). */
static inline void verw(uint16_t selector)
{
	__asm__ volatile("verw %0" : : "m"(selector) : "cc", "memory");
}

/*
 * RFLAGS behind POPFQ, an ADD of this addend, and CMPXCHG16B (callers checked CPUID): the addend must leave no trace in
 * the bits that ADD does not compute.
 */
static inline uint64_t flags_behind_cmpxchg16b(uint64_t addend)
{
	__attribute__((aligned(16))) uint64_t pair[2] = { 0 };
	uint64_t flags = 0, low = 0, high = 0;

	__asm__ volatile("pushfq; popfq; add %[addend], %[flags]; cmpxchg16b %[pair]; pushfq; pop %[flags]"
			 : [flags] "+&r"(flags), [pair] "+m"(pair), "+a"(low), "+d"(high)
			 : [addend] "r"(addend), "b"(0UL), "c"(0UL) : "cc", "memory");
	return flags;
}

/* Hardware random numbers: false when the processor has none or ran dry (callers checked CPUID). */
static inline bool rdrand64(uint64_t *val)
{
	bool ok;

	__asm__ volatile("rdrand %0; setc %1" : "=r"(*val), "=qm"(ok) : : "cc");
	return ok;
}

static inline bool rdseed64(uint64_t *val)
{
	bool ok;

	__asm__ volatile("rdseed %0; setc %1" : "=r"(*val), "=qm"(ok) : : "cc");
	return ok;
}
