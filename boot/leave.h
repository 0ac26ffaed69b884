/* SPDX-License-Identifier: MIT */
#pragma once
/* The way out of the firmware and into the hypervisor. */
#include "boot/firmware.h"
#include "boot/handoff.h"

/* handoff: complete but for the regions; entry: virtual, in the block handoff->hv_start describes. */
__attribute__((noreturn)) void leave(const struct firmware *fw, struct handoff *handoff,
				     uint64_t entry);
