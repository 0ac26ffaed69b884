/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * KVM's paravirtual clock, the two MSRs of it: guests learn the TSC's rate and an origin of time from a
 * struct in their own memory instead of measuring it against a timer. Linux, "KVM-specific MSRs"
 * (Documentation/virt/kvm/x86/msr.rst) and "KVM CPUID bits" (cpuid.rst); the layout is that of Xen's
 * vcpu_time_info.
 *
 * Why: processors of AMD have no CPUID leaf for the rate, and measuring against the 8254 or the ACPI timer
 * fails where an exit is slow, as under emulation (Linux then calls the TSC unstable). Offered beside our
 * own interface, at 0x4000_0100, with the feature bits of what is here and nothing else.
 */
#include <stdbool.h>
#include <stdint.h>

#define CPUID_KVM_BASE		0x40000100U
#define CPUID_KVM_FEATURES	0x40000101U
#define KVM_SIGNATURE_B		0x4b4d564bU	/* "KVMK" */
#define KVM_SIGNATURE_C		0x564b4d56U	/* "VMKV" */
#define KVM_SIGNATURE_D		0x0000004dU	/* "M" */
#define KVM_FEATURE_NOP_IO_DELAY	(1U << 1)	/* port 0x80 needs no pause: each would be an exit */
#define KVM_FEATURE_CLOCKSOURCE2	(1U << 3)	/* the MSRs below */
#define KVM_FEATURE_CLOCK_STABLE	(1U << 24)	/* the same on all processors */
#define KVM_FEATURES (KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_CLOCK_STABLE)

#define MSR_KVM_WALL_CLOCK	0x4b564d00U
#define MSR_KVM_SYSTEM_TIME	0x4b564d01U

/* ns = ((shift < 0 ? ticks >> -shift : ticks << shift) * mul) >> 32 */
struct pvclock_scale { uint32_t mul; int8_t shift; };
struct pvclock_scale pvclock_scale_of(uint64_t hz);	/* pure */

struct vcpu;
bool pvclock_write_time(struct vcpu *vcpu, uint64_t val);
bool pvclock_write_wall(struct vcpu *vcpu, uint64_t val);

/* The relation of the guest's TSC to time has changed: tell the guest, if it asked. */
void pvclock_update(struct vcpu *vcpu);
