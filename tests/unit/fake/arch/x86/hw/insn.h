/* SPDX-License-Identifier: MIT */
#pragma once
/* Stand-ins for the instructions of the real header, over the registers of tests/unit/fake/insn_fake.h. */
#include <stdbool.h>
#include <stdint.h>

struct cpuid_regs { uint32_t eax, ebx, ecx, edx; };

struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t val);
uint64_t rdtsc(void);
uint32_t rdtsc32(void);

#define ACCESSORS(reg) uint64_t read_##reg(void); void write_##reg(uint64_t val);
ACCESSORS(cr0) ACCESSORS(cr2) ACCESSORS(cr3) ACCESSORS(cr4)
ACCESSORS(dr0) ACCESSORS(dr1) ACCESSORS(dr2) ACCESSORS(dr3) ACCESSORS(dr6) ACCESSORS(dr7)
#undef ACCESSORS

uint64_t xgetbv(uint32_t index);
void xsetbv(uint32_t index, uint64_t val);

void outb(uint16_t port, uint8_t val);
void outw(uint16_t port, uint16_t val);
uint8_t inb(uint16_t port);
uint32_t inl(uint16_t port);

void verw(uint16_t selector);
void cpu_cli(void);
void cpu_pause(void);
void cpu_wait_irq(void);
void cpu_open_irq(void);
void cpu_halt(void);
void cpu_fence(void);
void cpu_take_nmi(void);
__attribute__((noreturn)) void cpu_stop(void);

uint64_t flags_behind_cmpxchg16b(uint64_t addend);
bool rdrand64(uint64_t *val);
bool rdseed64(uint64_t *val);
