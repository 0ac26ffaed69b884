/* SPDX-License-Identifier: MIT */
/* CMOS memory as the firmware of a PC fills it (cmos.h). */
#include "hv/dev/cmos.h"

#include "hv/lib/pc.h"
#include "hv/lib/util.h"

enum {
	CMOS_EQUIPMENT = 0x14, CMOS_BASE_KIB = 0x15, CMOS_EXT_KIB = 0x17, CMOS_SUM_FROM = 0x10, CMOS_SUM = 0x2e,
	CMOS_EXT_KIB2 = 0x30, CMOS_ABOVE_16M = 0x34, CMOS_ABOVE_4G = 0x5b,
};

#define EQUIPMENT_FPU_MOUSE 0x06U
#define BASE_KIB	640U
#define MIB		(1ULL << 20)
#define UNIT_64K	65536U

static void cmos_put(uint8_t *bytes, unsigned at, unsigned count, uint64_t value)
{
	for (unsigned i = 0; i < count; i++)
		bytes[at + i] = (uint8_t)(value >> (8 * i));
}

void cmos_fill(uint8_t *bytes, uint64_t low, uint64_t above_4g)
{
	uint64_t ext_kib = low > MIB ? (low - MIB) / KIB : 0;
	uint64_t above_16m = low > 16 * MIB ? (low - 16 * MIB) / UNIT_64K : 0;
	unsigned sum = 0;

	bytes[CMOS_EQUIPMENT] = EQUIPMENT_FPU_MOUSE;
	cmos_put(bytes, CMOS_BASE_KIB, 2, min_u64(low / KIB, BASE_KIB));
	cmos_put(bytes, CMOS_EXT_KIB, 2, min_u64(ext_kib, UINT16_MAX));
	cmos_put(bytes, CMOS_EXT_KIB2, 2, min_u64(ext_kib, UINT16_MAX));
	cmos_put(bytes, CMOS_ABOVE_16M, 2, min_u64(above_16m, UINT16_MAX));
	cmos_put(bytes, CMOS_ABOVE_4G, 3, above_4g / UNIT_64K);
	for (unsigned i = CMOS_SUM_FROM; i < CMOS_SUM; i++)
		sum += bytes[i];
	bytes[CMOS_SUM] = (uint8_t)(sum >> 8);	/* the one big-endian field */
	bytes[CMOS_SUM + 1] = (uint8_t)sum;
}
