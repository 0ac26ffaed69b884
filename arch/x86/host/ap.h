/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The other processors (application processors, APs): started one after the other by the boot processor, each checked
 * against it, virtualization switched on, then halted. They run no guests yet: the scheduler knows one processor.
 *
 * While one starts, the boot processor waits and does nothing else, so pages and log need no lock. A halted one touches
 * nothing: it bears NMIs, and has no other interrupt.
 */
#include "boot/handoff.h"

/* After virt->cpu_on of the boot processor. One that cannot be used is named in the log and left out. */
void     ap_start_all(const struct handoff *handoff);
unsigned ap_count(void);	/* processors that are on, the boot processor included */

/*
 * Before the machine is switched off: all others leave VMX operation or switch SVM off. INIT is blocked in VMX root
 * operation, and with it what a firmware may do to them in ResetSystem. How many did.
 */
unsigned ap_stop_all(void);
