/* SPDX-License-Identifier: MIT */
/*
 * What each integer instruction does when its memory operand is a device's, or at an address where nothing is. The
 * arithmetic is in emulate/alu.c. tests/unit/test_native.c compares every form with the host's processor.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/emulate/alu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/bits.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"


/* The operand that is not memory: register, immediate, or none. */
static uint64_t other_operand(const struct mmio *mmio)
{
	return mmio->insn->src == SRC_IMM ? mmio->insn->imm : mmio_register(mmio);
}

static enum exit_result mov(struct mmio *mmio)
{
	if (mmio->insn->is_store)
		mmio_write(mmio, other_operand(mmio));
	else
		mmio_set_register(mmio, mmio_read(mmio));
	return EXIT_SKIP;
}

/* MOVZX and MOVSX: bits above the destination's size are cut by the register write. */
static enum exit_result extend(struct mmio *mmio)
{
	uint64_t val = mmio_read(mmio);

	if (mmio->insn->kind == INSN_MOVSX)
		val = sign_extend(val, mmio->insn->size);
	mmio_set_register(mmio, val);
	return EXIT_SKIP;
}

/* The bytes of memory in the opposite order. */
static enum exit_result movbe(struct mmio *mmio)
{
	unsigned unused = 64 - mmio->insn->size * BITS_PER_BYTE;

	if (mmio->insn->is_store)
		mmio_write(mmio, __builtin_bswap64(mmio_register(mmio)) >> unused);
	else
		mmio_set_register(mmio, __builtin_bswap64(mmio_read(mmio)) >> unused);
	return EXIT_SKIP;
}

/* A store always has 16 bits, whatever the operand size (SDM vol. 2, "MOV"). */
static enum exit_result store_segment(struct mmio *mmio)
{
	struct segment seg;

	virt->get_seg(mmio->vcpu, (enum guest_seg)mmio->insn->reg, &seg);
	mmio_write(mmio, seg.selector);
	return EXIT_SKIP;
}

static enum exit_result smsw(struct mmio *mmio)
{
	mmio_write(mmio, virt->get(mmio->vcpu, REG_CR0));
	return EXIT_SKIP;
}

static enum exit_result alu(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t memory = mmio_read(mmio);
	uint64_t other = insn->src == SRC_NONE ? 0 : other_operand(mmio);
	bool     to_register = insn->src == SRC_MEM;
	uint64_t result;

	if (to_register)
		other = mmio_register(mmio);
	result = alu_run(insn->kind, insn->size, to_register ? other : memory,
			 to_register ? memory : other, &rflags);
	if (insn->is_store)
		mmio_write(mmio, result);
	else if (to_register && insn->kind != INSN_CMP && insn->kind != INSN_TEST)
		mmio_set_register(mmio, result);
	if (insn->kind == INSN_XADD)
		mmio_set_register(mmio, memory);
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

/* BSF and BSR of zero leave the register alone, the upper half too when the operand has 32 bits. */
static enum exit_result bit_scan(struct mmio *mmio)
{
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t memory = mmio_read(mmio);
	uint64_t result = alu_run(mmio->insn->kind, mmio->insn->size, 0, memory, &rflags);

	if (memory)
		mmio_set_register(mmio, result);
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

static enum exit_result double_shift(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t count = insn->src == SRC_IMM ? insn->imm : vcpu_gpr(mmio->vcpu, GPR_RCX);

	mmio_write(mmio, alu_double_shift(insn->kind, insn->size, mmio_read(mmio), mmio_register(mmio),
					  count, &rflags));
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

/* IMUL r, m or r, m, immediate. */
static enum exit_result multiply(struct mmio *mmio)
{
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t memory = mmio_read(mmio);

	mmio_set_register(mmio, alu_run(INSN_IMUL, mmio->insn->size, memory, other_operand(mmio), &rflags));
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

/* MUL m and IMUL m: the product has twice the size. Of bytes it is in AX, else in (R)DX:(R)AX. */
static enum exit_result multiply_wide(struct mmio *mmio)
{
	struct vcpu *vcpu = mmio->vcpu;
	unsigned size = mmio->insn->size;
	uint64_t rflags = virt->get(vcpu, REG_RFLAGS);
	uint64_t memory = mmio_read(mmio), high, low;

	low = alu_multiply(mmio->insn->kind == INSN_IMUL_WIDE, size,
			   vcpu_gpr_sized(vcpu, GPR_RAX, size, false), memory, &high, &rflags);
	vcpu_set_gpr_sized(vcpu, GPR_RAX, size, false, low);
	vcpu_set_gpr_sized(vcpu, size == 1 ? GPR_RAX : GPR_RDX, size, size == 1, high);
	virt->set(vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

/*
 * DIV m and IDIV m. Of bytes the dividend is AX, else (R)DX:(R)AX; the quotient goes into its lower half, the
 * rest above.
 */
static enum exit_result divide(struct mmio *mmio)
{
	struct vcpu *vcpu = mmio->vcpu;
	unsigned size = mmio->insn->size;
	enum gpr upper = size == 1 ? GPR_RAX : GPR_RDX;
	uint64_t memory = mmio_read(mmio), quotient, remainder;

	if (!alu_divide(mmio->insn->kind == INSN_IDIV, size, vcpu_gpr_sized(vcpu, upper, size, size == 1),
			vcpu_gpr_sized(vcpu, GPR_RAX, size, false), memory, &quotient, &remainder)) {
		vcpu_inject(vcpu, VEC_DE, false, 0);
		return EXIT_RESUME;
	}
	vcpu_set_gpr_sized(vcpu, GPR_RAX, size, false, quotient);
	vcpu_set_gpr_sized(vcpu, upper, size, size == 1, remainder);
	return EXIT_SKIP;
}

static enum exit_result setcc(struct mmio *mmio)
{
	mmio_write(mmio, alu_condition(mmio->insn->condition, virt->get(mmio->vcpu, REG_RFLAGS)));
	return EXIT_SKIP;
}

/* CMOVcc reads memory, and clears the upper half of a 32-bit register, whether or not the condition holds. */
static enum exit_result cmovcc(struct mmio *mmio)
{
	uint64_t memory = mmio_read(mmio);
	bool     holds = alu_condition(mmio->insn->condition, virt->get(mmio->vcpu, REG_RFLAGS));

	mmio_set_register(mmio, holds ? memory : mmio_register(mmio));
	return EXIT_SKIP;
}

static enum exit_result xchg(struct mmio *mmio)
{
	uint64_t memory = mmio_read(mmio);

	mmio_write(mmio, mmio_register(mmio));
	mmio_set_register(mmio, memory);
	return EXIT_SKIP;
}

/*
 * Memory is written in either case, with its old value when the comparison fails, as the processor
 * does it.
 */
static enum exit_result cmpxchg(struct mmio *mmio)
{
	unsigned size = mmio->insn->size;
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t expected = vcpu_gpr_sized(mmio->vcpu, GPR_RAX, size, false);
	uint64_t memory = mmio_read(mmio);

	alu_run(INSN_CMP, size, expected, memory, &rflags);
	mmio_write(mmio, rflags & RFLAGS_ZF ? mmio_register(mmio) : memory);
	if (!(rflags & RFLAGS_ZF))
		vcpu_set_gpr_sized(mmio->vcpu, GPR_RAX, size, false, memory);
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

/* CMPXCHG8B and CMPXCHG16B: two halves, compared with (R)DX:(R)AX, replaced by (R)CX:(R)BX. Only ZF changes. */
static enum exit_result cmpxchg_wide(struct mmio *mmio)
{
	struct vcpu *vcpu = mmio->vcpu;
	unsigned half = mmio->insn->size / 2;
	uint64_t rflags = virt->get(vcpu, REG_RFLAGS) & ~RFLAGS_ZF;
	uint64_t low = 0, high = 0, new_low = vcpu->gpr[GPR_RBX], new_high = vcpu->gpr[GPR_RCX];
	uint8_t  bytes[2 * sizeof(uint64_t)];

	/*
	 * The wide one wants its operand aligned, whatever CR0.AM says; an operand's page offset is its
	 * linear address's.
	 */
	if (mmio->insn->size == sizeof(bytes) && mmio->operand.piece[0].addr.raw % sizeof(bytes)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	operand_load(vcpu, &mmio->operand, bytes);
	memcpy(&low, bytes, half);
	memcpy(&high, bytes + half, half);
	if (low == vcpu_gpr_sized(vcpu, GPR_RAX, half, false) &&
	    high == vcpu_gpr_sized(vcpu, GPR_RDX, half, false)) {
		rflags |= RFLAGS_ZF;
		memcpy(bytes, &new_low, half);
		memcpy(bytes + half, &new_high, half);
	} else {
		vcpu_set_gpr_sized(vcpu, GPR_RAX, half, false, low);
		vcpu_set_gpr_sized(vcpu, GPR_RDX, half, false, high);
	}
	operand_store(vcpu, &mmio->operand, bytes);
	virt->set(vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

#define OF(form)	{ .run = form }
#define WIDE(form)	{ .run = form, .is_wide = true }
#define OWN(form)	{ .run = form, .finds_operands = true }

static const struct mmio_form forms[] = {
	[INSN_MOV] = OF(mov), [INSN_MOVZX] = OF(extend), [INSN_MOVSX] = OF(extend), [INSN_MOVBE] = OF(movbe),
	[INSN_ADD] = OF(alu), [INSN_OR] = OF(alu), [INSN_ADC] = OF(alu), [INSN_SBB] = OF(alu),
	[INSN_AND] = OF(alu), [INSN_SUB] = OF(alu), [INSN_XOR] = OF(alu), [INSN_CMP] = OF(alu),
	[INSN_TEST] = OF(alu), [INSN_INC] = OF(alu), [INSN_DEC] = OF(alu), [INSN_NOT] = OF(alu),
	[INSN_NEG] = OF(alu), [INSN_XADD] = OF(alu),
	[INSN_BT] = OF(alu), [INSN_BTS] = OF(alu), [INSN_BTR] = OF(alu), [INSN_BTC] = OF(alu),
	[INSN_ROL] = OF(alu), [INSN_ROR] = OF(alu), [INSN_RCL] = OF(alu), [INSN_RCR] = OF(alu),
	[INSN_SHL] = OF(alu), [INSN_SHR] = OF(alu), [INSN_SAR] = OF(alu),
	[INSN_SHLD] = OF(double_shift), [INSN_SHRD] = OF(double_shift),
	[INSN_BSF] = OF(bit_scan), [INSN_BSR] = OF(bit_scan),
	[INSN_IMUL] = OF(multiply), [INSN_MUL_WIDE] = OF(multiply_wide), [INSN_IMUL_WIDE] = OF(multiply_wide),
	[INSN_DIV] = OF(divide), [INSN_IDIV] = OF(divide),
	[INSN_SETCC] = OF(setcc), [INSN_CMOVCC] = OF(cmovcc),
	[INSN_XCHG] = OF(xchg), [INSN_CMPXCHG] = OF(cmpxchg),
	[INSN_CMPXCHG_WIDE] = WIDE(cmpxchg_wide),
	[INSN_VECTOR] = WIDE(mmio_vector),
	[INSN_X87] = WIDE(mmio_x87),
	[INSN_STORE_SEG] = OF(store_segment), [INSN_SMSW] = OF(smsw),
	[INSN_STOS] = OWN(mmio_string), [INSN_MOVS] = OWN(mmio_string),
	[INSN_LODS] = OWN(mmio_string), [INSN_SCAS] = OWN(mmio_string),
	[INSN_CMPS] = OWN(mmio_string),
	[INSN_PUSH] = OWN(mmio_push), [INSN_PUSHF] = OWN(mmio_push),
	[INSN_POP] = OWN(mmio_pop),
	[INSN_ENTER] = OWN(mmio_enter), [INSN_LEAVE] = OWN(mmio_leave),
};

#undef OF
#undef WIDE
#undef OWN

struct mmio_form mmio_form_of(enum insn_kind kind)
{
	return (size_t)kind < countof(forms) ? forms[kind] : (struct mmio_form){ .run = NULL };
}
