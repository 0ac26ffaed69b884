/* SPDX-License-Identifier: MIT */
/* Where a VM's memory came from, in words (contract in vm_nodes.h). gpm.c counts it. */
#include "hv/vm_nodes.h"

#include "hv/lib/bits.h"
#include "hv/lib/format.h"
#include "hv/lib/pc.h"
#include "hv/vm.h"

static uint64_t in_kib(uint64_t chunks)
{
	return chunks * (LARGE_SIZE / KIB);
}

const char *vm_nodes_text(const struct vm *vm, char text[VM_NODES_TEXT])
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned node = 0; node < HANDOFF_NODES_MAX && len < VM_NODES_TEXT; node++)
		if (vm->gpm.chunks[node])
			len += format_buf(text + len, VM_NODES_TEXT - len, "%s %lu KiB of node %u", len ? "," : "; RAM:",
					  in_kib(vm->gpm.chunks[node]), node);
	return text;
}

void vm_nodes_report(const struct vm *vm)
{
	uint64_t chunks = 0;

	for (unsigned node = 0; node < HANDOFF_NODES_MAX; node++)
		if (!(vm->gpm.wish.nodes & BIT(node)))
			chunks += vm->gpm.chunks[node];
	if (chunks)
		vm_log(vm, "%lu KiB of its RAM came from other nodes than wanted: those had no more", in_kib(chunks));
}
