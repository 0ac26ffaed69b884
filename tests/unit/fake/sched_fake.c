/* SPDX-License-Identifier: MIT */
/* What hv/sched.c asks of others and no test of it cares for. */
#include "hv/console.h"
#include "hv/request.h"
#include "hv/restore_test.h"
#include "hv/vcpu.h"

bool console_idle_work(void) { return false; }

uint64_t restore_test_turn(struct vcpu *vcpu, uint64_t end)
{
	(void)vcpu;
	return end;
}

/* Whatever is asked wakes it. */
void vcpu_take_requests(struct vcpu *vcpu)
{
	vcpu->requests = 0;
	vcpu->state = VCPU_READY;
}
