/* SPDX-License-Identifier: MIT */
#pragma once
/* Between multiboot.c, which decides where everything goes, and multiboot_info.c, which tells the kernel. */
#include "arch/x86/guestboot/boot_image.h"

/* Info, map, modules, GDT and all texts: checked at compile time. */
#define MULTIBOOT_INFO_AREA	0x2000ULL

struct multiboot_places {
	uint64_t info_addr;			/* below 4 GiB, MULTIBOOT_INFO_AREA bytes of usable RAM */
	uint64_t module_addr[GUEST_MODULES_MAX];
};

/*
 * Write the information block and make the registers of a protected-mode start state point to it: EAX,
 * EBX, GDTR. False when host memory ran out.
 */
__attribute__((warn_unused_result))
bool multiboot_info_write(const struct guest_boot *boot, const struct multiboot_places *places,
			  struct reset_state *state);
