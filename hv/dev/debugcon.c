/* SPDX-License-Identifier: MIT */
/* Debug console and exit device (debugcon.h): the shortest device models there are. Read these first. */
#include "hv/dev/debugcon.h"

#include "hv/lib/util.h"

#define CONSOLE_PORT	0xe9U
#define EXIT_PORT	0xf4U

static uint64_t console_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return CONSOLE_PORT;
}

static void console_put(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct debugcon *dev = opaque;
	uint8_t byte = (uint8_t)value;

	(void)offset;
	(void)size;
	/* The port cannot tell the guest to wait: a byte that the back end does not take is lost. */
	if (dev->out.write)
		dev->out.write(dev->out.ctx, &byte, sizeof(byte));
}

static void exit_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct debugcon *dev = opaque;

	(void)offset;
	(void)size;
	if (dev->exit)
		dev->exit(dev->ctx, (uint32_t)value);
}

static const struct bus_range debugcon_ranges[] = {
	{ "debugcon", CONSOLE_PORT, 1, BUS_SIZE_1, console_read, console_put, NULL },
	{ "exit",     EXIT_PORT, 4, BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4, NULL, exit_write, NULL },
};

int debugcon_map(struct debugcon *dev, struct bus *pio)
{
	return bus_add_table(pio, debugcon_ranges, countof(debugcon_ranges), dev);
}

void debugcon_init(struct debugcon *dev, const struct char_back *out, void (*exit)(void *, uint32_t), void *ctx)
{
	*dev = (struct debugcon){ .out = *out, .exit = exit, .ctx = ctx };
}
