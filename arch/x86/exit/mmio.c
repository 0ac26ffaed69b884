/* SPDX-License-Identifier: MIT */
/*
 * A guest instruction touched memory that is a device's: do what it would have done, on the bus.
 *
 * The processor reports a guest-physical address and a direction; everything else comes from the
 * instruction, which the guest may have replaced meanwhile (CVE-2011-1780). So the operand is
 * computed again and must fit the report; when it does not, the guest resumes, faults again and
 * nothing was done. The loop detector (dispatch.c) bounds that. SDM vol. 3, 28.2.1 "Basic VM-Exit
 * Information" (EPT violations); APM vol. 2, 15.25.6 "Nested versus Guest Page Faults".
 *
 * The common case, a MOV between a register and a device register, takes the short way: no decoding
 * and no walk for the fetch (fetch.c), plain_mov here, one bus access.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/emulate/fetch.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"


uint64_t mmio_read(struct mmio *mmio)
{
	uint64_t val = 0;

	if (!mmio->is_plain)
		return operand_read(mmio->vcpu, &mmio->operand);
	device_access(mmio->vcpu, mmio->addr, mmio->insn->size, false, &val);
	return val & size_mask(mmio->insn->size);
}

void mmio_write(struct mmio *mmio, uint64_t val)
{
	if (!mmio->is_plain) {
		operand_write(mmio->vcpu, &mmio->operand, val);
		return;
	}
	val &= size_mask(mmio->insn->size);
	device_access(mmio->vcpu, mmio->addr, mmio->insn->size, true, &val);
}

uint64_t mmio_register(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;

	return vcpu_gpr_sized(mmio->vcpu, (enum gpr)insn->reg, insn->size, insn->is_high);
}

void mmio_set_register(const struct mmio *mmio, uint64_t val)
{
	const struct insn *insn = mmio->insn;

	vcpu_set_gpr_sized(mmio->vcpu, (enum gpr)insn->reg, insn->dest_size, insn->is_high, val);
}

static bool is_bit_test(enum insn_kind kind) { return kind >= INSN_BT && kind <= INSN_BTC; }

/*
 * With the bit number in a register, BT and its relatives reach beyond their operand, in both directions
 * (SDM vol. 2, "BT"). Returns the distance in bytes from the operand to the element that holds the bit.
 */
static uint64_t bit_string_offset(const struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	uint64_t bits = insn->size * BITS_PER_BYTE;
	uint64_t bit;

	if (!is_bit_test(insn->kind) || insn->src != SRC_REG)
		return 0;
	bit = sign_extend(mmio_register(mmio), insn->size);
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

/*
 * Where the ModRM operand is. Within one page the low twelve bits, which no paging mode translates,
 * must equal those of the reported address; then the reported address is the operand's. That is
 * safe without a walk, whatever the guest did to its instruction or tables: what we touch is the
 * address at which the processor stopped this guest, in the direction it said, with the guest's own
 * registers. EXIT_GO_ON: mmio->operand is valid; any other result is the handler's answer.
 */
static enum exit_result locate(struct mmio *mmio)
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
	 * An instruction that reads and then writes may be reported as a read, by a processor that does it in two
	 * steps. Nobody has checked then whether the guest's own page tables allow the write: such an
	 * access is not plain, and is walked.
	 */
	mmio->is_plain = linear % PAGE_SIZE <= PAGE_SIZE - insn->size &&
			 mmio->is_write == insn->is_store;
	mmio->operand = operand_at(mmio->addr, insn->size);
	if (mmio->is_plain)
		return linear % PAGE_SIZE == mmio->addr.raw % PAGE_SIZE ? EXIT_GO_ON : EXIT_RESUME;

	operand_cpu_of(mmio->vcpu, &cpu);
	if (!operand_map(&cpu, insn->seg, offset, insn->size,
			 insn->is_store ? WALK_WRITE : WALK_READ, &mmio->operand, &fault))
		return operand_inject(mmio->vcpu, &fault);
	return operand_touches(&mmio->operand, mmio->addr) ? EXIT_GO_ON : EXIT_RESUME;
}

static bool has_bus_size(const struct insn *insn)
{
	return insn->size == 1 || insn->size == 2 || insn->size == 4 || insn->size == 8;
}

static enum exit_result emulate(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	struct mmio_form   form = mmio_form_of(insn->kind);
	enum exit_result   result;

	if (!form.run || (!form.is_wide && !has_bus_size(insn)))
		return mmio_unknown(mmio->vcpu, insn, mmio->addr, mmio->is_write);
	if (form.finds_operands)
		return form.run(mmio);
	/* An instruction without a memory operand, or of the other direction, is not the one that exited. */
	if (!insn->has_mem || !(mmio->is_write ? insn->is_store : insn->is_load))
		return EXIT_RESUME;
	result = locate(mmio);
	return result == EXIT_GO_ON ? form.run(mmio) : result;
}

/*
 * The short way for mov [base + index * scale + disp], register or immediate, and for the load: what locate
 * and `mov` in mmio_forms.c do together. False: the operand does not fit the report, and nothing was done;
 * the general way decides.
 */
static bool plain_mov(struct vcpu *vcpu, const struct insn *insn, gpa_t addr, bool is_write)
{
	uint64_t offset = addr.raw % PAGE_SIZE, linear = (uint64_t)insn->disp, val;

	if (insn->base >= 0)
		linear += vcpu->gpr[insn->base];
	if (insn->index >= 0)
		linear += vcpu->gpr[insn->index] * insn->scale;
	if (linear % PAGE_SIZE != offset || offset + insn->size > PAGE_SIZE ||
	    is_write != insn->is_store)
		return false;
	val = insn->src == SRC_IMM ? insn->imm : vcpu->gpr[insn->reg];	/* cut to size behind this, as what is read */
	device_access(vcpu, addr, insn->size, is_write, &val);
	if (!is_write && insn->size >= sizeof(uint32_t))
		vcpu->gpr[insn->reg] = val;		/* 32 bits clear the upper half */
	else if (!is_write)
		vcpu->gpr[insn->reg] = (vcpu->gpr[insn->reg] & ~size_mask(insn->size)) | val;
	return true;
}

/* A function of its own, so that the short way does not set up its struct. */
__attribute__((noinline))
static enum exit_result general_form(struct vcpu *vcpu, const struct insn *insn, gpa_t addr,
				     bool is_write)
{
	struct mmio mmio = { .vcpu = vcpu, .insn = insn, .addr = addr, .is_write = is_write };

	return emulate(&mmio);
}

/*
 * Bytes that the decoder does not know may be an instruction newer than it: at a hole that instruction
 * reads ones, too. If they are no instruction at all, the processor raises #UD when it executes them again.
 */
static enum exit_result no_instruction(struct vcpu *vcpu, enum fetch_result fetched, gpa_t addr, bool is_write)
{
	if (fetched == FETCH_UNDEFINED && !is_write && mmio_is_hole(vcpu->vm, addr))
		return mmio_unknown(vcpu, NULL, addr, is_write);
	return fetch_failed(vcpu, fetched, "no instruction can be read for the access to", addr.raw);
}

enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	const struct insn *insn;
	enum fetch_result  fetched = fetch_insn(vcpu, &insn);

	vcpu_touch(vcpu, is_write ? TOUCH_STORE : TOUCH_LOAD, addr.raw);
	if (fetched != FETCH_OK)
		return no_instruction(vcpu, fetched, addr, is_write);
	vcpu->exit.insn_len = insn->len;
	if (insn->is_plain_mov && plain_mov(vcpu, insn, addr, is_write))
		return EXIT_SKIP;
	return general_form(vcpu, insn, addr, is_write);
}
