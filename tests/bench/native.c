/* SPDX-License-Identifier: MIT */
/*
 * BOOTX64.EFI of the machine without Trapeze: starts \vmlinuz with the options in \options (UTF-16) and
 * says, on COM1, what the time-stamp counter showed when the kernel left the firmware. From there to the first user
 * program is what scripts/bench compares a guest with.
 *
 * Saying it takes time; so the notification returns MARK_TICKS after what it said, which the reader adds.
 * UEFI 2.10, 7.1 "Event, Timer, and Task Priority Services": a notification of EVT_SIGNAL_EXIT_BOOT_SERVICES
 * may not allocate memory nor call timers; port output is allowed.
 */
#include <efi.h>
#include <efilib.h>

#include "arch/x86/hw/insn.h"

#define MARK_TICKS	8000000U
#define OPTIONS_MAX	1024U
#define COM1		0x3f8U
#define COM1_LSR	(COM1 + 5)
#define LSR_THRE	0x20U
#define DIGITS		16U
#define DIGIT_BITS	4U

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

static void put_char(char c)
{
	while (!(inb(COM1_LSR) & LSR_THRE))
		cpu_pause();
	outb(COM1, (uint8_t)c);
}

static void put_text(const char *text)
{
	while (*text)
		put_char(*text++);
}

static void EFIAPI say_time(EFI_EVENT event, void *context)
{
	uint64_t now = rdtsc();

	(void)event;
	(void)context;
	put_text("\r\nBENCH-NATIVE exit-boot-services ");
	for (unsigned i = DIGITS; i--;)
		put_char("0123456789abcdef"[(now >> (i * DIGIT_BITS)) % (1U << DIGIT_BITS)]);
	put_text("\r\n");
	while (rdtsc() - now < MARK_TICKS)
		cpu_pause();
}

static EFI_STATUS read_options(EFI_HANDLE device, CHAR16 *options, UINTN *size)
{
	static CHAR16 name[] = u"\\options";
	EFI_FILE_HANDLE root = LibOpenRoot(device), file;
	EFI_STATUS status;

	if (!root)
		return EFI_NOT_FOUND;
	status = root->Open(root, &file, name, EFI_FILE_MODE_READ, 0);
	if (status == EFI_SUCCESS)
		status = file->Read(file, size, options);
	return status;
}

static EFI_STATUS start_kernel(EFI_HANDLE image)
{
	static CHAR16 options[OPTIONS_MAX], path[] = u"\\vmlinuz";
	UINTN size = sizeof(options) - sizeof(options[0]);
	EFI_LOADED_IMAGE *self, *loaded;
	EFI_HANDLE kernel;
	EFI_EVENT event;
	EFI_STATUS status;

	status = BS->HandleProtocol(image, &LoadedImageProtocol, (void **)&self);
	if (status == EFI_SUCCESS)
		status = read_options(self->DeviceHandle, options, &size);
	if (status == EFI_SUCCESS)
		status = BS->LoadImage(FALSE, image, FileDevicePath(self->DeviceHandle, path), NULL, 0, &kernel);
	if (status == EFI_SUCCESS)
		status = BS->HandleProtocol(kernel, &LoadedImageProtocol, (void **)&loaded);
	if (status != EFI_SUCCESS)
		return status;
	loaded->LoadOptions = options;
	loaded->LoadOptionsSize = (UINT32)(size + sizeof(options[0]));
	status = BS->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_NOTIFY, say_time, NULL, &event);
	if (status == EFI_SUCCESS)
		status = BS->StartImage(kernel, NULL, NULL);
	return status;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_STATUS status;

	InitializeLib(image, table);
	status = start_kernel(image);
	put_text("\r\nBENCH-NATIVE failed\r\n");	/* a kernel that started does not come back */
	return status;
}
