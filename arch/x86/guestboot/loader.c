/* SPDX-License-Identifier: MIT */
/* Choosing a boot protocol and handing it the files, see loader.h. The protocols themselves: boot_image.h. */
#include "arch/x86/guestboot/loader.h"

#include "arch/x86/guestboot/acpi_tables.h"
#include "arch/x86/guestboot/bios_data.h"
#include "arch/x86/guestboot/boot_image.h"
#include "arch/x86/guestboot/mp_table.h"
#include "arch/x86/virt/reset.h"
#include "hv/files.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/vm.h"

struct protocol {
	enum handoff_protocol id;
	const char *name;
	bool      (*probe)(const struct image *image);
	const char *(*load)(const struct guest_boot *boot, struct reset_state *state);
	bool      takes_initrd, takes_modules;
};

/* In the order they are tried: a bzImage ends its first sector like a boot sector does. */
static const struct protocol protocols[] = {
	{ PROTOCOL_LINUX, "Linux bzImage", linux_probe, linux_load, true, false },
	{ PROTOCOL_MULTIBOOT, "Multiboot", multiboot_probe, multiboot_load, true, true },
	{ PROTOCOL_BOOTSECTOR, "boot sector (no BIOS services)", bootsector_probe, bootsector_load, false, false },
};

static const struct protocol *choose(uint32_t wanted, const struct image *kernel)
{
	for (size_t i = 0; i < countof(protocols); i++)
		if (wanted == PROTOCOL_AUTO ? protocols[i].probe(kernel) : wanted == protocols[i].id)
			return &protocols[i];
	return NULL;
}

static struct image image_of(uint32_t file)
{
	struct image image = { .name = handoff_file_path(file) };

	image.data = handoff_file_data(file, &image.length);
	for (const char *slash = image.name; (slash = strchr(slash, '/')); )
		image.name = ++slash;
	return image;
}

/* A Multiboot kernel gets the initrd as its first module: the key means "the file beside the kernel". */
static const char *collect(const struct vm *vm, struct guest_boot *boot)
{
	const struct handoff_vm *config = vm->config;

	boot->kernel = image_of(config->kernel);
	boot->initrd = image_of(config->initrd);
	boot->cmdline = config->cmdline;
	if (!boot->kernel.data)
		return "it has no kernel file";
	if (config->initrd != HANDOFF_NO_FILE && !boot->initrd.data)
		return "its initrd file was not loaded";
	if (config->cmdline[HANDOFF_CMDLINE_MAX - 1] != '\0' || config->module_count > HANDOFF_MODULES_MAX)
		return "its configuration record is malformed";
	if (boot->initrd.data)
		boot->modules[boot->module_count++] = boot->initrd;
	for (uint32_t i = 0; i < config->module_count; i++) {
		boot->modules[boot->module_count] = image_of(config->modules[i]);
		if (!boot->modules[boot->module_count++].data)
			return "one of its module files was not loaded";
	}
	return NULL;
}

/* A file that nobody would hand to the kernel is a mistake, and the user waits for it in vain. */
static const char *refuse_unused(const struct protocol *protocol, const struct handoff_vm *config)
{
	if (config->initrd != HANDOFF_NO_FILE && !protocol->takes_initrd)
		return "it takes no initrd: leave initrd out";
	if (config->module_count && !protocol->takes_modules)
		return "it takes no modules, which are for Multiboot kernels: leave module0 to module3 out";
	return NULL;
}

static const char *prepare(struct vm *vm, struct guest_boot *boot)
{
	const struct acpi_shape shape = { vm->vcpu_count, vm->machine->virtio_count };
	gpa_t rsdp;
	const char *why = collect(vm, boot);

	if (why)
		return why;
	boot->gpm = &vm->gpm;
	memory_map_e820(&boot->map, vm->config->memory);
	if (acpi_tables_write(&vm->gpm, &shape, &rsdp) || mp_table_write(&vm->gpm, vm->vcpu_count) ||
	    !bios_data_write(&vm->gpm))
		return "it has less than 1 MiB of RAM, or the host has none left";
	boot->rsdp = rsdp.raw;
	return NULL;
}

int loader_load(struct vm *vm, struct reset_state *boot_state, struct guest_copies *copies)
{
	struct guest_boot boot = { .copies = copies };
	const struct protocol *protocol;
	const char *why = prepare(vm, &boot), *path = handoff_file_path(vm->config->kernel);

	if (why) {
		vm_kill(vm, "cannot start: %s", why);
		return -1;
	}
	protocol = choose(vm->config->protocol, &boot.kernel);
	if (!protocol) {
		vm_kill(vm, "kernel \"%s\" is neither a bzImage, nor a Multiboot kernel (with its header in the first "
			"8 KiB), nor a boot sector%s", path, image_hint(&boot.kernel));
		return -1;
	}
	why = refuse_unused(protocol, vm->config);
	if (!why)
		why = protocol->load(&boot, boot_state);
	if (why) {
		vm_kill(vm, "kernel \"%s\" as %s: %s%s", path, protocol->name, why,
			protocol->probe(&boot.kernel) ? "" : image_hint(&boot.kernel));
		return -1;
	}
	if (!vm->is_restart)
		vm_log(vm, "%s loaded as %s, entry at 0x%llx", boot.kernel.name, protocol->name,
		       (unsigned long long)boot_state->rip);
	return 0;
}
