/* SPDX-License-Identifier: MIT */
/* What is injected next, and what becomes of two events: SDM vol. 3, 6.9 and table 6-5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/virt/event.h"
#include "arch/x86/virt/inject.h"
#include "hv/lib/util.h"

/* All 64 situations against the rules in words. */
static void test_every_situation(void **unused)
{
	(void)unused;
	for (unsigned bits = 0; bits < 64; bits++) {
		const struct inject_facts facts = {
			.has_pending = bits & 1, .nmi_pending = bits & 2, .irq_pending = bits & 4,
			.nmi_blocked = bits & 8, .if_set = bits & 16, .in_shadow = bits & 32,
		};
		const struct inject_plan plan = inject_decide(&facts);

		/* An interrupted event always goes first. */
		assert_true((plan.what == INJECT_PENDING) == facts.has_pending);
		if (plan.what == INJECT_NMI)
			assert_true(facts.nmi_pending && !facts.nmi_blocked && !facts.in_shadow);
		if (plan.what == INJECT_IRQ)
			assert_true(facts.irq_pending && facts.if_set && !facts.in_shadow);
		/* Nothing that could go is left, and an NMI goes before an interrupt. */
		if (plan.what != INJECT_PENDING && facts.nmi_pending && !facts.nmi_blocked && !facts.in_shadow)
			assert_int_equal(plan.what, INJECT_NMI);
		if (plan.what == INJECT_NOTHING)
			assert_false(facts.irq_pending && facts.if_set && !facts.in_shadow);
		/* What has to wait has a window opened for it. */
		assert_true(plan.want_nmi_window == (facts.nmi_pending && plan.what != INJECT_NMI));
		assert_true(plan.want_irq_window == (facts.irq_pending && plan.what != INJECT_IRQ));
	}
}

enum outcome { SECOND, DOUBLE, TRIPLE };

static const struct { uint8_t first, second; enum outcome outcome; } pairs[] = {
	{ VEC_DE, VEC_GP, DOUBLE },	{ VEC_GP, VEC_NP, DOUBLE },	{ VEC_SS, VEC_TS, DOUBLE },
	{ VEC_GP, VEC_PF, SECOND },	{ VEC_PF, VEC_GP, DOUBLE },	{ VEC_PF, VEC_PF, DOUBLE },
	{ VEC_UD, VEC_GP, SECOND },	{ VEC_GP, VEC_UD, SECOND },	{ VEC_PF, VEC_DB, SECOND },
	{ VEC_DB, VEC_PF, SECOND },	{ VEC_AC, VEC_AC, SECOND },	{ VEC_DB, VEC_DB, SECOND },
	{ VEC_DF, VEC_GP, TRIPLE },	{ VEC_DF, VEC_PF, TRIPLE },	{ VEC_DF, VEC_DB, SECOND },
	{ VEC_BP, VEC_NP, SECOND },	{ VEC_NM, VEC_SS, SECOND },	{ VEC_TS, VEC_DE, DOUBLE },
};

static void test_pairs(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(pairs); i++) {
		struct vevent pending = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = pairs[i].first };
		const struct vevent second = {
			.is_valid = true, .type = VEVENT_EXCEPTION, .vector = pairs[i].second, .has_error = true, .error = 5,
		};

		if (vevent_combine(&pending, &second) != (pairs[i].outcome != TRIPLE))
			fail_msg("row %zu", i);
		if (pairs[i].outcome == TRIPLE)
			continue;
		assert_int_equal(pending.vector, pairs[i].outcome == DOUBLE ? VEC_DF : pairs[i].second);
		assert_int_equal(pending.error, pairs[i].outcome == DOUBLE ? 0 : 5);
		assert_true(pending.is_valid && pending.has_error);
	}
}

/* An interrupt, NMI or INT n whose delivery faults: benign, the fault is handled alone. */
static void test_other_events_are_benign(void **unused)
{
	static const enum vevent_type types[] = { VEVENT_IRQ, VEVENT_NMI, VEVENT_SOFT_INT, VEVENT_SOFT_EXC };
	const struct vevent gp = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP };

	(void)unused;
	for (size_t i = 0; row_of(types, i); i++) {
		struct vevent pending = { .is_valid = true, .type = types[i], .vector = VEC_PF };

		assert_true(vevent_combine(&pending, &gp));
		assert_int_equal(pending.vector, VEC_GP);
	}
	struct vevent none = { .is_valid = false, .type = VEVENT_EXCEPTION, .vector = VEC_DF };

	assert_true(vevent_combine(&none, &gp));
	assert_int_equal(none.vector, VEC_GP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_situation),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_other_events_are_benign),
	};

	return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
