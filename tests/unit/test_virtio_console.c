/* SPDX-License-Identifier: MIT */
/*
 * The virtio console between a driver and a back that takes as much as the test lets it. What matters most:
 * no byte lost or doubled when either side is full, and both sides woken when they no longer are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/virtio/console.h"
#include "virtio_driver.h"

#define RX		VIRTIO_CONSOLE_RX
#define TX		VIRTIO_CONSOLE_TX
#define FEATURES	(VIRTIO_F_COMMON | VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_EMERG_WRITE)
#define OUT_MAX		65536U

struct fixture {
	struct drv            drv;
	struct virtio_console con;
	struct char_front     front;

	/* The back: room for this much more; what arrived; input it still holds. */
	size_t   room;
	uint8_t  out[OUT_MAX];
	size_t   out_len;
	uint8_t  in[OUT_MAX];
	size_t   in_len, in_done;
	unsigned readable_calls;
	bool     is_echo;
	bool     is_counting;	/* the back takes everything and only counts: bytes of this step, the most in one step */
	size_t   counted, most;
};

/* As the terminal does: offer what is left, keep what is not taken. */
static void give_input(struct fixture *f)
{
	f->in_done += f->front.input(f->front.dev, f->in + f->in_done, f->in_len - f->in_done);
}

static size_t back_write(void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;
	size_t part = len < f->room ? len : f->room;

	if (f->is_counting) {
		f->counted += len;
		return len;
	}
	assert_true(f->out_len + part <= OUT_MAX);
	memcpy(f->out + f->out_len, data, part);
	f->out_len += part;
	f->room -= part;
	if (f->is_echo) {
		memcpy(f->in + f->in_len, data, part);
		f->in_len += part;
		give_input(f);
	}
	return part;
}

/* Something is typed: the device asks for the VM's turn and takes it there. Returns how much it took. */
static size_t type(struct fixture *f, const char *text)
{
	const size_t done = f->in_done;

	memcpy(f->in + f->in_len, text, strlen(text));
	f->in_len += strlen(text);
	assert_int_equal(f->front.input(f->front.dev, f->in + done, f->in_len - done), 0);
	drv_work(&f->drv);
	return f->in_done - done;
}

static void back_readable(void *ctx)
{
	struct fixture *f = ctx;

	f->readable_calls++;
	if (f->in_done < f->in_len)
		give_input(f);
}

static void create(struct fixture *f, uint64_t features)
{
	const struct char_back back = { back_write, back_readable, f };

	memset(f, 0, sizeof(*f));
	f->room = OUT_MAX;
	virtio_console_init(&f->con, &back);
	f->front = virtio_console_front(&f->con);
	drv_create(&f->drv, &f->con.dev);
	if (features)
		drv_start(&f->drv, features);
	f->con.s.has_spoken = true;
}

/* Text into one buffer at DRV_DATA + slot pages, offered but not kicked. */
static void offer_text(struct fixture *f, unsigned slot, const void *text, uint32_t len)
{
	const uint64_t addr = DRV_DATA + slot * 4096ULL;

	drv_write_mem(&f->drv, addr, text, len);
	drv_desc(&f->drv, TX, slot, (struct drv_desc){ addr, len, 0, 0 });
	drv_offer(&f->drv, TX, (uint16_t)slot);
}

static void offer_room(struct fixture *f, unsigned slot, uint32_t len)
{
	drv_desc(&f->drv, RX, slot, (struct drv_desc){ DRV_DATA + 0x100000 + slot * 4096ULL, len, DESC_WRITE, 0 });
	drv_offer(&f->drv, RX, (uint16_t)slot);
}

/* Collect what was received, in order, into `to`. */
static size_t collect(struct fixture *f, uint8_t *to)
{
	uint32_t id, len;
	size_t done = 0;

	while (drv_take(&f->drv, RX, &id, &len)) {
		drv_read_mem(&f->drv, DRV_DATA + 0x100000 + id * 4096ULL, to + done, len);
		done += len;
	}
	return done;
}

static void acknowledge(struct fixture *f)
{
	drv_set(&f->drv, VIRTIO_MMIO_InterruptACK, drv_get(&f->drv, VIRTIO_MMIO_InterruptStatus));
}

static void output_reaches_the_back(void **state)
{
	struct fixture f;
	uint32_t id, len;

	(void)state;
	create(&f, FEATURES);
	offer_text(&f, 0, "hello, ", 7);
	offer_text(&f, 1, "world\n", 6);
	drv_kick(&f.drv, TX);
	assert_int_equal(f.out_len, 13);
	assert_memory_equal(f.out, "hello, world\n", 13);
	assert_true(drv_take(&f.drv, TX, &id, &len) && id == 0 && len == 0);
	assert_true(drv_take(&f.drv, TX, &id, &len) && id == 1 && len == 0);
	assert_true(f.drv.line);
	drv_destroy(&f.drv);
}

static void input_reaches_the_driver(void **state)
{
	struct fixture f;
	uint8_t got[64];

	(void)state;
	create(&f, FEATURES);
	offer_room(&f, 0, 4);
	offer_room(&f, 1, 16);
	drv_kick(&f.drv, RX);
	assert_int_equal(type(&f, "ls -l\n"), 6);
	assert_int_equal(collect(&f, got), 6);
	assert_memory_equal(got, "ls -l\n", 6);
	assert_true(f.drv.line);
	drv_destroy(&f.drv);
}

/* Linux throws away what comes before its console is made, although its buffers are there. */
static void input_waits_for_the_first_output(void **state)
{
	struct fixture f;
	uint8_t got[64];

	(void)state;
	create(&f, FEATURES);
	f.con.s.has_spoken = false;
	offer_room(&f, 0, 16);
	drv_kick(&f.drv, RX);
	assert_int_equal(type(&f, "uname\n"), 0);
	offer_text(&f, 0, "login: ", 7);
	drv_kick(&f.drv, TX);
	drv_work(&f.drv);
	assert_int_equal(collect(&f, got), 6);
	assert_memory_equal(got, "uname\n", 6);
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);	/* the next driver has to speak, too */
	assert_false(f.con.s.has_spoken);
	drv_destroy(&f.drv);
}

static void nothing_is_taken_before_the_driver_is_up(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, 0);
	assert_int_equal(f.front.input(f.front.dev, (const uint8_t *)"x", 1), 0);
	f.front.writable(f.front.dev);
	drv_negotiate(&f.drv, FEATURES);
	f.con.s.has_spoken = true;
	drv_ready(&f.drv, RX);
	offer_room(&f, 0, 16);
	assert_int_equal(f.front.input(f.front.dev, (const uint8_t *)"x", 1), 0);
	assert_int_equal(f.readable_calls, 0);
	drv_set(&f.drv, VIRTIO_MMIO_Status, drv_get(&f.drv, VIRTIO_MMIO_Status) | VIRTIO_STATUS_DRIVER_OK);
	drv_work(&f.drv);
	assert_true(f.readable_calls > 0);
	assert_int_equal(type(&f, "x"), 1);
	drv_destroy(&f.drv);
}

/* Back pressure, driver to back: the ring is full of output and the back takes it in small bites. */
static void full_back_stalls_output_and_writable_resumes_it(void **state)
{
	static const uint64_t feature_sets[] = { FEATURES, VIRTIO_F_VERSION_1 };

	(void)state;
	for (unsigned row = 0; row_of(feature_sets, row); row++) {
		static uint8_t want[DRV_SIZE * 1000];
		struct fixture f;
		uint32_t id, len;

		create(&f, feature_sets[row]);
		f.room = 10;
		for (size_t i = 0; i < sizeof(want); i++)
			want[i] = (uint8_t)(i * 31 + i / 256);
		for (unsigned i = 0; i < DRV_SIZE; i++)
			offer_text(&f, i, want + i * 1000, 1000);
		drv_kick_if_wanted(&f.drv, TX);
		assert_int_equal(f.out_len, 10);
		assert_false(drv_take(&f.drv, TX, &id, &len));
		drv_kick(&f.drv, TX);				/* kicking a full back changes nothing */
		assert_int_equal(f.out_len, 10);
		for (unsigned bite = 1; f.out_len < sizeof(want); bite = bite * 3 % 997) {
			f.room = bite;
			f.front.writable(f.front.dev);
			drv_work(&f.drv);
			if (f.drv.line)
				acknowledge(&f);
		}
		assert_int_equal(f.out_len, sizeof(want));
		assert_memory_equal(f.out, want, sizeof(want));
		for (unsigned i = 0; i < DRV_SIZE; i++)
			assert_true(drv_take(&f.drv, TX, &id, &len) && id == i);
		/* All is well again: the next line needs no help. */
		f.room = OUT_MAX;
		offer_text(&f, 0, "again", 5);
		drv_kick_if_wanted(&f.drv, TX);
		assert_memory_equal(f.out + sizeof(want), "again", 5);
		drv_destroy(&f.drv);
	}
}

/* Back pressure, back to driver: more input than buffers; every recycled buffer and kick moves on. */
static void empty_ring_stalls_input_and_a_kick_resumes_it(void **state)
{
	static const uint64_t feature_sets[] = { FEATURES, VIRTIO_F_VERSION_1 };

	(void)state;
	for (unsigned row = 0; row_of(feature_sets, row); row++) {
		static uint8_t got[OUT_MAX];
		struct fixture f;
		size_t done = 0;

		create(&f, feature_sets[row]);
		f.in_len = 20000;
		for (size_t i = 0; i < f.in_len; i++)
			f.in[i] = (uint8_t)(i * 17 + i / 256);
		give_input(&f);				/* no buffers at all */
		assert_int_equal(f.in_done, 0);
		for (unsigned i = 0; i < DRV_SIZE; i++)
			offer_room(&f, i, 100);
		drv_kick_if_wanted(&f.drv, RX);
		assert_int_equal(f.in_done, DRV_SIZE * 100);
		for (unsigned round = 0; done < f.in_len; round++) {
			assert_true(round < 1000 && f.drv.line);	/* the driver is always told */
			acknowledge(&f);
			done += collect(&f, got + done);
			for (unsigned i = 0; i <= round % DRV_SIZE; i++)
				offer_room(&f, i, 100);
			drv_kick_if_wanted(&f.drv, RX);
			if (f.in_done == f.in_len)
				done += collect(&f, got + done);
		}
		assert_memory_equal(got, f.in, f.in_len);
		drv_destroy(&f.drv);
	}
}

static void a_back_that_echoes_is_no_danger(void **state)
{
	struct fixture f;
	uint8_t got[64];

	(void)state;
	create(&f, FEATURES);
	offer_room(&f, 0, 16);
	offer_room(&f, 1, 16);
	f.is_echo = true;
	offer_text(&f, 0, "one", 3);
	offer_text(&f, 1, "two", 3);
	drv_kick(&f.drv, TX);
	assert_memory_equal(f.out, "onetwo", 6);
	assert_int_equal(collect(&f, got), 6);
	assert_memory_equal(got, "onetwo", 6);
	drv_destroy(&f.drv);
}

static void reset_forgets_a_half_sent_request(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, FEATURES);
	f.room = 3;
	offer_text(&f, 0, "abcdef", 6);
	drv_kick(&f.drv, TX);
	drv_set(&f.drv, VIRTIO_MMIO_Status, 0);
	f.room = OUT_MAX;
	f.front.writable(f.front.dev);
	drv_work(&f.drv);
	assert_int_equal(f.out_len, 3);
	drv_start(&f.drv, FEATURES);
	offer_text(&f, 0, "uvwxyz", 6);
	drv_kick(&f.drv, TX);
	assert_int_equal(f.out_len, 9);
	assert_memory_equal(f.out, "abcuvwxyz", 9);
	drv_destroy(&f.drv);
}

static void queue_switched_off_in_the_middle(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, FEATURES);
	f.room = 3;
	offer_text(&f, 0, "abcdef", 6);
	drv_kick(&f.drv, TX);
	drv_set(&f.drv, VIRTIO_MMIO_QueueSel, TX);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 0);
	f.room = OUT_MAX;
	f.front.writable(f.front.dev);
	drv_work(&f.drv);
	assert_int_equal(f.out_len, 3);
	drv_set(&f.drv, VIRTIO_MMIO_QueueSel, RX);
	drv_set(&f.drv, VIRTIO_MMIO_QueueReady, 0);
	assert_int_equal(f.front.input(f.front.dev, (const uint8_t *)"x", 1), 0);
	drv_destroy(&f.drv);
}

/*
 * Bytes that take no room at the back (carriage returns), from buffers that lie over one another: 15 MiB of a
 * 1 MiB buffer.
 */
static void much_output_is_sent_a_piece_at_a_time(void **state)
{
	static const struct { char byte; size_t most; } rows[] = { { '\r', 1024 }, { '\n', 64 } };

	(void)state;
	for (unsigned row = 0; row_of(rows, row); row++) {
		static uint8_t text[1 << 20];
		struct fixture f;
		size_t total;
		uint32_t id, len;

		create(&f, FEATURES);
		f.is_counting = true;
		memset(text, rows[row].byte, sizeof(text));
		drv_write_mem(&f.drv, 0x400000, text, sizeof(text));
		for (uint16_t i = 0; i < DRV_SIZE - 1; i++)
			drv_desc(&f.drv, TX, i, (struct drv_desc){ 0x400000, sizeof(text), i < DRV_SIZE - 2 ? DESC_NEXT : 0,
								   (uint16_t)(i + 1) });
		drv_offer(&f.drv, TX, 0);
		drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, TX);
		for (total = f.most = f.counted; work_is_pending(&f.drv.work); total += f.counted) {
			f.counted = 0;
			work_run_one(&f.drv.work);
			f.most = f.counted > f.most ? f.counted : f.most;
		}
		assert_true(f.most <= rows[row].most);
		assert_int_equal(total, (DRV_SIZE - 1) * sizeof(text));
		assert_true(drv_take(&f.drv, TX, &id, &len));
		drv_destroy(&f.drv);
	}
}

/* Receive buffers that take nothing come back at once; the byte waits for one that has room. */
static void empty_receive_buffers_come_back(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, FEATURES);
	drv_desc(&f.drv, RX, 0, (struct drv_desc){ DRV_DATA, 64, 0, 0 });
	for (unsigned i = 0; i < DRV_SIZE; i++)
		drv_offer(&f.drv, RX, 0);
	assert_int_equal(type(&f, "x"), 0);
	assert_int_equal(drv_get16(&f.drv, f.drv.queues[RX].used + 2), DRV_SIZE);
	offer_room(&f, 1, 16);
	drv_kick_if_wanted(&f.drv, RX);
	assert_int_equal(f.in_done, 1);
	drv_destroy(&f.drv);
}

static void wrong_buffers_do_no_harm(void **state)
{
	struct fixture f;
	uint32_t id, len;
	uint8_t got[16];

	(void)state;
	create(&f, FEATURES);
	/* Receive buffers that cannot be written come back empty; the byte goes into the next. */
	drv_desc(&f.drv, RX, 0, (struct drv_desc){ DRV_DATA, 64, 0, 0 });
	drv_offer(&f.drv, RX, 0);
	offer_room(&f, 1, 16);
	assert_int_equal(type(&f, "x"), 1);
	assert_int_equal(collect(&f, got), 1);
	/* Output without readable bytes is just done. */
	drv_desc(&f.drv, TX, 0, (struct drv_desc){ DRV_DATA, 64, DESC_WRITE, 0 });
	drv_offer(&f.drv, TX, 0);
	drv_kick(&f.drv, TX);
	assert_true(drv_take(&f.drv, TX, &id, &len) && len == 0);
	assert_int_equal(f.out_len, 0);
	drv_destroy(&f.drv);
}

static void size_is_configuration_and_changes_with_an_interrupt(void **state)
{
	struct fixture f;
	struct char_front front;
	uint32_t generation;

	(void)state;
	create(&f, 0);
	front = virtio_console_front(&f.con);
	front.resize(front.dev, 80, 25);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG), 25 << 16 | 80);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG + 4), 1);
	assert_false(f.drv.line);
	drv_start(&f.drv, FEATURES);
	generation = drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration);
	front.resize(front.dev, 80, 25);		/* the same: nothing happens */
	assert_false(f.drv.line);
	front.resize(front.dev, 132, 43);
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG, 2), 132);
	assert_int_equal(virtio_mmio_read(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 2, 2), 43);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus), VIRTIO_INT_CONFIG);
	assert_int_not_equal(drv_get(&f.drv, VIRTIO_MMIO_ConfigGeneration), generation);
	/* Linux may have missed it: once more with every line that is typed. */
	drv_set(&f.drv, VIRTIO_MMIO_InterruptACK, VIRTIO_INT_CONFIG);
	offer_room(&f, 0, 16);
	offer_room(&f, 1, 16);
	assert_int_equal(type(&f, "ls"), 2);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus) & VIRTIO_INT_CONFIG, 0);
	assert_int_equal(type(&f, "\r"), 1);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_InterruptStatus) & VIRTIO_INT_CONFIG, VIRTIO_INT_CONFIG);
	drv_destroy(&f.drv);
}

static void emergency_write_works_without_a_driver(void **state)
{
	struct fixture f;

	(void)state;
	create(&f, 0);
	drv_set(&f.drv, VIRTIO_MMIO_CONFIG + 8, 'p');
	virtio_mmio_write(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 8, 1, 'q');
	drv_set(&f.drv, VIRTIO_MMIO_CONFIG + 0, 'x');		/* cols is not writable */
	virtio_mmio_write(&f.drv.mmio, VIRTIO_MMIO_CONFIG + 9, 1, 'x');
	assert_int_equal(f.out_len, 2);
	assert_memory_equal(f.out, "pq", 2);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG), 0);
	f.room = 0;
	drv_set(&f.drv, VIRTIO_MMIO_CONFIG + 8, 'r');
	assert_int_equal(f.out_len, 2);
	drv_destroy(&f.drv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_reaches_the_back),
		cmocka_unit_test(input_reaches_the_driver), cmocka_unit_test(input_waits_for_the_first_output),
		cmocka_unit_test(nothing_is_taken_before_the_driver_is_up),
		cmocka_unit_test(full_back_stalls_output_and_writable_resumes_it),
		cmocka_unit_test(empty_ring_stalls_input_and_a_kick_resumes_it),
		cmocka_unit_test(a_back_that_echoes_is_no_danger),
		cmocka_unit_test(reset_forgets_a_half_sent_request),
		cmocka_unit_test(queue_switched_off_in_the_middle),
		cmocka_unit_test(much_output_is_sent_a_piece_at_a_time),
		cmocka_unit_test(empty_receive_buffers_come_back),
		cmocka_unit_test(wrong_buffers_do_no_harm),
		cmocka_unit_test(size_is_configuration_and_changes_with_an_interrupt),
		cmocka_unit_test(emergency_write_works_without_a_driver),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
