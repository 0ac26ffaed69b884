/* SPDX-License-Identifier: MIT */
/*
 * Nested tables against a list of pages: the input maps small and large pages with any rights and splits large ones for
 * execution, in the formats of both vendors, with and without the rule that no large page is executable; memory
 * sometimes runs out. After each operation a walk of some address finds what the list says, and at the end all tables come back.
 */
#include <assert.h>
#include <string.h>

#include "hv/account.h"
#include "hv/lib/util.h"
#include "npt_walk.h"
#include "page_fake.h"

#define LARGES		8U			/* large pages that the model knows, at places far apart */
#define SMALLS		(LARGE_SIZE / PAGE_SIZE)
#define OPS_MAX		400U

extern const struct npt_format vmx_npt_format, svm_npt_format;

struct leaf { uint64_t to; uint8_t rights; bool is_mapped; };

static struct model {
	bool        is_large;
	struct leaf large, small[SMALLS];
} model[LARGES];

/* So that several levels of tables are needed: neighbours, other GiB, other 512 GiB, the last page there is. */
static const uint64_t places[LARGES] = {
	0, LARGE_SIZE, 511 * LARGE_SIZE, 1ULL << 30, (1ULL << 39) - LARGE_SIZE, 1ULL << 39, 3ULL << 39,
	(1ULL << 48) - LARGE_SIZE,
};

static const uint8_t *data;
static size_t size;

static uint32_t take(unsigned count)
{
	uint32_t val = 0;

	for (; count && size; count--, size--)
		val = val << 8 | *data++;
	return val;
}

static unsigned take_rights(void)
{
	return NPT_R | (take(1) & (NPT_W | NPT_X));
}

static void map_small(struct npt *npt, unsigned n, unsigned page)
{
	const struct leaf leaf = { (uint64_t)take(2) << PAGE_SHIFT, (uint8_t)take_rights(), true };
	struct model *at = &model[n];

	if (npt_map(npt, gpa(places[n] + page * PAGE_SIZE), hpa(leaf.to), PAGE_SIZE, leaf.rights, false))
		return;
	if (at->is_large)
		for (unsigned i = 0; i < SMALLS; i++) {
			at->small[i] = at->large;
			at->small[i].to += i * PAGE_SIZE;
		}
	at->is_large = false;
	at->small[page] = leaf;
}

static void map_large(struct npt *npt, unsigned n)
{
	const struct leaf leaf = { (uint64_t)take(2) << LARGE_SHIFT, (uint8_t)take_rights(), true };

	if (npt_map(npt, gpa(places[n]), hpa(leaf.to), LARGE_SIZE, leaf.rights, false))
		return;
	memset(model[n].small, 0, sizeof(model[n].small));
	model[n].is_large = true;
	model[n].large = leaf;
}

static void split(struct npt *npt, unsigned n, unsigned page)
{
	struct model *at = &model[n];
	const bool is_needed = at->is_large && npt->small_code && (at->large.rights & NPT_X);
	const int result = npt_split_code(npt, gpa(places[n] + page * PAGE_SIZE));

	assert(is_needed ? result : !result);
	if (result <= 0)
		return;
	for (unsigned i = 0; i < SMALLS; i++) {
		at->small[i] = at->large;
		at->small[i].to += i * PAGE_SIZE;
	}
	at->is_large = false;
}

static void check(const struct npt *npt, unsigned n, unsigned page)
{
	const struct model *at = &model[n];
	struct leaf want = at->is_large ? at->large : at->small[page];
	uint64_t to, got_size;
	unsigned rights;

	if (at->is_large && npt->small_code)
		want.rights &= (uint8_t)~NPT_X;
	assert(npt_walk(npt, places[n] + page * PAGE_SIZE + 5, &to, &rights, &got_size) == want.is_mapped);
	if (!want.is_mapped)
		return;
	assert(rights == want.rights && got_size == (at->is_large ? LARGE_SIZE : PAGE_SIZE));
	assert(to == want.to + (at->is_large ? page * PAGE_SIZE : 0) + 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct npt npt;
	uint32_t choice;

	data = input;
	size = len;
	memset(model, 0, sizeof(model));
	page_fake_limit = UINT64_MAX;
	choice = take(1);
	if (npt_init(&npt, choice & 1 ? &vmx_npt_format : &svm_npt_format))
		return 0;
	npt.small_code = choice & 2;
	for (unsigned i = 0; i < OPS_MAX && size; i++) {
		const uint32_t what = take(1), n = what % LARGES, page = take(2) % SMALLS;

		page_fake_limit = what & 0x80 ? page_fake_used + (what & 0x40 ? PAGE_SIZE : 0) : UINT64_MAX;
		if ((what >> 3) % 4 == 0)
			map_large(&npt, n);
		else if ((what >> 3) % 4 == 1)
			split(&npt, n, page);
		else
			map_small(&npt, n, page);
		check(&npt, n, page);
		check(&npt, take(1) % LARGES, take(2) % SMALLS);
		assert(npt.tables * PAGE_SIZE == page_fake_used);
	}
	npt_destroy(&npt);
	assert(!page_fake_used);
	return 0;
}
