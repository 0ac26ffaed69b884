/* SPDX-License-Identifier: MIT */
#pragma once
/* Text on the firmware's linear framebuffer: 8x16 glyphs, scrolling, \n \r \b \t, ANSI escapes swallowed. */
#include <stddef.h>

#include "boot/handoff.h"

void fb_init(const struct handoff_framebuffer *fb);	/* base 0: everything below is a no-op */
void fb_write(const char *text, size_t len);	/* into a text buffer, drawn now or by the next fb_poll */
void fb_poll(void);	/* draw what changed, at most some times a second: from the scheduler */
void fb_flush(void);	/* draw what changed, now */
