/* SPDX-License-Identifier: MIT */
/*
 * What others ask of a vCPU, from the asking to the taking (contract in request.h). Two races are possible.
 *
 * 1. A request while the owner enters the guest. The sender writes in the order "what is asked, then the interrupt":
 *
 *	sender					owner, its interrupts off
 *	posted[] |= the vector
 *	requests |= IRQ				is irq_check set? no: nothing to take
 *	interrupt to the owner			enter
 *						the interrupt is pending: exit at once, its handler sets irq_check
 *						irq_check: take the requests, then what was posted; deliver; enter
 *
 *    Interrupts are off from the owner's last look until it is in the guest, so one that comes in between is not lost:
 *    it waits, and makes the entry exit. So the run loop needs no check of its own, and an exit costs no tick more. The owner
 *    takes in the opposite order, `requests` before `posted`. If it cleared posted[] first, a vector that comes
 *    in between would wait there, without a request, for whatever comes next.
 *
 * 2. A wake-up while the owner halts. Whoever sleeps is not looked at, so the sender must ask for the scheduler as well
 *    when it finds the vCPU asleep, and the owner must not sleep with a request that the sender believed it would take
 *    before its next entry. Each first writes its own word and then reads the other's:
 *
 *	sender					owner
 *	requests |= IRQ				state = HALTED
 *	is state HALTED?			is there a request?
 *	  yes: post a look			  yes: take it, be ready again
 *
 *    At least one of the two sees what the other has written: all of these are sequentially consistent, hence a locked
 *    instruction between the write and the read (SDM vol. 3, 9.2.2 "Memory Ordering in P6 and More Recent Processor
 *    Families": a load may pass an older store to another address, but no locked instruction). Without it both could read
 *    the old value: then the sender asks for a look, which finds nothing loaded, and the vCPU sleeps for ever. A
 *    processor that idles is safe for the reason of picture 1: its interrupts are off until HLT (host_idle).
 *
 * tests/race drives both pictures from real threads, tests/model checks them in every order there is.
 */
#include "hv/request.h"

#include <stdatomic.h>

#include "arch/x86/virt/backend.h"
#include "hv/host.h"
#include "hv/look.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define POSTED_BITS	64U

/* ---- The asking ---- */

/*
 * The owner acts at once when it is this processor. Another one is interrupted and looks before its next entry, or its
 * scheduler looks at the vCPU that sleeps. Once for what is asked: if `old`, the requests until now, had it, somebody
 * else has told the owner, or is about to. So a guest that asks again and again does not interrupt who runs there.
 */
static void notify(struct vcpu *vcpu, uint32_t old, uint32_t what)
{
	struct processor *owner = vcpu->processor;

	if (owner == host_processor())
		vcpu_take_requests(vcpu);
	else if ((old & what) == what)
		return;
	else if (vcpu->state == VCPU_READY)
		host_kick(owner, KICK_LOOK);
	else
		look_post(vcpu->look);
}

void vcpu_request(struct vcpu *vcpu, uint32_t what)
{
	notify(vcpu, atomic_fetch_or(&vcpu->requests, what), what);
}

void vcpu_request_init(struct vcpu *vcpu)
{
	uint32_t old = vcpu->requests;

	while (!atomic_compare_exchange_weak(&vcpu->requests, &old,
					     (old & ~(REQUEST_SIPI | (uint32_t)REQUEST_SIPI_VECTOR)) | REQUEST_INIT))
		continue;
	notify(vcpu, old, REQUEST_INIT);
}

/* While its owner acts on requests nobody else knows whether one of them parks it: the owner decides then. */
bool vcpu_request_sipi(struct vcpu *vcpu, uint8_t vector)
{
	uint32_t old = vcpu->requests;

	do {
		bool may_wait = (old & (REQUEST_INIT | REQUEST_TAKING)) || vcpu->state == VCPU_PARKED;

		if (!may_wait || (old & REQUEST_SIPI))
			return false;
	} while (!atomic_compare_exchange_weak(&vcpu->requests, &old,
					       (uint32_t)field_set(old | REQUEST_SIPI, REQUEST_SIPI_VECTOR, vector)));
	notify(vcpu, old & REQUEST_INIT ? REQUEST_SIPI : 0, REQUEST_SIPI);	/* told with the INIT that waits */
	return true;
}

void vcpu_request_lint0(struct vcpu *vcpu, bool is_high)
{
	uint32_t old = vcpu->requests, level = is_high ? REQUEST_LINT0_HIGH : 0, toggled;

	do {
		toggled = (old & REQUEST_LINT0) && (old & REQUEST_LINT0_HIGH) != level ? REQUEST_LINT0_TOGGLED : 0;
	} while (!atomic_compare_exchange_weak(&vcpu->requests, &old, (old & ~(uint32_t)REQUEST_LINT0_HIGH) |
					       REQUEST_LINT0 | level | toggled));
	notify(vcpu, old, REQUEST_LINT0);
}

/*
 * The owner's: the vectors become requests of the local APIC. Its software switch was looked at by the sender: what was
 * accepted before it was switched off stays accepted, or the I/O APIC would wait for ever. One that waits for its SIPI
 * takes none.
 */
static void take_vectors(struct vcpu *vcpu, unsigned word, uint64_t vectors, bool is_level)
{
	if (vcpu->state != VCPU_PARKED)
		lapic_merge(&vcpu->lapic, word * POSTED_BITS, vectors, is_level);
}

/*
 * Edges and levels have a set each, because the trigger mode is part of the message: with one set of vectors and one of
 * modes two senders of the same vector could mix them up, and an I/O APIC would wait for an EOI that never comes.
 */
void vcpu_post(struct vcpu *vcpu, uint8_t vector, bool is_level)
{
	if (vcpu->processor == host_processor()) {	/* between vCPUs that live on one processor: nothing has to be left for it */
		take_vectors(vcpu, vector / POSTED_BITS, 1ULL << vector % POSTED_BITS, is_level);
		return;
	}
	atomic_fetch_or(&vcpu->posted[is_level][vector / POSTED_BITS], 1ULL << vector % POSTED_BITS);
	/* Last: the owner takes the request before the vectors. */
	vcpu_request(vcpu, (uint32_t)field_set(0, REQUEST_IRQ_WORDS, 1ULL << (is_level * POSTED_WORDS + vector / POSTED_BITS)));
}

bool vcpu_is_parked(const struct vcpu *vcpu)
{
	return (vcpu->requests & REQUEST_INIT) || vcpu->state == VCPU_PARKED;
}

/* ---- The taking ---- */

/* Only of those words that a request names: one that a sender has not come to name yet is taken when it has. */
static void take_posted(struct vcpu *vcpu, uint64_t words)
{
	for (; words; words &= words - 1) {
		const unsigned is_level = (unsigned)__builtin_ctzll(words) / POSTED_WORDS;
		const unsigned i = (unsigned)__builtin_ctzll(words) % POSTED_WORDS;

		take_vectors(vcpu, i, atomic_exchange(&vcpu->posted[is_level][i], 0), is_level);
	}
}

static void take_lint0(struct vcpu *vcpu, uint32_t what)
{
	bool is_high = what & REQUEST_LINT0_HIGH;

	if (what & REQUEST_LINT0_TOGGLED)
		lapic_set_lint0(&vcpu->lapic, !is_high);
	lapic_set_lint0(&vcpu->lapic, is_high);
}

/*
 * INIT comes behind interrupts and NMIs, which it discards, and before SIPI: one that came after the SIPI has
 * removed that.
 */
static void act_on(struct vcpu *vcpu, uint32_t what)
{
	if (what & REQUEST_NMI)
		vcpu_raise_nmi(vcpu);
	take_posted(vcpu, field_get(what, REQUEST_IRQ_WORDS));
	if (what & REQUEST_LINT0)
		take_lint0(vcpu, what);
	if (what & REQUEST_UNHALT)
		vcpu_unhalt(vcpu);
	if (what & REQUEST_INIT)
		vcpu_take_init(vcpu);
	if (what & REQUEST_SIPI)
		vcpu_take_sipi(vcpu, (uint8_t)field_get(what, REQUEST_SIPI_VECTOR));
	if (what & REQUEST_FLUSH)
		virt->flush(vcpu);
	if (what & REQUEST_END)
		host_attention_set();
}

/*
 * Taken, they woke nobody: is anybody left who could run? Whoever looked meanwhile saw the request. A vCPU
 * that is parked is asked about only when an INIT parked it: all are while a VM is built or wiped, and take
 * requests of devices then.
 */
static bool sleeps_on(const struct vcpu *vcpu, uint32_t taken)
{
	return vcpu->state == VCPU_PARKED ? taken & REQUEST_INIT : vcpu->state == VCPU_HALTED && !vcpu->halted_if;
}

/*
 * Until all is done `requests` is not 0 for others, who look at it to see whether a vCPU that sleeps can
 * wake. A vCPU that sleeps then, for INIT has parked it, looks once more: picture 2.
 */
void vcpu_take_requests(struct vcpu *vcpu)
{
	uint32_t what, taken = 0;

	do {
		what = atomic_exchange(&vcpu->requests, REQUEST_TAKING);
		act_on(vcpu, what);
		taken |= what;
	} while (atomic_fetch_and(&vcpu->requests, ~(uint32_t)REQUEST_TAKING) != REQUEST_TAKING && vcpu->state != VCPU_READY);
	if (sleeps_on(vcpu, taken))
		vm_stop_if_asleep(vcpu->vm);
}

void vcpu_halt(struct vcpu *vcpu)
{
	vcpu->vm->halts++;
	vcpu->state = VCPU_HALTED;	/* a locked instruction: before the look at the requests (picture 2) */
	if (vcpu->requests)
		vcpu_take_requests(vcpu);
}
