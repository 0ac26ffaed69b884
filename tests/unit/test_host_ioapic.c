/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/ioapic.c: the machine's I/O APICs as a MADT lists them, every pin masked, one routed. The
 * chips are pages whose registers are here; the driver's file is included so that its direct map can be ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#undef DIRECT_MAP_BASE
#define DIRECT_MAP_BASE	0x200000000000ULL	/* where nothing of the host is */
#include "arch/x86/host/ioapic.c"

#include "log_fake.h"
#include "mmio_page.h"

#define TABLES	0x100000ULL		/* "physical" */
#define CHIPS	2U
#define PINS	24U

static struct { uint32_t index, last, regs[0x10 + 2 * PINS]; unsigned live; } chips[CHIPS];
static uint8_t tables[4096];		/* shown at TABLES */
static uint64_t mapped_end;

uint32_t host_lapic_id(void) { return 5; }

bool paging_is_mapped(hpa_t start, uint64_t len)
{
	return (start.raw >= TABLES && start.raw + len <= mapped_end) ||
	       (start.raw >= IOAPIC_BASE && start.raw + len <= IOAPIC_BASE + CHIPS * PAGE_SIZE);
}

/* 82093AA, 3.1: a register is chosen by the index at 0 and read or written at 10h. */
static uint32_t chip_get(unsigned n, uint64_t at)
{
	assert_int_equal(at, 0x10);
	return chips[n].index == 1 ? chips[n].last << 16 | 0x11 : chips[n].regs[chips[n].index];
}

static void chip_put(unsigned n, uint64_t at, uint32_t val)
{
	if (at == 0) {
		chips[n].index = val;
		return;
	}
	assert_int_equal(at, 0x10);
	assert_in_range(chips[n].index, 0x10, 0x10 + 2 * chips[n].last + 1);
	/* The upper half may change only while the pin is masked: the entry would be live with half its words. */
	if (chips[n].index % 2 && !(chips[n].regs[chips[n].index - 1] & 0x10000))
		chips[n].live++;
	chips[n].regs[chips[n].index] = val;
}

static uint32_t get_0(uint64_t at) { return chip_get(0, at); }
static uint32_t get_1(uint64_t at) { return chip_get(1, at); }
static void put_0(uint64_t at, uint32_t val) { chip_put(0, at, val); }
static void put_1(uint64_t at, uint32_t val) { chip_put(1, at, val); }

static int map_all(void **unused)
{
	(void)unused;
	mmio_page_map(DIRECT_MAP_BASE + IOAPIC_BASE, get_0, put_0);
	mmio_page_map(DIRECT_MAP_BASE + IOAPIC_BASE + PAGE_SIZE, get_1, put_1);
	return mmap((void *)(DIRECT_MAP_BASE + TABLES), sizeof(tables), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED;
}

/* ---- Tables: ACPI 5.2.5 to 5.2.12 ---- */

static uint8_t *at(uint32_t offset) { return (uint8_t *)(DIRECT_MAP_BASE + TABLES + offset); }

static void put(uint32_t offset, uint64_t val, size_t size) { memcpy(at(offset), &val, size); }

static void put_table(uint32_t offset, const char *signature, uint32_t length)
{
	memcpy(at(offset), signature, 4);
	put(offset + 4, length, 4);
}

/*
 * RSDP at 0, RSDT at 40h, XSDT at 80h, a table before the MADT at 100h, the MADT at 200h: two I/O APICs among
 * others.
 */
static void build(uint8_t revision)
{
	memset(at(0), 0, 4096);
	memcpy(at(0), "RSD PTR ", 8);
	put(15, revision, 1);
	put(16, TABLES + 0x40, 4);
	put(24, revision >= 2 ? TABLES + 0x80 : 0xbad, 8);
	put_table(0x40, "RSDT", 36 + 8);
	put(0x40 + 36, TABLES + 0x100, 4);
	put(0x40 + 40, TABLES + 0x200, 4);
	put_table(0x80, "XSDT", 36 + 16);
	put(0x80 + 36, TABLES + 0x100, 8);
	put(0x80 + 44, TABLES + 0x200, 8);
	put_table(0x100, "FACP", 36);
	put_table(0x200, "APIC", 44 + 8 + 12 + 12);
	put(0x200 + 44, 0x0800, 2);			/* a processor */
	put(0x200 + 52, 0x0c01, 2);			/* type 1, 12 bytes */
	put(0x200 + 56, IOAPIC_BASE, 4);
	put(0x200 + 60, 0, 4);
	put(0x200 + 64, 0x0c01, 2);
	put(0x200 + 68, IOAPIC_BASE + PAGE_SIZE, 4);
	put(0x200 + 72, 24, 4);
}

static int set_up(void **unused)
{
	(void)unused;
	memset(chips, 0, sizeof(chips));
	chips[0].last = 23;
	chips[1].last = 7;
	mapped_end = TABLES + 4096;
	log_fake_init();
	build(2);
	return 0;
}

static unsigned unmasked(unsigned n)
{
	unsigned count = 0;

	for (uint32_t pin = 0; pin <= chips[n].last; pin++)
		count += !(chips[n].regs[0x10 + 2 * pin] & 0x10000);
	return count;
}

/* ---- Tests ---- */

static void test_found(void **unused)
{
	(void)unused;
	mmio_page_arm();
	for (uint8_t revision = 0; revision <= 2; revision += 2) {
		set_up(NULL);
		build(revision);
		host_ioapic_init(TABLES);
		assert_int_equal(log_fake_lines, 2);
		assert_non_null(strstr(log_fake_text, "GSI 0 to 23"));
		assert_non_null(strstr(log_fake_text, "GSI 24 to 31"));
		assert_int_equal(unmasked(0), 0);
		assert_int_equal(unmasked(1), 0);
	}
}

/* COM1 is GSI 4: entry 18h, vector in bits 7:0, all else zero, the destination in bits 63:56. */
static void test_route(void **unused)
{
	(void)unused;
	mmio_page_arm();
	host_ioapic_init(TABLES);
	host_ioapic_route(4, 0xf1);
	assert_int_equal(chips[0].regs[0x18], 0xf1);
	assert_int_equal(chips[0].regs[0x19], 0x05000000);
	assert_int_equal(unmasked(0), 1);
	host_ioapic_route(31, 0xf2);		/* the last pin of the second */
	assert_int_equal(chips[1].regs[0x10 + 14], 0xf2);
	assert_int_equal(chips[0].live + chips[1].live, 0);
	host_ioapic_route(4, 0xf3);		/* again: masked while its halves differ */
	assert_int_equal(chips[0].regs[0x18], 0xf3);
	assert_int_equal(chips[0].live, 0);
	log_fake_init();
	host_ioapic_route(32, 0xf4);
	assert_non_null(strstr(log_fake_text, "no I/O APIC has GSI 32"));
	assert_int_equal(unmasked(0), 1);
	assert_int_equal(unmasked(1), 1);
}

/* Whatever is wrong with the tables: one chip at the usual place, and nothing is read that is not mapped. */
static void test_bad_tables(void **unused)
{
	static const struct { const char *what; uint32_t at; uint64_t val; size_t size; } rows[] = {
		{ "an XSDT elsewhere", 24, 0x123456789000, 8 },
		{ "an XSDT that is too long", 0x84, 4096, 4 },
		{ "one that is garbage", 0x84, 0xffffffff, 4 },
		{ "one that is too short", 0x84, 35, 4 },
		{ "no MADT in it", 0x200, 0x4d4d4d4d, 4 },
		{ "a MADT without entries", 0x204, 44, 4 },
		{ "an entry without length", 0x200 + 45, 0, 1 },
		{ "an entry longer than the table", 0x200 + 45, 200, 1 },
	};

	(void)unused;
	mmio_page_arm();
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		put(rows[i].at, rows[i].val, rows[i].size);
		host_ioapic_init(TABLES);
		assert_int_equal(log_fake_lines, 1);
		assert_non_null(strstr(log_fake_text, "I/O APIC at fec00000: GSI 0 to 23"));
	}
	host_ioapic_init(0);
	assert_int_equal(log_fake_lines, 2);
	mapped_end = TABLES + 20;		/* the RSDP reaches out of memory */
	host_ioapic_init(TABLES);
	assert_int_equal(log_fake_lines, 3);
}

/* A short entry of the right type, and a chip that is not mapped, are passed over. */
static void test_odd_entries(void **unused)
{
	(void)unused;
	mmio_page_arm();
	put(0x200 + 53, 11, 1);			/* type 1, 11 bytes; the next begins there, and is none */
	put(0x200 + 63, 0x0d02, 2);		/* 13 bytes, to the end */
	host_ioapic_init(TABLES);
	assert_non_null(strstr(log_fake_text, "GSI 0 to 23"));
	assert_int_equal(log_fake_lines, 1);
	set_up(NULL);
	put(0x200 + 56, 0x80000000, 4);
	host_ioapic_init(TABLES);
	assert_int_equal(log_fake_lines, 1);
	assert_non_null(strstr(log_fake_text, "GSI 24 to 31"));
}

/* 82093AA, 3.1: chips lie at multiples of 1 KiB. Registers elsewhere would be read across their edges. */
static void test_unaligned_chip(void **unused)
{
	static const uint32_t offsets[] = { 1, 2, 4, 0x10, 0x200 };

	(void)unused;
	mmio_page_arm();
	for (size_t i = 0; row_of(offsets, i); i++) {
		set_up(NULL);
		put(0x200 + 56, IOAPIC_BASE + offsets[i], 4);
		host_ioapic_init(TABLES);
		assert_int_equal(log_fake_lines, 1);
		assert_non_null(strstr(log_fake_text, "GSI 24 to 31"));
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found), TEST(test_route), TEST(test_bad_tables), TEST(test_odd_entries), TEST(test_unaligned_chip),
	};

	return cmocka_run_group_tests_name("host_ioapic", tests, map_all, NULL);
}
