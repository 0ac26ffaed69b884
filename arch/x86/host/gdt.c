/* SPDX-License-Identifier: MIT */
/*
 * GDT and TSS. In long mode segments say little: one code and one data segment, and a task state segment
 * that exists only for its interrupt stack table (SDM vol. 3, 7.7 "Task Management in 64-bit Mode"). NMI,
 * double fault, machine check and debug exceptions get stacks of their own, each with an unmapped page
 * below. Both vendors need TR: VT-x refuses a null host TR and loads its limit as 67h.
 */
#include "arch/x86/host/gdt.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/bits.h"
#include "hv/addr.h"
#include "hv/lib/util.h"

#define GDT_ENTRIES	5U		/* null, code, data, and two for the TSS */
#define DESC_CODE64	0x00af9b000000ffffULL	/* present, ring 0, execute and read, accessed, long */
#define DESC_DATA	0x00cf93000000ffffULL	/* present, ring 0, read and write, accessed */
#define DESC_TSS	FIELD(47, 40)
#define TSS_AVAILABLE	0x89U			/* present, 64-bit TSS; LTR makes it busy */

#define IST_STACK_SIZE	(8U << 10)

/* SDM vol. 3, figure 7-11 "64-Bit TSS Format". Packed: its 64-bit fields lie on 4-byte borders. */
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

/* Boot processor only; the others will get theirs from the page allocator when they are started. */
static uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
static struct tss tss __attribute__((aligned(16)));
static struct guarded_stack ist_stacks[IST_COUNT - 1];

extern uint8_t boot_stack_guard[], boot_stack[], boot_stack_top[];	/* start.asm */

static uint64_t addr_of(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

static void fill_tables(void)
{
	uint64_t base = addr_of(&tss), low;

	for (unsigned i = 0; i < countof(ist_stacks); i++)
		tss.ist[i] = addr_of(ist_stacks[i].stack) + IST_STACK_SIZE;
	tss.iomap_base = sizeof(tss);		/* behind the limit: no port permission map */

	gdt[HOST_CS / sizeof(gdt[0])] = DESC_CODE64;
	gdt[HOST_DS / sizeof(gdt[0])] = DESC_DATA;
	low = field_set(sizeof(tss) - 1, FIELD(39, 16), base);
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

void gdt_init(struct cpu *cpu)
{
	struct table_register reg = { sizeof(gdt) - 1, addr_of(gdt) };

	fill_tables();
	__asm__ volatile("lgdt %0" : : "m"(reg));
	load_segments();
	cpu->gdt_base = reg.base;
	cpu->gdt_limit = reg.limit;
	cpu->tss_base = addr_of(&tss);
}

static bool inside(uint64_t addr, uint64_t len, const uint8_t *start, const uint8_t *end)
{
	return addr >= addr_of(start) && range_fits(addr - addr_of(start), len, addr_of(end) - addr_of(start));
}

bool gdt_on_stack(uint64_t addr, uint64_t len)
{
	if (inside(addr, len, boot_stack, boot_stack_top))
		return true;
	for (unsigned i = 0; i < countof(ist_stacks); i++)
		if (inside(addr, len, ist_stacks[i].stack, ist_stacks[i].stack + IST_STACK_SIZE))
			return true;
	return false;
}

uint64_t gdt_guard_page(unsigned i)
{
	if (i == 0)
		return addr_of(boot_stack_guard);
	return i <= countof(ist_stacks) ? addr_of(ist_stacks[i - 1].guard) : 0;
}
