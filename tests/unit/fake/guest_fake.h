/* SPDX-License-Identifier: MIT */
#pragma once
/* A guest's RAM and the request to boot it, for tests of the boot protocols: the real gpm over page_fake. */
#include "arch/x86/guestboot/boot_image.h"

struct guest_fake {
	struct gpm        gpm;
	struct guest_boot boot;
	struct guest_copies copies;
};

void guest_fake_init(struct guest_fake *guest, uint64_t memory);
void guest_fake_free(struct guest_fake *guest);

/* Make the copies that were listed; false when memory runs out. */
bool guest_fake_copy(struct guest_fake *guest);

/* A number in guest RAM; ends the test when it is not RAM. */
uint64_t guest_number(struct guest_fake *guest, uint64_t addr, size_t size);
/* Do len bytes of guest RAM equal these? */
bool guest_equals(struct guest_fake *guest, uint64_t addr, const void *bytes, size_t len);
