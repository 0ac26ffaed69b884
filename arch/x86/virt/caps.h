/* SPDX-License-Identifier: MIT */
#pragma once
/* What the hardware has for us, one line of the log a group: "caps: EPT: 2 MiB pages yes, 1 GiB pages no". */
#include <stdbool.h>
#include <stddef.h>

struct cap_row {
	const char *name;
	bool        has;
	const char *instead;	/* what is done without it; NULL: nothing has to be */
};

/* Why this processor offers no virtualization: the silicon, or a hypervisor we run in. The same text whoever asks. */
const char *caps_absent(void);

void caps_log(const char *group, const struct cap_row *rows, size_t count);
