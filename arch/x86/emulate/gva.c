/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's guest-linear memory: copies through its page tables, RAM only (contract in walk.h).
 * Access rights are those of the guest's current privilege level, or a supervisor's (gva_*_system). The walk itself is in
 * walk.c.
 */
#include "arch/x86/emulate/walk.h"

#include "arch/x86/host/features.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define PAE_POINTER_P		BIT(0)
#define PAE_POINTER_RESERVED	(FIELD(2, 1) | FIELD(8, 5))	/* SDM vol. 3, 4.4.1; APM vol. 2, 5.2.3 */
#define PAE_POINTER_ACCESSED	BIT(5)

/* Each virt->get may be a VMREAD, so only what matters is read: without paging only CR0, without SMAP no RFLAGS. */
void walk_cpu_of(struct vcpu *vcpu, struct walk_cpu *cpu)
{
	*cpu = (struct walk_cpu){ .cr0 = virt->get(vcpu, REG_CR0) };
	if (!(cpu->cr0 & CR0_PG))
		return;
	cpu->cr3 = virt->get(vcpu, REG_CR3);
	cpu->cr4 = virt->get(vcpu, REG_CR4);
	cpu->efer = virt->get(vcpu, REG_EFER);
	cpu->cpl = vcpu_cpl(vcpu);
	cpu->phys_bits = cpu_features.phys_bits;
	if (cpu->cr4 & CR4_SMAP)
		cpu->rflags = virt->get(vcpu, REG_RFLAGS);
}

/* A copy in either direction: one of the buffers is NULL. */
struct gva_copy {
	struct vcpu     *vcpu;
	struct walk_cpu  cpu;
	enum walk_access access;
	void            *to;		/* guest to buffer */
	const void      *from;		/* buffer to guest; both NULL: check whether a write would be allowed, copy nothing */
	bool             is_system;
};

static bool copy_page(struct gva_copy *copy, gva_t addr, size_t done, size_t part, uint32_t *error)
{
	struct gpm *gpm = &copy->vcpu->vm->gpm;
	gpa_t       where;
	bool        is_ram;

	if (!walk_gva(gpm, &copy->cpu, addr, copy->access, &where, error))
		return false;
	if (!gpm_touch(gpm, where, part)) {
		*error = WALK_POPULATED;
		return false;
	}
	if (!copy->to && !copy->from)
		is_ram = gpm_is_ram(gpm, where, part);
	else if (copy->to)
		is_ram = gpm_read(gpm, where, (uint8_t *)copy->to + done, part);
	else
		is_ram = gpm_write(gpm, where, (const uint8_t *)copy->from + done, part);
	if (!is_ram)
		*error = WALK_NOT_RAM;
	return is_ram;
}

static bool copy_pages(struct gva_copy *copy, gva_t addr, size_t len, gva_t *fault, uint32_t *error)
{
	size_t done = 0;

	while (done < len) {
		gva_t  pos = gva_add(addr, done);
		size_t part = min_size(len - done, (size_t)(PAGE_SIZE - pos.raw % PAGE_SIZE));

		if (!copy_page(copy, pos, done, part, error)) {
			*fault = pos;
			return false;
		}
		done += part;
	}
	return true;
}

static bool copy_all(struct gva_copy *copy, gva_t addr, size_t len, gva_t *fault, uint32_t *error)
{
	walk_cpu_of(copy->vcpu, &copy->cpu);
	if (copy->is_system) {
		copy->cpu.cpl = 0;
		copy->cpu.rflags &= ~RFLAGS_AC;
	}
	return copy_pages(copy, addr, len, fault, error);
}

bool gva_read(struct vcpu *vcpu, gva_t addr, void *to, size_t len, gva_t *fault, uint32_t *error)
{
	struct gva_copy copy = { .vcpu = vcpu, .access = WALK_READ, .to = to };

	return copy_all(&copy, addr, len, fault, error);
}

bool gva_read_system(struct vcpu *vcpu, gva_t addr, void *to, size_t len, gva_t *fault, uint32_t *error)
{
	struct gva_copy copy = { .vcpu = vcpu, .access = WALK_READ, .to = to, .is_system = true };

	return copy_all(&copy, addr, len, fault, error);
}

bool gva_write_system(struct vcpu *vcpu, gva_t addr, const void *from, size_t len, gva_t *fault,
		      uint32_t *error)
{
	struct gva_copy copy = { .vcpu = vcpu, .access = WALK_WRITE, .from = from, .is_system = true };

	return copy_all(&copy, addr, len, fault, error);
}

bool gva_read_through(struct vcpu *vcpu, const struct walk_cpu *cpu, gva_t addr, void *to, size_t len)
{
	struct gva_copy copy = { .vcpu = vcpu, .cpu = *cpu, .access = WALK_READ, .to = to };
	uint32_t error;
	gva_t    fault;

	return copy_pages(&copy, addr, len, &fault, &error);
}

bool walk_is_pae(struct vcpu *vcpu)
{
	return (virt->get(vcpu, REG_CR0) & CR0_PG) && (virt->get(vcpu, REG_CR4) & CR4_PAE) &&
	       !(virt->get(vcpu, REG_EFER) & EFER_LMA);
}

bool walk_pae_pointers(struct vcpu *vcpu, uint64_t cr3, uint64_t pointers[PAE_POINTERS])
{
	uint64_t reserved = PAE_POINTER_RESERVED | FIELD(63, cpu_features.phys_bits);
	bool     are_good = true;

	if (quirks.marks_pae_pointers)
		reserved &= ~PAE_POINTER_ACCESSED;
	for (unsigned i = 0; i < PAE_POINTERS; i++) {
		if (!gpm_read64(&vcpu->vm->gpm, gpa((cr3 & PAE_ROOT) + i * sizeof(uint64_t)), &pointers[i]))
			pointers[i] = 0;
		if (!(pointers[i] & PAE_POINTER_P) || !(pointers[i] & reserved))
			continue;
		pointers[i] = 0;
		are_good = false;
	}
	return are_good;
}

gva_t gva_of_rip(struct vcpu *vcpu, enum insn_mode mode)
{
	struct segment cs;

	if (mode == INSN_64)
		return gva(vcpu->exit.rip);
	virt->get_seg(vcpu, SEG_CS, &cs);
	return gva(lo32(cs.base + vcpu->exit.rip));
}

/* Page by page, so that an instruction just before a missing page is still found. */
size_t gva_fetch_insn(struct vcpu *vcpu, uint8_t *bytes)
{
	struct gva_copy copy = { .vcpu = vcpu, .access = WALK_FETCH, .to = bytes };
	gva_t    start = gva_of_rip(vcpu, vcpu_mode(vcpu));
	size_t   done = min_size(INSN_MAX, (size_t)(PAGE_SIZE - start.raw % PAGE_SIZE));
	uint32_t error;

	walk_cpu_of(vcpu, &copy.cpu);
	if (!copy_page(&copy, start, 0, done, &error))
		return 0;
	if (done < INSN_MAX &&
	    copy_page(&copy, gva_add(start, done), done, INSN_MAX - done, &error))
		done = INSN_MAX;
	return done;
}
