/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VMCS for host tests: an array of fields. One that does not exist, and a write to one that is read-only, ends the
 * test, as hardware would fail the instruction. A processor of its own (this_cpu) has it as the current one.
 */
#include <stdint.h>

struct vcpu;

/* How often a VMCS was cleared, and translations were forgotten: of all VPIDs, of one, of an EPT pointer. */
extern struct vmcs_fake_counts { unsigned clears, vpid_floods, vpid_flushes, ept_flushes; } vmcs_fake_counts;

void     vmcs_fake_init(struct vcpu *vcpu);	/* empty, and current; vcpu->arch is set */
uint64_t vmcs_fake_get(uint32_t field);
void     vmcs_fake_set(uint32_t field, uint64_t val);	/* as the processor: read-only fields too */

extern uint64_t vmcs_fake_vmxon;	/* the region that VMXON was given */

/*
 * IA32_VMX_EPT_VPID_CAP: INVEPT and INVVPID fail with a type that it lacks, and end the test when it lacks
 * them altogether.
 */
extern uint64_t vmcs_fake_ept_vpid;
