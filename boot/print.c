/* SPDX-License-Identifier: MIT */
/*
 * Text to every screen the firmware's console uses and, directly, to COM1.
 *
 * Firmware often mirrors its console to COM1 itself, with an escape sequence per line. We leave out exactly that
 * terminal, so that each line appears once and the log of a serial port is plain text. All state is in this file.
 */
#include "boot/print.h"

#include <stdarg.h>

#include "arch/x86/hw/insn.h"
#include "hv/lib/format.h"
#include "hv/lib/pc.h"
#include "hv/lib/uart.h"
#include "hv/lib/util.h"

#define SPINS_MAX	200000		/* a port that never becomes ready must not stop the boot */

/* A terminal on COM1: the device path has the ACPI node PNP0501 with UID 0. */
#define HID_PNP0501	0x050141d0U
#define SCREENS_MAX	8
#define CHUNK		96

/* EDK2's mark for the devices that make up the active console. */
static EFI_GUID console_out_guid =
	{ 0xd3b36f2c, 0xd551, 0x11d4, { 0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } };
static EFI_GUID text_out_guid = SIMPLE_TEXT_OUTPUT_PROTOCOL;
static EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;

static SIMPLE_TEXT_OUTPUT_INTERFACE *screens[SCREENS_MAX];
static size_t screen_count;
static bool has_serial;

/* ---- COM1 ------------------------------------------------------------------------------------------- */

static bool serial_start(void)
{
	outb(COM1_PORT + UART_SCR, UART_TEST);
	if (inb(COM1_PORT + UART_SCR) != UART_TEST)
		return false;
	outb(COM1_PORT + UART_IER, 0);
	outb(COM1_PORT + UART_LCR, LCR_DLAB | LCR_8N1);
	outb(COM1_PORT + UART_DATA, DIVISOR_115200);
	outb(COM1_PORT + UART_IER, 0);
	outb(COM1_PORT + UART_LCR, LCR_8N1);
	outb(COM1_PORT + UART_IIR_FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
	outb(COM1_PORT + UART_MCR, MCR_DTR | MCR_RTS);
	return true;
}

static void serial_char(char c)
{
	for (unsigned spins = 0; !(inb(COM1_PORT + UART_LSR) & LSR_THRE); spins++)
		if (spins == SPINS_MAX)
			return;
	outb(COM1_PORT + UART_DATA, (uint8_t)c);
}

/* ---- Screens ---------------------------------------------------------------------------------------- */

static bool is_on_com1(const struct firmware *fw, EFI_HANDLE handle)
{
	EFI_DEVICE_PATH *node = firmware_protocol_of(fw, handle, &device_path_guid);

	for (; node && !IsDevicePathEnd(node); node = NextDevicePathNode(node)) {
		const ACPI_HID_DEVICE_PATH *acpi = (const void *)node;

		if (DevicePathType(node) == ACPI_DEVICE_PATH &&
		    DevicePathSubType(node) == ACPI_DP && acpi->HID == HID_PNP0501 &&
		    acpi->UID == 0)
			return true;
	}
	return false;
}

void print_start(const struct firmware *fw)
{
	EFI_HANDLE handles[SCREENS_MAX];
	size_t count = firmware_handles(fw, &console_out_guid, handles, countof(handles));

	has_serial = serial_start();
	for (size_t i = 0; i < count; i++) {
		SIMPLE_TEXT_OUTPUT_INTERFACE *out =
			firmware_protocol_of(fw, handles[i], &text_out_guid);

		if (out && out != fw->system->ConOut && !(has_serial && is_on_com1(fw, handles[i])))
			screens[screen_count++] = out;
	}
	/* No marks at all: not EDK2. Then the console as a whole, even if lines appear twice on COM1. */
	if (count == 0 && fw->system->ConOut)
		screens[screen_count++] = fw->system->ConOut;
	for (size_t i = 0; i < screen_count; i++)
		screens[i]->ClearScreen(screens[i]);	/* the maker's logo is in the way of text */
}

void print_leave_screen(void)
{
	screen_count = 0;
}

/* ---- Text ------------------------------------------------------------------------------------------- */

struct chunk {
	CHAR16 text[CHUNK];
	size_t len;
};

static void flush(struct chunk *chunk)
{
	chunk->text[chunk->len] = 0;
	for (size_t i = 0; i < screen_count; i++)
		screens[i]->OutputString(screens[i], chunk->text);
	chunk->len = 0;
}

static void put(struct chunk *chunk, char c)
{
	if (chunk->len == CHUNK - 1)
		flush(chunk);
	chunk->text[chunk->len++] = (CHAR16)(unsigned char)c;
	if (has_serial)
		serial_char(c);
}

static void sink(void *ctx, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			put(ctx, '\r');
		put(ctx, text[i]);
	}
}

void print(const char *fmt, ...)
{
	struct chunk chunk = { .len = 0 };
	va_list args;

	va_start(args, fmt);
	format_to(sink, &chunk, fmt, args);
	va_end(args);
	flush(&chunk);
}
