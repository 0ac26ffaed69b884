/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Intel VT-x in the manual's words: VMCS fields, controls and exit reasons, each list once.
 * SDM vol. 3: chapter 25 "Virtual Machine Control Structures", appendix B "Field Encoding in VMCS",
 * appendix C "VMX Basic Exit Reasons".
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt/guest_caps.h"
#include "hv/lib/bits.h"
#include "arch/x86/virt/caps.h"
#include "arch/x86/virt/npt.h"
#include "hv/addr.h"

/*
 * The fields that we use. X(encoding, identifier, "text", kind): kind G guest state, H host state, C
 * control, R read-only data (what an exit reports).
 *
 * An encoding is not an address: VMREAD and VMWRITE take it as a name. It is built from bits (SDM vol. 3,
 * 25.11.2 "VMREAD, VMWRITE, and Encodings of VMCS Fields"): 14:13 the width (0: 16 bits, 1: 64, 2: 32, 3:
 * natural, that is 64 for us), 11:10 the type (0: control, 1: read-only data, 2: guest state, 3: host
 * state), 9:1 a running number, bit 0 the upper half of a 64-bit field in 32-bit code.
 */
#define VMX_FIELDS(X)									\
	X(0x0000, VPID,				"virtual-processor identifier",		C)	\
	X(0x0800, GUEST_ES_SELECTOR,		"guest ES selector",			G)	\
	X(0x0802, GUEST_CS_SELECTOR,		"guest CS selector",			G)	\
	X(0x0804, GUEST_SS_SELECTOR,		"guest SS selector",			G)	\
	X(0x0806, GUEST_DS_SELECTOR,		"guest DS selector",			G)	\
	X(0x0808, GUEST_FS_SELECTOR,		"guest FS selector",			G)	\
	X(0x080a, GUEST_GS_SELECTOR,		"guest GS selector",			G)	\
	X(0x080c, GUEST_LDTR_SELECTOR,		"guest LDTR selector",			G)	\
	X(0x080e, GUEST_TR_SELECTOR,		"guest TR selector",			G)	\
	X(0x0810, GUEST_INTR_STATUS,		"guest interrupt status",		G)	\
	X(0x0c00, HOST_ES_SELECTOR,		"host ES selector",			H)	\
	X(0x0c02, HOST_CS_SELECTOR,		"host CS selector",			H)	\
	X(0x0c04, HOST_SS_SELECTOR,		"host SS selector",			H)	\
	X(0x0c06, HOST_DS_SELECTOR,		"host DS selector",			H)	\
	X(0x0c08, HOST_FS_SELECTOR,		"host FS selector",			H)	\
	X(0x0c0a, HOST_GS_SELECTOR,		"host GS selector",			H)	\
	X(0x0c0c, HOST_TR_SELECTOR,		"host TR selector",			H)	\
	X(0x2000, IO_BITMAP_A,			"address of I/O bitmap A",		C)	\
	X(0x2002, IO_BITMAP_B,			"address of I/O bitmap B",		C)	\
	X(0x2004, MSR_BITMAP,			"address of MSR bitmaps",		C)	\
	X(0x2010, TSC_OFFSET,			"TSC offset",				C)	\
	X(0x2012, VIRTUAL_APIC,			"virtual-APIC address",			C)	\
	X(0x201a, EPT_POINTER,			"EPT pointer",				C)	\
	X(0x201c, EOI_EXIT_BITMAP0,		"EOI-exit bitmap 0",			C)	\
	X(0x201e, EOI_EXIT_BITMAP1,		"EOI-exit bitmap 1",			C)	\
	X(0x2020, EOI_EXIT_BITMAP2,		"EOI-exit bitmap 2",			C)	\
	X(0x2022, EOI_EXIT_BITMAP3,		"EOI-exit bitmap 3",			C)	\
	X(0x202c, XSS_EXITING_BITMAP,		"XSS-exiting bitmap",			C)	\
	X(0x2400, GUEST_PHYSICAL_ADDRESS,	"guest-physical address",		R)	\
	X(0x2800, VMCS_LINK_POINTER,		"VMCS link pointer",			G)	\
	X(0x2802, GUEST_IA32_DEBUGCTL,		"guest IA32_DEBUGCTL",			G)	\
	X(0x2804, GUEST_IA32_PAT,		"guest IA32_PAT",			G)	\
	X(0x2806, GUEST_IA32_EFER,		"guest IA32_EFER",			G)	\
	X(0x280a, GUEST_PDPTE0,			"guest PDPTE0",				G)	\
	X(0x280c, GUEST_PDPTE1,			"guest PDPTE1",				G)	\
	X(0x280e, GUEST_PDPTE2,			"guest PDPTE2",				G)	\
	X(0x2810, GUEST_PDPTE3,			"guest PDPTE3",				G)	\
	X(0x2c00, HOST_IA32_PAT,		"host IA32_PAT",			H)	\
	X(0x2c02, HOST_IA32_EFER,		"host IA32_EFER",			H)	\
	X(0x4000, PIN_CONTROLS,			"pin-based VM-execution controls",	C)	\
	X(0x4002, PROC_CONTROLS,		"primary processor-based controls",	C)	\
	X(0x4004, EXCEPTION_BITMAP,		"exception bitmap",			C)	\
	X(0x4006, PF_ERROR_MASK,		"page-fault error-code mask",		C)	\
	X(0x4008, PF_ERROR_MATCH,		"page-fault error-code match",		C)	\
	X(0x400a, CR3_TARGET_COUNT,		"CR3-target count",			C)	\
	X(0x400c, EXIT_CONTROLS,		"VM-exit controls",			C)	\
	X(0x400e, EXIT_MSR_STORE_COUNT,		"VM-exit MSR-store count",		C)	\
	X(0x4010, EXIT_MSR_LOAD_COUNT,		"VM-exit MSR-load count",		C)	\
	X(0x4012, ENTRY_CONTROLS,		"VM-entry controls",			C)	\
	X(0x4014, ENTRY_MSR_LOAD_COUNT,		"VM-entry MSR-load count",		C)	\
	X(0x4016, ENTRY_INTR_INFO,		"VM-entry interruption-information",	C)	\
	X(0x4018, ENTRY_EXCEPTION_ERROR,	"VM-entry exception error code",	C)	\
	X(0x401a, ENTRY_INSN_LENGTH,		"VM-entry instruction length",		C)	\
	X(0x401e, PROC_CONTROLS2,		"secondary processor-based controls",	C)	\
	X(0x4020, PLE_GAP,			"PLE gap",				C)	\
	X(0x4022, PLE_WINDOW,			"PLE window",				C)	\
	X(0x4400, VM_INSTRUCTION_ERROR,		"VM-instruction error",			R)	\
	X(0x4402, EXIT_REASON,			"exit reason",				R)	\
	X(0x4404, EXIT_INTR_INFO,		"VM-exit interruption information",	R)	\
	X(0x4406, EXIT_INTR_ERROR,		"VM-exit interruption error code",	R)	\
	X(0x4408, IDT_VECTORING_INFO,		"IDT-vectoring information",		R)	\
	X(0x440a, IDT_VECTORING_ERROR,		"IDT-vectoring error code",		R)	\
	X(0x440c, EXIT_INSN_LENGTH,		"VM-exit instruction length",		R)	\
	X(0x440e, EXIT_INSN_INFO,		"VM-exit instruction information",	R)	\
	X(0x482e, PREEMPTION_TIMER,		"VMX-preemption timer value",		G)	\
	X(0x4800, GUEST_ES_LIMIT,		"guest ES limit",			G)	\
	X(0x4802, GUEST_CS_LIMIT,		"guest CS limit",			G)	\
	X(0x4804, GUEST_SS_LIMIT,		"guest SS limit",			G)	\
	X(0x4806, GUEST_DS_LIMIT,		"guest DS limit",			G)	\
	X(0x4808, GUEST_FS_LIMIT,		"guest FS limit",			G)	\
	X(0x480a, GUEST_GS_LIMIT,		"guest GS limit",			G)	\
	X(0x480c, GUEST_LDTR_LIMIT,		"guest LDTR limit",			G)	\
	X(0x480e, GUEST_TR_LIMIT,		"guest TR limit",			G)	\
	X(0x4810, GUEST_GDTR_LIMIT,		"guest GDTR limit",			G)	\
	X(0x4812, GUEST_IDTR_LIMIT,		"guest IDTR limit",			G)	\
	X(0x4814, GUEST_ES_RIGHTS,		"guest ES access rights",		G)	\
	X(0x4816, GUEST_CS_RIGHTS,		"guest CS access rights",		G)	\
	X(0x4818, GUEST_SS_RIGHTS,		"guest SS access rights",		G)	\
	X(0x481a, GUEST_DS_RIGHTS,		"guest DS access rights",		G)	\
	X(0x481c, GUEST_FS_RIGHTS,		"guest FS access rights",		G)	\
	X(0x481e, GUEST_GS_RIGHTS,		"guest GS access rights",		G)	\
	X(0x4820, GUEST_LDTR_RIGHTS,		"guest LDTR access rights",		G)	\
	X(0x4822, GUEST_TR_RIGHTS,		"guest TR access rights",		G)	\
	X(0x4824, GUEST_INTERRUPTIBILITY,	"guest interruptibility state",		G)	\
	X(0x4826, GUEST_ACTIVITY,		"guest activity state",			G)	\
	X(0x482a, GUEST_SYSENTER_CS,		"guest IA32_SYSENTER_CS",		G)	\
	X(0x4c00, HOST_SYSENTER_CS,		"host IA32_SYSENTER_CS",		H)	\
	X(0x6000, CR0_MASK,			"CR0 guest/host mask",			C)	\
	X(0x6002, CR4_MASK,			"CR4 guest/host mask",			C)	\
	X(0x6004, CR0_SHADOW,			"CR0 read shadow",			C)	\
	X(0x6006, CR4_SHADOW,			"CR4 read shadow",			C)	\
	X(0x6400, EXIT_QUALIFICATION,		"exit qualification",			R)	\
	X(0x640a, GUEST_LINEAR_ADDRESS,		"guest-linear address",			R)	\
	X(0x6800, GUEST_CR0,			"guest CR0",				G)	\
	X(0x6802, GUEST_CR3,			"guest CR3",				G)	\
	X(0x6804, GUEST_CR4,			"guest CR4",				G)	\
	X(0x6806, GUEST_ES_BASE,		"guest ES base",			G)	\
	X(0x6808, GUEST_CS_BASE,		"guest CS base",			G)	\
	X(0x680a, GUEST_SS_BASE,		"guest SS base",			G)	\
	X(0x680c, GUEST_DS_BASE,		"guest DS base",			G)	\
	X(0x680e, GUEST_FS_BASE,		"guest FS base",			G)	\
	X(0x6810, GUEST_GS_BASE,		"guest GS base",			G)	\
	X(0x6812, GUEST_LDTR_BASE,		"guest LDTR base",			G)	\
	X(0x6814, GUEST_TR_BASE,		"guest TR base",			G)	\
	X(0x6816, GUEST_GDTR_BASE,		"guest GDTR base",			G)	\
	X(0x6818, GUEST_IDTR_BASE,		"guest IDTR base",			G)	\
	X(0x681a, GUEST_DR7,			"guest DR7",				G)	\
	X(0x681c, GUEST_RSP,			"guest RSP",				G)	\
	X(0x681e, GUEST_RIP,			"guest RIP",				G)	\
	X(0x6820, GUEST_RFLAGS,			"guest RFLAGS",				G)	\
	X(0x6822, GUEST_PENDING_DEBUG,		"guest pending debug exceptions",	G)	\
	X(0x6824, GUEST_SYSENTER_ESP,		"guest IA32_SYSENTER_ESP",		G)	\
	X(0x6826, GUEST_SYSENTER_EIP,		"guest IA32_SYSENTER_EIP",		G)	\
	X(0x6c00, HOST_CR0,			"host CR0",				H)	\
	X(0x6c02, HOST_CR3,			"host CR3",				H)	\
	X(0x6c04, HOST_CR4,			"host CR4",				H)	\
	X(0x6c06, HOST_FS_BASE,			"host FS base",				H)	\
	X(0x6c08, HOST_GS_BASE,			"host GS base",				H)	\
	X(0x6c0a, HOST_TR_BASE,			"host TR base",				H)	\
	X(0x6c0c, HOST_GDTR_BASE,		"host GDTR base",			H)	\
	X(0x6c0e, HOST_IDTR_BASE,		"host IDTR base",			H)	\
	X(0x6c10, HOST_SYSENTER_ESP,		"host IA32_SYSENTER_ESP",		H)	\
	X(0x6c12, HOST_SYSENTER_EIP,		"host IA32_SYSENTER_EIP",		H)	\
	X(0x6c14, HOST_RSP,			"host RSP",				H)	\
	X(0x6c16, HOST_RIP,			"host RIP",				H)

enum vmcs_field {
#define ENUM(encoding, id, text, kind) VMCS_##id = encoding,
	VMX_FIELDS(ENUM)
#undef ENUM
};

/* The field list as a table, for the dump and the explainer; kind is 'G', 'H', 'C' or 'R'. */
struct vmcs_field_info { uint32_t encoding; char kind; const char *name; };
extern const struct vmcs_field_info vmcs_fields[];
extern const uint32_t vmcs_field_count;

/*
 * Exit reasons, appendix C. X(number, identifier, "text", handler): the one place that says who handles
 * which exit on Intel's processors. NULL: our controls never ask for it. A vmx_ handler is an adapter in
 * exits.c, the others are neutral. exit_undefined injects #UD: instructions that the guest has not been
 * told about (the VMX instructions, GETSEC, and others), and for which the processor exits unasked.
 */
#define VMX_EXITS(X)									\
	X(0,  EXCEPTION_NMI,		"Exception or NMI",		vmx_exit_exception)	\
	X(1,  EXTERNAL_INTERRUPT,	"External interrupt",		vmx_exit_irq)		\
	X(2,  TRIPLE_FAULT,		"Triple fault",			exit_triple_fault)	\
	X(3,  INIT_SIGNAL,		"INIT signal",			NULL)			\
	X(4,  SIPI,			"Start-up IPI",			NULL)			\
	X(5,  IO_SMI,			"I/O SMI",			NULL)			\
	X(6,  OTHER_SMI,		"Other SMI",			NULL)			\
	X(7,  INTERRUPT_WINDOW,		"Interrupt window",		vmx_exit_irq_window)	\
	X(8,  NMI_WINDOW,		"NMI window",			vmx_exit_nmi_window)	\
	X(9,  TASK_SWITCH,		"Task switch",			vmx_exit_task_switch)	\
	X(10, CPUID,			"CPUID",			exit_cpuid)		\
	X(11, GETSEC,			"GETSEC",			exit_undefined)		\
	X(12, HLT,			"HLT",				exit_hlt)		\
	X(13, INVD,			"INVD",				exit_invd)		\
	X(14, INVLPG,			"INVLPG",			NULL)			\
	X(15, RDPMC,			"RDPMC",			exit_rdpmc)		\
	X(16, RDTSC,			"RDTSC",			NULL)			\
	X(17, RSM,			"RSM",				NULL)			\
	X(18, VMCALL,			"VMCALL",			exit_hypercall)		\
	X(19, VMCLEAR,			"VMCLEAR",			exit_undefined)		\
	X(20, VMLAUNCH,			"VMLAUNCH",			exit_undefined)		\
	X(21, VMPTRLD,			"VMPTRLD",			exit_undefined)		\
	X(22, VMPTRST,			"VMPTRST",			exit_undefined)		\
	X(23, VMREAD,			"VMREAD",			exit_undefined)		\
	X(24, VMRESUME,			"VMRESUME",			exit_undefined)		\
	X(25, VMWRITE,			"VMWRITE",			exit_undefined)		\
	X(26, VMXOFF,			"VMXOFF",			exit_undefined)		\
	X(27, VMXON,			"VMXON",			exit_undefined)		\
	X(28, CR_ACCESS,		"Control-register accesses",	vmx_exit_cr)		\
	X(29, MOV_DR,			"MOV DR",			vmx_exit_dr)		\
	X(30, IO_INSTRUCTION,		"I/O instruction",		vmx_exit_io)		\
	X(31, RDMSR,			"RDMSR",			exit_rdmsr)		\
	X(32, WRMSR,			"WRMSR",			exit_wrmsr)		\
	X(33, ENTRY_GUEST_STATE,	"VM-entry failure: guest state",NULL)			\
	X(34, ENTRY_MSR_LOADING,	"VM-entry failure: MSR loading",NULL)			\
	X(35, RESERVED_35,		"reserved 35",			NULL)	\
	X(36, MWAIT,			"MWAIT",			exit_mwait)		\
	X(37, MONITOR_TRAP,		"Monitor trap flag",		NULL)			\
	X(38, RESERVED_38,		"reserved 38",			NULL)	\
	X(39, MONITOR,			"MONITOR",			exit_monitor)		\
	X(40, PAUSE,			"PAUSE",			exit_pause)		\
	X(41, ENTRY_MACHINE_CHECK,	"VM-entry failure: machine check", vmx_exit_machine_check)	\
	X(42, RESERVED_42,		"reserved 42",			NULL)	\
	X(43, TPR_THRESHOLD,		"TPR below threshold",		NULL)			\
	X(44, APIC_ACCESS,		"APIC access",			NULL)			\
	X(45, VIRTUALIZED_EOI,		"Virtualized EOI",		vmx_exit_eoi)		\
	X(46, GDTR_IDTR_ACCESS,		"Access to GDTR or IDTR",	NULL)			\
	X(47, LDTR_TR_ACCESS,		"Access to LDTR or TR",		NULL)			\
	X(48, EPT_VIOLATION,		"EPT violation",		vmx_exit_ept_violation)	\
	X(49, EPT_MISCONFIGURATION,	"EPT misconfiguration",		vmx_exit_ept_misconfig)	\
	X(50, INVEPT,			"INVEPT",			exit_undefined)		\
	X(51, RDTSCP,			"RDTSCP",			NULL)			\
	X(52, PREEMPTION_TIMER,		"VMX-preemption timer expired",	vmx_exit_turn_over)			\
	X(53, INVVPID,			"INVVPID",			exit_undefined)		\
	X(54, WBINVD,			"WBINVD or WBNOINVD",		exit_wbinvd)		\
	X(55, XSETBV,			"XSETBV",			exit_xsetbv)		\
	X(56, APIC_WRITE,		"APIC write",			vmx_exit_apic_write)	\
	X(57, RDRAND,			"RDRAND",			NULL)			\
	X(58, INVPCID,			"INVPCID",			NULL)			\
	X(59, VMFUNC,			"VMFUNC",			exit_undefined)		\
	X(60, ENCLS,			"ENCLS",			exit_undefined)		\
	X(61, RDSEED,			"RDSEED",			NULL)			\
	X(62, PML_FULL,			"Page-modification log full",	NULL)			\
	X(63, XSAVES,			"XSAVES",			exit_undefined)		\
	X(64, XRSTORS,			"XRSTORS",			exit_undefined)		\
	X(65, RESERVED_65,		"reserved 65",			NULL)	\
	X(66, SPP,			"SPP-related event",		NULL)			\
	X(67, UMWAIT,			"UMWAIT",			exit_undefined)		\
	X(68, TPAUSE,			"TPAUSE",			exit_undefined)

enum vmx_exit_reason {
#define ENUM(number, id, text, handler) VMX_EXIT_##id = number,
	VMX_EXITS(ENUM)
#undef ENUM
};
#define EXIT_REASON_BASIC	FIELD(15, 0)
#define EXIT_REASON_ENTRY_FAIL	BIT(31)

/* ---- Bits of the five control words; which of them we set, and why, is in controls.c ---- */

/* Pin-based controls, 25.6.1: events that do not come from the guest's instructions. */
#define PIN_EXTERNAL_INTERRUPT	BIT(0)
#define PIN_NMI			BIT(3)
#define PIN_VIRTUAL_NMI		BIT(5)
#define PIN_PREEMPTION_TIMER	BIT(6)
#define PIN_POSTED_INTERRUPTS	BIT(7)

/* Primary processor-based controls, 25.6.2: most bits make the instruction that they are named after exit. */
#define PROC_INTERRUPT_WINDOW	BIT(2)
#define PROC_TSC_OFFSETTING	BIT(3)
#define PROC_HLT		BIT(7)
#define PROC_INVLPG		BIT(9)
#define PROC_MWAIT		BIT(10)
#define PROC_RDPMC		BIT(11)
#define PROC_RDTSC		BIT(12)
#define PROC_CR3_LOAD		BIT(15)
#define PROC_CR3_STORE		BIT(16)
#define PROC_CR8_LOAD		BIT(19)
#define PROC_CR8_STORE		BIT(20)
#define PROC_TPR_SHADOW		BIT(21)
#define PROC_NMI_WINDOW		BIT(22)
#define PROC_MOV_DR		BIT(23)
#define PROC_UNCONDITIONAL_IO	BIT(24)
#define PROC_IO_BITMAPS		BIT(25)
#define PROC_MSR_BITMAPS	BIT(28)
#define PROC_MONITOR		BIT(29)
#define PROC_PAUSE		BIT(30)
#define PROC_SECONDARY		BIT(31)

/* Secondary processor-based controls, 25.6.2: features. They count only while PROC_SECONDARY is set. */
#define PROC2_EPT		BIT(1)
#define PROC2_RDTSCP		BIT(3)
#define PROC2_X2APIC		BIT(4)
#define PROC2_VPID		BIT(5)
#define PROC2_WBINVD		BIT(6)
#define PROC2_UNRESTRICTED	BIT(7)
#define PROC2_APIC_REGISTERS	BIT(8)
#define PROC2_VIRTUAL_IRQS	BIT(9)
#define PROC2_PAUSE_LOOP	BIT(10)
#define PROC2_INVPCID		BIT(12)
#define PROC2_XSAVES		BIT(20)
#define PROC2_VIRTUAL_APIC	(PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_IRQS)	/* all or none: virtual_apic.c */
#define EOI_EXIT_FIELDS		4U

/* VM-exit controls, 25.7.1: what an exit saves of the guest and loads of the host. */
#define EXITC_SAVE_DEBUG	BIT(2)
#define EXITC_HOST_64		BIT(9)
#define EXITC_ACK_INTERRUPT	BIT(15)
#define EXITC_SAVE_PAT		BIT(18)
#define EXITC_LOAD_PAT		BIT(19)
#define EXITC_SAVE_EFER		BIT(20)
#define EXITC_LOAD_EFER		BIT(21)
#define EXITC_SAVE_TIMER	BIT(22)

/* VM-entry controls, 25.8.1: what an entry loads of the guest. */
#define ENTRYC_LOAD_DEBUG	BIT(2)
#define ENTRYC_IA32E_GUEST	BIT(9)
#define ENTRYC_LOAD_PAT		BIT(14)
#define ENTRYC_LOAD_EFER	BIT(15)

/* One layout for an event, whether an exit reports it or an entry delivers it: 25.8.3, 25.9.2 and 25.9.3. */
#define INTR_VECTOR		FIELD(7, 0)
#define INTR_TYPE		FIELD(10, 8)
#define INTR_HAS_ERROR		BIT(11)
#define INTR_VALID		BIT(31)

/* Interruptibility state, 25.4.2: what holds interrupts or NMIs back at this moment, apart from RFLAGS.IF. */
#define BLOCK_STI		BIT(0)
#define BLOCK_MOV_SS		BIT(1)
#define BLOCK_NMI		BIT(3)

#define PENDING_DEBUG_BS	BIT(14)	/* 25.4.2: a single step is due */

/* EPT violation qualification, 28.2.1, table 28-7 */
#define EPTQ_WRITE		BIT(1)
#define EPTQ_FETCH		BIT(2)
#define EPTQ_RIGHTS		FIELD(5, 3)
#define EPTQ_LINEAR_VALID	BIT(7)
#define EPTQ_FINAL		BIT(8)	/* the access itself, not the guest's page walk */
#define EPTQ_NMI_UNBLOCK	BIT(12)

#define VMX_MISC_TIMER_SHIFT	FIELD(4, 0)	/* appendix A.6: the timer counts the TSC divided by 2 to this */

/* IA32_VMX_BASIC, appendix A.1; IA32_VMX_EPT_VPID_CAP, A.10 */
#define VMX_BASIC_REVISION	FIELD(30, 0)
#define VMX_BASIC_TRUE		BIT(55)
#define EPT_CAP_EXEC_ONLY	BIT(0)
#define EPT_CAP_WALK4		BIT(6)
#define EPT_CAP_WB		BIT(14)
#define EPT_CAP_2M		BIT(16)
#define EPT_CAP_1G		BIT(17)
#define EPT_CAP_INVEPT		BIT(20)
#define EPT_CAP_INVEPT_SINGLE	BIT(25)
#define EPT_CAP_INVEPT_ALL	BIT(26)
#define EPT_CAP_INVVPID		BIT(32)
#define EPT_CAP_INVVPID_SINGLE	BIT(41)
#define EPT_CAP_INVVPID_ALL	BIT(42)

/*
 * EPT pointer, 25.6.11: below the root's address, the memory type of the tables and the length of the walk
 * less 1.
 */
#define EPTP_WB			6ULL
#define EPTP_WALK4		(3ULL << 3)

struct lapic_page;

/* What VT-x keeps for each vCPU: struct vcpu's `arch`. */
struct vmx_vcpu {
	uint64_t host_rsp;			/* switch.asm: what HOST_RSP holds; rewritten only when it changes */
	uint64_t launched;			/* switch.asm: not 0 once VMLAUNCH was executed; from then on VMRESUME */
	hpa_t    vmcs;
	uint16_t vpid;
	uint8_t  failed;			/* VMLAUNCH or VMRESUME failed: 1 VMfailInvalid, 2 VMfailValid */
	/* Copies of fields that we alone change: they are written when they change, and never read. */
	uint64_t proc_controls;
	uint64_t proc2_controls;		/* less those of the virtual APIC */
	uint64_t entry_controls;
	uint64_t cr0_mask, cr4_mask;
	uint64_t star, lstar, cstar, sfmask, kernel_gs;	/* while another vCPU is loaded */
	uint8_t *io_bitmaps;			/* A and B */
	uint8_t *msr_bitmap;
	struct lapic_page *apic_page;		/* virtual_apic.c; NULL: interrupts are always injected */
	bool     delivers;			/* the controls of the virtual APIC are set */
	const struct cpu *cpu;			/* on which it was loaded last: its host state is in the VMCS; NULL: it has left it, or was on none */
};

/* What this processor's capability MSRs say; filled by enable.c, reported by `caps` lines at start. */
struct vmx_caps {
	uint32_t revision;
	bool     has_true;
	uint64_t pin, proc, proc2, exit, entry;		/* allowed-1 high, allowed-0 low, TRUE where there */
	uint64_t ept_vpid, misc;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint8_t  phys_bits;				/* from CPUID */
};
extern struct vmx_caps vmx_caps;

/* The control words this processor gets; computed once from the caps (controls.c). */
struct vmx_controls { uint64_t pin, proc, proc2, exit, entry; };	/* a virtual APIC's are set by virtual_apic.c, when one is in use */
extern struct vmx_controls vmx_controls;
extern struct guest_caps vmx_guest_caps;

/*
 * Reconcile wanted controls with a capability MSR: required must be possible, wished are taken when they
 * are, forbidden must be possible to clear. *missing names the first bit that cannot be had. Pure.
 */
__attribute__((warn_unused_result))
bool vmx_reconcile(uint64_t cap, uint64_t required, uint64_t wished, uint64_t forbidden,
		   uint64_t *result, uint64_t *missing);
bool vmx_controls_init(const struct vmx_caps *caps, struct vmx_controls *out, const char **missing);

/* The wished ones among them for a report: how many rows were filled in. Pure. */
size_t vmx_wished_rows(const struct vmx_controls *controls, struct cap_row *rows, size_t max);

/* The first capability that two processors do not have in common, by name; NULL: none. Pure. */
const char *vmx_caps_difference(const struct vmx_caps *one, const struct vmx_caps *other);

void vmx_caps_read(struct vmx_caps *caps);
void vmx_caps_report(const struct vmx_caps *caps);
bool vmx_supported(const char **why_not);
void vmx_cpu_on(void);
void vmx_cpu_off(void);

struct vcpu;
struct guest_state;

int  vmx_vcpu_create(struct vcpu *vcpu);
void vmx_vcpu_destroy(struct vcpu *vcpu);
void vmx_load(struct vcpu *vcpu);
void vmx_put(struct vcpu *vcpu);
void vmx_save(struct vcpu *vcpu, struct guest_state *state);
void vmx_restore(struct vcpu *vcpu, const struct guest_state *state);
void vmx_deliver(struct vcpu *vcpu);
void vmx_enter(struct vcpu *vcpu);
void vmx_flush(struct vcpu *vcpu);
void vmx_leave(struct vcpu *vcpu);
void vmx_arrive(struct vcpu *vcpu);	/* by vmx_load, when it was not this processor that had the vCPU last */
bool vmx_dump(struct vcpu *vcpu, unsigned line);

/*
 * After an exit with valid IDT-vectoring information: the event it cut short becomes vcpu->pending again
 * (inject.c).
 */
void vmx_take_vectoring(struct vcpu *vcpu, uint32_t info);

void vmx_io_bitmap_fill(uint8_t *bitmaps);
void vmx_msr_bitmap_fill(uint8_t *bitmap);
void vmx_msr_bitmap_x2apic(uint8_t *bitmap, bool is_open);	/* the registers of the virtual-APIC page */

extern const struct npt_format vmx_npt_format;

/* Words to structs, pure (decode.c). */
struct pio_access;
struct cr_access;
struct vevent;
struct pio_access vmx_decode_string_io(uint64_t qual, uint32_t insn_info);
struct cr_access  vmx_decode_cr(uint64_t qual);
struct dr_access  vmx_decode_dr(uint64_t qual);
struct task_switch vmx_decode_task_switch(uint64_t qual, const struct vevent *event);
struct vevent     vmx_decode_event(uint32_t info, uint32_t error, uint32_t insn_len);
uint32_t          vmx_encode_event(const struct vevent *event);

/*
 * Why an entry failed: the checks of SDM vol. 3, chapter 27 done in software over the fields `read` returns.
 * Calls `found` for each violated rule. Pure; explain.c.
 */
struct vmx_violation { uint32_t field; uint64_t value; const char *rule; };
typedef uint64_t vmx_read_fn(void *ctx, uint32_t field);
typedef void vmx_found_fn(void *ctx, const struct vmx_violation *violation);
unsigned vmx_explain(const struct vmx_caps *caps, vmx_read_fn *read, vmx_found_fn *found, void *ctx);
const char *vmx_instruction_error(uint32_t number);	/* table 31-1 as text */
