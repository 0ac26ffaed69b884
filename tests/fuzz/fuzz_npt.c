/* SPDX-License-Identifier: MIT */
/*
 * Nested tables of several VMs, out of the same memory, each against a list of its pages: the input maps
 * small and large pages with any rights and splits large ones for execution, in the formats of both vendors,
 * with and without the rule that no large page is executable; memory sometimes runs out, and a VM may end
 * while the others go on. After each operation a walk of some address finds what the lists say, in any of the
 * VMs, and at the end all tables come back.
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
#define VMS		3U

extern const struct npt_format vmx_npt_format, svm_npt_format;

struct leaf { uint64_t to; uint8_t rights; bool is_mapped; };

struct model {
	bool        is_large, has_table;	/* one of small pages: no large page replaces it */
	struct leaf large, small[SMALLS];
};
static struct machine { struct npt npt; struct model model[LARGES]; } machines[VMS];

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

static void map_small(struct machine *vm, unsigned n, unsigned page)
{
	const struct leaf leaf = { (uint64_t)take(2) << PAGE_SHIFT, (uint8_t)take_rights(), true };
	struct model *at = &vm->model[n];

	if (npt_map(&vm->npt, gpa(places[n] + page * PAGE_SIZE), hpa(leaf.to), PAGE_SIZE, leaf.rights, false))
		return;
	if (at->is_large)
		for (unsigned i = 0; i < SMALLS; i++) {
			at->small[i] = at->large;
			at->small[i].to += i * PAGE_SIZE;
		}
	at->is_large = false;
	at->has_table = true;
	at->small[page] = leaf;
}

static void map_large(struct machine *vm, unsigned n)
{
	const struct leaf leaf = { (uint64_t)take(2) << LARGE_SHIFT, (uint8_t)take_rights(), true };

	if (npt_map(&vm->npt, gpa(places[n]), hpa(leaf.to), LARGE_SIZE, leaf.rights, false) || vm->model[n].has_table)
		return;
	vm->model[n].is_large = true;
	vm->model[n].large = leaf;
}

static void split(struct machine *vm, unsigned n, unsigned page)
{
	struct model *at = &vm->model[n];
	const struct leaf *leaf = at->is_large ? &at->large : &at->small[page];
	const bool is_needed = vm->npt.small_code && leaf->is_mapped && (leaf->rights & NPT_X);
	const int result = npt_split_code(&vm->npt, gpa(places[n] + page * PAGE_SIZE));

	assert(is_needed ? result : !result);
	if (result <= 0 || !at->is_large)
		return;
	for (unsigned i = 0; i < SMALLS; i++) {
		at->small[i] = at->large;
		at->small[i].to += i * PAGE_SIZE;
	}
	at->is_large = false;
	at->has_table = true;
}

static void check(const struct machine *vm, unsigned n, unsigned page)
{
	const struct npt *npt = &vm->npt;
	const struct model *at = &vm->model[n];
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

static bool start(struct machine *vm, uint32_t choice)
{
	memset(vm->model, 0, sizeof(vm->model));
	if (npt_init(&vm->npt, choice & 1 ? &vmx_npt_format : &svm_npt_format))
		return false;
	vm->npt.small_code = choice & 2;
	return true;
}

/* A page of tables belongs to one VM: what all of them count is what was taken. */
static void check_sum(void)
{
	uint64_t tables = 0;

	for (unsigned i = 0; i < VMS; i++)
		tables += machines[i].npt.tables;
	assert(tables * PAGE_SIZE == page_fake_used);
}

/* The VM that an operation concerns ends, and another takes its place, out of the same pages. */
static void replace(struct machine *vm, uint32_t choice)
{
	npt_destroy(&vm->npt);
	page_fake_limit = UINT64_MAX;
	assert(start(vm, choice));
}

static void operate(uint32_t what)
{
	const uint32_t n = what % LARGES, which = take(2), page = which % SMALLS;
	struct machine *vm = &machines[which / SMALLS % VMS];

	page_fake_limit = what & 0x80 ? page_fake_used + (what & 0x40 ? PAGE_SIZE : 0) : UINT64_MAX;
	if ((what & 0x78) == 0x78)
		replace(vm, take(1));
	else if ((what >> 3) % 4 == 0)
		map_large(vm, n);
	else if ((what >> 3) % 4 == 1)
		split(vm, n, page);
	else
		map_small(vm, n, page);
	check(vm, n, page);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	uint32_t choice;

	data = input;
	size = len;
	page_fake_limit = UINT64_MAX;
	choice = take(1);
	for (unsigned i = 0; i < VMS; i++)
		assert(start(&machines[i], choice >> (2 * i)));
	for (unsigned i = 0; i < OPS_MAX && size; i++) {
		operate(take(1));
		for (unsigned other = 0; other < VMS; other++)
			check(&machines[other], take(1) % LARGES, take(2) % SMALLS);
		check_sum();
	}
	for (unsigned i = 0; i < VMS; i++)
		npt_destroy(&machines[i].npt);
	assert(!page_fake_used);
	return 0;
}
