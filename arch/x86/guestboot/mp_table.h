/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The MP table: processors, I/O APIC and wires in the words of Intel's MultiProcessor Specification 1.4, which kernels
 * older or smaller than ACPI read. It says what the MADT says, except for virtio's lines, which no ISA bus has.
 */
#include <stdint.h>

#include "hv/gpm.h"

/* The pointer at MEMORY_MP_TABLE, the table behind it. 0; -1 when RAM ends below or there are too many processors. */
__attribute__((warn_unused_result)) int mp_table_write(struct gpm *gpm, uint32_t vcpu_count);
