/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the parts of boot/ that talk to the firmware share: its tables, and how to end.
 *
 * Firmware services are called through pointers with the Microsoft calling convention (GNU_EFI_USE_MS_ABI).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <efi.h>

struct firmware {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *system;
	EFI_BOOT_SERVICES *services;
	bool stay_on;		/* trapeze.conf when_done = halt: leave a message on the screen */
	const char *run_id;	/* trapeze.conf: for the last line; NULL until it was read */
};

#define FIRMWARE_PAGE	4096ULL

/* Zeroed whole pages of EfiLoaderData, or NULL. Never given back: the hypervisor gets them with the region list. */
void *firmware_pages(const struct firmware *fw, uint64_t length);
/* The memory map, in a buffer with room for what our own allocations may add to it. */
struct firmware_map {
	void *buffer;
	UINTN capacity, size, entry_size, key;
};
bool firmware_get_map(const struct firmware *fw, struct firmware_map *map);	/* into a new buffer */
EFI_STATUS firmware_read_map(const struct firmware *fw, struct firmware_map *map);	/* again, into the same one */
/* The first instance of a protocol, or NULL. */
void *firmware_protocol(const struct firmware *fw, EFI_GUID *guid);
/* The protocol of a handle, or NULL. */
void *firmware_protocol_of(const struct firmware *fw, EFI_HANDLE handle, EFI_GUID *guid);
/* Handles with a protocol into list; returns how many. */
size_t firmware_handles(const struct firmware *fw, EFI_GUID *guid, EFI_HANDLE *list, size_t max);
/* Are images verified before they run? */
bool firmware_secure_boot(const struct firmware *fw);
/* Wait up to `seconds` for a key (for ever when UINT32_MAX): true and the key, or false. */
bool firmware_wait_key(const struct firmware *fw, uint32_t seconds, EFI_INPUT_KEY *key);

/* The line that scripts/run looks for; hv/end.c says the same once the firmware is gone. */
void firmware_say_end(const struct firmware *fw, const char *reason);
/*
 * The end of a boot that cannot go on: says why in one line with a code, then firmware_say_end's line, lets the user
 * read and switches the machine off. With when_done = halt it waits for a key first.
 */
__attribute__((noreturn, format(printf, 3, 4)))
void firmware_fail(const struct firmware *fw, const char *reason, const char *fmt, ...);
