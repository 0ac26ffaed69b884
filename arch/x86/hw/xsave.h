/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The XSAVE area as CPUID leaf 0Dh describes it: SDM vol. 1, 13.2 "Enumeration of CPU Support" and 13.4
 * "XSAVE Area".
 */
#include <stdint.h>

#define XSAVE_LEGACY	576U	/* 512 bytes FXSAVE image, 64 bytes header */
#define XSAVE_COMPONENTS 63U

/*
 * In the compacted format a component begins where the one before it ends, or at the next 64 bytes: bit 1 of
 * its ECX.
 */
static inline uint32_t xsave_compacted_start(uint32_t end, uint32_t ecx)
{
	const uint32_t is_aligned = 2, low = 63;

	return ecx & is_aligned ? (end + low) & ~low : end;
}
