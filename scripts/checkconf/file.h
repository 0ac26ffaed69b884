/* SPDX-License-Identifier: MIT */
#pragma once
/* How the checker (main.c) directs its stand-in for the firmware's files (file.c). */
#include <stdbool.h>

/*
 * The directories in which a path is looked for, in this order; the first holds the configuration. What a configuration
 * names and is there goes to standard output: name, tab, where it was found.
 */
void file_places(char *const *directories, unsigned count);
/* One line on standard error. */
__attribute__((format(printf, 1, 2))) void file_fault(const char *fmt, ...);
bool file_has_faults(void);
