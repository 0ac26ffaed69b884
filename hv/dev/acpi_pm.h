/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * ACPI fixed hardware (ACPI specification, 4.8.3 "Fixed Hardware Registers").
 *
 *   600  PM1 status (2 bytes), PM1 enable (2)      604  PM1 control (2)      608  PM timer (4), 32 bits wide
 *
 * ACPI mode is always on (no SMI command port; SCI_EN reads 1). The SCI is level-triggered. Sleep type 5
 * with SLP_EN powers off; the machine has no other sleep state.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/irq.h"
#include "hv/vm_clock.h"

#define ACPI_PM1_EVENT_PORT	0x600U
#define ACPI_PM1_CONTROL_PORT	0x604U
#define ACPI_PM_TIMER_PORT	0x608U
#define ACPI_PM_TIMER_HZ	3579545ULL
#define ACPI_SLEEP_TYPE_S5	5U
#define ACPI_SCI_IRQ		9U

struct acpi_pm_state {
	uint16_t status, enable, control;
	uint64_t carries;		/* changes of the timer's top bit already reported */
};

struct acpi_pm {
	struct acpi_pm_state s;
	const struct vm_clock *clock;	/* the timer reads 0 where it begins */
	struct irq_line sci;
	struct timer    timer;		/* the next such change, when it shall interrupt */
	void   (*power_off)(void *ctx);
	void    *ctx;
};

void acpi_pm_init(struct acpi_pm *pm, const struct vm_clock *clock, const struct irq_line *sci,
		  void (*power_off)(void *), void *ctx);
void acpi_pm_reset(struct acpi_pm *pm);
void acpi_pm_after_load(void *dev);
__attribute__((warn_unused_result)) int acpi_pm_map(struct acpi_pm *pm, struct bus *pio);
