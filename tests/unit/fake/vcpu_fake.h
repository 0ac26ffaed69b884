/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One vCPU in one VM for tests of handlers: the back end is two arrays, guest RAM is the real gpm over
 * page_fake, injected exceptions and a kill are noted. Stands in for hv/vcpu.c, hv/vm.c and exit/fatal.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define FAKE_RAM	0x400000ULL	/* bytes from 0 */
#define FAKE_TABLES	0x100000ULL	/* 4-level page tables: vcpu_fake_long */
#define FAKE_PHYS_BITS	40U

struct vcpu_fake {
	struct vm       vm;
	struct vcpu     vcpu;
	uint64_t        regs[GUEST_READ_COUNT];
	struct segment  segs[SEG_COUNT];
	uint64_t        next_table;
	uint64_t        shadow;		/* an interrupt shadow; end_shadow clears it */
	uint64_t        tsc_offset;	/* what set_tsc_offset was told last */

	unsigned        injected;	/* how many, and the last one */
	uint8_t         vector;
	uint32_t        error;
	struct vevent   event;		/* the last one of a type that is no hardware exception */
	bool            has_irq;	/* for tests that stand in for vcpu_has_irq */
	bool            is_killed;
	unsigned        flushes;
	unsigned        cr3_loads;	/* how often CR3 was set: it brings the pointers of PAE paging */
	unsigned        progress;	/* exit_progress calls */
	unsigned        apic_accesses;
	uint64_t        apic_last;	/* value written last */
};

/* What the back end promises guests: an Intel processor, unless a test changes it. */
extern struct guest_caps fake_caps;

/* All lines of vm_log since a test made it "". */
#define VM_LOG_SIZE	(64U << 10)
extern char fake_vm_log[VM_LOG_SIZE];
unsigned fake_vm_log_lines(void);

/* What the processor would hold in DR0 to DR3: host/cpu_init.c's cpu_set_breakpoints. */
extern uint64_t fake_breakpoints[4];
extern unsigned fake_breakpoint_loads;

void vcpu_fake_init(struct vcpu_fake *fake);	/* real mode, flat segments, RAM, empty buses */
void vcpu_fake_protected(struct vcpu_fake *fake);	/* 32-bit, flat, no paging */
void vcpu_fake_long(struct vcpu_fake *fake);	/* 64-bit, 4-level, nothing mapped yet */
void vcpu_fake_free(struct vcpu_fake *fake);

/* Map a 4 KiB page in the guest's 4-level tables; flags are entry bits besides "present". */
void vcpu_fake_map(struct vcpu_fake *fake, uint64_t linear, uint64_t physical, uint64_t flags);
uint64_t vcpu_fake_entry(struct vcpu_fake *fake, uint64_t linear);	/* guest-physical address of its last-level entry */

uint64_t vcpu_fake_word(struct vcpu_fake *fake, uint64_t physical);
void vcpu_fake_set_word(struct vcpu_fake *fake, uint64_t physical, uint64_t word);
void vcpu_fake_put(struct vcpu_fake *fake, uint64_t physical, const void *bytes, size_t len);
