/* SPDX-License-Identifier: MIT */
/*
 * All memory that the beginning of a new task needs is touched before the task begins, a chunk of 2 MiB at each
 * exit: zeroing one is nearly all that an exit may do, and a task that has begun cannot begin again.
 *
 * What is read here is what task_load_segments and the push of an error code will read: the LDT's descriptor,
 * those of the segments, the top of the stack. Nothing is checked. What is missing or wrong is left out here,
 * and is an exception of the new task when it comes to that.
 */
#include "arch/x86/exit/task_switch.h"

#include "arch/x86/emulate/walk.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

enum exit_result task_make_again(struct task_change *change)
{
	if (change->has_begun)
		return exit_fatal(change->vcpu, "a task switch has overwritten its way to memory, exit at", change->vcpu->exit.rip);
	exit_progress(change->vcpu);
	return EXIT_RESUME;
}

struct preview {
	struct task_change *change;
	struct walk_cpu     walk;	/* memory as the new task sees it, with every right */
	uint64_t            before;	/* bytes of RAM that were populated when we began */
};

static void preview_begin(struct task_change *change, struct preview *preview)
{
	struct walk_cpu *walk = &preview->walk;

	preview->change = change;
	preview->before = change->vcpu->vm->gpm.populated;
	walk_cpu_of(change->vcpu, walk);
	walk->cpl = 0;
	walk->cr4 &= ~CR4_SMAP;
	if (tss_is_wide(&change->new_tss.seg))
		walk->cr3 = change->image.cr3;
}

static bool has_populated(const struct preview *preview)
{
	return preview->change->vcpu->vm->gpm.populated != preview->before;
}

/* Also tables that lead to the address may be what is populated: they are empty then, and lead nowhere. */
static bool preview_read(struct preview *preview, gva_t addr, void *to, size_t len)
{
	return !has_populated(preview) && gva_read_through(preview->change->vcpu, &preview->walk, addr, to, len);
}

/* The descriptor of a selector; unusable when there is none. */
static struct segment preview_descriptor(struct preview *preview, const struct segment *table, uint16_t selector)
{
	struct segment seg = { .rights = SEG_UNUSABLE };
	uint32_t words[2];
	gva_t addr;

	if (!(table->rights & SEG_UNUSABLE) && task_find(table, selector, &addr) &&
	    preview_read(preview, addr, words, sizeof(words)))
		task_unpack(words, &seg);
	return seg;
}

static void preview_stack(struct preview *preview, const struct segment *ss)
{
	const struct task_change *change = preview->change;
	unsigned size = task_error_size(change);
	uint64_t offset = (change->image.gpr[GPR_RSP] - size) & task_stack_mask(ss);
	uint32_t word;

	if (change->how->has_error && !(ss->rights & SEG_UNUSABLE))
		(void)preview_read(preview, gva(lo32(ss->base + offset)), &word, size);
}

static void preview_all(struct preview *preview)
{
	const struct task_image *image = &preview->change->image;
	struct segment gdt, ldt, ss = task_vm86_segment(image->seg[SEG_SS]);

	virt->get_seg(preview->change->vcpu, SEG_GDTR, &gdt);
	ldt = preview_descriptor(preview, &gdt, image->ldt);
	for (unsigned i = 0; i < TASK_SEGS && !(image->eflags & RFLAGS_VM); i++) {
		struct segment seg = preview_descriptor(preview, image->seg[i] & SELECTOR_TI ? &ldt : &gdt, image->seg[i]);

		if (i == SEG_SS)
			ss = seg;
	}
	preview_stack(preview, &ss);
}

enum exit_result task_touch_new(struct task_change *change)
{
	struct preview preview;

	preview_begin(change, &preview);
	preview_all(&preview);
	return has_populated(&preview) ? task_make_again(change) : EXIT_GO_ON;
}
