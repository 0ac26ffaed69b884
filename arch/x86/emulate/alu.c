/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic with flags (contract in alu.h): one row per instruction, one small function
 * per kind.
 */
#include "arch/x86/emulate/alu.h"

#include "arch/x86/hw/cr.h"
#include "hv/lib/util.h"

#define STATUS_FLAGS	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define NIBBLE_CARRY	BIT(4)		/* AF: the carry out of bit 3 */
#define PARITY_BYTE	0xffU		/* PF looks at the low byte only */

/*
 * Operands arrive cut to the size. Returns the result; *flags holds RFLAGS and gets the new status
 * flags.
 */
typedef uint64_t alu_fn(uint64_t dest, uint64_t src, unsigned size, uint64_t *flags);

struct alu_row {
	alu_fn  *run;
	uint64_t flags;		/* those it defines */
	bool     keeps_dest;	/* only the flags matter */
};

static uint64_t sign_bit(unsigned size) { return size_mask(size) ^ (size_mask(size) / 2); }
static uint64_t flag_if(bool is_set, uint64_t flag) { return is_set ? flag : 0; }

static uint64_t zero_sign_parity(uint64_t val, unsigned size)
{
	return flag_if(!val, RFLAGS_ZF) | flag_if(val & sign_bit(size), RFLAGS_SF) |
	       flag_if(!(__builtin_popcountll(val & PARITY_BYTE) % 2), RFLAGS_PF);
}

static uint64_t add(uint64_t dest, uint64_t src, unsigned carry, unsigned size, uint64_t *flags)
{
	uint64_t sum = (dest + src + carry) & size_mask(size);
	uint64_t carries = (dest & src) | ((dest | src) & ~sum);	/* out of each bit */
	uint64_t overflow = (dest ^ sum) & (src ^ sum);	/* both inputs' signs differ from it */

	*flags = zero_sign_parity(sum, size) | flag_if(carries & sign_bit(size), RFLAGS_CF) |
		 flag_if(overflow & sign_bit(size), RFLAGS_OF) |
		 flag_if((dest ^ src ^ sum) & NIBBLE_CARRY, RFLAGS_AF);
	return sum;
}

static uint64_t sub(uint64_t dest, uint64_t src, unsigned borrow, unsigned size, uint64_t *flags)
{
	uint64_t diff = (dest - src - borrow) & size_mask(size);
	uint64_t borrows = (~dest & src) | ((~dest | src) & diff);
	uint64_t overflow = (dest ^ src) & (dest ^ diff);

	*flags = zero_sign_parity(diff, size) | flag_if(borrows & sign_bit(size), RFLAGS_CF) |
		 flag_if(overflow & sign_bit(size), RFLAGS_OF) |
		 flag_if((dest ^ src ^ diff) & NIBBLE_CARRY, RFLAGS_AF);
	return diff;
}

static unsigned carry_of(const uint64_t *flags) { return *flags & RFLAGS_CF ? 1 : 0; }

#define ALU_FN(name) \
	static uint64_t name(uint64_t dest, uint64_t src, unsigned size, uint64_t *flags)

ALU_FN(alu_add) { return add(dest, src, 0, size, flags); }
ALU_FN(alu_adc) { return add(dest, src, carry_of(flags), size, flags); }
ALU_FN(alu_sub) { return sub(dest, src, 0, size, flags); }
ALU_FN(alu_sbb) { return sub(dest, src, carry_of(flags), size, flags); }
ALU_FN(alu_inc) { return add(dest, src & 0, 1, size, flags); }
ALU_FN(alu_dec) { return sub(dest, src & 0, 1, size, flags); }
ALU_FN(alu_neg) { return sub(src & 0, dest, 0, size, flags); }

static uint64_t logic(uint64_t val, unsigned size, uint64_t *flags)
{
	*flags = zero_sign_parity(val, size);
	return val;
}

ALU_FN(alu_and) { return logic(dest & src, size, flags); }
ALU_FN(alu_or)  { return logic(dest | src, size, flags); }
ALU_FN(alu_xor) { return logic(dest ^ src, size, flags); }
ALU_FN(alu_not) { return logic(~(dest | (src & 0)) & size_mask(size), size, flags); }

static uint64_t bit_of(uint64_t dest, uint64_t src, unsigned size, uint64_t *flags)
{
	uint64_t bit = BIT(src % (size * 8));

	*flags = flag_if(dest & bit, RFLAGS_CF);
	return bit;
}

ALU_FN(alu_bt)  { return bit_of(dest, src, size, flags); }
ALU_FN(alu_bts) { return dest | bit_of(dest, src, size, flags); }
ALU_FN(alu_btr) { return dest & ~bit_of(dest, src, size, flags); }
ALU_FN(alu_btc) { return dest ^ bit_of(dest, src, size, flags); }

#undef ALU_FN

static const struct alu_row rows[] = {
	[INSN_ADD]  = { alu_add, STATUS_FLAGS, false },
	[INSN_OR]   = { alu_or,  STATUS_FLAGS, false },
	[INSN_ADC]  = { alu_adc, STATUS_FLAGS, false },
	[INSN_SBB]  = { alu_sbb, STATUS_FLAGS, false },
	[INSN_AND]  = { alu_and, STATUS_FLAGS, false },
	[INSN_SUB]  = { alu_sub, STATUS_FLAGS, false },
	[INSN_XOR]  = { alu_xor, STATUS_FLAGS, false },
	[INSN_CMP]  = { alu_sub, STATUS_FLAGS, true },
	[INSN_TEST] = { alu_and, STATUS_FLAGS, true },
	[INSN_INC]  = { alu_inc, STATUS_FLAGS & ~RFLAGS_CF, false },
	[INSN_DEC]  = { alu_dec, STATUS_FLAGS & ~RFLAGS_CF, false },
	[INSN_NOT]  = { alu_not, 0, false },
	[INSN_NEG]  = { alu_neg, STATUS_FLAGS, false },
	[INSN_XADD] = { alu_add, STATUS_FLAGS, false },
	[INSN_BT]   = { alu_bt,  RFLAGS_CF, true },
	[INSN_BTS]  = { alu_bts, RFLAGS_CF, false },
	[INSN_BTR]  = { alu_btr, RFLAGS_CF, false },
	[INSN_BTC]  = { alu_btc, RFLAGS_CF, false },
};

bool alu_has(enum insn_kind kind)
{
	return (size_t)kind < countof(rows) && rows[kind].run;
}

uint64_t alu_run(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src, uint64_t *rflags)
{
	const struct alu_row *row = &rows[kind];
	uint64_t flags = *rflags, result;

	dest &= size_mask(size);
	src &= size_mask(size);
	result = row->run(dest, src, size, &flags);
	*rflags = (*rflags & ~row->flags) | (flags & row->flags);
	return row->keeps_dest ? dest : result;
}
