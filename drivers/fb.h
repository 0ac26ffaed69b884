/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text on the firmware's linear framebuffer: scrolling, \n \r \b \t, ANSI escapes swallowed. Each speaker has a colour,
 * so that one sees at a glance who says what.
 */
#include <stddef.h>

#include "boot/handoff.h"

void fb_init(const struct handoff_framebuffer *fb);	/* base 0: everything below is a no-op */

enum fb_speaker { FB_HYPERVISOR, FB_ATTACHED, FB_OTHERS, FB_SPEAKERS };
void fb_write(enum fb_speaker speaker, const char *text, size_t len);	/* into a text buffer, drawn now or by the next fb_poll */
void fb_poll(void);	/* draw what changed, at most some times a second: from the scheduler */
void fb_flush(void);	/* draw what changed, now */
