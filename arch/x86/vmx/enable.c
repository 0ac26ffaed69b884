/* SPDX-License-Identifier: MIT */
/*
 * Into VMX operation and out: SDM vol. 3, 24.6 "Discovering Support for VMX", 24.7 "Enabling and Entering VMX
 * Operation", 24.8 "Restrictions on VMX Operation". Everything that a user's PC can be short of is named here,
 * with the remedy.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/fixup.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/vmx/insn.h"
#include "arch/x86/vmx/vmx.h"
#include "arch/x86/virt/quirks.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/page.h"
#include "hv/panic.h"

#define WISHED_MAX	20U

struct vmx_caps vmx_caps;
struct vmx_controls vmx_controls;

static uint64_t cap(uint32_t msr)
{
	uint64_t val = 0;

	return rdmsr_safe(msr, &val) ? val : 0;
}

/*
 * Four of the five control words have two capability MSRs: an old one, which reports the default1 bits as
 * fixed to 1, and a newer "TRUE" one, which says which of them may be cleared after all (SDM vol. 3,
 * appendix A.2 to A.5). Bit 55 of IA32_VMX_BASIC says whether the TRUE ones exist. Later MSRs exist only
 * where an earlier one says so: reading an MSR that is not there is #GP.
 */
void vmx_caps_read(struct vmx_caps *caps)
{
	uint64_t basic = cap(MSR_IA32_VMX_BASIC);
	bool     has_true = basic & VMX_BASIC_TRUE;

	*caps = (struct vmx_caps){
		.revision = (uint32_t)field_get(basic, VMX_BASIC_REVISION),
		.has_true = has_true,
		.pin = cap(has_true ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS),
		.proc = cap(has_true ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS),
		.exit = cap(has_true ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS),
		.entry = cap(has_true ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS),
		.misc = cap(MSR_IA32_VMX_MISC),
		.cr0_fixed0 = cap(MSR_IA32_VMX_CR0_FIXED0), .cr0_fixed1 = cap(MSR_IA32_VMX_CR0_FIXED1),
		.cr4_fixed0 = cap(MSR_IA32_VMX_CR4_FIXED0), .cr4_fixed1 = cap(MSR_IA32_VMX_CR4_FIXED1),
		.phys_bits = cpu_features.phys_bits,
	};
	if (hi32(caps->proc) & PROC_SECONDARY)
		caps->proc2 = cap(MSR_IA32_VMX_PROCBASED_CTLS2);
	if (hi32(caps->proc2) & (PROC2_EPT | PROC2_VPID))
		caps->ept_vpid = cap(MSR_IA32_VMX_EPT_VPID_CAP);
}

void vmx_caps_report(const struct vmx_caps *caps)
{
	struct cap_row wished[WISHED_MAX];
	const struct cap_row ept[] = {
		{ "unrestricted guest", vmx_controls.proc2 & PROC2_UNRESTRICTED, NULL },
		{ "EPT", vmx_controls.proc2 & PROC2_EPT, NULL },
		{ "2 MiB pages", caps->ept_vpid & EPT_CAP_2M, NULL },
		{ "1 GiB pages", caps->ept_vpid & EPT_CAP_1G, NULL },
		{ "execute-only pages", caps->ept_vpid & EPT_CAP_EXEC_ONLY, NULL },
		{ "INVEPT of one guest", caps->ept_vpid & EPT_CAP_INVEPT_SINGLE, "all are flushed" },
		{ "TRUE control registers", caps->has_true, NULL },
	};

	caps_log("VT-x", ept, countof(ept));
	caps_log("VT-x, optional", wished, vmx_wished_rows(&vmx_controls, wished, countof(wished)));
	log_debug("caps: VMX revision %x, EPT/VPID %lx, misc %lx", caps->revision, caps->ept_vpid, caps->misc);
	log_debug("caps: pin %lx proc %lx proc2 %lx exit %lx entry %lx", vmx_controls.pin, vmx_controls.proc,
		  vmx_controls.proc2, vmx_controls.exit, vmx_controls.entry);
}

/*
 * IA32_FEATURE_CONTROL decides whether VMXON is allowed, and firmware locks it until the next reset (24.7).
 * Firmware that left it unlocked left VMXON forbidden, too: then we allow it and lock it ourselves. Returns
 * NULL when VMXON is allowed, else what the user can do about it.
 */
static const char *unlock(void)
{
	uint64_t control = cap(MSR_IA32_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCK)) {
		control |= FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK;
		if (!wrmsr_safe(MSR_IA32_FEATURE_CONTROL, control))
			return "TZ-E002 VT-x cannot be enabled: IA32_FEATURE_CONTROL refuses writes";
		if (cpu_is_boot())	/* said once: the lock is each processor's own */
			log_info("TZ-I003 firmware left VT-x unlocked; enabling and locking it");
		return NULL;
	}
	if (control & FEATURE_CONTROL_VMX)
		return NULL;
	if (control & FEATURE_CONTROL_VMX_IN_SMX)
		return "TZ-E004 VT-x is allowed only under Intel TXT; disable TXT in the firmware setup";
	return "TZ-E002 VT-x is disabled and locked by the firmware. Enter setup (often F2, Del or F10), look for "
	       "\"Intel Virtualization Technology\", enable it, power the machine fully off once";
}

/* What EPT must be able to do for npt.c and our flushes. */
static const char *check_ept(const struct vmx_caps *caps)
{
	static const struct { uint64_t bit; const char *missing; } needs[] = {
		{ EPT_CAP_WALK4, "TZ-E011 this CPU's EPT lacks four-level tables" },
		{ EPT_CAP_WB, "TZ-E011 this CPU's EPT lacks write-back tables" },
		{ EPT_CAP_2M, "TZ-E011 this CPU's EPT lacks 2 MiB pages" },
		{ EPT_CAP_INVEPT, "TZ-E011 this CPU lacks INVEPT" },
		{ EPT_CAP_INVEPT_ALL, "TZ-E011 this CPU lacks INVEPT of all guests" },
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (!(caps->ept_vpid & needs[i].bit))
			return needs[i].missing;
	return NULL;
}

struct guest_caps vmx_guest_caps;

/* What a guest may execute follows from the controls we got, so that CPUID never promises more. */
static void fill_guest_caps(void)
{
	vmx_guest_caps = (struct guest_caps){
		.vendor = MSR_INTEL, .needs_wide_tss = true,
		.rdtscp = cpu_features.has_rdtscp && (vmx_controls.proc2 & PROC2_RDTSCP),
		.invpcid = cpu_features.has_invpcid && (vmx_controls.proc2 & PROC2_INVPCID),
		.xsaves = cpu_features.has_xsaves && (vmx_controls.proc2 & PROC2_XSAVES),
		.small_code = cpu_features.has_page_size_erratum,
		.delivers = vmx_controls.proc2 & PROC2_VIRTUAL_IRQS,
	};
	quirks.delivers_masked = vmx_guest_caps.delivers && !(hi32(vmx_caps.pin) & PIN_POSTED_INTERRUPTS);
}

static char refusal[128];

/* On the boot processor. NULL when its capabilities suffice; the controls of all processors follow from them. */
static const char *take_caps(void)
{
	const char *missing;

	vmx_caps_read(&vmx_caps);
	if (vmx_controls_init(&vmx_caps, &vmx_controls, &missing)) {
		if (!(vmx_caps.ept_vpid & EPT_CAP_INVVPID) || !(vmx_caps.ept_vpid & EPT_CAP_INVVPID_ALL))
			vmx_controls.proc2 &= ~PROC2_VPID;	/* what is tagged could not be forgotten */
		fill_guest_caps();
		return check_ept(&vmx_caps);
	}
	format_buf(refusal, sizeof(refusal), "TZ-E011 this CPU's VT-x is too old: it lacks %s", missing);
	return refusal;
}

/* On every other processor. NULL when it is like the boot processor. */
static const char *compare_caps(void)
{
	struct vmx_caps caps;
	const char *name;

	vmx_caps_read(&caps);
	name = vmx_caps_difference(&vmx_caps, &caps);
	if (!name)
		return NULL;
	format_buf(refusal, sizeof(refusal), "its VT-x differs from the boot processor's: %s", name);
	return refusal;
}

bool vmx_supported(const char **why_not)
{
	*why_not = cpu_features.has_vmx ? unlock() : caps_absent();
	if (!*why_not)
		*why_not = cpu_is_boot() ? take_caps() : compare_caps();
	return !*why_not;
}

/*
 * Into VMX operation (24.7). VMXON wants three things: CR0 and CR4 with the bits that the FIXED MSRs
 * prescribe (24.8 "Restrictions on VMX Operation"), CR4.VMXE among them; a 4 KiB page for the processor's
 * own use; and the VMCS revision in the first word of that page. From then on INIT is held back, and
 * CR4.VMXE cannot be cleared before VMXOFF.
 */
void vmx_cpu_on(void)
{
	uint32_t *region = page_alloc();

	if (!region)
		panic("no memory for the VMXON region");
	write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
	write_cr4((read_cr4() | vmx_caps.cr4_fixed0 | CR4_VMXE) & vmx_caps.cr4_fixed1);
	*region = vmx_caps.revision;
	if (!vmxon(ptr_hpa(region).raw))
		panic("VMXON failed");
	/*
	 * VMXON does not forget translations that an earlier user of VMX (firmware, a hypervisor before us)
	 * left behind under tags that we will use as well (29.4.3.3 "Guidelines for Use of the INVVPID
	 * Instruction").
	 */
	vmx_invept(INVEPT_ALL, 0);
	if (vmx_controls.proc2 & PROC2_VPID)
		vmx_invvpid(INVVPID_ALL, 0);
	if (cpu_is_boot()) {
		vmx_caps_report(&vmx_caps);
		quirks_complete();
	}
}

/* In this order: inside VMX operation, MOV to CR4 that clears VMXE is #GP. */
void vmx_cpu_off(void)
{
	vmxoff();
	write_cr4(read_cr4() & ~CR4_VMXE);
}
