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
	assert_int_equal(cpu_fake.attention, ATTENTION_OTHER);

	host_kick(&other.processor, KICK_ASK);
	assert_int_equal(sent, 0x4400);

	cpu_fake.loaded = NULL;
	host_kick(&other.processor, KICK_LOOK);		/* it has been unloaded meanwhile: vcpu_load looks */
	handlers[sent & 0xff]((uint8_t)sent);
}

/* Who has set it decides whether a guest may go on behind its own timers: nobody's word hides another's. */
static void test_attention(void **unused)
{
	static const struct { uint8_t before; bool is_set, is_timer; uint8_t behind_set; } rows[] = {
		{ 0, false, false, ATTENTION_OTHER },
		{ ATTENTION_TIMER, true, true, ATTENTION_TIMER | ATTENTION_OTHER },
		{ ATTENTION_OTHER, true, false, ATTENTION_OTHER },
		{ ATTENTION_TIMER | ATTENTION_OTHER, true, false, ATTENTION_TIMER | ATTENTION_OTHER },
	};

	(void)unused;
	cpu_fake_install();
	for (size_t i = 0; row_of(rows, i); i++) {
		cpu_fake.attention = rows[i].before;
		assert_int_equal(host_attention_is_set(), rows[i].is_set);
		assert_int_equal(host_attention_is_timer(), rows[i].is_timer);
		assert_false(host_attention_is_look());
		host_attention_look(true);
		assert_int_equal(host_attention_is_look(), !rows[i].before);
		host_attention_look(false);
		host_attention_set();
		assert_int_equal(cpu_fake.attention, rows[i].behind_set);
		host_attention_look(true);
		assert_true(host_attention_is_set() && !host_attention_is_timer());
		host_attention_look(false);
		assert_int_equal(cpu_fake.attention, rows[i].behind_set);
		host_attention_clear();
		assert_int_equal(cpu_fake.attention, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kick), cmocka_unit_test(test_attention) };

	return cmocka_run_group_tests_name("kick", tests, NULL, NULL);
}
