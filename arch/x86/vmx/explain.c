/* SPDX-License-Identifier: MIT */
/*
 * Why a VM entry fails: the checks of SDM vol. 3, chapter 27 ("VM Entries") done in software, so that a
 * wrong field is named instead of "error 7". Sections: 27.2.1 "Checks on VMX Controls", 27.2.2 and 27.2.3
 * host state, 27.3.1 "Checks on the Guest State Area". Pure: it sees the fields through a function.
 *
 * The processor checks controls and host state first: a wrong control ends in VM-instruction error 7, a
 * wrong host field in error 8, nothing was loaded, and execution goes on behind VMLAUNCH. A wrong guest
 * field is found while the guest is loaded, and comes as an exit with reason 33. None of the three names
 * the field, and every beginner's first VMCS has one: hence this file. It runs only after an entry has
 * failed, so it may be slow.
 *
 * Each rule is one row: the field to blame, the rule in words, and a predicate that is true when it is
 * broken. Not checked: what our set-up never uses (VM-entry MSR areas, SMM, posted interrupts, xAPIC's pages), the
 * contents of segments in virtual-8086 mode, reserved bits of access rights, and whether bitmaps lie within the
 * physical-address width.
 */
#include <stddef.h>

#include "arch/x86/hw/memtype.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/lib/util.h"

struct check {
	const struct vmx_caps *caps;
	vmx_read_fn *read;
	void *ctx;
};

static uint64_t rd(const struct check *c, enum vmcs_field field) { return c->read(c->ctx, field); }

/* In a capability MSR the low half says which bits must be 1, the high half which may be 1 (appendix A.3). */
static bool control_breaks(uint64_t val, uint64_t cap)
{
	return (lo32(cap) & ~val) || (lo32(val) & ~hi32(cap));
}

/* The mode of the guest decides which rules apply to segments, RIP and paging. */
static bool is_long_guest(const struct check *c) { return rd(c, VMCS_ENTRY_CONTROLS) & ENTRYC_IA32E_GUEST; }
static bool is_v86(const struct check *c) { return rd(c, VMCS_GUEST_RFLAGS) & RFLAGS_VM; }
static bool is_unrestricted(const struct check *c)
{
	return (rd(c, VMCS_PROC_CONTROLS) & PROC_SECONDARY) && (rd(c, VMCS_PROC_CONTROLS2) & PROC2_UNRESTRICTED);
}

/* ---- 27.2.1 controls ---- */

static bool bad_pin(const struct check *c) { return control_breaks(rd(c, VMCS_PIN_CONTROLS), c->caps->pin); }
static bool bad_proc(const struct check *c) { return control_breaks(rd(c, VMCS_PROC_CONTROLS), c->caps->proc); }
static bool bad_exit(const struct check *c) { return control_breaks(rd(c, VMCS_EXIT_CONTROLS), c->caps->exit); }
static bool bad_entry(const struct check *c) { return control_breaks(rd(c, VMCS_ENTRY_CONTROLS), c->caps->entry); }

static bool bad_proc2(const struct check *c)
{
	return (rd(c, VMCS_PROC_CONTROLS) & PROC_SECONDARY) &&
	       control_breaks(rd(c, VMCS_PROC_CONTROLS2), c->caps->proc2);
}

/* An address field counts only while the control that uses it is set. */
static bool bad_page(const struct check *c, uint64_t when, enum vmcs_field field)
{
	return (rd(c, VMCS_PROC_CONTROLS) & when) && (rd(c, field) & (PAGE_SIZE - 1));
}

static bool bad_io_a(const struct check *c) { return bad_page(c, PROC_IO_BITMAPS, VMCS_IO_BITMAP_A); }
static bool bad_io_b(const struct check *c) { return bad_page(c, PROC_IO_BITMAPS, VMCS_IO_BITMAP_B); }
static bool bad_msr_map(const struct check *c) { return bad_page(c, PROC_MSR_BITMAPS, VMCS_MSR_BITMAP); }

static bool bad_apic_page(const struct check *c) { return bad_page(c, PROC_TPR_SHADOW, VMCS_VIRTUAL_APIC); }

static bool bad_virtual_nmi(const struct check *c)
{
	uint64_t pin = rd(c, VMCS_PIN_CONTROLS);

	return (pin & PIN_VIRTUAL_NMI) && !(pin & PIN_NMI);
}

static bool bad_nmi_window(const struct check *c)
{
	return (rd(c, VMCS_PROC_CONTROLS) & PROC_NMI_WINDOW) && !(rd(c, VMCS_PIN_CONTROLS) & PIN_VIRTUAL_NMI);
}

/* The secondary controls as the processor sees them: all 0 unless the primary ones switch them on. */
static uint64_t secondary(const struct check *c)
{
	return rd(c, VMCS_PROC_CONTROLS) & PROC_SECONDARY ? rd(c, VMCS_PROC_CONTROLS2) : 0;
}

static bool bad_virtual_apic(const struct check *c)
{
	return (secondary(c) & PROC2_VIRTUAL_APIC) && !(rd(c, VMCS_PROC_CONTROLS) & PROC_TPR_SHADOW);
}

static bool bad_delivery(const struct check *c)
{
	return (secondary(c) & PROC2_VIRTUAL_IRQS) && !(rd(c, VMCS_PIN_CONTROLS) & PIN_EXTERNAL_INTERRUPT);
}

static bool bad_vpid(const struct check *c) { return (secondary(c) & PROC2_VPID) && !(rd(c, VMCS_VPID) & 0xffff); }

static bool bad_eptp(const struct check *c)
{
	const uint64_t memtype = FIELD(2, 0), walk = FIELD(5, 3), reserved = FIELD(11, 7);
	uint64_t eptp = rd(c, VMCS_EPT_POINTER);

	if (!(secondary(c) & PROC2_EPT))
		return false;
	return (eptp & memtype) != EPTP_WB || (eptp & walk) != EPTP_WALK4 || (eptp & reserved) ||
	       (eptp & FIELD(63, c->caps->phys_bits)) || !(eptp >> PAGE_SHIFT);
}

static bool bad_unrestricted(const struct check *c)
{
	return (secondary(c) & PROC2_UNRESTRICTED) && !(secondary(c) & PROC2_EPT);
}

/* Type 1 is reserved; an NMI has vector 2; hardware exceptions have vectors below 32. */
static bool bad_event_type(const struct check *c)
{
	uint64_t info = rd(c, VMCS_ENTRY_INTR_INFO), type = field_get(info, INTR_TYPE);
	uint64_t vector = field_get(info, INTR_VECTOR);

	return (info & INTR_VALID) && (type == 1 || (type == VEVENT_NMI && vector != VEC_NMI) ||
				       (type == VEVENT_EXCEPTION && vector > 31));
}

/*
 * An error code goes with #DF, #TS, #NP, #SS, #GP, #PF and #AC as hardware exceptions in protected mode,
 * and only then.
 */
static bool bad_event_error(const struct check *c)
{
	const uint64_t with_error = BIT(VEC_DF) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) | BIT(VEC_GP) | BIT(VEC_PF) |
				    BIT(VEC_AC);
	uint64_t info = rd(c, VMCS_ENTRY_INTR_INFO), vector = field_get(info, INTR_VECTOR);
	bool     expects = field_get(info, INTR_TYPE) == VEVENT_EXCEPTION && vector < 32 && (with_error & BIT(vector)) &&
			   (rd(c, VMCS_GUEST_CR0) & CR0_PE);

	return (info & INTR_VALID) && expects != !!(info & INTR_HAS_ERROR);
}

/* INT n, INT1, INT3 and INTO are delivered with RIP behind the instruction: the processor must know its length. */
static bool bad_event_length(const struct check *c)
{
	uint64_t info = rd(c, VMCS_ENTRY_INTR_INFO), len = rd(c, VMCS_ENTRY_INSN_LENGTH);

	return (info & INTR_VALID) && field_get(info, INTR_TYPE) >= VEVENT_SOFT_INT && (len < 1 || len > 15);
}

/* ---- 27.2.2, 27.2.3 host state: what an exit could not load must not be promised ---- */

/* FIXED0 has the bits that must be 1 in VMX operation, FIXED1 those that may be (appendix A.7, A.8). */
static bool bad_host_cr0(const struct check *c)
{
	uint64_t cr0 = rd(c, VMCS_HOST_CR0);

	return (c->caps->cr0_fixed0 & ~cr0) || (cr0 & ~c->caps->cr0_fixed1);
}

static bool bad_host_cr4(const struct check *c)
{
	uint64_t cr4 = rd(c, VMCS_HOST_CR4);

	return (c->caps->cr4_fixed0 & ~cr4) || (cr4 & ~c->caps->cr4_fixed1) || !(cr4 & CR4_PAE);
}

static bool bad_host_selectors(const struct check *c)
{
	static const enum vmcs_field fields[] = {
		VMCS_HOST_ES_SELECTOR, VMCS_HOST_CS_SELECTOR, VMCS_HOST_SS_SELECTOR, VMCS_HOST_DS_SELECTOR,
		VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR, VMCS_HOST_TR_SELECTOR,
	};
	const uint64_t rpl_and_ti = 7;

	for (size_t i = 0; i < countof(fields); i++)
		if (rd(c, fields[i]) & rpl_and_ti)
			return true;
	return false;
}

static bool bad_host_cs(const struct check *c) { return !rd(c, VMCS_HOST_CS_SELECTOR); }
static bool bad_host_tr(const struct check *c) { return !rd(c, VMCS_HOST_TR_SELECTOR); }
static bool bad_host_rip(const struct check *c) { return !is_canonical(rd(c, VMCS_HOST_RIP)); }
static bool bad_host_bases(const struct check *c)
{
	return !is_canonical(rd(c, VMCS_HOST_FS_BASE)) || !is_canonical(rd(c, VMCS_HOST_GS_BASE)) ||
	       !is_canonical(rd(c, VMCS_HOST_TR_BASE)) || !is_canonical(rd(c, VMCS_HOST_GDTR_BASE)) ||
	       !is_canonical(rd(c, VMCS_HOST_IDTR_BASE));
}

static bool bad_host_size(const struct check *c) { return !(rd(c, VMCS_EXIT_CONTROLS) & EXITC_HOST_64); }

static bool bad_host_efer(const struct check *c)
{
	const uint64_t valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	uint64_t efer = rd(c, VMCS_HOST_IA32_EFER);

	return (rd(c, VMCS_EXIT_CONTROLS) & EXITC_LOAD_EFER) &&
	       ((efer & ~valid) || (efer & (EFER_LMA | EFER_LME)) != (EFER_LMA | EFER_LME));
}

static bool bad_host_pat(const struct check *c)
{
	return (rd(c, VMCS_EXIT_CONTROLS) & EXITC_LOAD_PAT) && !pat_is_valid(rd(c, VMCS_HOST_IA32_PAT));
}

/* ---- 27.3.1.1 guest control registers ---- */

/* As for the host; an unrestricted guest may have PE and PG clear. */
static bool bad_cr0_fixed(const struct check *c)
{
	uint64_t free = is_unrestricted(c) ? CR0_PE | CR0_PG : 0, cr0 = rd(c, VMCS_GUEST_CR0);

	return (c->caps->cr0_fixed0 & ~cr0 & ~free) || (cr0 & ~c->caps->cr0_fixed1);
}

static bool bad_cr0_pg(const struct check *c)
{
	uint64_t cr0 = rd(c, VMCS_GUEST_CR0);

	return (cr0 & CR0_PG) && !(cr0 & CR0_PE);
}

static bool bad_cr4(const struct check *c)
{
	uint64_t cr4 = rd(c, VMCS_GUEST_CR4);

	return (c->caps->cr4_fixed0 & ~cr4) || (cr4 & ~c->caps->cr4_fixed1);
}

static bool bad_long_paging(const struct check *c)
{
	return is_long_guest(c) && (!(rd(c, VMCS_GUEST_CR0) & CR0_PG) || !(rd(c, VMCS_GUEST_CR4) & CR4_PAE));
}

static bool bad_pcid(const struct check *c)
{
	return !is_long_guest(c) && (rd(c, VMCS_GUEST_CR4) & CR4_PCIDE);
}

static bool bad_cr3(const struct check *c) { return rd(c, VMCS_GUEST_CR3) & FIELD(63, c->caps->phys_bits); }

/* LMA is said twice, in EFER and in the entry controls. While paging is on, LME must equal it. */
static bool bad_efer(const struct check *c)
{
	uint64_t efer = rd(c, VMCS_GUEST_IA32_EFER);
	bool lma = efer & EFER_LMA, lme = efer & EFER_LME;

	if (!(rd(c, VMCS_ENTRY_CONTROLS) & ENTRYC_LOAD_EFER))
		return false;
	return (efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) || lma != is_long_guest(c) ||
	       ((rd(c, VMCS_GUEST_CR0) & CR0_PG) && lma != lme);
}

static bool bad_pat(const struct check *c)
{
	return (rd(c, VMCS_ENTRY_CONTROLS) & ENTRYC_LOAD_PAT) && !pat_is_valid(rd(c, VMCS_GUEST_IA32_PAT));
}

static bool bad_debugctl(const struct check *c)
{
	const uint64_t reserved = FIELD(63, 16) | FIELD(5, 2);

	return (rd(c, VMCS_ENTRY_CONTROLS) & ENTRYC_LOAD_DEBUG) && (rd(c, VMCS_GUEST_IA32_DEBUGCTL) & reserved);
}

static bool bad_dr7(const struct check *c)
{
	return (rd(c, VMCS_ENTRY_CONTROLS) & ENTRYC_LOAD_DEBUG) && hi32(rd(c, VMCS_GUEST_DR7));
}

static bool bad_sysenter(const struct check *c)
{
	return !is_canonical(rd(c, VMCS_GUEST_SYSENTER_ESP)) || !is_canonical(rd(c, VMCS_GUEST_SYSENTER_EIP));
}

/*
 * ---- 27.3.1.2, 27.3.1.3 segments and descriptor tables ----
 *
 * An exit saves and an entry loads the hidden parts of segment registers, without reading a descriptor: so
 * a guest may have contents that no table of its own describes, and the entry must check what loading a
 * descriptor would have checked. Virtual-8086 mode has rules of its own, which are not checked here.
 */

#define TYPE_REAL	(TYPE_RW | TYPE_ACCESSED)	/* real mode's data segment, in which code runs there */

static bool is_conforming(uint64_t rights)
{
	return (rights & TYPE_CODE) && (rights & TYPE_CONFORMING);
}

static bool bad_cs_type(const struct check *c)
{
	uint64_t rights = rd(c, VMCS_GUEST_CS_RIGHTS), type = rights & SEG_TYPE_MASK;
	bool data_allowed = is_unrestricted(c) && type == TYPE_REAL;

	return !is_v86(c) && ((rights & SEG_UNUSABLE) || !(rights & SEG_S) || !(rights & SEG_P) ||
			      !(data_allowed || ((type & TYPE_CODE) && (type & TYPE_ACCESSED))));
}

/* L and D/B both set is reserved: neither 64-bit nor compatibility mode. */
static bool bad_cs_l_db(const struct check *c)
{
	uint64_t rights = rd(c, VMCS_GUEST_CS_RIGHTS);

	return is_long_guest(c) && (rights & SEG_L) && (rights & SEG_DB);
}

/* Writable data, accessed; it may expand down. */
static bool bad_ss_type(const struct check *c)
{
	uint64_t rights = rd(c, VMCS_GUEST_SS_RIGHTS), type = rights & SEG_TYPE_MASK;

	return !is_v86(c) && !(rights & SEG_UNUSABLE) && ((type & ~(uint64_t)TYPE_DOWN) != (TYPE_RW | TYPE_ACCESSED) || !(rights & SEG_S) || !(rights & SEG_P));
}

/* Fields of the six segments lie two apart, in the order of enum guest_seg. */
static uint64_t rights_of(const struct check *c, unsigned seg) { return c->read(c->ctx, VMCS_GUEST_ES_RIGHTS + 2 * seg); }
static uint64_t base_of(const struct check *c, unsigned seg) { return c->read(c->ctx, VMCS_GUEST_ES_BASE + 2 * seg); }
static unsigned dpl_of(const struct check *c, unsigned seg) { return (unsigned)field_get(rights_of(c, seg), SEG_DPL_MASK); }
static unsigned rpl_of(const struct check *c, unsigned seg) { return c->read(c->ctx, VMCS_GUEST_ES_SELECTOR + 2 * seg) & 3; }

static const uint8_t data_segs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

/* These hold data, or code that can be read; loading a descriptor has set "accessed". */
static bool bad_data_type(const struct check *c)
{
	for (size_t i = 0; i < countof(data_segs) && !is_v86(c); i++) {
		uint64_t rights = rights_of(c, data_segs[i]), type = rights & SEG_TYPE_MASK;

		if (!(rights & SEG_UNUSABLE) &&
		    (!(rights & SEG_S) || !(rights & SEG_P) || !(type & TYPE_ACCESSED) || (type & (TYPE_CODE | TYPE_RW)) == TYPE_CODE))
			return true;
	}
	return false;
}

/*
 * As when they were loaded; conforming code is for everybody. An unrestricted guest may come
 * from real mode.
 */
static bool bad_data_dpl(const struct check *c)
{
	for (size_t i = 0; i < countof(data_segs) && !is_v86(c) && !is_unrestricted(c); i++) {
		uint64_t rights = rights_of(c, data_segs[i]);

		if (!(rights & SEG_UNUSABLE) && !is_conforming(rights) && dpl_of(c, data_segs[i]) < rpl_of(c, data_segs[i]))
			return true;
	}
	return false;
}

/* SS.DPL is the privilege level. Code has the same, conforming code the same or less, real mode's data segment 0. */
static bool bad_cs_dpl(const struct check *c)
{
	uint64_t type = rights_of(c, SEG_CS) & SEG_TYPE_MASK;
	unsigned dpl = dpl_of(c, SEG_CS), cpl = dpl_of(c, SEG_SS);

	if (is_v86(c))
		return false;
	if (type == TYPE_REAL)
		return dpl != 0;
	return is_conforming(type) ? dpl > cpl : dpl != cpl;
}

static bool bad_ss_dpl(const struct check *c)
{
	bool is_real = (rights_of(c, SEG_CS) & SEG_TYPE_MASK) == TYPE_REAL || !(rd(c, VMCS_GUEST_CR0) & CR0_PE);

	return !is_v86(c) && ((is_real && dpl_of(c, SEG_SS)) ||
			      (!is_unrestricted(c) && dpl_of(c, SEG_SS) != rpl_of(c, SEG_SS)));
}

static bool bad_ss_rpl(const struct check *c)
{
	return !is_v86(c) && !is_unrestricted(c) && rpl_of(c, SEG_SS) != rpl_of(c, SEG_CS);
}

/*
 * The field holds the limit in bytes. With G set it was counted in pages, so the low 12 bits are ones; with
 * G clear it has 20 bits at most.
 */
static bool limit_breaks(uint64_t limit, uint64_t rights)
{
	const uint64_t low = FIELD(11, 0), high = FIELD(31, 20);

	if (rights & SEG_UNUSABLE)
		return false;
	return ((limit & low) != low && (rights & SEG_G)) || ((limit & high) && !(rights & SEG_G));
}

static bool bad_limits(const struct check *c)
{
	for (unsigned i = 0; i <= SEG_GS; i++)
		if (!is_v86(c) && limit_breaks(c->read(c->ctx, VMCS_GUEST_ES_LIMIT + 2 * i),
					       rights_of(c, i)))
			return true;
	return false;
}

/* A busy TSS; long mode knows none of 16 bits. TR cannot be unusable. */
static bool bad_tr_type(const struct check *c)
{
	uint64_t rights = rd(c, VMCS_GUEST_TR_RIGHTS), type = rights & SEG_TYPE_MASK;
	bool ok = type == TYPE_TSS_BUSY || (type == TYPE_TSS16_BUSY && !is_long_guest(c));

	return !ok || (rights & (SEG_S | SEG_UNUSABLE)) || !(rights & SEG_P);
}

static bool bad_tr_selector(const struct check *c) { return rd(c, VMCS_GUEST_TR_SELECTOR) & 4; }

/* A guest without an LDT has an unusable LDTR. */
static bool bad_ldtr_type(const struct check *c)
{
	uint64_t rights = rd(c, VMCS_GUEST_LDTR_RIGHTS);

	return !(rights & SEG_UNUSABLE) && ((rights & SEG_TYPE_MASK) != TYPE_LDT || (rights & SEG_S) || !(rights & SEG_P));
}

static bool bad_ldtr_place(const struct check *c)
{
	return !(rd(c, VMCS_GUEST_LDTR_RIGHTS) & SEG_UNUSABLE) &&
	       ((rd(c, VMCS_GUEST_LDTR_SELECTOR) & 4) || !is_canonical(rd(c, VMCS_GUEST_LDTR_BASE)));
}

static bool bad_bases(const struct check *c)
{
	return !is_canonical(rd(c, VMCS_GUEST_FS_BASE)) || !is_canonical(rd(c, VMCS_GUEST_GS_BASE)) ||
	       !is_canonical(rd(c, VMCS_GUEST_TR_BASE));
}

static bool bad_low_bases(const struct check *c)
{
	for (unsigned i = SEG_ES; i <= SEG_DS; i++)
		if (hi32(base_of(c, i)) && (i == SEG_CS || !(rights_of(c, i) & SEG_UNUSABLE)))
			return true;
	return false;
}

static bool bad_gdtr(const struct check *c)
{
	return !is_canonical(rd(c, VMCS_GUEST_GDTR_BASE)) || (rd(c, VMCS_GUEST_GDTR_LIMIT) & FIELD(31, 16));
}

static bool bad_idtr(const struct check *c)
{
	return !is_canonical(rd(c, VMCS_GUEST_IDTR_BASE)) || (rd(c, VMCS_GUEST_IDTR_LIMIT) & FIELD(31, 16));
}

/* ---- 27.3.1.4 RIP and RFLAGS, 27.3.1.5 non-register state ---- */

/* CS.L decides: only in 64-bit mode may RIP have an upper half. */
static bool bad_rip(const struct check *c)
{
	bool code64 = is_long_guest(c) && (rd(c, VMCS_GUEST_CS_RIGHTS) & SEG_L);
	uint64_t rip = rd(c, VMCS_GUEST_RIP);

	return code64 ? !is_canonical(rip) : hi32(rip) != 0;
}

static bool bad_rflags(const struct check *c)
{
	const uint64_t reserved = FIELD(63, 22) | BIT(15) | BIT(5) | BIT(3);
	uint64_t flags = rd(c, VMCS_GUEST_RFLAGS);

	return (flags & reserved) || !(flags & RFLAGS_ONE);
}

static bool bad_v86(const struct check *c)
{
	return is_v86(c) && (is_long_guest(c) || !(rd(c, VMCS_GUEST_CR0) & CR0_PE));
}

/* An interrupt cannot be injected where the guest could not take one: inject.c must wait for the window. */
static bool bad_if(const struct check *c)
{
	uint64_t info = rd(c, VMCS_ENTRY_INTR_INFO);

	return (info & INTR_VALID) && field_get(info, INTR_TYPE) == VEVENT_IRQ &&
	       !(rd(c, VMCS_GUEST_RFLAGS) & RFLAGS_IF);
}

/* Bits 8:6 of IA32_VMX_MISC say which of the activity states 1 to 3 exist; 0, active, always does. */
static bool bad_activity(const struct check *c)
{
	enum { HLT = 1, SHUTDOWN = 2, WAIT_SIPI = 3 };
	uint64_t activity = rd(c, VMCS_GUEST_ACTIVITY);

	return activity > WAIT_SIPI || (activity && !(c->caps->misc & BIT(5 + activity)));
}

static bool bad_interruptibility(const struct check *c)
{
	uint64_t val = rd(c, VMCS_GUEST_INTERRUPTIBILITY);

	return (val & ~FIELD(4, 0)) || ((val & BLOCK_STI) && (val & BLOCK_MOV_SS));
}

/* The shadow of STI exists only when STI has set IF. */
static bool bad_sti(const struct check *c)
{
	return (rd(c, VMCS_GUEST_INTERRUPTIBILITY) & BLOCK_STI) && !(rd(c, VMCS_GUEST_RFLAGS) & RFLAGS_IF);
}

/*
 * MOV SS holds both back, STI interrupts and on some processors NMIs, an NMI handler NMIs (virtual ones, as
 * ours are).
 */
static bool bad_blocked_event(const struct check *c)
{
	uint64_t info = rd(c, VMCS_ENTRY_INTR_INFO), type = field_get(info, INTR_TYPE);
	uint64_t block = rd(c, VMCS_GUEST_INTERRUPTIBILITY);

	if (!(info & INTR_VALID))
		return false;
	return (type == VEVENT_IRQ && (block & (BLOCK_STI | BLOCK_MOV_SS))) ||
	       (type == VEVENT_NMI && (block & (BLOCK_STI | BLOCK_MOV_SS | BLOCK_NMI)));
}

/* In a shadow, or halted, a single step is pending exactly when TF is set and BTF is not. */
static bool bad_pending_debug(const struct check *c)
{
	bool is_due = (rd(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF) && !(rd(c, VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);

	return ((rd(c, VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)) || rd(c, VMCS_GUEST_ACTIVITY)) &&
	       is_due != !!(rd(c, VMCS_GUEST_PENDING_DEBUG) & PENDING_DEBUG_BS);
}

/*
 * ---- 27.3.1.6 page-directory-pointer-table entries ----
 *
 * PAE paging without long mode: the processor keeps the four top entries in registers, and with EPT loads
 * those from the VMCS. An entry that is present must have its reserved bits clear.
 */
static bool bad_pointer(const struct check *c, unsigned index)
{
	const uint64_t present = BIT(0), reserved = FIELD(8, 5) | FIELD(2, 1) | FIELD(63, c->caps->phys_bits);
	bool is_pae = (rd(c, VMCS_GUEST_CR0) & CR0_PG) && (rd(c, VMCS_GUEST_CR4) & CR4_PAE) && !is_long_guest(c);
	uint64_t entry = rd(c, VMCS_GUEST_PDPTE0 + 2 * index);

	return is_pae && (secondary(c) & PROC2_EPT) && (entry & present) && (entry & reserved);
}

static bool bad_pointer0(const struct check *c) { return bad_pointer(c, 0); }
static bool bad_pointer1(const struct check *c) { return bad_pointer(c, 1); }
static bool bad_pointer2(const struct check *c) { return bad_pointer(c, 2); }
static bool bad_pointer3(const struct check *c) { return bad_pointer(c, 3); }

static bool bad_link(const struct check *c)
{
	uint64_t link = rd(c, VMCS_VMCS_LINK_POINTER);

	return link != ~0ULL && (link & (PAGE_SIZE - 1));
}

/* All rules, about in the order of the manual. The section in the text is where to read on. */
struct rule { enum vmcs_field field; bool (*is_broken)(const struct check *); const char *text; };

static const struct rule rules[] = {
	{ VMCS_PIN_CONTROLS, bad_pin, "a bit is set or clear that IA32_VMX_PINBASED_CTLS does not allow (27.2.1.1)" },
	{ VMCS_PROC_CONTROLS, bad_proc, "a bit is set or clear that IA32_VMX_PROCBASED_CTLS does not allow (27.2.1.1)" },
	{ VMCS_PROC_CONTROLS2, bad_proc2, "a bit is set or clear that IA32_VMX_PROCBASED_CTLS2 does not allow (27.2.1.1)" },
	{ VMCS_EXIT_CONTROLS, bad_exit, "a bit is set or clear that IA32_VMX_EXIT_CTLS does not allow (27.2.1.2)" },
	{ VMCS_ENTRY_CONTROLS, bad_entry, "a bit is set or clear that IA32_VMX_ENTRY_CTLS does not allow (27.2.1.3)" },
	{ VMCS_IO_BITMAP_A, bad_io_a, "must be 4 KiB aligned (27.2.1.1)" },
	{ VMCS_IO_BITMAP_B, bad_io_b, "must be 4 KiB aligned (27.2.1.1)" },
	{ VMCS_MSR_BITMAP, bad_msr_map, "must be 4 KiB aligned (27.2.1.1)" },
	{ VMCS_VIRTUAL_APIC, bad_apic_page, "must be 4 KiB aligned (27.2.1.1)" },
	{ VMCS_PROC_CONTROLS2, bad_virtual_apic, "a virtual APIC needs the TPR shadow (27.2.1.1)" },
	{ VMCS_PIN_CONTROLS, bad_delivery, "virtual-interrupt delivery needs external-interrupt exiting (27.2.1.1)" },
	{ VMCS_PIN_CONTROLS, bad_virtual_nmi, "virtual NMIs need NMI exiting (27.2.1.1)" },
	{ VMCS_PROC_CONTROLS, bad_nmi_window, "NMI-window exiting needs virtual NMIs (27.2.1.1)" },
	{ VMCS_VPID, bad_vpid, "must not be 0 when VPIDs are enabled (27.2.1.1)" },
	{ VMCS_EPT_POINTER, bad_eptp, "must be write-back, four levels, reserved bits 0, and point somewhere (27.2.1.1)" },
	{ VMCS_PROC_CONTROLS2, bad_unrestricted, "unrestricted guest needs EPT (27.2.1.1)" },
	{ VMCS_ENTRY_INTR_INFO, bad_event_type, "type and vector do not belong together (27.2.1.3)" },
	{ VMCS_ENTRY_INTR_INFO, bad_event_error, "error code delivered where there is none, or missing (27.2.1.3)" },
	{ VMCS_ENTRY_INSN_LENGTH, bad_event_length, "must be 1 to 15 for software events (27.2.1.3)" },
	{ VMCS_HOST_CR0, bad_host_cr0, "conflicts with IA32_VMX_CR0_FIXED0/1 (27.2.2)" },
	{ VMCS_HOST_CR4, bad_host_cr4, "conflicts with IA32_VMX_CR4_FIXED0/1, or PAE is clear (27.2.2, 27.2.4)" },
	{ VMCS_HOST_CS_SELECTOR, bad_host_selectors, "host selectors must have RPL 0 and TI 0 (27.2.3)" },
	{ VMCS_HOST_CS_SELECTOR, bad_host_cs, "must not be null (27.2.3)" },
	{ VMCS_HOST_TR_SELECTOR, bad_host_tr, "must not be null (27.2.3)" },
	{ VMCS_HOST_RIP, bad_host_rip, "must be canonical (27.2.4)" },
	{ VMCS_HOST_GS_BASE, bad_host_bases, "host bases must be canonical (27.2.3)" },
	{ VMCS_EXIT_CONTROLS, bad_host_size, "host address-space size must be 1 in a 64-bit hypervisor (27.2.4)" },
	{ VMCS_HOST_IA32_EFER, bad_host_efer, "reserved bits must be 0, LMA and LME 1 (27.2.2)" },
	{ VMCS_HOST_IA32_PAT, bad_host_pat, "holds a byte that is no memory type (27.2.2)" },
	{ VMCS_GUEST_CR0, bad_cr0_fixed, "conflicts with IA32_VMX_CR0_FIXED0/1 (27.3.1.1)" },
	{ VMCS_GUEST_CR0, bad_cr0_pg, "PG needs PE (27.3.1.1)" },
	{ VMCS_GUEST_CR4, bad_cr4, "conflicts with IA32_VMX_CR4_FIXED0/1 (27.3.1.1)" },
	{ VMCS_ENTRY_CONTROLS, bad_long_paging, "IA-32e mode guest needs CR0.PG and CR4.PAE (27.3.1.1)" },
	{ VMCS_GUEST_CR4, bad_pcid, "PCIDE needs an IA-32e mode guest (27.3.1.1)" },
	{ VMCS_GUEST_CR3, bad_cr3, "bits above the physical-address width must be 0 (27.3.1.1)" },
	{ VMCS_GUEST_IA32_EFER, bad_efer, "LMA must equal \"IA-32e mode guest\", and LME when paging (27.3.1.1)" },
	{ VMCS_GUEST_IA32_PAT, bad_pat, "holds a byte that is no memory type (27.3.1.1)" },
	{ VMCS_GUEST_IA32_DEBUGCTL, bad_debugctl, "reserved bits must be 0 (27.3.1.1)" },
	{ VMCS_GUEST_DR7, bad_dr7, "bits 63:32 must be 0 (27.3.1.1)" },
	{ VMCS_GUEST_SYSENTER_EIP, bad_sysenter, "SYSENTER_ESP and _EIP must be canonical (27.3.1.1)" },
	{ VMCS_GUEST_CS_RIGHTS, bad_cs_type, "CS must be a usable, present code segment (27.3.1.2)" },
	{ VMCS_GUEST_CS_RIGHTS, bad_cs_l_db, "L and D/B must not both be 1 (27.3.1.2)" },
	{ VMCS_GUEST_SS_RIGHTS, bad_ss_type, "SS must be a present, writable data segment (27.3.1.2)" },
	{ VMCS_GUEST_SS_SELECTOR, bad_ss_rpl, "RPL must be that of CS (27.3.1.2)" },
	{ VMCS_GUEST_SS_RIGHTS, bad_ss_dpl, "DPL must be SS's RPL, and 0 in real mode (27.3.1.2)" },
	{ VMCS_GUEST_CS_RIGHTS, bad_cs_dpl, "DPL must be SS's; at most that of conforming code (27.3.1.2)" },
	{ VMCS_GUEST_DS_RIGHTS, bad_data_type, "DS, ES, FS and GS must be present, accessed, and readable if code (27.3.1.2)" },
	{ VMCS_GUEST_DS_SELECTOR, bad_data_dpl, "RPL of DS, ES, FS and GS must be no more than DPL (27.3.1.2)" },
	{ VMCS_GUEST_CS_LIMIT, bad_limits, "a segment's limit and granularity contradict each other (27.3.1.2)" },
	{ VMCS_GUEST_TR_RIGHTS, bad_tr_type, "TR must be a usable, present, busy TSS (27.3.1.2)" },
	{ VMCS_GUEST_TR_SELECTOR, bad_tr_selector, "TI must be 0 (27.3.1.2)" },
	{ VMCS_GUEST_LDTR_RIGHTS, bad_ldtr_type, "LDTR must be a present LDT or unusable (27.3.1.2)" },
	{ VMCS_GUEST_LDTR_BASE, bad_ldtr_place, "LDTR: base canonical, TI 0 (27.3.1.2)" },
	{ VMCS_GUEST_FS_BASE, bad_bases, "FS, GS and TR bases must be canonical (27.3.1.2)" },
	{ VMCS_GUEST_CS_BASE, bad_low_bases, "bits 63:32 of CS, SS, DS and ES bases must be 0 (27.3.1.2)" },
	{ VMCS_GUEST_GDTR_BASE, bad_gdtr, "GDTR: base canonical, limit bits 31:16 0 (27.3.1.3)" },
	{ VMCS_GUEST_IDTR_BASE, bad_idtr, "IDTR: base canonical, limit bits 31:16 0 (27.3.1.3)" },
	{ VMCS_GUEST_RIP, bad_rip, "must be canonical in 64-bit mode, below 4 GiB elsewhere (27.3.1.4)" },
	{ VMCS_GUEST_RFLAGS, bad_rflags, "reserved bits must be 0 and bit 1 must be 1 (27.3.1.4)" },
	{ VMCS_GUEST_RFLAGS, bad_v86, "VM needs protected mode and no IA-32e mode (27.3.1.4)" },
	{ VMCS_GUEST_RFLAGS, bad_if, "IF must be 1 to inject an external interrupt (27.3.1.4)" },
	{ VMCS_GUEST_ACTIVITY, bad_activity, "is not supported by this processor (27.3.1.5)" },
	{ VMCS_GUEST_INTERRUPTIBILITY, bad_interruptibility, "reserved bits set, or blocking by STI and MOV SS at once (27.3.1.5)" },
	{ VMCS_GUEST_INTERRUPTIBILITY, bad_sti, "blocking by STI needs RFLAGS.IF (27.3.1.5)" },
	{ VMCS_GUEST_INTERRUPTIBILITY, bad_blocked_event, "an event is injected that this state blocks (27.3.1.5)" },
	{ VMCS_GUEST_PENDING_DEBUG, bad_pending_debug, "in a shadow BS must be RFLAGS.TF without DEBUGCTL.BTF (27.3.1.5)" },
	{ VMCS_GUEST_PDPTE0, bad_pointer0, "reserved bits must be 0 when it is present (27.3.1.6)" },
	{ VMCS_GUEST_PDPTE1, bad_pointer1, "reserved bits must be 0 when it is present (27.3.1.6)" },
	{ VMCS_GUEST_PDPTE2, bad_pointer2, "reserved bits must be 0 when it is present (27.3.1.6)" },
	{ VMCS_GUEST_PDPTE3, bad_pointer3, "reserved bits must be 0 when it is present (27.3.1.6)" },
	{ VMCS_VMCS_LINK_POINTER, bad_link, "must be all ones or 4 KiB aligned (27.3.1.5)" },
};

unsigned vmx_explain(const struct vmx_caps *caps, vmx_read_fn *read, vmx_found_fn *found, void *ctx)
{
	const struct check check = { caps, read, ctx };
	unsigned count = 0;

	for (size_t i = 0; i < countof(rules); i++) {
		struct vmx_violation violation;

		if (!rules[i].is_broken(&check))
			continue;
		violation = (struct vmx_violation){ rules[i].field, rd(&check, rules[i].field), rules[i].text };
		found(ctx, &violation);
		count++;
	}
	return count;
}

/* SDM vol. 3, 31.4 "VM Instruction Error Numbers". */
const char *vmx_instruction_error(uint32_t number)
{
	static const char *const texts[] = {
		[0] = "no current VMCS",	/* VMfailInvalid: there is nowhere to put a number */
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR with invalid physical address",
		[3] = "VMCLEAR with VMXON pointer",
		[4] = "VMLAUNCH with non-clear VMCS",
		[5] = "VMRESUME with non-launched VMCS",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control field(s)",
		[8] = "VM entry with invalid host-state field(s)",
		[9] = "VMPTRLD with invalid physical address",
		[10] = "VMPTRLD with VMXON pointer",
		[11] = "VMPTRLD with incorrect VMCS revision identifier",
		[12] = "VMREAD or VMWRITE of unsupported VMCS component",
		[13] = "VMWRITE to read-only VMCS component",
		[15] = "VMXON executed in VMX root operation",
		[16] = "VM entry with invalid executive-VMCS pointer",
		[17] = "VM entry with non-launched executive VMCS",
		[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
		[19] = "VMCALL with non-clear VMCS",
		[20] = "VMCALL with invalid VM-exit control fields",
		[22] = "VMCALL with incorrect MSEG revision identifier",
		[23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
		[24] = "VMCALL with invalid SMM-monitor features",
		[25] = "VM entry with invalid VM-execution control fields in executive VMCS",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand to INVEPT or INVVPID",
	};

	if (number >= countof(texts) || !texts[number])
		return "a number that the manual does not list";
	return texts[number];
}
