/* SPDX-License-Identifier: MIT */
/* Saving and loading a VM's sections (contract and format in state.h). */
#include "hv/state.h"

#include "hv/addr.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define STATE_MAGIC	0x4554535aU	/* "ZSTE" */
#define STATE_FORMAT	1U		/* of header and records, not of what is in them */
#define RECORD_ALIGN	8U

struct header {
	uint32_t magic, format;
	uint32_t records, reserved;
};

struct record {
	char     name[STATE_NAME_MAX];
	uint32_t version, instance;
	uint32_t size, reserved;	/* of the data that follows; the next record begins at a multiple of 8 */
};

static void name_copy(char to[STATE_NAME_MAX], const char *from)
{
	memset(to, 0, STATE_NAME_MAX);
	memcpy(to, from, min_size(strlen(from), STATE_NAME_MAX - 1));
}

static size_t padded(size_t size)
{
	return (size_t)align_up(size, RECORD_ALIGN);
}

size_t state_size(const struct state_object *objects, size_t count)
{
	size_t size = sizeof(struct header);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++)
			size += sizeof(struct record) + padded(objects[i].sections[k].size);
	return size;
}

static size_t section_count(const struct state_object *objects, size_t count)
{
	size_t sections = 0;

	for (size_t i = 0; i < count; i++)
		sections += objects[i].count;
	return sections;
}

static void *section_device(const struct state_object *object, const struct state_section *section)
{
	return (char *)object->base + section->offset;
}

static uint8_t *save_section(const struct state_object *object, const struct state_section *section, uint8_t *at)
{
	struct record record = {
		.version = section->version, .instance = object->instance, .size = (uint32_t)section->size,
	};

	name_copy(record.name, section->name);
	memcpy(at, &record, sizeof(record));
	at += sizeof(record);
	memset(at, 0, padded(section->size));
	memcpy(at, section_device(object, section), section->size);
	return at + padded(section->size);
}

size_t state_save(const struct state_object *objects, size_t count, void *buffer, size_t room)
{
	const struct header header = {
		.magic = STATE_MAGIC, .format = STATE_FORMAT, .records = (uint32_t)section_count(objects, count),
	};
	uint8_t *at = buffer;

	if (room < state_size(objects, count))
		return 0;
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++)
			at = save_section(&objects[i], &objects[i].sections[k], at);
	return (size_t)(at - (uint8_t *)buffer);
}

/* ---- Loading: check all, then copy all ---- */

static bool fail(struct state_error *error, const char *what, const char *section, uint32_t instance)
{
	error->what = what;
	error->instance = instance;
	name_copy(error->section, section);
	return false;
}

/* The record at *at, and *at moved behind its data. False when the buffer ends within it. */
static bool next_record(const uint8_t **at, size_t *left, struct record *record, const uint8_t **data)
{
	if (*left < sizeof(*record))
		return false;
	memcpy(record, *at, sizeof(*record));
	record->name[STATE_NAME_MAX - 1] = '\0';
	*data = *at + sizeof(*record);
	*left -= sizeof(*record);
	if (*left < padded(record->size))
		return false;
	*at = *data + padded(record->size);
	*left -= padded(record->size);
	return true;
}

static const struct state_section *find_section(const struct state_object *objects, size_t count,
						const struct record *record, const struct state_object **object)
{
	for (size_t i = 0; i < count; i++) {
		*object = &objects[i];
		if (objects[i].instance != record->instance)
			continue;
		for (size_t k = 0; k < objects[i].count; k++)
			if (!strcmp(objects[i].sections[k].name, record->name))
				return &objects[i].sections[k];
	}
	return NULL;
}

/* The data of a section; NULL when no record has its name and instance. All records were checked to be whole. */
static const uint8_t *find_data(const struct state_object *object, const struct state_section *section,
				const uint8_t *at, size_t left)
{
	const uint8_t *data;
	struct record record;

	while (next_record(&at, &left, &record, &data))
		if (record.instance == object->instance && !strcmp(record.name, section->name))
			return data;
	return NULL;
}

static bool check_records(const struct state_object *objects, size_t count, uint32_t records, const uint8_t *at,
			  size_t left, struct state_error *error)
{
	for (uint32_t i = 0; i < records; i++) {
		const struct state_object *object;
		const struct state_section *section;
		const uint8_t *data;
		struct record record;

		if (!next_record(&at, &left, &record, &data))
			return fail(error, "the buffer ends within a section", "", 0);
		section = find_section(objects, count, &record, &object);
		if (!section)
			return fail(error, "this VM has no such section", record.name, record.instance);
		if (record.version != section->version)
			return fail(error, "the section has another version", record.name, record.instance);
		if (record.size != section->size)
			return fail(error, "the section has another size", record.name, record.instance);
	}
	return left ? fail(error, "there is something behind the last section", "", 0) : true;
}

static bool check_complete(const struct state_object *objects, size_t count, uint32_t records, const uint8_t *at,
			   size_t left, struct state_error *error)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++)
			if (!find_data(&objects[i], &objects[i].sections[k], at, left))
				return fail(error, "the section is missing", objects[i].sections[k].name,
					    objects[i].instance);
	/* No section is missing and no record is unknown: with more records than sections one must be there twice. */
	return records == section_count(objects, count) ? true : fail(error, "a section is there twice", "", 0);
}

bool state_load(const struct state_object *objects, size_t count, const void *buffer, size_t len,
		struct state_error *error)
{
	struct header header;
	const uint8_t *first;
	size_t left;

	*error = (struct state_error){ 0 };
	if (len < sizeof(header))
		return fail(error, "the buffer is too small", "", 0);
	memcpy(&header, buffer, sizeof(header));
	first = (const uint8_t *)buffer + sizeof(header);
	left = len - sizeof(header);
	if (header.magic != STATE_MAGIC || header.format != STATE_FORMAT)
		return fail(error, "this is no saved state, or one of another format", "", 0);
	if (!check_records(objects, count, header.records, first, left, error) ||
	    !check_complete(objects, count, header.records, first, left, error))
		return false;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++) {
			const struct state_section *section = &objects[i].sections[k];

			memcpy(section_device(&objects[i], section), find_data(&objects[i], section, first, left),
			       section->size);
		}
	return true;
}

void state_settle(const struct state_object *objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < objects[i].count; k++)
			if (objects[i].sections[k].after_load)
				objects[i].sections[k].after_load(section_device(&objects[i], &objects[i].sections[k]));
}

void state_fix_bool(bool *flag)
{
	uint8_t raw;

	memcpy(&raw, flag, sizeof(raw));
	*flag = raw & 1;
}
