/* SPDX-License-Identifier: MIT */
/*
 * Requests to a vCPU of another processor: what waits until its owner takes it, who is kicked how, and what
 * comes of several requests at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "clock_fake.h"
#include "hv/host.h"
#include "hv/look.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "processor_fake.h"

#define SVR		0xf0
#define SVR_ON		0x1ff
#define EOI		0xb0
#define LINT0		0x350
#define VECTOR		0x41

/* Numbers of the fake processors. */
enum { HERE, ELSEWHERE };
static struct vm vm;
static struct vcpu vcpu;
static struct look look;
static bool sipi_comes;		/* while the owner acts on an INIT */
static unsigned asked;		/* whether all of the VM sleeps */
static struct { unsigned looks, wakes, kicks, inits, sipis, flushes, leaves, nmis, eois; uint8_t sipi, eoi; } seen;

/* ---- The world around the code under test ---- */

void host_attention_set(void) { seen.leaves++; }
void vcpu_kick(struct vcpu *of) { assert_ptr_equal(of->processor, host_processor()); seen.kicks++; }

void host_kick(struct processor *of, enum host_kick what)
{
	assert_ptr_equal(of, vcpu.processor);
	assert_ptr_not_equal(of, host_processor());
	assert_int_not_equal(vcpu.requests, 0);		/* or the owner finds nothing */
	seen.looks += what == KICK_LOOK;
	seen.wakes += what == KICK_WAKE;
}

void vcpu_take_init(struct vcpu *of)
{
	assert_int_equal(seen.sipis, 0);	/* an INIT behind a SIPI makes that void, so it is the first of the two */
	lapic_reset(&of->lapic, true);
	of->nmi_pending = of->is_unhalted = false;
	if (sipi_comes) {
		processor_fake_run_on(HERE);
		(void)vcpu_request_sipi(of, 7);
		processor_fake_run_on(ELSEWHERE);
	}
	of->state = VCPU_PARKED;
	seen.inits++;
}

void vcpu_take_sipi(struct vcpu *of, uint8_t vector)
{
	of->state = VCPU_READY;
	seen.sipi = vector;
	seen.sipis++;
}

void vm_stop_if_asleep(struct vm *of)
{
	assert_ptr_equal(of, &vm);
	assert_false(vcpu.requests & REQUEST_TAKING);	/* or nobody would see that it sleeps */
	asked++;
}

static void flush(struct vcpu *of) { (void)of; seen.flushes++; }
static const struct virt_backend backend = { .flush = flush };
const struct virt_backend *virt = &backend;

static void env_kick(void *ctx) { vcpu_kick(ctx); }
static void env_nmi(void *ctx) { (void)ctx; seen.nmis++; }
static void env_eoi(void *ctx, uint8_t vector) { (void)ctx; seen.eois++; seen.eoi = vector; }
static const struct lapic_env env = { .kick = env_kick, .nmi = env_nmi, .eoi = env_eoi };

static int set_up(void **unused)
{
	(void)unused;
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	vcpu.id = 1;
	vcpu.state = VCPU_READY;
	vcpu.processor = look.home = &processors_fake[ELSEWHERE];
	vcpu.look = &look;
	look.is_posted = false;
	processors_fake[ELSEWHERE].looks = NULL;
	processor_fake_run_on(HERE);
	lapic_init(&vcpu.lapic, 1, &env, &vcpu, &fake_clock, &vcpu.tsc_offset);
	lapic_mmio_write(&vcpu.lapic, SVR, 4, SVR_ON);
	memset(&seen, 0, sizeof(seen));
	sipi_comes = false;
	asked = 0;
	return 0;
}

/* What its owner does before the next entry. */
static void take(void)
{
	processor_fake_run_on(ELSEWHERE);
	(void)look_take(&host_processor()->looks, &(uint64_t){ 0 });
	vcpu_take_requests(&vcpu);
	processor_fake_run_on(HERE);
	assert_int_equal(vcpu.requests, 0);
}

static bool has(const uint32_t *set, uint8_t vector) { return set[vector / 32] >> vector % 32 & 1; }

/* ---- Tests ---- */

static void test_unhalt(void **unused)
{
	(void)unused;
	vcpu_request(&vcpu, REQUEST_UNHALT);
	assert_false(vcpu.is_unhalted);
	assert_int_equal(seen.looks, 1);
	take();
	assert_true(vcpu.is_unhalted);
	assert_int_equal(seen.kicks, 1);
}

/* INIT discards a call that came before it, also one that is taken with it. */
static void test_unhalt_and_init(void **unused)
{
	(void)unused;
	vcpu_request(&vcpu, REQUEST_UNHALT);
	vcpu_request_init(&vcpu);
	take();
	assert_false(vcpu.is_unhalted);
}

static void test_waits_for_its_owner(void **unused)
{
	(void)unused;
	vcpu_post(&vcpu, VECTOR, false);
	vcpu_request(&vcpu, REQUEST_NMI);
	assert_int_equal(vcpu.lapic.irr_words, 0);
	assert_false(vcpu.nmi_pending);
	assert_int_equal(seen.looks, 2);
	take();
	assert_true(has(vcpu.lapic.s.irr, VECTOR));
	assert_true(vcpu.nmi_pending);
	assert_true(seen.kicks >= 2);
	seen.kicks = 0;
	take();			/* once is enough */
	assert_int_equal(seen.kicks, 0);
}

/* Of several things that could be done only what was asked for is. */
static void test_nothing_else(void **unused)
{
	(void)unused;
	vcpu.lapic.s.lint0_is_high = true;
	vcpu.posted[0][1] = 2;		/* its sender has not come to the request yet */
	vcpu_request(&vcpu, REQUEST_NMI);
	take();
	assert_true(vcpu.nmi_pending);
	assert_true(vcpu.lapic.s.lint0_is_high);
	assert_int_equal(vcpu.lapic.irr_words, 0);
	assert_int_equal(seen.inits + seen.sipis + seen.flushes + seen.leaves, 0);
	vcpu_request_lint0(&vcpu, true);
	assert_int_equal(vcpu.requests, REQUEST_LINT0 | REQUEST_LINT0_HIGH);
}

/* Only the scheduler finds a vCPU that sleeps. */
static void test_whom_it_wakes(void **unused)
{
	static const struct { enum vcpu_state state; bool wakes; } rows[] = {
		{ VCPU_READY, false }, { VCPU_HALTED, true }, { VCPU_PARKED, true },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(unused);
		vcpu.state = rows[i].state;
		vcpu_request(&vcpu, REQUEST_FLUSH);
		assert_int_equal(seen.wakes, rows[i].wakes);
		assert_int_equal(seen.looks, !rows[i].wakes);
	}
}

/* The owner's own requests are acted on at once and interrupt nobody. */
static void test_own(void **unused)
{
	(void)unused;
	vcpu.processor = host_processor();
	vcpu_post(&vcpu, VECTOR, false);
	assert_true(has(vcpu.lapic.s.irr, VECTOR));
	vcpu_request(&vcpu, REQUEST_END);
	vcpu_request(&vcpu, REQUEST_FLUSH);
	assert_int_equal(seen.leaves, 1);
	assert_int_equal(seen.flushes, 1);
	assert_int_equal(seen.looks + seen.wakes, 0);
	assert_int_equal(vcpu.requests, 0);
}

/* All vectors of both kinds; a vector that came as both is level-triggered, or its sender would wait for ever. */
static void test_edges_and_levels(void **unused)
{
	(void)unused;
	for (unsigned vector = 16; vector < 256; vector++)
		vcpu_post(&vcpu, (uint8_t)vector, vector % 3 == 0);
	vcpu_post(&vcpu, VECTOR, true);
	vcpu_post(&vcpu, VECTOR, false);
	take();
	for (unsigned vector = 16; vector < 256; vector++) {
		assert_true(has(vcpu.lapic.s.irr, (uint8_t)vector));
		assert_int_equal(has(vcpu.lapic.s.tmr, (uint8_t)vector), vector % 3 == 0 || vector == VECTOR);
	}
	processor_fake_run_on(ELSEWHERE);
	lapic_accept(&vcpu.lapic, VECTOR);
	lapic_mmio_write(&vcpu.lapic, EOI, 4, 0);
	assert_int_equal(seen.eois, 1);
	assert_int_equal(seen.eoi, VECTOR);
}

/* Vectors below 16 are an error of the receiver, which it reads in ESR. */
static void test_illegal_vector(void **unused)
{
	(void)unused;
	vcpu_post(&vcpu, 15, false);
	take();
	assert_int_equal(vcpu.lapic.irr_words, 0);
	lapic_mmio_write(&vcpu.lapic, 0x280, 4, 0);
	assert_int_equal(lapic_mmio_read(&vcpu.lapic, 0x280, 4), 0x40);
}

/*
 * An APIC switched off by software keeps what it has accepted. One that is off altogether, or was reset, has
 * lost it.
 */
static void test_switched_off_meanwhile(void **unused)
{
	(void)unused;
	vcpu_post(&vcpu, VECTOR, true);
	lapic_mmio_write(&vcpu.lapic, SVR, 4, 0xff);
	take();
	assert_true(has(vcpu.lapic.s.irr, VECTOR));
	vcpu_post(&vcpu, VECTOR + 1, true);
	processor_fake_run_on(ELSEWHERE);
	assert_true(lapic_base_write(&vcpu.lapic, LAPIC_BASE));
	take();
	assert_int_equal(vcpu.lapic.irr_words, 0);
	set_up(unused);
	vcpu_post(&vcpu, VECTOR, true);
	vcpu.state = VCPU_PARKED;
	take();
	assert_int_equal(vcpu.lapic.irr_words, 0);
	vcpu.state = VCPU_READY;
	take();
	assert_int_equal(vcpu.lapic.irr_words, 0);	/* it does not come back either */
}

/* INIT discards what was there before it, and from the moment it is sent the vCPU takes nothing but a SIPI. */
static void test_init(void **unused)
{
	(void)unused;
	vcpu_post(&vcpu, VECTOR, false);
	vcpu_request(&vcpu, REQUEST_NMI);
	assert_false(vcpu_is_parked(&vcpu));
	vcpu_request_init(&vcpu);
	assert_true(vcpu_is_parked(&vcpu));
	take();
	assert_true(vcpu_is_parked(&vcpu));
	assert_int_equal(seen.inits, 1);
	assert_int_equal(vcpu.lapic.irr_words, 0);
	assert_false(vcpu.nmi_pending);
}

/* In the order in which they were sent, with the owner looking after those at which there is a 't'. */
static void test_start(void **unused)
{
	static const struct { const char *sent; enum vcpu_state from, to; unsigned inits, sipis; uint8_t vector; } rows[] = {
		{ "1t",		VCPU_PARKED, VCPU_READY, 0, 1, 1 },
		{ "12t",	VCPU_PARKED, VCPU_READY, 0, 1, 1 },	/* the usual pair: the second finds it started */
		{ "1t2t",	VCPU_PARKED, VCPU_READY, 0, 1, 1 },
		{ "1t",		VCPU_READY, VCPU_READY, 0, 0, 0 },
		{ "1t",		VCPU_HALTED, VCPU_HALTED, 0, 0, 0 },
		{ "i12t",	VCPU_READY, VCPU_READY, 1, 1, 1 },
		{ "it1t2t",	VCPU_READY, VCPU_READY, 1, 1, 1 },
		{ "1it",	VCPU_PARKED, VCPU_PARKED, 1, 0, 0 },	/* the start is void */
		{ "1i2t",	VCPU_PARKED, VCPU_READY, 1, 1, 2 },
		{ "1ii2t",	VCPU_PARKED, VCPU_READY, 1, 1, 2 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(unused);
		vcpu.state = rows[i].from;
		for (const char *at = rows[i].sent; *at; at++) {
			if (*at == 't')
				take();
			else if (*at == 'i')
				vcpu_request_init(&vcpu);
			else
				(void)vcpu_request_sipi(&vcpu, (uint8_t)(*at - '0'));
		}
		assert_int_equal(vcpu.state, rows[i].to);
		assert_int_equal(seen.inits, rows[i].inits);
		assert_int_equal(seen.sipis, rows[i].sipis);
		assert_int_equal(seen.sipi, rows[i].vector);
	}
}

/* Each of them is followed by a kick, but not what is ignored. */
static void test_start_kicks(void **unused)
{
	(void)unused;
	assert_false(vcpu_request_sipi(&vcpu, 9));	/* it does not wait for one */
	vcpu_request_init(&vcpu);
	assert_int_equal(seen.looks, 1);
	take();
	assert_true(vcpu_request_sipi(&vcpu, 9));
	assert_int_equal(seen.wakes, 1);
	assert_false(vcpu_request_sipi(&vcpu, 9));
	vcpu_request_lint0(&vcpu, true);
	assert_int_equal(seen.wakes, 1);	/* its scheduler will look anyhow */
	take();
	vcpu_request_lint0(&vcpu, false);
	assert_int_equal(seen.looks + seen.wakes, 3);
}

/* While its owner acts on an INIT nobody else knows yet that it is parked: a SIPI waits for the owner's decision. */
static void test_sipi_in_between(void **unused)
{
	(void)unused;
	vcpu.requests = REQUEST_TAKING;
	assert_true(vcpu_request_sipi(&vcpu, 7));
	assert_int_equal(vcpu.requests, REQUEST_TAKING | REQUEST_SIPI | 7U << 24);
	vcpu.requests = 0;
	sipi_comes = true;
	vcpu_request_init(&vcpu);
	take();			/* both: nobody wakes it for a SIPI that was sent before it was parked */
	assert_int_equal(seen.sipi, 7);
	assert_int_equal(vcpu.state, VCPU_READY);
}

/*
 * LINT0 in mode NMI, which a rise sends. h and l: told high and low; t: the owner looks. The capital letter is what the
 * pin was before.
 */
static void test_lint0(void **unused)
{
	static const struct { const char *told; unsigned nmis; bool is_high; } rows[] = {
		{ "Lht", 1, true }, { "Lhlt", 1, false }, { "Lhtlt", 1, false }, { "Lhlht", 1, true }, { "Lhtht", 1, true },
		{ "Hht", 0, true }, { "Hlt", 0, false }, { "Hlht", 1, true }, { "Hltht", 1, true }, { "Hhht", 0, true },
		{ "Lllt", 0, false }, { "Hllt", 0, false }, { "Llht", 1, true },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(unused);
		lapic_mmio_write(&vcpu.lapic, LINT0, 4, 0x400);
		vcpu.lapic.s.lint0_is_high = rows[i].told[0] == 'H';
		for (const char *at = rows[i].told + 1; *at; at++) {
			if (*at == 't')
				take();
			else
				vcpu_request_lint0(&vcpu, *at == 'h');
		}
		assert_int_equal(seen.nmis, rows[i].nmis);
		assert_int_equal(vcpu.lapic.s.lint0_is_high, rows[i].is_high);
	}
}

/* HLT with a request that came before: the owner takes it, or nobody would wake the vCPU. */
static void test_halt(void **unused)
{
	(void)unused;
	processor_fake_run_on(ELSEWHERE);
	vcpu_halt(&vcpu);
	assert_int_equal(vcpu.state, VCPU_HALTED);
	assert_int_equal(vm.halts, 1);
	assert_int_equal(seen.kicks, 0);
	set_up(unused);
	vcpu_request(&vcpu, REQUEST_NMI);
	processor_fake_run_on(ELSEWHERE);
	vcpu_halt(&vcpu);
	assert_int_equal(seen.kicks, 1);
	assert_int_equal(vcpu.requests, 0);
}

/*
 * What was taken woke nobody, and the last that could run may have gone to sleep meanwhile. Others that are
 * parked may be wiped.
 */
static void test_sleeps_on(void **unused)
{
	static const struct { enum vcpu_state state; bool halted_if; uint32_t what; bool asks; } rows[] = {
		{ VCPU_READY, false, REQUEST_INIT, true },	{ VCPU_HALTED, true, REQUEST_INIT, true },
		{ VCPU_READY, false, REQUEST_FLUSH, false },	{ VCPU_READY, false, REQUEST_INIT | REQUEST_SIPI, false },
		{ VCPU_HALTED, false, REQUEST_FLUSH, true },	{ VCPU_HALTED, true, REQUEST_FLUSH, false },
		{ VCPU_PARKED, false, REQUEST_LINT0, false },	{ VCPU_PARKED, false, REQUEST_INIT, true },
		{ VCPU_PARKED, false, REQUEST_SIPI, false },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(unused);
		vcpu.state = rows[i].state;
		vcpu.halted_if = rows[i].halted_if;
		vcpu.requests = rows[i].what;
		take();
		assert_int_equal(asked, rows[i].asks);
	}
}

static void ask_irq(void) { vcpu_post(&vcpu, VECTOR, false); }
static void ask_nmi(void) { vcpu_request(&vcpu, REQUEST_NMI); }
static void ask_init(void) { vcpu_request_init(&vcpu); }
static void ask_high(void) { vcpu_request_lint0(&vcpu, true); }
static void ask_low(void) { vcpu_request_lint0(&vcpu, false); }
static void ask_flush(void) { vcpu_request(&vcpu, REQUEST_FLUSH); }

/* To start it anew, as often as its guest likes: the SIPI is told with the INIT. */
static void ask_start(void)
{
	vcpu_request_init(&vcpu);
	(void)vcpu_request_sipi(&vcpu, 1);
}

/* As often as a guest likes: another processor is interrupted once until it has taken that. */
static void test_asked_often(void **unused)
{
	static void (*const asks[])(void) = { ask_irq, ask_nmi, ask_init, ask_high, ask_low, ask_start };
	static const enum vcpu_state states[] = { VCPU_READY, VCPU_HALTED };

	for (size_t i = 0; row_of(asks, i); i++)
		for (size_t k = 0; k < countof(states); k++) {
			const unsigned is_asleep = states[k] != VCPU_READY;

			set_up(unused);
			vcpu.state = states[k];
			for (unsigned n = 0; n < 1000; n++)
				asks[i]();
			assert_int_equal(seen.looks, !is_asleep);
			assert_int_equal(seen.wakes, is_asleep);
			ask_flush();			/* something else: who sleeps is looked at anyhow */
			assert_int_equal(seen.looks + seen.wakes, 2 - is_asleep);
			take();
			vcpu.state = states[k];
			asks[i]();
			assert_int_equal(seen.looks + seen.wakes, 3 - is_asleep);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unhalt, set_up), cmocka_unit_test_setup(test_unhalt_and_init, set_up), cmocka_unit_test_setup(test_waits_for_its_owner, set_up),
		cmocka_unit_test_setup(test_nothing_else, set_up),
		cmocka_unit_test_setup(test_whom_it_wakes, set_up),
		cmocka_unit_test_setup(test_own, set_up),
		cmocka_unit_test_setup(test_edges_and_levels, set_up),
		cmocka_unit_test_setup(test_illegal_vector, set_up),
		cmocka_unit_test_setup(test_switched_off_meanwhile, set_up),
		cmocka_unit_test_setup(test_init, set_up),
		cmocka_unit_test_setup(test_start, set_up),
		cmocka_unit_test_setup(test_start_kicks, set_up),
		cmocka_unit_test_setup(test_sipi_in_between, set_up),
		cmocka_unit_test_setup(test_lint0, set_up),
		cmocka_unit_test_setup(test_halt, set_up),
		cmocka_unit_test_setup(test_sleeps_on, set_up), cmocka_unit_test_setup(test_asked_often, set_up),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
