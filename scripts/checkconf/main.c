/* SPDX-License-Identifier: MIT */
/*
 * checkconf MEMORY PROCESSORS NODES TREE [DIRECTORY...]: what the boot and the start of the VMs would say about a configuration, said on
 * this computer and before an emulator starts.
 *
 * It is made of the sources that check it there: boot/vms.c reads TREE (trapeze.conf, vms/NAME.conf) and the files it
 * names, from TREE or the other directories; arch/x86/guestboot/ loads each kernel into RAM as for a VM. MEMORY is the
 * machine's, in MiB, PROCESSORS and NODES how many it has. Faults go to standard error, a line each, and make the status 1; standard output lists the files
 * to put on the disk: name, tab, where it was found.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/x86/guestboot/copies.h"
#include "arch/x86/guestboot/loader.h"
#include "arch/x86/virt/reset.h"
#include "boot/vms.h"
#include "hv/files.h"
#include "hv/lib/bits.h"
#include "hv/lib/pc.h"
#include "hv/machine.h"
#include "hv/memory_map.h"
#include "hv/vm.h"
#include "scripts/checkconf/file.h"

#define DECIMAL		10

/* loader.c's words about a VM; what went well is not of interest. */
void vm_log(const struct vm *vm, const char *fmt, ...)
{
	(void)vm;
	(void)fmt;
}

static uint32_t kernel_line;

bool vm_kill(struct vm *vm, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	file_fault("vms/%s.conf:%u: %s", vm->config->name, kernel_line, text);
	return true;
}

static void check_kernel(const struct handoff_vm *record)
{
	static struct machine machine;
	struct vm vm = { .config = record, .machine = &machine, .vcpu_count = record->vcpus };
	struct memory_map map;
	struct guest_copies copies = { 0 };
	struct reset_state state;

	machine.virtio_count = record->disk_count;
	memory_map_slots(&map, record->memory);
	for (size_t i = 0; i < map.count; i++)
		if (gpm_add_slot(&vm.gpm, gpa(map.ranges[i].start), map.ranges[i].length))
			abort();
	if (loader_load(&vm, &state, &copies))
		vm.end = VM_END_CRASHED;	/* vm_kill has said why */
	while (!gpm_release(&vm.gpm))
		continue;
}

/* A VM that can never be created: RAM and files are more than the machine has. */
static void check_memory(const struct handoff *handoff, const struct handoff_vm *record, uint64_t machine)
{
	uint64_t files = 0;

	for (uint32_t i = 0; i < handoff->file_count; i++)
		files += handoff->files[i].length;
	if (!record->overcommit && record->memory + files > machine)
		file_fault("vms/%s.conf: memory: %llu MiB and the files' %llu MiB do not fit into a machine of %llu MiB "
			   "(--memory)", record->name, (unsigned long long)record->memory >> MIB_SHIFT,
			   (unsigned long long)files >> MIB_SHIFT, (unsigned long long)machine >> MIB_SHIFT);
}

int main(int argc, char **argv)
{
	static struct handoff handoff;
	struct firmware fw = { 0 };
	struct volume volume = { .fw = &fw };
	struct vms vms;
	uint64_t machine, nodes;

	if (argc < 5)
		return EXIT_FAILURE;
	machine = (uint64_t)strtoull(argv[1], NULL, DECIMAL) << MIB_SHIFT;
	file_places(argv + 4, (unsigned)argc - 4);
	nodes = strtoull(argv[3], NULL, DECIMAL);
	vms_read(&fw, &volume, (uint32_t)strtoul(argv[2], NULL, DECIMAL), FIELD(nodes - 1, 0), &vms);
	vms_load(&fw, &vms, &handoff);
	files_init(&handoff);
	for (uint32_t i = 0; i < handoff.vm_count; i++) {
		kernel_line = vms.list[i].kernel.line;
		check_memory(&handoff, &handoff.vms[i], machine);
		check_kernel(&handoff.vms[i]);
	}
	return file_has_faults() ? EXIT_FAILURE : EXIT_SUCCESS;
}
