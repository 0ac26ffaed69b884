/* SPDX-License-Identifier: MIT */
/* hv/lib/string.c beside the host's own functions: same results for every length and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Ours under other names, for the host needs its own. */
#define memcpy	hv_memcpy
#define memmove	hv_memmove
#define memset	hv_memset
#define memcmp	hv_memcmp
#define strlen	hv_strlen
#define strcmp	hv_strcmp
#define strncmp	hv_strncmp
#define strchr	hv_strchr
#include "hv/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define SIZE	80U
#define OFFSETS	9U

static void fill(uint8_t *bytes)
{
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
}

static void test_copy_and_set(void **state)
{
	(void)state;
	for (size_t len = 0; len <= SIZE - 2 * OFFSETS; len++) {
		for (size_t at = 0; at < OFFSETS; at++) {
			uint8_t from[SIZE], ours[SIZE] = { 0 }, theirs[SIZE] = { 0 };

			fill(from);
			assert_ptr_equal(hv_memcpy(ours + at, from + OFFSETS - at, len), ours + at);
			memcpy(theirs + at, from + OFFSETS - at, len);
			assert_memory_equal(ours, theirs, SIZE);
			assert_ptr_equal(hv_memset(ours + at, 0x1a5, len), ours + at);
			memset(theirs + at, 0xa5, len);
			assert_memory_equal(ours, theirs, SIZE);
		}
	}
}

static void test_move(void **state)
{
	(void)state;
	for (size_t len = 0; len <= SIZE - 2 * OFFSETS; len++) {
		for (size_t from = 0; from < OFFSETS; from++) {
			for (size_t to = 0; to < OFFSETS; to++) {
				uint8_t ours[SIZE], theirs[SIZE];

				fill(ours);
				fill(theirs);
				assert_ptr_equal(hv_memmove(ours + to, ours + from, len), ours + to);
				memmove(theirs + to, theirs + from, len);
				assert_memory_equal(ours, theirs, SIZE);
			}
		}
	}
}

static int sign(int val)
{
	return (val > 0) - (val < 0);
}

static void test_compare(void **state)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "abd", "b", "\xff", "ab\xff" };

	(void)state;
	for (size_t i = 0; row_of(texts, i); i++) {
		assert_int_equal(hv_strlen(texts[i]), strlen(texts[i]));
		for (size_t j = 0; row_of(texts, j); j++) {
			size_t len = strlen(texts[i]) < strlen(texts[j]) ? strlen(texts[i]) : strlen(texts[j]);

			assert_int_equal(sign(hv_strcmp(texts[i], texts[j])), sign(strcmp(texts[i], texts[j])));
			assert_int_equal(sign(hv_memcmp(texts[i], texts[j], len)),
					 sign(memcmp(texts[i], texts[j], len)));
			for (size_t n = 0; n < 4; n++)
				assert_int_equal(sign(hv_strncmp(texts[i], texts[j], n)),
						 sign(strncmp(texts[i], texts[j], n)));
		}
	}
}

static void test_find(void **state)
{
	const char *text = "trapeze";

	(void)state;
	assert_ptr_equal(hv_strchr(text, 'p'), text + 3);
	assert_ptr_equal(hv_strchr(text, 'e'), text + 4);
	assert_ptr_equal(hv_strchr(text, '\0'), text + 7);
	assert_null(hv_strchr(text, 'x'));
}

static void test_text_copy(void **state)
{
	(void)state;
	for (size_t size = 0; size < 8; size++) {
		char to[16];

		memset(to, '#', sizeof(to));
		assert_int_equal(text_copy(to, "abcde", size), 5);
		assert_int_equal(to[size < 6 ? size : 6], '#');
		if (size > 0) {
			size_t part = size > 5 ? 5 : size - 1;

			assert_memory_equal(to, "abcde", part);
			assert_int_equal(to[part], '\0');
		}
	}
}

/* hv/lib/nospec.h */
static void test_index(void **unused)
{
	static const struct { size_t index, size, expected; } rows[] = {
		{ 0, 1, 0 }, { 1, 1, 0 }, { 4, 5, 4 }, { 5, 5, 0 }, { 6, 5, 0 }, { SIZE_MAX, 5, 0 },
		{ 1ULL << 32, 5, 0 }, { (1ULL << 32) + 4, 5, 0 }, { SIZE_MAX - 1, SIZE_MAX, SIZE_MAX - 1 }, { 3, 0, 0 },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(index_nospec(rows[i].index, rows[i].size), rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_and_set), cmocka_unit_test(test_move), cmocka_unit_test(test_compare),
		cmocka_unit_test(test_find), cmocka_unit_test(test_text_copy), cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
