/* SPDX-License-Identifier: MIT */
/* Looks that nobody takes, for tests of code that posts them (hv/look.h). */
#include <stddef.h>

#include "hv/host.h"
#include "hv/look.h"

void look_post(struct look *look)
{
	if (look)
		look->is_posted = true;
}

bool look_is_here(const struct look *look) { return look->home == host_processor(); }
