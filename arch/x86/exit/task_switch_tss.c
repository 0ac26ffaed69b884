/* SPDX-License-Identifier: MIT */
/*
 * The two layouts of a task-state segment, read and written. SDM vol. 3, 8.2.1 and 8.6 "16-Bit Task-State
 * Segment (TSS)".
 */
#include "arch/x86/exit/task_switch.h"

#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define SELECTOR	FIELD(15, 0)	/* of the word that holds it: the other half is reserved */
#define TRAP		1U

static void read_wide(const struct tss32 *tss, struct task_image *image)
{
	*image = (struct task_image){ .cr3 = tss->cr3, .eip = tss->eip, .eflags = tss->eflags,
				      .ldt = (uint16_t)tss->ldt, .wants_trap = tss->trap & TRAP };
	for (unsigned i = 0; i < TASK_GPRS; i++)
		image->gpr[i] = tss->gpr[i];
	for (unsigned i = 0; i < TASK_SEGS; i++)
		image->seg[i] = (uint16_t)tss->seg[i];
}

/* FS and GS, which a 16-bit TSS lacks, become null; registers lose their upper halves. */
static void read_narrow(const struct tss16 *tss, struct task_image *image)
{
	*image = (struct task_image){ .eip = tss->ip, .eflags = tss->flags, .ldt = tss->ldt };
	for (unsigned i = 0; i < TASK_GPRS; i++)
		image->gpr[i] = tss->gpr[i];
	for (unsigned i = 0; i < TASK_SEGS16; i++)
		image->seg[i] = tss->seg[i];
}

/* All of a TSS into *bytes, if so much of it as will be written can be. */
static enum exit_result read_tss(struct task_change *change, const struct segment *tss, union tss *bytes, size_t written)
{
	enum exit_result result = task_read(change, gva(tss->base), bytes, tss_size(tss));

	return result == EXIT_GO_ON ? task_write(change, gva(tss->base), NULL, written) : result;
}

enum exit_result task_read_both(struct task_change *change)
{
	const struct segment *new_tss = &change->new_tss.seg, *old_tss = &change->old_tss;
	enum exit_result result;
	union tss bytes;

	result = read_tss(change, new_tss, &bytes, sizeof(uint16_t));
	if (result == EXIT_GO_ON)
		result = read_tss(change, old_tss, &change->old_bytes, tss_size(old_tss));
	if (result != EXIT_GO_ON)
		return result;
	if (tss_is_wide(new_tss))
		read_wide(&bytes.wide, &change->image);
	else
		read_narrow(&bytes.narrow, &change->image);
	return EXIT_GO_ON;
}

static uint16_t selector_of(struct vcpu *vcpu, enum guest_seg name)
{
	struct segment seg;

	virt->get_seg(vcpu, name, &seg);
	return seg.selector;
}

static enum exit_result save_wide(struct task_change *change, uint64_t flags, uint64_t rip)
{
	struct tss32 *tss = &change->old_bytes.wide;
	gva_t start = gva(change->old_tss.base + offsetof(struct tss32, eip));

	tss->eip = (uint32_t)rip;
	tss->eflags = (uint32_t)flags;
	for (unsigned i = 0; i < TASK_GPRS; i++)
		tss->gpr[i] = (uint32_t)vcpu_gpr(change->vcpu, i);
	for (unsigned i = 0; i < TASK_SEGS; i++)
		tss->seg[i] = (uint32_t)field_set(tss->seg[i], SELECTOR, selector_of(change->vcpu, i));
	return task_write(change, start, &tss->eip, offsetof(struct tss32, ldt) - offsetof(struct tss32, eip));
}

static enum exit_result save_narrow(struct task_change *change, uint64_t flags, uint64_t rip)
{
	struct tss16 *tss = &change->old_bytes.narrow;
	gva_t start = gva(change->old_tss.base + offsetof(struct tss16, ip));

	tss->ip = (uint16_t)rip;
	tss->flags = (uint16_t)flags;
	for (unsigned i = 0; i < TASK_GPRS; i++)
		tss->gpr[i] = (uint16_t)vcpu_gpr(change->vcpu, i);
	for (unsigned i = 0; i < TASK_SEGS16; i++)
		tss->seg[i] = selector_of(change->vcpu, i);
	return task_write(change, start, &tss->ip, offsetof(struct tss16, ldt) - offsetof(struct tss16, ip));
}

enum exit_result task_save_old(struct task_change *change, uint64_t flags, uint64_t rip)
{
	return tss_is_wide(&change->old_tss) ? save_wide(change, flags, rip) : save_narrow(change, flags, rip);
}

enum exit_result task_write_link(struct task_change *change)
{
	return task_write(change, gva(change->new_tss.seg.base), &change->old_tss.selector, sizeof(uint16_t));
}
