/* SPDX-License-Identifier: MIT */
/*
 * A guest's VMCB: created; its registers read and written by name. It is entered in backend.c, loaded and
 * saved in save.c.
 *
 * get and set speak of what the guest sees. Three registers differ from that in the VMCB: EFER.SVME must be
 * set there (APM vol. 2, 15.5.1) and the guest is not shown it, and EFER.LME is there only while paging is on;
 * CR0.CD and NW would really switch the caches off under us, so they are kept beside, and while one is set
 * CR0 accesses exit to show it; CR4.MCE is always set there.
 *
 * Invariant: whoever changes a field clears its clean bit (15.15.3 "VMCB Clean Field").
 */
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/svm/insn.h"
#include "arch/x86/virt/reset.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define CR0_HIDDEN	(CR0_CD | CR0_NW)

/* ---- Life ---- */

/*
 * A VMCB is plain memory, zeroed by page_alloc: fields that we do not name are 0, and mean "not used". On a failure
 * svm_vcpu_destroy accepts what is half built.
 */
int svm_vcpu_create(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = page_alloc();
	struct vmcb_control *control;

	vcpu->arch = svm;
	if (!svm)
		return -1;
	svm->vmcb = page_alloc();
	if (!svm->vmcb)
		return -1;
	svm->vmcb_pa = ptr_hpa(svm->vmcb).raw;
	svm->clean_after = svm_features.has_clean_bits ? CLEAN_ALL : 0;
	control = &svm->vmcb->control;
	svm_controls_init(control, &svm_features, vcpu->vm->config->vcpus > 1);
	control->n_cr3 = vcpu->vm->npt.root.raw;
	svm_bitmaps(&control->iopm_base_pa, &control->msrpm_base_pa);
	return 0;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = vcpu->arch;

	if (!svm)
		return;
	page_free(svm->vmcb);
	page_free(svm);
	vcpu->arch = NULL;
}

/* Nothing is flushed now: the next entry asks the processor for it, or takes a fresh ASID (svm_asid_pick). */
void svm_flush(struct vcpu *vcpu)
{
	svm_of(vcpu)->want_flush = true;
}

/* AMD-V has no timer that ends a guest: the scheduler uses the host's. */
bool svm_limit_turn(struct vcpu *vcpu, uint64_t ticks)
{
	(void)vcpu;
	(void)ticks;
	return false;
}

/* One bit stands for the shadows of STI, MOV SS and POP SS (15.21.5 "Interrupt Shadows"). */
void svm_end_shadow(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	svm->shadow_rip = SVM_NO_SHADOW;
	svm->vmcb->control.interrupt_shadow = 0;
}

void svm_set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	struct vmcb_control *control = &svm_of(vcpu)->vmcb->control;

	control->tsc_offset = offset;
	control->clean_bits &= ~CLEAN_I;
}

/* ---- Registers by name ---- */

/*
 * Where a register is in the VMCB, and which clean bit covers it. 0: the processor loads the field at every
 * VMRUN or VMLOAD and keeps no copy of it (15.15.3).
 */
#define FIELD_OF(member, clean) { offsetof(struct vmcb, member), (clean) }

static const struct { uint16_t offset; uint32_t clean; } reg_fields[GUEST_READ_COUNT] = {
	[REG_RIP] = FIELD_OF(save.rip, 0),
	[REG_RSP] = FIELD_OF(save.rsp, 0),
	[REG_RFLAGS] = FIELD_OF(save.rflags, 0),
	[REG_CR0] = FIELD_OF(save.cr0, CLEAN_CRX),
	[REG_CR3] = FIELD_OF(save.cr3, CLEAN_CRX),
	[REG_CR4] = FIELD_OF(save.cr4, CLEAN_CRX),
	[REG_EFER] = FIELD_OF(save.efer, CLEAN_CRX),
	[REG_DR7] = FIELD_OF(save.dr7, CLEAN_DRX),
	[REG_SYSENTER_CS] = FIELD_OF(save.sysenter_cs, 0),
	[REG_SYSENTER_ESP] = FIELD_OF(save.sysenter_esp, 0),
	[REG_SYSENTER_EIP] = FIELD_OF(save.sysenter_eip, 0),
	[REG_PAT] = FIELD_OF(save.g_pat, CLEAN_NP),
	[REG_FS_BASE] = FIELD_OF(save.fs.base, 0),
	[REG_GS_BASE] = FIELD_OF(save.gs.base, 0),
	[REG_DEBUGCTL] = FIELD_OF(save.dbgctl, CLEAN_LBR),
	[REG_CS_RIGHTS] = FIELD_OF(save.cs.attrib, 0),	/* converted by svm_get */
	[REG_SS_RIGHTS] = FIELD_OF(save.ss.attrib, 0),
};

static uint64_t *reg_ptr(struct vmcb *vmcb, enum guest_reg reg)
{
	return (uint64_t *)(void *)((char *)vmcb + reg_fields[reg].offset);
}

/* A converted field: in SS with the privilege level, which has a field of its own here. */
static uint64_t segment_rights(struct vcpu *vcpu, enum guest_seg index)
{
	struct segment seg;

	svm_get_seg(vcpu, index, &seg);
	return seg.rights;
}

/*
 * LMA is LME while paging (APM vol. 2, 14.6.1), and is computed from them: at the exit of the MOV to CR0 that would
 * switch paging off the guest's page tables must be walked as they still are, whatever became of LMA.
 */
static uint64_t efer_of_guest(const struct vmcb *vmcb)
{
	uint64_t efer = vmcb->save.efer & ~EFER_SVME;

	return (efer & EFER_LME) && (vmcb->save.cr0 & CR0_PG) ? efer | EFER_LMA : efer;
}

/* What the guest would read: the field, less what we set in hardware, plus what we keep from it. */
uint64_t svm_get(struct vcpu *vcpu, enum guest_reg reg)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	uint64_t val;

	if (reg == REG_CS_RIGHTS || reg == REG_SS_RIGHTS)
		return segment_rights(vcpu, reg == REG_CS_RIGHTS ? SEG_CS : SEG_SS);
	val = *reg_ptr(svm->vmcb, reg);
	if (reg == REG_EFER)
		val = efer_of_guest(svm->vmcb) | svm->efer_hidden;
	else if (reg == REG_CR0)
		val |= svm->cr0_hidden;
	else if (reg == REG_CR4)
		val &= ~svm->cr4_hidden;
	return val;
}

/*
 * CD and NW would switch the caches off for everybody: they are kept beside, and clear in the VMCB. While
 * the guest has one of them set, reads of CR0 exit, so that it sees them, and so do all writes: the
 * selective intercept compares the new value with the CR0 in the VMCB, and would miss a write that clears
 * the hidden bits.
 */
static uint64_t hide_cr0(struct svm_vcpu *svm, uint64_t val)
{
	struct vmcb_control *control = &svm->vmcb->control;
	uint16_t cr0_bit = (uint16_t)BIT(0);

	svm->cr0_hidden = val & CR0_HIDDEN;
	control->intercept_cr_read &= (uint16_t)~cr0_bit;
	control->intercept_cr_write &= (uint16_t)~cr0_bit;
	if (svm->cr0_hidden) {
		control->intercept_cr_read |= cr0_bit;
		control->intercept_cr_write |= cr0_bit;
	}
	control->clean_bits &= ~CLEAN_I;
	return val & ~CR0_HIDDEN;
}

/*
 * Without MCE a machine check while the guest runs would shut the processor down: it stays set, and reads
 * exit if need be.
 */
static uint64_t hide_cr4(struct svm_vcpu *svm, uint64_t val)
{
	struct vmcb_control *control = &svm->vmcb->control;
	uint16_t cr4_bit = (uint16_t)BIT(4);

	svm->cr4_hidden = ~val & CR4_MCE;
	control->intercept_cr_read &= (uint16_t)~cr4_bit;
	if (svm->cr4_hidden)
		control->intercept_cr_read |= cr4_bit;
	control->clean_bits &= ~CLEAN_I;
	return val | CR4_MCE;
}

/*
 * LME means nothing to the processor before paging begins (APM vol. 2, 14.6.1): until then it is kept beside. With the
 * guest's LME in the processor #VMEXIT would have to load our CR4 and CR0 in the right order: README.md, "What the
 * emulators get wrong".
 */
static void hide_lme(struct svm_vcpu *svm)
{
	struct vmcb_save *save = &svm->vmcb->save;
	uint64_t lme = (save->efer | svm->efer_hidden) & EFER_LME;

	svm->efer_hidden = save->cr0 & CR0_PG ? 0 : lme;
	save->efer = (save->efer & ~EFER_LME) | (lme & ~svm->efer_hidden);
}

/* What the guest shall read from now on. The values were checked (exit/cr.c, exit/msr.c). */
void svm_set(struct vcpu *vcpu, enum guest_reg reg, uint64_t val)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	if (reg == REG_EFER) {
		svm->efer_hidden = 0;
		val |= EFER_SVME;
	} else if (reg == REG_CR0) {
		val = hide_cr0(svm, val);
	} else if (reg == REG_CR4) {
		val = hide_cr4(svm, val);
	}
	*reg_ptr(svm->vmcb, reg) = val;
	svm->vmcb->control.clean_bits &= ~reg_fields[reg].clean;
	if (reg == REG_EFER || reg == REG_CR0)
		hide_lme(svm);		/* both have one clean bit */
}

/* ---- Segments ---- */

static const struct { uint16_t offset; uint32_t clean; } seg_fields[SEG_COUNT] = {
	[SEG_ES] = FIELD_OF(save.es, CLEAN_SEG),
	[SEG_CS] = FIELD_OF(save.cs, CLEAN_SEG),
	[SEG_SS] = FIELD_OF(save.ss, CLEAN_SEG),
	[SEG_DS] = FIELD_OF(save.ds, CLEAN_SEG),
	[SEG_FS] = FIELD_OF(save.fs, 0),
	[SEG_GS] = FIELD_OF(save.gs, 0),
	[SEG_LDTR] = FIELD_OF(save.ldtr, 0),
	[SEG_TR] = FIELD_OF(save.tr, 0),
	[SEG_GDTR] = FIELD_OF(save.gdtr, CLEAN_DT),
	[SEG_IDTR] = FIELD_OF(save.idtr, CLEAN_DT),
};

static struct vmcb_seg *seg_ptr(struct vmcb *vmcb, enum guest_seg seg)
{
	return (struct vmcb_seg *)(void *)((char *)vmcb + seg_fields[seg].offset);
}

/* The privilege level is a field of its own here; the neutral view, like VMX', has it in SS. */
void svm_get_seg(struct vcpu *vcpu, enum guest_seg seg, struct segment *out)
{
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;
	const struct vmcb_seg *field = seg_ptr(vmcb, seg);

	*out = (struct segment){ .base = field->base, .limit = field->limit };
	if (seg >= SEG_GDTR)
		return;
	out->selector = field->selector;
	out->rights = svm_rights_of(field->attrib);
	if (seg == SEG_SS)
		out->rights = (uint32_t)field_set(out->rights, SEG_DPL_MASK, vmcb->save.cpl);
}

/* Real mode runs at privilege level 0, virtual-8086 mode at 3, whatever SS holds. */
static uint8_t cpl_of(const struct vmcb_save *save, uint32_t ss_rights)
{
	if (!(save->cr0 & CR0_PE))
		return 0;
	if (save->rflags & RFLAGS_VM)
		return CPL_USER;
	return (uint8_t)field_get(ss_rights, SEG_DPL_MASK);
}

void svm_set_seg(struct vcpu *vcpu, enum guest_seg seg, const struct segment *in)
{
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;

	*seg_ptr(vmcb, seg) = (struct vmcb_seg){ in->selector, svm_attrib_of(in->rights), in->limit, in->base };
	if (seg == SEG_SS)
		vmcb->save.cpl = cpl_of(&vmcb->save, in->rights);
	vmcb->control.clean_bits &= ~seg_fields[seg].clean;
}
