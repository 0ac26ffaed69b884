/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * AMD-V by the manual's names: the VMCB, its bits, the exit codes. Each list is written once, as an
 * X-macro: the offsets that the compiler checks, the dump and the tests all come from VMCB_FIELDS; the
 * table of exits, the names in traces and the tests from SVM_EXITS.
 *
 * APM vol. 2, appendix B "Layout of VMCB", appendix C "SVM Intercept Exit Codes", chapter 15
 * "Secure Virtual Machine" (section numbers as in revision 3.41).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/addr.h"
#include "hv/lib/bits.h"

/* ---- The VMCB ---------------------------------------------------------------------------------------- */

struct vmcb_seg {
	uint16_t selector, attrib;
	uint32_t limit;
	uint64_t base;
};

/* The control area: what we ask of VMRUN, and below it what #VMEXIT reports. Appendix B, table B-1. */
struct vmcb_control {
	uint16_t intercept_cr_read, intercept_cr_write;
	uint16_t intercept_dr_read, intercept_dr_write;
	uint32_t intercept_exceptions;
	uint32_t intercept_vector3, intercept_vector4, intercept_vector5;
	uint8_t  reserved_018[0x3c - 0x18];
	uint16_t pause_filter_threshold, pause_filter_count;
	uint64_t iopm_base_pa, msrpm_base_pa;
	uint64_t tsc_offset;
	uint32_t guest_asid;
	uint8_t  tlb_control;
	uint8_t  reserved_05d[3];
	uint32_t vintr;			/* V_TPR, V_IRQ, ... */
	uint8_t  v_intr_vector;
	uint8_t  reserved_065[3];
	uint64_t interrupt_shadow;
	uint64_t exitcode, exitinfo1, exitinfo2, exitintinfo;
	uint64_t np_enable;
	uint64_t avic_apic_bar, ghcb;
	uint64_t eventinj;
	uint64_t n_cr3;
	uint64_t lbr_virtualization_enable;
	uint32_t clean_bits;
	uint8_t  reserved_0c4[4];
	uint64_t nrip;
	uint8_t  insn_bytes_fetched;
	uint8_t  insn_bytes[15];
	uint8_t  reserved_0e0[0x400 - 0xe0];
};

/* The state save area: the guest's registers, less the general ones but RSP and RAX. Appendix B, table B-2. */
struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t  reserved_0a0[0xcb - 0xa0];
	uint8_t  cpl;
	uint8_t  reserved_0cc[4];
	uint64_t efer;
	uint8_t  reserved_0d8[0x148 - 0xd8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t  reserved_180[0x1d8 - 0x180];
	uint64_t rsp;
	uint64_t s_cet, ssp, isst_addr;
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t  reserved_248[0x268 - 0x248];
	uint64_t g_pat;
	uint64_t dbgctl, br_from, br_to, lastexcpfrom, lastexcpto;
	uint8_t  reserved_298[0xc00 - 0x298];
};

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save    save;
};

/* One segment register of the save area. */
#define VMCB_SEG(X, offset, seg)			\
	X((offset) + 0x0, save.seg.selector)		\
	X((offset) + 0x2, save.seg.attrib)		\
	X((offset) + 0x4, save.seg.limit)		\
	X((offset) + 0x8, save.seg.base)

/* X(offset in appendix B, member): everything that is not reserved. */
#define VMCB_FIELDS(X)					\
	X(0x000, control.intercept_cr_read)		\
	X(0x002, control.intercept_cr_write)		\
	X(0x004, control.intercept_dr_read)		\
	X(0x006, control.intercept_dr_write)		\
	X(0x008, control.intercept_exceptions)		\
	X(0x00c, control.intercept_vector3)		\
	X(0x010, control.intercept_vector4)		\
	X(0x014, control.intercept_vector5)		\
	X(0x03c, control.pause_filter_threshold)	\
	X(0x03e, control.pause_filter_count)		\
	X(0x040, control.iopm_base_pa)			\
	X(0x048, control.msrpm_base_pa)			\
	X(0x050, control.tsc_offset)			\
	X(0x058, control.guest_asid)			\
	X(0x05c, control.tlb_control)			\
	X(0x060, control.vintr)				\
	X(0x064, control.v_intr_vector)			\
	X(0x068, control.interrupt_shadow)		\
	X(0x070, control.exitcode)			\
	X(0x078, control.exitinfo1)			\
	X(0x080, control.exitinfo2)			\
	X(0x088, control.exitintinfo)			\
	X(0x090, control.np_enable)			\
	X(0x098, control.avic_apic_bar)			\
	X(0x0a0, control.ghcb)				\
	X(0x0a8, control.eventinj)			\
	X(0x0b0, control.n_cr3)				\
	X(0x0b8, control.lbr_virtualization_enable)	\
	X(0x0c0, control.clean_bits)			\
	X(0x0c8, control.nrip)				\
	X(0x0d0, control.insn_bytes_fetched)		\
	X(0x0d1, control.insn_bytes)			\
	VMCB_SEG(X, 0x400, es)				\
	VMCB_SEG(X, 0x410, cs)				\
	VMCB_SEG(X, 0x420, ss)				\
	VMCB_SEG(X, 0x430, ds)				\
	VMCB_SEG(X, 0x440, fs)				\
	VMCB_SEG(X, 0x450, gs)				\
	VMCB_SEG(X, 0x460, gdtr)			\
	VMCB_SEG(X, 0x470, ldtr)			\
	VMCB_SEG(X, 0x480, idtr)			\
	VMCB_SEG(X, 0x490, tr)				\
	X(0x4cb, save.cpl)				\
	X(0x4d0, save.efer)				\
	X(0x548, save.cr4)				\
	X(0x550, save.cr3)				\
	X(0x558, save.cr0)				\
	X(0x560, save.dr7)				\
	X(0x568, save.dr6)				\
	X(0x570, save.rflags)				\
	X(0x578, save.rip)				\
	X(0x5d8, save.rsp)				\
	X(0x5e0, save.s_cet)				\
	X(0x5e8, save.ssp)				\
	X(0x5f0, save.isst_addr)			\
	X(0x5f8, save.rax)				\
	X(0x600, save.star)				\
	X(0x608, save.lstar)				\
	X(0x610, save.cstar)				\
	X(0x618, save.sfmask)				\
	X(0x620, save.kernel_gs_base)			\
	X(0x628, save.sysenter_cs)			\
	X(0x630, save.sysenter_esp)			\
	X(0x638, save.sysenter_eip)			\
	X(0x640, save.cr2)				\
	X(0x668, save.g_pat)				\
	X(0x670, save.dbgctl)				\
	X(0x678, save.br_from)				\
	X(0x680, save.br_to)				\
	X(0x688, save.lastexcpfrom)			\
	X(0x690, save.lastexcpto)

#define CHECK(offset, member) _Static_assert(offsetof(struct vmcb, member) == (offset), "VMCB: " #member);
VMCB_FIELDS(CHECK)
#undef CHECK
_Static_assert(sizeof(struct vmcb) == PAGE_SIZE, "a VMCB is one page");

/* ---- Bits of the control area ------------------------------------------------------------------------ */

/* Intercept vector 3, offset 00ch: events of the machine, and instructions. Set: it exits (15.9, 15.13). */
#define INTERCEPT_INTR		((uint32_t)BIT(0))
#define INTERCEPT_NMI		((uint32_t)BIT(1))
#define INTERCEPT_SMI		((uint32_t)BIT(2))
#define INTERCEPT_INIT		((uint32_t)BIT(3))
#define INTERCEPT_VINTR		((uint32_t)BIT(4))
#define INTERCEPT_CR0_SEL_WRITE	((uint32_t)BIT(5))
#define INTERCEPT_RDPMC		((uint32_t)BIT(15))
#define INTERCEPT_CPUID		((uint32_t)BIT(18))
#define INTERCEPT_RSM		((uint32_t)BIT(19))
#define INTERCEPT_IRET		((uint32_t)BIT(20))
#define INTERCEPT_INVD		((uint32_t)BIT(22))
#define INTERCEPT_PAUSE		((uint32_t)BIT(23))
#define INTERCEPT_HLT		((uint32_t)BIT(24))
#define INTERCEPT_INVLPGA	((uint32_t)BIT(26))
#define INTERCEPT_IOIO_PROT	((uint32_t)BIT(27))
#define INTERCEPT_MSR_PROT	((uint32_t)BIT(28))
#define INTERCEPT_TASK_SWITCH	((uint32_t)BIT(29))
#define INTERCEPT_FERR_FREEZE	((uint32_t)BIT(30))
#define INTERCEPT_SHUTDOWN	((uint32_t)BIT(31))

/* Intercept vector 4, offset 010h: the instructions of SVM itself, and later ones. */
#define INTERCEPT_VMRUN		((uint32_t)BIT(0))
#define INTERCEPT_VMMCALL	((uint32_t)BIT(1))
#define INTERCEPT_VMLOAD	((uint32_t)BIT(2))
#define INTERCEPT_VMSAVE	((uint32_t)BIT(3))
#define INTERCEPT_STGI		((uint32_t)BIT(4))
#define INTERCEPT_CLGI		((uint32_t)BIT(5))
#define INTERCEPT_SKINIT	((uint32_t)BIT(6))
#define INTERCEPT_RDTSCP	((uint32_t)BIT(7))
#define INTERCEPT_ICEBP		((uint32_t)BIT(8))
#define INTERCEPT_WBINVD	((uint32_t)BIT(9))
#define INTERCEPT_MONITOR	((uint32_t)BIT(10))
#define INTERCEPT_MWAIT		((uint32_t)BIT(11))
#define INTERCEPT_MWAIT_ARMED	((uint32_t)BIT(12))
#define INTERCEPT_XSETBV	((uint32_t)BIT(13))
#define INTERCEPT_RDPRU		((uint32_t)BIT(14))

/* Intercept vector 5, offset 014h: instructions newer than this code, which guests are not shown. */
#define INTERCEPT_INVLPGB	((uint32_t)BIT(0))
#define INTERCEPT_MCOMMIT	((uint32_t)BIT(3))
#define INTERCEPT_TLBSYNC	((uint32_t)BIT(4))

/* TLB_CONTROL, APM 15.16.1 "TLB Flush". */
#define TLB_CONTROL_NOTHING	0U
#define TLB_CONTROL_FLUSH_ALL	1U
#define TLB_CONTROL_FLUSH_ASID	3U

/*
 * Virtual interrupts, offset 060h, 15.21. V_IRQ: one is pending. V_INTR_MASKING: the guest's IF does not
 * mask the host's.
 */
#define V_IRQ			((uint32_t)BIT(8))
#define V_INTR_PRIO		((uint32_t)FIELD(19, 16))
#define V_IGN_TPR		((uint32_t)BIT(20))
#define V_INTR_MASKING		((uint32_t)BIT(24))

#define INTERRUPT_SHADOW	BIT(0)
#define NP_ENABLE		BIT(0)

/* EVENTINJ and EXITINTINFO, APM 15.20 "Event Injection", 15.7.2 "Intercepts During IDT Interrupt Delivery". */
#define EVENT_VECTOR		FIELD(7, 0)
#define EVENT_TYPE		FIELD(10, 8)
#define EVENT_EV		BIT(11)		/* the error code is valid */
#define EVENT_V			BIT(31)
#define EVENT_ERRORCODE		FIELD(63, 32)
#define EVENT_TYPE_INTR		0U
#define EVENT_TYPE_NMI		2U
#define EVENT_TYPE_EXCEPTION	3U
#define EVENT_TYPE_SOFT		4U

/* VMCB clean bits, APM 15.15.3 "VMCB Clean Field". Set: unchanged since the last VMRUN. */
#define CLEAN_I			((uint32_t)BIT(0))	/* intercepts, TSC offset, pause filter */
#define CLEAN_IOPM		((uint32_t)BIT(1))
#define CLEAN_ASID		((uint32_t)BIT(2))
#define CLEAN_TPR		((uint32_t)BIT(3))	/* V_TPR, V_IRQ, ...: the whole of 060h */
#define CLEAN_NP		((uint32_t)BIT(4))
#define CLEAN_CRX		((uint32_t)BIT(5))	/* CR0, CR3, CR4, EFER */
#define CLEAN_DRX		((uint32_t)BIT(6))	/* DR6, DR7 */
#define CLEAN_DT		((uint32_t)BIT(7))	/* GDTR, IDTR */
#define CLEAN_SEG		((uint32_t)BIT(8))	/* CS, SS, DS, ES, CPL */
#define CLEAN_CR2		((uint32_t)BIT(9))
#define CLEAN_LBR		((uint32_t)BIT(10))
#define CLEAN_ALL		((uint32_t)FIELD(10, 0))

/* Segment attributes: descriptor bits 55:52 and 47:40, APM 15.5.1 "Basic Operation". */
#define ATTRIB_LOW		FIELD(7, 0)	/* type, S, DPL, P: where VMX has them too */
#define ATTRIB_HIGH		FIELD(11, 8)	/* AVL, L, D/B, G: bits 15:12 in VMX' layout */
#define ATTRIB_P		BIT(7)
#define ATTRIB_L		BIT(9)
#define ATTRIB_DB		BIT(10)
uint16_t svm_attrib_of(uint32_t rights);	/* from and to VMX' layout, which is the neutral one; decode.c */
uint32_t svm_rights_of(uint16_t attrib);

/* EXITINFO1 of IOIO, APM 15.10.2 "IN and OUT Behavior". */
#define IOIO_TYPE_IN		BIT(0)
#define IOIO_STR		BIT(2)
#define IOIO_REP		BIT(3)
#define IOIO_SIZE		FIELD(6, 4)	/* one bit each for 1, 2 and 4 bytes: the number itself */
#define IOIO_ADDR		FIELD(9, 7)	/* one bit each for 2, 4 and 8 bytes: half the number */
#define IOIO_SEG		FIELD(12, 10)	/* with decode assists */
#define IOIO_PORT		FIELD(31, 16)

/* EXITINFO1 and 2 of TASK_SWITCH, APM 15.14.1 "Task Switch Intercept". Neither reason: CALL, or an event. */
#define TASK_SELECTOR		FIELD(15, 0)
#define TASK_ERROR		FIELD(31, 0)
#define TASK_BY_IRET		BIT(36)
#define TASK_BY_JMP		BIT(38)
#define TASK_HAS_ERROR		BIT(44)

/* EXITINFO1 of #NPF, APM 15.25.6 "Nested versus Guest Page Faults, Fault Ordering". */
#define NPF_P			BIT(0)
#define NPF_RW			BIT(1)
#define NPF_ID			BIT(4)
#define NPF_WALK		BIT(33)		/* while the guest's own tables were read */

/* EXITINFO1 of MOV CR and MOV DR with decode assists, APM 15.8.1 "Determining the GPR Number". */
#define MOV_CRX			BIT(63)		/* it was a MOV; clear: LMSW, CLTS, SMSW */
#define MOV_GPR			FIELD(3, 0)

#define MSR_INFO_WRITE		1ULL		/* EXITINFO1 of MSR */

/* CPUID 8000_000A, APM vol. 3, E.4.9 "Function 8000_000Ah-SVM Features". */
#define CPUID_SVM_FEATURES	0x8000000aU
#define SVM_EDX_NP		((uint32_t)BIT(0))
#define SVM_EDX_SVML		((uint32_t)BIT(2))
#define SVM_EDX_NRIPS		((uint32_t)BIT(3))
#define SVM_EDX_CLEAN		((uint32_t)BIT(5))
#define SVM_EDX_FLUSH_BY_ASID	((uint32_t)BIT(6))
#define SVM_EDX_DECODE_ASSISTS	((uint32_t)BIT(7))
#define SVM_EDX_PAUSE_FILTER	((uint32_t)BIT(10))
#define SVM_EDX_VGIF		((uint32_t)BIT(16))

/* ---- Exit codes: X(code, identifier, name, handler); NULL: not intercepted, so it must not happen ------ */

/*
 * The one place that says who handles which exit on AMD's processors. An svm_ handler is an adapter in
 * exits.c, the others are neutral. The codes follow from the bits of the intercept vectors, in the same
 * order.
 */

#define SVM_EXITS_CR(X)								\
	X(0x000, CR0_READ,	"CR0_READ",		svm_exit_cr)		\
	X(0x002, CR2_READ,	"CR2_READ",		NULL)			\
	X(0x003, CR3_READ,	"CR3_READ",		NULL)			\
	X(0x004, CR4_READ,	"CR4_READ",		svm_exit_cr)		\
	X(0x008, CR8_READ,	"CR8_READ",		svm_exit_cr)		\
	X(0x010, CR0_WRITE,	"CR0_WRITE",		svm_exit_cr)		\
	X(0x012, CR2_WRITE,	"CR2_WRITE",		NULL)			\
	X(0x013, CR3_WRITE,	"CR3_WRITE",		NULL)			\
	X(0x014, CR4_WRITE,	"CR4_WRITE",		svm_exit_cr)		\
	X(0x018, CR8_WRITE,	"CR8_WRITE",		svm_exit_cr)

#define SVM_EXITS_DR(X)								\
	X(0x020, DR0_READ,	"DR0_READ",		svm_exit_dr)		\
	X(0x021, DR1_READ,	"DR1_READ",		svm_exit_dr)		\
	X(0x022, DR2_READ,	"DR2_READ",		svm_exit_dr)		\
	X(0x023, DR3_READ,	"DR3_READ",		svm_exit_dr)		\
	X(0x024, DR4_READ,	"DR4_READ",		svm_exit_dr)		\
	X(0x025, DR5_READ,	"DR5_READ",		svm_exit_dr)		\
	X(0x026, DR6_READ,	"DR6_READ",		svm_exit_dr)		\
	X(0x027, DR7_READ,	"DR7_READ",		svm_exit_dr)		\
	X(0x030, DR0_WRITE,	"DR0_WRITE",		svm_exit_dr)		\
	X(0x031, DR1_WRITE,	"DR1_WRITE",		svm_exit_dr)		\
	X(0x032, DR2_WRITE,	"DR2_WRITE",		svm_exit_dr)		\
	X(0x033, DR3_WRITE,	"DR3_WRITE",		svm_exit_dr)		\
	X(0x034, DR4_WRITE,	"DR4_WRITE",		svm_exit_dr)		\
	X(0x035, DR5_WRITE,	"DR5_WRITE",		svm_exit_dr)		\
	X(0x036, DR6_WRITE,	"DR6_WRITE",		svm_exit_dr)		\
	X(0x037, DR7_WRITE,	"DR7_WRITE",		svm_exit_dr)

#define SVM_EXITS_EXCEPTION(X)							\
	X(0x040, EXCP_DE,	"EXCP0 #DE",		svm_exit_exception)	\
	X(0x041, EXCP_DB,	"EXCP1 #DB",		svm_exit_exception)	\
	X(0x042, EXCP_NMI,	"EXCP2",		NULL)			\
	X(0x043, EXCP_BP,	"EXCP3 #BP",		svm_exit_exception)	\
	X(0x044, EXCP_OF,	"EXCP4 #OF",		svm_exit_exception)	\
	X(0x045, EXCP_BR,	"EXCP5 #BR",		svm_exit_exception)	\
	X(0x046, EXCP_UD,	"EXCP6 #UD",		svm_exit_exception)	\
	X(0x047, EXCP_NM,	"EXCP7 #NM",		svm_exit_exception)	\
	X(0x048, EXCP_DF,	"EXCP8 #DF",		svm_exit_exception)	\
	X(0x04a, EXCP_TS,	"EXCP10 #TS",		svm_exit_exception)	\
	X(0x04b, EXCP_NP,	"EXCP11 #NP",		svm_exit_exception)	\
	X(0x04c, EXCP_SS,	"EXCP12 #SS",		svm_exit_exception)	\
	X(0x04d, EXCP_GP,	"EXCP13 #GP",		svm_exit_exception)	\
	X(0x04e, EXCP_PF,	"EXCP14 #PF",		svm_exit_exception)	\
	X(0x050, EXCP_MF,	"EXCP16 #MF",		svm_exit_exception)	\
	X(0x051, EXCP_AC,	"EXCP17 #AC",		svm_exit_exception)	\
	X(0x052, EXCP_MC,	"EXCP18 #MC",		svm_exit_exception)	\
	X(0x053, EXCP_XF,	"EXCP19 #XF",		svm_exit_exception)

#define SVM_EXITS_MISC(X)							\
	X(0x060, INTR,		"INTR",			svm_exit_intr)		\
	X(0x061, NMI,		"NMI",			exit_host_nmi)		\
	X(0x062, SMI,		"SMI",			svm_exit_resume)	\
	X(0x063, INIT,		"INIT",			svm_exit_resume)	\
	X(0x064, VINTR,		"VINTR",		exit_irq_window)	\
	X(0x065, CR0_SEL_WRITE,	"CR0_SEL_WRITE",	svm_exit_cr)		\
	X(0x066, IDTR_READ,	"IDTR_READ",		NULL)			\
	X(0x067, GDTR_READ,	"GDTR_READ",		NULL)			\
	X(0x068, LDTR_READ,	"LDTR_READ",		NULL)			\
	X(0x069, TR_READ,	"TR_READ",		NULL)			\
	X(0x06a, IDTR_WRITE,	"IDTR_WRITE",		NULL)			\
	X(0x06b, GDTR_WRITE,	"GDTR_WRITE",		NULL)			\
	X(0x06c, LDTR_WRITE,	"LDTR_WRITE",		NULL)			\
	X(0x06d, TR_WRITE,	"TR_WRITE",		NULL)			\
	X(0x06e, RDTSC,		"RDTSC",		NULL)			\
	X(0x06f, RDPMC,		"RDPMC",		exit_rdpmc)		\
	X(0x070, PUSHF,		"PUSHF",		NULL)			\
	X(0x071, POPF,		"POPF",			NULL)			\
	X(0x072, CPUID,		"CPUID",		exit_cpuid)		\
	X(0x073, RSM,		"RSM",			exit_undefined)		\
	X(0x074, IRET,		"IRET",			svm_exit_iret)		\
	X(0x075, SWINT,		"SWINT",		NULL)			\
	X(0x076, INVD,		"INVD",			exit_invd)		\
	X(0x077, PAUSE,		"PAUSE",		exit_pause)		\
	X(0x078, HLT,		"HLT",			exit_hlt)		\
	X(0x079, INVLPG,	"INVLPG",		NULL)			\
	X(0x07a, INVLPGA,	"INVLPGA",		exit_undefined)		\
	X(0x07b, IOIO,		"IOIO",			svm_exit_ioio)		\
	X(0x07c, MSR,		"MSR",			svm_exit_msr)		\
	X(0x07d, TASK_SWITCH,	"TASK_SWITCH",		svm_exit_task_switch)	\
	X(0x07e, FERR_FREEZE,	"FERR_FREEZE",		svm_exit_resume)	\
	X(0x07f, SHUTDOWN,	"SHUTDOWN",		exit_triple_fault)	\
	X(0x080, VMRUN,		"VMRUN",		exit_undefined)		\
	X(0x081, VMMCALL,	"VMMCALL",		exit_hypercall)		\
	X(0x082, VMLOAD,	"VMLOAD",		exit_undefined)		\
	X(0x083, VMSAVE,	"VMSAVE",		exit_undefined)		\
	X(0x084, STGI,		"STGI",			exit_undefined)		\
	X(0x085, CLGI,		"CLGI",			exit_undefined)		\
	X(0x086, SKINIT,	"SKINIT",		exit_undefined)		\
	X(0x087, RDTSCP,	"RDTSCP",		NULL)	\
	X(0x088, ICEBP,		"ICEBP",		NULL)			\
	X(0x089, WBINVD,	"WBINVD",		exit_wbinvd)		\
	X(0x08a, MONITOR,	"MONITOR",		exit_monitor)		\
	X(0x08b, MWAIT,		"MWAIT",		exit_mwait)		\
	X(0x08c, MWAIT_ARMED,	"MWAIT_CONDITIONAL",	exit_mwait)		\
	X(0x08d, XSETBV,	"XSETBV",		exit_xsetbv)		\
	X(0x08e, RDPRU,		"RDPRU",		exit_undefined)		\
	X(0x08f, EFER_WRITE_TRAP, "EFER_WRITE_TRAP",	NULL)			\
	X(0x0a0, INVLPGB,	"INVLPGB",		exit_undefined)		\
	X(0x0a1, INVLPGB_ILLEGAL, "INVLPGB_ILLEGAL",	exit_undefined)		\
	X(0x0a2, INVPCID,	"INVPCID",		NULL)			\
	X(0x0a3, MCOMMIT,	"MCOMMIT",		exit_undefined)		\
	X(0x0a4, TLBSYNC,	"TLBSYNC",		exit_undefined)

/* The dense run from 0. */
#define SVM_EXITS_LOW(X) SVM_EXITS_CR(X) SVM_EXITS_DR(X) SVM_EXITS_EXCEPTION(X) SVM_EXITS_MISC(X)

/* The run from 400h. */
#define SVM_EXITS_HIGH(X)							\
	X(0x400, NPF,		"NPF",			svm_exit_npf)		\
	X(0x401, AVIC_INCOMPLETE_IPI, "AVIC_INCOMPLETE_IPI", NULL)		\
	X(0x402, AVIC_NOACCEL,	"AVIC_NOACCEL",		NULL)			\
	X(0x403, VMGEXIT,	"VMGEXIT",		NULL)

#define SVM_EXITS(X) SVM_EXITS_LOW(X) SVM_EXITS_HIGH(X)

#define SVM_EXIT_HIGH_BASE	0x400U
#define SVM_EXIT_INVALID	(~0U)		/* -1: VMRUN refused the VMCB; 32 bits of it are looked at, as of all codes */

enum svm_exit {
#define ENUM(code, id, text, handler) SVM_EXIT_##id = (code),
	SVM_EXITS(ENUM)
#undef ENUM
};
