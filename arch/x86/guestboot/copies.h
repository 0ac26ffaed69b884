/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Copying whole files into a guest takes long, so a boot protocol only lists these copies; the VM makes
 * them in turns of its own, a piece at a time, before its first instruction.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/gpm.h"

#define GUEST_COPIES_MAX	48U	/* segments of a kernel and its modules */

struct guest_copies {
	size_t count;
	struct guest_copy { uint64_t to; const uint8_t *from; uint64_t len; } list[GUEST_COPIES_MAX];
};

/* False when the list is full. */
__attribute__((warn_unused_result))
bool guest_copies_add(struct guest_copies *copies, uint64_t to, const uint8_t *from, uint64_t len);

/*
 * Copy one piece, if one is left, or populate a chunk of where it goes. False: the host is out of memory, or
 * the address is not RAM.
 */
__attribute__((warn_unused_result)) bool guest_copies_step(struct guest_copies *copies, struct gpm *gpm);
