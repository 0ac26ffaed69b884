/* SPDX-License-Identifier: MIT */
#pragma once
/* From which nodes of the host a VM got its RAM; nothing where one node alone has memory. */
struct vm;

#define VM_NODES_TEXT	128	/* bytes of the text; what does not fit is cut off */

const char *vm_nodes_text(const struct vm *vm, char text[VM_NODES_TEXT]);	/* for the line about its end */
void vm_nodes_report(const struct vm *vm);	/* a line when it got some from others than those it was to have */
