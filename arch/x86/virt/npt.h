/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Nested page tables: guest-physical to host-physical, four levels, written once for both vendors. The
 * format of an entry is data the backend supplies. Tables come from the page allocator and belong to the
 * struct npt; leaf pages belong to whoever mapped them (gpm).
 *
 * While a vCPU runs, npt_map only adds rights. A translation that the processor has cached with fewer rights
 * causes one more fault, at which the processor forgets it: no invalidation is needed (SDM vol. 3, 29.4.3.4
 * "Guidelines for Use of the INVEPT Instruction"). npt_unmap and npt_split_code tell their caller to flush.
 *
 * Whoever changes the tables of a VM holds its memory's lock (hv/spread.h); walks take none. No table is freed before
 * npt_release, so a processor that still walks an old one, or has it cached, reads no memory of anybody else: nobody
 * has to wait until all others have flushed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/addr.h"

#define NPT_LEVELS	4U	/* of tables: 48 bits of address */

struct account;

enum npt_rights { NPT_R = 1, NPT_W = 2, NPT_X = 4, NPT_RWX = 7 };

struct npt_format {
	uint64_t read, write, exec;	/* bits that grant; exec 0 with no_exec set: AMD */
	uint64_t no_exec;		/* bit that forbids execution */
	uint64_t large;			/* this entry is a leaf above the last level */
	uint64_t table;			/* bits of an entry that points to a table */
	uint64_t memtype_wb, memtype_uc;	/* leaf bits for write-back and uncached */
	uint64_t addr_mask;		/* physical address bits of an entry */
};

struct npt {
	const struct npt_format *format;
	hpa_t    root;
	uint64_t tables;	/* pages used for tables */
	struct account *account;	/* who is charged for these pages; NULL: nobody counts them */
	bool     small_code;	/* a guest could hang this processor by executing from large pages: none is executable */
};

__attribute__((warn_unused_result)) int npt_init(struct npt *npt, const struct npt_format *format);

/*
 * Free some of the tables, at most those of 1 GiB of the guest, so that no call takes long; true when
 * nothing is left. No vCPU may run on these tables any more.
 */
__attribute__((warn_unused_result)) bool npt_release(struct npt *npt);
static inline void npt_destroy(struct npt *npt) { while (!npt_release(npt)) continue; }

/*
 * size is PAGE_SIZE or LARGE_SIZE; both addresses aligned to it. Replaces a page of that size; splits a large page that
 * is in a small one's way. But small pages stay where a large one is asked for: another processor was first, and has
 * split that. 0 or -1 (no memory).
 */
__attribute__((warn_unused_result))
int npt_map(struct npt *npt, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned rights, bool is_uncached);

/*
 * Where small_code keeps a large page from being executed: split it into small ones that are. 1: done, by this CPU or
 * by another one before, and this CPU must flush; 0: no such page there; -1: no memory.
 */
__attribute__((warn_unused_result)) int npt_split_code(struct npt *npt, gpa_t gpa);

/* True when something was removed or restricted: every CPU that ran the VM must flush. */
bool npt_unmap(struct npt *npt, gpa_t gpa, uint64_t size);

/* Walk: the leaf entry's host address, rights and page size; false when not mapped. */
bool npt_lookup(const struct npt *npt, gpa_t gpa, hpa_t *hpa, unsigned *rights, uint64_t *size);
