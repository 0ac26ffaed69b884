/* SPDX-License-Identifier: MIT */
/*
 * hv/page.h over the host's allocator: every page an allocation of its own, so that the address sanitizer
 * sees one byte too many. Needs DIRECT_MAP_BASE 0. page_fake_limit makes it run out on purpose.
 */
#include "page_fake.h"

#include <stdlib.h>
#include <string.h>

#include "hv/lib/util.h"
#include "hv/page.h"

uint64_t page_fake_limit = UINT64_MAX;
uint64_t page_fake_used;
void (*page_fake_look)(void);

static struct { void *page; size_t size; } last[4];	/* taken and not given back, of the last few */
static unsigned next;

void (*page_fake_meanwhile)(void);

static void look(void)
{
	if (page_fake_look)
		page_fake_look();
}

static void *take(size_t align, size_t size)
{
	void (*meanwhile)(void) = page_fake_meanwhile;
	void *page;

	if (meanwhile) {
		page_fake_meanwhile = NULL;
		meanwhile();
	}
	look();
	if (size > page_fake_limit || page_fake_used > page_fake_limit - size)
		return NULL;
	page = aligned_alloc(align, size);
	if (!page)
		return NULL;
	page_fake_used += size;
	look();
	last[next].page = page;
	last[next].size = size;
	next = (next + 1) % countof(last);
	return memset(page, 0, size);
}

static void give(void *page, size_t size)
{
	look();
	if (page)
		page_fake_used -= size;
	look();
	for (unsigned i = 0; i < countof(last); i++)
		if (last[i].page == page)
			last[i].page = NULL;
	free(page);
}

void page_fake_free_all(void)
{
	for (unsigned i = 0; i < countof(last); i++)
		give(last[i].page, last[i].size);
}

uint64_t page_free_large_bytes(void) { return page_fake_limit - page_fake_used; }
void *page_alloc(void) { return take(PAGE_SIZE, PAGE_SIZE); }

void *page_take_contiguous(size_t pages)
{
	void *start = take(PAGE_SIZE, pages * PAGE_SIZE);

	return start ? memset(start, PAGE_FAKE_OLD, pages * PAGE_SIZE) : NULL;
}

void *page_alloc_contiguous(size_t pages) { return take(PAGE_SIZE, pages * PAGE_SIZE); }
void page_free(void *page) { give(page, PAGE_SIZE); }
void page_free_contiguous(void *page, size_t pages) { give(page, pages * PAGE_SIZE); }
hpa_t page_alloc_large(const struct node_wish *wish)
{
	(void)wish;
	return ptr_hpa(take(LARGE_SIZE, LARGE_SIZE));
}

void page_free_large(hpa_t page) { give(hpa_ptr(page), LARGE_SIZE); }
