/* SPDX-License-Identifier: MIT */
/*
 * Promised memory: a VM gets what it was promised whatever others take, who was promised nothing gets what is left, and
 * the three who allocate for a guest (RAM, disk copies, nested tables) ask first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/virt/npt.h"
#include "hv/account.h"
#include "hv/gpm.h"
#include "hv/lib/util.h"
#include "hv/memdisk.h"
#include "page_fake.h"
#include "release_all.h"

extern const struct npt_format vmx_npt_format;

#define MIB	(1ULL << 20)

static void count_exceeded(void *ctx) { ++*(unsigned *)ctx; }

static void host_has(uint64_t bytes)
{
	assert_int_equal(page_fake_used, 0);
	page_fake_limit = bytes + ACCOUNT_OUR_OWN;
	assert_int_equal(account_unclaimed(), bytes);
}

/* What account_take allowed has left the free pages now. */
static void allocate(struct account *account, uint64_t bytes)
{
	page_fake_used += bytes;
	account_settle(account, bytes, true);
}

static void promises_are_kept_back_from_others(void **state)
{
	unsigned exceeded = 0;
	struct account first = { 0 }, second = { .exceeded = count_exceeded, .ctx = &exceeded }, third = { 0 };

	(void)state;
	host_has(100 * MIB);
	assert_true(account_open(&first, 60 * MIB));
	assert_false(account_open(&third, 41 * MIB));		/* refused whole */
	assert_int_equal(third.promise, 0);
	assert_int_equal(account_unclaimed(), 40 * MIB);
	assert_true(account_take(&second, 40 * MIB));		/* nothing promised, something left */
	allocate(&second, 40 * MIB);
	assert_int_equal(account_unclaimed(), 0);
	assert_false(account_take(&second, 1));
	assert_int_equal(exceeded, 1);
	assert_true(account_take(&first, 60 * MIB));
	allocate(&first, 60 * MIB);
	assert_false(account_take(&first, PAGE_SIZE));		/* more than promised: as everybody */
	account_give(&second, 8 * MIB);
	page_fake_used -= 8 * MIB;
	assert_true(account_take(&first, 8 * MIB));
	allocate(&first, 8 * MIB);
	assert_int_equal(first.used, 68 * MIB);
	page_fake_used = 0;
	account_close(&first);
	account_close(&first);
	account_close(&second);
	assert_int_equal(account_unclaimed(), 100 * MIB);
	assert_true(account_take(NULL, UINT64_MAX));
	account_settle(NULL, UINT64_MAX, true);
	account_give(NULL, 1);
}

/*
 * Pages that were taken for the hypervisor itself may have eaten into what is kept: then there is nothing,
 * and not a lot.
 */
static void less_than_is_kept_is_nothing(void **state)
{
	struct account account = { 0 };

	(void)state;
	host_has(20 * MIB);
	assert_true(account_open(&account, 15 * MIB));
	page_fake_used = 6 * MIB;
	assert_int_equal(account_unclaimed(), 0);
	page_fake_used = page_fake_limit;
	assert_int_equal(account_unclaimed(), 0);
	page_fake_used = 0;
	account_close(&account);
}

/* What comes back within the promise is promised again; what was beyond it is anybody's. */
static void memory_given_back_is_claimed_again(void **state)
{
	struct account account = { 0 };

	(void)state;
	host_has(20 * MIB);
	assert_true(account_open(&account, 10 * MIB));
	assert_true(account_take(&account, 14 * MIB));
	allocate(&account, 14 * MIB);
	assert_int_equal(account_unclaimed(), 6 * MIB);
	account_give(&account, 2 * MIB);
	page_fake_used = 12 * MIB;
	assert_int_equal(account_unclaimed(), 8 * MIB);
	account_give(&account, 4 * MIB);
	page_fake_used = 8 * MIB;
	assert_int_equal(account_unclaimed(), 10 * MIB);
	page_fake_used = 0;
	account_close(&account);
	assert_int_equal(account_unclaimed(), 20 * MIB);
}

/* Random promises, takes and gifts: an account below its promise is never refused. */
static void nobody_is_refused_what_was_promised(void **state)
{
	struct account accounts[4] = { 0 };

	(void)state;
	srand(1);
	host_has(1000 * MIB);
	for (unsigned i = 0; i < countof(accounts) - 1; i++)
		assert_true(account_open(&accounts[i], 300 * MIB));
	for (unsigned round = 0; round < 100000; round++) {
		struct account *account = &accounts[(unsigned)rand() % 4];
		const uint64_t bytes = (unsigned)rand() % 64 * MIB;

		if (rand() % 3) {
			const bool is_promised = account->used + bytes <= account->promise;

			if (account_take(account, bytes))
				allocate(account, bytes);
			else
				assert_false(is_promised);
			assert_true(page_fake_used <= page_fake_limit);
		} else {
			const uint64_t back = min_u64(bytes, account->used);

			account_give(account, back);
			page_fake_used -= back;
		}
	}
	page_fake_used = 0;
	for (unsigned i = 0; i < countof(accounts); i++)
		account_close(&accounts[i]);
	assert_int_equal(account_unclaimed(), 1000 * MIB);
}

/*
 * Two processors ask before either has allocated: only one of them gets the last of it, and a promise is no
 * one else's.
 */
static void nobody_takes_what_is_under_way(void **state)
{
	unsigned exceeded = 0;
	struct account first = { 0 }, second = { .exceeded = count_exceeded, .ctx = &exceeded };

	(void)state;
	host_has(2 * MIB);
	for (unsigned is_promised = 0; is_promised < 2; is_promised++) {
		assert_true(account_open(&first, is_promised * 2 * MIB));
		assert_true(account_take(&first, 2 * MIB));
		assert_false(account_take(&second, PAGE_SIZE));
		assert_false(account_open(&second, PAGE_SIZE));
		assert_int_equal(exceeded, 1 + is_promised);
		account_settle(&first, 2 * MIB, false);		/* the allocation has failed */
		assert_int_equal(first.used, 0);
		assert_int_equal(account_unclaimed(), is_promised ? 0 : 2 * MIB);
	}
	account_close(&first);
	assert_int_equal(account_unclaimed(), 2 * MIB);
}

static uint64_t unclaimed_max;

static void look_at_unclaimed(void) { assert_true(account_unclaimed() <= unclaimed_max); }

/* All who allocate for a guest: at no moment does what it was promised look as if nobody had a claim to it. */
static void promises_never_look_free(void **state)
{
	static uint8_t file[2 * MEMDISK_CHUNK];
	const struct handoff_disk config = { .mode = DISK_COW };
	struct account account = { 0 };
	struct gpm gpm = { 0 };
	struct memdisk disk;
	struct npt npt;
	bool is_whole;

	(void)state;
	host_has(16 * MIB);
	assert_true(account_open(&account, 8 * MIB));
	unclaimed_max = 8 * MIB;
	page_fake_look = look_at_unclaimed;
	assert_int_equal(npt_init(&npt, &vmx_npt_format), 0);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0), 4 * MIB), 0);
	assert_int_equal(memdisk_init(&disk, file, sizeof(file), &config), 0);
	assert_false(memdisk_prepare(&disk));
	npt.account = gpm.account = disk.account = &account;
	assert_int_equal(npt_map(&npt, gpa(0), hpa(0x200000), PAGE_SIZE, NPT_RWX, false), 0);
	assert_true(gpm_populate(&gpm, gpa(0), &is_whole).raw);
	assert_int_equal(disk.block.write(&disk.block, 0, file, 512), 0);
	assert_int_equal(disk.block.discard(&disk.block, 0, MEMDISK_CHUNK), 0);
	gpm_destroy(&gpm);
	memdisk_destroy(&disk);
	npt_destroy(&npt);
	page_fake_look = NULL;
	account_close(&account);
	assert_int_equal(account_unclaimed(), 16 * MIB);
}

static void guest_ram_is_charged(void **state)
{
	unsigned exceeded = 0;
	struct account account = { .exceeded = count_exceeded, .ctx = &exceeded };
	struct gpm gpm = { 0 };
	bool is_whole;

	(void)state;
	host_has(16 * MIB);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0), 10 * MIB + PAGE_SIZE), 0);
	assert_int_equal(gpm_chunk_bytes(&gpm), 12 * MIB);
	gpm.account = &account;
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN + 4 * MIB + PAGE_SIZE;	/* and its directory */
	assert_true(gpm_populate(&gpm, gpa(0), &is_whole).raw);
	assert_true(gpm_populate(&gpm, gpa(2 * MIB), &is_whole).raw);
	assert_true(gpm_populate(&gpm, gpa(2 * MIB), &is_whole).raw);	/* there already */
	assert_int_equal(account.used, 4 * MIB + PAGE_SIZE);
	assert_false(gpm_populate(&gpm, gpa(4 * MIB), &is_whole).raw);
	assert_int_equal(exceeded, 1);
	gpm_destroy(&gpm);
	assert_int_equal(account.used, 0);
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN;
	assert_int_equal(gpm_add_slot(&gpm, gpa(0), 10 * MIB), 0);
	gpm.account = &account;
	assert_false(gpm_populate(&gpm, gpa(0), &is_whole).raw);		/* nor the directory */
	assert_int_equal(exceeded, 2);
	gpm_destroy(&gpm);
	account_close(&account);
}

static void copies_of_a_disk_are_charged(void **state)
{
	static uint8_t file[4 * MEMDISK_CHUNK];
	const struct handoff_disk config = { .mode = DISK_COW };
	struct account account = { 0 };
	struct memdisk disk;
	uint64_t one;

	(void)state;
	host_has(16 * MIB);
	assert_int_equal(memdisk_init(&disk, file, sizeof(file), &config), 0);
	assert_false(memdisk_prepare(&disk));
	assert_int_equal(memdisk_copy_bytes(&disk), 2 * MIB);
	disk.account = &account;
	assert_int_equal(disk.block.write(&disk.block, 0, file, 512), 0);
	assert_int_equal(disk.block.write(&disk.block, 512, file, 512), 0);
	one = account.used;
	assert_in_range(one, MEMDISK_CHUNK, MEMDISK_CHUNK + MEMDISK_CHUNK / 16);
	assert_int_equal(disk.block.write(&disk.block, MEMDISK_CHUNK, file, 512), 0);
	assert_int_equal(account.used, 2 * one);
	assert_int_equal(disk.block.discard(&disk.block, 0, MEMDISK_CHUNK), 0);
	assert_int_equal(account.used, one);
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN + 1024;
	assert_int_equal(disk.block.write(&disk.block, 2 * MEMDISK_CHUNK, file, 512), -1);
	assert_int_equal(account.used, one);
	memdisk_destroy(&disk);
	assert_int_equal(account.used, 0);
	account_close(&account);
}

static void nested_tables_are_charged(void **state)
{
	struct account account = { 0 };
	struct npt npt;

	(void)state;
	host_has(16 * MIB);
	assert_int_equal(npt_init(&npt, &vmx_npt_format), 0);
	npt.account = &account;
	assert_int_equal(npt_map(&npt, gpa(0), hpa(0x200000), PAGE_SIZE, NPT_RWX, false), 0);
	assert_int_equal(account.used, 3 * PAGE_SIZE);
	page_fake_limit = page_fake_used + ACCOUNT_OUR_OWN;
	assert_int_equal(npt_map(&npt, gpa(1ULL << 30), hpa(0x200000), PAGE_SIZE, NPT_RWX, false), -1);
	npt_destroy(&npt);
	account_close(&account);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_are_kept_back_from_others),
		cmocka_unit_test(less_than_is_kept_is_nothing),
		cmocka_unit_test(memory_given_back_is_claimed_again),
		cmocka_unit_test(nobody_is_refused_what_was_promised),
		cmocka_unit_test(nobody_takes_what_is_under_way),
		cmocka_unit_test(promises_never_look_free),
		cmocka_unit_test(guest_ram_is_charged),
		cmocka_unit_test(copies_of_a_disk_are_charged),
		cmocka_unit_test(nested_tables_are_charged),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
