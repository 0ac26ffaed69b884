/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A guest processor's state in neutral words: general registers (which live in the vCPU itself, so that
 * switch.asm can reach them), the registers that live in the control block (by name, through the backend's
 * get and set), segments, and events.
 */
#include <stdbool.h>
#include <stdint.h>

/* In the order of their encoding in instructions; switch.asm knows the offsets. Slot 4 (RSP) is unused here. */
enum gpr { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	   GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPR_COUNT };

/* What the control block holds. X(enumerator, text) */
#define GUEST_REGS(X)				\
	X(REG_RIP, "rip")			\
	X(REG_RSP, "rsp")			\
	X(REG_RFLAGS, "rflags")			\
	X(REG_CR0, "cr0")			\
	X(REG_CR3, "cr3")			\
	X(REG_CR4, "cr4")			\
	X(REG_EFER, "efer")			\
	X(REG_DR7, "dr7")			\
	X(REG_SYSENTER_CS, "sysenter_cs")	\
	X(REG_SYSENTER_ESP, "sysenter_esp")	\
	X(REG_SYSENTER_EIP, "sysenter_eip")	\
	X(REG_PAT, "pat")			\
	X(REG_DEBUGCTL, "debugctl")

enum guest_reg {
#define ENUM(id, text) id,
	GUEST_REGS(ENUM)
#undef ENUM
	GUEST_REG_COUNT,

	/* Parts of segments, to be read alone: most exits want no more of them. get_seg and set_seg have the whole. */
	REG_FS_BASE = GUEST_REG_COUNT, REG_GS_BASE, REG_CS_RIGHTS, REG_SS_RIGHTS,
	GUEST_READ_COUNT
};

/* In the order of their encoding in instructions (SDM vol. 2, 2.1.5 and MOV sreg), then the system ones. */
enum guest_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_GDTR, SEG_IDTR, SEG_COUNT };

/*
 * Access rights in the layout of VMX (SDM vol. 3, 25.4.1 "Guest Register State"): type, S, DPL, P, AVL, L,
 * D/B, G, unusable.
 */
struct segment {
	uint64_t base;
	uint32_t limit;		/* in bytes, granularity already applied */
	uint16_t selector;	/* unused for GDTR and IDTR */
	uint32_t rights;
};

#define SEG_TYPE_MASK	0x000fU
/* Types with S set (SDM vol. 3, table 3-1 "Code- and Data-Segment Types"): */
#define TYPE_CODE	0x0008U
#define TYPE_CONFORMING	0x0004U		/* code */
#define TYPE_DOWN	0x0004U		/* data: the limit is the lower end */
#define TYPE_RW		0x0002U		/* data: writable; code: readable */
#define TYPE_ACCESSED	0x0001U
/* and with S clear (table 3-2 "System-Segment and Gate-Descriptor Types"): */
#define TYPE_LDT	0x0002U
#define TYPE_TSS_BUSY	0x000bU		/* of 32 or 64 bits */
#define TYPE_TSS16_BUSY	0x0003U
#define SEG_S		0x0010U
#define SEG_DPL_SHIFT	5
#define SEG_DPL_MASK	0x0060U
#define SEG_P		0x0080U
#define SEG_AVL		0x1000U
#define SEG_L		0x2000U
#define SEG_DB		0x4000U
#define SEG_G		0x8000U
#define SEG_UNUSABLE	0x10000U

#define CPL_USER	3U

/* How an event reaches the guest; the values are those of VMX's interruption type. */
enum vevent_type {
	VEVENT_IRQ = 0,		/* external interrupt */
	VEVENT_NMI = 2,
	VEVENT_EXCEPTION = 3,	/* hardware exception */
	VEVENT_SOFT_INT = 4,	/* INT n */
	VEVENT_PRIV_SOFT = 5,	/* INT1 */
	VEVENT_SOFT_EXC = 6,	/* INT3, INTO */
};

struct vevent {
	bool             is_valid;
	enum vevent_type type;
	uint8_t          vector;
	bool             has_error;
	uint32_t         error;
	uint32_t         insn_len;	/* for the three software types: bytes to add to the pushed RIP */
};

#define VEC_DE 0
#define VEC_DB 1
#define VEC_NMI 2
#define VEC_BP 3
#define VEC_OF 4
#define VEC_BR 5
#define VEC_UD 6
#define VEC_NM 7
#define VEC_DF 8
#define VEC_TS 10
#define VEC_NP 11
#define VEC_SS 12
#define VEC_GP 13
#define VEC_PF 14
#define VEC_MF 16
#define VEC_AC 17
#define VEC_MC 18
#define VEC_XM 19

/* Page-fault error code bits (SDM vol. 3, 4.7 "Page-Fault Exceptions"). */
#define PF_PRESENT	1U
#define PF_WRITE	2U
#define PF_USER		4U
#define PF_RSVD		8U
#define PF_FETCH	16U

struct reset_state;	/* virt/reset.h: what a processor holds before its first instruction */
