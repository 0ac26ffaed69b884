/* SPDX-License-Identifier: MIT */
#pragma once
/* What a PC has where, for drivers of the real thing and devices that pretend to be it. */

#define KIB		1024U
#define MIB_SHIFT	20
#define LOW_MEMORY_END	(1ULL << 20)	/* below it are the firmware's data, and the other processors start there */
#define SECTOR_SIZE	512U	/* of a disk, to BIOS, boot protocols and virtio */
#define VECTORS		256U	/* of an IDT or a real-mode vector table */
#define REAL_MODE_SHIFT	4	/* from a segment to its base */
#define COM1_PORT	0x3f8U	/* the first 16550 */
#define COM1_IRQ	4U
#define RESET_PORT	0xcf9U	/* reset control, as of the PIIX3 */
#define PIT_HZ		1193182ULL	/* the 8254's clock */
