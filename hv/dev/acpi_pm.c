/* SPDX-License-Identifier: MIT */
/*
 * ACPI power management registers (acpi_pm.h). What needs them: Linux' ACPI start-up (it wants SCI_EN),
 * power-off, and the PM timer as a clock to compare the TSC with. Nobody presses the power button.
 */
#include "hv/dev/acpi_pm.h"

#include "hv/lib/bits.h"
#include "hv/lib/util.h"

#define PM1_TIMER		0x0001U	/* TMR_STS, TMR_EN */
#define PM1_GLOBAL		0x0020U
#define PM1_POWER_BUTTON	0x0100U
#define PM1_RTC			0x0400U	/* never raised: there is no sleep to wake from; Linux wants to enable it */
#define PM1_ENABLE_BITS		(PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

#define PM1_SCI_EN		0x0001U
#define PM1_SLEEP_TYPE		0x1c00U
#define PM1_SLEEP_TYPE_SHIFT	10
#define PM1_SLEEP_ENABLE	0x2000U
#define PM1_CONTROL_BITS	(PM1_SLEEP_TYPE | 0x0002U)	/* and BM_RLD, kept for its reader */

#define TIMER_HALF		(1ULL << 31)	/* TMR_STS: the top bit changed */

static uint64_t pm_ticks(const struct acpi_pm *pm)
{
	return mul_div64(vm_clock_now(pm->clock), ACPI_PM_TIMER_HZ, time_hz());
}

static void pm_refresh(struct acpi_pm *pm)
{
	uint64_t carries = pm_ticks(pm) / TIMER_HALF;
	uint64_t next = TIMER_NEVER;

	if (carries != pm->s.carries) {
		pm->s.carries = carries;
		pm->s.status |= PM1_TIMER;
	}
	if ((pm->s.enable & PM1_TIMER) && !(pm->s.status & PM1_TIMER))
		next = mul_div64((carries + 1) * TIMER_HALF, time_hz(), ACPI_PM_TIMER_HZ) + 1;
	vm_clock_arm(pm->clock, &pm->timer, next);
	irq_set(&pm->sci, pm->s.status & pm->s.enable & PM1_ENABLE_BITS);
}

static void pm_fire(void *ctx)
{
	pm_refresh(ctx);
}

static uint64_t event_read(void *dev, uint64_t offset, unsigned size)
{
	struct acpi_pm *pm = dev;
	uint64_t both;

	(void)size;
	pm_refresh(pm);
	both = pm->s.status | (uint64_t)pm->s.enable << 16;
	return both >> (8 * offset);
}

/* Status bits are cleared by writing ones, enable bits are stored; any byte of the four may be written. */
static void event_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = dev;
	uint64_t mask = access_mask(size) << (8 * offset);
	uint64_t word = value << (8 * offset);
	uint16_t enable_mask = (uint16_t)(mask >> 16);

	pm_refresh(pm);
	pm->s.status &= (uint16_t)~(word & mask);
	pm->s.enable = (uint16_t)(((pm->s.enable & ~enable_mask) | (word >> 16 & enable_mask)) & PM1_ENABLE_BITS);
	pm_refresh(pm);
}

static uint64_t control_read(void *dev, uint64_t offset, unsigned size)
{
	const struct acpi_pm *pm = dev;

	(void)size;
	return (uint64_t)(pm->s.control | PM1_SCI_EN) >> (8 * offset);
}

static void control_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = dev;
	uint64_t mask = access_mask(size) << (8 * offset);
	uint16_t word = (uint16_t)(((value << (8 * offset)) & mask) | (pm->s.control & ~mask));

	pm->s.control = word & PM1_CONTROL_BITS;
	if (!(word & PM1_SLEEP_ENABLE) || (word & PM1_SLEEP_TYPE) >> PM1_SLEEP_TYPE_SHIFT != ACPI_SLEEP_TYPE_S5)
		return;
	if (pm->power_off)
		pm->power_off(pm->ctx);
}

static uint64_t timer_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	return (pm_ticks(dev) & UINT32_MAX) >> (8 * offset);
}

#define ANY_SIZE	(BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4)

static const struct bus_range acpi_pm_ranges[] = {
	{ "PM1 event",   ACPI_PM1_EVENT_PORT, 4, ANY_SIZE, event_read, event_write, NULL },
	{ "PM1 control", ACPI_PM1_CONTROL_PORT, 2, BUS_SIZE_1 | BUS_SIZE_2, control_read, control_write, NULL },
	{ "PM timer",    ACPI_PM_TIMER_PORT, 4, ANY_SIZE, timer_read, NULL, NULL },
};

int acpi_pm_map(struct acpi_pm *pm, struct bus *pio)
{
	return bus_add_table(pio, acpi_pm_ranges, countof(acpi_pm_ranges), pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->s.status = 0;
	pm->s.enable = 0;
	pm->s.control = 0;
	pm->s.carries = pm_ticks(pm) / TIMER_HALF;
	pm_refresh(pm);
}

/* A loaded state may hold a time ahead of the clock, which would report changes that have not happened yet. */
void acpi_pm_after_load(void *dev)
{
	struct acpi_pm *pm = dev;

	pm->s.enable &= PM1_ENABLE_BITS;
	pm->s.control &= PM1_CONTROL_BITS;
	pm->s.carries = min_u64(pm->s.carries, pm_ticks(pm) / TIMER_HALF);
	pm_refresh(pm);
}

void acpi_pm_init(struct acpi_pm *pm, const struct vm_clock *clock, const struct irq_line *sci,
		  void (*power_off)(void *), void *ctx)
{
	*pm = (struct acpi_pm){ .clock = clock, .sci = *sci, .power_off = power_off, .ctx = ctx };
	vm_clock_timer(clock, &pm->timer, pm_fire, pm);
	acpi_pm_reset(pm);
}
