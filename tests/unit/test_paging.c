/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/paging.c: the tables it builds, walked as the processor would. CR3 and its kin are variables
 * here; tables are the host's memory, at "physical" addresses that the real direct-map formula gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#undef DIRECT_MAP_BASE		/* the product's */

/* The real instructions under other names; #pragma once keeps paging.c from reading them again. */
#define read_cr0	real_read_cr0
#define read_cr3	real_read_cr3
#define read_cr4	real_read_cr4
#define write_cr0	real_write_cr0
#define write_cr3	real_write_cr3
#include "arch/x86/hw/insn.h"
#undef read_cr0
#undef read_cr3
#undef read_cr4
#undef write_cr0
#undef write_cr3

static uint64_t fake_cr3;

static uint64_t read_cr0(void) { return 0; }
static uint64_t read_cr3(void) { return fake_cr3; }
static uint64_t read_cr4(void) { return 0; }
static void write_cr0(uint64_t val) { (void)val; }
static void write_cr3(uint64_t val) { fake_cr3 = val; }

#define __data_start image_data_start	/* the host's linker has one, too */
#include "arch/x86/host/paging.c"

/* An image: 3 pages of code, 2 of constants, 2 of data, the last of which is a guard. */
__asm__(".data\n.balign 4096\n"
	".globl __text_start, __text_end, __rodata_start, __rodata_end, image_data_start, __bss_end\n"
	"__text_start: .skip 0x3000\n__text_end:\n"
	"__rodata_start: .skip 0x2000\n__rodata_end:\n"
	"image_data_start: .skip 0x2000\n__bss_end:\n.text\n");

struct cpu_features cpu_features;

uint64_t gdt_guard_page(unsigned i)
{
	return i == 0 ? (uint64_t)(uintptr_t)__data_start + PAGE_SIZE : 0;
}

#define POOL_PAGES	64U

static uint8_t *pool;
static size_t pool_used;

void *page_alloc(void)
{
	return pool_used < POOL_PAGES ? pool + pool_used++ * PAGE_SIZE : NULL;
}

void panic(const char *fmt, ...)
{
	fail_msg("panic: %s", fmt);
	abort();
}

static void reset_pool(void)
{
	if (!pool)
		pool = mmap(NULL, POOL_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pool, MAP_FAILED);
	memset(pool, 0, POOL_PAGES * PAGE_SIZE);
	pool_used = 0;
}

#define NONE		UINT64_MAX
#define RIGHT_W		1U
#define RIGHT_X		2U
#define IMAGE_PHYS	0x345000ULL

struct place { uint64_t phys, span; unsigned rights; };

/* As the processor does: W needs it at every level, one NX anywhere forbids execution. */
static struct place walk(uint64_t root, uint64_t virt)
{
	const uint64_t *table = hpa_ptr(hpa(root));
	struct place place = { NONE, 0, RIGHT_W | RIGHT_X };

	for (unsigned level = 4; level >= 1; level--) {
		uint64_t entry = table[pt_index(virt, level)];

		if (!(entry & PTE_P))
			return place;
		place.rights &= (entry & PTE_W ? RIGHT_W : 0) | (entry & PTE_NX ? 0 : RIGHT_X);
		if (level == 1 || (level <= 3 && (entry & PTE_PS))) {
			place.span = pt_span(level);
			place.phys = (entry & PTE_ADDR) + virt % place.span;
			assert_int_equal((entry & PTE_ADDR) % place.span, 0);
			return place;
		}
		table = hpa_ptr(hpa(entry & PTE_ADDR));
	}
	return place;
}

static void boot_at(uint64_t image, bool has_1g)
{
	static struct handoff handoff;
	static const struct handoff_region regions[] = {
		{ 0x1000, 0x9f000, REGION_FREE, 0 },
		{ 0x100000, 0x7ff00000, REGION_FREE, 0 },
		{ 0x100000000, 0x80123000, REGION_FREE, 0 },	/* 4 GiB to a little over 6 GiB */
		{ 0x200000000, 0x1000, REGION_ACPI, 0 },
		{ 0x300000000, 0x40000000, REGION_RESERVED, 0 },
		{ 0x8000000000, 0x40000000, REGION_FREE, 0 },	/* 512 GiB: another entry of the top table */
	};

	reset_pool();
	cpu_features = (struct cpu_features){ .has_nx = true, .has_1g = has_1g, .phys_bits = 46 };
	memset(&tables, 0, sizeof(tables));
	memset(&handoff, 0, sizeof(handoff));
	memcpy(handoff.regions, regions, sizeof(regions));
	handoff.region_count = countof(regions);
	handoff.hv_start = image;
	handoff.hv_link = (uint64_t)(uintptr_t)__text_start;
	handoff.hv_length = (uint64_t)(__bss_end - __text_start);
	paging_init(&handoff);
	assert_int_equal(fake_cr3, paging_root());
}

static void boot(bool has_1g)
{
	boot_at(IMAGE_PHYS, has_1g);
}

/* The top table that host_power_off would make now. */
static uint64_t identity_root(void)
{
	static uint64_t top[PT_ENTRIES] __attribute__((aligned(PAGE_SIZE)));

	paging_make_identity(top);
	return ptr_hpa(top).raw;
}

static void check(uint64_t root, uint64_t virt, uint64_t phys, unsigned rights)
{
	struct place place = walk(root, virt);

	assert_int_equal(place.phys, phys);
	if (phys != NONE)
		assert_int_equal(place.rights, rights);
}

static const struct { uint64_t phys; bool is_mapped; } direct[] = {
	{ 0, true }, { 0xfff, true }, { 0xb8000, true }, { 0x1fffff, true }, { 0x200000, true },
	{ 0x7fffffff, true }, { 0xfee00000, true }, { 0xffffffff, true }, { 0x100000000, true },
	{ 0x17fffffff, true }, { 0x180122fff, true }, { 0x1801fffff, true }, { 0x180200000, false },
	{ 0x200000000, true }, { 0x2001fffff, true }, { 0x200200000, false }, { 0x300000000, false },
	{ 0x7fffffffff, false }, { 0x8000000000, true }, { 0x803fffffff, true }, { 0x8040000000, false },
};

static void test_direct_map(void **state)
{
	(void)state;
	for (unsigned has_1g = 0; has_1g < 2; has_1g++) {
		boot(has_1g);
		for (size_t i = 0; row_of(direct, i); i++) {
			uint64_t phys = direct[i].phys, expect = direct[i].is_mapped ? phys : NONE;

			check(paging_root(), DIRECT_MAP_BASE + phys, expect, RIGHT_W);
			check(identity_root(), DIRECT_MAP_BASE + phys, expect, RIGHT_W);
			check(identity_root(), phys, expect, RIGHT_W | RIGHT_X);
			check(paging_root(), phys, NONE, 0);	/* null, and everything else down there */
			assert_int_equal(paging_is_mapped(hpa(phys), 1), direct[i].is_mapped);
		}
	}
}

static void test_image(void **state)
{
	static const struct { uint64_t offset; unsigned rights; bool is_mapped; } rows[] = {
		{ 0, RIGHT_X, true }, { 0x2fff, RIGHT_X, true }, { 0x3000, 0, true }, { 0x4fff, 0, true },
		{ 0x5000, RIGHT_W, true }, { 0x5fff, RIGHT_W, true }, { 0x6000, 0, false },
	};
	uint64_t link = (uint64_t)(uintptr_t)__text_start;

	(void)state;
	/* The test's image lies in the lower half: its table is the main one's, not shared with the identity map. */
	boot(true);
	for (size_t i = 0; i < countof(rows); i++)
		check(paging_root(), link + rows[i].offset, rows[i].is_mapped ? IMAGE_PHYS + rows[i].offset : NONE,
		      rows[i].rights);
}

/* Where fixed MTRRs differ every few KiB pages are small; large pages where the processor has them. */
static void test_page_sizes(void **state)
{
	static const struct { uint64_t phys, with_1g, without; } rows[] = {
		{ 0xa0000, PAGE_SIZE, PAGE_SIZE }, { 0x1ff000, PAGE_SIZE, PAGE_SIZE },
		{ 0x400000, LARGE_SIZE, LARGE_SIZE }, { 0xfee00000, LARGE_SIZE, LARGE_SIZE },
		{ 0x100000000, 1ULL << 30, LARGE_SIZE }, { 0x180000000, LARGE_SIZE, LARGE_SIZE },
		{ 0x8000000000, 1ULL << 30, LARGE_SIZE },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		boot(true);
		assert_int_equal(walk(paging_root(), DIRECT_MAP_BASE + rows[i].phys).span, rows[i].with_1g);
		boot(false);
		assert_int_equal(walk(paging_root(), DIRECT_MAP_BASE + rows[i].phys).span, rows[i].without);
	}
}

static void test_is_mapped(void **state)
{
	static const struct { uint64_t start, len; bool expect; } rows[] = {
		{ 0, 0x100000000, true }, { 0x1801ff000, 0x1000, true }, { 0x1801ff000, 0x1001, false },
		{ 0xffffffff, 2, true }, { 0x7ffffff000, 0x2000, false }, { 1ULL << 46, 1, false },
		{ UINT64_MAX, 2, false }, { 0, UINT64_MAX, false }, { 0x300000000, 0, true },
	};

	(void)state;
	boot(true);
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(paging_is_mapped(hpa(rows[i].start), rows[i].len), rows[i].expect);
}

static void test_device(void **state)
{
	(void)state;
	boot(true);
	assert_ptr_equal(paging_map_device(hpa(0xfd000000), 0x1000, 1), hpa_ptr(hpa(0xfd000000)));
	assert_false(paging_is_mapped(hpa(0x4000123000), 1));
	assert_ptr_equal(paging_map_device(hpa(0x4000123000), 0x300000, 1), hpa_ptr(hpa(0x4000123000)));
	check(paging_root(), DIRECT_MAP_BASE + 0x4000422fff, 0x4000422fff, RIGHT_W);
	check(identity_root(), 0x4000422fff, 0x4000422fff, RIGHT_W | RIGHT_X);
	/* A top-table entry that was not there before. */
	(void)paging_map_device(hpa(0x38000000000), 0x1000, 0);
	check(paging_root(), DIRECT_MAP_BASE + 0x38000000000, 0x38000000000, RIGHT_W);
	check(identity_root(), DIRECT_MAP_BASE + 0x38000000000, 0x38000000000, RIGHT_W);
	/* RAM that is mapped already keeps its mapping. */
	(void)paging_map_device(hpa(0x100000000), 0x1000, 0);
	assert_int_equal(walk(paging_root(), DIRECT_MAP_BASE + 0x100000000).span, 1ULL << 30);
}

/* Pages for another processor, with a hole left below them; and the tables it starts on. */
static void test_other_processors(void **state)
{
	static uint64_t copy[PT_ENTRIES] __attribute__((aligned(PAGE_SIZE)));
	const uint64_t stack = CPU_AREA + CPU_AREA_STRIDE + PAGE_SIZE;

	(void)state;
	boot(true);
	assert_true(paging_populate(stack, 2 * PAGE_SIZE));
	paging_make_identity(copy);
	for (uint64_t at = stack; at < stack + 2 * PAGE_SIZE; at += PAGE_SIZE) {
		struct place place = walk(paging_root(), at);

		assert_int_equal(place.rights, RIGHT_W);
		assert_int_equal(walk(ptr_hpa(copy).raw, at).phys, place.phys);
	}
	check(paging_root(), stack - 1, NONE, 0);
	check(paging_root(), stack + 2 * PAGE_SIZE, NONE, 0);
	check(ptr_hpa(copy).raw, 0x9f000, 0x9f000, RIGHT_W | RIGHT_X);
	check(ptr_hpa(copy).raw, DIRECT_MAP_BASE + 0x9f000, 0x9f000, RIGHT_W);
	pool_used = POOL_PAGES;
	assert_false(paging_populate(stack, 1));
}

/* Boot's tables, which map the low half only and the image in the last entry. */
static void test_early(void **state)
{
	uint64_t *top;

	(void)state;
	reset_pool();
	top = page_alloc();
	fake_cr3 = (uint64_t)(uintptr_t)top;
	top[0] = 0x1000 | PTE_P | PTE_W;
	top[1] = 0x2000 | PTE_P | PTE_W;
	top[2] = 0x3000;		/* not present */
	top[HALF - 1] = 0x4000 | PTE_P;
	top[PT_ENTRIES - 1] = 0x5000 | PTE_P | PTE_W;
	paging_early();
	assert_int_equal(top[HALF], top[0]);
	assert_int_equal(top[HALF + 1], top[1]);
	assert_int_equal(top[HALF + 2], 0);
	assert_int_equal(top[PT_ENTRIES - 1], 0x5000 | PTE_P | PTE_W);
}

/*
 * The second mapping of the image: code and constants read-only, data writable, and nothing beside it lost, wherever
 * boot/ put it: among the low 4 KiB pages, below 4 GiB, and where the direct map has pages of 1 GiB.
 */
static void test_image_alias(void **state)
{
	static const uint64_t places[] = { 0x103000, IMAGE_PHYS, 0x7fffd000, 0x1003ff000, 0x140000000 };

	(void)state;
	for (size_t i = 0; row_of(places, i); i++) {
		uint64_t start = places[i] - 0x200000, guarded = places[i] + 0x5000;

		boot_at(places[i], true);
		for (uint64_t at = places[i] < 0x200000 ? 0 : start; at < places[i] + 0x400000; at += PAGE_SIZE) {
			bool is_ours = at >= places[i] && at < guarded;

			if (places[i] == 0x7fffd000 && at >= 0x80000000)
				break;
			check(paging_root(), DIRECT_MAP_BASE + at, at, is_ours ? 0 : RIGHT_W);
			check(identity_root(), at, at, is_ours ? RIGHT_X : RIGHT_W | RIGHT_X);
		}
		check(paging_root(), DIRECT_MAP_BASE + 0x17fffffff, 0x17fffffff, RIGHT_W);
	}
}

/* All below a table that has `rights` by what stands above it. Returns the number of pages. */
static unsigned check_tables(const uint64_t *table, unsigned level, unsigned rights)
{
	unsigned leaves = 0;

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t entry = table[i];
		unsigned left = rights & ((entry & PTE_W ? RIGHT_W : 0) | (entry & PTE_NX ? 0 : RIGHT_X));

		if (!(entry & PTE_P))
			continue;
		assert_int_equal(entry & PTE_U, 0);
		if (level > 1 && !(level < TOP_LEVEL && (entry & PTE_PS))) {
			leaves += check_tables(hpa_ptr(hpa(entry & PTE_ADDR)), level - 1, left);
			continue;
		}
		leaves++;
		assert_int_not_equal(left, RIGHT_W | RIGHT_X);
	}
	return leaves;
}

/* No page is writable and executable, and none belongs to user mode: SMEP and SMAP would have nothing to forbid. */
static void test_write_or_execute(void **state)
{
	(void)state;
	for (unsigned has_1g = 0; has_1g < 2; has_1g++) {
		boot(has_1g);
		(void)paging_map_device(hpa(0x4000123000), 0x300000, 1);
		assert_true(paging_populate(CPU_AREA + PAGE_SIZE, 2 * PAGE_SIZE));
		assert_true(check_tables(hpa_ptr(hpa(paging_root())), TOP_LEVEL, RIGHT_W | RIGHT_X) > 512);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct_map), cmocka_unit_test(test_image), cmocka_unit_test(test_page_sizes),
		cmocka_unit_test(test_is_mapped), cmocka_unit_test(test_device), cmocka_unit_test(test_early),
		cmocka_unit_test(test_other_processors), cmocka_unit_test(test_image_alias),
		cmocka_unit_test(test_write_or_execute),
	};

	return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
