/* SPDX-License-Identifier: MIT */
/*
 * exit/npt.c: what the first touch of RAM maps, page by page where RAM begins or ends within a chunk, and who answers a
 * nested page fault where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "hv/lib/page_size.h"
#include "hv/lib/util.h"
#include "npt_walk.h"
#include "page_fake.h"
#include "vcpu_fake.h"

#define CHUNK	0x800000ULL	/* behind the RAM that every vcpu_fake has */
#define PAGES	(LARGE_SIZE / PAGE_SIZE)

static struct vcpu_fake fake;
static unsigned accesses, deliveries;

enum exit_result exit_mmio(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	(void)vcpu;
	(void)addr;
	(void)is_write;
	accesses++;
	return EXIT_SKIP;
}

enum exit_result mmio_in_delivery(struct vcpu *vcpu, gpa_t addr, bool is_write)
{
	(void)vcpu;
	(void)addr;
	(void)is_write;
	deliveries++;
	return EXIT_RESUME;
}

static int set_up(void **state)
{
	(void)state;
	vcpu_fake_init(&fake);
	accesses = deliveries = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	page_fake_limit = UINT64_MAX;
	vcpu_fake_free(&fake);
	return 0;
}

static enum exit_result fault(uint64_t addr)
{
	return exit_npt(&fake.vcpu, &(struct npt_fault){ .addr = gpa(addr) });
}

/* Each page of the chunk is mapped if it is one of the RAM's, and leads to what gpm.c has there. */
static void check_pages(unsigned first, unsigned count, uint64_t page_size)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		const uint64_t addr = CHUNK + page * PAGE_SIZE;
		uint64_t to, size;
		unsigned rights;

		if (npt_walk(&fake.vm.npt, addr, &to, &rights, &size) != (page >= first && page < first + count))
			fail_msg("page %lu", page);
		if (page < first || page >= first + count)
			continue;
		assert_int_equal(rights, NPT_RWX);
		assert_int_equal(size, page_size);
		vcpu_fake_set_word(&fake, addr, 0x1234 + page);
		assert_int_equal(*(uint64_t *)hpa_ptr(hpa(to)), 0x1234 + page);
	}
	for (unsigned i = 0; i < 2; i++)	/* nor anything beside the chunk */
		assert_false(npt_walk(&fake.vm.npt, i ? CHUNK + LARGE_SIZE : CHUNK - 1, &(uint64_t){ 0 }, &(unsigned){ 0 },
				      &(uint64_t){ 0 }));
}

/* A chunk that is RAM throughout is one large page, any other is mapped page by page at a second fault. */
static void test_what_is_mapped(void **state)
{
	static const struct { unsigned first, count, touched; bool is_spread; } rows[] = {
		{ 0, 1, 0, false }, { 0, 3, 2, false }, { 0, PAGES - 1, 7, false }, { 0, PAGES, PAGES - 1, false },
		{ 1, PAGES - 1, 1, false }, { PAGES - 1, 1, PAGES - 1, false }, { 5, 2, 6, false },
		{ 1, 2 * PAGES - 1, 1, false },		/* RAM goes on behind the chunk */
		{ 0, 3, 0, true }, { 0, PAGES, 0, true },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		const uint64_t addr = CHUNK + rows[i].touched * PAGE_SIZE + 8;
		const bool is_whole = rows[i].count == PAGES;

		set_up(state);
		fake.vm.is_spread = rows[i].is_spread;
		assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(CHUNK + rows[i].first * PAGE_SIZE), rows[i].count * PAGE_SIZE), 0);
		assert_int_equal(fault(addr), EXIT_RESUME);
		if (!is_whole) {
			check_pages(0, 0, 0);
			assert_int_equal(fault(addr), EXIT_RESUME);
		}
		check_pages(rows[i].first, rows[i].count, is_whole ? LARGE_SIZE : PAGE_SIZE);
		assert_int_equal(fake.progress, is_whole ? 1 : 2);
		assert_int_equal(fake.vm.memory_lock.drawn, fake.vm.memory_lock.served);
		assert_int_equal(fake.vm.memory_lock.drawn, rows[i].is_spread ? fake.progress : 0);
		assert_int_equal(fault(CHUNK + (rows[i].first + rows[i].count) * PAGE_SIZE), EXIT_SKIP);	/* a device's, or nobody's */
		assert_int_equal(accesses, 1);
		assert_false(fake.is_killed);
		tear_down(state);
	}
}

/* Memory that was promised and is not there ends the guest, be it for RAM or for the table that leads to it. */
static void test_out_of_memory(void **state)
{
	(void)state;
	page_fake_limit = page_fake_used;
	assert_int_equal(fault(FAKE_RAM - 1), EXIT_STOP);
	assert_true(fake.is_killed);
	page_fake_limit = UINT64_MAX;
	fake.is_killed = false;
	vcpu_fake_set_word(&fake, FAKE_RAM - 8, 1);
	page_fake_limit = page_fake_used;
	assert_int_equal(fault(FAKE_RAM - 1), EXIT_STOP);
	assert_true(fake.is_killed);
}

/* Only what the instruction itself touches is a device's to answer. */
static void test_who_answers(void **state)
{
	static const struct {
		struct npt_fault fault;
		bool is_pending, is_killed;
		unsigned accesses, deliveries;
	} rows[] = {
		{ { .addr = { CHUNK } }, false, false, 1, 0 },
		{ { .addr = { CHUNK }, .is_write = true }, false, false, 1, 0 },
		{ { .addr = { 0 }, .was_mapped = true }, false, false, 1, 0 },
		{ { .addr = { CHUNK }, .is_fetch = true }, false, true, 0, 0 },
		{ { .addr = { CHUNK }, .in_walk = true }, false, true, 0, 0 },
		{ { .addr = { CHUNK } }, true, false, 0, 1 },
		{ { .addr = { CHUNK }, .is_fetch = true }, true, true, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		accesses = deliveries = 0;
		fake.is_killed = false;
		fake.vcpu.pending.is_valid = rows[i].is_pending;
		(void)exit_npt(&fake.vcpu, &rows[i].fault);
		assert_int_equal(fake.is_killed, rows[i].is_killed);
		assert_int_equal(accesses, rows[i].accesses);
		assert_int_equal(deliveries, rows[i].deliveries);
	}
	assert_int_equal(fake.progress, 0);
}

/* Where large pages are not executable (CVE-2018-12207) code gets small ones, and the guest goes on. */
static void test_code_in_small_pages(void **state)
{
	const struct npt_fault fetch = { .addr = { 0x5000 }, .is_fetch = true, .was_mapped = true };
	uint64_t to, size;
	unsigned rights;

	(void)state;
	fake.vm.npt.small_code = true;
	assert_int_equal(fault(0x5000), EXIT_RESUME);
	assert_int_equal(exit_npt(&fake.vcpu, &fetch), EXIT_RESUME);
	assert_true(npt_walk(&fake.vm.npt, 0x5000, &to, &rights, &size));
	assert_int_equal(size, PAGE_SIZE);
	assert_int_equal(rights, NPT_RWX);
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(fake.progress, 2);
	assert_int_equal(fault(LARGE_SIZE), EXIT_RESUME);
	page_fake_limit = page_fake_used;
	assert_int_equal(exit_npt(&fake.vcpu, &(struct npt_fault){ .addr = { LARGE_SIZE }, .is_fetch = true, .was_mapped = true }), EXIT_STOP);
	assert_true(fake.is_killed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_mapped),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_code_in_small_pages, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("touch", tests, NULL, NULL);
}
