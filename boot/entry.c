/* SPDX-License-Identifier: MIT */
/*
 * efi_main: the boot story as a list of calls. Each of them either does its part or ends the boot with a message
 * that says what is wrong and what to do. README.md tells the same story in prose.
 */
#include "boot/cpus.h"
#include "boot/elf.h"
#include "boot/file.h"
#include "boot/firmware.h"
#include "boot/gop.h"
#include "boot/handoff.h"
#include "boot/leave.h"
#include "boot/numa.h"
#include "boot/print.h"
#include "boot/vms.h"

#define HV_FILE		"hv.elf"
#define KIB_SHIFT	10

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static struct handoff *new_handoff(const struct firmware *fw)
{
	struct handoff *handoff = firmware_pages(fw, sizeof(*handoff));

	if (!handoff)
		firmware_fail(fw, "out of memory", "TZ-E032 no memory for the handoff");
	handoff->magic = HANDOFF_MAGIC;
	handoff->version = HANDOFF_VERSION;
	handoff->size = sizeof(*handoff);
	handoff->efi_reset_system = (uint64_t)fw->system->RuntimeServices->ResetSystem;
	return handoff;
}

/* The entry of hv.elf, whose segments are in place afterwards. */
static uint64_t load_hypervisor(const struct firmware *fw, const struct volume *volume,
				struct handoff *handoff)
{
	struct file_data file = { 0 };
	const enum file_status status = file_read(volume, HV_FILE, &file);
	struct elf_plan plan;
	const char *fault;
	void *block;

	if (status != FILE_OK)
		firmware_fail(fw, "no hypervisor", "TZ-E030 \\trapeze\\%s: %s", HV_FILE,
			      file_status_text(status));
	fault = elf_plan(file.data, file.length, &plan);
	if (fault)
		firmware_fail(fw, "bad hypervisor", "TZ-E031 \\trapeze\\%s: %s; copy it again",
			      HV_FILE, fault);
	block = firmware_pages(fw, plan.length);
	if (!block)
		firmware_fail(fw, "out of memory",
			      "TZ-E032 no %llu KiB of memory in one piece for %s",
			      (unsigned long long)plan.length >> KIB_SHIFT, HV_FILE);
	elf_place(file.data, &plan, block);
	handoff->hv_start = (uint64_t)block;
	handoff->hv_length = plan.length;
	handoff->hv_link = plan.link;
	print("boot: %s, %llu KiB at 0x%llx for 0x%llx\n", HV_FILE,
	      (unsigned long long)plan.length >> KIB_SHIFT, (unsigned long long)handoff->hv_start,
	      (unsigned long long)plan.link);
	return plan.entry;
}

static void list_machine(const struct firmware *fw, struct handoff *handoff)
{
	const struct handoff_framebuffer *screen = &handoff->framebuffer;

	if (firmware_secure_boot(fw))
		print("boot: %s\n", "TZ-I012 Secure Boot is on, and the firmware trusts this program");
	handoff->rsdp = cpus_find_rsdp(fw);
	cpus_list(fw, handoff);
	numa_find(fw, handoff);
	gop_find(fw, &handoff->framebuffer);
	if (screen->base)
		print("boot: framebuffer %ux%u\n", screen->width, screen->height);
	else
		print("boot: no framebuffer, the serial port is the console\n");
}

/* False when the user wants back into the firmware. */
static bool user_agrees(const struct firmware *fw, uint32_t timeout)
{
	EFI_INPUT_KEY key = { 0 };

	if (timeout == 0)
		return true;
	print("boot: starting in %u s: Esc returns to the firmware, another key starts now\n",
	      timeout);
	return !firmware_wait_key(fw, timeout, &key) || key.ScanCode != SCAN_ESC;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	struct firmware fw = { .image = image, .system = system, .services = system->BootServices };
	struct volume volume;
	struct vms vms;
	struct handoff *handoff;
	uint64_t entry;

	print_start(&fw);
	print("boot: Trapeze\n");
	fw.services->SetWatchdogTimer(0, 0, 0, NULL);	/* loading may take longer than its five minutes */
	if (!file_open_volume(&fw, &volume))
		firmware_fail(&fw, "no boot volume",
			      "TZ-E036 the partition this program came from cannot be read");
	handoff = new_handoff(&fw);
	list_machine(&fw, handoff);
	vms_read(&fw, &volume, handoff->cpu_count, handoff->nodes.with_memory, &vms);
	if (!user_agrees(&fw, vms.host.timeout))
		return EFI_ABORTED;
	entry = load_hypervisor(&fw, &volume, handoff);
	vms_load(&fw, &vms, handoff);
	leave(&fw, handoff, entry);
}
