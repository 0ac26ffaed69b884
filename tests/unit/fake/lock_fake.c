/* SPDX-License-Identifier: MIT */
/* For tests that link no hv/lock_check.c, whose own takes this one's place. */
#include <stdlib.h>

#include "hv/lock.h"

__attribute__((weak)) void lock_stuck(const struct lock *lock)
{
	(void)lock;
	abort();
}
