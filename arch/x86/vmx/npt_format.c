/* SPDX-License-Identifier: MIT */
/*
 * EPT entries as data for virt/npt.c, which walks and fills the tables of both vendors: SDM vol. 3, 29.3.2
 * "EPT Translation Mechanism", tables 29-1 to 29-6.
 *
 * An EPT entry resembles a page-table entry, but is none: rights are three positive bits (an entry without
 * any is absent), and a leaf names its memory type in bits 5:3. Bit 6, "ignore PAT", stays clear, so that
 * the guest's PAT and the type given here combine, as a processor combines PAT and MTRRs. Writable without
 * readable is a misconfiguration (29.3.3.1).
 */
#include "arch/x86/hw/memtype.h"
#include "arch/x86/vmx/vmx.h"

#define EPT_READ	BIT(0)
#define EPT_WRITE	BIT(1)
#define EPT_EXEC	BIT(2)
#define EPT_MEMTYPE	FIELD(5, 3)
#define EPT_LARGE	BIT(7)
#define EPT_ADDR	FIELD(51, 12)
#define EPT_TYPE(type)	((type) * (EPT_MEMTYPE & -EPT_MEMTYPE))

const struct npt_format vmx_npt_format = {
	.read = EPT_READ, .write = EPT_WRITE, .exec = EPT_EXEC, .no_exec = 0,
	.large = EPT_LARGE,
	.table = EPT_READ | EPT_WRITE | EPT_EXEC,
	.memtype_wb = EPT_TYPE(MEMTYPE_WB), .memtype_uc = EPT_TYPE(MEMTYPE_UC),
	.addr_mask = EPT_ADDR,
};
