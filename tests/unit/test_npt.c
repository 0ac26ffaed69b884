/* SPDX-License-Identifier: MIT */
/* The nested-table walker with both vendors' entry formats: SDM vol. 3, 29.3.2; APM vol. 2, 15.25. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/svm/state.h"
#include "arch/x86/virt/npt.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/lib/util.h"
#include "npt_walk.h"
#include "page_fake.h"

static const struct npt_format *const formats[] = { &vmx_npt_format, &svm_npt_format };

static uint64_t entry_at(const struct npt *npt, gpa_t addr, unsigned level)
{
	const uint64_t *table = hpa_ptr(npt->root);

	for (unsigned at = 4; ; at--) {
		uint64_t entry = table[addr.raw >> (12 + 9 * (at - 1)) & 511];

		if (at == level)
			return entry;
		table = hpa_ptr(hpa(entry & npt->format->addr_mask));
	}
}

static void check(const struct npt *npt, uint64_t from, bool is_mapped, uint64_t to, unsigned rights, uint64_t size)
{
	unsigned got_rights;
	uint64_t got, got_size;

	assert_int_equal(npt_walk(npt, from, &got, &got_rights, &got_size), is_mapped);
	if (!is_mapped)
		return;
	assert_int_equal(got, to);
	assert_int_equal(got_rights, rights);
	assert_int_equal(got_size, size);
}

/* Literal entries, so that a format cannot be wrong in both directions. */
static void test_entries(void **unused)
{
	static const struct { uint64_t small_rwx, small_r, large_rwx, large_rw_uc, table_bits; } want[] = {
		{ 0x0000000000003037, 0x0000000000003031, 0x00000000002000b7, 0x0000000000200083, 0x7 },
		{ 0x0000000000003007, 0x8000000000003005, 0x0000000000200087, 0x800000000020009f, 0x7 },
	};

	(void)unused;
	for (size_t i = 0; row_of(formats, i); i++) {
		struct npt npt;

		assert_int_equal(npt_init(&npt, formats[i]), 0);
		assert_int_equal(npt_map(&npt, gpa(0x1000), hpa(0x3000), PAGE_SIZE, NPT_RWX, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x2000), hpa(0x3000), PAGE_SIZE, NPT_R, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x40000000), hpa(0x200000), LARGE_SIZE, NPT_RWX, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x40200000), hpa(0x200000), LARGE_SIZE, NPT_R | NPT_W, true), 0);
		assert_int_equal(entry_at(&npt, gpa(0x1000), 1), want[i].small_rwx);
		assert_int_equal(entry_at(&npt, gpa(0x2000), 1), want[i].small_r);
		assert_int_equal(entry_at(&npt, gpa(0x40000000), 2), want[i].large_rwx);
		assert_int_equal(entry_at(&npt, gpa(0x40200000), 2), want[i].large_rw_uc);
		assert_int_equal(entry_at(&npt, gpa(0x1000), 4) & 0x8000000000000fff, want[i].table_bits);
		npt_destroy(&npt);
		assert_int_equal(page_fake_used, 0);
	}
}

static void test_lookup(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(formats, i); i++) {
		struct npt npt;

		assert_int_equal(npt_init(&npt, formats[i]), 0);
		check(&npt, 0, false, 0, 0, 0);
		assert_int_equal(npt_map(&npt, gpa(0x200000), hpa(0x7fe00000), LARGE_SIZE, NPT_RWX, false), 0);
		check(&npt, 0x200000, true, 0x7fe00000, NPT_RWX, LARGE_SIZE);
		check(&npt, 0x3fffff, true, 0x7fffffff, NPT_RWX, LARGE_SIZE);
		check(&npt, 0x400000, false, 0, 0, 0);
		check(&npt, 0x1fffff, false, 0, 0, 0);
		assert_int_equal(npt_map(&npt, gpa(0xffffffff000), hpa(0x5000), PAGE_SIZE, NPT_R | NPT_X, false), 0);
		check(&npt, 0xffffffff123, true, 0x5123, NPT_R | NPT_X, PAGE_SIZE);
		npt_destroy(&npt);
	}
}

/* A small page in a large one leaves the other 511 as they were. */
static void test_split(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(formats, i); i++) {
		struct npt npt;
		uint64_t tables;

		assert_int_equal(npt_init(&npt, formats[i]), 0);
		assert_int_equal(npt_map(&npt, gpa(0), hpa(0x600000), LARGE_SIZE, NPT_RWX, false), 0);
		tables = npt.tables;
		assert_int_equal(npt_map(&npt, gpa(0x5000), hpa(0x1000), PAGE_SIZE, NPT_R, false), 0);
		assert_int_equal(npt.tables, tables + 1);
		check(&npt, 0x4fff, true, 0x604fff, NPT_RWX, PAGE_SIZE);
		check(&npt, 0x5000, true, 0x1000, NPT_R, PAGE_SIZE);
		check(&npt, 0x1ff000, true, 0x7ff000, NPT_RWX, PAGE_SIZE);
		check(&npt, 0x6000, true, 0x606000, NPT_RWX, PAGE_SIZE);
		check(&npt, 0x7000, true, 0x607000, NPT_RWX, PAGE_SIZE);
		/* A large one over them all comes too late: they stay, for another processor may walk their table. */
		assert_int_equal(npt_map(&npt, gpa(0), hpa(0x800000), LARGE_SIZE, NPT_RWX, false), 0);
		assert_int_equal(npt.tables, tables + 1);
		check(&npt, 0x5000, true, 0x1000, NPT_R, PAGE_SIZE);
		check(&npt, 0x6000, true, 0x606000, NPT_RWX, PAGE_SIZE);
		npt_destroy(&npt);
		assert_int_equal(page_fake_used, 0);
	}
}

/*
 * Attack: change the size of a page that is executed (CVE-2018-12207). Where that hurts, no large page is
 * executable, ever.
 */
static void test_attack_page_size_change(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(formats, i); i++) {
		struct npt npt;

		assert_int_equal(npt_init(&npt, formats[i]), 0);
		npt.small_code = true;
		assert_int_equal(npt_map(&npt, gpa(0x200000), hpa(0x600000), LARGE_SIZE, NPT_RWX, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x400000), hpa(0x800000), LARGE_SIZE, NPT_R | NPT_W, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x600000), hpa(0xa00000), LARGE_SIZE, NPT_RWX, false), 0);
		assert_int_equal(npt_map(&npt, gpa(0x800000), hpa(0xc00000), PAGE_SIZE, NPT_R, false), 0);
		check(&npt, 0x200000, true, 0x600000, NPT_R | NPT_W, LARGE_SIZE);
		assert_int_equal(npt_split_code(&npt, gpa(0x3fffff)), 1);
		assert_int_equal(npt_split_code(&npt, gpa(0x3fffff)), 1);	/* by another processor, a moment ago */
		for (uint64_t at = 0; at < LARGE_SIZE; at += PAGE_SIZE)
			check(&npt, 0x200000 + at, true, 0x600000 + at, NPT_RWX, PAGE_SIZE);
		/*
		 * What was not to be executed is not, a small page in a large one is a split as well, and
		 * holes stay holes.
		 */
		assert_int_equal(npt_split_code(&npt, gpa(0x400000)), 0);
		check(&npt, 0x400000, true, 0x800000, NPT_R | NPT_W, LARGE_SIZE);
		assert_int_equal(npt_map(&npt, gpa(0x601000), hpa(0x1000), PAGE_SIZE, NPT_R, false), 0);
		check(&npt, 0x601000, true, 0x1000, NPT_R, PAGE_SIZE);
		check(&npt, 0x602000, true, 0xa02000, NPT_RWX, PAGE_SIZE);
		assert_int_equal(npt_split_code(&npt, gpa(0x800000)), 0);
		assert_int_equal(npt_split_code(&npt, gpa(0x40000000)), 0);
		/* A large page that comes a moment later changes nothing. */
		assert_int_equal(npt_map(&npt, gpa(0x200000), hpa(0x600000), LARGE_SIZE, NPT_RWX, false), 0);
		check(&npt, 0x200000, true, 0x600000, NPT_RWX, PAGE_SIZE);
		assert_int_equal(npt_map(&npt, gpa(0xa00000), hpa(0x600000), LARGE_SIZE, NPT_RWX, false), 0);
		page_fake_limit = page_fake_used;
		assert_int_equal(npt_split_code(&npt, gpa(0xa00000)), -1);
		page_fake_limit = UINT64_MAX;
		npt_destroy(&npt);
		assert_int_equal(page_fake_used, 0);
	}
}

/* The tables of one GiB at each call, then what stood above them. */
static void test_release(void **unused)
{
	static const struct { uint64_t addr; uint64_t frees; } gibs[] = {
		{ 0, 2 }, { 0x40000000, 2 }, { 0x8000000000, 2 },	/* directory, table; the third has its own PDPT */
	};
	struct npt npt;
	uint64_t before;

	(void)unused;
	assert_int_equal(npt_init(&npt, formats[0]), 0);
	for (size_t i = 0; row_of(gibs, i); i++)
		assert_int_equal(npt_map(&npt, gpa(gibs[i].addr), hpa(0), PAGE_SIZE, NPT_RWX, false), 0);
	for (size_t i = 0; row_of(gibs, i); i++) {
		before = page_fake_used;
		assert_false(npt_release(&npt));
		if (i == 2) {		/* first the PDPT that has become empty */
			assert_int_equal(before - page_fake_used, PAGE_SIZE);
			before = page_fake_used;
			assert_false(npt_release(&npt));
		}
		assert_int_equal(before - page_fake_used, gibs[i].frees * PAGE_SIZE);
	}
	assert_false(npt_release(&npt));
	assert_true(npt_release(&npt));
	assert_true(npt_release(&npt));
	assert_int_equal(page_fake_used, 0);
}

static void test_out_of_memory(void **unused)
{
	struct npt npt;

	(void)unused;
	for (uint64_t pages = 0; pages < 4; pages++) {
		page_fake_limit = pages * PAGE_SIZE;
		if (npt_init(&npt, formats[0])) {
			assert_int_equal(pages, 0);
			continue;
		}
		assert_int_equal(npt_map(&npt, gpa(0), hpa(0), PAGE_SIZE, NPT_RWX, false), -1);
		npt_destroy(&npt);
		assert_int_equal(page_fake_used, 0);
	}
	page_fake_limit = UINT64_MAX;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_attack_page_size_change),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("npt", tests, NULL, NULL);
}
