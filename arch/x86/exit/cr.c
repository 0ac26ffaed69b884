/* SPDX-License-Identifier: MIT */
/*
 * Control registers: what a guest may write, checked as the processor checks it (SDM vol. 3, 2.5 "Control
 * Registers"; 4.1.1 "Four Paging Modes"; 10.8.5 "Initializing IA-32e Mode"), and the mode switches that
 * follow. The back end's get and set speak of the guest's view; what hardware needs besides is its affair.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define LMSW_BITS	(CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR4_ALWAYS	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |	\
			 CR4_OSFXSR | CR4_OSXMMEXCPT)
/*
 * Changes of these need our hand: paging mode, address-space tags, what hardware keeps set, what may never
 * be set.
 */
#define CR4_TRAPPED	(CR4_PAE | CR4_MCE | CR4_PCIDE | CR4_LA57 | CR4_VMXE | CR4_SMXE)
#define CR3_PCID	FIELD(11, 0)

uint64_t cr0_guest_allowed(void)
{
	return CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
}

/* CR4 bits that exist only with a CPUID feature this VM was given. */
uint64_t cr4_guest_allowed(const struct vcpu *vcpu)
{
	struct cpuid_regs one = cpuid_lookup(vcpu->vm->cpuid, CPUID_FEATURES, 0);
	struct cpuid_regs seven = cpuid_lookup(vcpu->vm->cpuid, CPUID_EXT_FEATURES, 0);
	const struct { bool has; uint64_t bit; } features[] = {
		{ one.ecx & CPUID1_C_PCID, CR4_PCIDE },
		{ one.ecx & CPUID1_C_XSAVE, CR4_OSXSAVE },
		{ seven.ebx & CPUID7_B_FSGSBASE, CR4_FSGSBASE },
		{ seven.ebx & CPUID7_B_SMEP, CR4_SMEP },
		{ seven.ebx & CPUID7_B_SMAP, CR4_SMAP },
		{ seven.ecx & CPUID7_C_UMIP, CR4_UMIP },
	};
	uint64_t allowed = CR4_ALWAYS;

	for (size_t i = 0; i < countof(features); i++)
		if (features[i].has)
			allowed |= features[i].bit;
	return allowed;
}

uint64_t cr4_guest_owned(const struct vcpu *vcpu)
{
	return cr4_guest_allowed(vcpu) & ~CR4_TRAPPED;
}

static bool is_code64(struct vcpu *vcpu)
{
	struct segment cs;

	virt->get_seg(vcpu, SEG_CS, &cs);
	return cs.rights & SEG_L;
}

/* Changes of these make the processor read the four entries that CR3 points to in PAE paging: SDM vol. 3, 4.4.1. */
#define CR0_PAE_LOADS	(CR0_PG | CR0_CD | CR0_NW)
#define CR4_PAE_LOADS	(CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

/* Would these registers be PAE paging with entries that the processor refuses? */
static bool has_bad_pointers(struct vcpu *vcpu, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint64_t pointers[PAE_POINTERS];

	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(virt->get(vcpu, REG_EFER) & EFER_LME) &&
	       !walk_pae_pointers(vcpu, cr3, pointers);
}

/* CR3 is the register that brings them, so it is written again. */
static void load_pointers(struct vcpu *vcpu)
{
	virt->set(vcpu, REG_CR3, virt->get(vcpu, REG_CR3));
}

/* Intel's processors refuse to begin IA-32e mode with a 16-bit TSS (SDM vol. 3, 10.8.5). */
static bool is_tss_too_old(struct vcpu *vcpu)
{
	struct segment tr;

	virt->get_seg(vcpu, SEG_TR, &tr);
	return virt->caps->needs_wide_tss && (tr.rights & (SEG_S | SEG_TYPE_MASK)) == TYPE_TSS16_BUSY;
}

/* Paging goes on or off: may it, and what becomes of EFER.LMA? */
static bool switch_paging(struct vcpu *vcpu, bool turns_on)
{
	uint64_t efer = virt->get(vcpu, REG_EFER), cr4 = virt->get(vcpu, REG_CR4);

	if (turns_on) {
		if (!(efer & EFER_LME))
			return true;
		if (!(cr4 & CR4_PAE) || is_code64(vcpu) || is_tss_too_old(vcpu))
			return false;
		efer |= EFER_LMA;
	} else {
		if ((cr4 & CR4_PCIDE) || ((efer & EFER_LMA) && is_code64(vcpu)))
			return false;
		efer &= ~EFER_LMA;
	}
	/* Before CR0, so that the back end sees the final paging mode when CR0 arrives. */
	virt->set(vcpu, REG_EFER, efer);
	return true;
}

static bool set_cr0(struct vcpu *vcpu, uint64_t val)
{
	uint64_t old = virt->get(vcpu, REG_CR0);

	if (hi32(val) || ((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)))
		return false;
	val = (val & cr0_guest_allowed()) | CR0_ET;	/* reserved low bits are ignored, ET reads one */
	if (((val ^ old) & CR0_PAE_LOADS) &&
	    has_bad_pointers(vcpu, val, virt->get(vcpu, REG_CR3), virt->get(vcpu, REG_CR4)))
		return false;
	if (((val ^ old) & CR0_PG) && !switch_paging(vcpu, val & CR0_PG))
		return false;
	virt->set(vcpu, REG_CR0, val);
	if ((val ^ old) & CR0_PAE_LOADS)
		load_pointers(vcpu);
	return true;
}

static bool set_cr4(struct vcpu *vcpu, uint64_t val)
{
	uint64_t old = virt->get(vcpu, REG_CR4), efer = virt->get(vcpu, REG_EFER);

	if (val & ~cr4_guest_allowed(vcpu))
		return false;
	if ((efer & EFER_LMA) && !(val & CR4_PAE))
		return false;
	if ((val & ~old & CR4_PCIDE) && (!(efer & EFER_LMA) || (virt->get(vcpu, REG_CR3) & CR3_PCID)))
		return false;
	if (((val ^ old) & CR4_PAE_LOADS) && has_bad_pointers(vcpu, virt->get(vcpu, REG_CR0), virt->get(vcpu, REG_CR3), val))
		return false;
	virt->set(vcpu, REG_CR4, val);
	if ((val ^ old) & CR4_PAE_LOADS)
		load_pointers(vcpu);
	if ((val ^ old) & (CR4_PAE | CR4_PCIDE | CR4_PGE | CR4_SMEP))
		virt->flush(vcpu);	/* these changes invalidate translations: SDM vol. 3, 4.10.4.1 */
	return true;
}

static bool set_cr3(struct vcpu *vcpu, uint64_t val)
{
	if (has_bad_pointers(vcpu, virt->get(vcpu, REG_CR0), val, virt->get(vcpu, REG_CR4)))
		return false;
	virt->set(vcpu, REG_CR3, val & ~BIT(63));	/* the no-flush bit is not stored */
	return true;
}

static bool set_cr(struct vcpu *vcpu, unsigned cr, uint64_t val)
{
	if (cr == 0)
		return set_cr0(vcpu, val);
	if (cr == 4)
		return set_cr4(vcpu, val);
	if (cr == 3)
		return set_cr3(vcpu, val);
	if (cr == 8 && val <= 15)
		lapic_cr8_write(&vcpu->lapic, val);
	else
		return false;
	return true;
}

static uint64_t get_cr(struct vcpu *vcpu, unsigned cr)
{
	static const struct { uint8_t cr; enum guest_reg reg; } kept[] = {
		{ 0, REG_CR0 }, { 3, REG_CR3 }, { 4, REG_CR4 },
	};

	for (size_t i = 0; i < countof(kept); i++)
		if (kept[i].cr == cr)
			return virt->get(vcpu, kept[i].reg);
	return lapic_cr8_read(&vcpu->lapic);	/* CR8: reads of CR2 do not exit */
}

enum exit_result exit_cr(struct vcpu *vcpu, const struct cr_access *access)
{
	uint64_t cr0 = virt->get(vcpu, REG_CR0);
	bool     is_long = vcpu_mode(vcpu) == INSN_64;
	bool     ok = true;
	uint64_t val;

	switch (access->op) {
	case CR_MOV_TO:
		val = vcpu_gpr(vcpu, access->gpr);
		ok = set_cr(vcpu, access->cr, is_long ? val : lo32(val));
		break;
	case CR_MOV_FROM:
		val = get_cr(vcpu, access->cr);
		vcpu_set_gpr(vcpu, access->gpr, is_long ? val : lo32(val));
		break;
	case CR_CLTS:
		virt->set(vcpu, REG_CR0, cr0 & ~CR0_TS);
		break;
	case CR_LMSW:		/* PE can be set, never cleared (SDM vol. 2, LMSW) */
		ok = set_cr0(vcpu, (cr0 & ~(LMSW_BITS & ~CR0_PE)) | (access->lmsw & LMSW_BITS));
		break;
	}
	if (!ok) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	return EXIT_SKIP;
}
