/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC (ioapic.h). A level-triggered input sends one message and sets Remote IRR; the EOI of that vector
 * clears it and, when the line is still up, sends the next. An edge sends one message and is forgotten; on an input
 * that sends none at that moment it is lost, or waits (`kept`).
 */
#include "hv/dev/ioapic.h"

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define VERSION		(IOAPIC_VERSION | (IOAPIC_PINS - 1) << 16)
#define ID_SHIFT	24
#define ID_MASK		0x0fU

#define REDIR_LOW_WRITABLE 0x0001afffULL	/* vector to mask, without the two status bits */
#define REDIR_HIGH_WRITABLE 0xff000000ULL

static bool ioapic_send(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->s.redir[pin];
	struct ioapic_msg msg = {
		.dest = (uint32_t)field_get(entry, REDIR_DEST),
		.is_logical = entry & REDIR_LOGICAL,
		.is_level = entry & REDIR_LEVEL,
		.vector = (uint8_t)(entry & REDIR_VECTOR),
		.mode = (enum apic_mode)field_get(entry, REDIR_MODE),
	};

	return ioapic->deliver(ioapic->ctx, &msg);
}

/*
 * Only in the modes fixed and lowest priority: other modes are edge-triggered whatever the entry says (data
 * sheet, 3.2.4).
 */
static bool is_level(uint64_t entry)
{
	return (entry & REDIR_LEVEL) && field_get(entry, REDIR_MODE) <= APIC_LOWEST;
}

static bool sends_edges(uint64_t entry)
{
	return !(entry & REDIR_MASKED) && !is_level(entry);
}

/* Offer a level-triggered input that is up and has nothing under way. */
static void ioapic_service(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->s.redir[pin];

	if (!is_level(entry) || (entry & (REDIR_MASKED | REDIR_REMOTE_IRR)) || !(ioapic->s.lines >> pin & 1))
		return;
	/* Set before the delivery, which may call this function again. */
	ioapic->s.redir[pin] |= REDIR_REMOTE_IRR;
	if (!ioapic_send(ioapic, pin))
		ioapic->s.redir[pin] &= ~REDIR_REMOTE_IRR;
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool is_high)
{
	uint32_t bit;
	bool is_rise;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1U << pin;
	is_rise = is_high && !(ioapic->s.lines & bit);
	ioapic->s.lines = is_high ? ioapic->s.lines | bit : ioapic->s.lines & ~bit;

	if (is_level(ioapic->s.redir[pin]))
		ioapic_service(ioapic, pin);
	else if (is_rise && !(ioapic->s.redir[pin] & REDIR_MASKED))
		(void)ioapic_send(ioapic, pin);
}

/* An input begins to send edges: has its device raised one that must not be lost? */
static void ioapic_send_kept(struct ioapic *ioapic, unsigned pin)
{
	if ((ioapic->kept & ioapic->s.lines) >> pin & 1)
		(void)ioapic_send(ioapic, pin);
}

bool ioapic_hears(const struct ioapic *ioapic, unsigned pin)
{
	return pin < IOAPIC_PINS && !(ioapic->s.redir[pin] & REDIR_MASKED);
}

bool ioapic_has_nmi(const struct ioapic *ioapic)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t mode = field_get(ioapic->s.redir[pin], REDIR_MODE);

		if (ioapic_hears(ioapic, pin) && (mode == APIC_NMI || mode == APIC_INIT))
			return true;
	}
	return false;
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->s.redir[pin];

		if (!(entry & REDIR_REMOTE_IRR) || (entry & REDIR_VECTOR) != vector)
			continue;
		ioapic->s.redir[pin] &= ~REDIR_REMOTE_IRR;
		ioapic_service(ioapic, pin);
	}
}

/* ---- Registers ---- */

static uint32_t ioapic_read_register(const struct ioapic *ioapic, unsigned index)
{
	unsigned half = index - IOAPIC_REG_REDIR;

	if (index == IOAPIC_REG_ID || index == IOAPIC_REG_ARB)
		return (uint32_t)ioapic->s.id << ID_SHIFT;
	if (index == IOAPIC_REG_VERSION)
		return VERSION;
	if (index < IOAPIC_REG_REDIR || half >= 2 * IOAPIC_PINS)
		return 0;
	half = (unsigned)index_nospec(half, 2 * IOAPIC_PINS);
	return (uint32_t)(half & 1 ? ioapic->s.redir[half / 2] >> 32 : ioapic->s.redir[half / 2]);
}

static void ioapic_write_redir(struct ioapic *ioapic, unsigned half, uint32_t value)
{
	uint64_t *entry = &ioapic->s.redir[half / 2];

	if (half & 1) {
		*entry = (*entry & UINT32_MAX) | (value & REDIR_HIGH_WRITABLE) << 32;
	} else {
		const bool sent_edges = sends_edges(*entry);

		if ((*entry ^ value) & REDIR_MASKED)
			irq_wake(&ioapic->sleeper);
		*entry = (*entry & ~REDIR_LOW_WRITABLE) | (value & REDIR_LOW_WRITABLE);
		/* Edge mode forgets Remote IRR; Linux clears a stuck one by switching to edge and back. */
		if (!(*entry & REDIR_LEVEL))
			*entry &= ~REDIR_REMOTE_IRR;
		if (!sent_edges && sends_edges(*entry))
			ioapic_send_kept(ioapic, half / 2);
	}
	ioapic_service(ioapic, half / 2);
}

static void ioapic_write_register(struct ioapic *ioapic, unsigned index, uint32_t value)
{
	unsigned half = index - IOAPIC_REG_REDIR;

	if (index == IOAPIC_REG_ID)
		ioapic->s.id = (uint8_t)(value >> ID_SHIFT & ID_MASK);
	else if (index >= IOAPIC_REG_REDIR && half < 2 * IOAPIC_PINS)
		ioapic_write_redir(ioapic, (unsigned)index_nospec(half, 2 * IOAPIC_PINS), value);
}

static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned size)
{
	const struct ioapic *ioapic = dev;

	(void)size;
	if (offset == IOAPIC_INDEX)
		return ioapic->s.index;
	if (offset == IOAPIC_DATA)
		return ioapic_read_register(ioapic, ioapic->s.index);
	return 0;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *ioapic = dev;

	if (offset == IOAPIC_INDEX)
		ioapic->s.index = (uint8_t)value;
	else if (offset == IOAPIC_DATA && size == sizeof(uint32_t))
		ioapic_write_register(ioapic, ioapic->s.index, (uint32_t)value);
	else if (offset == IOAPIC_EOI)
		ioapic_eoi(ioapic, (uint8_t)value);
}

static const struct bus_range ioapic_ranges[] = {
	{ "ioapic", IOAPIC_BASE, IOAPIC_SIZE, BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4, ioapic_read, ioapic_write, NULL },
};

int ioapic_map(struct ioapic *ioapic, struct bus *mmio)
{
	return bus_add_table(mmio, ioapic_ranges, countof(ioapic_ranges), ioapic);
}

void ioapic_reset(struct ioapic *ioapic)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->s.redir[pin] = REDIR_MASKED;
	ioapic->s.index = 0;
	ioapic->s.id = 0;
}

void ioapic_after_load(void *dev)
{
	struct ioapic *ioapic = dev;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->s.redir[pin];

		*entry &= REDIR_LOW_WRITABLE | REDIR_REMOTE_IRR | REDIR_HIGH_WRITABLE << 32;
		if (!(*entry & REDIR_LEVEL))
			*entry &= ~REDIR_REMOTE_IRR;
	}
	ioapic->s.lines &= (1U << IOAPIC_PINS) - 1;
	ioapic->s.id &= ID_MASK;
}

void ioapic_init(struct ioapic *ioapic, bool (*deliver)(void *, const struct ioapic_msg *), void *ctx)
{
	*ioapic = (struct ioapic){ .deliver = deliver, .ctx = ctx };
	ioapic_reset(ioapic);
}
