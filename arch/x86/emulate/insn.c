/* SPDX-License-Identifier: MIT */
/*
 * Decoding of trapped instructions (contract in insn.h): the one place that knows Zydis.
 *
 * Zydis says what the manual's opcode tables say; this file keeps the part a memory emulator needs
 * and maps everything else to INSN_OTHER, which still has a length. The decoder object is built per
 * call, on the stack: it is two bytes, and nothing here can be changed behind another processor's
 * back. SDM vol. 2, chapter 2 "Instruction Format".
 */
#include "arch/x86/emulate/insn.h"

#include <Zydis/Zydis.h>

#include "hv/lib/bits.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define TEXT_MAX	96U
#define PREFIX_REPNE	0xf2U
#define PREFIX_REP	0xf3U
#define X87_FIRST	0xd8U
#define X87_LAST	0xdfU
#define X87_SIZE_MAX	10U
#define CONDITION_MASK	0xfU	/* of the opcode of SETcc and CMOVcc */

static const struct { ZydisMachineMode machine; ZydisStackWidth stack; } modes[] = {
	[INSN_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
	[INSN_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
	[INSN_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
};

#define STRING_KINDS(base)					\
	{ ZYDIS_MNEMONIC_##base##B, INSN_##base },		\
	{ ZYDIS_MNEMONIC_##base##W, INSN_##base },		\
	{ ZYDIS_MNEMONIC_##base##D, INSN_##base }

static const struct { ZydisMnemonic mnemonic; enum insn_kind kind; } kinds[] = {
	{ ZYDIS_MNEMONIC_MOV, INSN_MOV }, { ZYDIS_MNEMONIC_MOVNTI, INSN_MOV },
	{ ZYDIS_MNEMONIC_MOVZX, INSN_MOVZX },
	{ ZYDIS_MNEMONIC_MOVSX, INSN_MOVSX }, { ZYDIS_MNEMONIC_MOVSXD, INSN_MOVSX },
	STRING_KINDS(STOS), { ZYDIS_MNEMONIC_STOSQ, INSN_STOS },
	STRING_KINDS(MOVS), { ZYDIS_MNEMONIC_MOVSQ, INSN_MOVS },
	STRING_KINDS(LODS), { ZYDIS_MNEMONIC_LODSQ, INSN_LODS },
	STRING_KINDS(SCAS), { ZYDIS_MNEMONIC_SCASQ, INSN_SCAS },
	STRING_KINDS(CMPS), { ZYDIS_MNEMONIC_CMPSQ, INSN_CMPS },
	STRING_KINDS(INS), STRING_KINDS(OUTS),
	{ ZYDIS_MNEMONIC_ADD, INSN_ADD }, { ZYDIS_MNEMONIC_OR, INSN_OR },
	{ ZYDIS_MNEMONIC_ADC, INSN_ADC }, { ZYDIS_MNEMONIC_SBB, INSN_SBB },
	{ ZYDIS_MNEMONIC_AND, INSN_AND }, { ZYDIS_MNEMONIC_SUB, INSN_SUB },
	{ ZYDIS_MNEMONIC_XOR, INSN_XOR }, { ZYDIS_MNEMONIC_CMP, INSN_CMP },
	{ ZYDIS_MNEMONIC_TEST, INSN_TEST },
	{ ZYDIS_MNEMONIC_INC, INSN_INC }, { ZYDIS_MNEMONIC_DEC, INSN_DEC },
	{ ZYDIS_MNEMONIC_NOT, INSN_NOT }, { ZYDIS_MNEMONIC_NEG, INSN_NEG },
	{ ZYDIS_MNEMONIC_XCHG, INSN_XCHG }, { ZYDIS_MNEMONIC_XADD, INSN_XADD },
	{ ZYDIS_MNEMONIC_CMPXCHG, INSN_CMPXCHG },
	{ ZYDIS_MNEMONIC_BT, INSN_BT }, { ZYDIS_MNEMONIC_BTS, INSN_BTS },
	{ ZYDIS_MNEMONIC_BTR, INSN_BTR }, { ZYDIS_MNEMONIC_BTC, INSN_BTC },
	{ ZYDIS_MNEMONIC_ROL, INSN_ROL }, { ZYDIS_MNEMONIC_ROR, INSN_ROR },
	{ ZYDIS_MNEMONIC_RCL, INSN_RCL }, { ZYDIS_MNEMONIC_RCR, INSN_RCR },
	{ ZYDIS_MNEMONIC_SHL, INSN_SHL }, { ZYDIS_MNEMONIC_SHR, INSN_SHR },
	{ ZYDIS_MNEMONIC_SAR, INSN_SAR },
	{ ZYDIS_MNEMONIC_SHLD, INSN_SHLD }, { ZYDIS_MNEMONIC_SHRD, INSN_SHRD },
	{ ZYDIS_MNEMONIC_IMUL, INSN_IMUL }, { ZYDIS_MNEMONIC_MUL, INSN_MUL_WIDE },
	{ ZYDIS_MNEMONIC_DIV, INSN_DIV }, { ZYDIS_MNEMONIC_IDIV, INSN_IDIV },
	{ ZYDIS_MNEMONIC_BSF, INSN_BSF }, { ZYDIS_MNEMONIC_BSR, INSN_BSR },
	{ ZYDIS_MNEMONIC_MOVBE, INSN_MOVBE },
	{ ZYDIS_MNEMONIC_CMPXCHG8B, INSN_CMPXCHG_WIDE },
	{ ZYDIS_MNEMONIC_CMPXCHG16B, INSN_CMPXCHG_WIDE },
	{ ZYDIS_MNEMONIC_PUSH, INSN_PUSH }, { ZYDIS_MNEMONIC_POP, INSN_POP },
	{ ZYDIS_MNEMONIC_PUSHF, INSN_PUSHF }, { ZYDIS_MNEMONIC_PUSHFD, INSN_PUSHF },
	{ ZYDIS_MNEMONIC_PUSHFQ, INSN_PUSHF },
	{ ZYDIS_MNEMONIC_ENTER, INSN_ENTER }, { ZYDIS_MNEMONIC_LEAVE, INSN_LEAVE },
	{ ZYDIS_MNEMONIC_IN, INSN_IN }, { ZYDIS_MNEMONIC_OUT, INSN_OUT },
	{ ZYDIS_MNEMONIC_LMSW, INSN_LMSW }, { ZYDIS_MNEMONIC_SMSW, INSN_SMSW },
	{ ZYDIS_MNEMONIC_CLTS, INSN_CLTS },
};

/*
 * Moves of vector registers, with the name of their VEX form, what becomes of the rest of the register, and
 * whether memory must be aligned to the operand's size.
 */
#define VECTOR_MOVES(X)								\
	X(MOVUPS, 0, VECTOR_KEEP, 0) X(MOVUPD, 0, VECTOR_KEEP, 0)		\
	X(MOVAPS, 0, VECTOR_KEEP, 1) X(MOVAPD, 0, VECTOR_KEEP, 1)		\
	X(MOVDQU, 0, VECTOR_KEEP, 0) X(MOVDQA, 0, VECTOR_KEEP, 1)		\
	X(LDDQU, 0, VECTOR_KEEP, 0) X(MOVNTDQA, 0, VECTOR_KEEP, 1)		\
	X(MOVNTPS, 0, VECTOR_KEEP, 1) X(MOVNTPD, 0, VECTOR_KEEP, 1)		\
	X(MOVNTDQ, 0, VECTOR_KEEP, 1)						\
	X(MOVSS, 0, VECTOR_CLEAR_XMM, 0) X(MOVSD, 0, VECTOR_CLEAR_XMM, 0)	\
	X(MOVD, 0, VECTOR_CLEAR_XMM, 0) X(MOVQ, 0, VECTOR_CLEAR_XMM, 0)		\
	X(MOVLPS, 0, VECTOR_KEEP, 0) X(MOVLPD, 0, VECTOR_KEEP, 0)		\
	X(MOVHPS, 8, VECTOR_KEEP, 0) X(MOVHPD, 8, VECTOR_KEEP, 0)

static const struct { ZydisMnemonic mnemonic, vex; uint8_t at, rest; bool is_aligned; } vector_moves[] = {
#define ROW(name, at, rest, is_aligned) { ZYDIS_MNEMONIC_##name, ZYDIS_MNEMONIC_V##name, at, rest, is_aligned },
	VECTOR_MOVES(ROW)
#undef ROW
};

/* VEX forms with a third register (VMOVLPS x, y, m) are not taken. */
static void take_vector_move(struct insn *insn, const ZydisDecodedInstruction *decoded)
{
	bool is_vex = decoded->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

	if (insn->kind != INSN_OTHER || decoded->operand_count_visible != 2 ||
	    decoded->meta.category == ZYDIS_CATEGORY_STRINGOP)
		return;
	for (size_t i = 0; i < countof(vector_moves); i++)
		if (decoded->mnemonic == (is_vex ? vector_moves[i].vex : vector_moves[i].mnemonic)) {
			insn->kind = INSN_VECTOR;
			insn->vector_at = vector_moves[i].at;
			insn->is_aligned = vector_moves[i].is_aligned;
			insn->vector_rest = is_vex ? VECTOR_CLEAR : vector_moves[i].rest;
		}
}

/* FLDENV, FNSTENV, FRSTOR and FNSAVE have larger operands, and stay INSN_OTHER. */
static void take_x87(struct insn *insn, const ZydisDecodedInstruction *decoded)
{
	if (decoded->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || decoded->opcode < X87_FIRST ||
	    decoded->opcode > X87_LAST || !insn->has_mem || insn->size > X87_SIZE_MAX)
		return;
	insn->kind = INSN_X87;
	insn->x87_number = (uint8_t)((decoded->opcode - X87_FIRST) << 3 | decoded->raw.modrm.reg);
}

static bool is_vector(ZydisRegisterClass class)
{
	return class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM;
}

static bool kind_is_string(enum insn_kind kind)
{
	return (kind >= INSN_STOS && kind <= INSN_CMPS) || kind == INSN_INS || kind == INSN_OUTS;
}

/*
 * MOVSD and CMPSD are also names of SSE instructions; only the category tells them from the string
 * forms. SETcc and CMOVcc have sixteen names each, and one category.
 */
static enum insn_kind kind_of(const ZydisDecodedInstruction *decoded)
{
	bool is_string = decoded->meta.category == ZYDIS_CATEGORY_STRINGOP ||
			 decoded->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
	enum insn_kind kind = INSN_OTHER;

	if (decoded->meta.category == ZYDIS_CATEGORY_SETCC)
		return INSN_SETCC;
	if (decoded->meta.category == ZYDIS_CATEGORY_CMOV)
		return INSN_CMOVCC;
	for (size_t i = 0; i < countof(kinds); i++)
		if (kinds[i].mnemonic == decoded->mnemonic)
			kind = kinds[i].kind;
	if (kind == INSN_IMUL && decoded->operand_count_visible == 1)
		return INSN_IMUL_WIDE;
	return kind_is_string(kind) == is_string ? kind : INSN_OTHER;
}

/*
 * A general register's number. Zydis counts the byte registers AL CL DL BL, AH CH DH BH, SPL BPL
 * SIL DIL, R8B and on: the second four share the first four's numbers.
 */
#define BYTE_HIGH_FIRST	4
#define BYTE_REX_FIRST	8

static bool gpr_of(ZydisRegister reg, uint8_t *gpr, bool *is_high)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);
	int id = ZydisRegisterGetId(reg);

	if (class < ZYDIS_REGCLASS_GPR8 || class > ZYDIS_REGCLASS_GPR64 || id < 0)
		return false;
	*is_high = class == ZYDIS_REGCLASS_GPR8 && id >= BYTE_HIGH_FIRST && id < BYTE_REX_FIRST;
	if (class == ZYDIS_REGCLASS_GPR8 && id >= BYTE_HIGH_FIRST)
		id -= BYTE_HIGH_FIRST;
	*gpr = (uint8_t)id;
	return true;
}

static uint8_t seg_of(ZydisRegister reg)
{
	int id = ZydisRegisterGetId(reg);

	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_SEGMENT || id < 0)
		return SEG_DS;
	return (uint8_t)id;
}

/* Base or index register of an address, -1 for none. */
static int8_t address_gpr(ZydisRegister reg)
{
	uint8_t gpr;
	bool    is_high;

	return reg != ZYDIS_REGISTER_NONE && gpr_of(reg, &gpr, &is_high) ? (int8_t)gpr : -1;
}

static void take_memory(struct insn *insn, const ZydisDecodedOperand *op)
{
	insn->has_mem = true;
	insn->seg = seg_of(op->mem.segment);
	insn->is_rip_relative = op->mem.base == ZYDIS_REGISTER_RIP ||
				op->mem.base == ZYDIS_REGISTER_EIP;
	insn->base = address_gpr(op->mem.base);
	insn->index = address_gpr(op->mem.index);
	insn->scale = op->mem.scale;
	insn->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
}

/* Returns what kind of source this operand would be. */
static enum insn_src take_register(struct insn *insn, const ZydisDecodedOperand *op, bool is_first)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);
	uint8_t gpr;
	bool    is_high;

	if (class == ZYDIS_REGCLASS_CONTROL || class == ZYDIS_REGCLASS_DEBUG) {
		insn->kind = class == ZYDIS_REGCLASS_CONTROL ? INSN_MOV_CR : INSN_MOV_DR;
		insn->cr_dr = (uint8_t)ZydisRegisterGetId(op->reg.value);
		insn->to_cr_dr = is_first;
		return SRC_NONE;
	}
	if (class == ZYDIS_REGCLASS_SEGMENT && insn->kind == INSN_MOV && !is_first) {
		insn->kind = INSN_STORE_SEG;
		insn->reg = seg_of(op->reg.value);
		return SRC_REG;
	}
	if (insn->kind == INSN_VECTOR && is_vector(class)) {
		insn->reg = (uint8_t)ZydisRegisterGetId(op->reg.value);
		return SRC_REG;
	}
	if (!gpr_of(op->reg.value, &gpr, &is_high)) {
		insn->kind = INSN_OTHER;	/* loads of segment registers and the like */
		return SRC_NONE;
	}
	if (insn->dest_size == 0) {		/* of two registers the first is the destination */
		insn->reg = gpr;
		insn->is_high = is_high;
		insn->dest_size = (uint8_t)(op->size / BITS_PER_BYTE);
	}
	return SRC_REG;
}

static enum insn_src take_visible(struct insn *insn, const ZydisDecodedOperand *op, bool is_first)
{
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
			return SRC_NONE;
		take_memory(insn, op);
		return SRC_MEM;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return take_register(insn, op, is_first);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (insn->kind == INSN_ENTER && !is_first)
			insn->level = (uint8_t)op->imm.value.u;
		else
			insn->imm = op->imm.value.u;
		return SRC_IMM;
	default:
		return SRC_NONE;
	}
}

/*
 * Direction and size of what memory sees, over all memory operands: the stack and string ones are
 * hidden.
 */
static void take_access(struct insn *insn, const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return;
	insn->is_load |= (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
	insn->is_store |= (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
	if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
		insn->writes_operand = (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
	if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT || !insn->has_mem)
		insn->size = (uint8_t)(op->size / BITS_PER_BYTE);
	if (kind_is_string(insn->kind) && address_gpr(op->mem.base) == GPR_RSI)
		insn->seg = seg_of(op->mem.segment);
}

static void take_operands(struct insn *insn, const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *ops)
{
	enum insn_src last = SRC_NONE;

	insn->seg = SEG_ES;		/* the fixed side of the string instructions */
	for (size_t i = 0; i < decoded->operand_count_visible; i++)
		last = take_visible(insn, &ops[i], i == 0);
	for (size_t i = 0; i < decoded->operand_count; i++)
		take_access(insn, &ops[i]);
	/* One operand: it is a source for PUSH and both or a destination for the rest. */
	if (decoded->operand_count_visible >= 2 || insn->kind == INSN_PUSH)
		insn->src = last;
	if (insn->kind == INSN_XCHG && insn->has_mem)
		insn->src = SRC_REG;	/* memory gets the register, whichever comes first */
	if (!insn->size)
		insn->size = decoded->operand_width / BITS_PER_BYTE;
	if (!insn->dest_size)
		insn->dest_size = insn->size;
}

/*
 * Read from the prefixes: either of the two repeats INS, OUTS, MOVS, STOS and LODS; the last one
 * written counts.
 */
static void take_prefixes(struct insn *insn, const ZydisDecodedInstruction *decoded)
{
	if (!kind_is_string(insn->kind))
		return;
	for (size_t i = 0; i < decoded->raw.prefix_count; i++) {
		uint8_t prefix = decoded->raw.prefixes[i].value;

		if (prefix == PREFIX_REP || prefix == PREFIX_REPNE) {
			insn->has_rep = true;
			insn->is_repne = prefix == PREFIX_REPNE;
		}
	}
}

/*
 * What a driver's register access compiles to. RSP is not kept in the vCPU, FS and GS have bases.
 */
static bool is_plain_mov(const struct insn *insn)
{
	return insn->kind == INSN_MOV && insn->has_mem && insn->mode == INSN_64 &&
	       insn->addr_size == sizeof(uint64_t) && insn->seg < SEG_FS &&
	       !insn->is_rip_relative && !insn->is_high && insn->base != GPR_RSP && (insn->reg != GPR_RSP || insn->src == SRC_IMM);
}

static enum insn_result decode(ZydisDecodedInstruction *decoded, ZydisDecodedOperand *ops,
			       enum insn_mode mode, const uint8_t *bytes, size_t avail)
{
	ZydisDecoder decoder;
	ZyanStatus   status;

	if ((size_t)mode >= countof(modes))
		return INSN_BAD;
	if (!avail)
		return INSN_CUT;
	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, modes[mode].machine, modes[mode].stack)))
		return INSN_BAD;
	avail = min_size(avail, INSN_MAX);
	status = ZydisDecoderDecodeFull(&decoder, bytes, avail, decoded, ops);
	if (ZYAN_SUCCESS(status))
		return INSN_OK;
	/* An instruction has at most 15 bytes: with so many, "more data needed" means that it is none. */
	return status == ZYDIS_STATUS_NO_MORE_DATA && avail < INSN_MAX ? INSN_CUT : INSN_BAD;
}

enum insn_result insn_decode(struct insn *insn, enum insn_mode mode, const uint8_t *bytes, size_t avail)
{
	ZydisDecodedInstruction decoded;
	ZydisDecodedOperand     ops[ZYDIS_MAX_OPERAND_COUNT];
	enum insn_result        result;

	memset(insn, 0, sizeof(*insn));
	insn->mode = (uint8_t)mode;
	insn->base = insn->index = -1;
	result = decode(&decoded, ops, mode, bytes, avail);
	if (result != INSN_OK)
		return result;
	insn->kind = kind_of(&decoded);
	take_vector_move(insn, &decoded);
	insn->condition = decoded.opcode & CONDITION_MASK;
	insn->len = decoded.length;
	insn->addr_size = decoded.address_width / BITS_PER_BYTE;
	take_operands(insn, &decoded, ops);
	take_prefixes(insn, &decoded);
	take_x87(insn, &decoded);
	insn->is_plain_mov = is_plain_mov(insn);
	return INSN_OK;
}

void insn_text(char *text, size_t size, enum insn_mode mode, uint64_t rip, const uint8_t *bytes,
	       size_t avail)
{
	ZydisDecodedInstruction decoded;
	ZydisDecodedOperand     ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter          formatter;
	char                    line[TEXT_MAX] = "(bad)";

	if (decode(&decoded, ops, mode, bytes, avail) == INSN_OK &&
	    ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)))
		(void)ZydisFormatterFormatInstruction(&formatter, &decoded, ops,
						      decoded.operand_count_visible, line,
						      sizeof(line), rip, NULL);
	format_buf(text, size, "%s", line);
}
