/* SPDX-License-Identifier: MIT */
/*
 * May we, can we, and on: the checks before AMD-V is used, and the two registers that switch it on for a
 * processor. Every check a user's machine can fail says what to do about it.
 *
 * APM vol. 2, 15.4 "Enabling SVM", 15.30.1 "VM_CR MSR", 15.30.4 "VM_HSAVE_PA MSR".
 */
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/fixup.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/svm/insn.h"
#include "arch/x86/virt/caps.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/page.h"
#include "hv/panic.h"

struct svm_features svm_features;

/*
 * Read by switch.asm before each VMRUN, of which it has two; the test takes no register. One for all
 * processors: an RSB that is the guest's is a matter of the model, and processors that differ from the first
 * are left out (host/ap.c).
 */
bool svm_fills_returns;

/*
 * CPUID 8000_000A as a struct. Each feature is optional but nested paging; where one is missing, another
 * file does its work in software (README.md beside this file). Pure.
 */
void svm_features_from(struct svm_features *features, uint32_t eax, uint32_t ebx, uint32_t edx)
{
	*features = (struct svm_features){
		.revision = eax & 0xff,
		.asid_count = ebx,
		.has_np = edx & SVM_EDX_NP,
		.has_nrips = edx & SVM_EDX_NRIPS,
		.has_decode_assists = edx & SVM_EDX_DECODE_ASSISTS,
		.has_flush_by_asid = edx & SVM_EDX_FLUSH_BY_ASID,
		.has_clean_bits = edx & SVM_EDX_CLEAN,
		.has_pause_filter = edx & SVM_EDX_PAUSE_FILTER,
	};
}

static char refusal[128];

/*
 * VM_CR.SVMDIS forbids EFER.SVME, and VM_CR.LOCK keeps SVMDIS as firmware set it (15.30.1). Returns NULL
 * when SVM is allowed or can be, else what the user can do about it. Each processor has a VM_CR of its own.
 */
static const char *check_lock(void)
{
	uint64_t vm_cr;

	if (!rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) || !(vm_cr & VM_CR_SVMDIS) || !(vm_cr & VM_CR_SVM_LOCK))
		return NULL;
	return cpuid(CPUID_SVM_FEATURES, 0).edx & SVM_EDX_SVML ?
		"TZ-E005 SVM disabled in firmware and locked with a key that the firmware or the TPM may "
		"release. Enter setup (often F2/Del/F10), look for \"SVM Mode\" or \"AMD-V\", enable it, "
		"power the machine fully off once" :
		"TZ-E005 SVM disabled in firmware and locked until the next reset. Enter setup (often "
		"F2/Del/F10), look for \"SVM Mode\" or \"AMD-V\", enable it, power the machine fully off once";
}

static void read_features(struct svm_features *features)
{
	struct cpuid_regs regs = cpuid(CPUID_SVM_FEATURES, 0);

	svm_features_from(features, regs.eax, regs.ebx, regs.edx);
}

struct guest_caps svm_guest_caps;

/*
 * On the boot processor. NULL when its features suffice. AMD-V has no control that lets a guest execute
 * RDTSCP, INVPCID or XSAVES: it may execute what the processor has. ASID 0 is the host's, so there must be
 * two.
 */
static const char *take_features(void)
{
	read_features(&svm_features);
	svm_guest_caps = (struct guest_caps){
		.vendor = MSR_AMD, .has_counters = true,	/* APM vol. 2, 13.2.1: every AMD64 processor has them */
		.rdtscp = cpu_features.has_rdtscp, .invpcid = cpu_features.has_invpcid, .xsaves = cpu_features.has_xsaves,
	};
	if (svm_features.has_np && svm_features.asid_count >= 2)
		return NULL;
	return "TZ-E011 this CPU's AMD-V has no nested paging (CPUID 8000_000A, EDX bit 0): "
	       "a processor of 2007 (\"Barcelona\") or later has it";
}

/* On every other processor. NULL when it is like the boot processor. */
static const char *compare_features(void)
{
	struct svm_features features;
	const char *name;

	read_features(&features);
	name = svm_features_difference(&svm_features, &features);
	if (!name)
		return NULL;
	format_buf(refusal, sizeof(refusal), "its AMD-V differs from the boot processor's: %s", name);
	return refusal;
}

bool svm_supported(const char **why_not)
{
	*why_not = cpu_features.has_svm ? check_lock() : caps_absent();
	if (!*why_not)
		*why_not = cpu_is_boot() ? take_features() : compare_features();
	return !*why_not;
}

static void log_features(void)
{
	const struct cap_row rows[] = {
		{ "next-RIP save", svm_features.has_nrips, "lengths are decoded" },
		{ "decode assists", svm_features.has_decode_assists, "operands are decoded" },
		{ "flush by ASID", svm_features.has_flush_by_asid, "a fresh ASID is taken" },
		{ "VMCB clean bits", svm_features.has_clean_bits, "all is reloaded" },
		{ "PAUSE filter", svm_features.has_pause_filter, "each PAUSE exits" },
	};
	const struct cap_row needs[] = {
		{ "nested paging", svm_features.has_np, NULL }, { "1 GiB pages", cpu_features.has_1g, NULL },
	};

	caps_log("AMD-V", needs, countof(needs));
	caps_log("AMD-V, optional", rows, countof(rows));
	log_debug("caps: AMD-V revision %u, %u ASIDs", svm_features.revision, svm_features.asid_count);
}

/*
 * Two registers switch SVM on: EFER.SVME allows its instructions, VM_HSAVE_PA names a page in which VMRUN
 * keeps what it needs of the host until #VMEXIT. Its layout is the processor's own, and we do not look at
 * it (15.30.4).
 */
void svm_cpu_on(void)
{
	struct cpu *cpu = this_cpu();
	struct svm_cpu *svm = page_alloc();
	uint64_t vm_cr;

	if (!svm)
		panic("no memory for AMD-V on CPU %u", cpu->index);
	svm->hsave = page_alloc();
	svm->host = page_alloc();
	if (!svm->hsave || !svm->host)
		panic("no memory for the host save area of CPU %u", cpu->index);
	if (cpu_is_boot() && !svm_bitmaps_init())
		panic("no memory for the permission maps of AMD-V");

	/*
	 * Disabled but not locked: the firmware left the decision to us. Setting EFER.SVME while SVMDIS is
	 * set is #GP.
	 */
	if (rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS)) {
		if (cpu_is_boot())
			log_info("TZ-I005 firmware left SVM disabled but unlocked; enabling it");
		wrmsr(MSR_AMD_VM_CR, vm_cr & ~VM_CR_SVMDIS);
	}
	svm_fills_returns = speculation_return_fill() != RETURN_FILL_NONE;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_AMD_VM_HSAVE_PA, ptr_hpa(svm->hsave).raw);

	/* What VMRUN does not save of us never changes from here on: saved once, loaded after every exit. */
	svm->host_pa = ptr_hpa(svm->host).raw;
	vmsave(svm->host_pa);
	cpu->arch = svm;
	if (cpu_is_boot()) {
		log_features();
		svm_measure_quirks();
		quirks_complete();
	}
}

/* The pages are not given back: the machine goes off, and a panic that stops us here may have the allocator's lock. */
void svm_cpu_off(void)
{
	if (!this_cpu()->arch)
		return;
	wrmsr(MSR_AMD_VM_HSAVE_PA, 0);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
	this_cpu()->arch = NULL;
}
