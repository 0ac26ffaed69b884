/* SPDX-License-Identifier: MIT */
/*
 * Files by index, see hv/files.h. The handoff was checked as a whole when the hypervisor started; the
 * ranges are checked again here because a wrong one would hand host memory to a guest.
 */
#include "hv/files.h"

#include <stddef.h>

#include "hv/addr.h"
#include "hv/lib/util.h"

#define PHYS_LIMIT	(1ULL << 52)	/* no x86 processor has more physical address bits */

static const struct handoff *files;

void files_init(const struct handoff *handoff)
{
	files = handoff;
}

static const struct handoff_file *find(uint32_t index)
{
	if (!files || index >= min_size(files->file_count, HANDOFF_FILES_MAX))
		return NULL;
	return &files->files[index];
}

const void *handoff_file_data(uint32_t index, uint64_t *length)
{
	const struct handoff_file *file = find(index);

	*length = 0;
	if (!file || !range_fits(file->start, file->length, PHYS_LIMIT))
		return NULL;
	*length = file->length;
	return hpa_ptr(hpa(file->start));
}

const char *handoff_file_path(uint32_t index)
{
	const struct handoff_file *file = find(index);

	if (!file || file->path[HANDOFF_PATH_MAX - 1] != '\0')
		return "";
	return file->path;
}
