/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A bus: address ranges and the devices behind them. Each VM has two, ports and memory, same code.
 *
 * Ranges are added while the VM is built and never after it starts, so look-ups take no lock. The bus does not remember
 * which range was hit last: each vCPU does, for itself.
 * An access that no range claims reads all ones and loses its write (PC convention); it is counted,
 * and traced unless the one before it had the same address. An access of a size that a device does not list is split
 * into the largest listed size that divides it, or, when there is none, treated as unclaimed: a device sees only sizes
 * that it lists.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUS_RANGES_MAX	48
#define BUS_SIZE_1	1U
#define BUS_SIZE_2	2U
#define BUS_SIZE_4	4U
#define BUS_SIZE_8	8U

/* offset is relative to the start of the range; size is 1, 2, 4 or 8 and allowed by the range. */
typedef uint64_t bus_read_fn(void *dev, uint64_t offset, unsigned size);
typedef void bus_write_fn(void *dev, uint64_t offset, unsigned size, uint64_t value);

struct bus_range {
	const char   *name;	/* shown in log lines */
	uint64_t      start, length;
	unsigned      sizes;	/* OR of BUS_SIZE_*: what the device accepts */
	bus_read_fn  *read;	/* NULL: reads all ones */
	bus_write_fn *write;	/* NULL: writes vanish */
	void         *dev;
};

struct bus {
	const char       *name;
	struct bus_range  ranges[BUS_RANGES_MAX];	/* sorted by start */
	size_t            count;
	uint64_t          unclaimed;	/* accesses nobody answered */
	uint64_t          unclaimed_last; /* last such address, to log a run of them once */
};

struct lock;

/*
 * A bus as one vCPU uses it. Its lock is the machine's while vCPUs of the VM run on several processors, and is held
 * while a device answers; NULL: nobody else is there. The range that it hit last is tried first, for guests poll and print in runs;
 * whatever that is, the right device answers.
 */
struct bus_view {
	struct bus             *bus;
	const struct bus_range *last;
	const struct bus_range *last_locked;	/* the same while there is a lock: `last` holds no address then */
	struct lock            *lock;
};

void bus_init(struct bus *bus, const char *name);
static inline struct bus_view bus_view(struct bus *bus) { return (struct bus_view){ .bus = bus, .last = bus->ranges }; }

void bus_share(struct bus_view *view, struct lock *lock);	/* from now on, until it is called with NULL */

/* 0, or -1 when the range is empty, wraps, overlaps another, or the table is full. */
__attribute__((warn_unused_result)) int bus_add(struct bus *bus, const struct bus_range *range);

/* Several ranges of one device; their dev fields are replaced by dev. 0, or -1 (logged). */
__attribute__((warn_unused_result))
int bus_add_table(struct bus *bus, const struct bus_range *table, size_t count, void *dev);

/* The range that holds addr, or NULL. */
const struct bus_range *bus_find(const struct bus *bus, uint64_t addr);

/*
 * One access of 1, 2, 4 or 8 bytes. Reads store into *value (zero-extended; all ones of that size when
 * unclaimed), writes take it from there. True when a device claimed it.
 */
bool bus_access(struct bus_view *view, uint64_t addr, unsigned size, bool is_write, uint64_t *value);
