/* SPDX-License-Identifier: MIT */
/* bzImage loading: a made-up image that follows the protocol, then the same with one thing wrong each. */
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
#define GIB(n)		((uint64_t)(n) << 30)
#define SETUP_SECTS	3U
#define SETUP_SIZE	((SETUP_SECTS + 1) * 512U)
#define PAYLOAD_SIZE	5000U
#define IMAGE_SIZE	(SETUP_SIZE + PAYLOAD_SIZE)
#define INIT_SIZE	MIB(20)
#define ZERO_PAGE	0x10000U

static void put(uint8_t *image, size_t at, uint64_t val, size_t size)
{
	memcpy(image + at, &val, size);
}

/* Literal offsets of the kernel's documentation, not the constants under test. */
static void make_image(uint8_t *image)
{
	memset(image, 0, SETUP_SIZE);
	for (size_t i = SETUP_SIZE; i < IMAGE_SIZE; i++)
		image[i] = (uint8_t)(i * 7);
	put(image, 0x1f1, SETUP_SECTS, 1);
	put(image, 0x1fe, 0xaa55, 2);
	put(image, 0x200, 0x6aeb, 2);
	memcpy(image + 0x202, "HdrS", 4);
	put(image, 0x206, 0x20f, 2);
	put(image, 0x211, 0x01, 1);
	put(image, 0x214, 0x100000, 4);
	put(image, 0x22c, 0x7fffffff, 4);
	put(image, 0x230, 0x200000, 4);
	put(image, 0x234, 1, 1);
	put(image, 0x236, 0x0003, 2);
	put(image, 0x238, 64, 4);
	put(image, 0x258, MIB(16), 8);
	put(image, 0x260, INIT_SIZE, 4);
	put(image, 0x264, 0x1234, 4);		/* handover_offset: passed through */
}

static void with_image(struct guest_fake *guest, uint64_t memory, const uint8_t *image, uint64_t len)
{
	guest_fake_init(guest, memory);
	guest->boot.kernel = (struct image){ image, len, "vmlinuz" };
}

static const char *load(struct guest_fake *guest, struct reset_state *state)
{
	const char *why = linux_load(&guest->boot, state);

	return why || guest_fake_copy(guest) ? why : "no memory for its files";
}

static void test_loads(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE], initrd[4097];

	(void)unused;
	make_image(image);
	memset(initrd, 0x5a, sizeof(initrd));
	with_image(&guest, MIB(64), image, sizeof(image));
	guest.boot.cmdline = "console=ttyS0";
	guest.boot.initrd = (struct image){ initrd, sizeof(initrd), "initrd" };
	assert_null(load(&guest, &state));

	assert_int_equal(state.rip, MIB(16) + 0x200);
	assert_int_equal(state.gpr[GPR_RSI], ZERO_PAGE);
	assert_int_equal(state.seg[SEG_CS].selector, 0x10);
	assert_int_equal(state.seg[SEG_DS].selector, 0x18);
	assert_true(guest_equals(&guest, MIB(16), image + SETUP_SIZE, PAYLOAD_SIZE));

	assert_true(guest_equals(&guest, ZERO_PAGE + 0x1f1, image + 0x1f1, 0x1fa - 0x1f1));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x1fa, 2), 0xffff);	/* the normal text mode */
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x202, 4), 0x53726448);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x210, 1), 0xff);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x211, 1), 0x41);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x264, 4), 0x1234);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x26c, 4), 0);	/* the header ended at 0x26c */
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x70, 8), 0xe0000);
	assert_true(guest_equals(&guest, guest_number(&guest, ZERO_PAGE + 0x228, 4), "console=ttyS0", 14));

	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x218, 4), MIB(64) - 0x2000);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x21c, 4), sizeof(initrd));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0xc0, 8), 0);
	assert_true(guest_equals(&guest, MIB(64) - 0x2000, initrd, sizeof(initrd)));

	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x1e8, 1), 4);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0, 8), 0);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 8, 8), 639 << 10);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 16, 4), 1);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 3 * 20, 8), MIB(1));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 3 * 20 + 8, 8), MIB(63));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 3 * 20 + 16, 4), 1);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x2d0 + 2 * 20 + 16, 4), 2);	/* below 1 MiB: reserved */
	guest_fake_free(&guest);
}

/* The 32-bit entry: flat protected mode at the first byte, and nothing in the zero page that the header lacks. */
static void test_entry_32(void **unused)
{
	static const struct { uint16_t version, xloadflags; uint8_t jump; } images[] = {
		{ 0x20f, 0x0002, 0x6a }, { 0x20b, 0x0003, 0x62 }, { 0x204, 0xffff, 0x2e },
	};

	(void)unused;
	for (size_t i = 0; i < countof(images); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE], byte = 0x77;
		uint64_t addr = images[i].version < 0x20a ? MIB(1) : MIB(16);

		make_image(image);
		put(image, 0x206, images[i].version, 2);
		put(image, 0x236, images[i].xloadflags, 2);
		put(image, 0x201, images[i].jump, 1);
		put(image, 0x238, images[i].version < 0x206 ? 2 : 64, 4);	/* no limit for the command line yet */
		with_image(&guest, GIB(5), image, sizeof(image));
		guest.boot.initrd = (struct image){ &byte, 1, "initrd" };
		guest.boot.cmdline = "abc";
		assert_null(load(&guest, &state));
		assert_int_equal(state.rip, addr);
		assert_int_equal(state.cr0, 0x11);
		assert_int_equal(state.cr3 | state.cr4 | state.efer, 0);
		assert_int_equal(state.gpr[GPR_RSI], ZERO_PAGE);
		assert_int_equal(state.gpr[GPR_RBP] | state.gpr[GPR_RDI] | state.gpr[GPR_RBX], 0);
		assert_int_equal(state.seg[SEG_CS].selector, 0x10);
		assert_int_equal(state.seg[SEG_DS].selector, 0x18);
		assert_int_equal(state.seg[SEG_GDTR].limit, 31);
		assert_int_equal(guest_number(&guest, state.seg[SEG_GDTR].base + 0x10, 8), 0x00cf9b000000ffff);
		assert_int_equal(guest_number(&guest, state.seg[SEG_GDTR].base + 0x18, 8), 0x00cf93000000ffff);
		assert_true(guest_equals(&guest, addr, image + SETUP_SIZE, PAYLOAD_SIZE));
		assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x214, 4), addr);
		assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x218, 4), 0x7ffff000);	/* the header's limit */
		if (images[i].jump < 0x40)
			assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x258, 8), 0);
		guest_fake_free(&guest);
	}
}

/* A 32-bit kernel cannot reach an initrd above 4 GiB, whatever its flags say. */
static void test_initrd_stays_low(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE], byte = 0x77;

	(void)unused;
	make_image(image);
	put(image, 0x22c, 0, 4);
	put(image, 0x236, 0x0002, 2);
	with_image(&guest, GIB(5), image, sizeof(image));
	guest.boot.initrd = (struct image){ &byte, 1, "initrd" };
	assert_non_null(load(&guest, &state));
	guest_fake_free(&guest);
}

/* As Debian's ipxe.lkrn: protocol 2.07, and nothing at its 32-bit entry but packed data. */
static void test_real_mode_only(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];

	(void)unused;
	make_image(image);
	put(image, 0x206, 0x207, 2);
	put(image, 0x214, 0, 4);
	with_image(&guest, MIB(64), image, sizeof(image));
	assert_non_null(load(&guest, &state));
	guest_fake_free(&guest);
}

/* Walk the tables as the processor would: the first 4 GiB are mapped to themselves, nothing above is. */
static void test_page_tables(void **unused)
{
	static const uint64_t addrs[] = { 0, 0x1234567, MIB(16), GIB(1), GIB(3) - 1, GIB(4) - 1 };
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];

	(void)unused;
	make_image(image);
	with_image(&guest, MIB(64), image, sizeof(image));
	assert_null(load(&guest, &state));
	for (size_t i = 0; row_of(addrs, i); i++) {
		uint64_t entry = guest_number(&guest, state.cr3 + (addrs[i] >> 39) * 8, 8);

		assert_int_equal(entry & 3, 3);
		entry = guest_number(&guest, (entry & ~0xfffULL) + (addrs[i] >> 30) * 8, 8);
		assert_int_equal(entry & 0x83, 3);
		entry = guest_number(&guest, (entry & ~0xfffULL) + (addrs[i] >> 21) % 512 * 8, 8);
		assert_int_equal(entry & 0x83, 0x83);
		assert_int_equal((entry & ~0xfffULL) + addrs[i] % MIB(2), addrs[i]);
	}
	assert_int_equal(guest_number(&guest, state.cr3 + 8, 8), 0);
	assert_int_equal(state.seg[SEG_GDTR].limit, 31);
	assert_int_equal(guest_number(&guest, state.seg[SEG_GDTR].base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(guest_number(&guest, state.seg[SEG_GDTR].base + 0x18, 8), 0x00cf93000000ffff);
	guest_fake_free(&guest);
}

static const struct {
	const char *what;
	uint64_t memory;
	size_t   at;
	uint64_t val;
	size_t   size;
	uint64_t entry;		/* 0: must be refused */
} rows[] = {
	{ "as it is", MIB(64), 0x1f1, SETUP_SECTS, 1, MIB(16) + 0x200 },
	{ "no boot flag", MIB(64), 0x1fe, 0, 2, 0 },
	{ "no magic", MIB(64), 0x202, 0, 4, 0 },
	{ "protocol 2.03", MIB(64), 0x206, 0x203, 2, 0 },
	{ "protocol 2.04: no preferred address yet", MIB(64), 0x206, 0x204, 2, MIB(1) },
	{ "protocol 2.09", MIB(64), 0x206, 0x209, 2, MIB(1) },
	{ "protocol 2.10", MIB(64), 0x206, 0x20a, 2, MIB(16) },
	{ "protocol 2.11: no 64-bit entry yet", MIB(64), 0x206, 0x20b, 2, MIB(16) },
	{ "protocol 2.12", MIB(64), 0x206, 0x20c, 2, MIB(16) + 0x200 },
	{ "no 64-bit entry", MIB(64), 0x236, 0x0002, 2, MIB(16) },
	{ "zImage", MIB(64), 0x211, 0, 1, 0 },
	{ "no 32-bit entry, but a 64-bit one", MIB(64), 0x214, 0, 4, MIB(16) + 0x200 },
	{ "setup_sects 0 means 4", MIB(64), 0x1f1, 0, 1, MIB(16) + 0x200 },
	{ "setup beyond the file", MIB(64), 0x1f1, 200, 1, 0 },
	{ "file shorter than syssize", MIB(64), 0x1f4, PAYLOAD_SIZE / 16 + 2, 4, 0 },
	{ "file as long as syssize, rounded up", MIB(64), 0x1f4, PAYLOAD_SIZE / 16 + 1, 4, MIB(16) + 0x200 },
	{ "file longer than syssize", MIB(64), 0x1f4, 1, 4, MIB(16) + 0x200 },
	{ "syssize of 64 GiB", MIB(64), 0x1f4, 0xffffffff, 4, 0 },
	{ "RAM ends before the preferred address", MIB(32), 0x258, MIB(16), 8, 0 },
	{ "preferred address in the hole", MIB(64), 0x258, GIB(3), 8, 0 },
	{ "preferred address low", MIB(64), 0x258, 0x1000, 8, MIB(2) + 0x200 },
	{ "preferred address wraps", MIB(64), 0x258, UINT64_MAX - 0xfff, 8, 0 },
	{ "preferred address bad, not relocatable", MIB(64), 0x234, 0, 1, MIB(16) + 0x200 },
	{ "alignment 0 unused", MIB(64), 0x230, 0, 4, MIB(16) + 0x200 },
	{ "init_size above RAM", MIB(64), 0x260, 0xffffffff, 4, 0 },
	{ "init_size 0", MIB(64), 0x260, 0, 4, MIB(16) + 0x200 },
	{ "RAM too small", MIB(16), 0x1f1, SETUP_SECTS, 1, 0 },
	{ "RAM of 1 MiB", MIB(1), 0x1f1, SETUP_SECTS, 1, 0 },
	{ "cmdline_size 2", MIB(64), 0x238, 2, 4, 0 },
	{ "cmdline_size 3", MIB(64), 0x238, 3, 4, MIB(16) + 0x200 },
	{ "jump over nothing", MIB(64), 0x201, 0, 1, MIB(16) + 0x200 },
	{ "jump over all", MIB(64), 0x201, 0xff, 1, MIB(16) + 0x200 },
};

static void test_rows(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];
		const char *why;

		make_image(image);
		put(image, rows[i].at, rows[i].val, rows[i].size);
		with_image(&guest, rows[i].memory, image, sizeof(image));
		guest.boot.cmdline = "abc";
		why = load(&guest, &state);
		if (!rows[i].entry != !!why)
			fail_msg("%s: %s", rows[i].what, why ? why : "accepted");
		if (rows[i].entry)
			assert_int_equal(state.rip, rows[i].entry);
		guest_fake_free(&guest);
	}
	assert_int_equal(page_fake_used, 0);
}

static void test_unrelocatable(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];
	static const uint32_t bad_alignments[] = { 0, 1, 3, 0x800, 0x300000 };

	(void)unused;
	make_image(image);
	put(image, 0x258, GIB(3), 8);
	for (size_t i = 0; row_of(bad_alignments, i); i++) {
		put(image, 0x230, bad_alignments[i], 4);
		with_image(&guest, MIB(64), image, sizeof(image));
		assert_non_null(load(&guest, &state));
		guest_fake_free(&guest);
	}
	put(image, 0x230, 0x80000000, 4);	/* a power of two, and beyond the RAM */
	with_image(&guest, MIB(64), image, sizeof(image));
	assert_non_null(load(&guest, &state));
	guest_fake_free(&guest);
}

/* Every shorter file is refused, or loaded when only payload is missing: never read beyond its end. */
static void test_truncated(void **unused)
{
	(void)unused;
	for (size_t len = 0; len < SETUP_SIZE + 0x400; len += len < 0x300 ? 1 : 97) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE], *exact = malloc(len ? len : 1);

		make_image(image);
		memcpy(exact, image, len);
		with_image(&guest, MIB(64), exact, len);
		assert_int_equal(load(&guest, &state) == NULL, len > SETUP_SIZE + 0x200);
		guest_fake_free(&guest);
		free(exact);
	}
}

/* syssize counts 16 bytes, and the last 15 of them may be missing, but not the one before. */
static void test_syssize(void **unused)
{
	static const struct { uint32_t syssize; uint64_t payload; bool is_fine; } files[] = {
		{ 0, 0x201, true }, { 1, 0x201, true }, { 0x21, 0x201, true }, { 0x22, 0x201, false },
		{ 0x22, 0x210, false }, { 0x22, 0x211, true }, { 0x22, 0x220, true },
	};

	(void)unused;
	for (size_t i = 0; row_of(files, i); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];

		make_image(image);
		put(image, 0x1f4, files[i].syssize, 4);
		with_image(&guest, MIB(64), image, SETUP_SIZE + files[i].payload);
		assert_int_equal(load(&guest, &state) == NULL, files[i].is_fine);
		guest_fake_free(&guest);
	}
}

static const struct {
	const char *what;
	uint64_t memory, size;
	uint32_t addr_max;
	uint16_t xloadflags;
	uint64_t addr;		/* 0: refused */
} initrds[] = {
	{ "fills the rest of RAM", MIB(64), MIB(28), 0x7fffffff, 3, MIB(36) },
	{ "one byte too much", MIB(64), MIB(28) + 1, 0x7fffffff, 3, 0 },
	{ "below the limit", MIB(64), MIB(1), (uint32_t)MIB(50) - 1, 3, MIB(49) },
	{ "limit inside the kernel", MIB(64), MIB(1), (uint32_t)MIB(20), 1, 0 },
	{ "limit 0, may go high", MIB(64), MIB(1), 0, 3, MIB(63) },
	{ "empty", MIB(64), 0, 0x7fffffff, 3, MIB(64) },
};

static void test_initrd(void **unused)
{
	uint8_t *bytes = calloc(1, MIB(28) + 1);

	(void)unused;
	for (size_t i = 0; i < countof(initrds); i++) {
		struct guest_fake guest;
		struct reset_state state;
		uint8_t image[IMAGE_SIZE];
		const char *why;

		make_image(image);
		put(image, 0x22c, initrds[i].addr_max, 4);
		put(image, 0x236, initrds[i].xloadflags, 2);
		with_image(&guest, initrds[i].memory, image, sizeof(image));
		guest.boot.initrd = (struct image){ bytes, initrds[i].size, "initrd" };
		why = load(&guest, &state);
		if (!initrds[i].addr != !!why)
			fail_msg("%s: %s", initrds[i].what, why ? why : "accepted");
		if (initrds[i].addr)
			assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x218, 4), initrds[i].addr);
		guest_fake_free(&guest);
	}
	free(bytes);
}

/* An initrd that fits nowhere below 2 GiB goes above 4 GiB, its address split over two fields. */
static void test_initrd_high(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE], byte = 0x77;

	(void)unused;
	make_image(image);
	put(image, 0x22c, 0, 4);
	with_image(&guest, GIB(5), image, sizeof(image));
	guest.boot.initrd = (struct image){ &byte, 1, "initrd" };
	assert_null(load(&guest, &state));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x218, 4), GIB(6) - 0x1000 - GIB(4));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0xc0, 4), 1);
	assert_int_equal(guest_number(&guest, GIB(6) - 0x1000, 1), 0x77);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x1e8, 1), 5);
	guest_fake_free(&guest);
}

/* The size of an initrd is split as well. It is listed here, not copied: nobody reads beyond its first byte. */
static void test_initrd_huge(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE], byte = 0x77;

	(void)unused;
	make_image(image);
	with_image(&guest, GIB(16), image, sizeof(image));
	guest.boot.initrd = (struct image){ &byte, GIB(5) + 3, "initrd" };
	assert_null(linux_load(&guest.boot, &state));
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0x21c, 4), GIB(1) + 3);
	assert_int_equal(guest_number(&guest, ZERO_PAGE + 0xc4, 4), 1);
	guest_fake_free(&guest);
}

static void test_host_memory_ends(void **unused)
{
	struct guest_fake guest;
	struct reset_state state;
	uint8_t image[IMAGE_SIZE];

	(void)unused;
	make_image(image);
	with_image(&guest, MIB(64), image, sizeof(image));
	page_fake_limit = MIB(1);
	assert_non_null(load(&guest, &state));
	page_fake_limit = UINT64_MAX;
	guest_fake_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_entry_32),
		cmocka_unit_test(test_initrd_stays_low), cmocka_unit_test(test_real_mode_only),
		cmocka_unit_test(test_page_tables),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_unrelocatable),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_syssize),
		cmocka_unit_test(test_initrd),
		cmocka_unit_test(test_initrd_high), cmocka_unit_test(test_initrd_huge),
		cmocka_unit_test(test_host_memory_ends),
	};

	return cmocka_run_group_tests_name("linux", tests, NULL, NULL);
}
