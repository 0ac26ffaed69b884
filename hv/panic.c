/* SPDX-License-Identifier: MIT */
/*
 * The panic report: everything by name, then the machine goes off. Nothing here allocates, and every source of
 * information is treated as possibly broken: the backtrace follows only pointers into our own stacks, and a
 * second panic (a fault while reporting the first) leaves out the rest of the report and switches off. This is the
 * half that prints; the half that knows the processor is arch/x86/host/panic.c.
 */
#include "hv/panic.h"

#include "hv/end.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/symtab.h"

#define FRAMES_MAX	32U
#define TAIL_BYTES	2048U

extern const uint8_t __text_start[], __text_end[];	/* hv.ld */

/* What the compiler's prologue leaves: -fno-omit-frame-pointer. */
struct stack_frame {
	uint64_t caller_rbp, return_rip;
};

static bool is_code(uint64_t addr)
{
	return addr >= (uint64_t)(uintptr_t)__text_start && addr < (uint64_t)(uintptr_t)__text_end;
}

static uint64_t address_of(const struct hv_symbol *symbol)
{
	return (uint64_t)(uintptr_t)__text_start + symbol->offset;
}

/* The last symbol not above addr; NULL when there is no table or addr is not code. */
static const struct hv_symbol *find_symbol(uint64_t addr)
{
	uint32_t low = 0, high = hv_symtab_count;

	if (!is_code(addr))
		return NULL;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (address_of(&hv_symtab[mid]) <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 ? &hv_symtab[low - 1] : NULL;
}

/*
 * A call that never returns may be the last instruction of its function: its return address then lies in
 * the next function. So the byte before a return address is looked up.
 */
static void log_place(uint64_t addr, bool is_return)
{
	const struct hv_symbol *symbol = find_symbol(is_return ? addr - 1 : addr);

	if (symbol)
		log_say("  %016llx %s+0x%llx", (unsigned long long)addr, hv_symtab_names + symbol->name,
			(unsigned long long)(addr - address_of(symbol)));
	else
		log_say("  %016llx", (unsigned long long)addr);
}

/*
 * Each frame must lie on our stacks, at a higher address than the one before: a damaged chain ends instead
 * of looping.
 */
static void log_backtrace(uint64_t rip, uint64_t rbp, bool is_return)
{
	log_say("backtrace:");
	log_place(rip, is_return);
	for (unsigned i = 0; i < FRAMES_MAX && rbp % sizeof(rbp) == 0; i++) {
		const struct stack_frame *frame = (const struct stack_frame *)(uintptr_t)rbp;

		if (!panic_on_stack(rbp, sizeof(*frame)) || !frame->return_rip)
			return;
		log_place(frame->return_rip, true);
		if (frame->caller_rbp <= rbp)
			return;
		rbp = frame->caller_rbp;
	}
}

void panic_log_stack(uint64_t rip, uint64_t rbp)
{
	log_backtrace(rip, rbp, false);
}

static bool is_staying_on;

void panic_set_stay_on(bool stay_on)
{
	is_staying_on = stay_on;
}

/* Off, unless a human has to read the report from the screen. */
__attribute__((noreturn)) static void finish(void)
{
	end_say(1, "panic");
	log_flush();
	panic_stop(is_staying_on);
}

/*
 * The log's last lines again, because debug lines are only in the ring, and on a screen the first ones are
 * long gone. Copied first: printing goes through the ring itself.
 */
static struct {
	char   text[TAIL_BYTES];
	size_t len;
} tail;

static void tail_sink(void *ctx, const char *text, size_t len)
{
	size_t part = min_size(len, sizeof(tail.text) - tail.len);

	(void)ctx;
	memcpy(tail.text + tail.len, text, part);
	tail.len += part;
}

static void log_last_lines(void)
{
	size_t at = 0;

	log_say("the last lines of the log, debug lines included:");
	for (size_t end = 1; end <= tail.len; end++) {
		if (tail.text[end - 1] != '\n')
			continue;
		log_show(tail.text + at, end - at);
		at = end;
	}
}

__attribute__((noreturn)) static void report(const struct trap_frame *frame, uint64_t rip, uint64_t rbp,
					     const char *reason)
{
	bool is_first = panic_claim();

	log_seize();		/* no other processor writes any more */
	panic_find_reader();
	if (!is_first) {
		log_say("PANIC again: %s", reason);
		finish();
	}
	log_flush();		/* from here on each line waits until it is sent */
	log_tail(TAIL_BYTES, tail_sink, NULL);
	log_say("PANIC %s", reason);
	panic_log_machine(frame);
	log_backtrace(rip, rbp, !frame);
	panic_log_others();
	log_last_lines();
	log_say("PANIC %s", reason);
	finish();
}

void panic(const char *fmt, ...)
{
	char reason[256];
	va_list args;

	va_start(args, fmt);
	(void)format_vbuf(reason, sizeof(reason), fmt, args);
	va_end(args);
	report(NULL, (uint64_t)(uintptr_t)__builtin_return_address(0),
	       ((const struct stack_frame *)__builtin_frame_address(0))->caller_rbp, reason);
}

void panic_trap(const struct trap_frame *frame, const char *fmt, ...)
{
	uint64_t rip, rbp;
	char reason[256];
	va_list args;

	va_start(args, fmt);
	(void)format_vbuf(reason, sizeof(reason), fmt, args);
	va_end(args);
	panic_origin(frame, &rip, &rbp);
	report(frame, rip, rbp, reason);
}
