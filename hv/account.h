/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who may take how much of the host's memory.
 *
 * A VM gets its memory as its guest touches it, so what it will need is promised when it is created: its RAM,
 * private copies of its disks, page tables. The promise is kept back from everybody else until it is used. A
 * VM that was promised nothing (overcommit = yes), or that needs more than it was promised, takes from what
 * nobody has a claim to; when that is used up it has to stop, and no other VM. A VM that ends gives back what
 * it used and keeps the promise until it is known that it does not start again.
 *
 * Only whole 2 MiB pages count as free here, for only they can become guest RAM; and a little is kept for our own
 * structures. Any processor may call.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ACCOUNT_OUR_OWN	(8ULL << 20)	/* never promised */

struct account {
	uint64_t promise, used;		/* bytes; used may exceed the promise */
	void   (*exceeded)(void *ctx);	/* its owner has to stop; may be NULL */
	void    *ctx;
};

uint64_t account_unclaimed(void);	/* bytes that are free and promised to nobody */

/* Promise so much. False, and nothing promised: there is less. */
__attribute__((warn_unused_result)) bool account_open(struct account *account, uint64_t bytes);
void account_close(struct account *account);	/* what was not used is anybody's again; harmless when not open */

/*
 * Before memory is allocated: may the account have it? False: exceeded was called. No account (NULL): always
 * true. When the memory has been allocated, or could not be, account_settle says so; until then it is kept
 * back from all others.
 */
__attribute__((warn_unused_result)) bool account_take(struct account *account, uint64_t bytes);

extern _Atomic uint64_t account_under_way;	/* of all accounts: taken, and not settled yet */

/* Before memory is freed, or others would take what was promised. */
void account_give(struct account *account, uint64_t bytes);

/* In line, for each first touch of guest memory comes here. */
static inline void account_settle(struct account *account, uint64_t bytes, bool is_there)
{
	if (!account)
		return;
	if (!is_there)
		account_give(account, bytes);
	atomic_fetch_sub(&account_under_way, bytes);
}
