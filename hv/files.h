/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The files the UEFI program loaded for us: kernels, initial RAM disks, modules, disk images. They stay
 * where they are in host memory; an index out of a configuration becomes bytes here and nowhere else.
 */
#include <stdint.h>

#include "boot/handoff.h"

/* Remember the handoff, which must outlive every VM. Until then, and with NULL, there are no files. */
void files_init(const struct handoff *handoff);

/* The bytes of a file and their number; NULL when there is no such file (HANDOFF_NO_FILE included). */
const void *handoff_file_data(uint32_t index, uint64_t *length);

/* Its path as the configuration spelt it, "" when there is no such file. Always terminated. */
const char *handoff_file_path(uint32_t index);
