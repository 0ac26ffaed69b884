/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Host-physical memory: pages of 4 KiB for tables and structs, of 2 MiB for guests.
 *
 * Each node of the machine (node.h) has pages of 2 MiB of its own; those of 4 KiB come from any node.
 *
 * Everything handed out is zero, but for page_take_contiguous. 2 MiB pages come from a pool that page_prepare() zeroes
 * ahead, so that while it lasts a guest's first touch costs a list operation and not 262,144 stores; freed ones are
 * zeroed again when the processor is idle (page_idle_work). Any processor may call; it waits for another's zeroing only
 * when all pages that are left are being zeroed, for they are free, and then for a piece of 16 KiB as a rule and for a
 * page at most.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/addr.h"
#include "hv/node.h"

void page_init(const struct handoff *handoff);	/* after nodes_init; takes REGION_FREE; REGION_LOADER by page_give after copying */
void page_give(hpa_t start, uint64_t length);	/* add memory later; outer partial pages are dropped */

void *page_alloc(void);				/* one zeroed 4 KiB page, NULL when out */
void *page_alloc_contiguous(size_t pages);	/* zeroed, physically contiguous, page-aligned, at most 512 pages */
void *page_take_contiguous(size_t pages);	/* as many with anything in them: the caller zeroes them, in pieces */
void  page_free(void *page);			/* NULL is fine */
void  page_free_contiguous(void *page, size_t pages);

hpa_t page_alloc_large(const struct node_wish *wish);	/* 2 MiB aligned, zeroed; raw 0 when no node has one */
void  page_free_large(hpa_t page);

/* Zeroing ahead of need, 16 KiB a call. False when there is nothing to do. */
bool  page_prepare(const struct node_wish *wish, uint64_t bytes);	/* until so much is, of what the wish gets first, or all there is */
bool  page_idle_work(void);			/* pages that were freed, or begun */

uint64_t page_free_bytes(void);
uint64_t page_free_large_bytes(void);	/* of the free bytes, those in whole 2 MiB pages */
