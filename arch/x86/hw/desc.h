/* SPDX-License-Identifier: MIT */
#pragma once
/* Flat segment descriptors, for our GDT and those we hand to guests (SDM vol. 3, 3.4.5 "Segment Descriptors"). */

/* Present, ring 0, accessed, limit 4 GiB: execute and read (long, 32-bit); read and write. */
#define DESC_CODE64	0x00af9b000000ffffULL
#define DESC_CODE32	0x00cf9b000000ffffULL
#define DESC_DATA	0x00cf93000000ffffULL
