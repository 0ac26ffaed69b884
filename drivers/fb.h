/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text on the firmware's linear framebuffer: scrolling, \n \r \b \t, ANSI escapes swallowed. Each speaker has a colour,
 * so that one sees at a glance who says what.
 */
#include <stdbool.h>
#include <stddef.h>

#include "boot/handoff.h"

void fb_init(const struct handoff_framebuffer *fb);	/* base 0: everything below is a no-op */

enum fb_speaker { FB_HYPERVISOR, FB_ATTACHED, FB_OTHERS, FB_SPEAKERS };
/* Into a text buffer; drawn by those below. True: nobody is about to call fb_poll, so have it called soon. */
bool fb_write(enum fb_speaker speaker, const char *text, size_t len);
/*
 * From the scheduler of one processor, always the same: draw a little of what changed, if it is time. False: it need not be
 * called again before fb_write asks for it.
 */
bool fb_poll(void);
bool fb_idle_work(void);	/* fb_poll's processor: draw a little of it; false when nothing is to be drawn */
void fb_flush(void);	/* draw all of it, now */
