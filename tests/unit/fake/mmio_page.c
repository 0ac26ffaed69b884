/* SPDX-License-Identifier: MIT */
/* Registers behind a page that nobody may touch; contract in mmio_page.h. */
#define _GNU_SOURCE		/* the names of registers in a signal */
#include "mmio_page.h"

#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "hv/addr.h"

#define PAGES_MAX	4U
#define ERROR_WRITE	2	/* of a page fault */
#define TRAP_FLAG	0x100

static struct page {
	uint64_t addr;
	uint32_t (*read)(uint64_t addr);
	void (*write)(uint64_t addr, uint32_t val);
} pages[PAGES_MAX];
static unsigned page_count;

static struct { const struct page *page; uint64_t addr; bool is_write; } now;	/* the access under way */

static void protect(const struct page *page, int rights)
{
	int failed = mprotect((void *)page->addr, PAGE_SIZE, rights);

	assert(!failed);
}

/* The access: show the value, let the one instruction run. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t addr = (uint64_t)info->si_addr;

	(void)number;
	for (now.page = pages; now.page < pages + page_count; now.page++)
		if (addr - now.page->addr < PAGE_SIZE)
			break;
	if (now.page == pages + page_count || addr % sizeof(uint32_t))
		abort();
	now.addr = addr;
	now.is_write = regs[REG_ERR] & ERROR_WRITE;
	protect(now.page, PROT_READ | PROT_WRITE);
	if (!now.is_write)
		*(uint32_t *)addr = now.page->read(addr - now.page->addr);
	regs[REG_EFL] |= TRAP_FLAG;
}

/* Behind it. */
static void on_step(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (now.is_write)
		now.page->write(now.addr - now.page->addr, *(uint32_t *)now.addr);
	protect(now.page, PROT_NONE);
}

void mmio_page_map(uint64_t addr, uint32_t (*read)(uint64_t addr), void (*write)(uint64_t addr, uint32_t val))
{
	void *got = mmap((void *)addr, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert(got == (void *)addr && page_count < PAGES_MAX);
	pages[page_count++] = (struct page){ addr, read, write };
}

void mmio_page_arm(void)
{
	const struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	const struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &step, NULL);
}
