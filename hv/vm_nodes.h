/* SPDX-License-Identifier: MIT */
#pragma once
/* From which nodes of the host a VM got its memory; nothing on a machine that has one. */
struct vm;

#define VM_NODES_TEXT	128	/* bytes of the text, at most: those with the highest numbers are left out then */

const char *vm_nodes_text(const struct vm *vm, char text[VM_NODES_TEXT]);	/* for the line about its end */
void vm_nodes_report(const struct vm *vm);	/* a line when it got some from others than those it was to have */
