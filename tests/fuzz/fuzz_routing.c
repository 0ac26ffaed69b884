/* SPDX-License-Identifier: MIT */
/*
 * Hostile messages between the interrupt controllers of a VM with four processors: the input is a list of changes to
 * their local APICs and of messages from them and from the I/O APIC. After each message exactly those processors
 * have taken it that a second, plainer reading of the manual names (SDM vol. 3, 11.6.2 "Determining IPI Destination").
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/virt/backend.h"
#include "clock_fake.h"
#include "hv/dev/apic_bus.h"
#include "hv/host.h"
#include "hv/processor.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define VCPUS		4U
#define OPS_MAX		500U
#define EVERYBODY_8	0xffU
#define EVERYBODY_32	0xffffffffU

static struct fuzz {
	struct vm      vm;
	struct vcpu    vcpus[VCPUS];
	unsigned       inits, sipis;	/* bit for each vCPU */
	const uint8_t *data;
	size_t         size;
} fuzz;

/* ---- The world around the code under test ---- */

void vcpu_kick(struct vcpu *vcpu) { (void)vcpu; }
void vm_stop_if_asleep(struct vm *vm) { (void)vm; }
void vcpu_take_init(struct vcpu *vcpu) { fuzz.inits |= 1U << vcpu->id; }

void vcpu_take_sipi(struct vcpu *vcpu, uint8_t vector)
{
	(void)vector;
	fuzz.sipis |= 1U << vcpu->id;
}

/* All vCPUs are this processor's: each request is taken at once. */
void host_kick(struct processor *processor, enum host_kick what) { (void)processor; (void)what; abort(); }
void host_attention_set(void) { }

static const struct virt_backend backend;
const struct virt_backend *virt = &backend;

static void kick(void *ctx) { (void)ctx; }
static void no_eoi(void *ctx, uint8_t vector) { (void)ctx; (void)vector; }

static void ipi(void *ctx, const struct lapic *from, uint64_t icr)
{
	(void)ctx;
	apic_bus_ipi(&fuzz.vm, from, icr);
}

static const struct lapic_env env = { .kick = kick, .nmi = kick, .ipi = ipi, .eoi = no_eoi };

/* ---- What the manual says ---- */

/* Does a destination of 8 bits, or from an x2APIC of 32, name this one? */
static bool names(const struct lapic *lapic, uint32_t dest, bool is_logical, bool is_wide)
{
	bool in_x2apic = lapic->s.base_msr & 0x400;
	uint32_t ldr = lapic->s.ldr >> 24;

	if (dest == EVERYBODY_32)
		return true;
	if (!is_logical)
		return dest == lapic->id || (dest == EVERYBODY_8 && (!is_wide || !in_x2apic));
	if (in_x2apic)	/* clusters of 16 */
		return dest / 0x10000 == lapic->id / 16 && (dest % 0x10000 >> lapic->id % 16) % 2;
	if (dest == EVERYBODY_8)
		return true;
	if (lapic->s.dfr == 0xffffffff)
		return dest & ldr;
	if (lapic->s.dfr == 0x0fffffff)
		return dest / 16 == ldr / 16 && (dest & ldr & 15);
	return false;
}

static unsigned addressed(const struct lapic *from, unsigned shorthand, uint32_t dest, bool is_logical, bool is_wide)
{
	unsigned set = 0;

	for (uint32_t i = 0; i < VCPUS; i++) {
		const struct lapic *lapic = &fuzz.vcpus[i].lapic;
		bool is_self = lapic == from;
		bool is_named = shorthand == 0 ? names(lapic, dest, is_logical, is_wide) :
				shorthand == 1 ? is_self : shorthand == 2 || !is_self;

		set |= (unsigned)is_named << i;
	}
	return set;
}

static bool listens(const struct vcpu *vcpu)
{
	return vcpu->state != VCPU_PARKED && (vcpu->lapic.s.base_msr & 0x800) && (vcpu->lapic.s.svr & 0x100);
}

/* ---- Who took it ---- */

static bool has_vector(const struct lapic *lapic, uint8_t vector)
{
	return lapic->s.irr[vector / 32] >> vector % 32 & 1;
}

static void forget(void)
{
	fuzz.inits = fuzz.sipis = 0;
	for (uint32_t i = 0; i < VCPUS; i++) {
		while (fuzz.vcpus[i].lapic.irr_words) {	/* taken and ended, as far as priorities allow */
			struct lapic *lapic = &fuzz.vcpus[i].lapic;

			for (unsigned vector = 0; vector < 256; vector++)
				if (has_vector(lapic, (uint8_t)vector))
					lapic_accept(lapic, (uint8_t)vector);
			memset(lapic->s.isr, 0, sizeof(lapic->s.isr));
			lapic->isr_words = 0;
		}
		fuzz.vcpus[i].nmi_pending = false;
	}
}

static void check(unsigned mode, uint8_t vector, unsigned named)
{
	unsigned fixed = 0, nmis = 0, listeners = 0, awake = 0;

	for (uint32_t i = 0; i < VCPUS; i++) {
		fixed |= (unsigned)(vector >= 16 && has_vector(&fuzz.vcpus[i].lapic, vector)) << i;
		nmis |= (unsigned)fuzz.vcpus[i].nmi_pending << i;
		listeners |= (unsigned)listens(&fuzz.vcpus[i]) << i;
		awake |= (unsigned)(fuzz.vcpus[i].state != VCPU_PARKED) << i;
	}
	if (mode == APIC_FIXED)
		assert(vector < 16 || fixed == (named & listeners));
	else if (mode == APIC_LOWEST)	/* one of them, if there is any */
		assert(vector < 16 || (!(fixed & ~(named & listeners)) && !(fixed & (fixed - 1)) &&
				       !fixed == !(named & listeners)));
	else
		assert(!fixed);
	assert(nmis == (mode == APIC_NMI ? named & awake : 0));
	assert(fuzz.inits == (mode == APIC_INIT ? named : 0));
	assert(fuzz.sipis == (mode == APIC_SIPI ? named & ~awake : 0));	/* one that runs ignores it */
}

/* ---- Operations ---- */

static uint32_t take(unsigned bytes)
{
	uint32_t val = 0;

	for (; bytes && fuzz.size; bytes--, fuzz.size--)
		val = val << 8 | *fuzz.data++;
	return val;
}

static void send_icr(struct vcpu *vcpu)
{
	bool is_wide = lapic_is_x2apic(&vcpu->lapic);
	uint32_t low = take(3) & 0xcdfff, dest = is_wide ? take(4) : take(1);
	unsigned mode = low >> 8 & 7, shorthand = low >> 18 & 3;
	unsigned named = addressed(&vcpu->lapic, shorthand, dest, low & 0x800, is_wide);

	if (shorthand == 1 && mode != APIC_FIXED)
		named = 0;
	if (mode == APIC_INIT && (low & 0xc000) == 0x8000)	/* level de-assert */
		named = 0;
	if (vcpu->state == VCPU_PARKED || !(vcpu->lapic.s.base_msr & 0x800))
		return;		/* it does not run; its APIC has neither page nor MSRs */
	forget();
	if (is_wide) {
		assert(lapic_msr_write(&vcpu->lapic, 0x830, (uint64_t)dest << 32 | low));
	} else {
		lapic_mmio_write(&vcpu->lapic, 0x310, 4, (uint64_t)dest << 24);
		lapic_mmio_write(&vcpu->lapic, 0x300, 4, low);
	}
	if (mode > APIC_LOWEST || (low & 0xff) >= 16)	/* else a send error, which may raise the sender's own vector */
		check(mode, (uint8_t)low, named);
}

static void send_message(void)
{
	const struct ioapic_msg msg = {
		.dest = take(1), .vector = (uint8_t)take(1), .mode = (enum apic_mode)(take(1) & 7),
		.is_logical = take(1) & 1, .is_level = take(1) & 1,
	};
	unsigned named = addressed(NULL, 0, msg.dest, msg.is_logical, false);

	forget();
	(void)apic_bus_deliver(&fuzz.vm, &msg);
	check(msg.mode, msg.vector, msg.mode == APIC_SIPI ? 0 : named);	/* a SIPI comes from a processor only */
}

/* KVM's SEND_IPI, read once more. */
static void send_set(void)
{
	const uint64_t set = (uint64_t)take(4) << 32 | take(4);
	const uint32_t pick = take(1), first = pick & 0x40 ? take(4) : pick & 0x80 ? 0U - (pick & 7) : pick & 7;
	const enum apic_mode mode = take(1) & 1 ? APIC_NMI : APIC_FIXED;
	const uint8_t vector = (uint8_t)take(1);
	unsigned named = 0, want = 0;

	for (uint32_t i = 0; i < VCPUS; i++) {
		const struct vcpu *vcpu = &fuzz.vcpus[i];

		if (i < first || i - first >= 64 || !(set >> (i - first) & 1))
			continue;
		named |= 1U << i;
		want += mode == APIC_NMI ? vcpu->state != VCPU_PARKED : listens(vcpu) && vector >= 16;
	}
	forget();
	assert(apic_bus_send_set(&fuzz.vm, first, set, mode, vector) == want);
	if (mode == APIC_NMI || vector >= 16)
		check(mode, vector, named);
}

static void change(struct vcpu *vcpu)
{
	static const uint16_t regs[] = { 0x80, 0xd0, 0xe0, 0xf0, 0x370 };	/* TPR LDR DFR SVR error */
	uint32_t which = take(1), value = take(4);

	if (which % 8 == 0) {
		(void)!lapic_base_write(&vcpu->lapic, LAPIC_BASE | (value & 0xc00));
	} else if (which % 8 == 1) {
		vcpu->state = value & 1 ? VCPU_PARKED : VCPU_READY;
	} else {
		uint16_t reg = regs[which % 5];

		lapic_mmio_write(&vcpu->lapic, reg, 4, value);
		(void)!lapic_msr_write(&vcpu->lapic, 0x800 + reg / 16U, value & 0x3ff);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&fuzz, 0, sizeof(fuzz));
	fuzz.data = data;
	fuzz.size = size;
	fuzz.vm.vcpu_count = VCPUS;
	for (uint32_t i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = &fuzz.vcpus[i];

		fuzz.vm.vcpus[i] = vcpu;
		vcpu->vm = &fuzz.vm;
		vcpu->processor = host_processor();
		vcpu->id = i;
		vcpu->state = VCPU_READY;
		lapic_init(&vcpu->lapic, i, &env, vcpu, &fake_clock, &vcpu->tsc_offset);
		lapic_mmio_write(&vcpu->lapic, 0xf0, 4, 0x1ff);
		lapic_mmio_write(&vcpu->lapic, 0xd0, 4, 1U << (24 + i));
	}
	for (unsigned i = 0; i < OPS_MAX && fuzz.size; i++) {
		uint32_t what = take(1);

		if (what % 4 == 0)
			change(&fuzz.vcpus[what / 4 % VCPUS]);
		else if (what % 4 == 1 && what & 0x80)
			send_set();
		else if (what % 4 == 1)
			send_message();
		else
			send_icr(&fuzz.vcpus[what / 4 % VCPUS]);
	}
	while (host_processor()->timers.first)
		timer_disarm(host_processor()->timers.first);
	return 0;
}
