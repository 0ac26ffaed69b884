/* SPDX-License-Identifier: MIT */
/* From a configuration to a loaded guest: which protocol is chosen, what is refused; the boot sector whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/guestboot/loader.h"
#include "arch/x86/virt/reset.h"
#include "guest_fake.h"
#include "hv/files.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/vm.h"
#include "release_all.h"

#define MIB(n)	((uint64_t)(n) << 20)

static char last_log[256];

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	va_list args;

	(void)vm;
	va_start(args, fmt);
	vsnprintf(last_log, sizeof(last_log), fmt, args);
	va_end(args);
}

bool vm_kill(struct vm *vm, const char *fmt, ...)
{
	va_list args;

	(void)vm;
	va_start(args, fmt);
	vsnprintf(last_log, sizeof(last_log), fmt, args);
	va_end(args);
	return true;
}

struct bench {
	struct guest_fake  guest;
	struct handoff     handoff;
	struct handoff_vm  config;
	struct machine     machine;
	struct vm          vm;
	struct reset_state state;
};

static void add_file(struct bench *bench, const char *path, const void *bytes, uint64_t len)
{
	struct handoff_file *file = &bench->handoff.files[bench->handoff.file_count++];

	snprintf(file->path, sizeof(file->path), "%s", path);
	file->start = ptr_hpa(bytes).raw;
	file->length = len;
}

static struct bench *make_bench(uint64_t memory)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	guest_fake_init(&bench->guest, memory);
	bench->vm.gpm = bench->guest.gpm;
	bench->vm.config = &bench->config;
	bench->vm.machine = &bench->machine;
	bench->vm.vcpu_count = 1;
	bench->config.memory = memory;
	bench->config.initrd = HANDOFF_NO_FILE;
	files_init(&bench->handoff);
	last_log[0] = '\0';
	return bench;
}

static void free_bench(struct bench *bench)
{
	gpm_destroy(&bench->vm.gpm);
	files_init(NULL);
	free(bench);
}

static void make_sector(uint8_t *sector)
{
	memset(sector, 0x90, 512);
	sector[510] = 0x55;
	sector[511] = 0xaa;
}

static uint64_t number(struct bench *bench, uint64_t addr, size_t size)
{
	bench->guest.gpm = bench->vm.gpm;
	return guest_number(&bench->guest, addr, size);
}

static void test_boot_sector(void **unused)
{
	struct bench *bench = make_bench(MIB(1));
	uint8_t image[1024];

	(void)unused;
	make_sector(image);
	memset(image + 512, 0x42, 512);
	add_file(bench, "guests/sector.bin", image, sizeof(image));
	assert_int_equal(loader_load(&bench->vm, &bench->state, &bench->guest.copies), 0);
	assert_int_equal(bench->state.rip, 0x7c00);
	assert_int_equal(bench->state.seg[SEG_CS].base, 0);
	assert_int_equal(bench->state.gpr[GPR_RDX], 0x80);
	assert_int_equal(bench->state.rsp, 0x7c00);
	assert_int_equal(number(bench, 0x7dfe, 2), 0xaa55);
	assert_int_equal(number(bench, 0x7e00, 1), 0x42);		/* the whole file is there */
	assert_int_equal(number(bench, 0x413, 2), 639);
	assert_int_equal(number(bench, 0x400, 2), 0x3f8);
	assert_int_equal(number(bench, 0x13 * 4, 4), 0xf000e130);
	assert_int_equal(number(bench, 0xf0000, 4), 0x5f504d5f);	/* "_MP_" */
	assert_non_null(strstr(last_log, "sector.bin loaded as boot sector (no BIOS services)"));
	free_bench(bench);
}

static const struct {
	const char *what;
	uint32_t protocol;
	size_t   len;			/* of zeros with these three optional marks */
	bool     is_sector, is_multiboot, is_linux;
	const char *log;
} choices[] = {
	{ "sector", PROTOCOL_AUTO, 512, true, false, false, "loaded as boot sector" },
	{ "sector, odd length", PROTOCOL_AUTO, 600, true, false, false, "neither a bzImage" },
	{ "sector, odd length, told", PROTOCOL_BOOTSECTOR, 600, true, false, false, "loaded as boot sector" },
	{ "sector, no mark, told", PROTOCOL_BOOTSECTOR, 512, false, false, false, "not a boot sector" },
	{ "sector, short, told", PROTOCOL_BOOTSECTOR, 511, true, false, false, "not a boot sector" },
	{ "sector, largest", PROTOCOL_AUTO, 480 << 10, true, false, false, "loaded as boot sector" },
	{ "sector, too large", PROTOCOL_AUTO, (480 << 10) + 512, true, false, false, "larger than the 480 KiB" },
	{ "nothing known", PROTOCOL_AUTO, 4096, false, false, false, "neither a bzImage" },
	{ "nothing at all", PROTOCOL_AUTO, 0, false, false, false, "neither a bzImage" },
	{ "Multiboot before sector", PROTOCOL_AUTO, 8192, true, true, false, "as Multiboot:" },
	{ "Linux before Multiboot", PROTOCOL_AUTO, 8192, true, true, true, "as Linux bzImage:" },
	{ "not Linux, told", PROTOCOL_LINUX, 8192, false, true, false, "not a bzImage" },
	{ "not Multiboot, told", PROTOCOL_MULTIBOOT, 8192, true, false, false, "no Multiboot header" },
	{ "a protocol that is none", 77, 512, true, false, false, "neither a bzImage" },
};

static void test_choices(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(choices); i++) {
		struct bench *bench = make_bench(MIB(8));
		const uint32_t multiboot[] = { 0x1badb002, 0, (uint32_t)-0x1badb002 };
		uint8_t *image = aligned_alloc(64, (480 << 10) + 4096);

		memset(image, 0, (480 << 10) + 4096);
		if (choices[i].is_sector)
			memcpy(image + 510, "\x55\xaa", 2);
		if (choices[i].is_multiboot)
			memcpy(image + 1024, multiboot, sizeof(multiboot));
		if (choices[i].is_linux)
			memcpy(image + 514, "HdrS", 4);
		bench->config.protocol = choices[i].protocol;
		add_file(bench, "kernel", image, choices[i].len);
		assert_int_equal(loader_load(&bench->vm, &bench->state, &bench->guest.copies),
				 strstr(choices[i].log, "loaded as") ? 0 : -1);
		if (!strstr(last_log, choices[i].log))
			fail_msg("%s: %s", choices[i].what, last_log);
		free_bench(bench);
		free(image);
	}
}

static void test_configuration(void **unused)
{
	static const struct {
		uint64_t memory;
		uint32_t kernel, initrd, module_count, module;
		const char *log;
	} rows[] = {
		{ MIB(8), 0, HANDOFF_NO_FILE, 0, 0, "loaded as" },
		{ MIB(8), HANDOFF_NO_FILE, HANDOFF_NO_FILE, 0, 0, "no kernel" },
		{ MIB(8), 7, HANDOFF_NO_FILE, 0, 0, "no kernel" },
		{ MIB(8), 0, 9, 0, 0, "initrd" },
		{ MIB(8), 0, HANDOFF_NO_FILE, 2, 64, "module" },
		{ MIB(8), 0, HANDOFF_NO_FILE, 5, 0, "malformed" },
		{ 0xc0000, 0, HANDOFF_NO_FILE, 0, 0, "less than 1 MiB" },
		{ MIB(8), 0, 0, 0, 0, "takes no initrd" },
		{ MIB(8), 0, HANDOFF_NO_FILE, 1, 0, "takes no modules" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct bench *bench = make_bench(rows[i].memory);
		uint8_t image[512];

		make_sector(image);
		add_file(bench, "sector.bin", image, sizeof(image));
		bench->config.kernel = rows[i].kernel;
		bench->config.initrd = rows[i].initrd;
		bench->config.module_count = rows[i].module_count;
		bench->config.modules[0] = rows[i].module;
		assert_int_equal(loader_load(&bench->vm, &bench->state, &bench->guest.copies), strcmp(rows[i].log, "loaded as") ? -1 : 0);
		assert_non_null(strstr(last_log, rows[i].log));
		free_bench(bench);
	}
}

/* A command line fills its place but for the zero at the end, and has that zero. */
static void test_longest_command_line(void **unused)
{
	(void)unused;
	for (unsigned is_too_long = 0; is_too_long < 2; is_too_long++) {
		struct bench *bench = make_bench(MIB(8));
		uint8_t image[512];

		make_sector(image);
		add_file(bench, "sector.bin", image, sizeof(image));
		bench->config.kernel = 0;
		memset(bench->config.cmdline, 'x', HANDOFF_CMDLINE_MAX - !is_too_long);
		assert_int_equal(loader_load(&bench->vm, &bench->state, &bench->guest.copies), is_too_long ? -1 : 0);
		assert_non_null(strstr(last_log, is_too_long ? "malformed" : "loaded as"));
		free_bench(bench);
	}
}

static void test_files(void **unused)
{
	struct bench *bench = make_bench(MIB(1));
	uint64_t length = 1;

	(void)unused;
	add_file(bench, "a/b", "xyz", 3);
	add_file(bench, "wraps", "xyz", UINT64_MAX);
	memset(bench->handoff.files[1].path, 'x', HANDOFF_PATH_MAX);
	assert_memory_equal(handoff_file_data(0, &length), "xyz", 3);
	assert_int_equal(length, 3);
	assert_string_equal(handoff_file_path(0), "a/b");
	assert_null(handoff_file_data(1, &length));
	assert_int_equal(length, 0);
	assert_string_equal(handoff_file_path(1), "");
	assert_null(handoff_file_data(2, &length));
	assert_null(handoff_file_data(HANDOFF_NO_FILE, &length));
	bench->handoff.file_count = UINT32_MAX;
	assert_null(handoff_file_data(HANDOFF_FILES_MAX, &length));
	files_init(NULL);
	assert_null(handoff_file_data(0, &length));
	free_bench(bench);
}

/* A file that is no kernel is called by what it is. */
static void test_hints(void **unused)
{
	static const struct { uint32_t protocol, offset; const char *bytes, *says; } rows[] = {
		{ PROTOCOL_AUTO, 0, "\x1f\x8b\x08", "nor a boot sector; it is compressed with gzip: a Multiboot kernel" },
		{ PROTOCOL_MULTIBOOT, 0, "\x1f\x8b\x08", "in its first 8 KiB; it is compressed with gzip" },
		{ PROTOCOL_AUTO, 0, "\xfd" "7zXZ", "with xz" },
		{ PROTOCOL_AUTO, 0, "\x28\xb5\x2f\xfd", "with zstd" },
		{ PROTOCOL_AUTO, 0, "BZh", "with bzip2" },
		{ PROTOCOL_AUTO, 0, "QFI\xfb", "in the format qcow2" },
		{ PROTOCOL_AUTO, 0, "070701", "an initramfs" },
		{ PROTOCOL_AUTO, 0, "\x7f" "ELF", "an ELF file without a Multiboot header" },
		{ PROTOCOL_AUTO, 0x8001, "CD001", "the image of a CD" },
		{ PROTOCOL_AUTO, 0, "MZ", "an EFI or DOS program" },
		{ PROTOCOL_AUTO, 0, "A README of sixty-four characters and more, with\ttabs and line ends.\r\n", "it is a text file" },
		{ PROTOCOL_AUTO, 0, "A README of 63 characters and then one that is no text, see 64\x01", "nor a boot sector" },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		struct bench *bench = make_bench(MIB(1));
		char bytes[0x9000] = "";

		memcpy(bytes + rows[i].offset, rows[i].bytes, strlen(rows[i].bytes));
		add_file(bench, "k", bytes, sizeof(bytes));
		bench->config.protocol = rows[i].protocol;
		if (!loader_load(&bench->vm, &bench->state, &bench->guest.copies) || !strstr(last_log, rows[i].says) ||
		    (strstr(last_log, "text file") && !strstr(rows[i].says, "text file")))
			fail_msg("row %zu: %s", i, last_log);
		free_bench(bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_sector),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_hints), cmocka_unit_test(test_longest_command_line),
	};

	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
