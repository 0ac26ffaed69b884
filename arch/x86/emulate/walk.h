/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The guest's own page tables, walked in software: guest-linear to guest-physical for every paging
 * mode (none, 32-bit with and without PSE, PAE, 4-level), with the access checked as the processor
 * would (SDM vol. 3, 4.6 "Access Rights" and 4.7 "Page-Fault Exceptions"). Pure over gpm.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/emulate/insn.h"
#include "hv/addr.h"
#include "hv/gpm.h"

struct walk_cpu {			/* what the walk depends on; see walk_cpu_of() */
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint8_t  cpl;
	uint8_t  phys_bits;		/* guest MAXPHYADDR: bits above are reserved */
};

enum walk_access { WALK_READ = 0, WALK_WRITE = 1, WALK_FETCH = 2 };

/* True and *out; or false with *error the page-fault error code (CR2 is the address asked for). */
__attribute__((warn_unused_result))
bool walk_gva(struct gpm *gpm, const struct walk_cpu *cpu, gva_t addr, enum walk_access access,
	      gpa_t *out, uint32_t *error);

/*
 * *error when there is no page fault to inject: page tables outside RAM, an address of no meaning
 * (#GP or #SS).
 */
#define WALK_NOT_RAM		(~0U)
#define WALK_NOT_CANONICAL	(~0U - 1)
/*
 * From the copies below only: they came to RAM that nobody had touched. It has memory now, which took long, and nothing
 * is copied there yet. Let the guest execute its instruction again.
 */
#define WALK_POPULATED		(~0U - 2)

/*
 * The aligned words of the page tables a walk went through, as they were when it ended. As long as
 * CR3, the paging mode and these words are the same, so is the translation (fetch.c remembers
 * walks by them).
 */
#define WALK_LEVELS_MAX	4
struct walk_trail {
	size_t   count;
	gpa_t    addr[WALK_LEVELS_MAX];
	uint64_t word[WALK_LEVELS_MAX];
};
__attribute__((warn_unused_result))
bool walk_gva_trail(struct gpm *gpm, const struct walk_cpu *cpu, gva_t addr,
		    enum walk_access access, gpa_t *out, uint32_t *error, struct walk_trail *trail);

struct vcpu;
void walk_cpu_of(struct vcpu *vcpu, struct walk_cpu *cpu);

/*
 * Copy from guest-linear memory, across pages, RAM only. True when all was done. On a page
 * fault: false, with *fault the first address that failed and *error its code, or WALK_NOT_RAM, WALK_NOT_CANONICAL or
 * WALK_POPULATED.
 */
__attribute__((warn_unused_result))
bool gva_read(struct vcpu *vcpu, gva_t addr, void *to, size_t len, gva_t *fault, uint32_t *error);

/*
 * The same, both ways, as the processor reads and writes descriptor tables and task-state segments: with supervisor rights
 * at any CPL, and under SMAP whatever RFLAGS.AC says (SDM vol. 3, 4.6.1 "implicit supervisor-mode accesses").
 * from NULL: nothing is written, only whether it could be.
 */
__attribute__((warn_unused_result))
bool gva_read_system(struct vcpu *vcpu, gva_t addr, void *to, size_t len, gva_t *fault, uint32_t *error);
__attribute__((warn_unused_result))
bool gva_write_system(struct vcpu *vcpu, gva_t addr, const void *from, size_t len, gva_t *fault,
		      uint32_t *error);

/*
 * Read as a processor in this state would, which need not be the vCPU's: a task that is to begin has other
 * tables. False: it cannot be read, or was populated just now.
 */
__attribute__((warn_unused_result))
bool gva_read_through(struct vcpu *vcpu, const struct walk_cpu *cpu, gva_t addr, void *to, size_t len);

/*
 * PAE paging, where the four entries that CR3 points to are loaded with it and must be good then (SDM vol. 3,
 * 4.4.1 "PDPTE Registers"). False: one that is present has reserved bits set; it counts as absent
 * in pointers, and so does one outside RAM.
 */
#define PAE_POINTERS	4U
#define PAE_ROOT	FIELD(31, 5)	/* where in CR3 their address is */
bool walk_is_pae(struct vcpu *vcpu);
__attribute__((warn_unused_result))
bool walk_pae_pointers(struct vcpu *vcpu, uint64_t cr3, uint64_t pointers[PAE_POINTERS]);

/* Where CS:RIP of the exit points. */
gva_t gva_of_rip(struct vcpu *vcpu, enum insn_mode mode);

/* Up to 15 bytes at CS:RIP into bytes (private copy); how many could be had. */
size_t gva_fetch_insn(struct vcpu *vcpu, uint8_t *bytes);
