/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The ACPI tables of the guest's machine: RSDP (at the start of MEMORY_FIRMWARE, where a PC's firmware puts
 * it too), RSDT, XSDT, FADT, FACS, MADT and the DSDT compiled from dsdt.asl. They say what hv/machine.h
 * says. Written once, before the guest starts; the guest may scribble over them, nobody reads them back.
 */
#include <stdint.h>

#include "hv/addr.h"
#include "hv/gpm.h"

struct acpi_shape {
	uint32_t vcpu_count;	/* local APICs 0 .. vcpu_count-1 */
	uint32_t virtio_count;	/* virtio-mmio windows in use */
};

/* 0 and *rsdp; -1 when the VM's RAM does not reach 1 MiB or the shape is larger than the machine can be. */
__attribute__((warn_unused_result))
int acpi_tables_write(struct gpm *gpm, const struct acpi_shape *shape, gpa_t *rsdp);
