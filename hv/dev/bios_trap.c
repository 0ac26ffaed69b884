/* SPDX-License-Identifier: MIT */
/* Which vector a real-mode program ran into, in words (bios_trap.h). */
#include "hv/dev/bios_trap.h"

#include "hv/lib/format.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define VECTOR		0xffU
#define AX_SHIFT	16
#define IRQ_VECTORS	8U	/* where a BIOS leaves the first 8259: exceptions 8 to 15 share its vectors */
#define SERVICES	0x10U
#define WHY_MAX		112U

static const char *const exceptions[IRQ_VECTORS] = {
	"divide error", "single step", "NMI", "breakpoint", "overflow", "BOUND range", "invalid instruction",
	"no coprocessor",
};

static const char *const services[] = {
	"video", "equipment", "memory size", "disk", "serial port", "system services", "keyboard", "printer", "ROM BASIC",
	"start the next boot device", "clock",
};

static void describe(char *why, uint8_t vector, uint32_t ax)
{
	if (vector < IRQ_VECTORS)
		format_buf(why, WHY_MAX, "exception %u (%s) in real mode, and no handler", vector,
			   exceptions[index_nospec(vector, IRQ_VECTORS)]);
	else if (vector < SERVICES)
		format_buf(why, WHY_MAX, "exception %u or line %u of the 8259 in real mode, and no handler", vector,
			   vector - IRQ_VECTORS);
	else if (vector - SERVICES < countof(services))
		format_buf(why, WHY_MAX, "called the BIOS: INT 0x%x (%s), AX 0x%04x; there is no BIOS", vector,
			   services[index_nospec(vector - SERVICES, countof(services))], ax);
	else
		format_buf(why, WHY_MAX, "INT 0x%x in real mode, AX 0x%04x, and no handler; there is no BIOS", vector, ax);
}

static void trap_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct bios_trap *dev = opaque;
	char why[WHY_MAX];

	(void)offset;
	(void)size;
	describe(why, (uint8_t)(value & VECTOR), (uint32_t)value >> AX_SHIFT);
	dev->called(dev->ctx, why);
}

static const struct bus_range bios_trap_ranges[] = {
	{ "BIOS trap", BIOS_TRAP_PORT, 4, BUS_SIZE_4, NULL, trap_write, NULL },
};

int bios_trap_map(struct bios_trap *dev, struct bus *pio)
{
	return bus_add_table(pio, bios_trap_ranges, countof(bios_trap_ranges), dev);
}

void bios_trap_init(struct bios_trap *dev, void (*called)(void *, const char *), void *ctx)
{
	*dev = (struct bios_trap){ .called = called, .ctx = ctx };
}
