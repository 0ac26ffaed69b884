/* SPDX-License-Identifier: MIT */
/* A virtual machine from one configuration record to its end (contract in vm_life.h). */
#include "hv/vm_life.h"

#include "arch/x86/exit/cpuid_policy.h"
#include "arch/x86/virt/backend.h"
#include "hv/dev/apic_wires.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/look.h"
#include "hv/machine.h"
#include "hv/memory_map.h"
#include "hv/page.h"
#include "hv/restore_test.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_timers.h"

_Static_assert(sizeof(struct vm) <= PAGE_SIZE * 4, "vm_create finds its pages in one piece");

#define TABLES_SPARE	32U	/* nested tables: the upper levels, device windows, the edges of RAM */
#define VCPU_BYTES	(64ULL << 10)	/* more than a vCPU takes: its struct, extended state, control block and bitmaps */

_Static_assert(sizeof(struct vcpu) <= VCPU_BYTES / 2, "the other half is for what the back end and its extended state take");

static size_t pages_for(size_t bytes)
{
	return (size_t)(align_up(bytes, PAGE_SIZE) / PAGE_SIZE);
}

/* A device has put work off, which is done in a turn of the VM at its home. Here: leave the run loop. */
static void wake_for_work(void *ctx)
{
	const struct vm *vm = ctx;

	look_post(vm->look);
	if (look_is_here(vm->look))
		host_attention_set();
}

static int create_memory(struct vm *vm)
{
	struct memory_map map;

	memory_map_slots(&map, vm->config->memory);
	for (size_t i = 0; i < map.count; i++)
		if (gpm_add_slot(&vm->gpm, gpa(map.ranges[i].start), map.ranges[i].length))
			return -1;
	if (npt_init(&vm->npt, virt->npt))
		return -1;
	vm->npt.small_code = virt->caps->small_code;
	return 0;
}

/* The VM needs more memory than it was promised, and no unpromised memory is left: it ends, no other VM does. */
static void out_of_memory(void *ctx)
{
	struct vm *vm = ctx;

	vm_kill(vm, "out of memory: it has %lu MiB of the host's, the rest is promised to others",
		vm->account->used >> 20);
}

/*
 * What we need for it beside its RAM: its vCPUs; for each GiB a nested table and a directory of gpm's; a table for each
 * chunk that is mapped in small pages, and a few more.
 */
static uint64_t own_bytes(const struct vm *vm, uint64_t ram)
{
	const uint64_t small = vm->npt.small_code ? ram / LARGE_SIZE : 2 * vm->gpm.slot_count;
	const uint64_t tables = (TABLES_SPARE + 2 * (ram >> 30) + small) * PAGE_SIZE;

	return align_up(tables + vm->config->vcpus * VCPU_BYTES, LARGE_SIZE);
}

/* An earlier life of it may have been promised all of it. */
static bool open_account(const struct vm *vm, uint64_t need)
{
	if (vm->account->promise)
		return true;
	if (!vm->config->overcommit)
		return account_open(vm->account, need);
	if (need > account_unclaimed())
		log_warn("TZ-W021 %s may need %lu MiB, %lu MiB are free and promised to nobody: it stops when it finds none left",
			 vm->name, need >> 20, account_unclaimed() >> 20);
	return true;
}

/*
 * From here on the host has the memory it will need, or it was told that it may get none. Some tables are
 * there already.
 */
static bool promise_memory(struct vm *vm)
{
	const uint64_t ram = gpm_chunk_bytes(&vm->gpm), tables = vm->npt.tables * PAGE_SIZE;
	uint64_t need = ram + own_bytes(vm, ram);

	for (uint32_t n = 0; n < HANDOFF_DISKS_MAX; n++)
		need += memdisk_copy_bytes(&vm->machine->disks[n]);
	if (!open_account(vm, need) || !account_take(vm->account, tables))
		return false;
	account_settle(vm->account, tables, true);
	for (uint32_t n = 0; n < HANDOFF_DISKS_MAX; n++)
		vm->machine->disks[n].account = vm->account;
	vm->gpm.account = vm->npt.account = vm->account;
	return true;
}

static struct vm *vm_fail(struct vm *vm, const char *what)
{
	log_error("%s: cannot be created: %s (RAM %lu MiB; the host has %lu MiB that are promised to nobody)", vm->name, what,
		  vm->config->memory >> 20, account_unclaimed() >> 20);
	vm_take_down(vm);
	while (!vm_dismantle(vm))
		continue;
	return NULL;
}

_Static_assert(HANDOFF_MEMORY_MAX + MEMORY_4GIB - MEMORY_DEVICE_HOLE <= (uint64_t)GPM_GIB_MAX << 30,
	       "the largest VM that a configuration may ask for lies below GPM's end");

/* What needs no memory, of a VM that is all zero. */
static void fill_in(struct vm *vm, const struct handoff_vm *config, struct account *account, struct turn *payer,
		    struct look *look)
{
	static _Atomic uint32_t last_id;	/* several processors create VMs */

	vm->config = config;
	vm->account = account;
	account->exceeded = out_of_memory;
	account->ctx = vm;
	vm->clock.payer = payer;
	vm->clock.timers = &vm->timers;
	vm_timers_init(vm, payer);
	vm->look = look;
	vm->id = ++last_id;
	vm->exit_code = -1;
	vm->restore_test.left = config->test_restore;
	text_copy(vm->name, config->name, sizeof(vm->name));
	bus_init(&vm->pio, "ports");
	bus_init(&vm->mmio, "memory");
	vm->work.wake = wake_for_work;
	vm->work.ctx = vm;
}

struct vm *vm_create(const struct handoff_vm *config, struct account *account, struct turn *payer, struct look *look)
{
	uint64_t   before = page_free_bytes(), free;
	struct vm *vm = page_alloc_contiguous(pages_for(sizeof(*vm)));

	if (!vm) {
		log_error("%s: cannot be created: no memory", config->name);
		return NULL;
	}
	fill_in(vm, config, account, payer, look);
	if (!config->vcpus || config->vcpus > VM_VCPUS_MAX)
		return vm_fail(vm, "vcpus is out of range");
	if (create_memory(vm))
		return vm_fail(vm, "no memory for its page tables");
	vm->cpuid = cpuid_create(config->vcpus, config->test_apic);
	if (!vm->cpuid)
		return vm_fail(vm, "no memory for its CPUID table");
	vm->machine = page_alloc_contiguous(pages_for(sizeof(*vm->machine)));
	if (!vm->machine)
		return vm_fail(vm, "no memory for its devices");
	if (machine_create(vm))
		return vm_fail(vm, "a device could not be built");
	vm->start = page_alloc();
	if (!vm->start)
		return vm_fail(vm, "no memory to start it");
	if (!promise_memory(vm))
		return vm_fail(vm, "not enough memory: lower \"memory\" in its configuration, or let \"overcommit = yes\" risk it");
	/* It can be more than before: another processor gives pages back meanwhile. */
	free = page_free_bytes() + vm->npt.tables * PAGE_SIZE;
	vm->overhead = excess_u64(before, free);
	return vm;
}

/* ---- Its processors ---- */

static void free_vcpu(struct vm *vm, uint32_t id)
{
	vcpu_destroy(vm->vcpus[id]);
	page_free_contiguous(vm->vcpus[id], pages_for(sizeof(struct vcpu)));
	vm->vcpus[id] = NULL;
}

/* What is half built goes at once. */
static bool build_vcpu(struct vm *vm, uint32_t id)
{
	vm->vcpus[id] = page_alloc_contiguous(pages_for(sizeof(struct vcpu)));
	if (!vm->vcpus[id])
		return false;
	if (!vcpu_init(vm->vcpus[id], vm, id, &apic_wires))
		return true;
	free_vcpu(vm, id);
	return false;
}

bool vm_add_vcpu(struct vm *vm)
{
	const uint64_t before = page_free_bytes();
	bool is_built;

	if (!account_take(vm->account, VCPU_BYTES))
		return false;
	is_built = build_vcpu(vm, vm->vcpu_count);
	account_settle(vm->account, VCPU_BYTES, is_built);
	if (!is_built)
		return false;
	vm->vcpu_count++;
	vm->overhead += excess_u64(before, page_free_bytes());
	return true;
}

/* The last one first. True: none is left. */
static bool remove_vcpu(struct vm *vm)
{
	if (!vm->vcpu_count)
		return true;
	account_give(vm->account, VCPU_BYTES);
	free_vcpu(vm, --vm->vcpu_count);
	return false;
}

/* ---- The end ---- */

/* Those that run on other processors leave their run loops. */
static void recall_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_request(vm->vcpus[i], REQUEST_END);
}

static void stop_vcpu_timers(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		timer_disarm(&vm->vcpus[i]->lapic.timer);
}

void vm_take_down(struct vm *vm)
{
	vm->state = VM_ENDING;
	recall_vcpus(vm);
	/* What is forgotten here would be called after its memory has gone. All vCPUs are here, so their timers are too. */
	vm_timers_end(vm);
	stop_vcpu_timers(vm);
	if (vm->machine)
		machine_stop(vm);
}

bool vm_dismantle(struct vm *vm)
{
	if (vm->machine) {
		if (!machine_release(vm))
			return false;
		page_free_contiguous(vm->machine, pages_for(sizeof(*vm->machine)));
		vm->machine = NULL;
	}
	if (!remove_vcpu(vm) || !npt_release(&vm->npt) || !gpm_release(&vm->gpm))
		return false;
	page_free(vm->start);
	restore_test_end(vm);
	page_free(vm->cpuid);
	page_free_contiguous(vm, pages_for(sizeof(*vm)));
	return true;
}
