/* SPDX-License-Identifier: MIT */
/*
 * The nested-table walker (contract in npt.h): SDM vol. 3, 29.3.2 "EPT Translation Mechanism"; APM vol. 2,
 * 15.25 "Nested Paging". Both vendors use four levels of 512 entries; what differs is which bit means what.
 */
#include "arch/x86/virt/npt.h"

#include "arch/x86/hw/pte.h"
#include "hv/account.h"
#include "hv/lib/bits.h"
#include "hv/page.h"

#define RELEASE_LEVEL	2U	/* npt_release frees one table of this level and what is below it: 1 GiB of the guest */
#define LATER_EXEC	BIT(52)	/* ignored by processors, used by us: executable once split (npt.small_code) */

static bool is_present(const struct npt_format *format, uint64_t entry)
{
	return entry & (format->read | format->write | format->exec);
}

static bool is_leaf(const struct npt_format *format, uint64_t entry, unsigned level)
{
	return level == 1 || (entry & format->large);
}

static uint64_t *table_of(const struct npt *npt, uint64_t entry)
{
	return hpa_ptr(hpa(entry & npt->format->addr_mask));
}

static uint64_t leaf_entry(const struct npt *npt, hpa_t addr, unsigned level, unsigned rights, bool is_uncached)
{
	const struct npt_format *format = npt->format;
	uint64_t entry = addr.raw | (is_uncached ? format->memtype_uc : format->memtype_wb);

	if (level > 1 && npt->small_code && (rights & NPT_X)) {
		rights &= ~(unsigned)NPT_X;
		entry |= LATER_EXEC;
	}
	entry |= rights & NPT_R ? format->read : 0;
	entry |= rights & NPT_W ? format->write : 0;
	entry |= rights & NPT_X ? format->exec : format->no_exec;
	return entry | (level > 1 ? format->large : 0);
}

static unsigned leaf_rights(const struct npt_format *format, uint64_t entry)
{
	unsigned rights = 0;

	rights |= entry & format->read ? NPT_R : 0;
	rights |= entry & format->write ? NPT_W : 0;
	if (format->no_exec ? !(entry & format->no_exec) : (entry & format->exec) != 0)
		rights |= NPT_X;
	return rights;
}

static uint64_t *new_table(struct npt *npt)
{
	uint64_t *table;

	if (!account_take(npt->account, PAGE_SIZE))
		return NULL;
	table = page_alloc();
	account_settle(npt->account, PAGE_SIZE, table);
	if (table)
		npt->tables++;
	return table;
}

int npt_init(struct npt *npt, const struct npt_format *format)
{
	uint64_t *root;

	*npt = (struct npt){ .format = format };
	root = new_table(npt);
	if (!root)
		return -1;
	npt->root = ptr_hpa(root);
	return 0;
}

static void destroy_table(struct npt *npt, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 1 && i < PT_ENTRIES; i++)
		if (is_present(npt->format, table[i]) && !is_leaf(npt->format, table[i], level))
			destroy_table(npt, table_of(npt, table[i]), level - 1);
	account_give(npt->account, PAGE_SIZE);
	page_free(table);
}

/* Free the tables below the first entry that has some. False: no entry of this table has one (any more). */
static bool release_some(struct npt *npt, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (!is_present(npt->format, table[i]) || is_leaf(npt->format, table[i], level))
			continue;
		if (level == RELEASE_LEVEL + 1 || !release_some(npt, table_of(npt, table[i]), level - 1)) {
			destroy_table(npt, table_of(npt, table[i]), level - 1);
			table[i] = 0;
		}
		return true;
	}
	return false;
}

bool npt_release(struct npt *npt)
{
	if (npt->root.raw && release_some(npt, hpa_ptr(npt->root), NPT_LEVELS))
		return false;
	if (npt->root.raw)
		destroy_table(npt, hpa_ptr(npt->root), 1);	/* it is empty now, but for leaves */
	*npt = (struct npt){ 0 };
	return true;
}

/* Behind what is in it: processors may walk it at once. */
static void link_table(const struct npt *npt, uint64_t *entry, uint64_t *table)
{
	__atomic_store_n(entry, ptr_hpa(table).raw | npt->format->table, __ATOMIC_RELEASE);
}

/* Replace a large leaf by a table of smaller leaves with the same translation and rights. */
static uint64_t *split(struct npt *npt, uint64_t *entry, unsigned level)
{
	uint64_t *table = new_table(npt);
	uint64_t  small = level - 1 == 1 ? *entry & ~npt->format->large : *entry;

	if (!table)
		return NULL;
	if (small & LATER_EXEC)
		small = (small & ~(LATER_EXEC | npt->format->no_exec)) | npt->format->exec;
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		table[i] = small + i * pt_span(level - 1);
	link_table(npt, entry, table);
	return table;
}

/* Where there is no table below *entry yet: make one, or split the large leaf that stands there. */
__attribute__((noinline)) static uint64_t *make_table(struct npt *npt, uint64_t *entry, unsigned level)
{
	uint64_t *table;

	if (is_present(npt->format, *entry))
		return split(npt, entry, level);
	table = new_table(npt);
	if (table)
		link_table(npt, entry, table);
	return table;
}

/* The table below *entry: on the path of every first touch, so the usual case is one test. */
static inline uint64_t *descend(struct npt *npt, uint64_t *entry, unsigned level)
{
	if (is_present(npt->format, *entry) && !(*entry & npt->format->large))
		return table_of(npt, *entry);
	return make_table(npt, entry, level);
}

int npt_map(struct npt *npt, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned rights, bool is_uncached)
{
	unsigned  leaf = size == LARGE_SIZE ? 2 : 1;
	uint64_t *table = hpa_ptr(npt->root);
	uint64_t *entry;

	for (unsigned level = NPT_LEVELS; level > leaf; level--) {
		table = descend(npt, &table[pt_index(gpa.raw, level)], level);
		if (!table)
			return -1;
	}
	entry = &table[pt_index(gpa.raw, leaf)];
	if (leaf == 1 || !is_present(npt->format, *entry) || is_leaf(npt->format, *entry, leaf))
		*entry = leaf_entry(npt, hpa, leaf, rights, is_uncached);
	return 0;
}

/* Is the page of this entry one that had to be small to be executed, and is? */
static bool is_split_code(const struct npt *npt, uint64_t entry, unsigned level)
{
	return npt->small_code && level == 1 && is_present(npt->format, entry) && (leaf_rights(npt->format, entry) & NPT_X);
}

int npt_split_code(struct npt *npt, gpa_t gpa)
{
	uint64_t *table = hpa_ptr(npt->root);

	for (unsigned level = NPT_LEVELS; level; level--) {
		uint64_t *entry = &table[pt_index(gpa.raw, level)];

		if (*entry & LATER_EXEC)
			return split(npt, entry, level) ? 1 : -1;
		if (!is_present(npt->format, *entry) || is_leaf(npt->format, *entry, level))
			return is_split_code(npt, *entry, level);
		table = table_of(npt, *entry);
	}
	return 0;
}

bool npt_unmap(struct npt *npt, gpa_t gpa, uint64_t size)
{
	unsigned  leaf = size == LARGE_SIZE ? 2 : 1;
	uint64_t *table = hpa_ptr(npt->root);

	for (unsigned level = NPT_LEVELS; level > leaf; level--) {
		uint64_t *entry = &table[pt_index(gpa.raw, level)];

		if (!is_present(npt->format, *entry))
			return false;
		table = descend(npt, entry, level);
		if (!table)
			return false;
	}
	if (!is_present(npt->format, table[pt_index(gpa.raw, leaf)]))
		return false;
	table[pt_index(gpa.raw, leaf)] = 0;
	return true;
}

bool npt_lookup(const struct npt *npt, gpa_t gpa, hpa_t *hpa_out, unsigned *rights, uint64_t *size)
{
	const uint64_t *table = hpa_ptr(npt->root);

	for (unsigned level = NPT_LEVELS; level; level--) {
		uint64_t entry = table[pt_index(gpa.raw, level)];

		if (!is_present(npt->format, entry))
			return false;
		if (is_leaf(npt->format, entry, level)) {
			*size = pt_span(level);
			*hpa_out = hpa((entry & npt->format->addr_mask & ~(*size - 1)) + (gpa.raw & (*size - 1)));
			*rights = leaf_rights(npt->format, entry);
			return true;
		}
		table = table_of(npt, entry);
	}
	return false;
}
