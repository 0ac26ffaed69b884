/* SPDX-License-Identifier: MIT */
/* The one function of hv/lib/string.h that the host's C library does not have. */
#include <stdio.h>

#include "hv/lib/string.h"

size_t text_copy(char *to, const char *from, size_t size) { return (size_t)snprintf(to, size, "%s", from); }
