/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Guest memory for host tests: implements hv/gpm.h over malloc. Stricter than the real one: every
 * 2 MiB chunk is an allocation of its own, so that the address sanitizer sees one byte too many, and
 * a single access that is not aligned ends the test.
 */
#include "hv/gpm.h"

#define GPM_FAKE_RANGES	4U
#define GPM_FAKE_CHUNKS	64U	/* 128 MiB of address space */

struct gpm_fake {
	struct gpm gpm;		/* first: what the code under test gets */
	struct { uint64_t start, length; } ranges[GPM_FAKE_RANGES];
	size_t     range_count;
	uint8_t   *chunks[GPM_FAKE_CHUNKS];
	bool       is_exhausted;	/* the host has no memory for chunks not yet touched */
};

void gpm_fake_add(struct gpm_fake *fake, uint64_t start, uint64_t length);
void gpm_fake_free(struct gpm_fake *fake);
