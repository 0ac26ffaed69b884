/* SPDX-License-Identifier: MIT */
/* Small helpers over the UEFI boot services: memory, protocols, keys, and the end. UEFI 2.10, chapter 7. */
#include "boot/firmware.h"

#include "arch/x86/hw/insn.h"
#include "boot/handoff.h"
#include "boot/print.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"

#define TICKS_PER_SECOND	10000000ULL	/* the firmware counts time in 100 ns */
#define FAIL_TEXT		256
#define KEYS_MAX		256	/* more than any firmware keeps */
#define MAP_SLACK		32	/* descriptors that our own allocations may add */

void *firmware_pages(const struct firmware *fw, uint64_t length)
{
	const uint64_t pages = length / FIRMWARE_PAGE + (length % FIRMWARE_PAGE != 0);
	EFI_PHYSICAL_ADDRESS address = 0;

	if (EFI_ERROR(
		    fw->services->AllocatePages(AllocateAnyPages, EfiLoaderData, pages, &address)))
		return NULL;
	memset((void *)address, 0, pages * FIRMWARE_PAGE);
	return (void *)address;
}

EFI_STATUS firmware_read_map(const struct firmware *fw, struct firmware_map *map)
{
	UINT32 version = 0;

	map->size = map->capacity;
	return fw->services->GetMemoryMap(&map->size, map->buffer, &map->key, &map->entry_size, &version);
}

bool firmware_get_map(const struct firmware *fw, struct firmware_map *map)
{
	*map = (struct firmware_map){ 0 };
	(void)firmware_read_map(fw, map);	/* capacity is 0: it only tells the size */
	map->capacity = map->size + MAP_SLACK * map->entry_size;
	map->buffer = firmware_pages(fw, map->capacity);
	return map->buffer && !EFI_ERROR(firmware_read_map(fw, map));
}

void *firmware_protocol(const struct firmware *fw, EFI_GUID *guid)
{
	void *protocol = NULL;

	return EFI_ERROR(fw->services->LocateProtocol(guid, NULL, &protocol)) ? NULL : protocol;
}

void *firmware_protocol_of(const struct firmware *fw, EFI_HANDLE handle, EFI_GUID *guid)
{
	void *protocol = NULL;

	return EFI_ERROR(fw->services->HandleProtocol(handle, guid, &protocol)) ? NULL : protocol;
}

size_t firmware_handles(const struct firmware *fw, EFI_GUID *guid, EFI_HANDLE *list, size_t max)
{
	EFI_HANDLE *found = NULL;
	UINTN count = 0;

	if (EFI_ERROR(fw->services->LocateHandleBuffer(ByProtocol, guid, NULL, &count, &found)))
		return 0;
	if (count > max)
		count = max;
	memcpy(list, found, count * sizeof(*list));
	fw->services->FreePool(found);
	return count;
}

bool firmware_wait_key(const struct firmware *fw, uint32_t seconds, EFI_INPUT_KEY *key)
{
	SIMPLE_INPUT_INTERFACE *input = fw->system->ConIn;
	EFI_EVENT events[2] = { NULL, input ? input->WaitForKey : NULL };
	UINTN index = 0;
	bool got = false;

	if (EFI_ERROR(fw->services->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[0])))
		return false;
	if (seconds != UINT32_MAX)
		fw->services->SetTimer(events[0], TimerRelative, seconds * TICKS_PER_SECOND);
	while (!got && !EFI_ERROR(fw->services->WaitForEvent(input ? 2 : 1, events, &index)) &&
	       index == 1)
		got = !EFI_ERROR(input->ReadKeyStroke(input, key));
	fw->services->CloseEvent(events[0]);
	return got;
}

/* UEFI 2.10, 3.3 "Globally Defined Variables": one byte, 1 when images are verified. */
bool firmware_secure_boot(const struct firmware *fw)
{
	static EFI_GUID global = EFI_GLOBAL_VARIABLE;
	static CHAR16 name[] = L"SecureBoot";
	UINT8 value = 0;
	UINTN size = sizeof(value);

	return !EFI_ERROR(fw->system->RuntimeServices->GetVariable(name, &global, NULL, &size, &value)) && value == 1;
}

void firmware_say_end(const struct firmware *fw, const char *reason)
{
	const bool has_id = fw->run_id && fw->run_id[0];

	print("trapeze: END status=1 %s%s%s%s\n", reason, has_id ? " (run " : "", has_id ? fw->run_id : "", has_id ? ")" : "");
}

/* Keys that were pressed before the question do not count: in the firmware's menu, say. */
static void forget_keys(const struct firmware *fw)
{
	SIMPLE_INPUT_INTERFACE *input = fw->system->ConIn;
	EFI_INPUT_KEY key;

	for (unsigned i = 0; input && i < KEYS_MAX && !EFI_ERROR(input->ReadKeyStroke(input, &key)); i++)
		continue;
}

void firmware_fail(const struct firmware *fw, const char *reason, const char *fmt, ...)
{
	char text[FAIL_TEXT];
	EFI_INPUT_KEY key;
	va_list args;

	va_start(args, fmt);
	format_vbuf(text, sizeof(text), fmt, args);
	va_end(args);
	print("boot: %s\n", text);
	firmware_say_end(fw, reason);
	print(fw->stay_on ? "boot: press a key to switch off\n"
			  : "boot: switching off in %u s, or at a key\n",
	      HANDOFF_READING_SECONDS);
	forget_keys(fw);
	(void)firmware_wait_key(fw, fw->stay_on ? UINT32_MAX : HANDOFF_READING_SECONDS, &key);
	fw->system->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	cpu_stop();
}
