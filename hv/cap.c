/* SPDX-License-Identifier: MIT */
/* At most so many percent of one processor (contract in cap.h). */
#include "hv/cap.h"

#include "hv/lib/util.h"

#define HUNDREDTHS	100
#define PASSED_MAX	(1ULL << 40)	/* ticks, minutes or more: so that no product overflows */

static int64_t quantum(uint64_t turn)
{
	return (int64_t)(turn * HUNDREDTHS / 4);
}

static int64_t most(uint64_t turn)
{
	return (int64_t)(turn * HUNDREDTHS * 2);
}

void cap_init(struct cap *cap, uint32_t percent, uint64_t turn, uint64_t now)
{
	*cap = (struct cap){ .percent = percent, .left = quantum(turn), .seen = now };
}

uint64_t cap_wait(struct cap *cap, uint64_t turn, uint64_t used, uint64_t now)
{
	int64_t grown;

	if (!cap->percent)
		return 0;
	grown = cap->left + (int64_t)(min_u64(excess_u64(now, cap->seen), PASSED_MAX) * cap->percent);
	cap->left = (grown < most(turn) ? grown : most(turn)) - (int64_t)((used - cap->used) * HUNDREDTHS);
	cap->seen = max_u64(cap->seen, now);	/* the processor that it left may be a little ahead */
	cap->used = used;
	/*
	 * The interrupt that ends the wait is paid from it: less than a whole quantum is enough, or waits
	 * would get short.
	 */
	cap->is_used_up = cap->left <= 0 || (cap->is_used_up && cap->left < quantum(turn) / 2);
	return cap->is_used_up ? (uint64_t)(quantum(turn) - cap->left) / cap->percent + 1 : 0;
}

/* While it runs its allowance grows as well. */
uint64_t cap_left(const struct cap *cap)
{
	if (!cap->percent || cap->percent >= HUNDREDTHS)
		return UINT64_MAX;
	return cap->left > 0 ? (uint64_t)cap->left / (HUNDREDTHS - cap->percent) + 1 : 1;
}
