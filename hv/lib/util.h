/* SPDX-License-Identifier: MIT */
#pragma once
/* Small helpers with no home of their own. */
#include <stddef.h>
#include <stdint.h>

#define countof(array)	(sizeof(array) / sizeof((array)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* How much more a is than b; 0 when it is less: two processors may see moments and sums in another order. */
static inline uint64_t excess_u64(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

/* The compiler may neither move accesses across nor read a copied value from its source again. */
static inline void compiler_barrier(void) { __asm__ volatile("" : : : "memory"); }
