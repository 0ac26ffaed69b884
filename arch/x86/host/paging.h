/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Our own page tables: the image at its link address with W^X per section, all RAM and the low 4 GiB in the
 * direct map (never executable, and no second way to write to our code and constants), null unmapped. paging_init
 * builds them, and the firmware's are gone afterwards; device windows and other processors' memory are added later.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/addr.h"

/*
 * On boot's page tables: show its identity map a second time at DIRECT_MAP_BASE, so that hpa_ptr works from the
 * first line of C on, before there is a page allocator to build tables with.
 */
void paging_early(void);
void paging_init(const struct handoff *handoff);	/* builds and switches CR3 */
uint64_t paging_root(void);				/* CR3 */

/*
 * Memory of the other processors, at addresses of its own so that the pages below stacks can be left out:
 * an area of CPU_AREA_STRIDE for each. paging_populate maps fresh pages there; false when there are none.
 */
#define CPU_AREA	0xffffffffc0000000ULL
#define CPU_AREA_STRIDE	(128ULL << 10)
bool paging_populate(uint64_t virt, uint64_t len);

/*
 * Fill a page with a top table that maps all that ours maps, and physical memory at its own address as
 * well, executable. For processors that start, and for the firmware's ResetSystem. The caller clears the
 * page when it is no longer needed.
 */
void paging_make_identity(uint64_t *top);

/* A device window, outside the direct map's RAM too; its direct-map address. */
void *paging_map_device(hpa_t start, uint64_t len, int is_write_combining);
bool paging_is_mapped(hpa_t start, uint64_t len);	/* in the direct map: may hpa_ptr(start) be followed? */
