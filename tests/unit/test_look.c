/* SPDX-License-Identifier: MIT */
/* Looks: whose list they wait on, whom they interrupt, and that a change is looked at however often it is posted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/host.h"
#include "hv/look.h"
#include "processor_fake.h"

enum { HERE, ELSEWHERE };
static struct look looks[3];
static unsigned kicks[PROCESSORS];
static uint64_t since;		/* of the last look that was taken */

void host_kick(struct processor *processor, enum host_kick what)
{
	assert_int_equal(what, KICK_WAKE);
	assert_true(processor->looks || processor->resumes);	/* or it finds nothing when it comes */
	kicks[processor - processors_fake]++;
}

static int set_up(void **unused)
{
	(void)unused;
	processor_fake_run_on(HERE);
	for (unsigned i = 0; i < PROCESSORS; i++) {
		processors_fake[i].looks = NULL;
		kicks[i] = 0;
	}
	for (unsigned i = 0; i < 3; i++) {
		looks[i].home = &processors_fake[HERE];
		looks[i].is_posted = false;
	}
	return 0;
}

static unsigned take_all(unsigned on, unsigned *who)
{
	struct look *look;
	unsigned count = 0;

	*who = 0;
	since = UINT64_MAX;
	while ((look = look_take(&processors_fake[on].looks, &since))) {
		assert_false(look->is_posted);		/* before whoever looks reads what has changed */
		*who |= 1U << (look - looks);
		count++;
	}
	return count;
}

static void test_own(void **unused)
{
	unsigned who;

	(void)unused;
	look_post(NULL);	/* nobody looks yet */
	assert_int_equal(take_all(HERE, &who), 0);
	look_post(&looks[0]);
	look_post(&looks[2]);
	look_post(&looks[0]);	/* it waits already */
	assert_int_equal(take_all(HERE, &who), 2);
	assert_int_equal(who, 5);
	look_post(&looks[0]);	/* changed again behind the look */
	assert_int_equal(take_all(HERE, &who), 1);
	assert_int_equal(kicks[HERE] + kicks[ELSEWHERE], 0);
}

static void test_of_another_processor(void **unused)
{
	unsigned who;

	(void)unused;
	looks[1].home = &processors_fake[ELSEWHERE];
	look_post(&looks[1]);
	look_post(&looks[1]);
	assert_int_equal(kicks[ELSEWHERE], 1);		/* the second one changes nothing: it will look anyhow */
	assert_int_equal(take_all(HERE, &who), 0);
	assert_int_equal(take_all(ELSEWHERE, &who), 1);
	assert_int_equal(who, 2);
	look_post(&looks[1]);
	assert_int_equal(kicks[ELSEWHERE], 2);
}

/* Who posts it on another processor says when: its home pays for what that interrupts. */
static void test_since(void **unused)
{
	unsigned who;

	(void)unused;
	fake_now = 500;
	look_post(&looks[0]);
	assert_int_equal(take_all(HERE, &who), 1);
	assert_int_equal(since, 0);
	looks[1].home = &processors_fake[ELSEWHERE];
	look_post(&looks[1]);
	fake_now = 600;
	look_post(&looks[1]);		/* that was posted already */
	assert_int_equal(take_all(ELSEWHERE, &who), 1);
	assert_int_equal(since, 500);
	assert_false(look_is_here(&looks[1]));
	assert_true(look_is_here(&looks[0]));
}

/* One that is put off interrupts nobody, and comes back as its home's own. */
static void test_put_off(void **unused)
{
	unsigned who;

	(void)unused;
	looks[1].home = looks[2].home = &processors_fake[ELSEWHERE];
	look_post(&looks[1]);
	look_post(&looks[2]);
	assert_int_equal(take_all(ELSEWHERE, &who), 2);
	processor_fake_run_on(ELSEWHERE);
	assert_true(look_put_off(&looks[1]));
	assert_true(look_put_off(&looks[2]));
	processor_fake_run_on(HERE);
	look_post(&looks[1]);
	assert_int_equal(kicks[ELSEWHERE], 2);
	assert_int_equal(take_all(ELSEWHERE, &who), 0);
	processor_fake_run_on(ELSEWHERE);
	looks_resume();
	assert_int_equal(take_all(ELSEWHERE, &who), 2);
	assert_int_equal(since, 0);
	assert_int_equal(who, 6);
	looks_resume();			/* once */
	assert_int_equal(take_all(ELSEWHERE, &who), 0);
	look_post(&looks[1]);
	assert_false(look_put_off(&looks[1]));		/* it is posted again: nothing to put off */
	assert_int_equal(take_all(ELSEWHERE, &who), 1);
}

/* The end of a VM is no reason to wait: its home is told to look, whether the look has been put off or not. */
static void test_end(void **unused)
{
	struct processor *home = &processors_fake[ELSEWHERE];
	unsigned who;

	(void)unused;
	look_post_end(NULL);		/* nobody looks yet */
	looks[1].home = home;
	look_post_end(&looks[1]);
	assert_int_equal(kicks[ELSEWHERE], 1);
	assert_false(home->resumes);
	assert_int_equal(take_all(ELSEWHERE, &who), 1);
	processor_fake_run_on(ELSEWHERE);
	assert_true(look_put_off(&looks[1]));
	processor_fake_run_on(HERE);
	look_post_end(&looks[1]);
	assert_int_equal(kicks[ELSEWHERE], 2);
	assert_true(home->resumes);
	processor_fake_run_on(ELSEWHERE);
	look_post_end(&looks[1]);	/* who is there need not be interrupted */
	assert_int_equal(kicks[ELSEWHERE], 2);
	looks_resume();
	assert_false(home->resumes);
	assert_int_equal(take_all(ELSEWHERE, &who), 1);
}

/* Only a look that waits, of those of its processor, is taken back: it can be posted anew, and the others wait on. */
static void test_take_back(void **unused)
{
	unsigned who;

	(void)unused;
	for (unsigned i = 0; i < 3; i++)
		assert_true(look_put_off(&looks[i]));
	look_take_back(&looks[1]);
	assert_false(looks[1].is_posted);
	look_take_back(&looks[1]);
	looks_resume();
	assert_int_equal(take_all(HERE, &who), 2);
	assert_int_equal(who, 5);
	look_post(&looks[1]);
	look_take_back(&looks[1]);	/* it waits in the other list, for who takes it */
	assert_true(looks[1].is_posted);
	assert_int_equal(take_all(HERE, &who), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_own, set_up),
		cmocka_unit_test_setup(test_of_another_processor, set_up),
		cmocka_unit_test_setup(test_since, set_up),
		cmocka_unit_test_setup(test_put_off, set_up),
		cmocka_unit_test_setup(test_take_back, set_up),
		cmocka_unit_test_setup(test_end, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
