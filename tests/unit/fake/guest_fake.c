/* SPDX-License-Identifier: MIT */
/* A guest to be booted; contract in guest_fake.h. */
#include "guest_fake.h"
#include "release_all.h"

#include <stdlib.h>
#include <string.h>

#define RSDP_FAKE	0xe0000U

void guest_fake_init(struct guest_fake *guest, uint64_t memory)
{
	struct memory_map slots;

	memset(guest, 0, sizeof(*guest));
	memory_map_slots(&slots, memory);
	for (size_t i = 0; i < slots.count; i++)
		if (gpm_add_slot(&guest->gpm, gpa(slots.ranges[i].start), slots.ranges[i].length))
			abort();
	guest->boot.gpm = &guest->gpm;
	guest->boot.copies = &guest->copies;
	guest->boot.cmdline = "";
	guest->boot.rsdp = RSDP_FAKE;
	memory_map_e820(&guest->boot.map, memory);
}

void guest_fake_free(struct guest_fake *guest)
{
	gpm_destroy(&guest->gpm);
}

bool guest_fake_copy(struct guest_fake *guest)
{
	while (guest->copies.count)
		if (!guest_copies_step(&guest->copies, &guest->gpm))
			return false;
	return true;
}

uint64_t guest_number(struct guest_fake *guest, uint64_t addr, size_t size)
{
	uint64_t val = 0;

	if (!gpm_read(&guest->gpm, gpa(addr), &val, size))
		abort();
	return val;
}

bool guest_equals(struct guest_fake *guest, uint64_t addr, const void *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool  same = gpm_read(&guest->gpm, gpa(addr), copy, len) && !memcmp(copy, bytes, len);

	free(copy);
	return same;
}
