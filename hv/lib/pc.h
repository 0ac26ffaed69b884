/* SPDX-License-Identifier: MIT */
#pragma once
/* What a PC has where, for drivers of the real thing and devices that pretend to be it. */

#define COM1_PORT	0x3f8U	/* the first 16550 */
#define COM1_IRQ	4U
#define RESET_PORT	0xcf9U	/* reset control, as of the PIIX3 */
#define PIT_HZ		1193182ULL	/* the 8254's clock */
