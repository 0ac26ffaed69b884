/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a processor knows of errors of its own hardware: SDM vol. 3, 16.3 "Machine-Check MSRs"; APM vol. 2, 9.3 "Machine
 * Check Architecture MSRs". Its banks can be read on that processor alone, so each notes its own when the machine
 * panics, and the one that reports prints what all have noted.
 */
#include <stdint.h>

#define MC_BANKS_NOTED	4U

struct machine_check {
	uint64_t global;	/* IA32_MCG_STATUS */
	uint32_t count;		/* banks that hold an error; the first of them: */
	struct mc_bank { uint32_t index; uint64_t status, addr, misc; } banks[MC_BANKS_NOTED];
};

void machine_check_enable(void);	/* before CR4.MCE: all kinds of errors are reported, and none is from before our time */
void machine_check_note(struct machine_check *note);		/* of this processor; in any context */
void machine_check_log(const struct machine_check *note);	/* log lines; none when no bank holds an error */
