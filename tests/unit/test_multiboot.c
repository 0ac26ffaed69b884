/* SPDX-License-Identifier: MIT */
/* Multiboot 1: an ELF32, an ELF64 and an address-field image, then the same with one field wrong each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/virt/reset.h"
#include "guest_fake.h"
#include "hv/lib/util.h"
#include "page_fake.h"

#define MIB(n)		((uint64_t)(n) << 20)
#define IMAGE_SIZE	0x1400U
#define HEADER_AT	0x200U		/* of the Multiboot header */
#define TEXT_AT		0x1000U
#define TEXT_SIZE	0x300U
#define TEXT_MEM	0x900U

static void put(uint8_t *image, size_t at, uint64_t val, size_t size)
{
	memcpy(image + at, &val, size);
}

static void put_header(uint8_t *image, uint32_t flags)
{
	put(image, HEADER_AT, 0x1badb002, 4);
	put(image, HEADER_AT + 4, flags, 4);
	put(image, HEADER_AT + 8, (uint32_t)-(0x1badb002 + flags), 4);
}

static void put_elf32_segment(uint8_t *image, unsigned n, uint32_t offset, uint32_t vaddr, uint32_t paddr,
			      uint32_t filesz, uint32_t memsz)
{
	const uint32_t header[] = { 1, offset, vaddr, paddr, filesz, memsz, 7, 0x1000 };

	memcpy(image + 52 + n * 32, header, sizeof(header));
}

static void make_image(uint8_t *image)
{
	for (size_t i = 0; i < IMAGE_SIZE; i++)
		image[i] = (uint8_t)(i * 13);
	memset(image, 0, TEXT_AT);
	put_header(image, 3);
}

/* Linked at 0xc0100000, loaded at 1 MiB, as the kernel of a course would be; a second segment of bss only. */
static void make_elf32(uint8_t *image)
{
	make_image(image);
	memcpy(image, "\177ELF\1\1\1", 7);
	put(image, 16, 2, 2);
	put(image, 18, 3, 2);
	put(image, 24, 0xc0100010, 4);
	put(image, 28, 52, 4);
	put(image, 42, 32, 2);
	put(image, 44, 2, 2);
	put_elf32_segment(image, 0, TEXT_AT, 0xc0100000, 0x100000, TEXT_SIZE, TEXT_MEM);
	put_elf32_segment(image, 1, 0, 0xc0200000, 0x200000, 0, 0x5000);
}

static void make_elf64(uint8_t *image)
{
	make_image(image);
	memcpy(image, "\177ELF\2\1\1", 7);
	put(image, 16, 2, 2);
	put(image, 18, 62, 2);
	put(image, 24, 0x100020, 8);
	put(image, 32, 64, 8);
	put(image, 54, 56, 2);
	put(image, 56, 1, 2);
	put(image, 64, 1, 4);
	put(image, 64 + 8, TEXT_AT, 8);
	put(image, 64 + 16, 0xffffffff80100000, 8);
	put(image, 64 + 24, 0x100000, 8);
	put(image, 64 + 32, TEXT_SIZE, 8);
	put(image, 64 + 40, TEXT_MEM, 8);
}

static void make_kludge(uint8_t *image)
{
	make_image(image);
	put_header(image, 0x10003);
	put(image, HEADER_AT + 12, 0x100000 + HEADER_AT, 4);
	put(image, HEADER_AT + 16, 0x100000, 4);
	put(image, HEADER_AT + 20, 0x100000 + TEXT_AT + TEXT_SIZE, 4);
	put(image, HEADER_AT + 24, 0x108000, 4);
	put(image, HEADER_AT + 28, 0x100000 + TEXT_AT, 4);
}

static const char *load_it(struct guest_fake *guest, struct reset_state *state)
{
	const char *why = multiboot_load(&guest->boot, state);

	return why || guest_fake_copy(guest) ? why : "no memory for its files";
}

static const char *load(struct guest_fake *guest, uint64_t memory, const uint8_t *image, uint64_t len,
			struct reset_state *state)
{
	guest_fake_init(guest, memory);
	guest->boot.kernel = (struct image){ image, len, "kernel" };
	return load_it(guest, state);
}

static void test_formats(void **unused)
{
	static const struct { void (*make)(uint8_t *); uint32_t entry, offset, len; } formats[] = {
		{ make_elf32, 0x100010, TEXT_AT, TEXT_SIZE },
		{ make_elf64, 0x100020, TEXT_AT, TEXT_SIZE },
		{ make_kludge, 0x100000 + TEXT_AT, 0, TEXT_AT + TEXT_SIZE },
	};

	(void)unused;
	for (size_t i = 0; row_of(formats, i); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];

		formats[i].make(image);
		assert_null(load(&guest, MIB(16), image, sizeof(image), &state));
		assert_int_equal(state.rip, formats[i].entry);
		assert_int_equal(state.gpr[GPR_RAX], 0x2badb002);
		assert_int_equal(state.cr0 & 0x80000001, 1);
		assert_int_equal(state.seg[SEG_CS].limit, 0xffffffff);
		assert_true(guest_equals(&guest, 0x100000, image + formats[i].offset, formats[i].len));
		assert_int_equal(guest_number(&guest, 0x100000 + formats[i].len, 8), 0);
		guest_fake_free(&guest);
	}
}

static void test_info(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];
	uint64_t info, mods, mmap;

	(void)unused;
	make_elf32(image);
	guest_fake_init(&guest, MIB(16));
	guest.boot.kernel = (struct image){ image, sizeof(image), "kernel" };
	guest.boot.cmdline = "test=all";
	guest.boot.modules[0] = (struct image){ (const uint8_t *)"first", 5, "one.bin" };
	guest.boot.modules[1] = (struct image){ (const uint8_t *)"second", 6, "two.bin" };
	guest.boot.module_count = 2;
	assert_null(load_it(&guest, &state));

	info = state.gpr[GPR_RBX];
	assert_int_equal(guest_number(&guest, info, 4), 0x24d);
	assert_int_equal(guest_number(&guest, info + 4, 4), 639);
	assert_int_equal(guest_number(&guest, info + 8, 4), 15 * 1024);
	assert_true(guest_equals(&guest, guest_number(&guest, info + 16, 4), "test=all", 9));
	assert_true(guest_equals(&guest, guest_number(&guest, info + 64, 4), "Trapeze", 8));

	assert_int_equal(guest_number(&guest, info + 20, 4), 2);
	mods = guest_number(&guest, info + 24, 4);
	assert_int_equal(guest_number(&guest, mods, 4), 0x205000);	/* behind the bss */
	assert_int_equal(guest_number(&guest, mods + 4, 4), 0x205005);
	assert_true(guest_equals(&guest, guest_number(&guest, mods + 8, 4), "one.bin", 8));
	assert_int_equal(guest_number(&guest, mods + 16, 4), 0x206000);
	assert_true(guest_equals(&guest, 0x206000, "second", 6));
	assert_true(guest_equals(&guest, guest_number(&guest, mods + 24, 4), "two.bin", 8));

	assert_int_equal(guest_number(&guest, info + 44, 4), 4 * 24);
	mmap = guest_number(&guest, info + 48, 4);
	assert_int_equal(guest_number(&guest, mmap, 4), 20);
	assert_int_equal(guest_number(&guest, mmap + 3 * 24 + 4, 8), MIB(1));
	assert_int_equal(guest_number(&guest, mmap + 3 * 24 + 12, 8), MIB(15));
	assert_int_equal(guest_number(&guest, mmap + 3 * 24 + 20, 4), 1);

	assert_int_equal(state.seg[SEG_GDTR].limit, 23);
	assert_int_equal(guest_number(&guest, state.seg[SEG_GDTR].base + 8, 8), 0x00cf9b000000ffff);
	guest_fake_free(&guest);
}

/* A kernel in low memory pushes the information block behind everything else. */
static void test_low_kernel(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];

	(void)unused;
	make_elf32(image);
	put_elf32_segment(image, 0, TEXT_AT, 0xc0100000, 0xa000, TEXT_SIZE, TEXT_MEM);
	put(image, 44, 1, 2);
	assert_null(load(&guest, MIB(16), image, sizeof(image), &state));
	assert_int_equal(state.rip, 0xa010);
	assert_in_range(state.gpr[GPR_RBX], MIB(1), MIB(1) + 0x1000);
	assert_true(guest_equals(&guest, 0xa000, image + TEXT_AT, TEXT_SIZE));
	guest_fake_free(&guest);
}

/* Worst texts there can be: they fit, and the last one is whole. */
static void test_longest_texts(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];
	char cmdline[HANDOFF_CMDLINE_MAX] = "", name[HANDOFF_PATH_MAX] = "";
	uint64_t mods;

	(void)unused;
	make_elf32(image);
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	memset(name, 'n', sizeof(name) - 1);
	guest_fake_init(&guest, MIB(16));
	guest.boot.kernel = (struct image){ image, sizeof(image), name };
	guest.boot.cmdline = cmdline;
	for (size_t i = 0; i < GUEST_MODULES_MAX; i++)
		guest.boot.modules[guest.boot.module_count++] = (struct image){ image, 1, name };
	assert_null(load_it(&guest, &state));
	mods = guest_number(&guest, state.gpr[GPR_RBX] + 24, 4);
	assert_true(guest_equals(&guest, guest_number(&guest, mods + 4 * 16 + 8, 4), name, sizeof(name)));
	guest_fake_free(&guest);
}

static const struct {
	const char *what;
	void (*make)(uint8_t *);
	size_t   at;
	uint64_t val;
	size_t   size;
	bool     is_fine;
} rows[] = {
	{ "no magic", make_elf32, HEADER_AT, 0, 4, false },
	{ "checksum wrong", make_elf32, HEADER_AT + 8, 0, 4, false },
	{ "not ELF", make_elf32, 0, 0, 4, false },
	{ "big endian", make_elf32, 5, 2, 1, false },
	{ "shared object", make_elf32, 16, 3, 2, false },
	{ "another machine", make_elf32, 18, 40, 2, false },
	{ "class does not match machine", make_elf32, 18, 62, 2, false },
	{ "program headers outside", make_elf32, 28, 0xffffffff, 4, false },
	{ "64 program headers, most of them zeros", make_elf32, 44, 64, 2, true },
	{ "65 program headers", make_elf32, 44, 65, 2, false },
	{ "65,535 program headers", make_elf32, 44, 0xffff, 2, false },
	{ "program headers too small", make_elf32, 42, 31, 2, false },
	{ "no program header", make_elf32, 44, 0, 2, false },
	{ "entry outside", make_elf32, 24, 0x300000, 4, false },
	{ "entry in the bss", make_elf32, 24, 0x200000, 4, true },
	{ "entry physical", make_elf32, 24, 0x100010, 4, true },
	{ "segment outside the file", make_elf32, 52 + 4, 0x1200, 4, false },
	{ "segment offset wraps", make_elf32, 52 + 4, 0xffffff00, 4, false },
	{ "segment larger in the file", make_elf32, 52 + 20, TEXT_SIZE - 1, 4, false },
	{ "segment without bss", make_elf32, 52 + 20, TEXT_SIZE, 4, true },
	{ "segment outside RAM", make_elf32, 52 + 12, 0xfffff000, 4, false },
	{ "segment in the VGA window", make_elf32, 52 + 12, 0xa0000, 4, false },
	{ "segment over the ACPI tables", make_elf32, 52 + 12, 0xe0000, 4, false },
	{ "segment ends in the EBDA", make_elf32, 52 + 12, 0x9f800, 4, false },
	{ "segments overlap", make_elf32, 52 + 12, 0x200800, 4, false },
	{ "bss of 4 GiB", make_elf32, 52 + 20, 0xffffffff, 4, false },
	{ "ELF64 memsz wraps", make_elf64, 64 + 40, UINT64_MAX, 8, false },
	{ "ELF64 paddr wraps", make_elf64, 64 + 24, UINT64_MAX - 0x100, 8, false },
	{ "ELF64 offset wraps", make_elf64, 64 + 8, UINT64_MAX - 0x100, 8, false },
	{ "ELF64 phoff wraps", make_elf64, 32, UINT64_MAX - 8, 8, false },
	{ "load above header", make_kludge, HEADER_AT + 16, 0x100000 + HEADER_AT + 4, 4, false },
	{ "load before the file", make_kludge, HEADER_AT + 16, 0xff000, 4, false },
	{ "load_end below load", make_kludge, HEADER_AT + 20, 0xff000, 4, false },
	{ "load_end beyond the file", make_kludge, HEADER_AT + 20, 0x108000, 4, false },
	{ "load_end 0: all of it", make_kludge, HEADER_AT + 20, 0, 4, true },
	{ "bss_end below load_end", make_kludge, HEADER_AT + 24, 0x100800, 4, false },
	{ "bss_end 0: none", make_kludge, HEADER_AT + 24, 0, 4, true },
	{ "bss_end outside RAM", make_kludge, HEADER_AT + 24, 0xffffffff, 4, false },
	{ "kludge entry outside", make_kludge, HEADER_AT + 28, 0x200000, 4, false },
};

static void test_rows(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];
		const char *why;

		rows[i].make(image);
		put(image, rows[i].at, rows[i].val, rows[i].size);
		why = load(&guest, MIB(16), image, sizeof(image), &state);
		if (rows[i].is_fine != !why)
			fail_msg("%s: %s", rows[i].what, why ? why : "accepted");
		guest_fake_free(&guest);
	}
	assert_int_equal(page_fake_used, 0);
}

static void test_flags(void **unused)
{
	static const struct { uint32_t flags, mode_type; bool is_fine; } flags[] = {
		{ 0, 0, true }, { 3, 0, true }, { 7, 1, true }, { 7, 0, false }, { 8, 0, false }, { 0x8000, 0, false },
		{ 0x20000, 0, true },		/* upper half: may be ignored */
	};

	(void)unused;
	for (size_t i = 0; row_of(flags, i); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];

		make_elf32(image);
		put_header(image, flags[i].flags);
		put(image, HEADER_AT + 32, flags[i].mode_type, 4);
		assert_int_equal(load(&guest, MIB(16), image, sizeof(image), &state) == NULL, flags[i].is_fine);
		guest_fake_free(&guest);
	}
}

static void test_memory_too_small(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE], *module = calloc(1, MIB(2));

	(void)unused;
	make_elf32(image);
	assert_non_null(load(&guest, MIB(2), image, sizeof(image), &state));
	guest_fake_free(&guest);

	guest_fake_init(&guest, MIB(4));
	guest.boot.kernel = (struct image){ image, sizeof(image), "kernel" };
	guest.boot.modules[0] = (struct image){ module, MIB(2), "module" };
	guest.boot.module_count = 1;
	assert_non_null(load_it(&guest, &state));
	guest_fake_free(&guest);
	free(module);
}

/* The header lies within the first 8 KiB, on a border of 4 bytes, and what only begins like one is passed over. */
static void test_search(void **unused)
{
	static const struct { size_t at, len; bool is_found; } files[] = {
		{ 0, 12, true }, { 0, 11, false }, { 4, 16, true }, { 6, 32, false }, { 8176, 8188, true },
		{ 8180, 8192, true }, { 8180, 8191, false }, { 8180, 9000, true }, { 8184, 9000, false },
	};
	const uint32_t header[] = { 0x1badb002, 3, (uint32_t)-(0x1badb002 + 3) };

	(void)unused;
	for (size_t i = 0; row_of(files, i); i++) {
		uint8_t *whole = malloc(9012), *exact = malloc(files[i].len);

		for (size_t at = 0; at + 4 <= 9012; at += 4)
			put(whole, at, 0x1badb002, 4);
		memcpy(whole + files[i].at, header, sizeof(header));
		memcpy(exact, whole, files[i].len);
		assert_int_equal(multiboot_probe(&(struct image){ exact, files[i].len, "kernel" }), files[i].is_found);
		free(whole);
		free(exact);
	}
	assert_false(multiboot_probe(&(struct image){ .data = NULL }));
}

/* Every truncation, in an allocation that ends where the file does. */
static void test_truncated(void **unused)
{
	(void)unused;
	for (size_t len = 0; len < IMAGE_SIZE; len += len < 0x240 ? 1 : 61) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE], *exact = malloc(len ? len : 1);

		(len & 1 ? make_elf32 : make_kludge)(image);
		memcpy(exact, image, len);
		(void)load(&guest, MIB(16), exact, len, &state);
		guest_fake_free(&guest);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_low_kernel),
		cmocka_unit_test(test_longest_texts),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_memory_too_small),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests_name("multiboot", tests, NULL, NULL);
}
