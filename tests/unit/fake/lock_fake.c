/* SPDX-License-Identifier: MIT */
/* hv/lock.h's wait, without an end: for tests that link no hv/lock_wait.c, whose own takes this one's place. */
#include "hv/lock.h"

__attribute__((weak)) void lock_wait(const struct lock *lock, uint32_t ticket)
{
	while (__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket)
		__builtin_ia32_pause();
}
