/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts that reach the hypervisor itself. A guest's never come here: they are exits. So
 * every exception below is ours: expected and listed in the fixup table, an NMI, or a bug.
 *
 * An NMI wakes a processor from HLT, or stops it for ever when another one panics: it may strike between any
 * two instructions, also in the middle of a VMCS update, so its handler touches nothing before that. Guests
 * get only the NMIs that their own APICs send.
 */
#include "arch/x86/host/trap.h"

#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/fixup.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/virt/quirks.h"
#include "hv/addr.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/panic.h"

typedef void trap_fn(struct trap_frame *frame);

struct trap_row {
	const char *name;
	trap_fn    *handle;	/* NULL: a bug of ours */
};

static void trap_fixup(struct trap_frame *frame);
static void trap_nmi(struct trap_frame *frame);
static void trap_debug(struct trap_frame *frame);
static void trap_page_fault(struct trap_frame *frame);
static void trap_double_fault(struct trap_frame *frame);

/* SDM vol. 3, table 6-1 "Protected-Mode Exceptions and Interrupts"; APM vol. 2, 8.2 "Vectors". */
static const struct trap_row traps[TRAP_EXCEPTIONS] = {
	[VEC_DE]  = { "#DE divide error", NULL },
	[VEC_DB]  = { "#DB debug", trap_debug },
	[VEC_NMI] = { "NMI", trap_nmi },
	[VEC_BP]  = { "#BP breakpoint", NULL },
	[VEC_OF]  = { "#OF overflow", NULL },
	[VEC_BR]  = { "#BR bound range", NULL },
	[VEC_UD]  = { "#UD invalid opcode", trap_fixup },
	[VEC_NM]  = { "#NM device not available", NULL },
	[VEC_DF]  = { "#DF double fault", trap_double_fault },
	[9]       = { "coprocessor segment overrun", NULL },
	[VEC_TS]  = { "#TS invalid TSS", NULL },
	[VEC_NP]  = { "#NP segment not present", NULL },
	[VEC_SS]  = { "#SS stack fault", NULL },
	[VEC_GP]  = { "#GP general protection", trap_fixup },
	[VEC_PF]  = { "#PF page fault", trap_page_fault },
	[15]      = { "reserved exception 15", NULL },
	[VEC_MF]  = { "#MF x87 error", NULL },
	[VEC_AC]  = { "#AC alignment check", NULL },
	[VEC_MC]  = { "#MC machine check", NULL },
	[VEC_XM]  = { "#XM SIMD error", NULL },
	[20]      = { "#VE virtualization", NULL },
	[21]      = { "#CP control protection", NULL },
	[28]      = { "#HV hypervisor injection", NULL },
	[29]      = { "#VC VMM communication", NULL },
	[30]      = { "#SX security", NULL },
};


static void (*handlers[VECTORS])(uint8_t vector);
static bool is_unknown_told;

const char *trap_name(uint64_t vector)
{
	if (vector >= TRAP_EXCEPTIONS)
		return "interrupt";
	return traps[vector].name ? traps[vector].name : "reserved exception";
}

static void trap_fixup(struct trap_frame *frame)
{
	uint64_t landing = fixup_find(frame->rip);

	if (!landing)
		panic_trap(frame, "%s", trap_name(frame->vector));
	frame->rip = landing;
}

/* Was it sent to wake a processor from HLT, then that has happened when this runs. */
static void trap_nmi(struct trap_frame *frame)
{
	panic_join(frame);
}

/*
 * We never single-step ourselves. Where a guest's single step is raised in the host (quirks.h), it comes right behind
 * VMRUN, while TR and GS are still the guest's. So this vector has no stack of its own (the processor would look for
 * it in the guest's TSS), and the step is dropped.
 */
static void trap_debug(struct trap_frame *frame)
{
	if (!quirks.steps_reach_us || !(read_dr6() & DR6_BS) || (frame->rflags & RFLAGS_TF))
		panic_trap(frame, "%s", trap_name(frame->vector));
	__atomic_fetch_add(&quirks.steps_dropped, 1, __ATOMIC_RELAXED);
	write_dr6(read_dr6() & ~DR6_BS);
}

static bool is_guard_page(uint64_t addr)
{
	for (unsigned i = 0; gdt_guard_page(i); i++)
		if (align_down(addr, PAGE_SIZE) == gdt_guard_page(i))
			return true;
	return false;
}

static void trap_page_fault(struct trap_frame *frame)
{
	uint64_t addr = read_cr2();

	panic_trap(frame, "#PF page fault: %s 0x%llx, %s",
		   frame->error & PF_FETCH ? "executing" : frame->error & PF_WRITE ? "writing" : "reading",
		   (unsigned long long)addr,
		   is_guard_page(addr) ? "below the end of a stack" :
		   frame->error & PF_PRESENT ? "which is mapped without that right" : "where nothing is mapped");
}

/* A stack overflow ends here: the page fault cannot be delivered, because it would push onto the same stack. */
static void trap_double_fault(struct trap_frame *frame)
{
	panic_trap(frame, "#DF double fault%s", is_guard_page(read_cr2()) ? ": stack overflow" : "");
}

void trap_handle(struct trap_frame *frame)
{
	const struct trap_row *row = &traps[frame->vector % TRAP_EXCEPTIONS];

	if (frame->vector >= TRAP_EXCEPTIONS)
		cpu_dispatch_interrupt((uint8_t)frame->vector);
	else if (row->handle)
		row->handle(frame);
	else
		panic_trap(frame, "%s", trap_name(frame->vector));
}

void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t vector))
{
	handlers[vector] = handler;
}

/* Spurious interrupts set no in-service bit, so an EOI for one would end another (SDM vol. 3, 11.9). */
void cpu_dispatch_interrupt(uint8_t vector)
{
	if (vector == VECTOR_SPURIOUS)
		return;
	if (handlers[vector]) {
		handlers[vector](vector);
	} else if (!__atomic_exchange_n(&is_unknown_told, true, __ATOMIC_RELAXED)) {
		log_warn("interrupt %02x came and nobody asked for it; further ones are not told", vector);
	}
	host_lapic_eoi();
}

struct reg_row {
	const char *name;
	uint64_t    val;
};

#define REGS_PER_LINE	4U

static void log_rows(const struct reg_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i += REGS_PER_LINE) {
		char line[128];
		size_t len = 0;

		for (size_t j = i; j < min_size(i + REGS_PER_LINE, count); j++)
			len += format_buf(line + len, sizeof(line) - len, "  %-6s %016lx", rows[j].name, rows[j].val);
		log_say("%s", line);
	}
}

void trap_log_registers(const struct trap_frame *frame)
{
	const struct reg_row rows[] = {
		{ "rip", frame->rip }, { "rsp", frame->rsp }, { "rbp", frame->rbp }, { "rflags", frame->rflags },
		{ "rax", frame->rax }, { "rcx", frame->rcx }, { "rdx", frame->rdx }, { "rbx", frame->rbx },
		{ "rsi", frame->rsi }, { "rdi", frame->rdi }, { "r8", frame->r8 }, { "r9", frame->r9 },
		{ "r10", frame->r10 }, { "r11", frame->r11 }, { "r12", frame->r12 }, { "r13", frame->r13 },
		{ "r14", frame->r14 }, { "r15", frame->r15 }, { "cs", frame->cs }, { "ss", frame->ss },
		{ "vector", frame->vector }, { "error", frame->error },
	};

	log_rows(rows, countof(rows));
}

void trap_log_control(void)
{
	const struct reg_row rows[] = {
		{ "cr0", read_cr0() }, { "cr2", read_cr2() }, { "cr3", read_cr3() }, { "cr4", read_cr4() },
		{ "efer", rdmsr(MSR_EFER) }, { "gsbase", rdmsr(MSR_GS_BASE) }, { "dr6", read_dr6() },
		{ "dr7", read_dr7() },
	};

	log_rows(rows, countof(rows));
}
