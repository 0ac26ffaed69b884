/* SPDX-License-Identifier: MIT */
/*
 * What each integer instruction does with its memory operand when that is a device or nobody's. The
 * arithmetic is in emulate/alu.c. tests/unit/test_native.c compares every form with the host's processor.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/emulate/alu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define BITS_PER_BYTE	8U

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

/* A zero leaves the register alone, with 32 bits its upper half too. */
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

static enum exit_result setcc(struct mmio *mmio)
{
	mmio_write(mmio, alu_condition(mmio->insn->condition, virt->get(mmio->vcpu, REG_RFLAGS)));
	return EXIT_SKIP;
}

/* Memory is read in either case, and a 32-bit register loses its upper half in either case. */
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

	operand_load(vcpu, &mmio->operand, bytes);
	__builtin_memcpy(&low, bytes, half);
	__builtin_memcpy(&high, bytes + half, half);
	if (low == vcpu_gpr_sized(vcpu, GPR_RAX, half, false) &&
	    high == vcpu_gpr_sized(vcpu, GPR_RDX, half, false)) {
		rflags |= RFLAGS_ZF;
		__builtin_memcpy(bytes, &new_low, half);
		__builtin_memcpy(bytes + half, &new_high, half);
	} else {
		vcpu_set_gpr_sized(vcpu, GPR_RAX, half, false, low);
		vcpu_set_gpr_sized(vcpu, GPR_RDX, half, false, high);
	}
	operand_store(vcpu, &mmio->operand, bytes);
	virt->set(vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

static const struct mmio_form forms[] = {
	[INSN_MOV] = { mov }, [INSN_MOVZX] = { extend }, [INSN_MOVSX] = { extend }, [INSN_MOVBE] = { movbe },
	[INSN_ADD] = { alu }, [INSN_OR] = { alu }, [INSN_ADC] = { alu }, [INSN_SBB] = { alu },
	[INSN_AND] = { alu }, [INSN_SUB] = { alu }, [INSN_XOR] = { alu }, [INSN_CMP] = { alu },
	[INSN_TEST] = { alu }, [INSN_INC] = { alu }, [INSN_DEC] = { alu }, [INSN_NOT] = { alu },
	[INSN_NEG] = { alu }, [INSN_XADD] = { alu },
	[INSN_BT] = { alu }, [INSN_BTS] = { alu }, [INSN_BTR] = { alu }, [INSN_BTC] = { alu },
	[INSN_ROL] = { alu }, [INSN_ROR] = { alu }, [INSN_RCL] = { alu }, [INSN_RCR] = { alu },
	[INSN_SHL] = { alu }, [INSN_SHR] = { alu }, [INSN_SAR] = { alu },
	[INSN_SHLD] = { double_shift }, [INSN_SHRD] = { double_shift },
	[INSN_BSF] = { bit_scan }, [INSN_BSR] = { bit_scan },
	[INSN_IMUL] = { multiply }, [INSN_MUL_WIDE] = { multiply_wide }, [INSN_IMUL_WIDE] = { multiply_wide },
	[INSN_SETCC] = { setcc }, [INSN_CMOVCC] = { cmovcc },
	[INSN_XCHG] = { xchg }, [INSN_CMPXCHG] = { cmpxchg },
	[INSN_CMPXCHG_WIDE] = { cmpxchg_wide, .is_wide = true },
	[INSN_STORE_SEG] = { store_segment }, [INSN_SMSW] = { smsw },
	[INSN_STOS] = { mmio_string, .finds_operands = true }, [INSN_MOVS] = { mmio_string, .finds_operands = true },
	[INSN_LODS] = { mmio_string, .finds_operands = true }, [INSN_SCAS] = { mmio_string, .finds_operands = true },
	[INSN_CMPS] = { mmio_string, .finds_operands = true },
	[INSN_PUSH] = { mmio_push, .finds_operands = true }, [INSN_PUSHF] = { mmio_push, .finds_operands = true },
	[INSN_POP] = { mmio_pop, .finds_operands = true },
	[INSN_ENTER] = { mmio_enter, .finds_operands = true }, [INSN_LEAVE] = { mmio_leave, .finds_operands = true },
};

struct mmio_form mmio_form_of(enum insn_kind kind)
{
	return (size_t)kind < countof(forms) ? forms[kind] : (struct mmio_form){ NULL };
}
