/* SPDX-License-Identifier: MIT */
/* What boot/ asks of a firmware besides files: screens and COM1, processors, the framebuffer, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cpus.h"
#include "boot/gop.h"
#include "boot/numa.h"
#include "boot/paging.h"
#include "boot/print.h"
#include "efi_fake.h"
#include "hv/lib/util.h"
#include "insn_fake.h"

static struct firmware fw;
static struct handoff handoff;

static int set_up(void **unused)
{
	(void)unused;
	efi_fake_init(&fw);
	print_leave_screen();
	memset(&handoff, 0, sizeof(handoff));
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	efi_fake_free();
	return 0;
}

/* ---- Text ---- */

/* EDK2 marks the devices of its console; one of them is a terminal on COM1, which we write to ourselves. */
static EFI_GUID mark = { 0xd3b36f2c, 0xd551, 0x11d4, { 0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } };
static EFI_GUID text_out = SIMPLE_TEXT_OUTPUT_PROTOCOL, device_path = DEVICE_PATH_PROTOCOL;

/* UEFI 2.10, 10.3.3: type 2 subtype 1: _HID and _UID; 10.3.1: the end is 7fh, ffh. */
#define PATH(hid, uid) { 3, 1, 6, 0, 1, 2, /* a UART behind: */ \
			 2, 1, 12, 0, (hid) & 0xff, (hid) >> 8 & 0xff, (hid) >> 16 & 0xff, (hid) >> 24 & 0xff, uid, 0, 0, 0, \
			 0x7f, 0xff, 4, 0 }
#define PNP0501	0x050141d0U

static uint8_t path_com1[] = PATH(PNP0501, 0), path_com2[] = PATH(PNP0501, 1), path_keyboard[] = PATH(0x030341d0U, 0);

static SIMPLE_TEXT_OUTPUT_INTERFACE another_screen(void)
{
	return efi_fake_screen;
}

static void add_screen(uint64_t handle, SIMPLE_TEXT_OUTPUT_INTERFACE *screen, void *path)
{
	efi_fake_protocol(handle, mark, NULL);
	efi_fake_protocol(handle, text_out, screen);
	if (path)
		efi_fake_protocol(handle, device_path, path);
}

static void test_screens(void **unused)
{
	static const struct { uint8_t *path; bool has_uart, is_shown; } rows[] = {
		{ NULL, true, true },			/* a screen without a path */
		{ path_com1, true, false },		/* COM1: once is enough */
		{ path_com2, true, true }, { path_keyboard, true, true },
		{ path_com1, false, true },		/* no UART at the usual ports: the firmware knows better */
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		SIMPLE_TEXT_OUTPUT_INTERFACE screen = another_screen();

		tear_down(NULL);
		set_up(NULL);
		efi_fake.has_uart = rows[i].has_uart;
		add_screen(1, &screen, rows[i].path);
		print_start(&fw);
		print("Hi %u\n", 5U);
		assert_string_equal(efi_fake.screen, rows[i].is_shown ? "Hi 5\r\n" : "");
		assert_string_equal(efi_fake.serial, rows[i].has_uart ? "Hi 5\r\n" : "");
		print_leave_screen();
		print("late\n");
		assert_null(strstr(efi_fake.screen, "late"));
	}
}

/* ConOut is all screens together: with marks it would show each line twice, without them it is all there is. */
static void test_console_as_a_whole(void **unused)
{
	SIMPLE_TEXT_OUTPUT_INTERFACE screen = another_screen();

	(void)unused;
	add_screen(1, &screen, NULL);
	add_screen(2, &efi_fake_screen, NULL);
	print_start(&fw);
	print("once\n");
	assert_string_equal(efi_fake.screen, "once\r\n");
	tear_down(NULL);
	set_up(NULL);
	print_start(&fw);
	print("once\n");
	assert_string_equal(efi_fake.screen, "once\r\n");
}

/* Longer than the piece that goes out at once. */
static void test_long_line(void **unused)
{
	char text[301];

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	print_start(&fw);
	print("%s", text);
	assert_string_equal(efi_fake.screen, text);
	assert_string_equal(efi_fake.serial, text);
}

/* A port whose transmitter never empties must not stop the boot. */
static void test_stuck_uart(void **unused)
{
	(void)unused;
	efi_fake.is_uart_stuck = true;
	print_start(&fw);
	print("x");
	assert_string_equal(efi_fake.serial, "");
	assert_string_equal(efi_fake.screen, "x");
}

/* ---- Processors ---- */

static struct { uint32_t last, leaf1_id, x2apic_id, level; } silicon;

static struct cpuid_regs processor(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid_regs){ .eax = silicon.last };
	case 1:
		return (struct cpuid_regs){ .ebx = silicon.leaf1_id << 24 };
	case 0xb:
		return (struct cpuid_regs){ .ebx = silicon.level, .edx = silicon.x2apic_id };
	default:
		return (struct cpuid_regs){ 0 };
	}
}

/* SDM vol. 2, CPUID: leaf 0BH counts only when it is there and EBX is not 0. */
static void test_own_id(void **unused)
{
	static const struct { uint32_t last, level, want; } rows[] = { { 0xa, 2, 5 }, { 0xb, 0, 5 }, { 0xb, 2, 0x105 }, { 0x1b, 1, 0x105 } };

	(void)unused;
	insn_fake.cpuid = processor;
	for (size_t i = 0; row_of(rows, i); i++) {
		silicon.last = rows[i].last;
		silicon.level = rows[i].level;
		silicon.leaf1_id = 5;
		silicon.x2apic_id = 0x105;
		handoff.cpu_count = 0;
		cpus_list(&fw, &handoff);
		assert_int_equal(handoff.cpu_count, 1);
		assert_int_equal(handoff.cpus[0].apic_id, rows[i].want);
	}
}

/* PI specification, vol. 2, 13.3: status bit 1 enabled, bit 2 healthy. */
struct processor_info { uint64_t id; uint32_t status, place[3], more[6]; };
struct mp_protocol {
	EFI_STATUS (EFIAPI *get_number)(struct mp_protocol *self, UINTN *all, UINTN *enabled);
	EFI_STATUS (EFIAPI *get_info)(struct mp_protocol *self, UINTN index, struct processor_info *info);
};
static EFI_GUID mp_guid = { 0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } };

static EFI_STATUS EFIAPI get_number(struct mp_protocol *self, UINTN *all, UINTN *enabled)
{
	(void)self;
	*all = 5;
	*enabled = 3;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_info(struct mp_protocol *self, UINTN index, struct processor_info *info)
{
	static const uint32_t status[] = { 6, 2, 7, 4, 6 };	/* sound; ill; the boot processor; off; unknown */

	(void)self;
	*info = (struct processor_info){ .id = 10 + index, .status = status[index] };
	return index == 4 ? EFI_NOT_FOUND : EFI_SUCCESS;
}

static void test_mp_services(void **unused)
{
	struct mp_protocol mp = { get_number, get_info };

	(void)unused;
	insn_fake.cpuid = processor;
	silicon.last = 1;
	silicon.leaf1_id = 12;
	efi_fake_protocol(1, mp_guid, &mp);
	print_start(&fw);
	cpus_list(&fw, &handoff);
	assert_int_equal(handoff.cpu_count, 2);
	assert_int_equal(handoff.cpus[0].apic_id, 12);		/* we come first */
	assert_int_equal(handoff.cpus[1].apic_id, 10);
	assert_non_null(strstr(efi_fake.serial, "boot: 2 processor(s) from MP services, ACPI absent"));
}

/* A firmware that lists everybody but us. */
static void test_forgotten(void **unused)
{
	struct mp_protocol mp = { get_number, get_info };

	(void)unused;
	insn_fake.cpuid = processor;
	silicon.last = 1;
	silicon.leaf1_id = 99;
	efi_fake_protocol(1, mp_guid, &mp);
	cpus_list(&fw, &handoff);
	assert_int_equal(handoff.cpu_count, 3);
	assert_int_equal(handoff.cpus[0].apic_id, 99);
	assert_int_equal(handoff.cpus[1].apic_id, 10);
	assert_int_equal(handoff.cpus[2].apic_id, 12);
}

/* Page tables that show the stack of this test at its own address, as a firmware's show all memory. */
static void map_stack(const void *on_it)
{
	static _Alignas(4096) uint64_t tables[4][512];
	struct paging_pool pool = { .next = tables[0], .pages_left = 4 };
	uint64_t *root;

	memset(tables, 0, sizeof(tables));
	root = paging_root(&pool);
	insn_fake.cr3 = (uintptr_t)root | 0x18;		/* bits 4:3 are no address */
	assert_true(paging_identity(&pool, root, (uintptr_t)on_it - 4096, 8192));
}

/* An RSDP of version 2 is preferred; one with a wrong sum is none. ACPI specification, 5.2.5. */
static void test_rsdp(void **unused)
{
	EFI_CONFIGURATION_TABLE tables[2] = { { ACPI_TABLE_GUID, NULL }, { ACPI_20_TABLE_GUID, NULL } };
	uint8_t one[36] = "RSD PTR ", two[36] = "RSD PTR ";
	uint8_t sum = 0;

	(void)unused;
	map_stack(one);
	for (size_t i = 0; i < 20; i++)
		sum = (uint8_t)(sum + one[i]);
	one[8] = two[8] = (uint8_t)-sum;
	tables[0].VendorTable = one;
	tables[1].VendorTable = two;
	efi_fake_system.ConfigurationTable = tables;
	assert_int_equal(cpus_find_rsdp(&fw), 0);		/* none is listed */
	efi_fake_system.NumberOfTableEntries = 2;
	assert_int_equal(cpus_find_rsdp(&fw), (uintptr_t)two);
	tables[1].VendorTable = (void *)0x1000;			/* nothing is mapped there */
	assert_int_equal(cpus_find_rsdp(&fw), (uintptr_t)one);
	tables[1].VendorTable = two;
	two[8]++;
	assert_int_equal(cpus_find_rsdp(&fw), (uintptr_t)one);
	one[0]++;
	assert_int_equal(cpus_find_rsdp(&fw), 0);
}

/* ---- Nodes ---- */

/* ACPI tables of a machine with processors 0 and 1, in domains 0 and 1, and 16 MiB of memory each. */
struct acpi_tables {
	uint8_t rsdp[36], xsdt[44], srat[48 + 2 * 16 + 2 * 40];
};

static void sum(uint8_t *bytes, size_t len, size_t at)
{
	uint8_t total = 0;

	bytes[at] = 0;
	for (size_t i = 0; i < len; i++)
		total = (uint8_t)(total + bytes[i]);
	bytes[at] = (uint8_t)-total;
}

static void finish(uint8_t *bytes, const char *signature, uint32_t len)
{
	memcpy(bytes, signature, 4);
	memcpy(bytes + 4, &len, sizeof(len));
	bytes[8] = 2;
	sum(bytes, len, 9);
}

static void make_tables(struct acpi_tables *tables)
{
	const uint64_t xsdt = (uintptr_t)tables->xsdt, srat = (uintptr_t)tables->srat;
	const uint32_t len = sizeof(tables->rsdp);

	memset(tables, 0, sizeof(*tables));
	for (uint8_t n = 0; n < 2; n++) {
		uint8_t *lapic = tables->srat + 48 + n * 16, *memory = tables->srat + 80 + n * 40;
		const uint64_t start = n * (16ULL << 20), size = 16 << 20;

		memcpy(lapic, (uint8_t[]){ 0, 16, n, n, 1 }, 5);
		memcpy(memory, (uint8_t[]){ 1, 40, n }, 3);
		memcpy(memory + 8, &start, 8);
		memcpy(memory + 16, &size, 8);
		memory[28] = 1;
	}
	finish(tables->srat, "SRAT", sizeof(tables->srat));
	memcpy(tables->xsdt + 36, &srat, 8);
	finish(tables->xsdt, "XSDT", sizeof(tables->xsdt));
	memcpy(tables->rsdp, "RSD PTR ", 8);
	tables->rsdp[15] = 2;
	memcpy(tables->rsdp + 20, &len, 4);
	memcpy(tables->rsdp + 24, &xsdt, 8);
	sum(tables->rsdp, 20, 8);
	sum(tables->rsdp, 36, 32);
}

/* The table is compared with the firmware's memory map; whatever is wrong with it, the boot goes on with one node. */
static void test_nodes(void **unused)
{
#define NOT_USED "boot: TZ-W026 the firmware's table of nodes (SRAT) is not used, all memory counts as one node: "
	static const struct { bool is_listed, is_whole, has_map; uint64_t pages; uint64_t with_memory; const char *says; } rows[] = {
		{ false, true, true, 8192, 1, "" },
		{ true, true, true, 8192, 3, "boot: node 0 of SRAT: 1 processor(s), 16 MiB free\r\n"
					      "boot: node 1 of SRAT: 1 processor(s), 16 MiB free\r\n" },
		{ true, true, true, 4096, 1, "boot: node 0 of SRAT: 1 processor(s), 16 MiB free\r\n"
					      "boot: node 1 of SRAT: 1 processor(s), 0 MiB free\r\n" },
		{ true, true, true, 8193, 1, NOT_USED "memory at 0x2000000 is in no domain\r\n" },
		{ true, false, true, 8192, 1, NOT_USED "its length or its checksum is wrong\r\n" },
		{ true, true, false, 8192, 1, NOT_USED "the memory map to compare it with cannot be had\r\n" },
	};
#undef NOT_USED
	static EFI_MEMORY_DESCRIPTOR map[1];
	struct acpi_tables tables;

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		tear_down(NULL);
		set_up(NULL);
		print_start(&fw);
		map_stack(&tables);
		make_tables(&tables);
		tables.srat[47] = !rows[i].is_whole;
		map[0] = (EFI_MEMORY_DESCRIPTOR){ .Type = EfiConventionalMemory, .NumberOfPages = rows[i].pages, .Attribute = EFI_MEMORY_WB };
		efi_fake.map = rows[i].has_map ? map : NULL;
		efi_fake.map_size = efi_fake.map_entry = sizeof(map[0]);
		handoff.rsdp = rows[i].is_listed ? (uintptr_t)tables.rsdp : 0;
		handoff.cpu_count = 2;
		handoff.cpus[1].apic_id = 1;
		numa_find(&fw, &handoff);
		assert_int_equal(handoff.nodes.with_memory, rows[i].with_memory);
		assert_int_equal(handoff.nodes.cpus[1], strstr(rows[i].says, "node 1") != NULL);
		assert_string_equal(efi_fake.serial, rows[i].says);
	}
}

/* ---- The framebuffer: UEFI 2.10, 12.9 ---- */

static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

static void test_framebuffer(void **unused)
{
	static const struct {
		EFI_GRAPHICS_OUTPUT_MODE_INFORMATION info;
		uint64_t base, size;
		bool is_taken, is_bgr;
	} rows[] = {
#define INFO(w, h, line, format, red, green, blue) { 0, w, h, format, { red, green, blue, 0 }, line }
		{ INFO(800, 600, 800, PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0), 1 << 20, 800 * 600 * 4, true, true },
		{ INFO(800, 600, 832, PixelRedGreenBlueReserved8BitPerColor, 0, 0, 0), 1 << 20, 832 * 600 * 4, true, false },
		{ INFO(800, 600, 800, PixelBitMask, 0xff0000, 0xff00, 0xff), 1 << 20, 800 * 600 * 4, true, true },
		{ INFO(800, 600, 800, PixelBitMask, 0xff, 0xff00, 0xff0000), 1 << 20, 800 * 600 * 4, true, false },
		{ INFO(800, 600, 800, PixelBitMask, 0xf800, 0x7e0, 0x1f), 1 << 20, 800 * 600 * 4, false, false },
		{ INFO(800, 600, 800, PixelBitMask, 0xff00, 0xff00, 0xff), 1 << 20, 800 * 600 * 4, false, false },
		{ INFO(800, 600, 800, PixelBltOnly, 0, 0, 0), 1 << 20, 800 * 600 * 4, false, false },	/* no memory to write to */
		{ INFO(800, 600, 800, PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0), 0, 800 * 600 * 4, false, false },
		{ INFO(800, 600, 799, PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0), 1 << 20, 800 * 600 * 4, false, false },
		{ INFO(800, 600, 800, PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0), 1 << 20, 800 * 600 * 4 - 4, false, false },
		{ INFO(0, 0, 0, PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0), 1 << 20, 4096, false, false },
#undef INFO
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		EFI_GRAPHICS_OUTPUT_MODE_INFORMATION info = rows[i].info;
		EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE mode = { .Info = &info, .FrameBufferBase = rows[i].base,
							   .FrameBufferSize = rows[i].size };
		EFI_GRAPHICS_OUTPUT_PROTOCOL gop = { .Mode = &mode }, no_mode = { .Mode = NULL };

		tear_down(NULL);
		set_up(NULL);
		efi_fake_protocol(1, gop_guid, &no_mode);	/* a card before it that shows nothing */
		efi_fake_protocol(2, gop_guid, &gop);
		gop_find(&fw, &handoff.framebuffer);
		assert_int_equal(handoff.framebuffer.base, rows[i].is_taken ? rows[i].base : 0);
		if (!rows[i].is_taken)
			continue;
		assert_int_equal(handoff.framebuffer.is_bgr, rows[i].is_bgr);
		assert_int_equal(handoff.framebuffer.width, 800);
		assert_int_equal(handoff.framebuffer.height, 600);
		assert_int_equal(handoff.framebuffer.pitch, rows[i].info.PixelsPerScanLine * 4);
		assert_int_equal(handoff.framebuffer.length, rows[i].size);
	}
}

/* ---- Memory and keys ---- */

static void test_pages(void **unused)
{
	static const struct { uint64_t length, pages; } rows[] = { { 1, 1 }, { 4096, 1 }, { 4097, 2 }, { 3 * 4096, 3 } };

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t before = efi_fake.pages_left;
		const uint8_t *bytes = firmware_pages(&fw, rows[i].length);

		assert_int_equal(before - efi_fake.pages_left, rows[i].pages);
		for (uint64_t at = 0; at < rows[i].pages * 4096; at++)
			assert_int_equal(bytes[at], 0);
	}
}

static void test_keys(void **unused)
{
	EFI_INPUT_KEY key = { 0 };

	(void)unused;
	assert_false(firmware_wait_key(&fw, 2, &key));
	assert_int_equal(efi_fake.wait_timer, 20000000);
	efi_fake.key = SCAN_ESC;
	assert_true(firmware_wait_key(&fw, 2, &key));
	assert_int_equal(key.ScanCode, SCAN_ESC);
	efi_fake_system.ConIn = NULL;		/* a machine without a keyboard */
	assert_false(firmware_wait_key(&fw, 2, &key));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_screens), TEST(test_console_as_a_whole), TEST(test_long_line), TEST(test_stuck_uart), TEST(test_own_id),
		TEST(test_mp_services), TEST(test_forgotten), TEST(test_rsdp), TEST(test_nodes), TEST(test_framebuffer), TEST(test_pages),
		TEST(test_keys),
	};

	return cmocka_run_group_tests_name("boot_firmware", tests, NULL, NULL);
}
