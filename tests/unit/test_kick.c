/* SPDX-License-Identifier: MIT */
/* Interrupts between processors of ours: which message is sent, and what the one who gets it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/kick.h"
#include "arch/x86/host/lapic.h"
#include "cpu_fake.h"
#include "hv/host.h"
#include "hv/vcpu.h"

static void (*handlers[256])(uint8_t vector);
static void taken(uint8_t vector) { (void)vector; }
static uint32_t sent_to;
static uint64_t sent;

void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t))
{
	assert_null(handlers[vector]);		/* each of our vectors has one meaning */
	handlers[vector] = handler;
}

void host_lapic_send(uint32_t apic_id, uint64_t command)
{
	sent_to = apic_id;
	sent = command;
}

/* Fixed, asserted, edge-triggered, to one processor: SDM vol. 3, 11.6.1 "Interrupt Command Register (ICR)". */
static void test_kick(void **unused)
{
	struct cpu other = { .apic_id = 7 };
	struct vcpu vcpu = { .irq_check = false };

	(void)unused;
	cpu_fake_install();
	handlers[VECTOR_TIMER] = handlers[VECTOR_SERIAL] = handlers[VECTOR_SPURIOUS] = taken;
	kick_init();
	cpu_fake.loaded = &vcpu;

	host_kick(&other.processor, KICK_LOOK);
	assert_int_equal(sent_to, 7);
	assert_int_equal(sent & ~0xffULL, 0x4000);
	handlers[sent & 0xff]((uint8_t)sent);
	assert_true(vcpu.irq_check);
	assert_false(cpu_fake.attention);	/* the guest that runs goes on */

	vcpu.irq_check = false;
	host_kick(&other.processor, KICK_WAKE);
	handlers[sent & 0xff]((uint8_t)sent);
	assert_false(vcpu.irq_check);
	assert_true(cpu_fake.attention);

	cpu_fake.loaded = NULL;
	host_kick(&other.processor, KICK_LOOK);		/* it has been unloaded meanwhile: vcpu_load looks */
	handlers[sent & 0xff]((uint8_t)sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kick) };

	return cmocka_run_group_tests_name("kick", tests, NULL, NULL);
}
