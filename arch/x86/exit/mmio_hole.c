/* SPDX-License-Identifier: MIT */
/*
 * An instruction for which there is no form, at an address where there is neither RAM nor a device. What a
 * PC does there needs no knowledge of the instruction: reads give ones, writes vanish.
 *
 * A read is left to the processor: a page full of ones is mapped there, readable only, and the instruction
 * runs again. One page serves all VMs, because nobody can write to it. A write is stepped over if all that
 * the instruction does in memory is to write its ModRM operand. At a device nothing may be guessed: that VM
 * stops, and the instruction is named.
 */
#include "arch/x86/exit/mmio.h"

#include <stdatomic.h>

#include "arch/x86/emulate/fetch.h"
#include "arch/x86/hw/pte.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/npt.h"
#include "hv/lib/shared.h"
#include "hv/lib/string.h"
#include "hv/page.h"
#include "hv/spread.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/*
 * Each page of ones may need nested tables of its own: so many, or a guest could fill the host's memory
 * with tables.
 */
#define HOLE_PAGES_MAX	64U

static void *_Atomic ones;	/* never freed */

/* Two processors may make it at once: the first one stays, for mmio_hole_forget knows only one. */
static hpa_t page_of_ones(void)
{
	void *page = ones, *nobodys = NULL;

	if (page)
		return ptr_hpa(page);
	page = page_alloc();
	if (!page)
		return hpa(0);
	memset(page, 0xff, PAGE_SIZE);
	if (atomic_compare_exchange_strong(&ones, &nobodys, page))
		return ptr_hpa(page);
	page_free(page);
	return ptr_hpa(nobodys);
}

static gpa_t page_start(gpa_t addr) { return gpa(align_down(addr.raw, PAGE_SIZE)); }

static bool holds_an_apic(const struct vm *vm, gpa_t page)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (page_start(gpa(shared_read64(&vm->vcpus[i]->lapic.s.base_msr))).raw == page.raw)
			return true;
	return false;
}

bool mmio_is_hole(struct vm *vm, gpa_t addr)
{
	gpa_t page = page_start(addr);

	for (size_t i = 0; i < vm->mmio.count; i++) {
		const struct bus_range *range = &vm->mmio.ranges[i];

		if (range->start - page.raw < PAGE_SIZE || page.raw - range->start < range->length)
			return false;
	}
	return !gpm_is_ram(&vm->gpm, page, PAGE_SIZE) && !holds_an_apic(vm, page);
}

/*
 * Four levels translate 48 bits; a processor may have more, and then a higher address would be taken for a
 * lower one.
 */
static bool is_beyond_tables(gpa_t page)
{
	return page.raw >> pt_shift(NPT_LEVELS + 1);
}

/* By whoever holds the memory's lock, if there is one. */
static bool reads_ones(const struct vm *vm, gpa_t page)
{
	hpa_t    mapped;
	unsigned rights;
	uint64_t size;

	return npt_lookup(&vm->npt, page, &mapped, &rights, &size) && hpa_ptr(mapped) == ones;
}

/* Take the page of ones away, if one is there, and have all vCPUs forget it. */
static void forget(struct vm *vm, gpa_t page)
{
	bool was_there;

	memory_take(vm);
	was_there = reads_ones(vm, page) && npt_unmap(&vm->npt, page, PAGE_SIZE);
	memory_drop(vm);
	for (uint32_t i = 0; was_there && i < vm->vcpu_count; i++)
		vcpu_request(vm->vcpus[i], REQUEST_FLUSH);
}

/* A sibling that read there at the same moment may have mapped it: then it is counted already. */
static int map_ones(struct vm *vm, gpa_t page, hpa_t hole)
{
	int result = 0;

	memory_take(vm);
	if (reads_ones(vm, page))
		vm->hole_pages--;
	else
		result = npt_map(&vm->npt, page, hole, PAGE_SIZE, NPT_R, false);
	memory_drop(vm);
	return result;
}

static enum exit_result let_read_ones(struct vcpu *vcpu, gpa_t addr)
{
	struct vm *vm = vcpu->vm;
	gpa_t page = page_start(addr);
	hpa_t hole;

	if (is_beyond_tables(page))
		return exit_fatal(vcpu, "the guest uses an address that four levels of nested tables cannot name:", addr.raw);
	if (atomic_fetch_add(&vm->hole_pages, 1) >= HOLE_PAGES_MAX)	/* before the look at the APICs' pages behind */
		return exit_fatal(vcpu, "the guest reads everywhere where nothing is, last at", page.raw);
	hole = page_of_ones();
	if (!hole.raw || map_ones(vm, page, hole))
		return exit_fatal(vcpu, "the host is out of memory for page tables at", page.raw);
	if (!mmio_is_hole(vm, page))	/* a sibling has moved its local APIC there meanwhile */
		forget(vm, page);
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/* The fence: its APIC's new page is written before a sibling that maps one is looked for; that one looks the other way round. */
void mmio_hole_forget(struct vcpu *vcpu, uint64_t apic_base)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (vcpu->vm->hole_pages)
		forget(vcpu->vm, page_start(gpa(apic_base)));
}

/* insn is NULL when the decoder does not know the instruction. */
enum exit_result mmio_unknown(struct vcpu *vcpu, const struct insn *insn, gpa_t addr, bool is_write)
{
	if (!mmio_is_hole(vcpu->vm, addr)) {
		fetch_log(vcpu, "cannot emulate a device access");
		return exit_fatal(vcpu, "instruction not emulated, device address", addr.raw);
	}
	if (!vcpu->vm->hole_pages && !atomic_exchange(&vcpu->vm->hole_noted, true))
		fetch_log(vcpu, "no RAM and no device: reads give ones, writes vanish");
	if (!is_write)
		return let_read_ones(vcpu, addr);
	if (insn && insn->writes_operand)
		return EXIT_SKIP;
	return exit_fatal(vcpu, "the guest uses memory where there is neither RAM nor a device:", addr.raw);
}

/*
 * The processor itself accesses the address while it delivers an event: it reads a gate or a descriptor, or
 * writes to the stack. The event is delivered again with the next entry, and then the processor reads ones.
 * What a device would answer, and where the rest of a lost stack frame would go, nobody but the processor
 * could work out.
 */
enum exit_result mmio_in_delivery(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	if (!mmio_is_hole(vcpu->vm, addr))
		return exit_fatal(vcpu, "an exception or interrupt is delivered by way of a device's memory:", addr.raw);
	if (!is_write)
		return let_read_ones(vcpu, addr);
	return exit_fatal(vcpu, "the guest's stack is where there is neither RAM nor a device:", addr.raw);
}
