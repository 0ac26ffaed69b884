/* SPDX-License-Identifier: MIT */
/* An index, a data port and bytes that stay (crtc.h). */
#include "hv/dev/crtc.h"

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define INDEX_PORT	0x3d4U
#define DATA_PORT	0x3d5U
#define NO_REGISTER	0xffU

static uint64_t index_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct crtc *crtc = opaque;

	(void)offset;
	(void)size;
	return crtc->s.index;
}

static void index_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct crtc *crtc = opaque;

	(void)offset;
	(void)size;
	crtc->s.index = (uint8_t)value;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct crtc *crtc = opaque;

	(void)offset;
	(void)size;
	return crtc->s.index < CRTC_REGISTERS ? crtc->s.regs[index_nospec(crtc->s.index, CRTC_REGISTERS)] : NO_REGISTER;
}

static void data_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct crtc *crtc = opaque;

	(void)offset;
	(void)size;
	if (crtc->s.index < CRTC_REGISTERS)
		crtc->s.regs[index_nospec(crtc->s.index, CRTC_REGISTERS)] = (uint8_t)value;
}

static const struct bus_range crtc_ranges[] = {
	{ "crtc index", INDEX_PORT, 1, BUS_SIZE_1, index_read, index_write, NULL },
	{ "crtc data", DATA_PORT, 1, BUS_SIZE_1, data_read, data_write, NULL },
};

int crtc_map(struct crtc *crtc, struct bus *pio)
{
	return bus_add_table(pio, crtc_ranges, countof(crtc_ranges), crtc);
}

void crtc_init(struct crtc *crtc)
{
	*crtc = (struct crtc){ 0 };
}
