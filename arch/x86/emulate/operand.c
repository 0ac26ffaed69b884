/* SPDX-License-Identifier: MIT */
/*
 * Memory operands of emulated instructions (contract in operand.h). SDM vol. 3, chapter 5
 * "Protection": 5.3 "Limit Checking", 5.4 "Type Checking"; vol. 1, 3.7.5 "Specifying an Offset".
 */
#include "arch/x86/emulate/operand.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/cpu_state.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define BUS_WIDTH	8U

void operand_cpu_of(struct vcpu *vcpu, struct operand_cpu *cpu)
{
	cpu->vcpu = vcpu;
	cpu->mode = vcpu_mode(vcpu);
	walk_cpu_of(vcpu, &cpu->walk);
}

uint64_t operand_base64(struct vcpu *vcpu, uint8_t seg)
{
	if (seg < SEG_FS)
		return 0;
	return virt->get(vcpu, seg == SEG_FS ? REG_FS_BASE : REG_GS_BASE);
}

uint64_t operand_offset(struct vcpu *vcpu, const struct insn *insn)
{
	uint64_t offset = (uint64_t)insn->disp;

	if (insn->base >= 0)
		offset += vcpu_gpr(vcpu, (enum gpr)insn->base);
	if (insn->index >= 0)
		offset += vcpu_gpr(vcpu, (enum gpr)insn->index) * insn->scale;
	if (insn->is_rip_relative)
		offset += vcpu->exit.rip + insn->len;
	return offset & size_mask(insn->addr_size);
}

/* Outside 64-bit mode: presence, type and limit. In real mode every segment is present, writable data. */
static bool segment_allows(const struct segment *seg, uint64_t offset, unsigned size, bool is_write)
{
	uint64_t last = offset + size - 1;
	bool     is_code = seg->rights & TYPE_CODE;

	if (seg->rights & SEG_UNUSABLE || !(seg->rights & SEG_P))
		return false;
	if (is_write && (is_code || !(seg->rights & TYPE_RW)))
		return false;
	if (!is_write && is_code && !(seg->rights & TYPE_RW))
		return false;
	if (!is_code && (seg->rights & TYPE_DOWN))
		return offset > seg->limit && last <= size_mask(seg->rights & SEG_DB ? 4 : 2);
	return last <= seg->limit;
}

static bool linear_address(const struct operand_cpu *cpu, uint8_t seg_name, uint64_t offset,
			   unsigned size, bool is_write, gva_t *addr)
{
	struct segment seg;

	if (cpu->mode == INSN_64) {
		*addr = gva(operand_base64(cpu->vcpu, seg_name) + offset);
		return is_canonical(addr->raw) && is_canonical(addr->raw + size - 1);
	}
	virt->get_seg(cpu->vcpu, (enum guest_seg)seg_name, &seg);
	*addr = gva(lo32(seg.base + offset));
	/* In real mode the type is not checked, and CS may be written. */
	if (!(cpu->walk.cr0 & CR0_PE))
		return offset + size - 1 <= seg.limit;
	return segment_allows(&seg, offset, size, is_write);
}

bool operand_map(const struct operand_cpu *cpu, uint8_t seg, uint64_t offset, unsigned size,
		 enum walk_access access, struct operand *operand, struct operand_fault *fault)
{
	struct gpm *gpm = &cpu->vcpu->vm->gpm;
	unsigned    done = 0;

	*fault = (struct operand_fault){ .vector = seg == SEG_SS ? VEC_SS : VEC_GP };
	if (!linear_address(cpu, seg, offset, size, access == WALK_WRITE, &fault->addr))
		return false;
	for (operand->count = 0; done < size; operand->count++) {
		gva_t    pos = gva_add(fault->addr, done);
		unsigned part = (unsigned)min_u64(size - done, PAGE_SIZE - pos.raw % PAGE_SIZE);
		uint32_t error;

		operand->piece[operand->count].len = part;
		if (!walk_gva(gpm, &cpu->walk, pos, access, &operand->piece[operand->count].addr,
			      &error)) {
			fault->vector = error == WALK_NOT_RAM ? 0 : VEC_PF;
			fault->error = error;
			fault->addr = pos;
			return false;
		}
		if (!gpm_touch(gpm, operand->piece[operand->count].addr, part)) {
			fault->vector = OPERAND_AGAIN;
			return false;
		}
		done += part;
	}
	return true;
}

bool operand_touches(const struct operand *operand, gpa_t addr)
{
	for (unsigned i = 0; i < operand->count; i++)
		if (operand->piece[i].addr.raw / PAGE_SIZE == addr.raw / PAGE_SIZE)
			return true;
	return false;
}

void device_access(struct vcpu *vcpu, gpa_t addr, unsigned size, bool is_write, uint64_t *val)
{
	struct lapic *lapic = &vcpu->lapic;
	bool is_apic = (addr.raw & ~(PAGE_SIZE - 1)) == (lapic->s.base_msr & APIC_BASE_PAGE) &&
		       (lapic->s.base_msr & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE;

	if (!is_apic)
		bus_access(&vcpu->mmio, addr.raw, size, is_write, val);
	else if (is_write)
		lapic_mmio_write(lapic, addr.raw % PAGE_SIZE, size, *val);
	else
		*val = lapic_mmio_read(lapic, addr.raw % PAGE_SIZE, size) & size_mask(size);
}

/* The largest power of two that is no more than len. */
static unsigned bus_unit(unsigned len)
{
	unsigned unit = BUS_WIDTH;

	while (unit > len)
		unit /= 2;
	return unit;
}

/*
 * Access a device in units of 1, 2, 4 or 8 bytes, which is what a bus carries: an operand may have another
 * length because it crosses a page or belongs to a wide register. The bytes are read into `to`, or written
 * from `from` when `to` is NULL.
 */
static void device_bytes(struct vcpu *vcpu, gpa_t addr, unsigned len, uint8_t *to,
			 const uint8_t *from)
{
	for (unsigned done = 0; done < len; ) {
		unsigned unit = bus_unit(len - done);
		uint64_t part = 0;

		if (!to)
			memcpy(&part, from + done, unit);
		device_access(vcpu, gpa_add(addr, done), unit, !to, &part);
		if (to)
			memcpy(to + done, &part, unit);
		done += unit;
	}
}

void operand_load(struct vcpu *vcpu, const struct operand *operand, void *to)
{
	uint8_t *bytes = to;

	for (unsigned i = 0; i < operand->count; i++) {
		unsigned len = operand->piece[i].len;

		if (!gpm_read(&vcpu->vm->gpm, operand->piece[i].addr, bytes, len))
			device_bytes(vcpu, operand->piece[i].addr, len, bytes, NULL);
		bytes += len;
	}
}

void operand_store(struct vcpu *vcpu, const struct operand *operand, const void *from)
{
	const uint8_t *bytes = from;

	for (unsigned i = 0; i < operand->count; i++) {
		unsigned len = operand->piece[i].len;

		if (!gpm_write(&vcpu->vm->gpm, operand->piece[i].addr, bytes, len))
			device_bytes(vcpu, operand->piece[i].addr, len, NULL, bytes);
		bytes += len;
	}
}

uint64_t operand_read(struct vcpu *vcpu, const struct operand *operand)
{
	uint64_t val = 0;

	operand_load(vcpu, operand, &val);
	return val;
}

void operand_write(struct vcpu *vcpu, const struct operand *operand, uint64_t val)
{
	operand_store(vcpu, operand, &val);
}

enum exit_result operand_inject(struct vcpu *vcpu, const struct operand_fault *fault)
{
	if (!fault->vector)
		return exit_fatal(vcpu, "the guest's page tables are not in memory, linear",
				  fault->addr.raw);
	if (fault->vector == OPERAND_AGAIN)
		exit_progress(vcpu);
	else if (fault->vector == VEC_PF)
		vcpu_inject_pf(vcpu, fault->addr.raw, fault->error);
	else
		vcpu_inject(vcpu, fault->vector, true, 0);
	return EXIT_RESUME;
}
