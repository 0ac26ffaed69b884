/* SPDX-License-Identifier: MIT */
/*
 * The entropy device with a source the test controls, and the default source with RDSEED and RDRAND that run
 * dry, stick, or are missing. entropy.c is included, so that its
 * ChaCha block compared with RFC 8439.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/virtio/rng.h"
#include "log_fake.h"
#include "virtio_driver.h"

/* What an instruction does: fails this often, then gives a counter, or one value for ever. */
struct fake_insn { unsigned failures, calls; bool is_stuck; uint64_t value; };
static struct fake_insn fake_rdseed, fake_rdrand;

static bool fake_random(struct fake_insn *insn, uint64_t *val)
{
	insn->calls++;
	if (insn->failures) {
		insn->failures--;
		return false;
	}
	if (!insn->is_stuck)
		insn->value++;
	*val = insn->value;
	return true;
}

static bool fake_rdseed64(uint64_t *val) { return fake_random(&fake_rdseed, val); }
static bool fake_rdrand64(uint64_t *val) { return fake_random(&fake_rdrand, val); }
#include "hv/virtio/entropy.c"

static bool has_rdseed, has_rdrand;

host_random_fn *host_random_source(unsigned n)
{
	if (has_rdseed && n == 0)
		return fake_rdseed64;
	return has_rdrand && n == has_rdseed ? fake_rdrand64 : NULL;
}

void host_pause(void) { }

/* A clock that ticks whenever it is read. */
uint64_t time_now(void)
{
	static uint64_t now;

	return ++now;
}

/* ---- The device -------------------------------------------------------------------------------------- */

struct source { size_t left; uint8_t next; };

static size_t source_fill(void *ctx, uint8_t *to, size_t len)
{
	struct source *source = ctx;
	size_t part = len < source->left ? len : source->left;

	for (size_t i = 0; i < part; i++)
		to[i] = ++source->next;
	source->left -= part;
	return part;
}

struct fixture {
	struct drv        drv;
	struct virtio_rng rng;
	struct source     source;
};

static void create(struct fixture *f, size_t left)
{
	memset(f, 0, sizeof(*f));
	f->source.left = left;
	virtio_rng_init(&f->rng, source_fill, &f->source);
	drv_create(&f->drv, &f->rng.dev);
	drv_start(&f->drv, VIRTIO_F_COMMON);
}

static void buffers_are_filled(void **state)
{
	struct fixture f;
	uint8_t got[64];
	uint32_t id, len;

	(void)state;
	create(&f, SIZE_MAX);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_DeviceID), VIRTIO_ID_RNG);
	assert_int_equal(drv_get(&f.drv, VIRTIO_MMIO_CONFIG), 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 40, DESC_NEXT | DESC_WRITE, 1 });
	drv_desc(&f.drv, 0, 1, (struct drv_desc){ DRV_DATA + 40, 24, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len));
	assert_int_equal(len, 64);
	drv_read_mem(&f.drv, DRV_DATA, got, sizeof(got));
	for (unsigned i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], i + 1);
	assert_true(f.drv.line);
	drv_destroy(&f.drv);
}

static void huge_buffers_cost_no_more_than_small_ones(void **state)
{
	struct fixture f;
	uint32_t id, len;

	(void)state;
	create(&f, SIZE_MAX);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_RAM_START, 0x3000000, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	/* The buffer lies over the rings; only its first bytes are written. */
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len));
	assert_in_range(len, 1, 512);
	drv_destroy(&f.drv);
}

/* RDSEED is slow: a full ring of large buffers is filled over several turns. */
static void many_buffers_are_filled_over_several_rounds(void **state)
{
	struct fixture f;
	size_t before = SIZE_MAX, most = 0;
	uint32_t id, len;

	(void)state;
	create(&f, SIZE_MAX);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 4096, DESC_WRITE, 0 });
	for (unsigned i = 0; i < DRV_SIZE; i++)
		drv_offer(&f.drv, 0, 0);
	drv_set(&f.drv, VIRTIO_MMIO_QueueNotify, 0);
	do {
		most = before - f.source.left > most ? before - f.source.left : most;
		before = f.source.left;
		work_run_one(&f.drv.work);
	} while (before != f.source.left);
	assert_in_range(most, 512, 2048 + 512);
	for (unsigned i = 0; i < DRV_SIZE; i++)
		assert_true(drv_take(&f.drv, 0, &id, &len) && len == 512);
	drv_destroy(&f.drv);
}

static void a_dry_source_leaves_the_buffer_for_the_next_kick(void **state)
{
	struct fixture f;
	uint32_t id, len;

	(void)state;
	create(&f, 0);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 64, DESC_WRITE, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	assert_false(drv_take(&f.drv, 0, &id, &len));
	assert_false(f.drv.line);
	f.source.left = 10;
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len));
	assert_int_equal(len, 10);
	drv_destroy(&f.drv);
}

static void buffers_that_cannot_be_written_come_back_empty(void **state)
{
	struct fixture f;
	uint32_t id, len;

	(void)state;
	create(&f, SIZE_MAX);
	drv_desc(&f.drv, 0, 0, (struct drv_desc){ DRV_DATA, 64, 0, 0 });
	drv_offer(&f.drv, 0, 0);
	drv_kick(&f.drv, 0);
	assert_true(drv_take(&f.drv, 0, &id, &len));
	assert_int_equal(len, 0);
	drv_destroy(&f.drv);
}

/* ---- The default source --------------------------------------------------------------------------------- */

static void processor(bool with_rdseed, bool with_rdrand)
{
	has_rdseed = with_rdseed;
	has_rdrand = with_rdrand;
	fake_rdseed = (struct fake_insn){ .value = 0x1000 };
	fake_rdrand = (struct fake_insn){ .value = 0x2000 };
	log_fake_lines = 0;
}

static uint64_t fill_word(struct entropy *entropy)
{
	uint64_t val = 0;

	assert_int_equal(entropy_fill(entropy, (uint8_t *)&val, sizeof(val)), sizeof(val));
	return val;
}

static void rdseed_is_preferred_then_rdrand_then_jitter(void **state)
{
	struct entropy entropy = { 0 };
	uint8_t odd[11];

	(void)state;
	processor(true, true);
	assert_int_equal(fill_word(&entropy), 0x1001);
	assert_int_equal(entropy_fill(&entropy, odd, sizeof(odd)), sizeof(odd));
	assert_int_equal(fake_rdseed.calls, 3);
	fake_rdseed.failures = 9;		/* dry for a moment */
	assert_int_equal(fill_word(&entropy), 0x1004);
	fake_rdseed.failures = 1000;		/* dry for long */
	assert_int_equal(fill_word(&entropy), 0x2001);
	processor(false, true);
	fake_rdrand.value = 0x3000;
	assert_int_equal(fill_word(&entropy), 0x3001);
	assert_int_equal(fake_rdseed.calls, 0);
	assert_int_equal(log_fake_lines, 0);
	processor(false, false);
	(void)fill_word(&entropy);
	assert_int_equal(fake_rdseed.calls + fake_rdrand.calls, 0);
	assert_true(entropy.is_seeded && log_fake_lines > 0);
}

static void broken_generators_are_not_believed(void **state)
{
	static const uint64_t stuck_at[] = { UINT64_MAX, 0, 0x1234 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct entropy entropy = { 0 };

		processor(true, true);
		fake_rdseed.is_stuck = fake_rdrand.is_stuck = true;
		fake_rdseed.value = fake_rdrand.value = stuck_at[i];
		/* All ones are never a number; another one may be, once. */
		assert_true(fill_word(&entropy) != UINT64_MAX);
		assert_true(fill_word(&entropy) != stuck_at[i]);
		assert_true(entropy.is_seeded);
	}
}

static void the_fallback_warns_once_and_never_repeats(void **state)
{
	struct entropy first = { 0 }, second = { 0 };
	uint8_t a[100], b[100];
	unsigned lines;

	(void)state;
	processor(false, false);
	assert_int_equal(entropy_fill(&first, a, sizeof(a)), sizeof(a));
	lines = log_fake_lines;
	assert_true(lines > 0);
	assert_memory_equal(first.state, "expand 32-byte k", KEY_FIRST * sizeof(first.state[0]));	/* RFC 8439, 2.3 */
	assert_int_equal(entropy_fill(&first, b, sizeof(b)), sizeof(b));
	assert_int_equal(log_fake_lines, lines);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(entropy_fill(&second, b, sizeof(b)), sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void chacha_block_matches_rfc_8439(void **state)
{
	/* 2.3.2 "Test Vector for the ChaCha20 Block Function" */
	static const uint32_t input[ENTROPY_WORDS] = {
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
		0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c, 0x00000001, 0x09000000, 0x4a000000, 0x00000000,
	};
	static const uint32_t want[ENTROPY_WORDS] = {
		0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
		0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9, 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2,
	};
	uint32_t out[ENTROPY_WORDS];

	(void)state;
	chacha_block(input, out);
	assert_memory_equal(out, want, sizeof(want));
}

static void without_a_source_the_default_serves_the_device(void **state)
{
	static struct virtio_rng rng;
	static struct drv drv;
	uint32_t id, len;
	uint64_t val;

	(void)state;
	processor(true, false);
	virtio_rng_init(&rng, NULL, NULL);
	drv_create(&drv, &rng.dev);
	drv_start(&drv, VIRTIO_F_COMMON);
	drv_desc(&drv, 0, 0, (struct drv_desc){ DRV_DATA, 8, DESC_WRITE, 0 });
	drv_offer(&drv, 0, 0);
	drv_kick(&drv, 0);
	assert_true(drv_take(&drv, 0, &id, &len) && len == 8);
	drv_read_mem(&drv, DRV_DATA, &val, sizeof(val));
	assert_int_equal(val, 0x1001);
	drv_destroy(&drv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_filled),
		cmocka_unit_test(huge_buffers_cost_no_more_than_small_ones),
		cmocka_unit_test(many_buffers_are_filled_over_several_rounds),
		cmocka_unit_test(a_dry_source_leaves_the_buffer_for_the_next_kick),
		cmocka_unit_test(buffers_that_cannot_be_written_come_back_empty),
		cmocka_unit_test(rdseed_is_preferred_then_rdrand_then_jitter),
		cmocka_unit_test(broken_generators_are_not_believed),
		cmocka_unit_test(the_fallback_warns_once_and_never_repeats),
		cmocka_unit_test(chacha_block_matches_rfc_8439),
		cmocka_unit_test(without_a_source_the_default_serves_the_device),
	};

	return cmocka_run_group_tests_name("virtio_rng", tests, NULL, NULL);
}
