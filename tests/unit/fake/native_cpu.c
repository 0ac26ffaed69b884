/* SPDX-License-Identifier: MIT */
/* Runs one instruction (contract in native_cpu.h): the code page holds it and a jump back. */
#include "native_cpu.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define CODE_SIZE	4096U

/* Named in the assembly below, which addresses them by RIP: no register is free there. */
struct native_cpu native_cpu_now;
uint64_t          native_host_rsp;
void             *native_code;

void native_enter(void);
extern const uint8_t native_back[];

__asm__(
	".text\n"
	".globl native_enter\n"
	"native_enter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, native_host_rsp(%rip)\n"
	"	mov native_cpu_now+136(%rip), %rdi\n"
	"	test %rdi, %rdi\n"
	"	jz 1f\n"
	"	mov native_cpu_now+144(%rip), %rax\n"
	"	xor %edx, %edx\n"
	"	xrstor64 (%rdi)\n"
	"1:\n"
	"	pushq native_cpu_now+128(%rip)\n"
	"	popfq\n"
	"	mov native_cpu_now(%rip), %rax\n	mov native_cpu_now+8(%rip), %rcx\n"
	"	mov native_cpu_now+16(%rip), %rdx\n	mov native_cpu_now+24(%rip), %rbx\n"
	"	mov native_cpu_now+32(%rip), %rsp\n	mov native_cpu_now+40(%rip), %rbp\n"
	"	mov native_cpu_now+48(%rip), %rsi\n	mov native_cpu_now+56(%rip), %rdi\n"
	"	mov native_cpu_now+64(%rip), %r8\n	mov native_cpu_now+72(%rip), %r9\n"
	"	mov native_cpu_now+80(%rip), %r10\n	mov native_cpu_now+88(%rip), %r11\n"
	"	mov native_cpu_now+96(%rip), %r12\n	mov native_cpu_now+104(%rip), %r13\n"
	"	mov native_cpu_now+112(%rip), %r14\n	mov native_cpu_now+120(%rip), %r15\n"
	"	jmp *native_code(%rip)\n"
	".globl native_back\n"
	"native_back:\n"
	"	mov %rax, native_cpu_now(%rip)\n	mov %rcx, native_cpu_now+8(%rip)\n"
	"	mov %rdx, native_cpu_now+16(%rip)\n	mov %rbx, native_cpu_now+24(%rip)\n"
	"	mov %rsp, native_cpu_now+32(%rip)\n	mov %rbp, native_cpu_now+40(%rip)\n"
	"	mov %rsi, native_cpu_now+48(%rip)\n	mov %rdi, native_cpu_now+56(%rip)\n"
	"	mov %r8, native_cpu_now+64(%rip)\n	mov %r9, native_cpu_now+72(%rip)\n"
	"	mov %r10, native_cpu_now+80(%rip)\n	mov %r11, native_cpu_now+88(%rip)\n"
	"	mov %r12, native_cpu_now+96(%rip)\n	mov %r13, native_cpu_now+104(%rip)\n"
	"	mov %r14, native_cpu_now+112(%rip)\n	mov %r15, native_cpu_now+120(%rip)\n"
	"	mov native_host_rsp(%rip), %rsp\n"
	"	pushfq\n"
	"	popq native_cpu_now+128(%rip)\n"
	"	cld\n"
	"	mov native_cpu_now+136(%rip), %rdi\n"
	"	test %rdi, %rdi\n"
	"	jz 1f\n"
	"	mov native_cpu_now+144(%rip), %rax\n"
	"	xor %edx, %edx\n"
	"	xsave64 (%rdi)\n"
	"	fninit\n"
	"1:\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n");

_Static_assert(offsetof(struct native_cpu, rflags) == 128 && offsetof(struct native_cpu, fpu) == 136 &&
	       offsetof(struct native_cpu, fpu_mask) == 144, "the assembly counts on it");

void native_prepare(void)
{
	native_code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(native_code != MAP_FAILED);
}

/* Behind the instruction: JMP [RIP + 0] and its target, which changes no register and no flag. */
void native_load_code(const uint8_t *code, size_t len)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	const uint8_t *target = native_back;
	uint8_t *at = native_code;

	memcpy(at, code, len);
	memcpy(at + len, jump, sizeof(jump));
	memcpy(at + len + sizeof(jump), &target, sizeof(target));
}

void native_run(struct native_cpu *cpu)
{
	native_cpu_now = *cpu;
	native_enter();
	*cpu = native_cpu_now;
}
