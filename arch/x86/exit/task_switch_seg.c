/* SPDX-License-Identifier: MIT */
/*
 * Descriptors for a task switch: found, checked, loaded. SDM vol. 3, 3.4.5 "Segment Descriptors"; 8.3 "Task
 * Switching", table 8-1 "Exception Conditions Checked During a Task Switch", which is what each check below
 * is taken from.
 */
#include "arch/x86/exit/task_switch.h"

#include "arch/x86/emulate/walk.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/cpu_state.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define SELECTOR_RPL	FIELD(1, 0)
#define SELECTOR_ERROR	FIELD(15, 2)		/* what an error code shows of a selector */
#define ERROR_EXT	1U			/* and this: an event from outside was being delivered */

#define DESCRIPTOR_SIZE	8U
#define LOW_LIMIT	FIELD(15, 0)		/* of the descriptor's first four bytes */
#define LOW_BASE	FIELD(31, 16)
#define HIGH_BASE	FIELD(7, 0)		/* of its second four: base bits 23:16 */
#define HIGH_BASE_TOP	FIELD(31, 24)
#define HIGH_RIGHTS	FIELD(23, 8)		/* struct segment's rights, with limit bits 19:16 in between */
#define HIGH_LIMIT	FIELD(19, 16)
#define RIGHTS_HOLE	FIELD(11, 8)
#define TYPE_BYTE	5U

#define VM86_LIMIT	0xffffU
#define VM86_RIGHTS	(SEG_P | SEG_S | TYPE_RW | TYPE_ACCESSED | (CPL_USER << SEG_DPL_SHIFT))

enum exit_result task_fault(struct task_change *change, uint8_t vector, uint16_t selector)
{
	uint32_t ext = change->how->is_event ? ERROR_EXT : 0;

	vcpu_inject(change->vcpu, vector, true, (uint32_t)(selector & SELECTOR_ERROR) | ext);
	return EXIT_RESUME;
}

static enum exit_result page_fault(struct task_change *change, gva_t addr, uint32_t error)
{
	if (error == WALK_POPULATED)
		return task_make_again(change);
	if (error == WALK_NOT_RAM || error == WALK_NOT_CANONICAL)
		return exit_fatal(change->vcpu, "a task switch needs memory where there is none: linear", addr.raw);
	vcpu_inject_pf(change->vcpu, addr.raw, error);
	return EXIT_RESUME;
}

enum exit_result task_read(struct task_change *change, gva_t addr, void *to, size_t len)
{
	uint32_t error;
	gva_t    fault;

	if (gva_read_system(change->vcpu, addr, to, len, &fault, &error))
		return EXIT_GO_ON;
	return page_fault(change, fault, error);
}

enum exit_result task_write(struct task_change *change, gva_t addr, const void *from, size_t len)
{
	uint32_t error;
	gva_t    fault;

	if (gva_write_system(change->vcpu, addr, from, len, &fault, &error))
		return EXIT_GO_ON;
	return page_fault(change, fault, error);
}

/* The GDT, or the LDT; false: there is no LDT. */
static bool table_of(struct vcpu *vcpu, uint16_t selector, struct segment *table)
{
	virt->get_seg(vcpu, selector & SELECTOR_TI ? SEG_LDTR : SEG_GDTR, table);
	return !(selector & SELECTOR_TI) || !(table->rights & SEG_UNUSABLE);
}

void task_unpack(const uint32_t words[2], struct segment *seg)
{
	seg->base = field_get(words[0], LOW_BASE) | field_get(words[1], HIGH_BASE) << 16 | (words[1] & HIGH_BASE_TOP);
	seg->limit = (uint32_t)((words[0] & LOW_LIMIT) | (words[1] & HIGH_LIMIT));
	seg->rights = (uint32_t)(field_get(words[1], HIGH_RIGHTS) & ~(RIGHTS_HOLE | SEG_L));
	if (seg->rights & SEG_G)
		seg->limit = seg->limit << PAGE_SHIFT | (PAGE_SIZE - 1);
}

bool task_find(const struct segment *table, uint16_t selector, gva_t *addr)
{
	uint64_t offset = selector & SELECTOR_OFFSET;

	*addr = gva(lo32(table->base + offset));
	return offset + DESCRIPTOR_SIZE - 1 <= table->limit;
}

enum exit_result task_descriptor(struct task_change *change, uint16_t selector, uint8_t vector,
				 struct descriptor *to)
{
	enum exit_result result;
	struct segment table;
	uint32_t words[2];

	if (!table_of(change->vcpu, selector, &table) || !task_find(&table, selector, &to->addr))
		return task_fault(change, vector, selector);
	result = task_read(change, to->addr, words, sizeof(words));
	if (result != EXIT_GO_ON)
		return result;
	task_unpack(words, &to->seg);
	to->seg.selector = selector;
	return EXIT_GO_ON;
}

enum exit_result task_set_type(struct task_change *change, gva_t descriptor, uint8_t clear, uint8_t set)
{
	gva_t            addr = gva_add(descriptor, TYPE_BYTE);
	uint8_t          byte;
	enum exit_result result = task_read(change, addr, &byte, sizeof(byte));

	if (result != EXIT_GO_ON)
		return result;
	byte = (uint8_t)((byte & ~clear) | set);
	return task_write(change, addr, &byte, sizeof(byte));
}

/* ---- The six segments ---- */

static bool is_null(uint16_t selector) { return !(selector & SELECTOR_ERROR); }
static unsigned dpl_of(const struct segment *seg) { return (unsigned)field_get(seg->rights, SEG_DPL_MASK); }
static unsigned rpl_of(uint16_t selector) { return (unsigned)(selector & SELECTOR_RPL); }

static bool is_type_right(enum guest_seg name, const struct segment *seg)
{
	bool is_code = seg->rights & TYPE_CODE, is_rw = seg->rights & TYPE_RW;

	if (!(seg->rights & SEG_S))
		return false;
	if (name == SEG_CS)
		return is_code;
	if (name == SEG_SS)
		return !is_code && is_rw;
	return !is_code || is_rw;
}

static bool is_privileged(enum guest_seg name, const struct segment *seg, unsigned cpl)
{
	bool is_conforming = (seg->rights & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);
	unsigned dpl = dpl_of(seg), rpl = rpl_of(seg->selector);

	if (name == SEG_CS)
		return is_conforming ? dpl <= cpl : dpl == cpl;
	if (name == SEG_SS)
		return dpl == cpl && rpl == cpl;
	return is_conforming || (dpl >= cpl && dpl >= rpl);
}

static enum exit_result load_segment(struct task_change *change, enum guest_seg name, unsigned cpl)
{
	uint16_t selector = change->image.seg[name];
	struct descriptor found;
	enum exit_result result;

	if (is_null(selector))		/* the register is already empty */
		return name == SEG_CS || name == SEG_SS ? task_fault(change, VEC_TS, selector) : EXIT_GO_ON;
	result = task_descriptor(change, selector, VEC_TS, &found);
	if (result != EXIT_GO_ON)
		return result;
	if (!is_type_right(name, &found.seg) || !is_privileged(name, &found.seg, cpl))
		return task_fault(change, VEC_TS, selector);
	if (!(found.seg.rights & SEG_P))
		return task_fault(change, name == SEG_SS ? VEC_SS : VEC_NP, selector);
	if (!(found.seg.rights & TYPE_ACCESSED))
		result = task_set_type(change, found.addr, 0, TYPE_ACCESSED);
	if (result != EXIT_GO_ON)
		return result;
	found.seg.rights |= TYPE_ACCESSED;
	virt->set_seg(change->vcpu, name, &found.seg);
	return EXIT_GO_ON;
}

static enum exit_result load_ldtr(struct task_change *change)
{
	struct descriptor found = { .seg = { .selector = change->image.ldt, .rights = SEG_UNUSABLE } };
	enum exit_result result;

	virt->set_seg(change->vcpu, SEG_LDTR, &found.seg);
	if (is_null(change->image.ldt))
		return EXIT_GO_ON;
	if (change->image.ldt & SELECTOR_TI)
		return task_fault(change, VEC_TS, change->image.ldt);
	result = task_descriptor(change, change->image.ldt, VEC_TS, &found);
	if (result != EXIT_GO_ON)
		return result;
	if ((found.seg.rights & (SEG_S | SEG_TYPE_MASK)) != TYPE_LDT || !(found.seg.rights & SEG_P))
		return task_fault(change, VEC_TS, change->image.ldt);
	virt->set_seg(change->vcpu, SEG_LDTR, &found.seg);
	return EXIT_GO_ON;
}

struct segment task_vm86_segment(uint16_t selector)
{
	return (struct segment){ .base = selector * 16U, .limit = VM86_LIMIT, .selector = selector, .rights = VM86_RIGHTS };
}

/* A task in virtual-8086 mode: bases are selectors times 16, as in real mode, and nothing can fail. */
static void load_vm86(struct task_change *change)
{
	for (unsigned i = 0; i < TASK_SEGS; i++) {
		struct segment seg = task_vm86_segment(change->image.seg[i]);

		virt->set_seg(change->vcpu, i, &seg);
	}
}

/*
 * Selectors arrive in their registers before any is checked, so that the handler of a fault, which runs in the
 * new task, can see them. Until its own descriptor is loaded each is unusable; only CS, without which no
 * processor enters a guest, looks like code that cannot be reached.
 */
static void load_selectors(struct task_change *change, unsigned cpl)
{
	for (unsigned i = 0; i < TASK_SEGS; i++) {
		struct segment seg = { .selector = change->image.seg[i], .rights = SEG_UNUSABLE };

		if (i == SEG_CS)
			seg.rights = SEG_P | SEG_S | TYPE_CODE | TYPE_RW | TYPE_ACCESSED;
		if (i == SEG_CS || i == SEG_SS)
			seg.rights |= cpl << SEG_DPL_SHIFT;
		virt->set_seg(change->vcpu, i, &seg);
	}
}

enum exit_result task_load_segments(struct task_change *change)
{
	static const enum guest_seg order[TASK_SEGS] = { SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	bool     is_vm86 = change->image.eflags & RFLAGS_VM;
	unsigned cpl = rpl_of(change->image.seg[SEG_CS]);
	enum exit_result result;

	if (is_vm86)
		load_vm86(change);
	else
		load_selectors(change, cpl);
	result = load_ldtr(change);
	for (unsigned i = 0; i < TASK_SEGS && !is_vm86 && result == EXIT_GO_ON; i++)
		result = load_segment(change, order[i], cpl);
	return result;
}
