/* SPDX-License-Identifier: MIT */
/* hv/panic.c and end.c: what the last report says, where its backtrace stops, and a panic within it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/trap.h"
#include "hv/end.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/symtab.h"
#include "log_fake.h"

/* A text section of 4 KiB, and three functions in it. */
__asm__(".data\n.balign 4096\n.globl __text_start, __text_end\n__text_start: .skip 0x1000\n__text_end:\n.text\n");
extern const uint8_t __text_start[];
#define TEXT	((uint64_t)(uintptr_t)__text_start)

struct hv_symbol symbols[3];
extern const struct hv_symbol hv_symtab[3] __attribute__((alias("symbols")));
const char hv_symtab_names[] = "first\0second\0third";
const uint32_t hv_symtab_count = 3;

static jmp_buf stopped;
static bool is_claimed, is_seized, has_stayed_on, has_reader;
static unsigned flushes;
static uint64_t stack[16];
static char shown[512];

/* First of all: others may hold the log until they are stopped. */
bool panic_claim(void) { assert_false(is_seized || has_reader); return !is_claimed && (is_claimed = true); }
void panic_find_reader(void) { assert_true(is_seized && log_fake_lines == 0); has_reader = true; }

void panic_log_machine(const struct trap_frame *frame) { log_say("registers of %s", frame ? "the trap" : "now"); }
void panic_log_others(void) { log_say("the others"); }

void panic_origin(const struct trap_frame *frame, uint64_t *rip, uint64_t *rbp)
{
	*rip = frame->rip;
	*rbp = frame->rbp;
}

bool panic_on_stack(uint64_t addr, size_t len)
{
	return addr >= (uint64_t)(uintptr_t)stack && addr + len <= (uint64_t)(uintptr_t)(stack + countof(stack));
}

void panic_stop(bool stay_on)
{
	has_stayed_on = stay_on;
	longjmp(stopped, 1);
}

void log_flush(void) { flushes++; }
void log_seize(void) { is_seized = true; }
void log_tail(size_t bytes, format_sink *sink, void *ctx)
{
	assert_in_range(bytes, 1, 4096);
	sink(ctx, "first\nsec", 9);
	sink(ctx, "ond\ncut off", 11);
}
void log_show(const char *line, size_t len) { strncat(shown, line, len); }

static int set_up(void **unused)
{
	(void)unused;
	symbols[0] = (struct hv_symbol){ 0, 0 };
	symbols[1] = (struct hv_symbol){ 0x100, 6 };
	symbols[2] = (struct hv_symbol){ 0x200, 13 };
	memset(stack, 0, sizeof(stack));
	is_claimed = is_seized = has_reader = false;
	flushes = 0;
	*shown = '\0';
	log_fake_init();
	panic_set_stay_on(false);
	end_init("");
	return 0;
}

static void trap_at(uint64_t rip, uint64_t rbp)
{
	static struct trap_frame frame;

	frame.rip = rip;
	frame.rbp = rbp;
	if (!setjmp(stopped))
		panic_trap(&frame, "number %u", 7U);
}

static bool says(const char *text) { return strstr(log_fake_text, text); }

/* ---- The report ---- */

static void test_report(void **unused)
{
	const char *first;

	(void)unused;
	end_init("abc");
	trap_at(TEXT + 0x105, 0);
	first = strstr(log_fake_text, "PANIC number 7\n");
	assert_non_null(first);
	assert_non_null(strstr(first + 1, "PANIC number 7\n"));	/* again, for a screen shows the end */
	assert_true(has_reader);
	assert_true(says("registers of the trap\nbacktrace:\n"));
	assert_true(says("second+0x5\nthe others\n"));
	assert_string_equal(shown, "first\nsecond\n");		/* whole lines only */
	assert_true(says("trapeze: END status=1 panic (run abc)\n"));
	assert_int_equal(flushes, 2);
	assert_false(has_stayed_on);
}

static void test_stay_on(void **unused)
{
	(void)unused;
	panic_set_stay_on(true);
	trap_at(TEXT, 0);
	assert_true(has_stayed_on);
	assert_true(says("trapeze: END status=1 panic\n"));
}

/* A fault of the report itself: one line, and the end. */
static void test_again(void **unused)
{
	(void)unused;
	is_claimed = true;
	trap_at(TEXT, 0);
	assert_true(says("PANIC again: number 7\n"));
	assert_false(says("backtrace"));
	assert_true(says("trapeze: END status=1 panic\n"));
}

/* Where another processor was: the function itself, for that address is no return address. */
static void test_place(void **unused)
{
	(void)unused;
	panic_log_stack(TEXT + 0x100, 0);
	assert_true(says("second+0x0\n"));
}

/* ---- The backtrace ---- */

static uint64_t frame(unsigned at, uint64_t caller, uint64_t rip)
{
	stack[at] = caller;
	stack[at + 1] = rip;
	return (uint64_t)(uintptr_t)(stack + at);
}

/* A return address behind the end of a function belongs to the one that called: look before it. */
static void test_frames(void **unused)
{
	uint64_t outer = frame(8, 0, TEXT + 0x200), inner = frame(2, outer, TEXT + 0x20);

	(void)unused;
	trap_at(TEXT + 0x200, inner);
	assert_true(says("third+0x0\n"));
	assert_true(says("first+0x20\n"));
	assert_true(says("second+0x100\n"));
}

/* Chains that are damaged end, they do not loop or lead off the stack; what is no code has no name. */
static void test_damaged(void **unused)
{
	static const struct { uint64_t caller_offset; bool is_off; } rows[] = { { 0, false }, { (uint64_t)-8, false }, { 1, false }, { 0x100000, true } };

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t here = (uint64_t)(uintptr_t)(stack + 4);
		unsigned count = 0;

		set_up(NULL);
		frame(4, here + rows[i].caller_offset, TEXT + 0x20);
		trap_at(0x1234, here);
		assert_true(says("  0000000000001234\n"));
		for (const char *at = log_fake_text; (at = strstr(at, "first+0x20")); at++)
			count++;
		assert_int_equal(count, 1);
	}
	set_up(NULL);
	trap_at(TEXT, (uint64_t)(uintptr_t)stack - 16);		/* not on a stack of ours */
	assert_true(says("first+0x0\n"));
	set_up(NULL);
	trap_at(TEXT, frame(4, 0, 0));				/* where a processor started: called from nowhere */
	assert_true(says("first+0x0\n"));
	assert_false(says("  0000000000000000"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_report), TEST(test_stay_on), TEST(test_again), TEST(test_place), TEST(test_frames), TEST(test_damaged),
	};

	return cmocka_run_group_tests_name("panic", tests, NULL, NULL);
}
