/* SPDX-License-Identifier: MIT */
#pragma once
/* Which memory is near which processors, as the firmware says. */
#include "boot/firmware.h"
#include "boot/handoff.h"

/* Fills in nodes, and says what it found; rsdp and cpus are known. */
void numa_find(const struct firmware *fw, struct handoff *handoff);
