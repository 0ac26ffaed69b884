/* SPDX-License-Identifier: MIT */
/*
 * Files through EFI_SIMPLE_FILE_SYSTEM_PROTOCOL, UEFI 2.10, 13.4 and 13.5.
 *
 * A file is read in few large pieces (firmware in an emulator is slow per call), with a line every two seconds
 * that says how far it is. Names are ASCII here; others on the disk are shown with '?' and never match.
 */
#include "boot/file.h"

#include "boot/handoff.h"
#include "boot/print.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define DIRECTORY	u"\\trapeze\\"
#define PATH_LEN	(HANDOFF_PATH_MAX + sizeof(DIRECTORY) / sizeof(CHAR16))
#define PIECE		(4ULL << 20)
#define PROGRESS_TICKS	20000000ULL	/* two seconds, in 100 ns */
#define PERCENT		100
#define NAME_LEN	256		/* the longest FAT name and its end */
#define INFO_SIZE	(offsetof(EFI_FILE_INFO, FileName) + NAME_LEN * sizeof(CHAR16))
#define ASCII_END	0x80

static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

union info {
	EFI_FILE_INFO file;
	uint8_t space[INFO_SIZE];
};

const char *file_status_text(enum file_status status)
{
	static const char *const texts[] = {
		[FILE_OK]           = "read",
		[FILE_MISSING]      = "no such file in \\trapeze\\: copy it there or correct the path",
		[FILE_IS_DIRECTORY] = "this is a directory: name a file in it",
		[FILE_EMPTY]        = "the file is empty: copy it again",
		[FILE_NO_MEMORY]    = "not enough memory to load it: use a smaller file or more memory",
		[FILE_UNREADABLE]   = "the firmware cannot read it: check the disk and copy it again",
	};

	return texts[status];
}

bool file_open_volume(const struct firmware *fw, struct volume *volume)
{
	EFI_LOADED_IMAGE *image = firmware_protocol_of(fw, fw->image, &loaded_image_guid);
	EFI_FILE_IO_INTERFACE *system =
		image ? firmware_protocol_of(fw, image->DeviceHandle, &file_system_guid) : NULL;

	volume->fw = fw;
	return system && !EFI_ERROR(system->OpenVolume(system, &volume->root));
}

static EFI_FILE_HANDLE open_path(const struct volume *volume, const char *path)
{
	CHAR16 name[PATH_LEN] = DIRECTORY;
	size_t len = sizeof(DIRECTORY) / sizeof(CHAR16) - 1;
	EFI_FILE_HANDLE file = NULL;

	for (; *path && len < PATH_LEN - 1; path++)
		name[len++] = *path == '/' ? u'\\' : (CHAR16)(unsigned char)*path;
	name[len] = 0;
	if (EFI_ERROR(volume->root->Open(volume->root, &file, name, EFI_FILE_MODE_READ, 0)))
		return NULL;
	return file;
}

/* ---- Reading ---------------------------------------------------------------------------------------- */

static enum file_status read_pieces(const struct firmware *fw, EFI_FILE_HANDLE handle,
				    const char *path, struct file_data *file)
{
	EFI_EVENT clock = NULL;
	uint64_t done = 0;

	if (!EFI_ERROR(fw->services->CreateEvent(EVT_TIMER, 0, NULL, NULL, &clock)))
		fw->services->SetTimer(clock, TimerPeriodic, PROGRESS_TICKS);
	while (done < file->length) {
		UINTN piece = min_u64(file->length - done, PIECE);

		if (EFI_ERROR(handle->Read(handle, &piece, (char *)file->data + done)) ||
		    piece == 0)
			break;
		done += piece;
		if (clock && !EFI_ERROR(fw->services->CheckEvent(clock)))
			print("boot: %s %u%%\n", path, (unsigned)(done * PERCENT / file->length));
	}
	if (clock)
		fw->services->CloseEvent(clock);
	return done == file->length ? FILE_OK : FILE_UNREADABLE;
}

static enum file_status measure(EFI_FILE_HANDLE handle, uint64_t *length)
{
	UINTN size = INFO_SIZE;
	union info info;

	if (EFI_ERROR(handle->GetInfo(handle, &file_info_guid, &size, &info)))
		return FILE_UNREADABLE;
	*length = info.file.FileSize;
	if (info.file.Attribute & EFI_FILE_DIRECTORY)
		return FILE_IS_DIRECTORY;
	return *length ? FILE_OK : FILE_EMPTY;
}

enum file_status file_check(const struct volume *volume, const char *path, uint64_t *length)
{
	EFI_FILE_HANDLE handle = open_path(volume, path);
	enum file_status status = FILE_MISSING;

	if (handle) {
		status = measure(handle, length);
		handle->Close(handle);
	}
	return status;
}

enum file_status file_read(const struct volume *volume, const char *path, struct file_data *file)
{
	EFI_FILE_HANDLE handle = open_path(volume, path);
	enum file_status status;

	if (!handle)
		return FILE_MISSING;
	status = measure(handle, &file->length);
	if (status == FILE_OK) {
		file->data = firmware_pages(volume->fw, file->length);
		status = file->data ? read_pieces(volume->fw, handle, path, file) : FILE_NO_MEMORY;
	}
	handle->Close(handle);
	return status;
}

/* ---- Listing ---------------------------------------------------------------------------------------- */

static void to_ascii(const CHAR16 *wide, char *name, size_t size)
{
	size_t len = 0;

	for (; wide[len] && len < size - 1; len++)
		name[len] = wide[len] < ASCII_END ? (char)wide[len] : '?';
	name[len] = '\0';
}

bool file_list(const struct volume *volume, const char *path,
	       void (*seen)(void *ctx, const char *name), void *ctx)
{
	EFI_FILE_HANDLE directory = open_path(volume, path);
	char name[NAME_LEN];
	union info info;

	if (!directory)
		return false;
	for (;;) {
		UINTN size = sizeof(info);

		if (EFI_ERROR(directory->Read(directory, &size, &info)) || size == 0)
			break;
		if (info.file.Attribute & EFI_FILE_DIRECTORY)
			continue;
		to_ascii(info.file.FileName, name, sizeof(name));
		seen(ctx, name);
	}
	directory->Close(directory);
	return true;
}
