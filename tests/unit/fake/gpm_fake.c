/* SPDX-License-Identifier: MIT */
/* Guest memory over malloc; contract in gpm_fake.h. */
#include "gpm_fake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct gpm_fake *fake_of(const struct gpm *gpm)
{
	return (struct gpm_fake *)(uintptr_t)gpm;
}

void gpm_fake_add(struct gpm_fake *fake, uint64_t start, uint64_t length)
{
	assert(fake->range_count < GPM_FAKE_RANGES);
	assert(range_fits(start, length, GPM_FAKE_CHUNKS * LARGE_SIZE));
	fake->ranges[fake->range_count].start = start;
	fake->ranges[fake->range_count++].length = length;
}

void gpm_fake_free(struct gpm_fake *fake)
{
	for (size_t i = 0; i < GPM_FAKE_CHUNKS; i++)
		free(fake->chunks[i]);
	memset(fake, 0, sizeof(*fake));
}

/* How much of the range that holds addr is left from there on; 0: not RAM. */
static uint64_t ram_left(const struct gpm *gpm, uint64_t addr)
{
	const struct gpm_fake *fake = fake_of(gpm);

	for (size_t i = 0; i < fake->range_count; i++) {
		const uint64_t start = fake->ranges[i].start, length = fake->ranges[i].length;

		if (addr >= start && addr - start < length)
			return length - (addr - start);
	}
	return 0;
}

bool gpm_is_ram(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	return len <= ram_left(gpm, addr.raw);
}

void *gpm_map(struct gpm *gpm, gpa_t addr, size_t *len)
{
	struct gpm_fake *fake = fake_of(gpm);
	const uint64_t left = ram_left(gpm, addr.raw), offset = addr.raw % LARGE_SIZE;
	uint8_t **chunk;

	if (!left || !*len)
		return NULL;
	chunk = &fake->chunks[addr.raw / LARGE_SIZE];
	if (!*chunk && fake->is_exhausted)
		return NULL;
	if (!*chunk)
		*chunk = aligned_alloc(PAGE_SIZE, LARGE_SIZE), memset(*chunk, 0, LARGE_SIZE), gpm->populated += LARGE_SIZE;
	if (*len > left)
		*len = left;
	if (*len > LARGE_SIZE - offset)
		*len = LARGE_SIZE - offset;
	return *chunk + offset;
}

bool gpm_is_near(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	return gpm_is_ram(gpm, addr, len) && addr.raw % LARGE_SIZE + len <= LARGE_SIZE &&
	       fake_of(gpm)->chunks[addr.raw / LARGE_SIZE];
}

bool gpm_is_populated(const struct gpm *gpm, gpa_t addr, uint64_t len)
{
	for (uint64_t pos = addr.raw; pos < addr.raw + len; pos = align_down(pos, LARGE_SIZE) + LARGE_SIZE)
		if (!fake_of(gpm)->chunks[pos / LARGE_SIZE])
			return false;
	return true;
}

bool gpm_touch(struct gpm *gpm, gpa_t addr, uint64_t len)
{
	for (uint64_t pos = addr.raw; pos < addr.raw + len; pos = align_down(pos, LARGE_SIZE) + LARGE_SIZE) {
		size_t part = 1;

		if (!fake_of(gpm)->chunks[pos / LARGE_SIZE] && gpm_map(gpm, gpa(pos), &part))
			return false;
	}
	return true;
}

static bool copy(struct gpm *gpm, gpa_t addr, void *to, const void *from, size_t len)
{
	if (!gpm_is_ram(gpm, addr, len))
		return false;
	for (size_t done = 0, part; done < len; done += part) {
		uint8_t *map;

		part = len - done;
		map = gpm_map(gpm, gpa_add(addr, done), &part);
		if (!map)
			return false;
		if (to)
			memcpy((uint8_t *)to + done, map, part);
		else
			memcpy(map, (const uint8_t *)from + done, part);
	}
	return true;
}

bool gpm_read(struct gpm *gpm, gpa_t addr, void *to, size_t len)
{
	return copy(gpm, addr, to, NULL, len);
}

bool gpm_write(struct gpm *gpm, gpa_t addr, const void *from, size_t len)
{
	return copy(gpm, addr, NULL, from, len);
}

bool gpm_read16(struct gpm *gpm, gpa_t addr, uint16_t *to)
{
	assert(addr.raw % sizeof(*to) == 0);
	return gpm_read(gpm, addr, to, sizeof(*to));
}

bool gpm_write16(struct gpm *gpm, gpa_t addr, uint16_t val)
{
	assert(addr.raw % sizeof(val) == 0);
	return gpm_write(gpm, addr, &val, sizeof(val));
}
