/* SPDX-License-Identifier: MIT */
/* A firmware made of tables; contract in efi_fake.h. */
#include "efi_fake.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hv/lib/util.h"
#include "insn_fake.h"

#define ALLOCATIONS	512U
#define COM1		0x3f8U

struct efi_fake efi_fake;

static void *pages[ALLOCATIONS];
static unsigned page_count;
static jmp_buf end;

/* ---- Memory ---- */

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE type, EFI_MEMORY_TYPE kind, UINTN count, EFI_PHYSICAL_ADDRESS *at)
{
	assert(type == AllocateAnyPages && kind == EfiLoaderData && page_count < ALLOCATIONS);
	if (!count || count > efi_fake.pages_left)
		return EFI_OUT_OF_RESOURCES;
	efi_fake.pages_left -= count;
	pages[page_count] = aligned_alloc(FIRMWARE_PAGE, count * FIRMWARE_PAGE);
	memset(pages[page_count], 0xa5, count * FIRMWARE_PAGE);
	*at = (uintptr_t)pages[page_count++];
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key, UINTN *entry, UINT32 *version)
{
	UINTN room = *size;

	efi_fake.map_reads++;
	*size = efi_fake.map_size;
	*entry = efi_fake.map_entry;
	*version = 1;
	if (!efi_fake.map)
		return EFI_NOT_READY;
	if (room < efi_fake.map_size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(map, efi_fake.map, efi_fake.map_size);
	*key = 1000 + efi_fake.exits;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI exit_boot_services(EFI_HANDLE image, UINTN key)
{
	(void)image;
	if (key != 1000 + efi_fake.exits || efi_fake.exits++ < efi_fake.exit_failures)
		return EFI_INVALID_PARAMETER;
	return EFI_SUCCESS;
}

/* ---- Files ---- */

struct node {
	EFI_FILE efi;		/* first: what boot/ gets */
	const struct efi_fake_file *file;	/* NULL: a directory */
	char path[200];
	size_t at;
};

/* The entry below a directory that a path leads through, or NULL: "\\a" and "\\a\\b\\c" give "b\\c". */
static const char *below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncasecmp(path, directory, len) == 0 && path[len] == '\\' ? path + len + 1 : NULL;
}

static EFI_STATUS EFIAPI file_close(EFI_FILE_HANDLE handle)
{
	free(handle);
	return EFI_SUCCESS;
}

static EFI_STATUS fill_info(UINTN *size, EFI_FILE_INFO *info, const char *name, size_t len, uint64_t attribute)
{
	size_t need = offsetof(EFI_FILE_INFO, FileName) + (strlen(name) + 1) * sizeof(CHAR16);

	if (*size < need)
		return EFI_BUFFER_TOO_SMALL;
	memset(info, 0, need);
	*size = info->Size = need;
	info->FileSize = len;
	info->Attribute = attribute;
	for (size_t i = 0; name[i]; i++)
		info->FileName[i] = (unsigned char)name[i] < 0x80 ? (CHAR16)name[i] : 0x263a;
	return EFI_SUCCESS;
}

/* Directories list "." first, then their files; no file is listed that lies deeper. */
static EFI_STATUS read_directory(struct node *node, UINTN *size, void *buffer)
{
	if (node->at++ == 0)
		return fill_info(size, buffer, ".", 0, EFI_FILE_DIRECTORY);
	for (; node->at - 2 < efi_fake.file_count; node->at++) {
		const struct efi_fake_file *file = &efi_fake.files[node->at - 2];
		const char *name = below(file->path, node->path);

		if (name && !strchr(name, '\\'))
			return fill_info(size, buffer, name, file->len, EFI_FILE_ARCHIVE);
	}
	*size = 0;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_read_some(EFI_FILE_HANDLE handle, UINTN *size, void *buffer)
{
	struct node *node = (struct node *)handle;

	if (!node->file)
		return read_directory(node, size, buffer);
	if (efi_fake.read_max)
		*size = min_u64(*size, efi_fake.read_max);
	*size = min_u64(*size, node->file->len - node->at);
	if (node->at + *size > node->file->readable)
		return EFI_DEVICE_ERROR;
	memcpy(buffer, (const char *)node->file->data + node->at, *size);
	node->at += *size;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_info(EFI_FILE_HANDLE handle, EFI_GUID *type, UINTN *size, void *buffer)
{
	const EFI_GUID want = EFI_FILE_INFO_ID;
	const struct node *node = (struct node *)handle;

	assert(memcmp(type, &want, sizeof(want)) == 0);
	if (node->file && node->file->readable == 0)
		return EFI_DEVICE_ERROR;
	return fill_info(size, buffer, strrchr(node->path, '\\') + 1, node->file ? node->file->len : 0,
			 node->file ? EFI_FILE_ARCHIVE : EFI_FILE_DIRECTORY);
}

static EFI_STATUS EFIAPI file_open(EFI_FILE_HANDLE root, EFI_FILE_HANDLE *to, CHAR16 *name, UINT64 mode, UINT64 attributes)
{
	struct node *node = calloc(1, sizeof(*node));

	(void)root;
	assert(mode == EFI_FILE_MODE_READ && !attributes);
	*node = (struct node){ .efi = { .Close = file_close, .Read = file_read_some, .GetInfo = file_info } };
	for (size_t i = 0; name[i]; i++) {
		assert(i + 1 < sizeof(node->path));
		node->path[i] = (char)name[i];
	}
	for (unsigned i = 0; i < efi_fake.file_count; i++) {
		if (strcasecmp(efi_fake.files[i].path, node->path) == 0)
			node->file = &efi_fake.files[i];
		if (node->file || below(efi_fake.files[i].path, node->path)) {
			*to = &node->efi;
			return EFI_SUCCESS;
		}
	}
	free(node);
	return EFI_NOT_FOUND;
}

static EFI_FILE root_directory = { .Open = file_open };

void efi_fake_add(const char *path, const void *data, size_t len)
{
	struct efi_fake_file *file = &efi_fake.files[efi_fake.file_count++];

	assert(efi_fake.file_count <= EFI_FAKE_FILES && strlen(path) < sizeof(file->path));
	*file = (struct efi_fake_file){ .data = data, .len = len, .readable = SIZE_MAX };
	strcpy(file->path, path);
}

void efi_fake_text(const char *path, const char *text) { efi_fake_add(path, text, strlen(text)); }

void efi_fake_volume(struct volume *volume, const struct firmware *fw)
{
	*volume = (struct volume){ .fw = fw, .root = &root_directory };
}

/* ---- Handles ---- */

void efi_fake_protocol(uint64_t handle, EFI_GUID guid, void *protocol)
{
	assert(efi_fake.protocol_count < EFI_FAKE_PROTOCOLS);
	efi_fake.protocols[efi_fake.protocol_count].handle = handle;
	efi_fake.protocols[efi_fake.protocol_count].guid = guid;
	efi_fake.protocols[efi_fake.protocol_count++].protocol = protocol;
}

static EFI_STATUS EFIAPI handle_protocol(EFI_HANDLE handle, EFI_GUID *guid, void **to)
{
	for (unsigned i = 0; i < efi_fake.protocol_count; i++)
		if ((!handle || efi_fake.protocols[i].handle == (uintptr_t)handle) &&
		    memcmp(&efi_fake.protocols[i].guid, guid, sizeof(*guid)) == 0) {
			*to = efi_fake.protocols[i].protocol;
			return EFI_SUCCESS;
		}
	return EFI_UNSUPPORTED;
}

static EFI_STATUS EFIAPI locate_protocol(EFI_GUID *guid, void *registration, void **to)
{
	assert(!registration);
	return handle_protocol(NULL, guid, to);
}

static EFI_STATUS EFIAPI locate_handles(EFI_LOCATE_SEARCH_TYPE type, EFI_GUID *guid, void *key, UINTN *count, EFI_HANDLE **to)
{
	EFI_HANDLE *list = calloc(EFI_FAKE_PROTOCOLS, sizeof(*list));

	assert(type == ByProtocol && !key);
	*count = 0;
	for (unsigned i = 0; i < efi_fake.protocol_count; i++)
		if (memcmp(&efi_fake.protocols[i].guid, guid, sizeof(*guid)) == 0)
			list[(*count)++] = (EFI_HANDLE)(uintptr_t)efi_fake.protocols[i].handle;
	*to = list;
	if (*count)
		return EFI_SUCCESS;
	free(list);
	return EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI free_pool(void *pool)
{
	free(pool);
	return EFI_SUCCESS;
}

/* ---- Events and keys ---- */

static EFI_STATUS EFIAPI create_event(UINT32 type, EFI_TPL level, EFI_EVENT_NOTIFY notify, void *context, EFI_EVENT *to)
{
	assert(type == EVT_TIMER && !level && !notify && !context);
	*to = malloc(1);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_timer(EFI_EVENT event, EFI_TIMER_DELAY type, UINT64 time)
{
	assert(event);
	if (type == TimerRelative)
		efi_fake.wait_timer = time;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI check_event(EFI_EVENT event)
{
	assert(event);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI close_event(EFI_EVENT event)
{
	free(event);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI wait_for_event(UINTN count, EFI_EVENT *events, UINTN *index)
{
	assert(events[0]);
	efi_fake.waits++;
	efi_fake.left_at_wait = efi_fake.typed;
	*index = count == 2 && (efi_fake.typed || efi_fake.key) ? 1 : 0;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI read_key(SIMPLE_INPUT_INTERFACE *input, EFI_INPUT_KEY *key)
{
	(void)input;
	*key = (EFI_INPUT_KEY){ .ScanCode = (UINT16)efi_fake.key };
	if (efi_fake.typed)
		efi_fake.typed--;
	else if (!efi_fake.waits || !efi_fake.key)
		return EFI_NOT_READY;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_watchdog(UINTN seconds, UINT64 code, UINTN size, CHAR16 *data)
{
	assert(!seconds && !code && !size && !data);
	return EFI_SUCCESS;
}

/* ---- Text ---- */

static EFI_STATUS EFIAPI output_string(SIMPLE_TEXT_OUTPUT_INTERFACE *screen, CHAR16 *text)
{
	(void)screen;
	for (; *text && efi_fake.screen_len + 1 < sizeof(efi_fake.screen); text++)
		efi_fake.screen[efi_fake.screen_len++] = (char)*text;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI clear_screen(SIMPLE_TEXT_OUTPUT_INTERFACE *screen)
{
	(void)screen;
	return EFI_SUCCESS;
}

SIMPLE_TEXT_OUTPUT_INTERFACE efi_fake_screen = { .OutputString = output_string, .ClearScreen = clear_screen };

/* A 16550: scratch register, line status, and with DLAB clear a transmitter. */
static uint8_t uart[8];

static uint32_t port_in(uint16_t port, unsigned size)
{
	assert(size == 1 && port >= COM1 && port < COM1 + 8);
	if (!efi_fake.has_uart)
		return 0xff;
	return port == COM1 + 5 ? (efi_fake.is_uart_stuck ? 0 : 0x60) : uart[port - COM1];
}

static void port_out(uint16_t port, unsigned size, uint32_t val)
{
	assert(size == 1 && port >= COM1 && port < COM1 + 8);
	uart[port - COM1] = (uint8_t)val;
	if (port == COM1 && !(uart[3] & 0x80) && efi_fake.has_uart && efi_fake.serial_len + 1 < sizeof(efi_fake.serial))
		efi_fake.serial[efi_fake.serial_len++] = (char)val;
}

/* ---- The end ---- */

static EFI_STATUS EFIAPI reset_system(EFI_RESET_TYPE type, EFI_STATUS status, UINTN size, CHAR16 *data)
{
	assert(type == EfiResetShutdown && !status && !size && !data);
	efi_fake.resets++;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_variable(CHAR16 *name, EFI_GUID *vendor, UINT32 *attributes, UINTN *size, void *data)
{
	(void)vendor;
	(void)attributes;
	assert(name[0] == 'S' && *size == 1);
	*(UINT8 *)data = efi_fake.is_secure;
	return EFI_SUCCESS;
}

static bool is_end_expected;

static void stop(void)
{
	if (!is_end_expected) {
		fprintf(stderr, "the boot ended: %s", efi_fake.serial);
		abort();
	}
	is_end_expected = false;
	longjmp(end, 1);
}

bool efi_fake_ends(void (*call)(void))
{
	efi_fake.resets = 0;
	is_end_expected = true;
	if (setjmp(end))
		return efi_fake.resets == 1;
	call();
	is_end_expected = false;
	return false;
}

/* ---- Tables ---- */

static EFI_BOOT_SERVICES services = {
	.AllocatePages = allocate_pages, .GetMemoryMap = get_memory_map, .ExitBootServices = exit_boot_services,
	.HandleProtocol = handle_protocol, .LocateProtocol = locate_protocol, .LocateHandleBuffer = locate_handles,
	.FreePool = free_pool, .CreateEvent = create_event, .SetTimer = set_timer, .CheckEvent = check_event,
	.CloseEvent = close_event, .WaitForEvent = wait_for_event, .SetWatchdogTimer = set_watchdog,
};
static EFI_RUNTIME_SERVICES runtime = { .ResetSystem = reset_system, .GetVariable = get_variable };
static SIMPLE_INPUT_INTERFACE keyboard = { .ReadKeyStroke = read_key };
EFI_SYSTEM_TABLE efi_fake_system;

void efi_fake_init(struct firmware *fw)
{
	memset(&efi_fake, 0, sizeof(efi_fake));
	memset(uart, 0, sizeof(uart));
	efi_fake.pages_left = UINT32_MAX;
	efi_fake.has_uart = true;
	insn_fake_init();
	insn_fake.in = port_in;
	insn_fake.out = port_out;
	insn_fake.stop = stop;
	efi_fake_system = (EFI_SYSTEM_TABLE){
		.BootServices = &services, .RuntimeServices = &runtime, .ConIn = &keyboard, .ConOut = &efi_fake_screen,
	};
	*fw = (struct firmware){ .system = &efi_fake_system, .services = &services };
}

void efi_fake_free(void)
{
	while (page_count)
		free(pages[--page_count]);
}
