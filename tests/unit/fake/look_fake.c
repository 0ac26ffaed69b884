/* SPDX-License-Identifier: MIT */
/* Looks that nobody takes, for tests of code that posts them (hv/look.h). */
#include <stddef.h>

#include "hv/host.h"
#include "hv/look.h"
#include "hv/processor.h"

void look_post(struct look *look)
{
	if (look)
		look->is_posted = true;
}

void look_post_end(struct look *look)
{
	if (look && look->is_posted && look->home)
		((struct processor *)look->home)->resumes = true;
	look_post(look);
}

bool look_is_here(const struct look *look) { return look->home == host_processor(); }
