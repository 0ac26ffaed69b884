/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The machine's last lines: which exit of all VMs took longest, or piece of other work for one (what its devices put
 * off, its start, its end), and the verdict, by which scripts judge a run: "trapeze: END status=0 all VMs are off
 * (run 5d0c1f)". A guest can print that line too, but not the word behind "run": the program that started the machine
 * chose that word and wrote it into trapeze.conf (run_id), which no guest can read.
 */
#include <stdint.h>

/* run_id: "" for none; it must stay where it is. Until then there is none. */
void end_init(const char *run_id);

void end_note_exit(const char *vm_name, const char *exit, uint32_t ticks);	/* of one VM; any processor may call this */
void end_say_longest(void);		/* log the longest of them; nothing when no VM ended */

void end_say(uint32_t status, const char *text);
