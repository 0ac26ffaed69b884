/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a PC's firmware leaves in low memory for the program that it starts: the interrupt vectors at 0, the
 * BIOS data area at 400h, and code at the addresses where kernels jump into a BIOS. Here it is data only,
 * without firmware behind it. It is the guest's own memory from its first instruction on.
 */
#include <stdbool.h>

#include "hv/gpm.h"

/* False when the VM's RAM does not reach 1 MiB or the host has none left. */
__attribute__((warn_unused_result)) bool bios_data_write(struct gpm *gpm);
