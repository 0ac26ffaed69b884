/* SPDX-License-Identifier: MIT */
/* Any text as trapeze.conf and as a VM description: no crash, records within their limits, errors as plain lines. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "boot/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(void *ctx, const char *text)
{
	size_t len = strlen(text);

	(void)ctx;
	assert(len > 0 && len < INI_LINE_MAX);
	for (size_t i = 0; i < len; i++)
		assert(text[i] >= ' ' && text[i] <= '~');
}

static void check_path(const struct config_file *file)
{
	assert(memchr(file->path, '\0', sizeof(file->path)));
	assert(file->path[0] != '/' && !strstr(file->path, "//") && !strchr(file->path, '\\'));
	assert(strcmp(file->path, "..") != 0 && strncmp(file->path, "../", 3) != 0 &&
	       !strstr(file->path, "/../"));
}

static void check_vm(const struct config_vm *vm)
{
	assert(vm->record.vcpus >= 1 && vm->record.vcpus <= HANDOFF_VCPUS_MAX);
	assert(vm->record.weight >= 1 && vm->record.weight <= HANDOFF_WEIGHT_MAX && vm->record.cap <= HANDOFF_CAP_MAX);
	assert(vm->record.memory >= 1 << 20 && vm->record.memory % 4096 == 0);
	assert(vm->record.protocol <= PROTOCOL_BOOTSECTOR && vm->record.console <= CONSOLE_SERIAL);
	assert(vm->record.on_crash <= ACTION_RESTART && vm->record.on_reboot <= ACTION_RESTART &&
	       vm->autostart <= 1);
	assert(memchr(vm->record.cmdline, '\0', sizeof(vm->record.cmdline)));
	check_path(&vm->kernel);
	check_path(&vm->initrd);
	for (unsigned i = 0; i < HANDOFF_DISKS_MAX; i++) {
		check_path(&vm->disks[i].file);
		assert(vm->disks[i].record.mode <= DISK_WRITE);
	}
	for (unsigned i = 0; i < HANDOFF_MODULES_MAX; i++)
		check_path(&vm->modules[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ini_text source = { .file = "fuzz.conf",
					 .text = (const char *)data,
					 .len = size };
	struct ini_report report = { .line = check_line };
	char name[HANDOFF_NAME_MAX];
	struct config_host host;
	struct config_vm vm;

	config_parse_host(&source, &host, &report);
	assert(host.record.log_level <= 4 && host.record.stay_on <= 1 && host.timeout <= 3600);
	assert(memchr(host.record.attach, '\0', sizeof(host.record.attach)));

	report.errors = 0;
	config_parse_vm(&source, "fuzz", &vm, &report);
	check_vm(&vm);
	assert(report.errors || vm.kernel.path[0]);

	if (size && memchr(data, '\0', size) && config_vm_name((const char *)data, name) == 1)
		assert(strlen(name) < sizeof(name) && !strchr(name, '/'));
	return 0;
}
