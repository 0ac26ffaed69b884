/* SPDX-License-Identifier: MIT */
/*
 * The run loop and the dispatcher: what each answer of a handler does, and what becomes of a handler that
 * makes a classic mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/exit/exit.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "cpu_fake.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define RIP	0x1000U
#define MILLION	1000000ULL

static struct vcpu vcpu;
static unsigned entries, delivers, steps, calls, calls_max;
static const char *killed_for;
static uint64_t killed_code;
static enum exit_result answer;
static bool says_progress;
static uint64_t takes;		/* ticks the handler works */

/* ---- The world around it ---- */

enum exit_result exit_fatal(struct vcpu *unused, const char *what, uint64_t code)
{
	(void)unused;
	killed_for = what;
	killed_code = code;
	return EXIT_STOP;
}

static enum exit_result handler(struct vcpu *unused)
{
	(void)unused;
	calls++;
	for (uint64_t start = rdtsc(); rdtsc() - start < takes;)
		;
	if (says_progress)
		exit_progress(&vcpu);
	return calls > calls_max ? EXIT_STOP : answer;
}

static void step_over(struct vcpu *unused)
{
	(void)unused;
	steps++;
}

static const struct exit_row rows[] = { { "first", handler }, { "nobody", NULL }, { NULL, NULL } };

/* An entry exits at once, with what vcpu.exit says. */
static void enter(struct vcpu *unused)
{
	(void)unused;
	entries++;
}

static void deliver(struct vcpu *unused)
{
	(void)unused;
	delivers++;
	vcpu.irq_check = false;
}

static const struct virt_backend backend = {
	.step_over = step_over, .enter = enter, .deliver = deliver, .exits = { rows, countof(rows) },
};
const struct virt_backend *virt = &backend;

/* As hv/request.c: an end has the vCPU leave its run loop, an interrupt has not. */
void vcpu_take_requests(struct vcpu *of)
{
	if (of->requests & REQUEST_END)
		host_attention_set();
	of->requests = 0;
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.exit = (struct exit_record){ .rip = RIP, .insn_len = 2 };
	vcpu.state = VCPU_READY;
	cpu_fake_install();
	entries = delivers = steps = calls = 0;
	calls_max = 1;
	killed_for = NULL;
	answer = EXIT_SKIP;
	says_progress = false;
	takes = 0;
	return 0;
}

/* As the scheduler does: it has looked, and the turn is not over for a long while. */
static void run(void)
{
	cpu_fake.attention = false;
	vcpu_run(&vcpu, UINT64_MAX);
}

/* ---- Tests ---- */

static const struct {
	const char *what;
	int         answer;
	uint32_t    insn_len;
	bool        goes_on;
	unsigned    steps;
	const char *killed_for;
} answers[] = {
	{ "skip", EXIT_SKIP, 2, true, 1, "" },
	{ "resume", EXIT_RESUME, 2, true, 0, "" },
	{ "resume, length unknown", EXIT_RESUME, 0, true, 0, "" },
	{ "stop", EXIT_STOP, 2, false, 0, "" },
	{ "stop, length unknown", EXIT_STOP, 0, false, 0, "" },
	{ "skip and stop", EXIT_SKIP_STOP, 2, false, 1, "" },
	{ "skip nothing", EXIT_SKIP, 0, false, 0, "a handler skips an instruction of unknown length, at rip" },
	{ "skip nothing and stop", EXIT_SKIP_STOP, 0, false, 0,
	  "a handler skips an instruction of unknown length, at rip" },
	{ "undecided", EXIT_GO_ON, 2, false, 0, "a handler gave an answer that the dispatcher does not know:" },
	{ "no answer at all", 77, 2, false, 0, "a handler gave an answer that the dispatcher does not know:" },
	{ "negative", -1, 2, false, 0, "a handler gave an answer that the dispatcher does not know:" },
};

/* The second exit ends the loop, so the number of entries says whether the first one went on. */
static void test_answers(void **unused)
{
	for (size_t i = 0; i < countof(answers); i++) {
		set_up(unused);
		answer = (enum exit_result)answers[i].answer;
		vcpu.exit.insn_len = answers[i].insn_len;
		run();
		if (entries != 1U + answers[i].goes_on || steps != answers[i].steps || calls != entries ||
		    strcmp(killed_for ? killed_for : "", answers[i].killed_for))
			fail_msg("%s: %u entries, %u steps, %s", answers[i].what, entries, steps, killed_for);
	}
}

static void test_row_without_handler(void **unused)
{
	(void)unused;
	vcpu.exit.reason = 1;
	run();
	assert_string_equal(killed_for, "unexpected exit, row of the exit table");
	assert_int_equal(killed_code, 1);
	assert_int_equal(entries, 1);
	assert_int_equal(steps + calls, 0);
}

/* Deliver is asked when there may be something, and not else; a host interrupt ends the loop after its exit. */
static void test_flags(void **unused)
{
	(void)unused;
	calls_max = 5;
	vcpu.irq_check = true;
	run();
	assert_int_equal(delivers, 1);
	assert_int_equal(entries, 6);
	set_up(unused);
	calls_max = 5;
	cpu_fake.attention = true;
	vcpu_run(&vcpu, UINT64_MAX);
	assert_int_equal(entries, 1);
}

/* Requests are taken before an entry, but only after somebody has had the vCPU look; some end its turn there. */
static void test_requests(void **unused)
{
	(void)unused;
	calls_max = 3;
	vcpu.requests = REQUEST_IRQ;
	run();
	assert_int_equal(vcpu.requests, REQUEST_IRQ);
	assert_int_equal(entries, 4);
	vcpu.irq_check = true;
	run();
	assert_int_equal(vcpu.requests, 0);
	assert_int_equal(delivers, 1);
	assert_int_equal(entries, 5);
	vcpu.requests = REQUEST_END;
	vcpu.irq_check = true;
	run();
	assert_int_equal(vcpu.requests, 0);
	assert_int_equal(entries, 5);		/* no other instruction of the guest */
}

/* A guest that only exits gives the processor back at the first exit behind the end of its turn. */
static void test_end_of_turn(void **unused)
{
	(void)unused;
	calls_max = ~0U;
	vcpu_run(&vcpu, rdtsc());
	assert_int_equal(entries, 1);
	vcpu_run(&vcpu, rdtsc() + MILLION);
	assert_in_range(entries, 2, 2 * MILLION);
	assert_null(killed_for);
}

static void test_names(void **unused)
{
	(void)unused;
	assert_string_equal(exit_name(0), "first");
	assert_string_equal(exit_name(2), "unnamed exit");
	assert_string_equal(exit_name(3), "unnamed exit");
	assert_string_equal(exit_name(~0U), "unnamed exit");
}

/* 64 times the same exit at the same RIP after the first one, and not once less. */
static void test_endless_loop(void **unused)
{
	(void)unused;
	answer = EXIT_RESUME;
	calls_max = 1000;
	run();
	assert_int_equal(calls, 65);
	assert_string_equal(killed_for, "RIP did not move: the same exit, again and again, at rip");
	assert_int_equal(killed_code, RIP);
}

static void test_no_endless_loop(void **unused)
{
	(void)unused;
	answer = EXIT_RESUME;
	for (unsigned i = 0; i < 1000; i++) {
		calls = 0;
		vcpu.exit.rip = RIP + i % 2;
		run();
	}
	calls = 0;
	calls_max = 1000;
	says_progress = true;
	run();
	assert_int_equal(calls, 1001);
	assert_null(killed_for);
}

static void test_trace_and_longest(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		calls = 1;		/* this one ends the loop */
		vcpu.exit.rip = RIP + i;
		takes = i == 1 ? 1000 * MILLION : 0;
		run();
	}
	assert_int_equal(vcpu.exits, 3);
	assert_int_equal(vcpu.trace.count[0], 3);
	assert_int_equal(vcpu.trace.ring[2].rip, RIP + 2);
	assert_true(vcpu.longest.ticks >= 1000 * MILLION);
	assert_int_equal(vcpu.longest.exit.rip, RIP + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_answers, set_up),
		cmocka_unit_test_setup(test_row_without_handler, set_up),
		cmocka_unit_test_setup(test_flags, set_up),
		cmocka_unit_test_setup(test_requests, set_up),
		cmocka_unit_test_setup(test_end_of_turn, set_up),
		cmocka_unit_test_setup(test_names, set_up),
		cmocka_unit_test_setup(test_endless_loop, set_up),
		cmocka_unit_test_setup(test_no_endless_loop, set_up),
		cmocka_unit_test_setup(test_trace_and_longest, set_up),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
