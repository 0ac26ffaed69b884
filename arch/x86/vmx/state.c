/* SPDX-License-Identifier: MIT */
/*
 * Host and guest state into the VMCS, and neutral names to its fields: SDM vol. 3, 25.4 "Guest-State Area",
 * 25.5 "Host-State Area".
 *
 * The rest of the tree says `virt->get(vcpu, REG_CR0)` and means what the guest would read. This file knows
 * which field that is, and where the value that hardware needs differs from the value that the guest shall
 * see.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/gpm.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/timer.h"
#include "hv/vm.h"

/*
 * Bits of CR0 whose change exits, and which the guest reads from the shadow: PE and PG switch modes
 * (exit/cr.c), CD and NW would switch the caches off for everybody, NE has to be 1 in VMX operation
 * whatever the guest wants.
 */
#define CR0_TRAPPED	(CR0_PE | CR0_PG | CR0_CD | CR0_NW | CR0_NE)
/* A spin loop: PAUSEs that are at most a gap of ticks apart, for as long as the window (SDM vol. 3, 25.6.13). */
#define PAUSE_GAP	128U
#define PAUSE_WINDOW	4096U
#define IO_BITMAP_BYTES	(2 * PAGE_SIZE)

extern char vmx_exit_landing[], vmx_exit_landing_one[], vmx_exit_landing_all[];		/* switch.asm */

/*
 * VMREAD, VMWRITE, VMLAUNCH and VMRESUME have no operand that names a VMCS: they use the one that VMPTRLD
 * made current on this processor. this_cpu()->current says which that is, so that VMPTRLD is needed only
 * when another vCPU comes.
 *
 * vmx_enter does not ask: it enters the loaded vCPU, whose VMCS vmx_load made current. Whoever takes that
 * away, by a look at another vCPU, has the loaded one deliver before its next entry, and vmx_deliver makes
 * its VMCS current again.
 */
struct vmx_vcpu *vmx_make_current(struct vmx_vcpu *vmx)
{
	struct cpu *cpu = this_cpu();

	(void)vmptrld(vmx->vmcs.raw);
	cpu->current = vmx;
	if (cpu->loaded && cpu->loaded->arch != vmx)
		cpu->loaded->irq_check = true;
	return vmx;
}

/* ---- The host's side ---- */

static uint64_t landing(void)
{
	static char *const landings[] = {
		[RETURN_FILL_NONE] = vmx_exit_landing, [RETURN_FILL_ONE] = vmx_exit_landing_one,
		[RETURN_FILL_ALL] = vmx_exit_landing_all,
	};

	return (uint64_t)(uintptr_t)landings[speculation_return_fill()];
}

/*
 * What the processor loads at each exit (SDM vol. 3, 28.5 "Loading Host State"): all that our code relies
 * on, whatever the guest did to its own. GS leads to this processor's struct cpu; FS and SYSENTER we do not
 * use. RSP is written by switch.asm, at the entry, because it is the stack of whoever called that.
 */
static void write_host_state(void)
{
	const struct cpu *cpu = this_cpu();
	const struct { enum vmcs_field field; uint64_t val; } state[] = {
		{ VMCS_HOST_CR0, read_cr0() },		{ VMCS_HOST_CR3, paging_root() },
		{ VMCS_HOST_CR4, read_cr4() },		{ VMCS_HOST_CS_SELECTOR, HOST_CS },
		{ VMCS_HOST_SS_SELECTOR, HOST_DS },	{ VMCS_HOST_DS_SELECTOR, HOST_DS },
		{ VMCS_HOST_ES_SELECTOR, HOST_DS },	{ VMCS_HOST_FS_SELECTOR, 0 },
		{ VMCS_HOST_GS_SELECTOR, 0 },		{ VMCS_HOST_TR_SELECTOR, HOST_TR },
		{ VMCS_HOST_FS_BASE, 0 },		{ VMCS_HOST_GS_BASE, (uint64_t)(uintptr_t)cpu },
		{ VMCS_HOST_TR_BASE, cpu->tss_base },	{ VMCS_HOST_GDTR_BASE, cpu->gdt_base },
		{ VMCS_HOST_IDTR_BASE, cpu->idt_base },	{ VMCS_HOST_SYSENTER_CS, 0 },
		{ VMCS_HOST_SYSENTER_ESP, 0 },		{ VMCS_HOST_SYSENTER_EIP, 0 },
		{ VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT) }, { VMCS_HOST_IA32_EFER, rdmsr(MSR_EFER) },
		{ VMCS_HOST_RIP, landing() },
	};

	for (size_t i = 0; i < countof(state); i++)
		vmwrite(state[i].field, state[i].val);
}

/* ---- Controls ---- */

/* PAUSE exits only where a sibling can be waited for. */
static bool has_siblings(const struct vcpu *vcpu)
{
	return vcpu->vm->config->vcpus > 1;
}

static bool has_virtual_apic(const struct vcpu *vcpu)
{
	return quirks_let_deliver(vmx_guest_caps.delivers, vcpu->vm->config->test_apic);
}

/*
 * XSAVES executes where the control is set, whatever CPUID says: off for a guest that is not shown it
 * (exit/cpuid_policy.c hides it where the processor's compacted format is wrong).
 */
static uint64_t proc2_of(const struct vcpu *vcpu)
{
	bool is_shown = cpuid_lookup(vcpu->vm->cpuid, CPUID_XSAVE, 1).eax & CPUIDD1_XSAVES;

	return vmx_controls.proc2 & ~(uint64_t)PROC2_VIRTUAL_APIC & ~(is_shown ? 0 : PROC2_XSAVES) & ~(has_siblings(vcpu) ? 0 : PROC2_PAUSE_LOOP);
}

/* Where the processor does not find spin loops by itself each PAUSE exits, and exit_pause counts. */
static uint64_t proc_of(const struct vcpu *vcpu)
{
	bool must_count = has_siblings(vcpu) && !(vmx_controls.proc2 & PROC2_PAUSE_LOOP);

	return (vmx_controls.proc & ~(uint64_t)PROC_TPR_SHADOW) | (must_count ? PROC_PAUSE & hi32(vmx_caps.proc) : 0);
}

/*
 * All control fields. The contents of a new VMCS are undefined, so also those that we do not use are written:
 *
 *   the error-code mask and match are 0, so that bit 14 of the exception bitmap alone decides about #PF (25.6.3)
 *   no MSR lists and no CR3 targets
 *   no event to inject at the first entry
 *   the link pointer is all ones: there is no shadow VMCS, and any other value fails the entry (27.3.1.5)
 */
static void write_controls(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
	/* #DB and #AC could be delivered in an endless loop (exit/exception.c); #MC is the host's. */
	const uint64_t exceptions = BIT(VEC_DB) | BIT(VEC_AC) | BIT(VEC_MC);
	const struct { enum vmcs_field field; uint64_t val; } state[] = {
		{ VMCS_PIN_CONTROLS, vmx_controls.pin },	{ VMCS_PROC_CONTROLS, vmx->proc_controls },
		{ VMCS_PROC_CONTROLS2, vmx->proc2_controls },	{ VMCS_EXIT_CONTROLS, vmx_controls.exit },
		{ VMCS_ENTRY_CONTROLS, vmx->entry_controls },	{ VMCS_EXCEPTION_BITMAP, exceptions },
		{ VMCS_PF_ERROR_MASK, 0 },			{ VMCS_PF_ERROR_MATCH, 0 },
		{ VMCS_CR3_TARGET_COUNT, 0 },			{ VMCS_EXIT_MSR_STORE_COUNT, 0 },
		{ VMCS_EXIT_MSR_LOAD_COUNT, 0 },		{ VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
		{ VMCS_ENTRY_INTR_INFO, 0 },			{ VMCS_VMCS_LINK_POINTER, ~0ULL },
		{ VMCS_IO_BITMAP_A, ptr_hpa(vmx->io_bitmaps).raw },
		{ VMCS_IO_BITMAP_B, ptr_hpa(vmx->io_bitmaps).raw + PAGE_SIZE },
		{ VMCS_MSR_BITMAP, ptr_hpa(vmx->msr_bitmap).raw },
		{ VMCS_TSC_OFFSET, vcpu_host_tsc_offset(vcpu) },
		{ VMCS_EPT_POINTER, vcpu->vm->npt.root.raw | EPTP_WALK4 | EPTP_WB },
		{ VMCS_CR0_MASK, vmx->cr0_mask },		{ VMCS_CR4_MASK, vmx->cr4_mask },
	};

	for (size_t i = 0; i < countof(state); i++)
		vmwrite(state[i].field, state[i].val);
	if (vmx_controls.proc2 & PROC2_VPID)
		vmwrite(VMCS_VPID, vmx->vpid);
	if (vmx_controls.proc2 & PROC2_PAUSE_LOOP) {
		vmwrite(VMCS_PLE_GAP, PAUSE_GAP);
		vmwrite(VMCS_PLE_WINDOW, PAUSE_WINDOW);
	}
	if (vmx->apic_page)
		vmwrite(VMCS_VIRTUAL_APIC, ptr_hpa(vmx->apic_page).raw);
	if (vmx_controls.proc2 & PROC2_XSAVES)
		vmwrite(VMCS_XSS_EXITING_BITMAP, 0);	/* XSS is always 0: XSAVES needs no exit */
}

/*
 * The processor tags translations with the VPID of the vCPU that made them, and uses those with the current
 * VPID only (SDM vol. 3, 29.4 "Caching Translation Information"). VPID 0 is the host's. All 65,535 others are used in
 * turn, by all processors. What a vCPU that is gone has left behind under the same number is forgotten when the new one
 * arrives (vmx_arrive); should the old one still be there, its translations carry another EPT pointer as well.
 */
static uint16_t next_vpid(void)
{
	static _Atomic uint32_t made;

	return (uint16_t)(made++ % UINT16_MAX + 1);
}

/*
 * A VMCS is memory that the processor keeps to itself: its first word says which layout (the revision of
 * this processor), VMCLEAR makes it a new one, and from VMPTRLD on only VMREAD and VMWRITE reach it (SDM
 * vol. 3, 25.1 "Overview").
 *
 * In the CR4 mask is every bit that the guest may not change by itself: those it may not have at all, and
 * those whose change needs us.
 */
int vmx_vcpu_create(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = page_alloc();
	uint32_t        *vmcs = page_alloc();

	vcpu->arch = vmx;
	if (!vmx || !vmcs) {
		page_free(vmcs);
		return -1;
	}
	vmx->vmcs = ptr_hpa(vmcs);
	/* From here on a failure returns at once: vmx_vcpu_destroy accepts what is half built. */
	vmx->io_bitmaps = page_alloc_contiguous(IO_BITMAP_BYTES / PAGE_SIZE);
	vmx->msr_bitmap = page_alloc();
	if (has_virtual_apic(vcpu))
		vmx->apic_page = page_alloc();
	if (!vmx->io_bitmaps || !vmx->msr_bitmap || (has_virtual_apic(vcpu) && !vmx->apic_page))
		return -1;
	vmx_io_bitmap_fill(vmx->io_bitmaps);
	vmx_msr_bitmap_fill(vmx->msr_bitmap);
	vmx->vpid = next_vpid();
	vmx->proc_controls = proc_of(vcpu);
	vmx->proc2_controls = proc2_of(vcpu);
	vmx->entry_controls = vmx_controls.entry;
	vmx->cr0_mask = CR0_TRAPPED;
	vmx->cr4_mask = ~cr4_guest_owned(vcpu);

	/* In this order: the revision, VMCLEAR, VMPTRLD (by vmx_use), and only then VMWRITE. */
	*vmcs = vmx_caps.revision;
	if (!vmclear(vmx->vmcs.raw))
		return -1;
	vmx_use(vcpu);
	write_controls(vcpu, vmx);
	return 0;
}

void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	if (!vmx)
		return;
	if (vmx->vmcs.raw) {
		/* The processor may hold parts of the VMCS and write them back later: into somebody else's page. */
		(void)vmclear(vmx->vmcs.raw);
		page_free(hpa_ptr(vmx->vmcs));
	}
	if (this_cpu()->current == vmx)
		this_cpu()->current = NULL;
	if (vmx->io_bitmaps)
		page_free_contiguous(vmx->io_bitmaps, IO_BITMAP_BYTES / PAGE_SIZE);
	page_free(vmx->msr_bitmap);
	page_free(vmx->apic_page);
	page_free(vmx);
	vcpu->arch = NULL;
}

/* ---- Neutral names to fields ---- */

static const enum vmcs_field reg_fields[GUEST_READ_COUNT] = {
	[REG_RIP] = VMCS_GUEST_RIP,		[REG_RSP] = VMCS_GUEST_RSP,
	[REG_RFLAGS] = VMCS_GUEST_RFLAGS,	[REG_CR0] = VMCS_GUEST_CR0,
	[REG_CR3] = VMCS_GUEST_CR3,		[REG_CR4] = VMCS_GUEST_CR4,
	[REG_EFER] = VMCS_GUEST_IA32_EFER,	[REG_DR7] = VMCS_GUEST_DR7,
	[REG_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,	[REG_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[REG_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,	[REG_PAT] = VMCS_GUEST_IA32_PAT,
	[REG_FS_BASE] = VMCS_GUEST_FS_BASE,	[REG_GS_BASE] = VMCS_GUEST_GS_BASE,
	[REG_CS_RIGHTS] = VMCS_GUEST_CS_RIGHTS,	[REG_SS_RIGHTS] = VMCS_GUEST_SS_RIGHTS,
	[REG_DEBUGCTL] = VMCS_GUEST_IA32_DEBUGCTL,
};

/*
 * The VMX-preemption timer counts down while the guest runs, one step for 2^n ticks of the TSC (n from
 * IA32_VMX_MISC), and exits at 0 even when the guest holds interrupts back (SDM vol. 3, 26.5.1
 * "VMX-Preemption Timer"). It has 32 bits: "never" becomes the longest count, and the scheduler asks again
 * after that.
 */
bool vmx_limit_turn(struct vcpu *vcpu, uint64_t ticks)
{
	const uint64_t longest = 0xffffffffULL;
	uint64_t count = min_u64(ticks >> field_get(vmx_caps.misc, VMX_MISC_TIMER_SHIFT), longest);

	if (!(vmx_controls.pin & PIN_PREEMPTION_TIMER))
		return false;
	vmx_use(vcpu);
	vmwrite(VMCS_PREEMPTION_TIMER, count);
	return true;
}

/*
 * STI and MOV SS hold interrupts back for one instruction; it is over. The field's other bits are about
 * NMIs and SMIs.
 */
void vmx_end_shadow(struct vcpu *vcpu)
{
	vmx_use(vcpu);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(BLOCK_STI | BLOCK_MOV_SS));
}

void vmx_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	vmx_use(vcpu);
	vmwrite(VMCS_TSC_OFFSET, offset);
}

/*
 * What the guest would read. For most registers that is the field; of CR0 and CR4 the processor holds other
 * values in the bits that we keep from the guest.
 */
uint64_t vmx_get(struct vcpu *vcpu, enum guest_reg reg)
{
	const struct vmx_vcpu *vmx = vmx_use(vcpu);
	uint64_t val;

	val = vmread(reg_fields[reg]);
	/* The guest's view of masked bits is the read shadow (SDM vol. 3, 25.6.6). */
	if (reg == REG_CR0)
		return (val & ~vmx->cr0_mask) | (vmread(VMCS_CR0_SHADOW) & vmx->cr0_mask);
	if (reg == REG_CR4)
		return (val & ~vmx->cr4_mask) | (vmread(VMCS_CR4_SHADOW) & vmx->cr4_mask);
	return val;
}

/*
 * In PAE paging the four top entries live in registers, which the processor loads from the VMCS on entry
 * (SDM vol. 3, 27.3.1.6). They come with CR3, here; which other changes load them is exit/cr.c's to know.
 */
static void load_pdptes(struct vcpu *vcpu)
{
	uint64_t pointers[PAE_POINTERS];

	if (!walk_is_pae(vcpu))
		return;
	/* Checked by exit/cr.c: if they have changed since, bad ones are absent, and the entry is not refused. */
	(void)!walk_pae_pointers(vcpu, vmread(VMCS_GUEST_CR3), pointers);
	for (unsigned i = 0; i < PAE_POINTERS; i++)
		vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pointers[i]);
}

/*
 * The entry control "IA-32e mode guest" and EFER.LMA say the same thing twice, and the entry fails when they differ
 * (27.3.1.1): so they are written together.
 */
static void set_efer(struct vmx_vcpu *vmx, uint64_t val)
{
	vmx->entry_controls = (vmx->entry_controls & ~ENTRYC_IA32E_GUEST) | (val & EFER_LMA ? ENTRYC_IA32E_GUEST : 0);
	vmwrite(VMCS_ENTRY_CONTROLS, vmx->entry_controls);
	vmwrite(VMCS_GUEST_IA32_EFER, val);
}

/*
 * What the guest shall read from now on. The values were checked (exit/cr.c, exit/msr.c): here they become
 * what VMX operation allows. Bits that IA32_VMX_CR0_FIXED0 and CR4_FIXED0 want are set, those that FIXED1
 * forbids are clear (SDM vol. 3, appendix A.7 and A.8), and the shadows show the guest its own.
 */
void vmx_set(struct vcpu *vcpu, enum guest_reg reg, uint64_t val)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);

	switch (reg) {
	case REG_CR0:
		vmwrite(VMCS_CR0_SHADOW, val);
		/*
		 * PE and PG are fixed to 1 in IA32_VMX_CR0_FIXED0, but free for an unrestricted guest. CD
		 * and NW stay clear: the caches are shared with the host and other guests.
		 */
		val = (val | (vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG))) & vmx_caps.cr0_fixed1 & ~(CR0_CD | CR0_NW);
		vmwrite(VMCS_GUEST_CR0, val);
		break;
	case REG_CR4:
		vmwrite(VMCS_CR4_SHADOW, val);
		/*
		 * A machine check while the guest runs must reach us: without MCE it would shut the
		 * processor down.
		 */
		vmwrite(VMCS_GUEST_CR4, (val | CR4_MCE | vmx_caps.cr4_fixed0) & vmx_caps.cr4_fixed1);
		break;
	case REG_CR3:
		vmwrite(VMCS_GUEST_CR3, val);
		load_pdptes(vcpu);
		break;
	case REG_EFER:
		set_efer(vmx, val);
		break;
	default:
		vmwrite(reg_fields[reg], val);
		break;
	}
}

/*
 * The fields of one kind (selectors, bases, limits, access rights) have encodings that lie two apart, in
 * the order of enum guest_seg (appendix B). GDTR and IDTR have base and limit only.
 */
#define SEG_STEP	2U

void vmx_get_seg(struct vcpu *vcpu, enum guest_seg index, struct segment *seg)
{
	uint32_t step = index * SEG_STEP;

	vmx_use(vcpu);
	*seg = (struct segment){ 0 };
	seg->base = vmread(VMCS_GUEST_ES_BASE + step);
	seg->limit = (uint32_t)vmread(VMCS_GUEST_ES_LIMIT + step);
	if (index >= SEG_GDTR)
		return;
	seg->selector = (uint16_t)vmread(VMCS_GUEST_ES_SELECTOR + step);
	seg->rights = (uint32_t)vmread(VMCS_GUEST_ES_RIGHTS + step);
}

void vmx_set_seg(struct vcpu *vcpu, enum guest_seg index, const struct segment *seg)
{
	uint32_t step = index * SEG_STEP;

	vmx_use(vcpu);
	vmwrite(VMCS_GUEST_ES_BASE + step, seg->base);
	vmwrite(VMCS_GUEST_ES_LIMIT + step, seg->limit);
	if (index >= SEG_GDTR)
		return;
	vmwrite(VMCS_GUEST_ES_SELECTOR + step, seg->selector);
	vmwrite(VMCS_GUEST_ES_RIGHTS + step, seg->rights);
}

/*
 * Forget the translations of this guest. The processor caches two kinds that matter here: through the EPT
 * tables, tagged with the EPT pointer, which INVEPT removes, and through the guest's own page tables,
 * tagged with the VPID, which INVVPID removes (SDM vol. 3, 29.4.3 "Invalidating Cached Translation
 * Information"). The caller may have changed either: an EPT entry, or a control register whose change
 * flushes on a processor without a hypervisor. Only this processor forgets.
 */
void vmx_flush(struct vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = vcpu->arch;
	uint64_t eptp = vcpu->vm->npt.root.raw | EPTP_WALK4 | EPTP_WB;

	if (vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)
		vmx_invept(INVEPT_SINGLE, eptp);
	else
		vmx_invept(INVEPT_ALL, 0);
	if (!(vmx_controls.proc2 & PROC2_VPID))
		return;		/* without VPID every entry and exit flushes */
	if (vmx_caps.ept_vpid & EPT_CAP_INVVPID_SINGLE)
		vmx_invvpid(INVVPID_SINGLE, vmx->vpid);
	else
		vmx_invvpid(INVVPID_ALL, 0);
}

/*
 * The vCPU is loaded on this processor, and was on another one before or on none. The VMCS names what an exit
 * loads, and some of that each processor has for itself: GDT, TSS, the struct cpu that GS leads to.
 *
 * What this processor remembers of the guest's translations is of earlier times: the vCPU may have run here
 * before it ran elsewhere, where its INVLPG and our INVVPID and INVEPT were executed; the page of the EPT
 * root may have been the root of a VM that is gone, and the VPID a vCPU's of it (SDM vol. 3, 29.4.3.4
 * "Guidelines for Use of the INVEPT Instruction").
 */
void vmx_arrive(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	vmx->cpu = this_cpu();
	write_host_state();
	vmx_flush(vcpu);
}

/*
 * A processor may keep parts of a VMCS to itself, and a VMCS must not be active on two. VMCLEAR writes them
 * back, and the next entry has to be a VMLAUNCH (SDM vol. 3, 25.11.1 "Software Use of Virtual-Machine Control
 * Structures").
 */
void vmx_leave(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	if (!vmclear(vmx->vmcs.raw))
		panic("VMCLEAR of a VMCS of ours failed");
	vmx->launched = 0;
	vmx->cpu = NULL;	/* a flush on the next processor does not reach what this one remembers: it arrives here anew */
	if (this_cpu()->current == vmx)
		this_cpu()->current = NULL;
}
