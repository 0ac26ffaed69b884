/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A vCPU is touched only by the processor that owns it. Everybody else posts a request: the functions of the
 * first group are the only door, and may be called on any processor. Those of the second group are the
 * owner's. Who that is says vcpu->processor: vcpu_load writes it, or the owner itself when it gives the vCPU
 * away; it stops touching it with that write.
 *
 * Besides what is posted here, others only read of a vCPU (single loads, hv/lib/shared.h where the type is not _Atomic):
 *   state, halted_if, processor           does it run, sleep or wait for its SIPI; who owns it
 *   requests                              what it has not taken yet
 *   lapic.s.base_msr, svr, ldr, dfr, tpr  whom a message reaches (apic_bus.c), TPR where it is (lapic.page); lapic.id never changes
 *   lapic.s.lvt, the entry of LINT0       may it be woken by an NMI of a device (apic_wires.c)
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/bits.h"

struct vcpu;

enum vcpu_request {
	REQUEST_TAKING		= 1 << 0,	/* not a request: its owner has taken the others and acts on them */
	REQUEST_END		= 1 << 1,	/* its VM has an end: leave the run loop */
	REQUEST_NMI		= 1 << 3,
	REQUEST_INIT		= 1 << 4,
	REQUEST_SIPI		= 1 << 5,	/* its vector is in REQUEST_SIPI_VECTOR */
	REQUEST_FLUSH		= 1 << 6,	/* forget translations: rights were taken away in the VM's nested tables */
	REQUEST_LINT0		= 1 << 7,	/* its pin LINT0 was told a level: */
	REQUEST_LINT0_HIGH	= 1 << 8,	/* this one, */
	REQUEST_LINT0_TOGGLED	= 1 << 9,	/* and before that the other one */
	REQUEST_UNHALT		= 1 << 10,	/* it leaves HLT, or the next one at once, whatever its IF says */
	REQUEST_IRQ		= 0xff << 16,	/* there are vectors in vcpu->posted: a bit for each of its words, those of edges first */
};
#define REQUEST_IRQ_WORDS	FIELD(23, 16)
#define REQUEST_SIPI_VECTOR	FIELD(31, 24)

/* ---- For everybody ---- */

/* END, NMI, FLUSH or UNHALT. */
void vcpu_request(struct vcpu *vcpu, uint32_t what);

void vcpu_request_init(struct vcpu *vcpu);			/* a SIPI that it has not taken yet is void */
bool vcpu_request_sipi(struct vcpu *vcpu, uint8_t vector);	/* false: it waits for none, or has one, and the first counts */
void vcpu_request_lint0(struct vcpu *vcpu, bool is_high);	/* callers of one vCPU must not race each other */

/* A message of fixed delivery mode, for an APIC that is enabled. */
void vcpu_post(struct vcpu *vcpu, uint8_t vector, bool is_level);

/* It waits for its SIPI, or will as soon as it takes its requests. Such a vCPU takes neither interrupts nor NMIs. */
bool vcpu_is_parked(const struct vcpu *vcpu);

/* ---- For its owner ---- */

void vcpu_take_requests(struct vcpu *vcpu);

/* It executed HLT. It may be ready again when this returns. */
void vcpu_halt(struct vcpu *vcpu);
