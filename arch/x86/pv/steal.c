/* SPDX-License-Identifier: MIT */
/* Steal time (contract in steal.h, that of who has a processor in hv/vcpu.h). */
#include "arch/x86/pv/steal.h"

#include <stddef.h>

#include "arch/x86/pv/guest_struct.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define STEAL_RESERVED	0x3eU	/* the struct is aligned to its size */

struct pv_steal {			/* struct kvm_steal_time */
	uint64_t steal;			/* ns */
	uint32_t version, flags;	/* the version is odd while the struct is being written */
	uint8_t  preempted, pad[47];
};
_Static_assert(sizeof(struct pv_steal) == 64, "the guest's layout");

/* In `preempted`. The guest sets the second with a locked instruction that finds the first alone. */
#define STEAL_PREEMPTED	1U
#define STEAL_FLUSH	2U

static gpa_t at(const struct vcpu *vcpu, size_t offset)
{
	return gpa_add(guest_struct_at(vcpu->pv_steal & ~(uint64_t)STEAL_RESERVED), offset);	/* a saved state may say anything */
}

static bool write_version(struct vcpu *vcpu, uint32_t version)
{
	return gpm_write(&vcpu->vm->gpm, at(vcpu, offsetof(struct pv_steal, version)), &version, sizeof(version));
}

/*
 * The time is added to what is there, so that a guest's count goes on whatever it had before. The vCPU itself does not
 * run now; another one of its VM that reads sees an odd version, or a new one behind what it read.
 */
static void add(struct vcpu *vcpu, uint64_t ns)
{
	struct gpm *gpm = &vcpu->vm->gpm;
	struct pv_steal now;

	if (!gpm_read(gpm, at(vcpu, 0), &now, sizeof(now)))
		return;
	now.steal += ns;
	if (write_version(vcpu, now.version | 1) &&
	    gpm_write(gpm, at(vcpu, offsetof(struct pv_steal, steal)), &now.steal, sizeof(now.steal)))
		(void)write_version(vcpu, (now.version | 1) + 1);
}

void steal_tell(struct vcpu *vcpu, uint64_t waited)
{
	const uint64_t before = vcpu->waited;

	vcpu->waited = waited;
	/* The difference of two roundings: what one of them drops the next one has. */
	if ((vcpu->pv_steal & PV_ENABLE) && waited != before)
		add(vcpu, ticks_to_ns(waited) - ticks_to_ns(before));
}

/* What was there before; 0: nothing, or there is no such struct. */
static uint8_t exchange(struct vcpu *vcpu, uint8_t val)
{
	uint8_t old = 0;

	if (vcpu->pv_steal & PV_ENABLE)
		(void)!gpm_exchange8(&vcpu->vm->gpm, at(vcpu, offsetof(struct pv_steal, preempted)), val, &old);
	return old;
}

void vcpu_tell_preempted(struct vcpu *vcpu)
{
	(void)exchange(vcpu, STEAL_PREEMPTED);
}

bool vcpu_tell_running(struct vcpu *vcpu)
{
	return exchange(vcpu, 0) & STEAL_FLUSH;
}

bool steal_write(struct vcpu *vcpu, uint64_t val)
{
	if ((val & STEAL_RESERVED) || !guest_struct_accept(&vcpu->vm->gpm, val, sizeof(struct pv_steal)))
		return false;
	vcpu->pv_steal = val;
	(void)exchange(vcpu, 0);	/* it runs */
	return true;
}
