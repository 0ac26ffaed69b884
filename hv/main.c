/* SPDX-License-Identifier: MIT */
/* From the first C function to the last: what starts, in which order, and why. */
#include "arch/x86/virt/backend.h"
#include "drivers/uart16550.h"
#include "hv/console.h"
#include "hv/end.h"
#include "hv/files.h"
#include "hv/host.h"
#include "hv/last_words.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/node.h"
#include "hv/page.h"
#include "hv/panic.h"
#include "hv/sched.h"
#include "hv/slots.h"
#include "hv/timer.h"

void hv_main(uint64_t handoff_address);

/* The loader's until keep_handoff has made a copy. */
static const struct handoff *handoff;

static void check_handoff(const struct handoff *from)
{
	if (from->magic != HANDOFF_MAGIC || from->version != HANDOFF_VERSION || from->size != sizeof(*from))
		panic("the loader on the boot disk does not belong to this hypervisor: copy both files again");
	if (from->region_count > HANDOFF_REGIONS_MAX || from->file_count > HANDOFF_FILES_MAX ||
	    from->cpu_count > HANDOFF_CPUS_MAX || from->vm_count > HANDOFF_VMS_MAX)
		panic("the loader's handoff is damaged");
}

/*
 * Our own copy, because the original lies in memory that page_give takes back. It takes pages and no static
 * variable: a machine has one VM or a few, seldom all that the array has room for.
 */
static void keep_handoff(void)
{
	size_t size = offsetof(struct handoff, vms) + handoff->vm_count * sizeof(handoff->vms[0]);
	struct handoff *copy = page_alloc_contiguous(align_up(size, PAGE_SIZE) / PAGE_SIZE);

	if (!copy)
		panic("no memory for a copy of the loader's handoff");
	memcpy(copy, handoff, size);
	handoff = copy;
	end_init(handoff->host.run_id);	/* it keeps the pointer */
}

static void give_back_loader_memory(void)
{
	for (uint32_t i = 0; i < handoff->region_count; i++)
		if (handoff->regions[i].kind == REGION_LOADER)
			page_give(hpa(handoff->regions[i].start), handoff->regions[i].length);
}

/* On a real machine the report is only on the screen, which goes dark at the end; emulators and tests keep a log. */
static bool is_only_on_screen(void)
{
	return handoff->framebuffer.base && !host_is_virtual();
}

__attribute__((noreturn)) static void finish(uint32_t failed, const char *text)
{
	log_flush();
	end_say_longest();
	end_say(failed ? 1U : 0U, text);
	log_flush();
	if (handoff->host.stay_on)
		host_halt();
	if (failed && is_only_on_screen())
		last_words_wait();
	host_power_off(handoff->efi_reset_system);
}

static void start_machine(void)
{
	nodes_init(handoff);			/* page_init asks of which node a page is */
	page_init(handoff);			/* memory first: everything else asks for pages */
	host_init_memory(handoff);		/* then our own tables: the firmware's may vanish */
	keep_handoff();
	give_back_loader_memory();		/* nothing points into the loader's memory any more */
	console_init(&handoff->framebuffer);	/* from here on the log is visible */
	host_init_clock(handoff);
	serial_enable_interrupts();		/* from here on output no longer waits for the serial port */
	files_init(handoff);
}

static void say_ready(void)
{
	unsigned count = log_warnings();
	char     warnings[32] = "";

	if (count)
		format_buf(warnings, sizeof(warnings), ", %u warning%s above", count, count == 1 ? "" : "s");
	log_say("trapeze: READY (%s, %u CPU%s, %lu MiB free)%s", virt->name, host_cpu_count(), host_cpu_count() == 1 ? "" : "s",
		page_free_bytes() >> 20, warnings);
}

/* Tests look whether all that the VMs had is back. */
static void say_free(uint64_t before)
{
	log_debug("%lu KiB are free, %lu before the first VM, of which the scheduler keeps %lu", page_free_bytes() >> 10,
		  before >> 10, slots_kept() >> 10);
}

static void leave_virtualization(void)
{
	const unsigned others = host_cpu_count() - 1, left = host_stop_others();

	if (others)
		log_debug("%u of %u other processors have left %s", left, others, virt->name);
	virt->cpu_off();
}

void hv_main(uint64_t handoff_address)
{
	const struct handoff *from = hpa_ptr(hpa(handoff_address));
	const char *why_not;
	uint64_t before;
	uint32_t failed;

	host_init();				/* before anything can fault */
	check_handoff(from);
	handoff = from;
	panic_set_stay_on(handoff->host.stay_on || is_only_on_screen());
	end_init(handoff->host.run_id);
	log_set_level((enum log_level)handoff->host.log_level);
	start_machine();
	host_report();
	why_not = virt_choose();
	if (why_not) {
		log_error("%s", why_not);
		finish(1, "no usable hardware virtualization");
	}
	host_warn();				/* only where virtualization works: else these warnings are of no use */
	virt->cpu_on();
	host_start_others(handoff);			/* the first decides what the others must be able to do */
	say_ready();

	sched_init(&handoff->host, handoff->vm_count);
	before = page_free_bytes();
	for (uint32_t i = 0; i < handoff->vm_count; i++)
		(void)slots_add(&handoff->vms[i]);
	console_offer_first();
	host_run_others(sched_run);
	sched_run();
	failed = slots_crashed();
	say_free(before);
	leave_virtualization();
	finish(failed, failed ? "a VM crashed or could not be started" : "all VMs are off");
}
