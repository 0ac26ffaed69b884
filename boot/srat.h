/* SPDX-License-Identifier: MIT */
#pragma once
/* Which memory is near which processors, out of ACPI's System Resource Affinity Table. Pure. */
#include <stdbool.h>
#include <stddef.h>

#include "boot/handoff.h"

/* One node, 0, has all memory and all processors. */
void srat_none(struct handoff_nodes *nodes);

/*
 * The nodes of the handoff, whose processors and regions are known, out of a table that is whole. False: it contradicts
 * itself or them, `why` says how, and there is one node.
 */
bool srat_read(const void *srat, struct handoff *handoff, char *why, size_t why_size);
