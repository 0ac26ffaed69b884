/* SPDX-License-Identifier: MIT */
/*
 * A guest instruction touched memory that is a device's: do what it would have done, on the bus.
 *
 * The processor reports a guest-physical address and a direction; everything else comes from the
 * instruction, which the guest may have replaced meanwhile (CVE-2011-1780). So the operand is
 * computed again and must fit the report; when it does not, the guest resumes, faults again and
 * nothing was done. The loop detector (exit/fatal.c) bounds that. SDM vol. 3, 28.2.1 "Basic VM-Exit
 * Information" (EPT violations); APM vol. 2, 15.25.6 "Nested versus Guest Page Faults".
 *
 * The common case, a MOV between a register and a device register, takes the short way: no decoding
 * and no walk for the fetch (fetch.c), plain_mov here, one bus access.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/emulate/alu.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/emulate/fetch.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define BITS_PER_BYTE	8U

typedef enum exit_result mmio_fn(struct mmio *mmio);

static enum exit_result not_emulated(struct vcpu *vcpu, gpa_t addr)
{
	bool has_device = bus_find(&vcpu->vm->mmio, addr.raw);

	fetch_log(vcpu, has_device ? "cannot emulate a device access" : "no RAM and no device for an access");
	if (!has_device)
		return exit_fatal(vcpu, "the guest uses memory where there is neither RAM nor a device:", addr.raw);
	return exit_fatal(vcpu, "instruction not emulated, device address", addr.raw);
}

static uint64_t mmio_read(struct mmio *mmio)
{
	uint64_t val = 0;

	if (!mmio->is_plain)
		return operand_read(mmio->vcpu, &mmio->operand);
	device_access(mmio->vcpu, mmio->addr, mmio->insn->size, false, &val);
	return val & size_mask(mmio->insn->size);
}

static void mmio_write(struct mmio *mmio, uint64_t val)
{
	if (!mmio->is_plain) {
		operand_write(mmio->vcpu, &mmio->operand, val);
		return;
	}
	val &= size_mask(mmio->insn->size);
	device_access(mmio->vcpu, mmio->addr, mmio->insn->size, true, &val);
}

static uint64_t register_operand(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;

	return vcpu_gpr_sized(mmio->vcpu, (enum gpr)insn->reg, insn->size, insn->is_high);
}

static void set_register_operand(const struct mmio *mmio, uint64_t val)
{
	const struct insn *insn = mmio->insn;

	vcpu_set_gpr_sized(mmio->vcpu, (enum gpr)insn->reg, insn->dest_size, insn->is_high, val);
}

/* The operand that is not memory: register, immediate, or none. */
static uint64_t other_operand(const struct mmio *mmio)
{
	return mmio->insn->src == SRC_IMM ? mmio->insn->imm : register_operand(mmio);
}

/* ---- The forms ---- */

static enum exit_result mmio_mov(struct mmio *mmio)
{
	if (mmio->insn->is_store)
		mmio_write(mmio, other_operand(mmio));
	else
		set_register_operand(mmio, mmio_read(mmio));
	return EXIT_SKIP;
}

/* MOVZX and MOVSX: bits above the destination's size are cut by the register write. */
static enum exit_result mmio_extend(struct mmio *mmio)
{
	uint64_t val = mmio_read(mmio);

	if (mmio->insn->kind == INSN_MOVSX)
		val = sign_extend(val, mmio->insn->size);
	set_register_operand(mmio, val);
	return EXIT_SKIP;
}

static enum exit_result mmio_alu(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t memory = mmio_read(mmio);
	uint64_t other = insn->src == SRC_NONE ? 0 : other_operand(mmio);
	bool     to_register = insn->src == SRC_MEM;
	uint64_t result;

	if (to_register)
		other = register_operand(mmio);
	result = alu_run(insn->kind, insn->size, to_register ? other : memory,
			 to_register ? memory : other, &rflags);
	if (insn->is_store)
		mmio_write(mmio, result);
	else if (to_register && insn->kind != INSN_CMP && insn->kind != INSN_TEST)
		set_register_operand(mmio, result);
	if (insn->kind == INSN_XADD)
		set_register_operand(mmio, memory);
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

static enum exit_result mmio_xchg(struct mmio *mmio)
{
	uint64_t memory = mmio_read(mmio);

	mmio_write(mmio, register_operand(mmio));
	set_register_operand(mmio, memory);
	return EXIT_SKIP;
}

/*
 * Memory is written in either case, with its old value when the comparison fails, as the processor
 * does it.
 */
static enum exit_result mmio_cmpxchg(struct mmio *mmio)
{
	unsigned size = mmio->insn->size;
	uint64_t rflags = virt->get(mmio->vcpu, REG_RFLAGS);
	uint64_t expected = vcpu_gpr_sized(mmio->vcpu, GPR_RAX, size, false);
	uint64_t memory = mmio_read(mmio);

	alu_run(INSN_CMP, size, expected, memory, &rflags);
	mmio_write(mmio, rflags & RFLAGS_ZF ? register_operand(mmio) : memory);
	if (!(rflags & RFLAGS_ZF))
		vcpu_set_gpr_sized(mmio->vcpu, GPR_RAX, size, false, memory);
	virt->set(mmio->vcpu, REG_RFLAGS, rflags);
	return EXIT_SKIP;
}

static mmio_fn *const forms[] = {
	[INSN_MOV] = mmio_mov, [INSN_MOVZX] = mmio_extend, [INSN_MOVSX] = mmio_extend,
	[INSN_STOS] = mmio_string, [INSN_MOVS] = mmio_string, [INSN_LODS] = mmio_string,
	[INSN_SCAS] = mmio_string, [INSN_CMPS] = mmio_string,
	[INSN_ADD] = mmio_alu, [INSN_OR] = mmio_alu, [INSN_ADC] = mmio_alu, [INSN_SBB] = mmio_alu,
	[INSN_AND] = mmio_alu, [INSN_SUB] = mmio_alu, [INSN_XOR] = mmio_alu, [INSN_CMP] = mmio_alu,
	[INSN_TEST] = mmio_alu, [INSN_INC] = mmio_alu, [INSN_DEC] = mmio_alu, [INSN_NOT] = mmio_alu,
	[INSN_NEG] = mmio_alu, [INSN_XADD] = mmio_alu,
	[INSN_BT] = mmio_alu, [INSN_BTS] = mmio_alu, [INSN_BTR] = mmio_alu, [INSN_BTC] = mmio_alu,
	[INSN_XCHG] = mmio_xchg, [INSN_CMPXCHG] = mmio_cmpxchg,
};

static bool is_bit_test(enum insn_kind kind) { return kind >= INSN_BT && kind <= INSN_BTC; }

/*
 * BT with a register counts bits from the operand on, in both directions: the bytes to the word it
 * means.
 */
static uint64_t bit_string_offset(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t bits = insn->size * BITS_PER_BYTE;
	uint64_t bit;

	if (!is_bit_test(insn->kind) || insn->src != SRC_REG)
		return 0;
	bit = sign_extend(register_operand(mmio), insn->size);
	return (uint64_t)((int64_t)(bit - bit % bits) / (int64_t)BITS_PER_BYTE);
}

static uint64_t segment_base(struct vcpu *vcpu, const struct insn *insn)
{
	struct segment seg;

	if (insn->mode == INSN_64)
		return operand_base64(vcpu, insn->seg);
	virt->get_seg(vcpu, (enum guest_seg)insn->seg, &seg);
	return seg.base;
}

enum located { LOCATED, ELSEWHERE, FAULTED };

/*
 * Where the ModRM operand is. Within one page the low twelve bits, which no paging mode translates,
 * must equal those of the reported address; then the reported address is the operand's. That is
 * safe without a walk, whatever the guest did to its instruction or tables: what we touch is the
 * address at which the processor stopped this guest, in the direction it said, with the guest's own
 * registers.
 */
static enum located locate(struct mmio *mmio, enum exit_result *result)
{
	const struct insn   *insn = mmio->insn;
	uint64_t             offset = operand_offset(mmio->vcpu, insn);
	uint64_t             linear;
	struct operand_cpu   cpu;
	struct operand_fault fault;

	if (is_bit_test(insn->kind))
		offset = (offset + bit_string_offset(mmio)) & size_mask(insn->addr_size);
	linear = segment_base(mmio->vcpu, insn) + offset;
	/*
	 * A read that goes on to write, reported as a read (QEMU's processor does the one after the
	 * other): nobody has looked yet whether the guest's page allows the write.
	 */
	mmio->is_plain = linear % PAGE_SIZE <= PAGE_SIZE - insn->size &&
			 mmio->is_write == insn->is_store;
	if (mmio->is_plain)
		return linear % PAGE_SIZE == mmio->addr.raw % PAGE_SIZE ? LOCATED : ELSEWHERE;

	operand_cpu_of(mmio->vcpu, &cpu);
	if (!operand_map(&cpu, insn->seg, offset, insn->size,
			 insn->is_store ? WALK_WRITE : WALK_READ, &mmio->operand, &fault)) {
		*result = operand_inject(mmio->vcpu, &fault);
		return FAULTED;
	}
	return operand_touches(&mmio->operand, mmio->addr) ? LOCATED : ELSEWHERE;
}

static bool has_bus_size(const struct insn *insn)
{
	return insn->size == 1 || insn->size == 2 || insn->size == 4 || insn->size == 8;
}

static enum exit_result emulate(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	mmio_fn           *form = (size_t)insn->kind < countof(forms) ? forms[insn->kind] : NULL;
	enum exit_result   result = EXIT_RESUME;

	if (!form || !has_bus_size(insn))
		return not_emulated(mmio->vcpu, mmio->addr);
	if (form == mmio_string)
		return form(mmio);
	/* No such operand, or not this direction: the instruction is not the one that trapped. */
	if (!insn->has_mem || !(mmio->is_write ? insn->is_store : insn->is_load))
		return EXIT_RESUME;
	return locate(mmio, &result) == LOCATED ? form(mmio) : result;
}

/*
 * mov [base + index * scale + disp], register or immediate, and the load: the same as mmio_mov
 * after locate, flat. False: not this time, the general way decides.
 */
static bool plain_mov(struct vcpu *vcpu, const struct insn *insn, gpa_t addr, bool is_write)
{
	uint64_t offset = addr.raw % PAGE_SIZE, mask = size_mask(insn->size);
	uint64_t linear = (uint64_t)insn->disp, val;

	if (insn->base >= 0)
		linear += vcpu->gpr[insn->base];
	if (insn->index >= 0)
		linear += vcpu->gpr[insn->index] * insn->scale;
	if (linear % PAGE_SIZE != offset || offset + insn->size > PAGE_SIZE ||
	    is_write != insn->is_store)
		return false;
	val = (insn->src == SRC_IMM ? insn->imm : vcpu->gpr[insn->reg]) & mask;
	device_access(vcpu, addr, insn->size, is_write, &val);
	if (!is_write && insn->size >= sizeof(uint32_t))
		vcpu->gpr[insn->reg] = val & mask;	/* 32 bits clear the upper half */
	else if (!is_write)
		vcpu->gpr[insn->reg] = (vcpu->gpr[insn->reg] & ~mask) | (val & mask);
	return true;
}

/* Out of line: its struct is not set up on the short way. */
__attribute__((noinline))
static enum exit_result general_form(struct vcpu *vcpu, const struct insn *insn, gpa_t addr,
				     bool is_write)
{
	struct mmio mmio = { .vcpu = vcpu, .insn = insn, .addr = addr, .is_write = is_write };

	return emulate(&mmio);
}

enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	const struct insn *insn;
	enum fetch_result  fetched = fetch_insn(vcpu, &insn);

	if (fetched != FETCH_OK)
		return fetch_failed(vcpu, fetched, "no instruction can be read for the access to", addr.raw);
	vcpu->exit.insn_len = insn->len;
	if (insn->is_plain_mov && plain_mov(vcpu, insn, addr, is_write))
		return EXIT_SKIP;
	return general_form(vcpu, insn, addr, is_write);
}
