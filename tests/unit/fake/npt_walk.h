/* SPDX-License-Identifier: MIT */
#pragma once
/* Nested tables as a processor walks them, for tests: written from the manuals' figures, not from npt.c. */
#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/virt/npt.h"

static inline unsigned npt_walk_rights(const struct npt_format *format, uint64_t entry)
{
	const bool is_executable = format->no_exec ? !(entry & format->no_exec) : (entry & format->exec) != 0;

	return (entry & format->read ? NPT_R : 0U) | (entry & format->write ? NPT_W : 0U) | (is_executable ? NPT_X : 0U);
}

/* The leaf for an address: where it leads, its rights and the size of its page. False: not mapped. */
static inline bool npt_walk(const struct npt *npt, uint64_t addr, uint64_t *to, unsigned *rights, uint64_t *size)
{
	const struct npt_format *format = npt->format;
	const uint64_t *table = hpa_ptr(npt->root);

	for (*size = 1ULL << 39;; *size >>= 9) {
		const uint64_t entry = table[addr / *size % 512];

		if (!(entry & (format->read | format->write | format->exec)))
			return false;
		if (*size == PAGE_SIZE || (entry & format->large)) {
			*to = (entry & format->addr_mask & ~(*size - 1)) + addr % *size;
			*rights = npt_walk_rights(format, entry);
			return true;
		}
		table = hpa_ptr(hpa(entry & format->addr_mask));
	}
}
