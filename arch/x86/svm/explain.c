/* SPDX-License-Identifier: MIT */
/*
 * Why VMRUN refused a VMCB (VMEXIT_INVALID): the manual's checks done again in software, each one a row
 * that names the field, and in words the rule. Pure over the VMCB; every row is broken once by
 * tests/unit/test_svm_explain.c.
 *
 * APM vol. 2, 15.5.1 "Basic Operation", subsection "Canonicalization and Consistency Checks"; 15.20
 * "Event Injection"; 15.25.3 "Enabling Nested Paging", 15.25.4 "Nested Paging and VMRUN/#VMEXIT".
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/hw/memtype.h"
#include "arch/x86/hw/cr.h"
#include "hv/lib/util.h"

#define EFER_VALID	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_LMSLE | EFER_FFXSR | EFER_TCE)
#define IOPM_BYTES	(IOPM_PAGES * PAGE_SIZE)
#define MSRPM_BYTES	(MSRPM_PAGES * PAGE_SIZE)
#define EXCEPTION_LAST	31U

typedef bool broken_fn(const struct vmcb *vmcb, const struct svm_limits *limits);

static uint64_t phys_mask(const struct svm_limits *limits) { return BIT(limits->phys_bits) - 1; }

/* Long mode is wanted and paging is on. */
static bool is_long_paging(const struct vmcb *vmcb)
{
	return (vmcb->save.efer & EFER_LME) && (vmcb->save.cr0 & CR0_PG);
}

/* One predicate for each rule: true when it is broken. The macro writes the signature that all have in common. */
#define BROKEN(name, condition)								\
static bool broken_##name(const struct vmcb *vmcb, const struct svm_limits *limits)	\
{											\
	const struct vmcb_save *save = &vmcb->save;					\
	const struct vmcb_control *control = &vmcb->control;				\
											\
	(void)save;									\
	(void)control;									\
	(void)limits;									\
	return (condition);								\
}

/* EVENTINJ knows types 0 (INTR), 2 (NMI), 3 (exception) and 4 (software interrupt). */
static bool event_type_is_reserved(uint64_t event)
{
	uint64_t type = field_get(event, EVENT_TYPE);

	return (event & EVENT_V) && (type == 1 || type > EVENT_TYPE_SOFT);
}

/* An exception has a vector below 32; vector 2 is the NMI's, which has a type of its own. */
static bool event_is_no_exception(uint64_t event)
{
	uint64_t vector = field_get(event, EVENT_VECTOR);

	return (event & EVENT_V) && field_get(event, EVENT_TYPE) == EVENT_TYPE_EXCEPTION &&
	       (vector == VEC_NMI || vector > EXCEPTION_LAST);
}

BROKEN(svme, !(save->efer & EFER_SVME))
BROKEN(nw, (save->cr0 & CR0_NW) && !(save->cr0 & CR0_CD))
BROKEN(cr0_high, hi32(save->cr0))
BROKEN(cr3, (save->efer & EFER_LMA) && (save->cr3 & ~phys_mask(limits)))
BROKEN(cr4, save->cr4 & limits->cr4_reserved)
BROKEN(dr6, hi32(save->dr6))
BROKEN(dr7, hi32(save->dr7))
BROKEN(efer_mbz, save->efer & ~EFER_VALID)
BROKEN(no_long, (save->efer & (EFER_LMA | EFER_LME)) && !limits->has_long_mode)
BROKEN(no_pae, is_long_paging(vmcb) && !(save->cr4 & CR4_PAE))
BROKEN(no_pe, is_long_paging(vmcb) && !(save->cr0 & CR0_PE))
BROKEN(cs_l_d, is_long_paging(vmcb) && (save->cr4 & CR4_PAE) &&
       (save->cs.attrib & ATTRIB_L) && (save->cs.attrib & ATTRIB_DB))
BROKEN(cet, (save->cr4 & CR4_CET) && !(save->cr0 & CR0_WP))
BROKEN(vmrun, !(control->intercept_vector4 & INTERCEPT_VMRUN))
BROKEN(iopm, control->iopm_base_pa + IOPM_BYTES - 1 > phys_mask(limits))
BROKEN(msrpm, control->msrpm_base_pa + MSRPM_BYTES - 1 > phys_mask(limits))
BROKEN(event_type, event_type_is_reserved(control->eventinj))
BROKEN(event_vector, event_is_no_exception(control->eventinj))
BROKEN(asid, control->guest_asid == 0)
BROKEN(ncr3, (control->np_enable & NP_ENABLE) && (control->n_cr3 & ~phys_mask(limits)))
BROKEN(pat, (control->np_enable & NP_ENABLE) && !pat_is_valid(save->g_pat))

/* X(check, field, rule) in the manual's order. */
#define CHECKS(X)											\
	X(svme,		save.efer,	"EFER.SVME must be set")					\
	X(nw,		save.cr0,	"CR0.NW must not be set without CR0.CD")			\
	X(cr0_high,	save.cr0,	"CR0 bits 63:32 must be zero")					\
	X(cr3,		save.cr3,	"CR3 bits above the physical address width must be zero")	\
	X(cr4,		save.cr4,	"CR4 bits that the processor does not have must be zero")	\
	X(dr6,		save.dr6,	"DR6 bits 63:32 must be zero")					\
	X(dr7,		save.dr7,	"DR7 bits 63:32 must be zero")					\
	X(efer_mbz,	save.efer,	"reserved bits of EFER must be zero")				\
	X(no_long,	save.efer,	"EFER.LME and LMA need a processor with long mode")		\
	X(no_pae,	save.cr4,	"EFER.LME with CR0.PG needs CR4.PAE")				\
	X(no_pe,	save.cr0,	"EFER.LME with CR0.PG needs CR0.PE")				\
	X(cs_l_d,	save.cs.attrib,	"CS.L and CS.D must not both be set in long mode")		\
	X(cet,		save.cr4,	"CR4.CET needs CR0.WP")						\
	X(vmrun,	control.intercept_vector4, "the VMRUN intercept must be set")			\
	X(iopm,		control.iopm_base_pa, "the I/O permissions map must lie in physical memory")	\
	X(msrpm,	control.msrpm_base_pa, "the MSR permissions map must lie in physical memory")	\
	X(event_type,	control.eventinj, "EVENTINJ's type must be INTR, NMI, exception or software")	\
	X(event_vector,	control.eventinj, "EVENTINJ: an exception's vector is 0 to 31 and not 2 (NMI)") \
	X(asid,		control.guest_asid, "the guest's ASID must not be zero")			\
	X(ncr3,		control.n_cr3,	"nCR3 bits above the physical address width must be zero")	\
	X(pat,		save.g_pat,	"gPAT must hold valid memory types")

#define FIELD_SIZE(member) sizeof(((struct vmcb *)0)->member)

static const struct check {
	broken_fn  *is_broken;
	const char *field, *rule;
	uint16_t    offset, size;
} checks[] = {
#define ROW(name, member, text) { broken_##name, #member, text, offsetof(struct vmcb, member), FIELD_SIZE(member) },
	CHECKS(ROW)
#undef ROW
};

/* Fields are little-endian numbers of 2 to 8 bytes. */
static uint64_t field_value(const struct vmcb *vmcb, const struct check *check)
{
	const char *at = (const char *)vmcb + check->offset;

	if (check->size == sizeof(uint16_t))
		return *(const uint16_t *)(const void *)at;
	if (check->size == sizeof(uint32_t))
		return *(const uint32_t *)(const void *)at;
	return *(const uint64_t *)(const void *)at;
}

size_t svm_explain(const struct vmcb *vmcb, const struct svm_limits *limits, struct svm_explain *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < countof(checks); i++) {
		if (!checks[i].is_broken(vmcb, limits))
			continue;
		if (count < max)
			out[count] = (struct svm_explain){ checks[i].field, field_value(vmcb, &checks[i]), checks[i].rule };
		count++;
	}
	return count;
}
