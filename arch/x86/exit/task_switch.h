/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A hardware task switch on its way: between the four files that carry it out. task_switch.c has the order
 * of things, task_switch_tss.c the two layouts of a task-state segment (TSS), task_switch_seg.c descriptors
 * and the loading of segments, task_switch_touch.c what is done first because it takes long.
 *
 * What a function answers is EXIT_GO_ON, or how the exit ends: an exception was raised in the guest, the VM stopped, or
 * the switch is made again from its beginning, because memory that nobody had touched was populated.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/exit/decoded.h"
#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/cpu_state.h"
#include "hv/addr.h"
#include "hv/lib/bits.h"

#define TASK_GPRS	8U	/* EAX to EDI, in the order of enum gpr */
#define TASK_SEGS	6U	/* ES to GS, in the order of enum guest_seg */

/* SDM vol. 3, figure 8-2 "32-Bit Task-State Segment (TSS)". Selectors are the low halves of their words. */
struct tss32 {
	uint32_t link, inner_stacks[6];
	uint32_t cr3, eip, eflags, gpr[TASK_GPRS], seg[TASK_SEGS], ldt;
	uint16_t trap, io_map;
};
_Static_assert(sizeof(struct tss32) == 104, "the 32-bit TSS of figure 8-2");

/* SDM vol. 3, figure 8-10 "16-Bit TSS Format": ES, CS, SS and DS only, and no CR3. */
#define TASK_SEGS16	4U
struct tss16 {
	uint16_t link, inner_stacks[6];
	uint16_t ip, flags, gpr[TASK_GPRS], seg[TASK_SEGS16], ldt;
};
_Static_assert(sizeof(struct tss16) == 44, "the 16-bit TSS of figure 8-10");

union tss {
	struct tss32 wide;
	struct tss16 narrow;
};

/* What a task is made of, whatever its TSS looks like. */
struct task_image {
	uint32_t cr3, eip, eflags;
	uint32_t gpr[TASK_GPRS];
	uint16_t seg[TASK_SEGS], ldt;
	bool     wants_trap;		/* #DB before its first instruction */
};

/* A descriptor in the GDT or an LDT. */
struct descriptor {
	gva_t          addr;
	struct segment seg;		/* with its selector */
};

struct task_change {
	struct vcpu              *vcpu;
	const struct task_switch *how;
	struct segment            old_tss;	/* TR as it is */
	struct descriptor         new_tss;
	union tss                 old_bytes;	/* the old TSS before anything was saved in it */
	struct task_image         image;	/* of the new task */
	bool                      has_begun;	/* the new task is the current one: nothing can be made again */
};

#define SELECTOR_TI	BIT(2)			/* in the LDT */
#define SELECTOR_OFFSET	FIELD(15, 3)

/* Type of a TSS descriptor: SDM vol. 3, table 3-2 "System-Segment and Gate-Descriptor Types". */
#define TSS_TYPE_16	0x1U
#define TSS_TYPE_32	0x9U
#define TSS_BUSY_BIT	0x2U
#define TSS_TYPE_WIDE	0x8U

static inline bool tss_is_wide(const struct segment *tss) { return tss->rights & TSS_TYPE_WIDE; }
static inline size_t tss_size(const struct segment *tss)
{
	return tss_is_wide(tss) ? sizeof(struct tss32) : sizeof(struct tss16);
}

/* An error code is pushed in the size of the new task's TSS, to a stack whose segment says how wide ESP is. */
static inline unsigned task_error_size(const struct task_change *change)
{
	return tss_is_wide(&change->new_tss.seg) ? sizeof(uint32_t) : sizeof(uint16_t);
}
static inline uint64_t task_stack_mask(const struct segment *ss)
{
	return size_mask(ss->rights & SEG_DB ? sizeof(uint32_t) : sizeof(uint16_t));
}

/* ---- task_switch_touch.c ---- */

/* Make the switch again from its beginning: RAM was populated, which is all that this exit may do. */
enum exit_result task_make_again(struct task_change *change);
/* See that what the new task's beginning needs has been populated, as far as one exit allows. Nothing is changed. */
enum exit_result task_touch_new(struct task_change *change);

/* ---- task_switch_tss.c ---- */

/* Read both TSSs and see that what will be written can be. Nothing is changed. */
enum exit_result task_read_both(struct task_change *change);
/* The old task's registers into its TSS; flags and rip are what it will go on with. */
enum exit_result task_save_old(struct task_change *change, uint64_t flags, uint64_t rip);
/* The old task's selector into the new TSS, for its IRET. */
enum exit_result task_write_link(struct task_change *change);

/* ---- task_switch_seg.c ---- */

/* An exception whose error code names a selector (SDM vol. 3, 6.13 "Error Code"). */
enum exit_result task_fault(struct task_change *change, uint8_t vector, uint16_t selector);
/* Memory as the processor's own table accesses see it. from NULL: see only whether it could be written. */
enum exit_result task_read(struct task_change *change, gva_t addr, void *to, size_t len);
enum exit_result task_write(struct task_change *change, gva_t addr, const void *from, size_t len);

/* Where in this table the selector's descriptor is; false: it has none. */
bool task_find(const struct segment *table, uint16_t selector, gva_t *addr);
/* A descriptor's two words, all of it but the selector. */
void task_unpack(const uint32_t words[2], struct segment *seg);
/* What a segment register holds in virtual-8086 mode: the selector is all that matters. */
struct segment task_vm86_segment(uint16_t selector);
/* The descriptor of a selector; if its table has none, the exception `vector`. */
enum exit_result task_descriptor(struct task_change *change, uint16_t selector, uint8_t vector,
				 struct descriptor *to);
/* Clear and set bits of a descriptor's type, in its table. */
enum exit_result task_set_type(struct task_change *change, gva_t descriptor, uint8_t clear, uint8_t set);
/* LDTR and the six segments of the new task, checked as table 8-1 says. */
enum exit_result task_load_segments(struct task_change *change);
