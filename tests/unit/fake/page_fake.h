/* SPDX-License-Identifier: MIT */
#pragma once
/* The host's memory as hv/page.h hands it out in tests. */
#include <stdint.h>

extern uint64_t page_fake_limit;	/* bytes there are; UINT64_MAX by default */
extern uint64_t page_fake_used;		/* 0 again when everything was freed */
void page_fake_free_all(void);		/* what a panic left behind: at most the last few pages that were taken */
