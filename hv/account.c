/* SPDX-License-Identifier: MIT */
/*
 * Promised memory (contract in account.h). `claims` is what all accounts together were promised and have not used. The
 * lock is dropped before memory that was taken leaves the free pages: until then it is under way, and kept back as
 * a claim is, or two processors could both take the last of it.
 */
#include "hv/account.h"

#include <stddef.h>

#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/page.h"

static struct lock lock = { .rank = LOCK_ACCOUNTS };
static uint64_t claims;
_Atomic uint64_t account_under_way;

static uint64_t claim_of(const struct account *account)
{
	return account->promise - min_u64(account->promise, account->used);
}

static uint64_t unclaimed(void)
{
	/* What is under way comes first: what is settled meanwhile has left the free pages. */
	const uint64_t kept = claims + account_under_way + ACCOUNT_OUR_OWN, free = page_free_large_bytes();

	return free - min_u64(free, kept);
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

static void take(struct account *account, uint64_t bytes)
{
	atomic_fetch_add(&account_under_way, bytes);
	set_used(account, account->used + bytes);
}

/* More than was promised. Called with the lock, which it drops. */
__attribute__((noinline)) static bool take_beyond(struct account *account, uint64_t bytes)
{
	bool is_there = bytes - claim_of(account) <= unclaimed();

	if (is_there)
		take(account, bytes);
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
	take(account, bytes);
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
