/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which memory of the host is near which of its processors. A machine is made of nodes with numbers below HANDOFF_NODES_MAX,
 * often of node 0 alone. Constant after the start.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/addr.h"

void nodes_init(const struct handoff *handoff);		/* before any page is given (page.h) */

unsigned node_of(hpa_t addr);
uint64_t node_end(uint64_t addr);	/* up to there all memory is of the same node */

/* Whose memory somebody wants: that of `first` before all, then the others of `nodes`, then any. All zero: any. */
struct node_wish {
	unsigned first;
	uint64_t nodes;		/* bit n: node n; 0 on a machine that has one node */
};

/* What a VM wants that starts on this processor (host_processor_number). */
struct node_wish node_wish(const struct handoff_vm *config, unsigned processor);

/* The nodes that may have memory in the order of a wish: node_next gives one after the other, and false behind the last. */
struct node_walk { uint64_t left[3]; };
struct node_walk node_walk(const struct node_wish *wish);
bool node_next(struct node_walk *walk, unsigned *node);
