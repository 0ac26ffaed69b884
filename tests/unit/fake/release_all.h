/* SPDX-License-Identifier: MIT */
#pragma once
/* What the product gives back in pieces, in one go. */
#include "hv/gpm.h"
#include "hv/memdisk.h"

static inline void gpm_destroy(struct gpm *gpm) { while (!gpm_release(gpm)) continue; }
static inline void memdisk_destroy(struct memdisk *disk) { while (!memdisk_release(disk)) continue; }
