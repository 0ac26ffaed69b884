/* SPDX-License-Identifier: MIT */
/*
 * What boot/vms.c asks of the firmware, answered by this computer: files in directories instead of a FAT partition,
 * messages on standard error. The contracts are boot/file.h's, boot/print.h's and boot/firmware.h's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"
#include "boot/print.h"
#include "scripts/checkconf/file.h"

#define ERROR_MARK	"boot: error: "
#define TEXT_MAX	1024

static char *const *places;
static unsigned place_count;
static unsigned shown;

void file_places(char *const *directories, unsigned count)
{
	places = directories;
	place_count = count;
}

static bool find(const char *path, char *found, size_t size)
{
	for (unsigned i = 0; i < place_count; i++)
		if (snprintf(found, size, "%s/%s", places[i], path) < (int)size && access(found, F_OK) == 0)
			return true;
	return false;
}

/* The first place is a tree that scripts/run made of what the user gave it: nothing the user should hear of. */
const char *file_status_text(enum file_status status)
{
	static const char *const texts[] = {
		[FILE_OK]           = "read",
		[FILE_IS_DIRECTORY] = "this is a directory: name a file in it",
		[FILE_EMPTY]        = "the file is empty",
		[FILE_NO_MEMORY]    = "it cannot be mapped into memory",
		[FILE_UNREADABLE]   = "it cannot be read: see who may (ls -l)",
	};
	static char missing[TEXT_MAX];
	size_t len;

	if (status != FILE_MISSING)
		return texts[status];
	len = (size_t)snprintf(missing, sizeof(missing), "no such file");
	for (unsigned i = 1; i < place_count && len < sizeof(missing); i++)
		len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s %s", i == 1 ? " in" : " or", places[i]);
	return missing;
}

static enum file_status measure(const char *found, uint64_t *length)
{
	struct stat info;

	*length = 0;
	if (stat(found, &info))
		return FILE_UNREADABLE;
	if (S_ISDIR(info.st_mode))
		return FILE_IS_DIRECTORY;
	if (access(found, R_OK))
		return FILE_UNREADABLE;
	*length = (uint64_t)info.st_size;
	return *length ? FILE_OK : FILE_EMPTY;
}

enum file_status file_check(const struct volume *volume, const char *path, uint64_t *length)
{
	enum file_status status;
	char found[PATH_MAX];

	(void)volume;
	*length = 0;
	if (!find(path, found, sizeof(found)))
		return FILE_MISSING;
	status = measure(found, length);
	if (status == FILE_OK)
		printf("%s\t%s\n", path, found);
	return status;
}

/* Mapped, not copied: the rest of the last page reads as zeros there too. */
enum file_status file_read(const struct volume *volume, const char *path, struct file_data *file)
{
	enum file_status status;
	char found[PATH_MAX];
	int fd;

	(void)volume;
	if (!find(path, found, sizeof(found)))
		return FILE_MISSING;
	status = measure(found, &file->length);
	if (status != FILE_OK)
		return status;
	fd = open(found, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return FILE_UNREADABLE;
	file->data = mmap(NULL, file->length, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	return file->data == MAP_FAILED ? FILE_NO_MEMORY : FILE_OK;
}

bool file_list(const struct volume *volume, const char *path, void (*seen)(void *ctx, const char *name), void *ctx)
{
	char found[PATH_MAX];
	DIR *directory = find(path, found, sizeof(found)) ? opendir(found) : NULL;

	(void)volume;
	if (!directory)
		return false;
	for (const struct dirent *entry; (entry = readdir(directory)); )
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			seen(ctx, entry->d_name);
	closedir(directory);
	return true;
}

/* ---- Messages --------------------------------------------------------------------------------------- */

void file_fault(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	shown++;
}

bool file_has_faults(void)
{
	return shown > 0;
}

/* Only what is wrong: the boot's other lines tell of progress. */
void print(const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, ERROR_MARK, strlen(ERROR_MARK)) == 0)
		file_fault("%s", text + strlen(ERROR_MARK));
}

/* The end of a boot that cannot go on. Its text is a sum of the faults, if some were shown, or else the fault itself. */
void firmware_fail(const struct firmware *fw, const char *reason, const char *fmt, ...)
{
	char text[TEXT_MAX];
	const char *behind_code;
	va_list args;

	(void)fw;
	(void)reason;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	behind_code = strchr(text, ' ');
	if (!file_has_faults())
		file_fault("%s", behind_code ? behind_code + 1 : text);
	exit(EXIT_FAILURE);
}

void *firmware_pages(const struct firmware *fw, uint64_t length)
{
	(void)fw;
	return calloc(1, length);
}
