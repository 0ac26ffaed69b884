/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR: one policy table, sorted, from which the vendors compute their bitmaps too.
 *
 *   PASS     the guest reads and writes the processor's register without an exit. The register is part of the control
 *            block, or switched with the vCPU, and the hypervisor does not use it (no SYSCALL, SWAPGS or RDTSCP)
 *   EMULATE  a constant, a field of struct vcpu, a register of the control block, or a function here, which may
 *            refuse with #GP
 *   absent   #GP(0) and the VM lives: Linux probes with exception fix-ups
 *
 * Every value a guest writes is checked as the processor would before hardware can see it (XSA-193 class).
 */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "arch/x86/exit/mtrr.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/pv/eoi.h"
#include "arch/x86/pv/kvm.h"
#include "arch/x86/pv/pvclock.h"
#include "arch/x86/pv/steal.h"
#include "arch/x86/host/features.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/memtype.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define MISC_ENABLE_FAST_STRINGS	BIT(0)
#define MISC_ENABLE_BTS_UNAVAILABLE	BIT(11)
#define MISC_ENABLE_PEBS_UNAVAILABLE	BIT(12)
#define MISC_ENABLE_LIMIT_CPUID		BIT(22)
#define MISC_ENABLE_WRITABLE	(MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID)
#define MISC_ENABLE_FIXED	(MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE)
#define HWCR_TSC_FREQ_SEL		BIT(24)
#define DE_CFG_LFENCE_SERIALIZE		BIT(1)
#define MICROCODE_REVISION	BIT(32)		/* any but 0, or guests take the processor for a broken one */
#define PLATFORM_BUS_HZ		100000000U
#define PLATFORM_RATIO_MAX	FIELD(15, 8)
#define PLATFORM_RATIO_MIN	FIELD(47, 40)

static uint32_t msr_in_ecx(const struct vcpu *vcpu)
{
	return (uint32_t)vcpu->gpr[GPR_RCX];
}

/* ---- Registers whose value is computed ---- */

static bool read_tsc(struct vcpu *vcpu, uint64_t *val)
{
	*val = vcpu_tsc(vcpu);
	return true;
}

static bool read_x2apic(struct vcpu *vcpu, uint64_t *val)
{
	return lapic_msr_read(&vcpu->lapic, msr_in_ecx(vcpu), val);
}

static bool read_mtrr(struct vcpu *vcpu, uint64_t *val)
{
	*val = *mtrr_slot(vcpu, msr_in_ecx(vcpu));
	return true;
}

/*
 * The TSC's rate as a multiple of 100 MHz, as maximum without turbo and as minimum: SDM vol. 4,
 * MSR_PLATFORM_INFO.
 */
static bool read_platform_info(struct vcpu *vcpu, uint64_t *val)
{
	uint64_t ratio = max_u64(time_hz() / PLATFORM_BUS_HZ, 1);

	(void)vcpu;
	*val = field_set(field_set(0, PLATFORM_RATIO_MAX, ratio), PLATFORM_RATIO_MIN, ratio);
	return true;
}

/* ---- Writes that do, or refuse, something ---- */

/* The guest moves its TSC: hardware, the paravirtual clock and a TSC deadline follow. */
static void move_tsc(struct vcpu *vcpu, uint64_t moved)
{
	lapic_timer_settle(&vcpu->lapic);
	vcpu->tsc_offset += moved;
	virt->set_tsc_offset(vcpu, vcpu_host_tsc_offset(vcpu));
	pvclock_update(vcpu);
	lapic_tsc_moved(&vcpu->lapic);
}

static bool write_tsc(struct vcpu *vcpu, uint64_t val)
{
	uint64_t moved = val - vcpu_tsc(vcpu);

	vcpu->tsc_adjust += moved;
	move_tsc(vcpu, moved);
	return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, uint64_t val)
{
	uint64_t moved = val - vcpu->tsc_adjust;

	vcpu->tsc_adjust = val;
	move_tsc(vcpu, moved);
	return true;
}

static bool write_apic_base(struct vcpu *vcpu, uint64_t val)
{
	if (val >= BIT(cpu_features.phys_bits) || !lapic_base_write(&vcpu->lapic, val))
		return false;
	mmio_hole_forget(vcpu, val);
	return true;
}

static bool write_x2apic(struct vcpu *vcpu, uint64_t val)
{
	return lapic_msr_write(&vcpu->lapic, msr_in_ecx(vcpu), val);
}

static bool write_deadline(struct vcpu *vcpu, uint64_t val)
{
	lapic_deadline_write(&vcpu->lapic, val);
	return true;
}

static bool write_misc_enable(struct vcpu *vcpu, uint64_t val)
{
	vcpu->misc_enable = (val & MISC_ENABLE_WRITABLE) | MISC_ENABLE_FIXED;
	return true;
}

static bool write_mtrr(struct vcpu *vcpu, uint64_t val)
{
	uint32_t msr = msr_in_ecx(vcpu);

	if (!mtrr_is_valid(msr, val, cpu_features.phys_bits))
		return false;
	*mtrr_slot(vcpu, msr) = val;
	return true;
}

static bool write_pat(struct vcpu *vcpu, uint64_t val)
{
	if (!pat_is_valid(val))
		return false;
	virt->set(vcpu, REG_PAT, val);
	return true;
}

/* Single-stepping on branches works; branch records do not exist here, so their bits are reserved. */
static bool write_debugctl(struct vcpu *vcpu, uint64_t val)
{
	if (val & ~DEBUGCTL_BTF)
		return false;
	virt->set(vcpu, REG_DEBUGCTL, val);
	return true;
}

/* No supervisor component is offered in CPUID leaf 0xD. */
static bool write_xss(struct vcpu *vcpu, uint64_t val)
{
	(void)vcpu;
	return val == 0;
}

/* SDM vol. 3, 2.2.1 "Extended Feature Enable Register"; LMA is the processor's, LME is fixed while paging. */
static bool write_efer(struct vcpu *vcpu, uint64_t val)
{
	uint64_t old = virt->get(vcpu, REG_EFER);
	uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

	if (val & ~allowed)
		return false;
	if (((val ^ old) & EFER_LME) && (virt->get(vcpu, REG_CR0) & CR0_PG))
		return false;
	virt->set(vcpu, REG_EFER, (val & ~EFER_LMA) | (old & EFER_LMA));
	return true;
}

/* ---- The table ---- */

/*
 * PASS   the guest's own                           VALUE     reads a constant, refuses writes
 * FIXED  reads a constant, ignores writes          FIELD_OF  reads a field of struct vcpu
 * REG    reads a register of the control block     FN        reads by a function
 * A last argument that is a function is called with what is written.
 */
#define ROW(number, to, whose, may)	.msr = (number), .last = (to), .vendor = (whose), .read = MSR_EMULATE, \
					.write = (may)
#define CONSTANT(val)			.source = MSR_VALUE, .value = (val)
#define PASS(number)			{ .msr = (number), .read = MSR_PASS, .write = MSR_PASS }
#define VALUE(number, val)		{ ROW(number, 0, MSR_ANY, MSR_DENY), CONSTANT(val) }
#define FIXED(number, val)		{ ROW(number, 0, MSR_ANY, MSR_EMULATE), CONSTANT(val) }
#define AMD_VALUE(number, val)		{ ROW(number, 0, MSR_AMD, MSR_DENY), CONSTANT(val) }
#define AMD_FIXED(number, val)		{ ROW(number, 0, MSR_AMD, MSR_EMULATE), CONSTANT(val) }
#define AMD_FIXED_TO(number, to, val)	{ ROW(number, to, MSR_AMD, MSR_EMULATE), CONSTANT(val) }
#define INTEL_READ(number, r)		{ ROW(number, 0, MSR_INTEL, MSR_DENY), .read_fn = (r) }
#define FIELD_OF(number, field, w)	{ ROW(number, 0, MSR_ANY, MSR_EMULATE), .source = MSR_FIELD, \
					  .value = offsetof(struct vcpu, field), .write_fn = (w) }
#define REG(number, reg, w)		{ ROW(number, 0, MSR_ANY, MSR_EMULATE), .source = MSR_REG, .value = (reg), \
					  .write_fn = (w) }
#define FN(number, r, w)		{ ROW(number, 0, MSR_ANY, MSR_EMULATE), .read_fn = (r), .write_fn = (w) }
#define FN_TO(number, to, r, w)		{ ROW(number, to, MSR_ANY, MSR_EMULATE), .read_fn = (r), .write_fn = (w) }

static const struct msr_policy policy[] = {
	FN(MSR_IA32_TSC, read_tsc, write_tsc),	/* both ways ours: a write moves the guest's own clock, never the host's */
	VALUE(MSR_IA32_PLATFORM_ID, 0),
	FIELD_OF(MSR_IA32_APIC_BASE, lapic.s.base_msr, write_apic_base),
	VALUE(MSR_IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCK),	/* locked without VMX, as firmware leaves it */
	FIELD_OF(MSR_IA32_TSC_ADJUST, tsc_adjust, write_tsc_adjust),
	/* Writing 0 before CPUID leaf 1 is how the revision is asked for (SDM vol. 3, 10.11.7). */
	FIXED(MSR_IA32_BIOS_SIGN_ID, MICROCODE_REVISION),
	INTEL_READ(MSR_PLATFORM_INFO, read_platform_info),
	VALUE(MSR_IA32_MTRRCAP, MTRRCAP_HERE),
	PASS(MSR_IA32_SYSENTER_CS),
	PASS(MSR_IA32_SYSENTER_ESP),
	PASS(MSR_IA32_SYSENTER_EIP),
	VALUE(MSR_IA32_MCG_CAP, 0),	/* no banks */
	FIXED(MSR_IA32_MCG_STATUS, 0),
	FIELD_OF(MSR_IA32_MISC_ENABLE, misc_enable, write_misc_enable),
	REG(MSR_IA32_DEBUGCTL, REG_DEBUGCTL, write_debugctl),
	FN_TO(MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_PHYSBASE0 + MTRR_VARIABLE - 1, read_mtrr, write_mtrr),
	FN(MSR_IA32_MTRR_FIX64K_00000, read_mtrr, write_mtrr),
	FN_TO(MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, read_mtrr, write_mtrr),
	FN_TO(MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, read_mtrr, write_mtrr),
	REG(MSR_IA32_PAT, REG_PAT, write_pat),
	FN(MSR_IA32_MTRR_DEF_TYPE, read_mtrr, write_mtrr),
	FIELD_OF(MSR_IA32_TSC_DEADLINE, lapic.s.tsc_deadline, write_deadline),
	FN_TO(MSR_X2APIC_FIRST, MSR_X2APIC_LAST, read_x2apic, write_x2apic),
	FIELD_OF(MSR_IA32_XSS, xss, write_xss),
	FIELD_OF(MSR_KVM_WALL_CLOCK, pv_wall, pvclock_write_wall),
	FIELD_OF(MSR_KVM_SYSTEM_TIME, pv_time, pvclock_write_time),
	FIELD_OF(MSR_KVM_STEAL_TIME, pv_steal, steal_write),
	FIELD_OF(MSR_KVM_PV_EOI_EN, pv_eoi, eoi_write),
	REG(MSR_EFER, REG_EFER, write_efer),
	PASS(MSR_STAR),
	PASS(MSR_LSTAR),
	PASS(MSR_CSTAR),
	PASS(MSR_SFMASK),
	PASS(MSR_FS_BASE),
	PASS(MSR_GS_BASE),
	PASS(MSR_KERNEL_GS_BASE),
	PASS(MSR_TSC_AUX),
	/* Four counters that stand: every AMD64 processor has them without a CPUID bit (APM vol. 2, 13.2.1). */
	AMD_FIXED_TO(MSR_AMD_PERF_CTL0, MSR_AMD_PERF_CTR3, 0),
	AMD_FIXED(MSR_AMD_SYSCFG, 0),
	AMD_FIXED(MSR_AMD_HWCR, HWCR_TSC_FREQ_SEL),	/* TSC at the P0 rate, or Linux reports a bug */
	AMD_FIXED(MSR_AMD_NB_CFG, 0),		/* Linux switches extended PCI access through it */
	AMD_VALUE(MSR_AMD_VM_CR, VM_CR_SVM_LOCK | VM_CR_SVMDIS),
	AMD_FIXED(MSR_AMD_LS_CFG, 0),
	AMD_FIXED(MSR_AMD_DE_CFG, DE_CFG_LFENCE_SERIALIZE),
};

const struct msr_policy *msr_policy_table(size_t *count)
{
	*count = countof(policy);
	return policy;
}

/* A binary search that halves what is left: a pointer and a count are cheaper than two indices. */
static const struct msr_policy *policy_search(uint32_t msr)
{
	const struct msr_policy *row = policy;

	for (size_t count = countof(policy); count;) {
		const struct msr_policy *middle = row + count / 2;

		if (msr < middle->msr) {
			count /= 2;
		} else if (msr > middle->msr && msr > middle->last) {
			row = middle + 1;
			count -= count / 2 + 1;
		} else {
			return middle;
		}
	}
	return NULL;
}

_Static_assert(countof(policy) <= UINT8_MAX, "a guess is the number of a row in one byte");

static bool is_ours(const struct msr_policy *row)
{
	return row && (row->vendor == MSR_ANY || row->vendor == virt->caps->vendor);
}

/*
 * The row of a register that this processor has, else NULL. A guest asks for few registers, again and again: the row of
 * the last one with the same low bits is looked at before we search. The guesses of a new vCPU are row 0, which
 * everybody has.
 */
static inline const struct msr_policy *policy_find(struct vcpu *vcpu, uint32_t msr)
{
	uint8_t *guess = &vcpu->msr_guesses[msr % countof(vcpu->msr_guesses)];
	const struct msr_policy *row = &policy[*guess];

	if (msr == row->msr || (msr > row->msr && msr <= row->last))
		return row;
	row = policy_search(msr);
	if (!is_ours(row))
		return NULL;
	*guess = (uint8_t)(row - policy);
	return row;
}

/* What the register of a row reads; false: #GP. */
static bool read_row(struct vcpu *vcpu, const struct msr_policy *row, uint64_t *val)
{
	switch (row->source) {
	case MSR_FUNCTION:
		return row->read_fn(vcpu, val);
	case MSR_VALUE:
		*val = row->value;
		break;
	case MSR_FIELD:
		memcpy(val, (const char *)vcpu + row->value, sizeof(*val));
		break;
	case MSR_REG:
		*val = virt->get(vcpu, (enum guest_reg)row->value);
		break;
	}
	return true;
}

/* A PASS row exits only where a vendor's bitmap does not cover it; none does today, so that is a refusal too. */
enum exit_result exit_rdmsr(struct vcpu *vcpu)
{
	const struct msr_policy *row = policy_find(vcpu, msr_in_ecx(vcpu));
	uint64_t val = 0;

	vcpu_touch(vcpu, TOUCH_RDMSR, msr_in_ecx(vcpu));
	if (!row || row->read != MSR_EMULATE || !read_row(vcpu, row, &val)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vcpu->gpr[GPR_RAX] = lo32(val);
	vcpu->gpr[GPR_RDX] = hi32(val);
	return EXIT_SKIP;
}

/* An emulated register without a function ignores what is written; false: #GP. */
static inline bool write_row(struct vcpu *vcpu, const struct msr_policy *row, uint64_t val)
{
	return row->write_fn ? row->write_fn(vcpu, val) : row->write == MSR_EMULATE;
}

enum exit_result exit_wrmsr(struct vcpu *vcpu)
{
	const struct msr_policy *row = policy_find(vcpu, msr_in_ecx(vcpu));
	uint64_t val = join32(lo32(vcpu->gpr[GPR_RDX]), vcpu->gpr[GPR_RAX]);

	vcpu_touch(vcpu, TOUCH_WRMSR, msr_in_ecx(vcpu));
	if (!row || !write_row(vcpu, row, val)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	return EXIT_SKIP;
}

#define PERF_COUNTERS	4U

/*
 * RDPMC. CPUID says that an Intel guest has no counters: any index is #GP. Every AMD64 processor has four, here of
 * value 0 as in the MSRs; the index is ECX (APM vol. 3, RDPMC). CR4.PCE and the CPL decide who may ask.
 */
enum exit_result exit_rdpmc(struct vcpu *vcpu)
{
	bool may_ask = !vcpu_cpl(vcpu) || (virt->get(vcpu, REG_CR4) & CR4_PCE);

	if (!virt->caps->has_counters || !may_ask || msr_in_ecx(vcpu) >= PERF_COUNTERS) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vcpu->gpr[GPR_RAX] = vcpu->gpr[GPR_RDX] = 0;
	return EXIT_SKIP;
}

/* What the registers hold at reset, if not 0 as all of a new vCPU. */
void msr_reset(struct vcpu *vcpu)
{
	vcpu->misc_enable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_FIXED;
	mtrr_reset(vcpu);
}
