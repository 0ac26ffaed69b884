/* SPDX-License-Identifier: MIT */
/*
 * What is done at entries and exits about what emulated processors get wrong (arch/x86/virt/quirks.h says
 * what, quirks.c measures it, quirk_shadow.c has the interrupt shadow). On a processor all of it is skipped.
 */
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/quirks.h"

/* SYSENTER enters 64-bit code: of L and D, D is the wrong one. */
void svm_mend_cs(struct vmcb *vmcb)
{
	const uint16_t both = ATTRIB_L | ATTRIB_DB;

	if ((vmcb->save.cs.attrib & both) != both)
		return;
	vmcb->save.cs.attrib &= (uint16_t)~ATTRIB_DB;
	vmcb->control.clean_bits &= ~CLEAN_SEG;
}

uint64_t svm_debug_status(const struct vmcb *vmcb, bool was_stepping)
{
	uint64_t bits = vmcb->save.dr6 & DR6_STATUS;

	return quirks.hides_step && !bits && was_stepping ? DR6_BS : bits;
}
