/* SPDX-License-Identifier: MIT */
#pragma once
/* Interrupts from one processor of ours to another (host_kick of hv/host.h). */

#define VECTOR_LOOK	0xf2U	/* the vCPU whose registers are here looks for requests */
#define VECTOR_WAKE	0xf3U	/* a round of the scheduler */

void kick_init(void);	/* their handlers; after the interrupt table of the boot processor */
