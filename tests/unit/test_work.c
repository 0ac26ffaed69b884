/* SPDX-License-Identifier: MIT */
/* A VM's list of work: in order, each once, one at a time, and the wake-up that makes the scheduler look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/work.h"

struct fixture {
	struct work_list list;
	unsigned         wakes;
	char             said[16];	/* the name of each item that ran */
	unsigned         said_len;
};

struct item {
	struct work     work;
	struct fixture *f;
	char            name;
	unsigned        again;		/* how often it puts itself off */
};

static void wake(void *ctx)
{
	((struct fixture *)ctx)->wakes++;
}

static void run(void *ctx)
{
	struct item *item = ctx;

	item->f->said[item->f->said_len++] = item->name;
	if (item->again) {
		item->again--;
		work_add(&item->f->list, &item->work);
	}
}

static struct item make(struct fixture *f, char name, unsigned again)
{
	return (struct item){ .work = { .run = run }, .f = f, .name = name, .again = again };
}

static void items_run_in_order_and_one_that_puts_itself_off_goes_last(void **state)
{
	struct fixture f = { .list = { .wake = wake, .ctx = &f } };
	struct item items[] = { make(&f, 'a', 2), make(&f, 'b', 0), make(&f, 'c', 1) };

	(void)state;
	for (unsigned i = 0; i < countof(items); i++) {
		items[i].work.ctx = &items[i];
		work_add(&f.list, &items[i].work);
		work_add(&f.list, &items[i].work);	/* twice is once */
	}
	for (unsigned i = 1; i <= 6; i++) {
		assert_true(work_is_pending(&f.list));
		work_run_one(&f.list);
		assert_int_equal(f.said_len, i);
	}
	assert_false(work_is_pending(&f.list));
	assert_string_equal(f.said, "abcaca");
	work_run_one(&f.list);
	assert_int_equal(f.said_len, 6);
}

static void only_the_first_item_of_an_idle_list_wakes(void **state)
{
	struct fixture f = { .list = { .wake = wake, .ctx = &f } };
	struct item a = make(&f, 'a', 1), b = make(&f, 'b', 0);

	(void)state;
	a.work.ctx = &a;
	b.work.ctx = &b;
	work_add(&f.list, &a.work);
	assert_int_equal(f.wakes, 1);
	work_add(&f.list, &b.work);
	assert_int_equal(f.wakes, 1);
	work_run_one(&f.list);
	work_run_one(&f.list);
	work_run_one(&f.list);		/* `a` again, which was added while the list ran */
	assert_int_equal(f.wakes, 1);
	assert_false(work_is_pending(&f.list));
	work_add(&f.list, &b.work);
	assert_int_equal(f.wakes, 2);
}

/* Who is added quietly wakes nobody, and keeps nobody from being woken for another, or for itself. */
static void a_quiet_item_waits_for_the_next_turn(void **state)
{
	struct fixture f = { .list = { .wake = wake, .ctx = &f } };
	struct item a = make(&f, 'a', 0), b = make(&f, 'b', 0);

	(void)state;
	a.work.ctx = &a;
	b.work.ctx = &b;
	work_add_quietly(&f.list, &a.work);
	work_add_quietly(&f.list, &a.work);
	assert_int_equal(f.wakes, 0);
	assert_true(work_is_pending(&f.list));
	work_add(&f.list, &b.work);
	assert_int_equal(f.wakes, 1);
	work_run_one(&f.list);
	work_add(&f.list, &a.work);		/* `b` is left: the VM's home knows already */
	assert_int_equal(f.wakes, 1);
	work_run_one(&f.list);
	work_run_one(&f.list);
	assert_string_equal(f.said, "aba");
	assert_false(work_is_pending(&f.list));
	work_add_quietly(&f.list, &a.work);
	work_add(&f.list, &a.work);
	assert_int_equal(f.wakes, 2);
	work_run_one(&f.list);
	assert_false(work_is_pending(&f.list));
}

static void answer(void *ctx)
{
	struct fixture *f = ctx;

	f->said[f->said_len++] = '!';
	if (f->said_len == 1)
		work_ask(&f->list);		/* word that comes while it answers */
}

/* Others' words go first, each is answered, and who waits is not forgotten. */
static void words_of_others_are_answered_first(void **state)
{
	struct fixture f = { .list = { .wake = wake, .answer = answer, .ctx = &f } };
	struct item a = make(&f, 'a', 0);

	(void)state;
	a.work.ctx = &a;
	work_add(&f.list, &a.work);
	work_ask(&f.list);
	work_ask(&f.list);
	while (work_is_pending(&f.list))
		work_run_one(&f.list);
	assert_string_equal(f.said, "!!a");
	work_ask(&f.list);
	assert_true(work_is_pending(&f.list));
	work_run_one(&f.list);
	assert_false(work_is_pending(&f.list));
	assert_int_equal(f.said_len, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_run_in_order_and_one_that_puts_itself_off_goes_last),
		cmocka_unit_test(only_the_first_item_of_an_idle_list_wakes),
		cmocka_unit_test(a_quiet_item_waits_for_the_next_turn),
		cmocka_unit_test(words_of_others_are_answered_first),
	};

	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
