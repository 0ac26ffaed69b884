/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The machine's last line, by which scripts judge a run: "trapeze: END status=0 all VMs are off (run 5d0c1f)".
 * A guest can print that line too, but not the word behind "run": the loader read it from trapeze.conf (run_id), which
 * no guest sees, and whoever started the machine chose it.
 */
#include <stdint.h>

/* run_id: "" for none; it must stay where it is. Until then there is none. */
void end_init(const char *run_id);
void end_say(uint32_t status, const char *text);
