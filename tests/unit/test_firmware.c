/* SPDX-License-Identifier: MIT */
/*
 * What firmware leaves behind for a guest: the MP table parsed back by the offsets of its specification, the BIOS data
 * area, and the real-mode vectors down to the words that their port says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/guestboot/bios_data.h"
#include "arch/x86/guestboot/mp_table.h"
#include "guest_fake.h"
#include "hv/dev/bios_trap.h"
#include "hv/lib/util.h"
#include "hv/vm.h"
#include "port_fake.h"

#define RAM	(2ULL << 20)
#define POINTER	0xf0000U
#define ENTRIES	44U

static uint8_t sum(struct guest_fake *guest, uint64_t addr, uint64_t len)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < len; i++)
		total = (uint8_t)(total + guest_number(guest, addr + i, 1));
	return total;
}

static uint64_t make_table(struct guest_fake *guest, uint32_t vcpus)
{
	guest_fake_init(guest, RAM);
	assert_int_equal(mp_table_write(&guest->gpm, vcpus), 0);
	assert_true(guest_equals(guest, POINTER, "_MP_", 4));
	assert_int_equal(sum(guest, POINTER, 16), 0);
	assert_int_equal(guest_number(guest, POINTER + 8, 1), 1);
	assert_int_equal(guest_number(guest, POINTER + 9, 1), 4);
	assert_int_equal(guest_number(guest, POINTER + 11, 4), 0);	/* a table, virtual wire mode */
	return guest_number(guest, POINTER + 4, 4);
}

static void test_mp_header(void **unused)
{
	(void)unused;
	for (uint32_t vcpus = 1; vcpus <= VM_VCPUS_MAX; vcpus++) {
		struct guest_fake guest;
		uint64_t table = make_table(&guest, vcpus), at = table + ENTRIES, len = guest_number(&guest, table + 4, 2);
		unsigned counts[5] = { 0 }, last = 0, total = 0;

		assert_true(guest_equals(&guest, table, "PCMP", 4));
		assert_int_equal(guest_number(&guest, table + 6, 1), 4);
		assert_int_equal(sum(&guest, table, len), 0);
		assert_int_equal(guest_number(&guest, table + 36, 4), 0xfee00000);
		while (at < table + len) {
			unsigned type = (unsigned)guest_number(&guest, at, 1);

			assert_in_range(type, last, 4);		/* sorted */
			counts[last = type]++;
			total++;
			at += type ? 8 : 20;
		}
		assert_int_equal(at, table + len);
		assert_int_equal(total, guest_number(&guest, table + 34, 2));
		assert_int_equal(counts[0], vcpus);
		assert_int_equal(counts[1], 1);
		assert_int_equal(counts[2], 1);
		assert_int_equal(counts[3], 15);
		assert_int_equal(counts[4], 2);
		guest_fake_free(&guest);
	}
}

static void test_mp_entries(void **unused)
{
	static const uint8_t cpus[] = {
		0, 0, 0x14, 3, 0, 0, 0, 0, 0x01, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 1, 0x14, 1, 0, 0, 0, 0, 0x01, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 'I', 'S', 'A', ' ', ' ', ' ',
		2, 0, 0x20, 1, 0x00, 0x00, 0xc0, 0xfe,
		3, 0, 0, 0, 0, 0, 0, 2,			/* ISA 0: edge, input 2 */
		3, 0, 0, 0, 0, 1, 0, 1,
		3, 0, 0, 0, 0, 3, 0, 3,			/* no ISA 2 */
	};
	static const uint8_t sci[] = { 3, 0, 0x0d, 0, 0, 9, 0, 9 };
	static const uint8_t local[] = {
		4, 3, 0, 0, 0, 0, 0, 0,			/* ExtINT: LINT0 of processor 0 */
		4, 1, 0, 0, 0, 0, 0xff, 1,		/* NMI: LINT1 of all */
	};
	struct guest_fake guest;
	uint64_t at = make_table(&guest, 2) + ENTRIES;

	(void)unused;
	assert_true(guest_equals(&guest, at, cpus, sizeof(cpus)));
	at += 2 * 20 + 2 * 8;
	assert_true(guest_equals(&guest, at + 8 * 8, sci, sizeof(sci)));
	assert_true(guest_equals(&guest, at + 15 * 8, local, sizeof(local)));
	guest_fake_free(&guest);
}

static void test_no_room(void **unused)
{
	struct guest_fake guest;

	(void)unused;
	guest_fake_init(&guest, 0xf0000);
	assert_int_equal(mp_table_write(&guest.gpm, 1), -1);
	assert_false(bios_data_write(&guest.gpm));
	guest_fake_free(&guest);
	guest_fake_init(&guest, RAM);
	assert_int_equal(mp_table_write(&guest.gpm, VM_VCPUS_MAX + 1), -1);
	guest_fake_free(&guest);
}

/* As xv6 and many a teaching kernel read it: byte by byte, little-endian. */
static void test_bios_data(void **unused)
{
	static const struct { uint64_t at; size_t size; uint64_t val; } rows[] = {
		{ 0x400, 2, 0x3f8 }, { 0x402, 2, 0 }, { 0x40e, 2, 0x9fc0 }, { 0x410, 2, 0x202 }, { 0x413, 2, 639 },
		{ 0x9fc00, 2, 1 }, { 0xffff0, 2, 0x06b0 },
	};
	struct guest_fake guest;

	(void)unused;
	guest_fake_init(&guest, RAM);
	assert_true(bios_data_write(&guest.gpm));
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(guest_number(&guest, rows[i].at, rows[i].size), rows[i].val);
	for (uint32_t i = 0; i < 256; i++) {
		uint8_t  code[] = { 0x66, 0xc1, 0xe0, 16, 0xb8, (uint8_t)i, 0, 0x66, 0xe7, 0xec, 0xf4, 0xeb, 0xfd };
		uint64_t vector = guest_number(&guest, i * 4, 4);

		assert_true(guest_equals(&guest, (vector >> 16) * 16 + (vector & 0xffff), code, sizeof(code)));
	}
	guest_fake_free(&guest);
}

static char said[256];

static void on_call(void *ctx, const char *why)
{
	(void)ctx;
	strncpy(said, why, sizeof(said) - 1);
}

static void test_trap(void **unused)
{
	static const struct { uint64_t value; const char *why; } rows[] = {
		{ 0x00000000, "exception 0 (divide error) in real mode, and no handler" },
		{ 0x12340006, "exception 6 (invalid instruction) in real mode, and no handler" },
		{ 0x00000008, "exception 8 or line 0 of the 8259 in real mode, and no handler" },
		{ 0x0000000d, "exception 13 or line 5 of the 8259 in real mode, and no handler" },
		{ 0x0e410010, "called the BIOS: INT 0x10 (video), AX 0x0e41; there is no BIOS" },
		{ 0x02010013, "called the BIOS: INT 0x13 (disk), AX 0x0201; there is no BIOS" },
		{ 0xffff001a, "called the BIOS: INT 0x1a (clock), AX 0xffff; there is no BIOS" },
		{ 0x0000001b, "INT 0x1b in real mode, AX 0x0000, and no handler; there is no BIOS" },
		{ 0x4c00ff21, "INT 0x21 in real mode, AX 0x4c00, and no handler; there is no BIOS" },
		{ 0xffffffff, "INT 0xff in real mode, AX 0xffff, and no handler; there is no BIOS" },
	};
	struct bios_trap trap;
	struct bus pio;

	(void)unused;
	bus_init(&pio, "pio");
	bios_trap_init(&trap, on_call, NULL);
	assert_int_equal(bios_trap_map(&trap, &pio), 0);
	for (size_t i = 0; row_of(rows, i); i++) {
		out(&pio, 0xec, 4, rows[i].value);
		assert_string_equal(said, rows[i].why);
	}
	said[0] = '\0';
	out(&pio, 0xec, 1, 0x10);
	assert_string_equal(said, "");
	assert_int_equal(in(&pio, 0xec, 4), 0xffffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mp_header), cmocka_unit_test(test_mp_entries), cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_bios_data), cmocka_unit_test(test_trap),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
