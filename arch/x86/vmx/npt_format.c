/* SPDX-License-Identifier: MIT */
/* EPT entries: SDM vol. 3, 29.3.2, tables 29-1 to 29-6. Memory type in bits 5:3 of a leaf; PAT is honoured (bit 6 clear). */
#include "arch/x86/vmx/vmx.h"

#define EPT_READ	BIT(0)
#define EPT_WRITE	BIT(1)
#define EPT_EXEC	BIT(2)
#define EPT_MEMTYPE	FIELD(5, 3)
#define EPT_LARGE	BIT(7)
#define EPT_ADDR	FIELD(51, 12)
#define MEMTYPE_UC	0
#define MEMTYPE_WB	(6ULL << 3)

const struct npt_format vmx_npt_format = {
	.read = EPT_READ, .write = EPT_WRITE, .exec = EPT_EXEC, .no_exec = 0,
	.large = EPT_LARGE,
	.table = EPT_READ | EPT_WRITE | EPT_EXEC,
	.memtype_wb = MEMTYPE_WB, .memtype_uc = MEMTYPE_UC,
	.addr_mask = EPT_ADDR,
};
