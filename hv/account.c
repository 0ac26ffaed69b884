/* SPDX-License-Identifier: MIT */
/* Promised memory (contract in account.h). `claims` is what all accounts together were promised and have not used. */
#include "hv/account.h"

#include <stddef.h>

#include "hv/lib/util.h"
#include "hv/page.h"

static uint64_t claims;

static uint64_t claim_of(const struct account *account)
{
	return account->promise - min_u64(account->promise, account->used);
}

uint64_t account_unclaimed(void)
{
	const uint64_t free = page_free_large_bytes(), kept = claims + ACCOUNT_OUR_OWN;

	return free > kept ? free - kept : 0;
}

bool account_open(struct account *account, uint64_t bytes)
{
	if (bytes > account_unclaimed())
		return false;
	account->promise = bytes;
	claims += claim_of(account);
	return true;
}

void account_close(struct account *account)
{
	claims -= claim_of(account);
	account->promise = account->used = 0;
}

static void set_used(struct account *account, uint64_t used)
{
	claims -= claim_of(account);
	account->used = used;
	claims += claim_of(account);
}

bool account_take(struct account *account, uint64_t bytes)
{
	uint64_t beyond;

	if (!account)
		return true;
	beyond = bytes - min_u64(bytes, claim_of(account));
	if (beyond && beyond > account_unclaimed()) {
		if (account->exceeded)
			account->exceeded(account->ctx);
		return false;
	}
	set_used(account, account->used + bytes);
	return true;
}

void account_give(struct account *account, uint64_t bytes)
{
	if (account)
		set_used(account, account->used - min_u64(account->used, bytes));
}
