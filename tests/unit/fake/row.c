/* SPDX-License-Identifier: MIT */
/* The current row of a table, printed with a failure (contract in row.h). */
#define _GNU_SOURCE
#include "row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>

static const char *current;
static size_t current_row;

bool row_is_one(const char *table, size_t row, size_t count)
{
	current = row < count ? table : NULL;
	current_row = row;
	return row < count;
}

/* Every assertion of cmocka's ends here, and cmocka calls it by name: ours comes first, then the library's. */
void _fail(const char *const file, const int line)
{
	void (*const real)(const char *const, const int) =
		(void (*)(const char *const, const int))(uintptr_t)dlsym(RTLD_NEXT, "_fail");

	if (current)
		print_error("[   ROW    ] --- %s[%zu]\n", current, current_row);
	current = NULL;
	real(file, line);
	__builtin_unreachable();
}
