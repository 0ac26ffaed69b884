/* SPDX-License-Identifier: MIT */
#pragma once
/* For the end of a machine whose screen is its only log: say that it switches off, and wait for a key, or a minute. */

void last_words_wait(void);
