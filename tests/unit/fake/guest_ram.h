/* SPDX-License-Identifier: MIT */
#pragma once
/* Guest memory that is one array, for tests of what writes structs into it (arch/x86/pv). Each has its own gpm_write. */
#include <string.h>

#include "hv/gpm.h"
#include "hv/lib/util.h"

static uint8_t ram[0x2000];
static uint64_t touched;	/* by the last gpm_touch */

bool gpm_is_ram(const struct gpm *gpm, gpa_t addr, uint64_t len) { (void)gpm; return range_fits(addr.raw, len, sizeof(ram)); }

bool gpm_touch(struct gpm *gpm, gpa_t addr, uint64_t len)
{
	touched = addr.raw;
	return gpm_is_ram(gpm, addr, len);
}

bool gpm_read(struct gpm *gpm, gpa_t addr, void *to, size_t len)
{
	if (gpm_is_ram(gpm, addr, len))
		memcpy(to, ram + addr.raw, len);
	return gpm_is_ram(gpm, addr, len);
}

bool gpm_exchange8(struct gpm *gpm, gpa_t addr, uint8_t val, uint8_t *old)
{
	if (!gpm_is_ram(gpm, addr, sizeof(val)))
		return false;
	*old = __atomic_exchange_n(ram + addr.raw, val, __ATOMIC_SEQ_CST);
	return true;
}
