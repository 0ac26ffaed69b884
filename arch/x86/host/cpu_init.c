/* SPDX-License-Identifier: MIT */
/*
 * A processor is made ours (contract in cpu_init.h). Control registers are written whole, so that nothing the firmware
 * used survives by accident. SDM vol. 3, 2.5 "Control Registers".
 */
#include "arch/x86/host/cpu_init.h"

#include <stddef.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/idt.h"
#include "arch/x86/host/machine_check.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "hv/lib/format.h"

static struct cpu boot_cpu;
struct cpu *cpus[CPUS_MAX] = { &boot_cpu };

/* Setting a bit of CR4 that the processor does not know is #GP: only bits that CPUID shows are set. */
static void set_control_registers(void)
{
	const struct cpu_features *has = &cpu_features;
	uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	machine_check_enable();
	cr4 |= cpuid(CPUID_FEATURES, 0).edx & CPUID1_D_MCE ? CR4_MCE : 0;
	cr4 |= has->has_xsave ? CR4_OSXSAVE : 0;
	cr4 |= has->has_smep ? CR4_SMEP : 0;
	cr4 |= has->has_umip ? CR4_UMIP : 0;
	write_cr4(cr4);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	wrmsr(MSR_EFER, EFER_LME | EFER_LMA | (has->has_nx ? EFER_NXE : 0) |
	      (has->has_auto_ibrs ? EFER_AIBRSE : 0));
	speculation_init();
	if (has->has_xsave)
		xsetbv(0, fpu_guest_xcr0_mask());
	write_dr7(DR7_RESET);
}

void cpu_set_breakpoints(const uint64_t addr[4])
{
	write_dr0(addr[0]);
	write_dr1(addr[1]);
	write_dr2(addr[2]);
	write_dr3(addr[3]);
}

static void set_gs(struct cpu *cpu)
{
	wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
}

void cpu_early(void)
{
	struct cpu *cpu = &boot_cpu;

	paging_early();
	cpu->self = cpu;
	set_gs(cpu);
}

void cpu_init_boot(uint32_t apic_id)
{
	struct cpu *cpu = &boot_cpu;

	features_read_boot();
	cpu->self = cpu;
	cpu->apic_id = apic_id;
	gdt_init(cpu);
	set_gs(cpu);		/* loading the segment register cleared it */
	idt_init();
	idt_load(cpu);
	set_control_registers();
}

void cpu_init_other(struct cpu *cpu)
{
	write_cr3(paging_root());
	gdt_init(cpu);
	set_gs(cpu);
	idt_load(cpu);
}

const char *cpu_join(void)
{
	static char text[128];
	const char *name = features_find_lack();

	if (name) {
		format_buf(text, sizeof(text), "it differs from the boot processor: %s", name);
		return text;
	}
	set_control_registers();
	return NULL;
}
