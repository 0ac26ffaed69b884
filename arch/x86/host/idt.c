/* SPDX-License-Identifier: MIT */
/*
 * IDT: 256 interrupt gates (they clear IF, so the hypervisor is never interrupted but where cpu.h says) to
 * the stubs of trap_entry.asm. SDM vol. 3, 6.14.1 "64-Bit Mode IDT".
 */
#include "arch/x86/host/idt.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/gdt.h"
#include "hv/lib/bits.h"
#include "arch/x86/virt/cpu_state.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"

#define TRAP_STUB_SIZE	16U	/* trap_entry.asm */
#define GATE_INTERRUPT	0x8eU	/* present, ring 0, 64-bit interrupt gate */

struct gate {
	uint16_t offset_low, selector;
	uint8_t  ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "gate as the processor reads it");

static struct gate idt[VECTORS] __attribute__((aligned(16)));

extern const uint8_t trap_stubs[];

/* Vectors that change to a stack of their own; all others stay where they are. */
static const uint8_t vector_ist[VECTORS] = {
	[VEC_NMI] = IST_NMI,
	[VEC_DF] = IST_DF,
	[VEC_MC] = IST_MC,
};

void idt_init(void)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t stub = (uint64_t)(uintptr_t)trap_stubs + i * TRAP_STUB_SIZE;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)field_get(stub, FIELD(15, 0)),
			.offset_mid = (uint16_t)field_get(stub, FIELD(31, 16)),
			.offset_high = (uint32_t)hi32(stub),
			.selector = HOST_CS,
			.ist = vector_ist[i],
			.type = GATE_INTERRUPT,
		};
	}
}

void idt_load(struct cpu *cpu)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) reg = {
		sizeof(idt) - 1, (uint64_t)(uintptr_t)idt
	};

	__asm__ volatile("lidt %0" : : "m"(reg));
	cpu->idt_base = reg.base;
	cpu->idt_limit = reg.limit;
}
