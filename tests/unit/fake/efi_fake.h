/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A UEFI firmware for host tests of boot/: memory, a file system, handles with protocols, a screen and a
 * serial port, all of which the test describes and may make fail. Pages come filled with rubbish, as real
 * firmware's do. Times do not pass: a timer has fired when it is asked for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/file.h"
#include "boot/firmware.h"

#define EFI_FAKE_FILES		96U
#define EFI_FAKE_PROTOCOLS	16U

struct efi_fake_file {
	char path[200];			/* "\\trapeze\\vms\\a.conf"; its directories are there with it */
	const void *data;
	size_t len;
	size_t readable;		/* bytes behind which the disk is broken; SIZE_MAX */
};

extern struct efi_fake {
	struct efi_fake_file files[EFI_FAKE_FILES];
	unsigned file_count;
	size_t read_max;		/* a Read gives no more at once; 0: all */
	uint64_t pages_left;		/* pages that AllocatePages still has */
	struct { uint64_t handle; EFI_GUID guid; void *protocol; } protocols[EFI_FAKE_PROTOCOLS];	/* handle 0: no handle's */
	unsigned protocol_count;
	uint64_t key;			/* a key that is pressed when somebody waits: its ScanCode; 0: none */
	unsigned typed;			/* keys that are there already */
	unsigned left_at_wait;		/* how many of them were when somebody waited last */
	bool is_secure;
	const void *map;		/* the memory map: */
	size_t map_size, map_entry;
	unsigned exit_failures;		/* ExitBootServices fails so often, and the map's key changes */
	unsigned map_reads, exits, resets, waits;
	uint64_t wait_timer;		/* what the last relative timer was set to, in 100 ns */
	bool has_uart, is_uart_stuck;
	char serial[16384];		/* what went out to COM1, and to the screens */
	size_t serial_len;
	char screen[16384];
	size_t screen_len;
} efi_fake;

extern EFI_SYSTEM_TABLE efi_fake_system;
extern SIMPLE_TEXT_OUTPUT_INTERFACE efi_fake_screen;	/* the console as a whole; other screens write to the same text */

void efi_fake_init(struct firmware *fw);	/* no file, no protocol, plenty of memory, a UART that works */
void efi_fake_free(void);
void efi_fake_add(const char *path, const void *data, size_t len);
void efi_fake_text(const char *path, const char *text);
void efi_fake_protocol(uint64_t handle, EFI_GUID guid, void *protocol);
void efi_fake_volume(struct volume *volume, const struct firmware *fw);

/* Does the call end the boot (ResetSystem, then a stop)? */
bool efi_fake_ends(void (*call)(void));
