/* SPDX-License-Identifier: MIT */
#pragma once
/* Lines logged so far, for tests that count complaints. */
extern unsigned log_fake_lines;
