/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of <string.h> we use, for code that runs without a C library. Host builds get the host's. */
#include <stddef.h>

void  *memcpy(void *to, const void *from, size_t len);
void  *memmove(void *to, const void *from, size_t len);
void  *memset(void *to, int byte, size_t len);
int    memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);
int    strcmp(const char *a, const char *b);
int    strncmp(const char *a, const char *b, size_t len);
char  *strchr(const char *text, int c);

/* Copy with truncation, always terminated when size > 0; returns strlen(from). */
size_t text_copy(char *to, const char *from, size_t size);
