/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock (contract in pvclock.h). Time is the VM's clock, which begins at its start; the rate is the
 * host's, which never changes, so the struct is written when the guest asks for it and when it moves its TSC.
 */
#include "arch/x86/pv/pvclock.h"

#include "arch/x86/pv/kvm.h"
#include "hv/machine.h"
#include "hv/spread.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define PV_TSC_STABLE	1U

struct pv_time {			/* struct pvclock_vcpu_time_info */
	uint32_t version, pad0;		/* odd while it is being written */
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t   tsc_shift;
	uint8_t  flags, pad[2];
};
_Static_assert(sizeof(struct pv_time) == 32, "the guest's layout");

struct pv_wall { uint32_t version, sec, nsec; };	/* struct pvclock_wall_clock */

/* The multiplier keeps 32 significant bits: the rate is brought into (1, 2] GHz first. */
struct pvclock_scale pvclock_scale_of(uint64_t hz)
{
	struct pvclock_scale scale = { 0, 0 };

	if (!hz)
		hz = NS_PER_SECOND;
	for (; hz > 2 * NS_PER_SECOND; hz /= 2)
		scale.shift--;
	for (; hz <= NS_PER_SECOND; hz *= 2)
		scale.shift++;
	scale.mul = (uint32_t)mul_div64(NS_PER_SECOND, 1ULL << 32, hz);
	return scale;
}

/*
 * Zeroing one chunk of RAM that nobody has touched is enough for one exit: a struct across the border of two such
 * chunks is refused.
 */
static bool write_struct(struct vcpu *vcpu, gpa_t at, const void *from, size_t len)
{
	struct gpm *gpm = &vcpu->vm->gpm;
	bool is_written;

	gpm_only_look(!gpm_touch(gpm, at, len));
	is_written = gpm_write(gpm, at, from, len);
	gpm_only_look(false);
	return is_written;
}

static bool write_time(struct vcpu *vcpu, gpa_t at)
{
	struct pvclock_scale scale = pvclock_scale_of(time_hz());
	uint64_t now = vm_now(vcpu->vm);
	const struct pv_time time = {
		.version = 2,
		.tsc_timestamp = now + vcpu->tsc_offset,
		.system_time = ticks_to_ns(now),
		.tsc_to_system_mul = scale.mul,
		.tsc_shift = scale.shift,
		.flags = PV_TSC_STABLE,
	};

	return write_struct(vcpu, at, &time, sizeof(time));
}

/* #GP when the address is not RAM. */
bool pvclock_write_time(struct vcpu *vcpu, uint64_t val)
{
	if ((val & PV_ENABLE) && !write_time(vcpu, gpa(val & ~PV_ENABLE)))
		return false;
	vcpu->pv_time = val;
	return true;
}

/*
 * Wall-clock time in ns at which the VM's clock was 0: a guest adds its system time to it. The RTC shows
 * base_seconds at base_time of the VM's clock, which is later than 0 once the guest has set its RTC. The
 * interface cannot express times before 1970: they become 0.
 */
static uint64_t wall_at_origin(struct vm *vm)
{
	const struct rtc_state *rtc = &vm->machine->rtc.s;
	uint64_t since, base;

	machine_take(vm);
	since = ticks_to_ns(rtc->base_time);
	base = rtc->base_seconds > 0 ? mul_div64((uint64_t)rtc->base_seconds, NS_PER_SECOND, 1) : 0;
	machine_drop(vm);
	return base > since ? base - since : 0;
}

bool pvclock_write_wall(struct vcpu *vcpu, uint64_t val)
{
	uint64_t ns = wall_at_origin(vcpu->vm);
	const struct pv_wall wall = {
		.version = 2,
		.sec = (uint32_t)(ns / NS_PER_SECOND),
		.nsec = (uint32_t)(ns % NS_PER_SECOND),
	};

	if (!write_struct(vcpu, gpa(val), &wall, sizeof(wall)))
		return false;
	vcpu->pv_wall = val;
	return true;
}

void pvclock_update(struct vcpu *vcpu)
{
	if (vcpu->pv_time & PV_ENABLE)
		(void)write_time(vcpu, gpa(vcpu->pv_time & ~PV_ENABLE));
}
