/* SPDX-License-Identifier: MIT */
#pragma once
/* IN and OUT of one byte, word or doubleword on a bus, as short as a driver's. */
#include <stdint.h>

#include "hv/bus.h"

static inline uint64_t in(struct bus *bus, uint64_t port, unsigned size)
{
	struct bus_view view = bus_view(bus);
	uint64_t value = 0;

	bus_access(&view, port, size, false, &value);
	return value;
}

static inline uint8_t inb(struct bus *bus, uint64_t port)
{
	return (uint8_t)in(bus, port, 1);
}

static inline void out(struct bus *bus, uint64_t port, unsigned size, uint64_t value)
{
	struct bus_view view = bus_view(bus);

	bus_access(&view, port, size, true, &value);
}

static inline void outb(struct bus *bus, uint64_t port, uint8_t value)
{
	out(bus, port, 1, value);
}
