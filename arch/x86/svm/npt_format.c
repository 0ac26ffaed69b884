/* SPDX-License-Identifier: MIT */
/*
 * The format of AMD's nested page tables: ordinary long-mode page tables, read as data by virt/npt.c.
 * APM vol. 2, 15.25 "Nested Paging", 5.3 "Long-Mode Page Translation".
 *
 * The processor treats every guest access as a user access here (15.25.5 "Nested Table Walk"), so U/S is
 * part of "readable". The memory type of an entry indexes our own PAT, whose entries 0 and 3 are
 * write-back and uncached as after reset.
 */
#include "arch/x86/hw/pte.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/virt/npt.h"

const struct npt_format svm_npt_format = {
	.read = PTE_P | PTE_U,
	.write = PTE_W,
	.exec = 0,
	.no_exec = PTE_NX,
	.large = PTE_PS,
	.table = PTE_P | PTE_W | PTE_U,
	.memtype_wb = 0,
	.memtype_uc = PTE_PCD | PTE_PWT,
	.addr_mask = PTE_ADDR,
};
