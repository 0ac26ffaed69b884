/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What AMD-V keeps for each processor and each vCPU, and what this processor's SVM offers: set up once, then read at
 * each entry and exit.
 */
#include "arch/x86/svm/svm.h"
#include "arch/x86/virt/guest_caps.h"
#include "hv/vcpu.h"

/* What this processor's SVM can do, asked once; absent things are done in software. */
struct svm_features {
	uint32_t revision, asid_count;
	bool     has_np, has_nrips, has_decode_assists, has_flush_by_asid, has_clean_bits, has_pause_filter;
};
extern struct svm_features svm_features;
extern struct guest_caps svm_guest_caps;
void svm_features_from(struct svm_features *features, uint32_t eax, uint32_t ebx, uint32_t edx);
/* The first thing that two processors do not have in common, by name; NULL: none. Pure, in controls.c. */
const char *svm_features_difference(const struct svm_features *one, const struct svm_features *other);

/* One for each processor, in struct cpu's arch. */
struct svm_cpu {
	void    *hsave;			/* VM_HSAVE_PA: the processor's own notes, never ours to read */
	struct vmcb *host;		/* our FS, GS, TR, LDTR and syscall MSRs, by VMSAVE; VMLOADed after each exit */
	uint64_t host_pa;
	uint32_t next_asid;
	uint64_t asid_generation;	/* bumped when the ASIDs ran out and all were flushed */
};

/* One for each vCPU, in struct vcpu's arch. */
struct svm_vcpu {
	struct vmcb *vmcb;
	uint64_t vmcb_pa;
	uint64_t asid_generation;	/* of the ASID held; 0: none yet */
	struct svm_cpu *cpu;		/* where that ASID is valid */
	bool     want_flush;
	uint64_t cr0_hidden;		/* CD and NW as the guest set them; the processor's own stay clear */
	uint32_t clean_after;		/* clean bits after an exit: all, or 0 on a processor without them */
	uint8_t  fetched;		/* enum fetch_result of the bytes at RIP, where the length comes from them */
	uint64_t iret_rip;		/* the IRET that will end an NMI handler */
	bool     iret_seen;
	bool     is_stepping;		/* the next entry lasts for one instruction only: inject.c */
	bool     step_tf;		/* RFLAGS.TF as the guest had it before that step */
	bool     is_stepped;		/* this exit is the end of such a step */
	uint64_t step_rip;		/* that instruction */
	uint64_t efer_hidden;		/* LME as the guest set it, while its paging is off: the processor's own stays clear */
	uint64_t cr4_hidden;		/* CR4 bits that hardware has set and the guest has not */
	uint64_t shadow_rip;		/* the instruction that an interrupt shadow covers, if it exited before it ran */
	uint32_t shadow_exits;		/* how often that instruction has exited since */
};

#define SVM_NO_SHADOW	(~0ULL)		/* not canonical: no RIP */

static inline struct svm_vcpu *svm_of(const struct vcpu *vcpu) { return vcpu->arch; }

struct msr_policy;

/* enable.c */
bool svm_supported(const char **why_not);
void svm_cpu_on(void);
void svm_cpu_off(void);
/* controls.c */
void svm_controls_init(struct vmcb_control *control, const struct svm_features *features, bool has_siblings);
uint32_t svm_exceptions_wanted(void);
void svm_asid_pick(struct svm_vcpu *svm, struct svm_cpu *cpu, const struct svm_features *features);
/* bitmaps.c: the permission maps; MSR rights follow from the policy that both vendors share (exit/policy.h) */
#define IOPM_PAGES	3U
#define MSRPM_PAGES	2U
__attribute__((warn_unused_result)) bool svm_bitmaps_init(void);	/* once, on the boot processor; false: no memory */
void svm_bitmaps(uint64_t *iopm_pa, uint64_t *msrpm_pa);
void svm_msrpm_build(uint8_t *map, const struct msr_policy *rows, size_t count);
/* quirks.c */
void svm_measure_quirks(void);
/* quirk_mends.c */
void svm_mend_cs(struct vmcb *vmcb);		/* before an entry, for quirks.mixes_cs */
/* The reasons of a #DB exit, as DR6 has them. Where a step is hidden, it was one if there is no other reason. */
uint64_t svm_debug_status(const struct vmcb *vmcb, bool was_stepping);
/* quirk_shadow.c */
void svm_keep_shadow(struct vcpu *vcpu);	/* first after an exit, for quirks.forgets_shadow */
bool svm_window_must_wait(const struct vmcb *vmcb);	/* an interrupt window must stay closed inside the shadow... */
void svm_leave_shadow(struct vcpu *vcpu, bool may_step);	/* ...which is left like this, perhaps by one step */
/* switch.asm */
extern bool svm_fills_returns;			/* which VMRUN is taken; enable.c sets it (host/speculation.h) */
void svm_vmrun(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_pa);
