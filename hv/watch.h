/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Processors watch each other, in a ring. Each beats once a second, in its scheduler's loop, and looks whether the next one has:
 * one that hangs in the hypervisor does not. One that only runs a guest whose processor holds our interrupts back answers an NMI,
 * which makes the guest exit. Who does neither for ten beats of its watcher hangs, and the machine
 * stops with a dump (panic). It may also wait for another that hangs, so all who have been silent for long are named. Beats are counted and not time, so that nobody is blamed when the whole machine stood still.
 *
 * A processor without another one watches nobody and is watched by nobody.
 */
/* Of this processor, around its scheduler's loop. */
void watch_begin(void);
void watch_end(void);

void watch_answer(void);	/* an NMI has made the guest exit that this processor runs */
