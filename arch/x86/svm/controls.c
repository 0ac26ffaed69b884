/* SPDX-License-Identifier: MIT */
/*
 * What we intercept, as lists in prose order, and which address-space identifier (ASID) a vCPU runs under.
 * Everything not listed runs in the guest at full speed: CR3, page faults, INVLPG, RDTSC, segment loads.
 *
 * An intercept is one bit, and the processor accepts any choice of them: unlike on Intel's, nothing must be
 * reconciled with capability MSRs. Only the intercept of VMRUN is required (15.5.1).
 *
 * APM vol. 2, 15.7 "Intercept Operation" to 15.14 "Shutdown Intercept", 15.16 "TLB Control", 15.21
 * "Interrupt and Local APIC Support", 15.25 "Nested Paging".
 */
#include "arch/x86/svm/svm_cpu.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"

static const uint32_t vector3_wanted[] = {
	/* The host's own interrupts: they leave the guest and are taken after STGI through our IDT. */
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	/* A write of CR0 that changes more than TS and MP: mode switches, caching. CLTS does not exit. */
	INTERCEPT_CR0_SEL_WRITE,
	/* Instructions whose answer is policy. */
	INTERCEPT_CPUID, INTERCEPT_RDPMC, INTERCEPT_HLT, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
	/* Caches and frozen FPU errors are the host's. */
	INTERCEPT_INVD, INTERCEPT_FERR_FREEZE,
	/* What ends or could confuse a VM. */
	INTERCEPT_TASK_SWITCH, INTERCEPT_SHUTDOWN, INTERCEPT_RSM,
	/* SVM is not shown to guests: #UD. */
	INTERCEPT_INVLPGA,
};

static const uint32_t vector4_wanted[] = {
	/* SVM is not shown to guests: #UD. VMRUN must be intercepted, 15.5.1. VMMCALL is our hypercall. */
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI,
	INTERCEPT_CLGI, INTERCEPT_SKINIT,
	/* Caches, idling and extended state are policy. */
	INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_XSETBV, INTERCEPT_RDPRU,
};

static const uint32_t vector5_wanted[] = {
	/* Broadcast invalidation would reach other guests' translations. */
	INTERCEPT_INVLPGB, INTERCEPT_MCOMMIT, INTERCEPT_TLBSYNC,
};

/*
 * Exceptions: #DB and #AC because a guest can make their delivery loop for ever without letting an
 * interrupt in (CVE-2015-8104, CVE-2015-5307), #MC because the machine's health is the host's business.
 */
static const uint8_t exceptions_wanted[] = { VEC_DB, VEC_AC, VEC_MC };

/* CR4 for policy, CR8 because the task priority belongs to the APIC we emulate. Reads of CR0 and CR4: state.c. */
static const uint8_t cr_reads_wanted[] = { 8 };
static const uint8_t cr_writes_wanted[] = { 4, 8 };

/* All debug registers there are: a guest's are in struct vcpu (exit/dr.c). */
#define DR_ALL	((uint16_t)FIELD(7, 0))

static uint32_t or_all(const uint32_t *bits, size_t count)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum |= bits[i];
	return sum;
}

static uint32_t bits_of(const uint8_t *numbers, size_t count)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum |= (uint32_t)BIT(numbers[i]);
	return sum;
}

uint32_t svm_exceptions_wanted(void)
{
	return bits_of(exceptions_wanted, countof(exceptions_wanted));
}

/* A spin loop of this many PAUSEs, each less than THRESHOLD ticks after the one before, leaves the guest. */
#define PAUSE_COUNT	100
#define PAUSE_THRESHOLD	128

/*
 * PAUSE is worth an exit only where another vCPU of the VM may be what is waited for. Without the filter the
 * count stays 0 and each PAUSE exits: exit_pause counts (15.14.4 "PAUSE Intercept Filtering").
 */
void svm_controls_init(struct vmcb_control *control, const struct svm_features *features, bool has_siblings)
{
	control->intercept_cr_read = (uint16_t)bits_of(cr_reads_wanted, countof(cr_reads_wanted));
	control->intercept_cr_write = (uint16_t)bits_of(cr_writes_wanted, countof(cr_writes_wanted));
	control->intercept_dr_read = control->intercept_dr_write = DR_ALL;
	control->intercept_exceptions = svm_exceptions_wanted();
	control->intercept_vector3 = or_all(vector3_wanted, countof(vector3_wanted));
	control->intercept_vector4 = or_all(vector4_wanted, countof(vector4_wanted));
	control->intercept_vector5 = or_all(vector5_wanted, countof(vector5_wanted));
	if (has_siblings)
		control->intercept_vector3 |= INTERCEPT_PAUSE;
	if (features->has_pause_filter && has_siblings) {
		control->pause_filter_count = PAUSE_COUNT;
		control->pause_filter_threshold = PAUSE_THRESHOLD;
	}

	/*
	 * With V_INTR_MASKING the guest's RFLAGS.IF masks virtual interrupts only, and ours, set at VMRUN,
	 * lets physical ones end the guest at any time (15.21.1). V_IGN_TPR: V_IRQ is only ever a window
	 * for us, the priority was decided by the APIC model.
	 */
	control->vintr = V_INTR_MASKING | V_IGN_TPR;
	control->np_enable = NP_ENABLE;
}

/*
 * The processor tags translations with the ASID of the guest that made them, and uses those with the
 * current ASID only. An ASID is valid on one processor until its generation ends. A flush of one guest is
 * either asked of the processor (flush by ASID) or had by taking a fresh number: what the old one tagged is
 * never looked up again. When the numbers run out, everything is flushed and a new generation begins
 * (15.16.1).
 */
void svm_asid_pick(struct svm_vcpu *svm, struct svm_cpu *cpu, const struct svm_features *features)
{
	struct vmcb_control *control = &svm->vmcb->control;
	bool is_held = svm->cpu == cpu && svm->asid_generation == cpu->asid_generation;

	if (is_held && !svm->want_flush)
		return;
	if (is_held && features->has_flush_by_asid) {
		control->tlb_control = TLB_CONTROL_FLUSH_ASID;
		svm->want_flush = false;
		return;
	}
	if (cpu->next_asid >= features->asid_count || !cpu->asid_generation) {
		cpu->asid_generation++;
		cpu->next_asid = 1;	/* 0 is the host's */
		control->tlb_control = TLB_CONTROL_FLUSH_ALL;
	}
	control->guest_asid = cpu->next_asid++;
	control->clean_bits &= ~CLEAN_ASID;
	svm->asid_generation = cpu->asid_generation;
	svm->cpu = cpu;
	svm->want_flush = false;
}

#define FEATURE_ROW(name, field) \
	{ name, offsetof(struct svm_features, field), sizeof(((struct svm_features *)NULL)->field) }

/*
 * A vCPU may be entered on any processor, and svm_features was filled on the boot processor: others must be
 * like it.
 */
const char *svm_features_difference(const struct svm_features *one, const struct svm_features *other)
{
	static const struct { const char *name; size_t offset, size; } rows[] = {
		FEATURE_ROW("revision", revision),
		FEATURE_ROW("number of ASIDs", asid_count),
		FEATURE_ROW("nested paging", has_np),
		FEATURE_ROW("next-RIP save", has_nrips),
		FEATURE_ROW("decode assists", has_decode_assists),
		FEATURE_ROW("flush by ASID", has_flush_by_asid),
		FEATURE_ROW("VMCB clean bits", has_clean_bits),
		FEATURE_ROW("PAUSE filter", has_pause_filter),
	};

	for (size_t i = 0; i < countof(rows); i++)
		if (memcmp((const char *)one + rows[i].offset, (const char *)other + rows[i].offset, rows[i].size))
			return rows[i].name;
	return NULL;
}
