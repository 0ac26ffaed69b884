/* SPDX-License-Identifier: MIT */
#pragma once
/* What the hardware offers, as log lines, one for each group: "caps: EPT: 2 MiB pages yes, 1 GiB pages no". */
#include <stdbool.h>
#include <stddef.h>

struct cap_row {
	const char *name;
	bool        has;
	const char *instead;	/* what is done without it; NULL: nothing has to be */
};

/* Why CPUID shows no virtualization: the processor has none, or a hypervisor that we run in hides it. */
const char *caps_absent(void);

void caps_log(const char *group, const struct cap_row *rows, size_t count);
