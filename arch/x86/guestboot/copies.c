/* SPDX-License-Identifier: MIT */
/* Files that a VM copies into its RAM piece by piece (contract in copies.h). */
#include "arch/x86/guestboot/copies.h"

#include "hv/lib/util.h"

#define PIECE	65536U	/* some 8,000 ticks: too short for another VM to notice */

bool guest_copies_add(struct guest_copies *copies, uint64_t to, const uint8_t *from, uint64_t len)
{
	if (!len)
		return true;
	if (copies->count == GUEST_COPIES_MAX)
		return false;
	copies->list[copies->count++] = (struct guest_copy){ .to = to, .from = from, .len = len };
	return true;
}

bool guest_copies_step(struct guest_copies *copies, struct gpm *gpm)
{
	struct guest_copy *last;
	size_t len;

	if (!copies->count)
		return true;
	last = &copies->list[copies->count - 1];
	len = (size_t)min_u64(last->len, PIECE);
	if (!gpm_touch(gpm, gpa(last->to), len))
		return true;		/* zeroing the memory was this step's work */
	if (!gpm_write(gpm, gpa(last->to), last->from, len))
		return false;
	last->to += len;
	last->from += len;
	last->len -= len;
	if (!last->len)
		copies->count--;
	return true;
}
