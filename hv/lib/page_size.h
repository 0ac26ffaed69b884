/* SPDX-License-Identifier: MIT */
#pragma once
/* The processor's smallest page, for loader and hypervisor alike. */

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1ULL << PAGE_SHIFT)
#define PAGE_MASK	(PAGE_SIZE - 1)		/* the bits of an offset within one */
