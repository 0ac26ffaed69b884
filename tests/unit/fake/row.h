/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which row of a table a failing assertion was about: for (size_t i = 0; row_of(rows, i); i++) goes through all rows of
 * an array, and a failure within prints "rows[3]" beside its line. Included in every unit test (GNUmakefile).
 */
#include <stdbool.h>
#include <stddef.h>

#define row_of(table, i)	row_is_one(#table, (i), sizeof(table) / sizeof((table)[0]))

/* Is there such a row? Remembers it while there is. */
bool row_is_one(const char *table, size_t row, size_t count);
