/* SPDX-License-Identifier: MIT */
/* What emulated processors get wrong in a way that our side has to put right. */
#include "arch/x86/svm/svm.h"

/*
 * QEMU 7.2 lets SYSENTER run in compatibility mode, where an AMD processor raises #UD, and leaves a CS with
 * both L and D set, which its VMRUN then refuses. The code that it enters is 64-bit code: D goes.
 */
void svm_mend_cs(struct vmcb *vmcb)
{
	const uint16_t both = ATTRIB_L | ATTRIB_DB;

	if ((vmcb->save.cs.attrib & both) != both)
		return;
	vmcb->save.cs.attrib &= (uint16_t)~ATTRIB_DB;
	vmcb->control.clean_bits &= ~CLEAN_SEG;
}
