/* SPDX-License-Identifier: MIT */
/* Integer arithmetic with flags (contract in alu.h). */
#include "arch/x86/emulate/alu.h"

#include "arch/x86/hw/cr.h"
#include "hv/lib/bits.h"

#define STATUS_FLAGS	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define NIBBLE_CARRY	BIT(4)		/* AF: the carry out of bit 3 */
#define PARITY_BYTE	0xffU		/* PF looks at the low byte only */

static uint64_t sign_bit(unsigned size) { return size_mask(size) ^ (size_mask(size) / 2); }
static uint64_t flag_if(bool is_set, uint64_t flag) { return is_set ? flag : 0; }

static void set_flags(uint64_t *rflags, uint64_t which, uint64_t flags)
{
	*rflags = (*rflags & ~which) | (flags & which);
}

static uint64_t zero_sign_parity(uint64_t val, unsigned size)
{
	return flag_if(!val, RFLAGS_ZF) | flag_if(val & sign_bit(size), RFLAGS_SF) |
	       flag_if(!(__builtin_popcountll(val & PARITY_BYTE) % 2), RFLAGS_PF);
}

/* ---- Sums, differences, logic ---- */

static uint64_t add(uint64_t dest, uint64_t src, unsigned carry, unsigned size, uint64_t *rflags)
{
	uint64_t sum = (dest + src + carry) & size_mask(size);
	uint64_t carries = (dest & src) | ((dest | src) & ~sum);	/* out of each bit */
	uint64_t overflow = (dest ^ sum) & (src ^ sum);	/* both inputs' signs differ from it */

	set_flags(rflags, STATUS_FLAGS, zero_sign_parity(sum, size) |
		  flag_if(carries & sign_bit(size), RFLAGS_CF) |
		  flag_if(overflow & sign_bit(size), RFLAGS_OF) |
		  flag_if((dest ^ src ^ sum) & NIBBLE_CARRY, RFLAGS_AF));
	return sum;
}

static uint64_t sub(uint64_t dest, uint64_t src, unsigned borrow, unsigned size, uint64_t *rflags)
{
	uint64_t diff = (dest - src - borrow) & size_mask(size);
	uint64_t borrows = (~dest & src) | ((~dest | src) & diff);
	uint64_t overflow = (dest ^ src) & (dest ^ diff);

	set_flags(rflags, STATUS_FLAGS, zero_sign_parity(diff, size) |
		  flag_if(borrows & sign_bit(size), RFLAGS_CF) |
		  flag_if(overflow & sign_bit(size), RFLAGS_OF) |
		  flag_if((dest ^ src ^ diff) & NIBBLE_CARRY, RFLAGS_AF));
	return diff;
}

static uint64_t logic(uint64_t val, unsigned size, uint64_t *rflags)
{
	set_flags(rflags, STATUS_FLAGS, zero_sign_parity(val, size));
	return val;
}

/* INC and DEC keep CF. */
static uint64_t step(enum insn_kind kind, uint64_t dest, unsigned size, uint64_t *rflags)
{
	uint64_t carry = *rflags & RFLAGS_CF;
	uint64_t result = kind == INSN_INC ? add(dest, 1, 0, size, rflags) : sub(dest, 1, 0, size, rflags);

	set_flags(rflags, RFLAGS_CF, carry);
	return result;
}

/* ---- Bits ---- */

static uint64_t bit_test(enum insn_kind kind, uint64_t dest, uint64_t number, unsigned size,
			 uint64_t *rflags)
{
	uint64_t bit = BIT(number % (size * BITS_PER_BYTE));

	set_flags(rflags, RFLAGS_CF, flag_if(dest & bit, RFLAGS_CF));
	if (kind == INSN_BTS)
		return dest | bit;
	if (kind == INSN_BTR)
		return dest & ~bit;
	return kind == INSN_BTC ? dest ^ bit : dest;
}

static uint64_t bit_scan(enum insn_kind kind, uint64_t dest, uint64_t src, uint64_t *rflags)
{
	set_flags(rflags, RFLAGS_ZF, flag_if(!src, RFLAGS_ZF));
	if (!src)
		return dest;
	return (uint64_t)(kind == INSN_BSF ? __builtin_ctzll(src) : 63 - __builtin_clzll(src));
}

/* ---- Shifts and rotates ---- */

/* The processor looks at five bits of a count, at six where the operand has 64 (SDM vol. 2, "SAL/SAR/SHL/SHR"). */
static unsigned shift_count(uint64_t count, unsigned size)
{
	return (unsigned)(count & (size == sizeof(uint64_t) ? 63 : 31));
}

/* Bits of a value below a position that may be the width of the word. */
static uint64_t shift_left(uint64_t val, unsigned by) { return by < 64 ? val << by : 0; }
static uint64_t shift_right(uint64_t val, unsigned by) { return by < 64 ? val >> by : 0; }

/* OF of a shift or rotate by one: did the sign change? Of ROR and RCR: do the two top bits differ? */
static uint64_t sign_changed(uint64_t before, uint64_t after, unsigned size)
{
	return flag_if((before ^ after) & sign_bit(size), RFLAGS_OF);
}

static uint64_t shift(enum insn_kind kind, uint64_t dest, unsigned count, unsigned size, uint64_t *rflags)
{
	unsigned bits = size * BITS_PER_BYTE;
	uint64_t extended = kind == INSN_SAR ? sign_extend(dest, size) : dest;
	uint64_t result, last;		/* last: the bit that was shifted out at the end */

	if (!count)
		return dest;
	if (kind == INSN_SHL) {
		result = shift_left(dest, count) & size_mask(size);
		last = count <= bits ? shift_right(dest, bits - count) & 1 : 0;
	} else if (kind == INSN_SHR) {
		result = shift_right(dest, count);
		last = shift_right(dest, count - 1) & 1;
	} else {
		result = (uint64_t)((int64_t)extended >> count) & size_mask(size);
		last = (uint64_t)((int64_t)extended >> (count - 1)) & 1;
	}
	set_flags(rflags, STATUS_FLAGS, zero_sign_parity(result, size) | flag_if(last, RFLAGS_CF) |
		  (kind == INSN_SAR ? 0 : sign_changed(dest, result, size)));
	return result;
}

static uint64_t rotate(enum insn_kind kind, uint64_t dest, unsigned count, unsigned size, uint64_t *rflags)
{
	unsigned bits = size * BITS_PER_BYTE, by = count % bits;
	uint64_t result, carry;

	if (!count)
		return dest;
	if (kind == INSN_ROR)
		by = (bits - by) % bits;
	result = (shift_left(dest, by) | shift_right(dest, bits - by)) & size_mask(size);
	carry = kind == INSN_ROL ? result & 1 : result & sign_bit(size);
	set_flags(rflags, RFLAGS_CF | RFLAGS_OF, flag_if(carry, RFLAGS_CF) |
		  (kind == INSN_ROL ? flag_if((carry != 0) != ((result & sign_bit(size)) != 0), RFLAGS_OF) :
				      sign_changed(result, result << 1, size)));
	return result;
}

/* Through the carry flag: a rotation of one bit more than the operand has, done bit by bit. */
static uint64_t rotate_carry(enum insn_kind kind, uint64_t dest, unsigned count, unsigned size, uint64_t *rflags)
{
	uint64_t carry = *rflags & RFLAGS_CF ? 1 : 0, result = dest, out;

	if (!count)
		return dest;
	for (unsigned i = count % (size * BITS_PER_BYTE + 1); i; i--) {
		if (kind == INSN_RCL) {
			out = result & sign_bit(size);
			result = ((result << 1) | carry) & size_mask(size);
		} else {
			out = result & 1;
			result = (result >> 1) | (carry ? sign_bit(size) : 0);
		}
		carry = out ? 1 : 0;
	}
	out = kind == INSN_RCL ? flag_if((carry != 0) != ((result & sign_bit(size)) != 0), RFLAGS_OF) :
				 sign_changed(result, result << 1, size);
	set_flags(rflags, RFLAGS_CF | RFLAGS_OF, flag_if(carry, RFLAGS_CF) | out);
	return result;
}

uint64_t alu_double_shift(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src,
			  uint64_t count, uint64_t *rflags)
{
	unsigned bits = size * BITS_PER_BYTE, by = shift_count(count, size);
	uint64_t result, last;

	dest &= size_mask(size);
	src &= size_mask(size);
	if (!by || by > bits)		/* more than the operand has: the manual leaves the result open */
		return dest;
	if (kind == INSN_SHLD) {
		result = (shift_left(dest, by) | shift_right(src, bits - by)) & size_mask(size);
		last = shift_right(dest, bits - by) & 1;
	} else {
		result = (shift_right(dest, by) | shift_left(src, bits - by)) & size_mask(size);
		last = shift_right(dest, by - 1) & 1;
	}
	set_flags(rflags, STATUS_FLAGS, zero_sign_parity(result, size) | flag_if(last, RFLAGS_CF) |
		  sign_changed(dest, result, size));
	return result;
}

/* ---- Products ---- */

uint64_t alu_multiply(bool is_signed, unsigned size, uint64_t left, uint64_t right, uint64_t *high,
		      uint64_t *rflags)
{
	unsigned bits = size * BITS_PER_BYTE;
	unsigned __int128 product;
	uint64_t low, sign_fill;

	if (is_signed)
		product = (unsigned __int128)((__int128)(int64_t)sign_extend(left, size) *
					      (int64_t)sign_extend(right, size));
	else
		product = (unsigned __int128)(left & size_mask(size)) * (right & size_mask(size));
	low = (uint64_t)product & size_mask(size);
	*high = (uint64_t)(product >> bits) & size_mask(size);
	sign_fill = is_signed && (low & sign_bit(size)) ? size_mask(size) : 0;
	set_flags(rflags, RFLAGS_CF | RFLAGS_OF, flag_if(*high != sign_fill, RFLAGS_CF | RFLAGS_OF));
	return low;
}

/* ---- Quotients ---- */

static bool divide_unsigned(unsigned size, uint64_t high, uint64_t low, uint64_t divisor, uint64_t *quotient,
			    uint64_t *remainder)
{
	uint64_t dividend;

	if (high >= divisor)
		return false;
	if (size == sizeof(uint64_t)) {		/* C has no division of 128 bits without a library */
		__asm__("divq %4" : "=a"(*quotient), "=d"(*remainder) : "0"(low), "1"(high), "r"(divisor) : "cc");
		return true;
	}
	dividend = high << (size * BITS_PER_BYTE) | low;
	*quotient = dividend / divisor;
	*remainder = dividend % divisor;
	return true;
}

static uint64_t negate_if(bool is_negative, uint64_t val, unsigned size)
{
	return (is_negative ? 0 - val : val) & size_mask(size);
}

/* Signed, it is the division of the magnitudes; the remainder has the dividend's sign (SDM vol. 2, IDIV). */
bool alu_divide(bool is_signed, unsigned size, uint64_t high, uint64_t low, uint64_t divisor, uint64_t *quotient,
		uint64_t *remainder)
{
	bool is_negative = is_signed && (high & sign_bit(size));
	bool is_opposite = is_negative != (is_signed && (divisor & sign_bit(size)));

	low = negate_if(is_negative, low, size);
	high = is_negative ? (~high + !low) & size_mask(size) : high & size_mask(size);
	divisor = negate_if(is_negative != is_opposite, divisor, size);
	if (!divide_unsigned(size, high, low, divisor, quotient, remainder))
		return false;
	if (is_signed && *quotient > sign_bit(size) - !is_opposite)
		return false;
	*quotient = negate_if(is_opposite, *quotient, size);
	*remainder = negate_if(is_negative, *remainder, size);
	return true;
}

/* ---- Conditions: SDM vol. 1, appendix B "EFLAGS Condition Codes" ---- */

bool alu_condition(unsigned condition, uint64_t rflags)
{
	bool is_less = !(rflags & RFLAGS_SF) != !(rflags & RFLAGS_OF);
	const bool holds[] = {		/* each second one is the opposite of the one before */
		rflags & RFLAGS_OF, rflags & RFLAGS_CF, rflags & RFLAGS_ZF, rflags & (RFLAGS_CF | RFLAGS_ZF),
		rflags & RFLAGS_SF, rflags & RFLAGS_PF, is_less, is_less || (rflags & RFLAGS_ZF),
	};

	return holds[condition / 2 % 8] != (condition % 2);
}

uint64_t alu_run(enum insn_kind kind, unsigned size, uint64_t dest, uint64_t src, uint64_t *rflags)
{
	unsigned carry = *rflags & RFLAGS_CF ? 1 : 0;
	unsigned count = shift_count(src, size);
	uint64_t high;

	dest &= size_mask(size);
	src &= size_mask(size);
	switch (kind) {
	case INSN_ADD: case INSN_XADD:	return add(dest, src, 0, size, rflags);
	case INSN_ADC:			return add(dest, src, carry, size, rflags);
	case INSN_SUB:			return sub(dest, src, 0, size, rflags);
	case INSN_SBB:			return sub(dest, src, carry, size, rflags);
	case INSN_NEG:			return sub(0, dest, 0, size, rflags);
	case INSN_CMP:			sub(dest, src, 0, size, rflags); return dest;
	case INSN_AND:			return logic(dest & src, size, rflags);
	case INSN_OR:			return logic(dest | src, size, rflags);
	case INSN_XOR:			return logic(dest ^ src, size, rflags);
	case INSN_TEST:			logic(dest & src, size, rflags); return dest;
	case INSN_NOT:			return ~dest & size_mask(size);
	case INSN_INC: case INSN_DEC:	return step(kind, dest, size, rflags);
	case INSN_BT: case INSN_BTS: case INSN_BTR: case INSN_BTC:
		return bit_test(kind, dest, src, size, rflags);
	case INSN_BSF: case INSN_BSR:	return bit_scan(kind, dest, src, rflags);
	case INSN_SHL: case INSN_SHR: case INSN_SAR:
		return shift(kind, dest, count, size, rflags);
	case INSN_ROL: case INSN_ROR:	return rotate(kind, dest, count, size, rflags);
	case INSN_RCL: case INSN_RCR:	return rotate_carry(kind, dest, count, size, rflags);
	case INSN_IMUL:			return alu_multiply(true, size, dest, src, &high, rflags);
	default:			return dest;
	}
}
