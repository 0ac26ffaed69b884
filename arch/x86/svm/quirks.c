/* SPDX-License-Identifier: MIT */
/*
 * What emulated processors get wrong about AMD-V (arch/x86/virt/quirks.h says what): measured with guests of a few
 * instructions, each entered once. What is done about them is in quirk_mends.c.
 *
 * The guests share four pages at guest-physical 0: code and the four pointers of PAE paging; PML4; PDPT; and a page
 * directory that maps the first 2 MiB to themselves, for both kinds of paging.
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/hw/pte.h"
#include "arch/x86/virt/npt.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/panic.h"
#include "hv/vcpu.h"

#define PAGES		4U
#define CODE		0x400U		/* in page 0 */
#define TARGET		0x500U		/* where SYSENTER goes */
#define STACK		0x800U
#define PAE_POINTER_AT	0x200U
#define PML4		(1 * PAGE_SIZE)
#define PDPT		(2 * PAGE_SIZE)
#define DIRECTORY	(3 * PAGE_SIZE)

#define INTERRUPTIONS_MAX 1000U		/* of a guest by the host's interrupts, before it is given up */

#define CODE32		(SEG_P | SEG_S | TYPE_CODE | TYPE_RW | TYPE_ACCESSED | SEG_DB | SEG_G)
#define DATA32		(SEG_P | SEG_S | TYPE_RW | TYPE_ACCESSED | SEG_DB | SEG_G)
#define TSS_BUSY	(SEG_P | TYPE_TSS_BUSY)
#define SELECTOR_CODE	0x08U
#define SELECTOR_DATA	0x10U

struct probe {
	struct vmcb *vmcb;
	uint8_t     *memory;
	struct npt   npt;
};

/* ---- The guests ---- */

static void put_code(const struct probe *probe, uint32_t at, const char *bytes, size_t len)
{
	memcpy(probe->memory + at, bytes, len);
}
#define PUT(probe, at, bytes) put_code(probe, at, bytes, sizeof(bytes) - 1)

static void put_entry(const struct probe *probe, uint64_t at, uint64_t entry)
{
	memcpy(probe->memory + at, &entry, sizeof(entry));
}

/* STI's shadow lies over NOP, and a virtual interrupt waits. */
static void set_shadow(struct probe *probe)
{
	PUT(probe, CODE, "\x90\xf4");				/* nop; hlt */
	probe->vmcb->save.rflags |= RFLAGS_IF;
	probe->vmcb->control.vintr |= V_IRQ;
	probe->vmcb->control.intercept_vector3 |= INTERCEPT_VINTR;
	probe->vmcb->control.interrupt_shadow = INTERRUPT_SHADOW;
}

static bool forgets_shadow(const struct probe *probe)
{
	return (uint32_t)probe->vmcb->control.exitcode == SVM_EXIT_VINTR && probe->vmcb->save.rip == CODE;
}

/* SYSENTER in compatibility mode. */
static void set_sysenter(struct probe *probe)
{
	struct vmcb_save *save = &probe->vmcb->save;

	PUT(probe, CODE, "\x0f\x34");				/* sysenter */
	PUT(probe, TARGET, "\xf4");				/* hlt */
	save->cr0 |= CR0_PG;
	save->cr4 |= CR4_PAE;
	save->cr3 = PML4;
	save->efer |= EFER_LME | EFER_LMA;
	save->sysenter_cs = SELECTOR_CODE;
	save->sysenter_esp = STACK;
	save->sysenter_eip = TARGET;
}

static bool mixes_cs(const struct probe *probe)
{
	const uint16_t both = ATTRIB_L | ATTRIB_DB;

	return (probe->vmcb->save.cs.attrib & both) == both;
}

static void set_pae(struct probe *probe)
{
	struct vmcb_save *save = &probe->vmcb->save;

	PUT(probe, CODE, "\xf4");				/* hlt */
	save->cr0 |= CR0_PG;
	save->cr4 |= CR4_PAE;
	save->cr3 = PAE_POINTER_AT;
}

static bool marks_pae_pointers(const struct probe *probe)
{
	uint64_t entry;

	memcpy(&entry, probe->memory + PAE_POINTER_AT, sizeof(entry));
	return entry & PTE_A;
}

static void set_step(struct probe *probe)
{
	PUT(probe, CODE, "\x90\xf4");				/* nop; hlt */
	probe->vmcb->save.rflags |= RFLAGS_TF;
}

static bool hides_step(const struct probe *probe)
{
	return (uint32_t)probe->vmcb->control.exitcode == SVM_EXIT_EXCP_DB && !(probe->vmcb->save.dr6 & DR6_BS);
}

/* A step over an instruction that exits. The handler of #DB bears it while this quirk is believed in. */
static void set_step_out(struct probe *probe)
{
	PUT(probe, CODE, "\x0f\xa2");				/* cpuid */
	probe->vmcb->save.rflags |= RFLAGS_TF;
	quirks.steps_reach_us = true;
}

static bool steps_reach_us(const struct probe *probe)
{
	(void)probe;
	return quirks.steps_dropped > 0;
}

static const struct row {
	bool  *quirk;
	void (*set)(struct probe *probe);
	bool (*is_there)(const struct probe *probe);
} rows[] = {
	{ &quirks.forgets_shadow, set_shadow, forgets_shadow },
	{ &quirks.mixes_cs, set_sysenter, mixes_cs },
	{ &quirks.marks_pae_pointers, set_pae, marks_pae_pointers },
	{ &quirks.hides_step, set_step, hides_step },
	{ &quirks.steps_reach_us, set_step_out, steps_reach_us },
};

/* ---- Running one ---- */

static void set_segments(struct vmcb_save *save)
{
	const struct vmcb_seg data = { SELECTOR_DATA, svm_attrib_of(DATA32), ~0U, 0 };

	save->cs = (struct vmcb_seg){ SELECTOR_CODE, svm_attrib_of(CODE32), ~0U, 0 };
	save->ss = save->ds = save->es = save->fs = save->gs = data;
	save->tr = (struct vmcb_seg){ .attrib = svm_attrib_of(TSS_BUSY), .limit = PAGE_SIZE - 1 };
}

/* 32-bit protected mode, flat. All exceptions leave the guest, for it has no tables. */
static void set_all(struct probe *probe)
{
	struct vmcb *vmcb = probe->vmcb;

	memset(vmcb, 0, sizeof(*vmcb));
	memset(probe->memory, 0, PAGES * PAGE_SIZE);
	put_entry(probe, PAE_POINTER_AT, DIRECTORY | PTE_P);
	put_entry(probe, PML4, PDPT | PTE_P | PTE_W);
	put_entry(probe, PDPT, DIRECTORY | PTE_P | PTE_W);
	put_entry(probe, DIRECTORY, PTE_P | PTE_W | PTE_PS);
	vmcb->control.intercept_exceptions = ~(uint32_t)BIT(VEC_NMI);
	vmcb->control.intercept_vector3 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT | INTERCEPT_CPUID |
					  INTERCEPT_HLT | INTERCEPT_SHUTDOWN;
	vmcb->control.intercept_vector4 = INTERCEPT_VMRUN;
	vmcb->control.vintr = V_INTR_MASKING | V_IGN_TPR;
	vmcb->control.np_enable = NP_ENABLE;
	vmcb->control.n_cr3 = probe->npt.root.raw;
	vmcb->control.guest_asid = 1;
	vmcb->control.tlb_control = TLB_CONTROL_FLUSH_ALL;
	set_segments(&vmcb->save);
	vmcb->save.cr0 = CR0_PE | CR0_ET;
	vmcb->save.efer = EFER_SVME;
	vmcb->save.rflags = RFLAGS_ONE;
	vmcb->save.dr6 = DR6_RESET;
	vmcb->save.dr7 = DR7_RESET;
	vmcb->save.g_pat = PAT_RESET;
	vmcb->save.rip = CODE;
	vmcb->save.rsp = STACK;
}

/* To its first exit of its own. After an interrupt of the host's it starts anew. */
static void run(struct probe *probe, const struct row *row)
{
	const struct svm_cpu *cpu = this_cpu()->arch;
	uint64_t gpr[GPR_COUNT] = { 0 };

	for (unsigned i = 0; i < INTERRUPTIONS_MAX; i++) {
		set_all(probe);
		row->set(probe);
		svm_vmrun(gpr, ptr_hpa(probe->vmcb).raw, cpu->host_pa);
		if ((uint32_t)probe->vmcb->control.exitcode != SVM_EXIT_INTR)
			break;
		cpu_open_irq();
	}
	*row->quirk = row->is_there(probe);
}

void svm_measure_quirks(void)
{
	struct probe probe = { .vmcb = page_alloc(), .memory = page_alloc_contiguous(PAGES) };

	if (!probe.vmcb || !probe.memory || npt_init(&probe.npt, &svm_npt_format))
		panic("no memory to try AMD-V out");
	for (unsigned i = 0; i < PAGES; i++)
		if (npt_map(&probe.npt, gpa(i * PAGE_SIZE), ptr_hpa(probe.memory + i * PAGE_SIZE), PAGE_SIZE, NPT_RWX, false))
			panic("no memory to try AMD-V out");
	for (size_t i = 0; i < countof(rows); i++)
		run(&probe, &rows[i]);
	npt_destroy(&probe.npt);
	page_free_contiguous(probe.memory, PAGES);
	page_free(probe.vmcb);
}
