/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A field that one processor writes and others read: one aligned access each, so that a reader sees the old
 * value or the new one and never a mixture. Nothing is promised about the order of two fields. Both sides
 * compile to a plain MOV.
 */
#include <stdint.h>

static inline uint32_t shared_read32(const uint32_t *field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }
static inline uint64_t shared_read64(const uint64_t *field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }
static inline void shared_write32(uint32_t *field, uint32_t val) { __atomic_store_n(field, val, __ATOMIC_RELAXED); }
static inline void shared_write64(uint64_t *field, uint64_t val) { __atomic_store_n(field, val, __ATOMIC_RELAXED); }
