/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a trapped instruction reads and writes: Zydis' decoding reduced to what an emulator of memory
 * operands needs, with no access to a guest. Pure; fuzzed. The bytes are a private copy of at most 15.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/virt/cpu_state.h"

#define INSN_MAX 15

enum insn_mode { INSN_16, INSN_32, INSN_64 };	/* real and 16-bit protected, 32-bit, 64-bit */

enum insn_kind {
	INSN_OTHER,	/* decoded, has a length, but no form the emulator takes */
	INSN_MOV,	/* load or store, register or immediate */
	INSN_MOVZX, INSN_MOVSX,	/* loads with extension (MOVSXD too) */
	INSN_STOS, INSN_MOVS, INSN_LODS, INSN_SCAS, INSN_CMPS,
	INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP, INSN_TEST,
	INSN_INC, INSN_DEC, INSN_NOT, INSN_NEG,
	INSN_XCHG, INSN_XADD, INSN_CMPXCHG,
	INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
	INSN_ROL, INSN_ROR, INSN_RCL, INSN_RCR, INSN_SHL, INSN_SHR, INSN_SAR,
	INSN_SHLD, INSN_SHRD,
	INSN_IMUL,	/* two or three operands */
	INSN_BSF, INSN_BSR,
	INSN_MUL_WIDE, INSN_IMUL_WIDE,	/* one operand; the product in (R)DX:(R)AX, or AX */
	INSN_DIV, INSN_IDIV,		/* the dividend in (R)DX:(R)AX, or AX */
	INSN_SETCC, INSN_CMOVCC,
	INSN_MOVBE,
	INSN_STORE_SEG,	/* MOV m, Sreg; reg is the enum guest_seg */
	INSN_PUSH, INSN_POP, INSN_PUSHF, INSN_ENTER, INSN_LEAVE,
	INSN_CMPXCHG_WIDE,		/* CMPXCHG8B, CMPXCHG16B */
	INSN_X87,	/* with a memory operand of at most 10 bytes */
	INSN_VECTOR,	/* a move between memory and a vector register, reg */
	INSN_INS, INSN_OUTS, INSN_IN, INSN_OUT,
	INSN_MOV_CR, INSN_MOV_DR, INSN_LMSW, INSN_CLTS, INSN_SMSW,
};

/* What a load does to the bits of a vector register that it does not write. */
enum vector_rest {
	VECTOR_KEEP,
	VECTOR_CLEAR_XMM,	/* cleared up to bit 127 */
	VECTOR_CLEAR,		/* all cleared: VEX forms */
};

enum insn_src { SRC_NONE, SRC_REG, SRC_IMM, SRC_MEM };

struct insn {
	enum insn_kind kind;
	uint8_t  mode;			/* enum insn_mode it was decoded in */
	uint8_t  len;			/* bytes, 1..15; valid for every decodable instruction */
	uint8_t  size;			/* operand size of the memory access in bytes */
	uint8_t  dest_size;		/* register destination's size (MOVZX, MOVSX), else = size */
	uint8_t  addr_size;		/* 2, 4, 8 */
	bool     is_store;		/* memory is (also) written */
	bool     is_load;		/* memory is (also) read */
	bool     writes_operand;	/* it writes its ModRM operand, and no other memory */
	bool     has_rep, is_repne;
	bool     is_plain_mov;		/* 64-bit MOV, operands in the vCPU: see exit/mmio.c */

	enum insn_src src;		/* where a store's value comes from */
	uint8_t  reg;			/* enum gpr: the register operand, if any */
	bool     is_high;		/* it is AH, CH, DH or BH (reg holds RAX..RBX) */
	uint8_t  condition;		/* SETcc, CMOVcc: as alu_condition wants it */
	uint64_t imm;			/* sign-extended to 64 bits */
	uint8_t  vector_at;		/* INSN_VECTOR: byte of the register at which memory's part begins */
	uint8_t  vector_rest;		/* enum vector_rest */
	bool     is_aligned;		/* INSN_VECTOR: #GP(0) unless memory is aligned to `size` */
	uint8_t  x87_number;		/* INSN_X87: opcode and reg field, as host/x87.h counts */
	uint8_t  level;			/* ENTER: its second immediate */

	bool     has_mem;		/* a ModRM or moffs memory operand: fields below */
	uint8_t  seg;			/* enum guest_seg after overrides and defaults */
	int8_t   base, index;		/* enum gpr or -1 */
	bool     is_rip_relative;
	uint8_t  scale;
	int64_t  disp;

	uint8_t  cr_dr;			/* MOV_CR, MOV_DR: register number */
	bool     to_cr_dr;		/* the control or debug register is the destination */
};

enum insn_result {
	INSN_OK = 0,
	INSN_CUT,	/* the instruction goes on behind the bytes that are there */
	INSN_BAD,	/* no instruction of this mode, or LOCK where it is not allowed: #UD */
};

__attribute__((warn_unused_result))
enum insn_result insn_decode(struct insn *insn, enum insn_mode mode, const uint8_t *bytes, size_t avail);

/* Intel-syntax text of one instruction for traces and dumps; always terminates. */
void insn_text(char *text, size_t size, enum insn_mode mode, uint64_t rip, const uint8_t *bytes,
	       size_t avail);
