/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic with flags, judged by the processor the test runs on: the same operation on the same random
 * operands, executed by inline assembly, must give the same result and the same defined flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/emulate/alu.h"
#include "hv/lib/util.h"

#define STATUS	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define LOGIC	(STATUS & ~RFLAGS_AF)	/* AF is undefined after logic operations */
#define ROUNDS	20000U

typedef void native_fn(uint64_t *dest, uint64_t src, uint64_t *rflags);

/* Flags in, one instruction, flags out. The red zone is avoided: push and pop would overwrite it. */
#define RUN(code, dest, source)								\
	__asm__ volatile("lea -256(%%rsp), %%rsp\n\t"					\
			 "push %1\n\tpopf\n\t" code "\n\tpushf\n\tpop %1\n\t"		\
			 "lea 256(%%rsp), %%rsp"					\
			 : "+&q"(*(dest)), "+&r"(*rflags) : "q"(source) : "cc", "memory")

#define NATIVE_2(name, code)								\
	static void name##_1(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "b %b2, %b0", d, s); }	\
	static void name##_2(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "w %w2, %w0", d, s); }	\
	static void name##_4(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "l %k2, %k0", d, s); }	\
	static void name##_8(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "q %2, %0", d, s); }
#define NATIVE_1(name, code)								\
	static void name##_1(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "b %b0", d, s); }	\
	static void name##_2(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "w %w0", d, s); }	\
	static void name##_4(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "l %k0", d, s); }	\
	static void name##_8(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "q %0", d, s); }
/* No byte form; the second operand is reduced below the size before. */
#define NATIVE_BIT(name, code)								\
	static void name##_2(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "w %w2, %w0", d, s); }	\
	static void name##_4(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "l %k2, %k0", d, s); }	\
	static void name##_8(uint64_t *d, uint64_t s, uint64_t *rflags) { RUN(code "q %2, %0", d, s); }

NATIVE_2(add, "add") NATIVE_2(or, "or") NATIVE_2(adc, "adc") NATIVE_2(sbb, "sbb") NATIVE_2(and, "and")
NATIVE_2(sub, "sub") NATIVE_2(xor, "xor") NATIVE_2(cmp, "cmp") NATIVE_2(test, "test")
NATIVE_1(inc, "inc") NATIVE_1(dec, "dec") NATIVE_1(not, "not") NATIVE_1(neg, "neg")
NATIVE_BIT(bt, "bt") NATIVE_BIT(bts, "bts") NATIVE_BIT(btr, "btr") NATIVE_BIT(btc, "btc")

struct row {
	enum insn_kind kind;
	const char    *name;
	uint64_t       defined;
	native_fn     *native[4];	/* 1, 2, 4, 8 bytes */
};

#define ALL(fn)  { fn##_1, fn##_2, fn##_4, fn##_8 }
#define BITS(fn) { NULL, fn##_2, fn##_4, fn##_8 }

/* The flags BT leaves alone here are "undefined" in the manual, so only CF is compared. */
static const struct row rows[] = {
	{ INSN_ADD, "add", STATUS, ALL(add) }, { INSN_OR, "or", LOGIC, ALL(or) },
	{ INSN_ADC, "adc", STATUS, ALL(adc) }, { INSN_SBB, "sbb", STATUS, ALL(sbb) },
	{ INSN_AND, "and", LOGIC, ALL(and) }, { INSN_SUB, "sub", STATUS, ALL(sub) },
	{ INSN_XOR, "xor", LOGIC, ALL(xor) }, { INSN_CMP, "cmp", STATUS, ALL(cmp) },
	{ INSN_TEST, "test", LOGIC, ALL(test) }, { INSN_INC, "inc", STATUS, ALL(inc) },
	{ INSN_DEC, "dec", STATUS, ALL(dec) }, { INSN_NOT, "not", STATUS, ALL(not) },
	{ INSN_NEG, "neg", STATUS, ALL(neg) }, { INSN_XADD, "xadd", STATUS, ALL(add) },
	{ INSN_BT, "bt", RFLAGS_CF | RFLAGS_ZF, BITS(bt) }, { INSN_BTS, "bts", RFLAGS_CF | RFLAGS_ZF, BITS(bts) },
	{ INSN_BTR, "btr", RFLAGS_CF | RFLAGS_ZF, BITS(btr) },
	{ INSN_BTC, "btc", RFLAGS_CF | RFLAGS_ZF, BITS(btc) },
};

static uint64_t random_state = 0x9e3779b97f4a7c15ULL;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Half of the operands are at the edges, where carries and overflows live. */
static uint64_t random_operand(void)
{
	static const uint64_t edges[] = {
		0, 1, 0x0f, 0x10, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffff, 0x8000000000000000, ~0ULL,
	};
	uint64_t dice = random64();

	return dice & 1 ? random64() : edges[dice / 2 % countof(edges)];
}

static void compare_once(const struct row *row, unsigned index)
{
	unsigned size = 1U << index;
	bool     is_bit = row->kind >= INSN_BT && row->kind <= INSN_BTC;
	uint64_t dest = random_operand(), src = random_operand();
	uint64_t before = RFLAGS_ONE | RFLAGS_IF | (random64() & STATUS);
	uint64_t native = dest, native_flags = before, flags = before, result;

	if (is_bit)
		src %= size * 8;
	row->native[index](&native, src, &native_flags);
	result = alu_run(row->kind, size, dest, src, &flags);
	if ((native & size_mask(size)) != result || ((native_flags ^ flags) & row->defined) ||
	    ((before ^ flags) & ~STATUS))
		fail_msg("%s %u: %#llx, %#llx, flags %#llx: got %#llx %#llx, processor %#llx %#llx", row->name, size,
			 (unsigned long long)dest, (unsigned long long)src, (unsigned long long)before,
			 (unsigned long long)result, (unsigned long long)flags,
			 (unsigned long long)(native & size_mask(size)), (unsigned long long)native_flags);
}

static void agrees_with_the_processor(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(rows); i++)
		for (unsigned index = 0; index < countof(rows[i].native); index++)
			for (unsigned round = 0; rows[i].native[index] && round < ROUNDS; round++)
				compare_once(&rows[i], index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_processor),
	};

	return cmocka_run_group_tests_name("alu", tests, NULL, NULL);
}
