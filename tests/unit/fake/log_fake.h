/* SPDX-License-Identifier: MIT */
#pragma once
/* Lines logged so far, for tests that count complaints, and the last of them, each with its newline. */
extern unsigned log_fake_lines;
extern char log_fake_text[4096];
extern void (*log_fake_each)(void);	/* called with each line, unless it is NULL */

void log_fake_init(void);	/* none */
