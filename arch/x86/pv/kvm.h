/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What KVM's interface is called: Linux, "KVM CPUID bits" (Documentation/virt/kvm/x86/cpuid.rst) and "KVM-specific
 * MSRs" (msr.rst), "Linux KVM Hypercall" (hypercalls.rst). Offered beside our own interface, at 0x4000_0100, with the feature bits of what is here and
 * one that says that port 80h needs no pause.
 */
#define CPUID_KVM_BASE		0x40000100U
#define CPUID_KVM_FEATURES	0x40000101U
#define KVM_SIGNATURE_B		0x4b4d564bU	/* "KVMK" */
#define KVM_SIGNATURE_C		0x564b4d56U	/* "VMKV" */
#define KVM_SIGNATURE_D		0x0000004dU	/* "M" */
#define KVM_FEATURE_NOP_IO_DELAY	(1U << 1)	/* port 0x80 needs no pause: each would be an exit */
#define KVM_FEATURE_CLOCKSOURCE2	(1U << 3)	/* pvclock.h */
#define KVM_FEATURE_STEAL_TIME		(1U << 5)	/* steal.h */
#define KVM_FEATURE_PV_EOI		(1U << 6)	/* eoi.h; where interrupts are injected */
#define KVM_FEATURE_PV_UNHALT		(1U << 7)	/* KVM_HC_KICK_CPU: exit/hypercall.c */
#define KVM_FEATURE_PV_TLB_FLUSH	(1U << 9)	/* steal.h */
#define KVM_FEATURE_PV_SEND_IPI		(1U << 11)	/* KVM_HC_SEND_IPI: the same */
#define KVM_FEATURE_CLOCK_STABLE	(1U << 24)	/* the clock is the same on all processors */
#define KVM_FEATURES (KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_STEAL_TIME | \
		      KVM_FEATURE_PV_UNHALT | KVM_FEATURE_PV_TLB_FLUSH | KVM_FEATURE_PV_SEND_IPI | KVM_FEATURE_CLOCK_STABLE)

#define MSR_KVM_WALL_CLOCK	0x4b564d00U
#define MSR_KVM_SYSTEM_TIME	0x4b564d01U
#define MSR_KVM_STEAL_TIME	0x4b564d03U
#define MSR_KVM_PV_EOI_EN	0x4b564d04U
#define PV_ENABLE		1ULL	/* in those that hold an address: the guest wants it */

/* Hypercalls, and how one refuses its arguments. */
#define KVM_HC_KICK_CPU		5
#define KVM_HC_SEND_IPI		10
#define KVM_EINVAL		(-22)
