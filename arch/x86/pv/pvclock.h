/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * KVM's paravirtual clock, the two MSRs of it: guests learn the TSC's rate and an origin of time from a
 * struct in their own memory instead of measuring it against a timer. The layout is that of Xen's vcpu_time_info.
 *
 * Why: processors of AMD have no CPUID leaf for the rate, and measuring against the 8254 or the ACPI timer
 * fails where an exit is slow, as under emulation (Linux then calls the TSC unstable).
 */
#include <stdbool.h>
#include <stdint.h>

/* ns = ((shift < 0 ? ticks >> -shift : ticks << shift) * mul) >> 32 */
struct pvclock_scale { uint32_t mul; int8_t shift; };
struct pvclock_scale pvclock_scale_of(uint64_t hz);	/* pure */

struct vcpu;
bool pvclock_write_time(struct vcpu *vcpu, uint64_t val);
bool pvclock_write_wall(struct vcpu *vcpu, uint64_t val);

/* The relation of the guest's TSC to time has changed: tell the guest, if it asked. */
void pvclock_update(struct vcpu *vcpu);
