/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The instructions that test_native.c compares with the processor: how each is encoded, where it touches the device,
 * and what the manual leaves undefined of it.
 */
#include <stdbool.h>
#include <stdint.h>

/* Where the device is touched, and so what the processor would report. */
enum place {
	MODRM,		/* the ModRM operand, [rbx + disp8] */
	PUSHES, POPS,	/* the stack */
	LEAVES,		/* the stack at RBP */
	STRINGS,	/* RDI, or RSI of an instruction that only loads */
};

/* Flags and results that the manual leaves undefined. */
enum undefined {
	NOTHING, LOGIC_AF, SHIFTED, ROTATED, DOUBLE_SHIFTED, BIT_TESTED, SCANNED, MULTIPLIED, DIVIDED,
};

#define ANY_REG	(-1)
#define NO_MODRM	(-2)

struct form {
	const char    *text;
	uint8_t        opcode[4];
	uint8_t        opcode_len;
	int8_t         reg;		/* opcode extension, ANY_REG, NO_MODRM */
	uint8_t        sizes;		/* operand sizes it has: 1, 2, 4, 8, or-ed */
	uint8_t        imm;		/* bytes of an immediate; 4: two with operand size 2 */
	enum undefined undefined;
	enum place     place;
	uint8_t        prefix;		/* 66, F2 or F3 of a vector instruction */
	uint8_t        vex;		/* VEX form: 0, or 128 or 256 bits */
	bool           may_lock, may_repeat, is_64_by_default, is_vector, is_aligned, is_x87;
};

#define WIDE	(2 | 4 | 8)
#define OP(...)	{ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
/* ADD and its seven relatives: m, r; r, m; m, immediate; bytes and words. */
#define ARITHMETIC(name, base, digit, u, locks)									\
	{ name " m8, r8", OP(base), ANY_REG, 1, 0, u, .place = MODRM, .may_lock = locks },				\
	{ name " m, r", OP(base + 1), ANY_REG, WIDE, 0, u, .place = MODRM, .may_lock = locks },				\
	{ name " r8, m8", OP(base + 2), ANY_REG, 1, 0, u, .place = MODRM },						\
	{ name " r, m", OP(base + 3), ANY_REG, WIDE, 0, u, .place = MODRM },						\
	{ name " m8, imm8", OP(0x80), digit, 1, 1, u, .place = MODRM, .may_lock = locks },				\
	{ name " m, imm32", OP(0x81), digit, WIDE, 4, u, .place = MODRM, .may_lock = locks },				\
	{ name " m, imm8", OP(0x83), digit, WIDE, 1, u, .place = MODRM, .may_lock = locks }
#define SHIFT(name, digit, u)											\
	{ name " m8, imm8", OP(0xc0), digit, 1, 1, u, .place = MODRM }, { name " m, imm8", OP(0xc1), digit, WIDE, 1, u, .place = MODRM },	\
	{ name " m8, 1", OP(0xd0), digit, 1, 0, u, .place = MODRM }, { name " m, 1", OP(0xd1), digit, WIDE, 0, u, .place = MODRM },	\
	{ name " m8, cl", OP(0xd2), digit, 1, 0, u, .place = MODRM }, { name " m, cl", OP(0xd3), digit, WIDE, 0, u, .place = MODRM }
#define UNARY(name, byte, digit, locks)										\
	{ name " m8", OP(byte), digit, 1, 0, NOTHING, .place = MODRM, .may_lock = locks },				\
	{ name " m", OP(byte + 1), digit, WIDE, 0, NOTHING, .place = MODRM, .may_lock = locks }
#define BITS(name, byte, digit)											\
	{ name " m, imm8", OP(0x0f, 0xba), digit, WIDE, 1, BIT_TESTED, .place = MODRM },					\
	{ name " m, r", OP(0x0f, byte), ANY_REG, WIDE, 0, BIT_TESTED, .place = MODRM }
#define CONDITIONAL(n)												\
	{ "setcc m8", OP(0x0f, 0x90 + n), 0, 1, 0, NOTHING, .place = MODRM },						\
	{ "cmovcc r, m", OP(0x0f, 0x40 + n), ANY_REG, WIDE, 0, NOTHING, .place = MODRM }
#define STRING(name, byte)											\
	{ name "b", OP(byte), NO_MODRM, 1, 0, NOTHING, .place = STRINGS, .may_repeat = true },				\
	{ name, OP(byte + 1), NO_MODRM, WIDE, 0, NOTHING, .place = STRINGS, .may_repeat = true }

#define VECTOR(name, byte, size, p)											\
	{ name, OP(0x0f, byte), ANY_REG, size, 0, NOTHING, .place = MODRM, .prefix = p, .is_vector = true }
#define ALIGNED(name, byte, p)											\
	{ name, OP(0x0f, byte), ANY_REG, 4, 0, NOTHING, .place = MODRM, .prefix = p, .is_vector = true, .is_aligned = true }
#define VEX(name, byte, p, bits, aligned)									\
	{ "v" name, OP(byte), ANY_REG, 4, 0, NOTHING, .place = MODRM, .prefix = p, .vex = bits, .is_vector = true,	\
	  .is_aligned = aligned }
#define VEX_BOTH(name, byte, p, aligned) VEX(name, byte, p, 128, aligned), VEX(name, byte, p, 255, aligned)

#define X87(name, byte, digit) { name, OP(byte), digit, 4, 0, NOTHING, .place = MODRM, .is_x87 = true }

static const struct form forms[] = {
	{ "mov m8, r8", OP(0x88), ANY_REG, 1, 0, NOTHING, .place = MODRM }, { "mov m, r", OP(0x89), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "mov r8, m8", OP(0x8a), ANY_REG, 1, 0, NOTHING, .place = MODRM }, { "mov r, m", OP(0x8b), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "mov m8, imm", OP(0xc6), 0, 1, 1, NOTHING, .place = MODRM }, { "mov m, imm", OP(0xc7), 0, WIDE, 4, NOTHING, .place = MODRM },
	{ "movnti m, r", OP(0x0f, 0xc3), ANY_REG, 4 | 8, 0, NOTHING, .place = MODRM },
	{ "movbe r, m", OP(0x0f, 0x38, 0xf0), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "movbe m, r", OP(0x0f, 0x38, 0xf1), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "movzx r, m8", OP(0x0f, 0xb6), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "movzx r, m16", OP(0x0f, 0xb7), ANY_REG, 4 | 8, 0, NOTHING, .place = MODRM },
	{ "movsx r, m8", OP(0x0f, 0xbe), ANY_REG, WIDE, 0, NOTHING, .place = MODRM },
	{ "movsx r, m16", OP(0x0f, 0xbf), ANY_REG, 4 | 8, 0, NOTHING, .place = MODRM },
	{ "movsxd r, m32", OP(0x63), ANY_REG, 8, 0, NOTHING, .place = MODRM },
	ARITHMETIC("add", 0x00, 0, NOTHING, true), ARITHMETIC("or", 0x08, 1, LOGIC_AF, true),
	ARITHMETIC("adc", 0x10, 2, NOTHING, true), ARITHMETIC("sbb", 0x18, 3, NOTHING, true),
	ARITHMETIC("and", 0x20, 4, LOGIC_AF, true), ARITHMETIC("sub", 0x28, 5, NOTHING, true),
	ARITHMETIC("xor", 0x30, 6, LOGIC_AF, true), ARITHMETIC("cmp", 0x38, 7, NOTHING, false),
	{ "test m8, r8", OP(0x84), ANY_REG, 1, 0, LOGIC_AF, .place = MODRM }, { "test m, r", OP(0x85), ANY_REG, WIDE, 0, LOGIC_AF, .place = MODRM },
	{ "test m8, imm", OP(0xf6), 0, 1, 1, LOGIC_AF, .place = MODRM }, { "test m, imm", OP(0xf7), 0, WIDE, 4, LOGIC_AF, .place = MODRM },
	UNARY("inc", 0xfe, 0, true), UNARY("dec", 0xfe, 1, true), UNARY("not", 0xf6, 2, true), UNARY("neg", 0xf6, 3, true),
	{ "xchg m8, r8", OP(0x86), ANY_REG, 1, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "xchg m, r", OP(0x87), ANY_REG, WIDE, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "xadd m8, r8", OP(0x0f, 0xc0), ANY_REG, 1, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "xadd m, r", OP(0x0f, 0xc1), ANY_REG, WIDE, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "cmpxchg m8, r8", OP(0x0f, 0xb0), ANY_REG, 1, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "cmpxchg m, r", OP(0x0f, 0xb1), ANY_REG, WIDE, 0, NOTHING, .place = MODRM, .may_lock = true },
	{ "cmpxchg8b/16b", OP(0x0f, 0xc7), 1, 4 | 8, 0, NOTHING, .place = MODRM, .may_lock = true },
	BITS("bt", 0xa3, 4), BITS("bts", 0xab, 5), BITS("btr", 0xb3, 6), BITS("btc", 0xbb, 7),
	SHIFT("rol", 0, ROTATED), SHIFT("ror", 1, ROTATED), SHIFT("rcl", 2, ROTATED), SHIFT("rcr", 3, ROTATED),
	SHIFT("shl", 4, SHIFTED), SHIFT("shr", 5, SHIFTED), SHIFT("sal", 6, SHIFTED), SHIFT("sar", 7, SHIFTED),
	{ "shld m, r, imm", OP(0x0f, 0xa4), ANY_REG, WIDE, 1, DOUBLE_SHIFTED, .place = MODRM },
	{ "shld m, r, cl", OP(0x0f, 0xa5), ANY_REG, WIDE, 0, DOUBLE_SHIFTED, .place = MODRM },
	{ "shrd m, r, imm", OP(0x0f, 0xac), ANY_REG, WIDE, 1, DOUBLE_SHIFTED, .place = MODRM },
	{ "shrd m, r, cl", OP(0x0f, 0xad), ANY_REG, WIDE, 0, DOUBLE_SHIFTED, .place = MODRM },
	{ "bsf r, m", OP(0x0f, 0xbc), ANY_REG, WIDE, 0, SCANNED, .place = MODRM },
	{ "bsr r, m", OP(0x0f, 0xbd), ANY_REG, WIDE, 0, SCANNED, .place = MODRM },
	{ "imul r, m", OP(0x0f, 0xaf), ANY_REG, WIDE, 0, MULTIPLIED, .place = MODRM },
	{ "imul r, m, imm32", OP(0x69), ANY_REG, WIDE, 4, MULTIPLIED, .place = MODRM },
	{ "imul r, m, imm8", OP(0x6b), ANY_REG, WIDE, 1, MULTIPLIED, .place = MODRM },
	{ "mul m8", OP(0xf6), 4, 1, 0, MULTIPLIED, .place = MODRM }, { "mul m", OP(0xf7), 4, WIDE, 0, MULTIPLIED, .place = MODRM },
	{ "imul m8", OP(0xf6), 5, 1, 0, MULTIPLIED, .place = MODRM }, { "imul m", OP(0xf7), 5, WIDE, 0, MULTIPLIED, .place = MODRM },
	{ "div m8", OP(0xf6), 6, 1, 0, DIVIDED, .place = MODRM }, { "div m", OP(0xf7), 6, WIDE, 0, DIVIDED, .place = MODRM },
	{ "idiv m8", OP(0xf6), 7, 1, 0, DIVIDED, .place = MODRM }, { "idiv m", OP(0xf7), 7, WIDE, 0, DIVIDED, .place = MODRM },
	CONDITIONAL(0), CONDITIONAL(1), CONDITIONAL(2), CONDITIONAL(3), CONDITIONAL(4), CONDITIONAL(5), CONDITIONAL(6),
	CONDITIONAL(7), CONDITIONAL(8), CONDITIONAL(9), CONDITIONAL(10), CONDITIONAL(11), CONDITIONAL(12), CONDITIONAL(13),
	CONDITIONAL(14), CONDITIONAL(15),
	{ "push m", OP(0xff), 6, 2 | 8, 0, NOTHING, .place = MODRM, .is_64_by_default = true },
	{ "push m to a device", OP(0xff), 6, 2 | 8, 0, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "push rsi", OP(0x56), NO_MODRM, 2 | 8, 0, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "push rsp", OP(0x54), NO_MODRM, 2 | 8, 0, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "push imm8", OP(0x6a), NO_MODRM, 2 | 8, 1, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "push imm32", OP(0x68), NO_MODRM, 2 | 8, 4, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "pushf", OP(0x9c), NO_MODRM, 2 | 8, 0, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "enter", OP(0xc8, 0x40, 0x01, 0x00), NO_MODRM, 8, 0, NOTHING, .place = PUSHES, .is_64_by_default = true },
	{ "pop m", OP(0x8f), 0, 2 | 8, 0, NOTHING, .place = MODRM, .is_64_by_default = true },
	{ "pop m from a device", OP(0x8f), 0, 2 | 8, 0, NOTHING, .place = POPS, .is_64_by_default = true },
	{ "pop rsi", OP(0x5e), NO_MODRM, 2 | 8, 0, NOTHING, .place = POPS, .is_64_by_default = true },
	{ "pop rsp", OP(0x5c), NO_MODRM, 2 | 8, 0, NOTHING, .place = POPS, .is_64_by_default = true },
	{ "leave", OP(0xc9), NO_MODRM, 8, 0, NOTHING, .place = LEAVES, .is_64_by_default = true },
	VECTOR("movups x, m", 0x10, 4, 0), VECTOR("movups m, x", 0x11, 4, 0), VECTOR("movupd x, m", 0x10, 4, 0x66),
	VECTOR("movupd m, x", 0x11, 4, 0x66), VECTOR("movss x, m", 0x10, 4, 0xf3), VECTOR("movss m, x", 0x11, 4, 0xf3),
	VECTOR("movsd x, m", 0x10, 4, 0xf2), VECTOR("movsd m, x", 0x11, 4, 0xf2), VECTOR("movlps x, m", 0x12, 4, 0),
	VECTOR("movlps m, x", 0x13, 4, 0), VECTOR("movlpd x, m", 0x12, 4, 0x66), VECTOR("movlpd m, x", 0x13, 4, 0x66),
	VECTOR("movhps x, m", 0x16, 4, 0), VECTOR("movhps m, x", 0x17, 4, 0), VECTOR("movhpd x, m", 0x16, 4, 0x66),
	VECTOR("movhpd m, x", 0x17, 4, 0x66), VECTOR("movdqu x, m", 0x6f, 4, 0xf3), VECTOR("movdqu m, x", 0x7f, 4, 0xf3),
	VECTOR("lddqu x, m", 0xf0, 4, 0xf2), VECTOR("movd/q x, m", 0x6e, 4 | 8, 0x66), VECTOR("movd/q m, x", 0x7e, 4 | 8, 0x66),
	VECTOR("movq x, m", 0x7e, 4, 0xf3), VECTOR("movq m, x", 0xd6, 4, 0x66),
	ALIGNED("movaps x, m", 0x28, 0), ALIGNED("movaps m, x", 0x29, 0), ALIGNED("movapd x, m", 0x28, 0x66),
	ALIGNED("movapd m, x", 0x29, 0x66), ALIGNED("movdqa x, m", 0x6f, 0x66), ALIGNED("movdqa m, x", 0x7f, 0x66),
	ALIGNED("movntps m, x", 0x2b, 0), ALIGNED("movntpd m, x", 0x2b, 0x66), ALIGNED("movntdq m, x", 0xe7, 0x66),
	{ "movntdqa x, m", OP(0x0f, 0x38, 0x2a), ANY_REG, 4, 0, NOTHING, .place = MODRM, .prefix = 0x66, .is_vector = true,
	  .is_aligned = true },
	VEX_BOTH("movups x, m", 0x10, 0, false), VEX_BOTH("movups m, x", 0x11, 0, false), VEX_BOTH("movdqu x, m", 0x6f, 2, false),
	VEX_BOTH("movdqu m, x", 0x7f, 2, false), VEX_BOTH("movdqa x, m", 0x6f, 1, true), VEX_BOTH("movaps m, x", 0x29, 0, true),
	VEX_BOTH("movntdq m, x", 0xe7, 1, true), VEX_BOTH("lddqu x, m", 0xf0, 3, false), VEX("movss x, m", 0x10, 2, 128, false),
	VEX("movss m, x", 0x11, 2, 128, false), VEX("movsd x, m", 0x10, 3, 128, false), VEX("movd x, m", 0x6e, 1, 128, false),
	VEX("movq x, m", 0x7e, 2, 128, false), VEX("movq m, x", 0xd6, 1, 128, false), VEX("movhps m, x", 0x17, 0, 128, false),
	X87("fadd m32", 0xd8, 0), X87("fmul m32", 0xd8, 1), X87("fcom m32", 0xd8, 2), X87("fcomp m32", 0xd8, 3),
	X87("fsub m32", 0xd8, 4), X87("fsubr m32", 0xd8, 5), X87("fdiv m32", 0xd8, 6), X87("fdivr m32", 0xd8, 7),
	X87("fld m32", 0xd9, 0), X87("fst m32", 0xd9, 2), X87("fstp m32", 0xd9, 3), X87("fnstcw", 0xd9, 7),
	X87("fiadd m32", 0xda, 0), X87("fidivr m32", 0xda, 7), X87("fild m32", 0xdb, 0), X87("fisttp m32", 0xdb, 1),
	X87("fist m32", 0xdb, 2), X87("fistp m32", 0xdb, 3), X87("fld m80", 0xdb, 5), X87("fstp m80", 0xdb, 7),
	X87("fadd m64", 0xdc, 0), X87("fmul m64", 0xdc, 1), X87("fcomp m64", 0xdc, 3), X87("fdiv m64", 0xdc, 6),
	X87("fld m64", 0xdd, 0), X87("fisttp m64", 0xdd, 1), X87("fst m64", 0xdd, 2), X87("fstp m64", 0xdd, 3),
	X87("fnstsw", 0xdd, 7), X87("fiadd m16", 0xde, 0), X87("fisubr m16", 0xde, 5), X87("fild m16", 0xdf, 0),
	X87("fisttp m16", 0xdf, 1), X87("fist m16", 0xdf, 2), X87("fistp m16", 0xdf, 3), X87("fbld", 0xdf, 4),
	X87("fild m64", 0xdf, 5), X87("fbstp", 0xdf, 6), X87("fistp m64", 0xdf, 7),
	STRING("movs", 0xa4), STRING("cmps", 0xa6), STRING("stos", 0xaa), STRING("lods", 0xac), STRING("scas", 0xae),
};
