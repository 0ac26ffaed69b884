/* SPDX-License-Identifier: MIT */
/*
 * Which processors an interrupt message reaches, and what each delivery mode does to them; see apic_bus.h.
 * One table from delivery mode to action serves the ICR, the I/O APIC and KVM's hypercall. A message ends in a request to the
 * vCPU it reaches (hv/request.h); whether that takes it is decided here, by what others may read of it. Modes without a
 * row (SMI, ExtINT, reserved ones) reach nobody: there is no system-management mode here, and the 8259 has a wire of
 * its own (hv/dev/lapic.h).
 */
#include "hv/dev/apic_bus.h"

#include <stddef.h>

#include "hv/dev/lapic.h"
#include "hv/lib/bits.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define SET_BITS	64U
#define TAKERS		8U	/* the field has three bits */
_Static_assert(VM_VCPUS_MAX <= SET_BITS, "one word reaches every processor of a VM");

struct message {
	const struct lapic *from;	/* NULL: no shorthand, so it does not matter who sends */
	enum icr_shorthand      shorthand;
	uint32_t            dest;
	bool                is_broadcast, is_logical, is_level;
	uint8_t             vector;
	enum apic_mode      mode;
};

/* ---- What a message does to a processor it reaches; true when it took it ---- */

static bool take_vector(struct vcpu *vcpu, uint8_t vector, bool is_level)
{
	if (vcpu_is_parked(vcpu) || !lapic_is_enabled(&vcpu->lapic))
		return false;
	vcpu_post(vcpu, vector, is_level);
	return !lapic_vector_is_illegal(vector);
}

static bool take_fixed(struct vcpu *vcpu, const struct message *msg)
{
	return take_vector(vcpu, msg->vector, msg->is_level);
}

static bool take_nmi(struct vcpu *vcpu, const struct message *msg)
{
	(void)msg;
	if (vcpu_is_parked(vcpu))
		return false;
	vcpu_request(vcpu, REQUEST_NMI);
	return true;
}

static bool take_init(struct vcpu *vcpu, const struct message *msg)
{
	(void)msg;
	vcpu_request_init(vcpu);
	return true;
}

static bool take_sipi(struct vcpu *vcpu, const struct message *msg)
{
	return vcpu_request_sipi(vcpu, msg->vector);
}

typedef bool take_fn(struct vcpu *vcpu, const struct message *msg);

static take_fn *const takers[TAKERS] = {
	[APIC_FIXED] = take_fixed,
	[APIC_LOWEST] = take_fixed,	/* by one of those addressed, see deliver_lowest */
	[APIC_NMI] = take_nmi,
	[APIC_INIT] = take_init,
	[APIC_SIPI] = take_sipi,
};

/* ---- Whom it reaches ---- */

static bool is_addressed(const struct vcpu *vcpu, const struct message *msg)
{
	bool is_self = &vcpu->lapic == msg->from;

	switch (msg->shorthand) {
	case ICR_TO_SELF:
		return is_self;
	case ICR_TO_ALL:
		return true;
	case ICR_TO_OTHERS:
		return !is_self;
	case ICR_TO_DEST:
		break;
	}
	return msg->is_broadcast || lapic_matches(&vcpu->lapic, msg->dest, msg->is_logical);
}

/* Lowest priority: the one with the lowest task priority, the first of equals. */
static bool deliver_lowest(struct vm *vm, const struct message *msg)
{
	struct vcpu *chosen = NULL;

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (!is_addressed(vcpu, msg) || vcpu_is_parked(vcpu) || !lapic_is_enabled(&vcpu->lapic))
			continue;
		if (!chosen || lapic_task_priority(&vcpu->lapic) < lapic_task_priority(&chosen->lapic))
			chosen = vcpu;
	}
	return chosen && take_fixed(chosen, msg);
}

static bool deliver(struct vm *vm, const struct message *msg)
{
	take_fn *take = msg->mode < TAKERS ? takers[msg->mode] : NULL;
	bool was_taken = false;

	if (!take)
		return false;
	if (msg->mode == APIC_LOWEST)
		return deliver_lowest(vm, msg);
	/* To one by its ID, which is its number: nobody else has to be asked, of however many there are. */
	if (msg->shorthand == ICR_TO_DEST && !msg->is_logical && msg->dest < vm->vcpu_count)
		return take(vm->vcpus[index_nospec(msg->dest, VM_VCPUS_MAX)], msg);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (is_addressed(vm->vcpus[i], msg) && take(vm->vcpus[i], msg))
			was_taken = true;
	return was_taken;
}

static void send(struct vm *vm, const struct lapic *from, uint64_t icr, bool is_x2apic)
{
	struct message msg = {
		.from = from,
		.shorthand = (enum icr_shorthand)field_get(icr, ICR_SHORTHAND),
		.dest = (uint32_t)field_get(icr, is_x2apic ? ICR_DEST_X2APIC : ICR_DEST_XAPIC),
		.is_logical = icr & ICR_LOGICAL,
		.vector = (uint8_t)field_get(icr, ICR_VECTOR),
		.mode = (enum apic_mode)field_get(icr, ICR_MODE),
	};

	msg.is_broadcast = !msg.is_logical && msg.dest == (is_x2apic ? BROADCAST_32 : BROADCAST_8);
	/* SDM vol. 3, 11.6.1, the table of valid combinations: the shorthand "self" goes with Fixed only. */
	if (msg.shorthand == ICR_TO_SELF && msg.mode != APIC_FIXED)
		return;
	/* "INIT Level De-assert" synchronizes arbitration IDs on old chips and does nothing since. */
	if (msg.mode == APIC_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
		return;
	(void)deliver(vm, &msg);
}

/* What is sent most is a vector to one processor by its ID: no more is looked at than that takes. */
void apic_bus_ipi(struct vm *vm, const struct lapic *from, uint64_t icr)
{
	const bool is_x2apic = lapic_is_x2apic(from);

	if (!(icr & (ICR_MODE | ICR_LOGICAL | ICR_SHORTHAND)) && is_x2apic && hi32(icr) < vm->vcpu_count)
		(void)take_vector(vm->vcpus[index_nospec(hi32(icr), VM_VCPUS_MAX)], (uint8_t)field_get(icr, ICR_VECTOR), false);
	else
		send(vm, from, icr, is_x2apic);
}

uint32_t apic_bus_send_set(struct vm *vm, uint32_t first, uint64_t set, enum apic_mode mode, uint8_t vector)
{
	const struct message msg = { .vector = vector };
	uint32_t taken = 0;

	for (uint32_t id = first; id < vm->vcpu_count; id++)
		if (set >> (id - first) & 1)
			taken += takers[mode](vm->vcpus[index_nospec(id, VM_VCPUS_MAX)], &msg);
	return taken;
}

bool apic_bus_deliver(struct vm *vm, const struct ioapic_msg *ioapic_msg)
{
	struct message msg = {
		.shorthand = ICR_TO_DEST,
		.dest = ioapic_msg->dest,
		.is_broadcast = !ioapic_msg->is_logical && ioapic_msg->dest == BROADCAST_8,
		.is_logical = ioapic_msg->is_logical,
		.is_level = ioapic_msg->is_level,
		.vector = ioapic_msg->vector,
		.mode = ioapic_msg->mode,
	};

	return msg.mode != APIC_SIPI && deliver(vm, &msg);	/* a SIPI comes from a processor only */
}
