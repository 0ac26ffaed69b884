/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The port behind the real-mode vectors that a guest finds in low memory (arch/x86/guestboot/bios_data.c): there is no
 * BIOS, and whoever calls one or takes an exception without a handler of its own is stopped here by name.
 *
 *   ec  write of 4 bytes: bits 7:0 vector, bits 31:16 the caller's AX. Reads ones.
 */
#include <stdint.h>

#include "hv/bus.h"

#define BIOS_TRAP_PORT	0xecU

struct bios_trap {
	void (*called)(void *ctx, const char *why);	/* "called the BIOS: INT 0x13 (disk), ..." */
	void  *ctx;
};

void bios_trap_init(struct bios_trap *dev, void (*called)(void *, const char *), void *ctx);
__attribute__((warn_unused_result)) int bios_trap_map(struct bios_trap *dev, struct bus *pio);
