/* SPDX-License-Identifier: MIT */
/*
 * Which device answers an address: a sorted array; what the caller hit last is tried first, else a binary search.
 *
 * An access belongs to the range that holds its first byte, as a chip decodes the address lines. Bytes
 * beyond the end of that range are offered to the neighbours. An access that begins where no range is has
 * no device as a whole: a dword for PCI's port 0xcf8 must not reset the machine through 0xcf9. It is
 * counted, and nothing else happens.
 */
#include "hv/bus.h"

#include "hv/lib/bits.h"
#include "hv/lib/string.h"
#include "hv/lock.h"
#include "hv/log.h"

void bus_init(struct bus *bus, const char *name)
{
	memset(bus, 0, sizeof(*bus));
	bus->name = name;
	bus->unclaimed_last = UINT64_MAX;
}

static bool ranges_overlap(const struct bus_range *a, const struct bus_range *b)
{
	return a->start - b->start < b->length || b->start - a->start < a->length;
}

int bus_add(struct bus *bus, const struct bus_range *range)
{
	size_t at = bus->count;

	if (bus->count == BUS_RANGES_MAX || !range->length || !range->sizes)
		return -1;
	if (range->start > UINT64_MAX - (range->length - 1))
		return -1;
	for (size_t i = 0; i < bus->count; i++)
		if (ranges_overlap(&bus->ranges[i], range))
			return -1;

	while (at > 0 && bus->ranges[at - 1].start > range->start)
		at--;
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at) * sizeof(bus->ranges[0]));
	bus->ranges[at] = *range;
	bus->count++;
	return 0;
}

int bus_add_table(struct bus *bus, const struct bus_range *table, size_t count, void *dev)
{
	for (size_t i = 0; i < count; i++) {
		struct bus_range range = table[i];

		range.dev = dev;
		if (bus_add(bus, &range)) {
			log_error("%s bus: no room for %s at %#llx", bus->name, range.name,
				  (unsigned long long)range.start);
			return -1;
		}
	}
	return 0;
}

const struct bus_range *bus_find(const struct bus *bus, uint64_t addr)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct bus_range *range = &bus->ranges[middle];

		if (addr - range->start < range->length)
			return range;
		if (addr < range->start)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool bus_unclaimed(struct bus *bus, uint64_t addr, unsigned size, bool is_write, uint64_t *value)
{
	bus->unclaimed++;
	if (bus->unclaimed_last != addr) {
		bus->unclaimed_last = addr;
		log_trace("%s bus: nobody answers a %s of %u at %#llx", bus->name,
			  is_write ? "write" : "read", size, (unsigned long long)addr);
	}
	if (!is_write)
		*value = access_mask(size);
	return false;
}

/* The access goes to the device of the range, which takes accesses of this size. */
static inline bool serve(const struct bus_range *range, uint64_t addr, unsigned size, bool is_write, uint64_t *value)
{
	uint64_t offset = addr - range->start;

	if (!is_write)
		*value = range->read ? range->read(range->dev, offset, size) & access_mask(size) : access_mask(size);
	else if (range->write)
		range->write(range->dev, offset, size, *value & access_mask(size));
	return true;
}

/* size / unit accesses in rising order; claimed when any of them was. A unit is smaller than the size, so this ends. */
static bool bus_split(struct bus_view *view, uint64_t addr, unsigned size, unsigned unit, bool is_write,
		      uint64_t *value)
{
	uint64_t whole = 0;
	bool is_claimed = false;

	for (unsigned done = 0; done < size; done += unit) {
		uint64_t part = *value >> (8 * done);

		is_claimed |= bus_access(view, addr + done, unit, is_write, &part);
		whole |= part << (8 * done);
	}
	if (!is_write)
		*value = whole;
	return is_claimed;
}

/* Where others use the bus as well: through a view of this vCPU's that only the holder of the lock has. */
static bool access_locked(struct bus_view *view, uint64_t addr, unsigned size, bool is_write, uint64_t *value)
{
	struct bus_view alone = { .bus = view->bus, .last = view->last_locked };
	bool is_claimed;

	lock_take_with_clock(view->lock);
	is_claimed = bus_access(&alone, addr, size, is_write, value);
	lock_drop(view->lock);
	view->last_locked = alone.last;
	return is_claimed;
}

/* The slow way: another range than last time, a size that the range's device does not take, or a lock to be taken. */
__attribute__((noinline))
static bool bus_access_slow(struct bus_view *view, uint64_t addr, unsigned size, bool is_write, uint64_t *value)
{
	const struct bus_range *range;

	if (view->lock)
		return access_locked(view, addr, size, is_write, value);
	range = bus_find(view->bus, addr);
	if (!range)
		return bus_unclaimed(view->bus, addr, size, is_write, value);
	view->last = range;
	if (size > range->length - (addr - range->start))
		return bus_split(view, addr, size, size / 2, is_write, value);
	if (range->sizes & size)
		return serve(range, addr, size, is_write, value);
	for (unsigned unit = size / 2; unit; unit /= 2)
		if (range->sizes & unit)
			return bus_split(view, addr, size, unit, is_write, value);
	return bus_unclaimed(view->bus, addr, size, is_write, value);
}

void bus_share(struct bus_view *view, struct lock *lock)
{
	static const struct bus_range nowhere;		/* it holds no address: each access takes the slow way */

	view->lock = lock;
	view->last_locked = view->bus->ranges;
	view->last = lock ? &nowhere : view->bus->ranges;
}

/* The quick path is one range deep: guests poll and print in runs. */
bool bus_access(struct bus_view *view, uint64_t addr, unsigned size, bool is_write, uint64_t *value)
{
	const struct bus_range *range = view->last;
	uint64_t offset = addr - range->start;

	/*
	 * BUS_SIZE_n has the value n, so the size of the access is its bit in `sizes`. The first range of an
	 * empty bus has length 0 and matches nothing.
	 */
	if (offset >= range->length || size > range->length - offset || !(range->sizes & size))
		return bus_access_slow(view, addr, size, is_write, value);
	return serve(range, addr, size, is_write, value);
}
