/* SPDX-License-Identifier: MIT */
#pragma once
/* The host's memory as hv/page.h hands it out in tests. */
#include <stdint.h>

#define PAGE_FAKE_OLD	0xa5	/* each byte of pages that come without being zeroed */

extern uint64_t page_fake_limit;	/* bytes there are; UINT64_MAX by default */
extern uint64_t page_fake_used;		/* 0 again when everything was freed */
extern void (*page_fake_meanwhile)(void);	/* what another processor does while the next page is taken; once */
void page_fake_free_all(void);		/* what a panic left behind: at most the last few pages that were taken */
extern void (*page_fake_look)(void);	/* called before and behind each take and gift of pages, if there is one */
