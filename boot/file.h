/* SPDX-License-Identifier: MIT */
#pragma once
/* Whole files from \trapeze\ on the partition we were started from. */
#include "boot/firmware.h"

struct volume {
	const struct firmware *fw;
	EFI_FILE_HANDLE root;
};

enum file_status {
	FILE_OK, FILE_MISSING, FILE_IS_DIRECTORY, FILE_EMPTY, FILE_NO_MEMORY, FILE_UNREADABLE,
};

struct file_data {
	void *data;		/* page-aligned, EfiLoaderData, the rest of the last page is zero */
	uint64_t length;
};

/* The status in words with the next step, for messages. */
const char *file_status_text(enum file_status status);

bool file_open_volume(const struct firmware *fw, struct volume *volume);
/* path: below \trapeze\, '/' between its parts, ASCII. Prints progress when it takes long. */
enum file_status file_read(const struct volume *volume, const char *path, struct file_data *file);
/*
 * Is it there, and not empty? FILE_OK and its length, FILE_MISSING, FILE_IS_DIRECTORY, FILE_EMPTY or
 * FILE_UNREADABLE.
 */
enum file_status file_check(const struct volume *volume, const char *path, uint64_t *length);
/* Calls seen() with the name of every ordinary file in a directory; false when there is no such directory. */
bool file_list(const struct volume *volume, const char *path,
	       void (*seen)(void *ctx, const char *name), void *ctx);
