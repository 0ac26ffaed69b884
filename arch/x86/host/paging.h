/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Our own page tables: the image at its link address with W^X per section, all RAM and the low 4 GiB in the
 * direct map (never executable), null unmapped. Built once; the firmware's tables are gone afterwards.
 */
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/addr.h"

void paging_init(const struct handoff *handoff);	/* builds and switches CR3 */
void *paging_map_device(hpa_t start, uint64_t len, int is_write_combining);	/* outside the direct map too; direct-map address */
uint64_t paging_root(void);				/* CR3 */
/* Call a firmware runtime service on the identity map; used for ResetSystem only. type: 0 cold reset, 2 shutdown */
__attribute__((noreturn)) void firmware_reset(uint64_t efi_reset_system, uint32_t type);
