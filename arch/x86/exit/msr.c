/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR: one policy table, sorted, from which the vendors compute their bitmaps too.
 *
 *   PASS     the register is the guest's own while it runs: part of the control block, or switched with the
 *            vCPU; the hypervisor never relies on its value (compiled without SYSCALL, SWAPGS or RDTSCP)
 *   EMULATE  a function here; it may refuse with #GP
 *   absent   #GP(0) and the VM lives: Linux probes with exception fix-ups
 *
 * Every value a guest writes is checked as the processor would before hardware can see it (XSA-193 class).
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/exit/mtrr.h"
#include "arch/x86/exit/pvclock.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define MISC_ENABLE_FAST_STRINGS	BIT(0)
#define MISC_ENABLE_BTS_UNAVAILABLE	BIT(11)
#define MISC_ENABLE_PEBS_UNAVAILABLE	BIT(12)
#define MISC_ENABLE_LIMIT_CPUID		BIT(22)
#define DEBUGCTL_BTF			BIT(1)
#define HWCR_TSC_FREQ_SEL		BIT(24)
#define DE_CFG_LFENCE_SERIALIZE		BIT(1)

static bool read_zero(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = 0;
	return true;
}

static bool write_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)vcpu;
	(void)msr;
	(void)val;
	return true;
}

/* The guest moved its TSC: hardware, the paravirtual clock and a TSC deadline follow. */
static void tsc_moved(struct vcpu *vcpu)
{
	virt->set_tsc_offset(vcpu, vcpu_host_tsc_offset(vcpu));
	pvclock_update(vcpu);
	lapic_tsc_moved(&vcpu->lapic);
}

static bool read_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu_tsc(vcpu);
	return true;
}

static bool write_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	uint64_t moved = val - vcpu_tsc(vcpu);

	(void)msr;
	vcpu->tsc_adjust += moved;
	vcpu->tsc_offset += moved;
	tsc_moved(vcpu);
	return true;
}

static bool read_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu->tsc_adjust;
	return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	vcpu->tsc_offset += val - vcpu->tsc_adjust;
	vcpu->tsc_adjust = val;
	tsc_moved(vcpu);
	return true;
}

static bool read_apic_base(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu->lapic.s.base_msr;
	return true;
}

static bool write_apic_base(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	return val < BIT(cpu_features.phys_bits) && lapic_base_write(&vcpu->lapic, val);
}

static bool read_x2apic(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	return lapic_msr_read(&vcpu->lapic, msr, val);
}

static bool write_x2apic(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	return lapic_msr_write(&vcpu->lapic, msr, val);
}

static bool read_deadline(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = lapic_deadline_read(&vcpu->lapic);
	return true;
}

static bool write_deadline(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	lapic_deadline_write(&vcpu->lapic, val);
	return true;
}

/* Locked without VMX: what a firmware says that has it switched off. */
static bool read_feature_control(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = FEATURE_CONTROL_LOCK;
	return true;
}

static bool read_bios_sign(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu->bios_sign;
	return true;
}

/* Loading 0 before CPUID leaf 1 is how the revision is asked for (SDM vol. 3, 10.11.7). */
static bool write_bios_sign(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)vcpu;
	(void)msr;
	(void)val;
	return true;
}

static bool read_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu->misc_enable | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE;
	return true;
}

static bool write_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	vcpu->misc_enable = val & (MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID);
	return true;
}

static bool read_pat(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = virt->get(vcpu, REG_PAT);
	return true;
}

static bool write_pat(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	if (!pat_is_valid(val))
		return false;
	virt->set(vcpu, REG_PAT, val);
	return true;
}

static bool read_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = virt->get(vcpu, REG_DEBUGCTL);
	return true;
}

/* Single-stepping on branches works; branch records do not exist here, so their bits are reserved. */
static bool write_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)msr;
	if (val & ~DEBUGCTL_BTF)
		return false;
	virt->set(vcpu, REG_DEBUGCTL, val);
	return true;
}

static bool read_xss(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = vcpu->xss;
	return true;
}

static bool write_xss(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	(void)vcpu;
	(void)msr;
	return val == 0;	/* no supervisor component is offered in CPUID leaf 0xD */
}

static bool read_efer(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)msr;
	*val = virt->get(vcpu, REG_EFER);
	return true;
}

/* SDM vol. 3, 2.2.1 "Extended Feature Enable Register"; LMA is the processor's, LME is fixed while paging. */
static bool write_efer(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	uint64_t old = virt->get(vcpu, REG_EFER);
	uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

	(void)msr;
	if (val & ~allowed)
		return false;
	if (((val ^ old) & EFER_LME) && (virt->get(vcpu, REG_CR0) & CR0_PG))
		return false;
	virt->set(vcpu, REG_EFER, (val & ~EFER_LMA) | (old & EFER_LMA));
	return true;
}

static bool read_vm_cr(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = VM_CR_SVM_LOCK | VM_CR_SVMDIS;
	return true;
}

/* TscFreqSel: the TSC counts at the P0 rate. Linux reports a firmware bug without it. */
static bool read_hwcr(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = HWCR_TSC_FREQ_SEL;
	return true;
}

static bool read_de_cfg(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = DE_CFG_LFENCE_SERIALIZE;
	return true;
}

#define PASS(number)		{ number, 0, MSR_PASS, MSR_PASS, NULL, NULL, false }
#define RW(number, r, w)	{ number, 0, MSR_EMULATE, MSR_EMULATE, r, w, false }
#define RO(number, r)		{ number, 0, MSR_EMULATE, MSR_DENY, r, NULL, false }
#define RANGE(lo, hi, r, w)	{ lo, hi, MSR_EMULATE, MSR_EMULATE, r, w, false }
#define AMD(number, r, w)	{ number, 0, MSR_EMULATE, MSR_EMULATE, r, w, true }

static const struct msr_policy policy[] = {
	RW(MSR_IA32_TSC, read_tsc, write_tsc),	/* not passed through: QEMU's processor reads zero there */
	RO(MSR_IA32_PLATFORM_ID, read_zero),
	RW(MSR_IA32_APIC_BASE, read_apic_base, write_apic_base),
	RO(MSR_IA32_FEATURE_CONTROL, read_feature_control),
	RW(MSR_IA32_TSC_ADJUST, read_tsc_adjust, write_tsc_adjust),
	RW(MSR_IA32_BIOS_SIGN_ID, read_bios_sign, write_bios_sign),
	RO(MSR_IA32_MTRRCAP, mtrr_read_cap),
	PASS(MSR_IA32_SYSENTER_CS),
	PASS(MSR_IA32_SYSENTER_ESP),
	PASS(MSR_IA32_SYSENTER_EIP),
	RO(MSR_IA32_MCG_CAP, read_zero),	/* no banks */
	RW(MSR_IA32_MCG_STATUS, read_zero, write_ignored),
	RW(MSR_IA32_MISC_ENABLE, read_misc_enable, write_misc_enable),
	RW(MSR_IA32_DEBUGCTL, read_debugctl, write_debugctl),
	RANGE(MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_PHYSBASE0 + MTRR_VARIABLE - 1, mtrr_read, mtrr_write),
	RW(MSR_IA32_MTRR_FIX64K_00000, mtrr_read, mtrr_write),
	RANGE(MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, mtrr_read, mtrr_write),
	RANGE(MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, mtrr_read, mtrr_write),
	RW(MSR_IA32_PAT, read_pat, write_pat),
	RW(MSR_IA32_MTRR_DEF_TYPE, mtrr_read, mtrr_write),
	RW(MSR_IA32_TSC_DEADLINE, read_deadline, write_deadline),
	RANGE(MSR_X2APIC_FIRST, MSR_X2APIC_LAST, read_x2apic, write_x2apic),
	RW(MSR_IA32_XSS, read_xss, write_xss),
	RW(MSR_KVM_WALL_CLOCK, pvclock_read, pvclock_write_wall),
	RW(MSR_KVM_SYSTEM_TIME, pvclock_read, pvclock_write_time),
	RW(MSR_EFER, read_efer, write_efer),
	PASS(MSR_STAR),
	PASS(MSR_LSTAR),
	PASS(MSR_CSTAR),
	PASS(MSR_SFMASK),
	PASS(MSR_FS_BASE),
	PASS(MSR_GS_BASE),
	PASS(MSR_KERNEL_GS_BASE),
	PASS(MSR_TSC_AUX),
	AMD(MSR_AMD_SYSCFG, read_zero, write_ignored),
	AMD(MSR_AMD_HWCR, read_hwcr, write_ignored),
	AMD(MSR_AMD_NB_CFG, read_zero, write_ignored),	/* Linux switches extended PCI access through it */
	{ MSR_AMD_VM_CR, 0, MSR_EMULATE, MSR_DENY, read_vm_cr, NULL, true },
	AMD(MSR_AMD_LS_CFG, read_zero, write_ignored),
	AMD(MSR_AMD_DE_CFG, read_de_cfg, write_ignored),
};

const struct msr_policy *msr_policy_table(size_t *count)
{
	*count = countof(policy);
	return policy;
}

static const struct msr_policy *policy_find(uint32_t msr)
{
	size_t lo = 0, hi = countof(policy);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct msr_policy *row = &policy[mid];

		if (msr < row->msr)
			hi = mid;
		else if (msr > row->msr && msr > row->last)
			lo = mid + 1;
		else
			return row;
	}
	return NULL;
}

static bool is_ours(const struct msr_policy *row)
{
	return row && (!row->amd_only || cpu_features.is_amd);
}

/* A PASS row exits only where a vendor's bitmap does not cover it; none does today, so that is a refusal too. */
enum exit_result exit_rdmsr(struct vcpu *vcpu)
{
	const struct msr_policy *row = policy_find((uint32_t)vcpu->gpr[GPR_RCX]);
	uint64_t val;

	trace_touch(&vcpu->trace, TOUCH_RDMSR, (uint32_t)vcpu->gpr[GPR_RCX]);
	if (!is_ours(row) || row->read != MSR_EMULATE || !row->read_fn(vcpu, (uint32_t)vcpu->gpr[GPR_RCX], &val)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vcpu->gpr[GPR_RAX] = lo32(val);
	vcpu->gpr[GPR_RDX] = hi32(val);
	return EXIT_SKIP;
}

enum exit_result exit_wrmsr(struct vcpu *vcpu)
{
	const struct msr_policy *row = policy_find((uint32_t)vcpu->gpr[GPR_RCX]);
	uint64_t val = join32(lo32(vcpu->gpr[GPR_RDX]), vcpu->gpr[GPR_RAX]);

	trace_touch(&vcpu->trace, TOUCH_WRMSR, (uint32_t)vcpu->gpr[GPR_RCX]);
	if (!is_ours(row) || row->write != MSR_EMULATE ||
	    !row->write_fn(vcpu, (uint32_t)vcpu->gpr[GPR_RCX], val)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	return EXIT_SKIP;
}

/* What the registers hold at reset. */
void msr_reset(struct vcpu *vcpu)
{
	const uint64_t microcode = BIT(32);	/* any revision but 0, or guests take the processor for a broken one */

	vcpu->misc_enable = MISC_ENABLE_FAST_STRINGS;
	vcpu->bios_sign = microcode;
	vcpu->tsc_adjust = 0;
	vcpu->pv_time = vcpu->pv_wall = 0;
	mtrr_reset(vcpu);
}
