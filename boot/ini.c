/* SPDX-License-Identifier: MIT */
/*
 * The strict INI reader behind config.c: lines to entries, entries to fields by way of a table.
 *
 * The text is hostile: it may hold any byte, need not end with a newline, and is never copied before its length
 * is checked. Nothing is written behind a field; nothing is read behind source->len. No dependency on firmware.
 */
#include "boot/ini.h"

#include <stdarg.h>

#include "hv/lib/format.h"
#include "hv/lib/page_size.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define DECIMAL		10U
#define SHOWN_VALUE	64	/* characters of a value in a message */
#define WORD_MAX	32	/* longest text the nearest word is looked for */
#define NEAR		2	/* changes of letters, up to which a word is taken for a misspelt one */
#define ASCII_FIRST	0x20
#define ASCII_LAST	0x7e

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_printable(char c)
{
	return c >= ASCII_FIRST && c <= ASCII_LAST;
}

static struct ini_value trimmed(struct ini_value value)
{
	while (value.len && is_blank(value.at[0])) {
		value.at++;
		value.len--;
	}
	while (value.len && is_blank(value.at[value.len - 1]))
		value.len--;
	return value;
}

/* A value for the screen: cut, and without anything a terminal could obey. */
static void readable(struct ini_value value, char *to, size_t size)
{
	size_t len = min_size(value.len, size - sizeof("..."));

	for (size_t i = 0; i < len; i++)
		to[i] = is_printable(value.at[i]) ? value.at[i] : '?';
	memcpy(to + len, value.len > len ? "..." : "", value.len > len ? sizeof("...") : 1);
}

/* ---- Errors ---------------------------------------------------------------------------------------- */

static void report_line(struct ini_report *report, const char *text)
{
	report->errors++;
	if (report->shown++ < INI_ERRORS_MAX)
		report->line(report->ctx, text);
}

void ini_error_at(struct ini_report *report, const char *file, unsigned line, const char *fmt, ...)
{
	char text[INI_LINE_MAX];
	size_t len =
		min_size(format_buf(text, sizeof(text), "%s:%u: ", file, line), sizeof(text) - 1);
	va_list args;

	va_start(args, fmt);
	format_vbuf(text + len, sizeof(text) - len, fmt, args);
	va_end(args);
	report_line(report, text);
}

void ini_error(const struct ini_entry *entry, const char *fmt, ...)
{
	char message[INI_LINE_MAX], value[SHOWN_VALUE + sizeof("...")];
	va_list args;

	va_start(args, fmt);
	format_vbuf(message, sizeof(message), fmt, args);
	va_end(args);
	readable(entry->value, value, sizeof(value));
	ini_error_at(entry->report, entry->source->file, entry->line, "%s = \"%s\": %s", entry->key,
		     value, message);
}

void ini_report_end(struct ini_report *report, const char *file)
{
	char text[INI_LINE_MAX];

	if (report->shown > INI_ERRORS_MAX) {
		format_buf(text, sizeof(text), "%s: and %u more errors", file,
			   report->shown - INI_ERRORS_MAX);
		report->line(report->ctx, text);
	}
	report->shown = 0;
}

/* ---- Words ----------------------------------------------------------------------------------------- */

bool ini_value_is(struct ini_value value, const char *word)
{
	return value.len == strlen(word) && memcmp(value.at, word, value.len) == 0;
}

bool ini_value_copy(struct ini_value value, char *to, size_t size)
{
	if (value.len >= size)
		return false;
	memcpy(to, value.at, value.len);
	to[value.len] = '\0';
	return true;
}

int ini_word_index(struct ini_value value, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (ini_value_is(value, words[i]))
			return i;
	return -1;
}

char ini_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Levenshtein's distance, one row of his matrix at a time: 0 also for what differs in case alone. */
static size_t distance(struct ini_value value, const char *word)
{
	size_t row[WORD_MAX + 1], len = min_size(value.len, WORD_MAX);

	for (size_t i = 0; i <= len; i++)
		row[i] = i;
	for (size_t j = 0; word[j]; j++) {
		size_t diagonal = row[0];

		row[0] = j + 1;
		for (size_t i = 1; i <= len; i++) {
			size_t replaced = diagonal + (ini_lower(value.at[i - 1]) != ini_lower(word[j]));

			diagonal = row[i];
			row[i] = min_size(replaced, min_size(row[i], row[i - 1]) + 1);
		}
	}
	return row[len];
}

/* What means "yes" and is nearer to "no" by letters. */
static bool is_affirmed(struct ini_value value)
{
	return distance(value, "1") == 0 || distance(value, "true") == 0 || distance(value, "on") == 0;
}

const char *ini_nearest(struct ini_value value, const char *const *words)
{
	const char *nearest = NULL;
	size_t least = SIZE_MAX;

	for (; *words; words++) {
		size_t steps = ini_value_is((struct ini_value){ *words, strlen(*words) }, "yes") && is_affirmed(value) ?
			       0 : distance(value, *words);

		if (steps < least) {
			least = steps;
			nearest = *words;
		}
	}
	return nearest;
}

/* ---- Setters --------------------------------------------------------------------------------------- */

static void *field_of(const struct ini_entry *entry, const struct ini_key *key)
{
	return (char *)entry->record + key->offset;
}

bool ini_take_number(struct ini_value *value, uint64_t *number)
{
	const char *first = value->at;

	*number = 0;
	while (value->len && value->at[0] >= '0' && value->at[0] <= '9') {
		if (__builtin_mul_overflow(*number, (uint64_t)DECIMAL, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(value->at[0] - '0'), number))
			return false;
		value->at++;
		value->len--;
	}
	return value->at != first;
}

void ini_set_number(const struct ini_entry *entry, const struct ini_key *key)
{
	struct ini_value rest = entry->value;
	uint32_t *field = field_of(entry, key);
	bool is_negative = rest.len && rest.at[0] == '-', is_less;
	uint64_t number;

	rest.at += is_negative;
	rest.len -= is_negative;
	if (!ini_take_number(&rest, &number) || rest.len) {
		ini_error(entry, "write a number from %llu to %llu",
			  (unsigned long long)key->min, (unsigned long long)key->max);
		return;
	}
	is_less = is_negative || number < key->min;
	if (is_less || number > key->max)
		ini_error(entry, "write a number from %llu to %llu; nearest is %llu", (unsigned long long)key->min,
			  (unsigned long long)key->max, (unsigned long long)(is_less ? key->min : key->max));
	else
		*field = (uint32_t)number;
}

void ini_set_size(const struct ini_entry *entry, const struct ini_key *key)
{
	static const struct { char letter; uint64_t factor; } units[] = {
		{ 'K', 1ULL << 10 }, { 'M', 1ULL << 20 }, { 'G', 1ULL << 30 },
	};
	struct ini_value rest = entry->value;
	uint64_t *field = field_of(entry, key), number, factor = 1;

	if (!ini_take_number(&rest, &number)) {
		ini_error(entry,
			  "not a size: write bytes, or a whole number with K, M or G, such as 128M");
		return;
	}
	for (size_t i = 0; i < countof(units) && rest.len == 1; i++)
		if (rest.at[0] == units[i].letter) {
			factor = units[i].factor;
			rest.len = 0;
		}
	if (rest.len)
		ini_error(entry, "not a size: behind a whole number comes K, M or G, such as 128M");
	else if (factor == 1 && number >= key->min >> 20 && number <= key->max >> 20)
		ini_error(entry, "%llu is bytes: write %lluM", (unsigned long long)number, (unsigned long long)number);
	else if (__builtin_mul_overflow(number, factor, &number) || number < key->min ||
		 number > key->max)
		ini_error(entry, "out of range: from %lluM to %lluG",
			  (unsigned long long)(key->min >> 20),
			  (unsigned long long)(key->max >> 30));
	else if (number % PAGE_SIZE)
		ini_error(entry, "not a multiple of 4K");
	else
		*field = number;
}

void ini_set_word(const struct ini_entry *entry, const struct ini_key *key)
{
	uint32_t *field = field_of(entry, key);
	int index = ini_word_index(entry->value, key->words);
	char choice[INI_LINE_MAX] = "";

	if (index >= 0) {
		*field = (uint32_t)index;
		return;
	}
	for (int i = 0; key->words[i]; i++) {
		size_t len = strlen(choice);

		format_buf(choice + len, sizeof(choice) - len, "%s%s", i ? "|" : "", key->words[i]);
	}
	ini_error(entry, "write one of %s; nearest is \"%s\"", choice,
		  ini_nearest(entry->value, key->words));
}

void ini_set_text(const struct ini_entry *entry, const struct ini_key *key)
{
	if (!ini_value_copy(entry->value, field_of(entry, key), key->max))
		ini_error(entry, "too long: %u characters, at most %u", (unsigned)entry->value.len,
			  (unsigned)key->max - 1);
}

/* ---- Lines ----------------------------------------------------------------------------------------- */

struct parser {
	struct ini_entry entry;
	const struct ini_key *keys;
	size_t key_count;
	const struct ini_elsewhere *elsewhere;
	unsigned seen[INI_KEYS_MAX];	/* the line a key was first given in; 0: not yet */
	bool is_meant[INI_KEYS_MAX];	/* a line has it misspelt */
};

/* Its row in the table; `count` when it has none. */
static size_t row_of(const struct ini_key *keys, size_t count, struct ini_value name)
{
	size_t row = 0;

	while (row < count && !ini_value_is(name, keys[row].name))
		row++;
	return row;
}

static void unknown_key(struct parser *parser, struct ini_value name)
{
	const struct ini_elsewhere *elsewhere = parser->elsewhere;
	const char *names[INI_KEYS_MAX + 1], *nearest;
	char shown[SHOWN_VALUE];

	readable(name, shown, sizeof(shown));
	if (row_of(elsewhere->keys, elsewhere->key_count, name) < elsewhere->key_count) {
		ini_error_at(parser->entry.report, parser->entry.source->file, parser->entry.line,
			     "the key \"%s\" belongs into %s", shown, elsewhere->file);
		return;
	}
	for (size_t i = 0; i < parser->key_count; i++)
		names[i] = parser->keys[i].name;
	names[parser->key_count] = NULL;
	nearest = ini_nearest(name, names);
	ini_error_at(parser->entry.report, parser->entry.source->file, parser->entry.line,
		     "unknown key \"%s\": the nearest valid key is \"%s\"", shown, nearest);
	for (size_t i = 0; i < parser->key_count; i++)
		parser->is_meant[i] |= names[i] == nearest && distance(name, nearest) <= NEAR;
}

static void take_entry(struct parser *parser, struct ini_value name, struct ini_value value)
{
	struct ini_entry *entry = &parser->entry;
	size_t row = row_of(parser->keys, parser->key_count, name);

	if (row == parser->key_count) {
		unknown_key(parser, name);
		return;
	}
	entry->key = parser->keys[row].name;
	entry->value = value;
	if (parser->seen[row]) {
		ini_error(entry, "given twice: remove it here or in line %u", parser->seen[row]);
		return;
	}
	parser->seen[row] = entry->line;
	if (!value.len)
		ini_error(entry, "no value: write one after the \"=\" or remove the line");
	else
		parser->keys[row].set(entry, &parser->keys[row]);
}

/* A line that cannot be read names its key all the same: to say that this is missing would be a second fault for one. */
static void mark_seen(struct parser *parser, struct ini_value name)
{
	for (size_t i = 0; i < parser->key_count; i++)
		if (ini_value_is(name, parser->keys[i].name))
			parser->seen[i] = parser->entry.line;
}

static void take_line(struct parser *parser, struct ini_value line)
{
	const struct ini_entry *entry = &parser->entry;
	struct ini_value name;
	size_t equals = 0;
	char shown[SHOWN_VALUE];

	line = trimmed(line);
	if (!line.len || line.at[0] == '#')
		return;
	readable(line, shown, sizeof(shown));
	while (equals < line.len && line.at[equals] != '=')
		equals++;
	name = trimmed((struct ini_value){ line.at, equals });
	for (size_t i = 0; i < line.len; i++)
		if (!is_printable(line.at[i]) && line.at[i] != '\t') {
			ini_error_at(entry->report, entry->source->file, entry->line,
				     "\"%s\": character %u is not ASCII text: save the file as "
				     "plain text",
				     shown, (unsigned)i + 1);
			mark_seen(parser, name);
			return;
		}
	if (equals == line.len || equals == 0) {
		ini_error_at(entry->report, entry->source->file, entry->line,
			     "\"%s\": write \"key = value\", or \"#\" before a remark", shown);
		return;
	}
	take_entry(parser, name, trimmed((struct ini_value){ line.at + equals + 1, line.len - equals - 1 }));
}

/* Some editors begin a file with the UTF-8 byte order mark. */
static size_t mark_length(const struct ini_text *source)
{
	static const char mark[] = "\xef\xbb\xbf";
	const size_t len = sizeof(mark) - 1;

	return source->len >= len && memcmp(source->text, mark, len) == 0 ? len : 0;
}

void ini_parse(const struct ini_text *source, const struct ini_key *keys, size_t key_count,
	       const struct ini_elsewhere *elsewhere, void *record, struct ini_report *report)
{
	struct parser parser = {
		.entry = { .source = source, .report = report, .record = record },
		.keys = keys, .key_count = min_size(key_count, INI_KEYS_MAX),
		.elsewhere = elsewhere,
	};

	for (size_t at = mark_length(source); at < source->len; at++) {
		size_t start = at;

		while (at < source->len && source->text[at] != '\n')
			at++;
		parser.entry.line++;
		take_line(&parser, (struct ini_value){ source->text + start, at - start });
	}
	for (size_t i = 0; i < parser.key_count; i++)
		if (keys[i].required && !parser.seen[i] && !parser.is_meant[i])
			ini_error_at(report, source->file, parser.entry.line ? parser.entry.line : 1,
				     "the key \"%s\" is missing: add a line \"%s = ...\"", keys[i].name, keys[i].name);
}
