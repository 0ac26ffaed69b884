/* SPDX-License-Identifier: MIT */
/*
 * Where an exit lands on VT-x (arch/x86/vmx/switch.asm), executed: each of the three ways in keeps all of the guest's
 * registers, restores the caller's and returns 0. The frame is the one that vmx_switch builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/virt/cpu_state.h"
#include "hv/lib/util.h"

extern char vmx_exit_landing[], vmx_exit_landing_one[], vmx_exit_landing_all[];
void return_stack_replace(void);

/* As if a guest exited whose registers hold their number times 11h. The way in lies on the stack until RET takes it. */
static unsigned land(uint64_t *gpr, const char *way)
{
	unsigned answer;

	__asm__ volatile(
		"sub $128, %%rsp; push %%rbp; push %%rbx\n\t"	/* the compiler's red zone stays */
		"lea 9f(%%rip), %%rax\n\t"
		"push %%rax\n\t"		/* vmx_switch's return address, then its frame */
		"push %%rbp; push %%rbx; push %%r12; push %%r13; push %%r14; push %%r15; push %%rdi\n\t"
		"push %%rsi\n\t"
		"mov $0x00, %%eax; mov $0x11, %%ecx; mov $0x22, %%edx; mov $0x33, %%ebx; mov $0x55, %%ebp\n\t"
		"mov $0x66, %%esi; mov $0x77, %%edi; mov $0x88, %%r8d; mov $0x99, %%r9d; mov $0xaa, %%r10d\n\t"
		"mov $0xbb, %%r11d; mov $0xcc, %%r12d; mov $0xdd, %%r13d; mov $0xee, %%r14d; mov $0xff, %%r15d\n\t"
		"ret\n"			/* to the way in */
		"9: pop %%rbx; pop %%rbp; add $128, %%rsp"
		: "=a"(answer), "+D"(gpr), "+S"(way)
		: : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	return answer;
}

static void test_ways(void **unused)
{
	const struct { const char *what; const char *at; } rows[] = {
		{ "no return prediction is replaced", vmx_exit_landing }, { "one is", vmx_exit_landing_one },
		{ "all are", vmx_exit_landing_all },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t gpr[GPR_COUNT];

		memset(gpr, 0xa5, sizeof(gpr));
		assert_int_equal(land(gpr, rows[i].at), 0);
		for (unsigned reg = 0; reg < GPR_COUNT; reg++)
			assert_int_equal(gpr[reg], reg == GPR_RSP ? 0xa5a5a5a5a5a5a5a5 : reg * 0x11);
	}
}

/* 32 calls and no more, in the code itself: a trap behind each. */
static void test_calls(void **unused)
{
	const uint8_t *code = (const uint8_t *)return_stack_replace;
	unsigned calls = 0;

	(void)unused;
	for (; code[0] == 0xe8 && code[5] == 0xcc; code += 6)
		calls++;
	assert_int_equal(calls, 32);
	return_stack_replace();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways), cmocka_unit_test(test_calls),
	};

	return cmocka_run_group_tests_name("landing", tests, NULL, NULL);
}
