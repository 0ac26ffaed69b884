/* SPDX-License-Identifier: MIT */
/*
 * Promised memory (contract in account.h). `claims` is what all accounts together were promised and have not used. The
 * lock is held from the look at what is left until it is taken, or two processors could both take the last of it.
 */
#include "hv/account.h"

#include <stddef.h>

#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/page.h"

static struct lock lock = { .rank = LOCK_ACCOUNTS };
static uint64_t claims;

static uint64_t claim_of(const struct account *account)
{
	return account->promise - min_u64(account->promise, account->used);
}

static uint64_t unclaimed(void)
{
	const uint64_t free = page_free_large_bytes(), kept = claims + ACCOUNT_OUR_OWN;

	return free > kept ? free - kept : 0;
}

uint64_t account_unclaimed(void)
{
	uint64_t bytes;

	lock_take(&lock);
	bytes = unclaimed();
	lock_drop(&lock);
	return bytes;
}

bool account_open(struct account *account, uint64_t bytes)
{
	bool is_there;

	lock_take(&lock);
	is_there = bytes <= unclaimed();
	if (is_there) {
		account->promise = bytes;
		claims += claim_of(account);
	}
	lock_drop(&lock);
	return is_there;
}

void account_close(struct account *account)
{
	lock_take(&lock);
	claims -= claim_of(account);
	account->promise = account->used = 0;
	lock_drop(&lock);
}

static void set_used(struct account *account, uint64_t used)
{
	claims -= claim_of(account);
	account->used = used;
	claims += claim_of(account);
}

/* More than was promised. Called with the lock, which it drops. */
__attribute__((noinline)) static bool take_beyond(struct account *account, uint64_t bytes)
{
	bool is_there = bytes - claim_of(account) <= unclaimed();

	if (is_there)
		set_used(account, account->used + bytes);
	lock_drop(&lock);
	if (!is_there && account->exceeded)
		account->exceeded(account->ctx);
	return is_there;
}

/* What was promised is there. Each first touch of guest memory comes here, so this path calls nothing. */
bool account_take(struct account *account, uint64_t bytes)
{
	if (!account)
		return true;
	lock_take(&lock);
	if (bytes > claim_of(account))
		return take_beyond(account, bytes);
	set_used(account, account->used + bytes);
	lock_drop(&lock);
	return true;
}

void account_give(struct account *account, uint64_t bytes)
{
	if (!account)
		return;
	lock_take(&lock);
	set_used(account, account->used - min_u64(account->used, bytes));
	lock_drop(&lock);
}
