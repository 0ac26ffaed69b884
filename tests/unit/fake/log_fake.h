/* SPDX-License-Identifier: MIT */
#pragma once
/* Lines logged so far, for tests that count complaints, and the last one of them. */
extern unsigned log_fake_lines;
extern char log_fake_last[512];
