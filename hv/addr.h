/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Addresses as types: a guest-physical, host-physical and guest-linear address cannot be mixed up,
 * because each is a struct of its own. The arithmetic that makes sense on them is here, and only here.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/page_size.h"

#define LARGE_SIZE	(2ULL << 20)	/* a 2 MiB page */
#define LARGE_SHIFT	21

typedef struct { uint64_t raw; } gpa_t;	/* guest-physical: what the guest's page tables produce */
typedef struct { uint64_t raw; } hpa_t;	/* host-physical: what goes on the memory bus */
typedef struct { uint64_t raw; } gva_t;	/* guest-linear: segment base already added */

static inline gpa_t gpa(uint64_t raw) { return (gpa_t){ raw }; }
static inline hpa_t hpa(uint64_t raw) { return (hpa_t){ raw }; }
static inline gva_t gva(uint64_t raw) { return (gva_t){ raw }; }
static inline gpa_t gpa_add(gpa_t a, uint64_t n) { return (gpa_t){ a.raw + n }; }
static inline hpa_t hpa_add(hpa_t a, uint64_t n) { return (hpa_t){ a.raw + n }; }
static inline gva_t gva_add(gva_t a, uint64_t n) { return (gva_t){ a.raw + n }; }

static inline uint64_t align_down(uint64_t val, uint64_t size) { return val & ~(size - 1); }
static inline uint64_t align_up(uint64_t val, uint64_t size) { return (val + size - 1) & ~(size - 1); }

/* Does [start, start+len) lie inside [0, limit) without wrapping? */
static inline bool range_fits(uint64_t start, uint64_t len, uint64_t limit)
{
	return len <= limit && start <= limit - len;
}

/*
 * All of physical memory is mapped here, readable and writable, never executable (arch/x86/host/paging.c).
 * Host tests define their own base so that a fake machine's memory can stand in for it.
 */
#ifndef DIRECT_MAP_BASE
#define DIRECT_MAP_BASE	0xffff800000000000ULL
#endif
static inline void *hpa_ptr(hpa_t a) { return (void *)(uintptr_t)(DIRECT_MAP_BASE + a.raw); }
static inline hpa_t ptr_hpa(const void *ptr) { return hpa((uint64_t)(uintptr_t)ptr - DIRECT_MAP_BASE); }
