/* SPDX-License-Identifier: MIT */
/*
 * The format of AMD's nested page tables: ordinary long-mode page tables, read as data by virt/npt.c.
 * APM vol. 2, 15.25 "Nested Paging", 5.3 "Long-Mode Page Translation".
 *
 * The processor treats every guest access as a user access here (15.25.5 "Nested Table Walk"), so U/S is
 * part of "readable". The memory type of an entry indexes our own PAT, whose entries 0 and 3 are
 * write-back and uncached as after reset.
 */
#include "arch/x86/svm/svm.h"
#include "arch/x86/virt/npt.h"

#define NPTE_P		BIT(0)
#define NPTE_RW		BIT(1)
#define NPTE_US		BIT(2)
#define NPTE_PWT	BIT(3)
#define NPTE_PCD	BIT(4)
#define NPTE_PS		BIT(7)
#define NPTE_NX		BIT(63)

const struct npt_format svm_npt_format = {
	.read = NPTE_P | NPTE_US,
	.write = NPTE_RW,
	.exec = 0,
	.no_exec = NPTE_NX,
	.large = NPTE_PS,
	.table = NPTE_P | NPTE_RW | NPTE_US,
	.memtype_wb = 0,
	.memtype_uc = NPTE_PCD | NPTE_PWT,
	.addr_mask = FIELD(51, 12),
};
