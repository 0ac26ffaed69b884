/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Strict INI: `key = value` lines, `#` comment lines, nothing else. Pure: text in, a record and error lines out.
 *
 * A table of struct ini_key says which keys there are and how each value becomes a field of the record. Everything
 * that is not in the table is an error, and every error names file, line, key, value and what to do. Parsing goes
 * on after an error so that the user sees all of them at once; the record is only good when no error was counted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INI_KEYS_MAX	32	/* rows in one table */
#define INI_ERRORS_MAX	20	/* lines shown for one file; the rest is only counted */
#define INI_LINE_MAX	256	/* characters in one error line */

struct ini_text {
	const char *file;	/* for messages */
	const char *text;
	size_t len;
};

/* Where error lines go (one call a line, without its end), and how many errors there were. */
struct ini_report {
	void (*line)(void *ctx, const char *text);
	void *ctx;
	unsigned errors;	/* in all files so far */
	unsigned shown;		/* in this file */
};

struct ini_value {
	const char *at;
	size_t len;
};

struct ini_entry {
	const struct ini_text *source;
	struct ini_report *report;
	unsigned line;
	const char *key;
	struct ini_value value;
	void *record;
};

struct ini_key;
typedef void ini_set(const struct ini_entry *entry, const struct ini_key *key);

struct ini_key {
	const char *name;
	ini_set *set;
	size_t offset;			/* of the field in the record */
	uint64_t min, max;		/* numbers and sizes; max is the size of the field for texts */
	const char *const *words;	/* ini_set_word: NULL-terminated, the field gets the index */
	bool required;
};

/* The keys of another kind of file: a user who writes one of them here is told where it belongs. */
struct ini_elsewhere {
	const char *file;
	const struct ini_key *keys;
	size_t key_count;
};

void ini_parse(const struct ini_text *source, const struct ini_key *keys, size_t key_count,
	       const struct ini_elsewhere *elsewhere, void *record, struct ini_report *report);

/* "FILE:LINE: KEY = "VALUE": message"; for setters and for checks that come later. */
__attribute__((format(printf, 2, 3)))
void ini_error(const struct ini_entry *entry, const char *fmt, ...);
/* "FILE:LINE: message" */
__attribute__((format(printf, 4, 5)))
void ini_error_at(struct ini_report *report, const char *file, unsigned line, const char *fmt, ...);
/* To be called at the end of a file: says how many errors were not shown. */
void ini_report_end(struct ini_report *report, const char *file);

/* Setters for a table. */
ini_set ini_set_number;		/* decimal, min..max, into a uint32_t */
ini_set ini_set_size;		/* bytes with K, M or G, min..max, a multiple of 4 KiB, into a uint64_t */
ini_set ini_set_word;		/* one of words, into a uint32_t */
ini_set ini_set_text;		/* into a char array of `max` bytes, terminated */

/* Digits at the start of value, which moves behind them; false without digits or beyond 64 bits. */
bool ini_take_number(struct ini_value *value, uint64_t *number);
bool ini_value_is(struct ini_value value, const char *word);
/* Copies with termination; false (and nothing written) when it does not fit. */
bool ini_value_copy(struct ini_value value, char *to, size_t size);
/* The index of value in words, or -1. */
int ini_word_index(struct ini_value value, const char *const *words);
char ini_lower(char c);		/* of ASCII */
/* The word most like value: fewest insertions, deletions and replacements, capitals aside. NULL for an empty list. */
const char *ini_nearest(struct ini_value value, const char *const *words);
