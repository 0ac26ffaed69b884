/* SPDX-License-Identifier: MIT */
/*
 * GDT and TSS. In long mode segments say little: one code and one data segment, and a task-state segment
 * that exists only for its interrupt stack table (SDM vol. 3, 8.7 "Task Management in 64-bit Mode"). NMI,
 * double fault and machine check get stacks of their own, each with an unmapped page below; #DB does not
 * (trap.c says why). Both vendors need TR: VT-x refuses a null host TR, and an exit sets its limit to 67h.
 */
#include "arch/x86/host/gdt.h"

#include <stddef.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/hw/desc.h"
#include "hv/lib/bits.h"
#include "hv/addr.h"
#include "hv/lib/util.h"

#define GDT_ENTRIES	5U		/* null, code, data, and two for the TSS */
#define DESC_TSS	FIELD(47, 40)
#define TSS_AVAILABLE	0x89U			/* present, 64-bit TSS; LTR makes it busy */

#define IST_STACK_SIZE	(8U << 10)
#define STACK_SIZE	(32U << 10)	/* as in start.asm */

/* SDM vol. 3, figure 8-11 "64-Bit TSS Format". Packed: its 64-bit fields lie on 4-byte borders. */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];		/* IST 1 is ist[0] */
	uint64_t reserved2;
	uint16_t reserved3, iomap_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "TSS as the processor reads it");

struct guarded_stack {
	uint8_t guard[PAGE_SIZE];
	uint8_t stack[IST_STACK_SIZE];
} __attribute__((aligned(PAGE_SIZE)));

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* The tables and stacks of one processor. */
struct cpu_tables {
	struct guarded_stack ist[IST_COUNT - 1];
	uint64_t             gdt[GDT_ENTRIES] __attribute__((aligned(16)));
	struct tss           tss __attribute__((aligned(16)));
};

static struct cpu_tables boot_tables;
extern uint8_t boot_stack[], boot_stack_top[];	/* start.asm */

/* What another processor gets, at CPU_AREA + index * CPU_AREA_STRIDE. */
struct cpu_area {
	struct cpu_tables tables;
	struct cpu        cpu;
	uint8_t           guard[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
	uint8_t           stack[STACK_SIZE];
};
_Static_assert(sizeof(struct cpu_area) <= CPU_AREA_STRIDE, "areas of two processors must not meet");
_Static_assert(offsetof(struct cpu_area, guard) % PAGE_SIZE == 0, "stacks are whole pages");

static uint64_t addr_of(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

static void fill_tables(struct cpu_tables *tables)
{
	struct tss *tss = &tables->tss;
	uint64_t *gdt = tables->gdt, base = addr_of(tss), low;

	for (unsigned i = 0; i < countof(tables->ist); i++)
		tss->ist[i] = addr_of(tables->ist[i].stack) + IST_STACK_SIZE;
	tss->iomap_base = sizeof(*tss);		/* behind the limit: no port permission map */

	gdt[HOST_CS / sizeof(gdt[0])] = DESC_CODE64;
	gdt[HOST_DS / sizeof(gdt[0])] = DESC_DATA;
	low = field_set(sizeof(*tss) - 1, FIELD(39, 16), base);
	low = field_set(low, DESC_TSS, TSS_AVAILABLE);
	low = field_set(low, FIELD(63, 56), field_get(base, FIELD(31, 24)));
	gdt[HOST_TR / sizeof(gdt[0])] = low;
	gdt[HOST_TR / sizeof(gdt[0]) + 1] = hi32(base);
}

static void load_segments(void)
{
	__asm__ volatile(
		"mov %w0, %%ds\n\t"
		"mov %w0, %%es\n\t"
		"mov %w0, %%ss\n\t"
		"mov %w1, %%fs\n\t"	/* null: their bases are MSRs */
		"mov %w1, %%gs\n\t"
		/* CS can only be loaded by a far transfer. */
		"pushq %2\n\t"
		"lea 1f(%%rip), %%rax\n\t"
		"pushq %%rax\n\t"
		"lretq\n"
		"1:"
		: : "r"(HOST_DS), "r"(0), "i"(HOST_CS) : "rax", "memory");
	__asm__ volatile("lldt %w0" : : "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(HOST_TR));
}

/* The pages below the stacks are left out. */
static bool populate(struct cpu_area *area)
{
	bool has_room = paging_populate(addr_of(area->tables.gdt), addr_of(area->guard) - addr_of(area->tables.gdt)) &&
			paging_populate(addr_of(area->stack), sizeof(area->stack));

	for (unsigned i = 0; i < countof(area->tables.ist); i++)
		has_room = has_room && paging_populate(addr_of(area->tables.ist[i].stack), IST_STACK_SIZE);
	return has_room;
}

struct cpu *gdt_create(uint32_t index)
{
	struct cpu_area *area = (struct cpu_area *)(uintptr_t)(CPU_AREA + index * CPU_AREA_STRIDE);

	if (!populate(area))
		return NULL;
	area->cpu = (struct cpu){
		.self = &area->cpu, .index = index, .tables = &area->tables,
		.stack = area->stack, .stack_top = area->stack + sizeof(area->stack),
	};
	return &area->cpu;
}

void gdt_init(struct cpu *cpu)
{
	struct table_register reg;

	if (cpu->index == 0) {
		cpu->tables = &boot_tables;
		cpu->stack = boot_stack;
		cpu->stack_top = boot_stack_top;
	}
	reg = (struct table_register){ sizeof(cpu->tables->gdt) - 1, addr_of(cpu->tables->gdt) };
	fill_tables(cpu->tables);
	__asm__ volatile("lgdt %0" : : "m"(reg));
	load_segments();
	cpu->gdt_base = reg.base;
	cpu->gdt_limit = reg.limit;
	cpu->tss_base = addr_of(&cpu->tables->tss);
}

static bool inside(uint64_t addr, uint64_t len, const uint8_t *start, const uint8_t *end)
{
	return addr >= addr_of(start) && range_fits(addr - addr_of(start), len, addr_of(end) - addr_of(start));
}

static bool is_stack_of(const struct cpu *cpu, uint64_t addr, uint64_t len)
{
	if (inside(addr, len, cpu->stack, cpu->stack_top))
		return true;
	for (unsigned i = 0; i < countof(cpu->tables->ist); i++)
		if (inside(addr, len, cpu->tables->ist[i].stack, cpu->tables->ist[i].stack + IST_STACK_SIZE))
			return true;
	return false;
}

bool gdt_on_stack(uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < CPUS_MAX; i++)
		if (cpus[i] && cpus[i]->tables && is_stack_of(cpus[i], addr, len))
			return true;
	return false;
}

/* Each processor has IST_COUNT stacks: the one it runs on, and those of the interrupt stack table. */
uint64_t gdt_guard_page(unsigned i)
{
	const struct cpu *cpu = i / IST_COUNT < CPUS_MAX ? cpus[i / IST_COUNT] : NULL;
	unsigned n = i % IST_COUNT;

	if (!cpu || !cpu->tables)
		return 0;
	return n == IST_NONE ? addr_of(cpu->stack) - PAGE_SIZE : addr_of(cpu->tables->ist[n - 1].guard);
}
