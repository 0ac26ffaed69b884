/* SPDX-License-Identifier: MIT */
/*
 * A nested page fault (EPT violation, #NPF): RAM that is touched for the first time gets memory; any other
 * address is a device's or nobody's. RAM comes in chunks of 2 MiB, each mapped as one large page. The last
 * chunk of a RAM whose size is no multiple of 2 MiB is mapped in 4 KiB pages, all of them at once, so that
 * it faults no more than twice.
 */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/npt.h"
#include "hv/spread.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* Apart, or each chunk would pay for the registers of this loop. */
__attribute__((noinline)) static int map_pages(struct vm *vm, gpa_t start, hpa_t chunk)
{
	for (uint64_t offset = 0; offset < LARGE_SIZE; offset += PAGE_SIZE)
		if (gpm_is_ram(&vm->gpm, gpa_add(start, offset), PAGE_SIZE) &&
		    npt_map(&vm->npt, gpa_add(start, offset), hpa_add(chunk, offset), PAGE_SIZE, NPT_RWX, false))
			return -1;
	return 0;
}

static int map_chunk(struct vm *vm, gpa_t start, hpa_t chunk, bool is_whole)
{
	return is_whole ? npt_map(&vm->npt, start, chunk, LARGE_SIZE, NPT_RWX, false) : map_pages(vm, start, chunk);
}

/* Likewise: only where there was no memory. */
__attribute__((noinline)) static bool is_ram(const struct vcpu *vcpu, gpa_t addr)
{
	return gpm_is_ram(&vcpu->vm->gpm, addr, 1);
}

/*
 * Nothing is mapped at this address: map it if it is RAM. EXIT_GO_ON: it is not. A function of its own, so
 * that the way to a device stays short. By whoever holds the lock of the VM's memory, if there is one.
 */
__attribute__((noinline)) static enum exit_result touch(struct vcpu *vcpu, gpa_t addr)
{
	struct vm *vm = vcpu->vm;
	uint64_t   before = vm->gpm.populated;
	bool       is_whole;
	hpa_t      chunk = gpm_populate(&vm->gpm, addr, &is_whole);

	/* Zeroing a chunk and mapping it page by page are too long for one exit: it is mapped at the next. */
	if (chunk.raw && !is_whole && vm->gpm.populated != before) {
		exit_progress(vcpu);
		return EXIT_RESUME;
	}
	if (chunk.raw && !map_chunk(vm, gpa(align_down(addr.raw, LARGE_SIZE)), chunk, is_whole)) {
		exit_progress(vcpu);
		return EXIT_RESUME;
	}
	if (!chunk.raw && !is_ram(vcpu, addr))
		return EXIT_GO_ON;
	/* More RAM was promised than there is: the guest that needs it now pays, nobody else. */
	return exit_fatal(vcpu, "the host is out of memory for guest RAM at", addr.raw);
}

__attribute__((noinline)) static enum exit_result touch_locked(struct vcpu *vcpu, gpa_t addr)
{
	enum exit_result result;

	memory_take(vcpu->vm);
	result = touch(vcpu, addr);
	memory_drop(vcpu->vm);
	return result;
}

/*
 * On processors with the page-size erratum a guest that changes the size of a page it executes can stop the whole
 * machine with a machine check (CVE-2018-12207, XSA-304). Its code runs from small nested pages there, of which
 * the size never changes; data stays in large ones.
 */
__attribute__((noinline)) static enum exit_result run_from_small_pages(struct vcpu *vcpu, gpa_t addr)
{
	int split;

	memory_take(vcpu->vm);
	split = npt_split_code(&vcpu->vm->npt, addr);
	memory_drop(vcpu->vm);
	if (!split)
		return EXIT_GO_ON;
	virt->flush(vcpu);
	exit_progress(vcpu);
	return split > 0 ? EXIT_RESUME :
			   exit_fatal(vcpu, "the host is out of memory for page tables at", addr.raw);
}

/* The access is not one of the instruction at RIP, so that instruction must not be emulated for it. */
__attribute__((noinline)) static enum exit_result not_by_instruction(struct vcpu *vcpu, const struct npt_fault *fault)
{
	enum exit_result result;

	if (fault->is_fetch) {
		result = run_from_small_pages(vcpu, fault->addr);
		return result != EXIT_GO_ON ? result :
			exit_fatal(vcpu, "the guest executes where there is no memory:", fault->addr.raw);
	}
	if (fault->in_walk)
		return exit_fatal(vcpu, "the guest's page tables are not in memory:", fault->addr.raw);
	return mmio_in_delivery(vcpu, fault->addr, fault->is_write);
}

/*
 * While an event is being delivered (vcpu->pending) the processor reads the IDT and other tables and writes
 * to the stack. What is rare takes one branch together, because each notification of a virtio device comes by
 * here.
 */
enum exit_result exit_npt(struct vcpu *vcpu, const struct npt_fault *fault)
{
	if (!fault->was_mapped) {
		enum exit_result result = vcpu->vm->is_spread ? touch_locked(vcpu, fault->addr) : touch(vcpu, fault->addr);

		if (result != EXIT_GO_ON)
			return result;
	}
	if (fault->is_fetch | fault->in_walk | vcpu->pending.is_valid)
		return not_by_instruction(vcpu, fault);
	return exit_mmio(vcpu, fault->addr, fault->is_write);
}
