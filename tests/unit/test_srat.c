/* SPDX-License-Identifier: MIT */
/* boot/srat.c on tables made here: what a good one says, and that a bad one of each kind is refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/srat.h"
#include "hv/lib/util.h"

#define FIRST		48U
#define TABLE_MAX	8192U
#define MIB		(1ULL << 20)
#define ON		1U
#define NEW		2U	/* the revision since which domains have 32 bits */

static struct handoff handoff;
static uint8_t table[TABLE_MAX];
static uint32_t length;
static char why[160];

static void put(uint32_t at, uint64_t val, unsigned size) { memcpy(table + at, &val, size); }

/* An entry of zeros with a type and a length. */
static uint32_t add(uint8_t type, uint8_t size)
{
	const uint32_t at = length;

	memset(table + at, 0, size);
	table[at] = type;
	table[at + 1] = size;
	length += size;
	return at;
}

static void add_lapic(uint32_t domain, uint8_t id, uint32_t flags)
{
	const uint32_t at = add(0, 16);

	put(at + 2, domain & 0xff, 1);
	put(at + 3, id, 1);
	put(at + 4, flags, 4);
	put(at + 9, domain >> 8, 3);
}

static void add_x2apic(uint32_t domain, uint32_t id, uint32_t flags)
{
	const uint32_t at = add(2, 24);

	put(at + 4, domain, 4);
	put(at + 8, id, 4);
	put(at + 12, flags, 4);
}

static void add_memory(uint32_t domain, uint64_t base, uint64_t size, uint32_t flags)
{
	const uint32_t at = add(1, 40);

	put(at + 2, domain, 4);
	put(at + 8, base, 8);
	put(at + 16, size, 8);
	put(at + 28, flags, 4);
}

/* Processors with the IDs 0 and 300, 64 MiB of free memory from 1 MiB on, and some in the first MiB. */
static void new_table(uint8_t revision)
{
	memset(table, 0, sizeof(table));
	memcpy(table, "SRAT", 4);
	table[8] = revision;
	length = FIRST;
	memset(&handoff, 0, sizeof(handoff));
	memset(&handoff.nodes, 0xff, sizeof(handoff.nodes));
	handoff.cpu_count = 2;
	handoff.cpus[1].apic_id = 300;
	handoff.cpus[2].apic_id = 7;		/* behind the last */
	handoff.region_count = 3;
	handoff.regions[0] = (struct handoff_region){ 0, MIB / 2, REGION_FREE, 0 };
	handoff.regions[1] = (struct handoff_region){ MIB, 64 * MIB, REGION_FREE, 0 };
	handoff.regions[2] = (struct handoff_region){ 100 * MIB, MIB, REGION_RESERVED, 0 };
	handoff.regions[3] = (struct handoff_region){ 200 * MIB, MIB, REGION_FREE, 0 };
}

static void good_table(uint8_t revision)
{
	new_table(revision);
	add_memory(1, 33 * MIB, 32 * MIB, ON);
	add_memory(0, MIB, 32 * MIB, ON);
	add_lapic(0, 0, ON);
	add_x2apic(1, 300, ON);
}

/* In memory of exactly its length, at an odd address, for the sanitizers. */
static bool read_table(void)
{
	uint8_t *copy = malloc(length + 1);
	bool is_good;

	assert_non_null(copy);
	put(4, length, 4);
	memcpy(copy + 1, table, length);
	why[0] = '\0';
	is_good = srat_read(copy + 1, &handoff, why, sizeof(why));
	free(copy);
	return is_good;
}

static void is_one_node(void)
{
	assert_int_equal(handoff.nodes.with_memory, 1);
	assert_int_equal(handoff.nodes.range_count, 0);
	for (size_t i = 0; i < HANDOFF_CPUS_MAX; i++)
		assert_int_equal(handoff.nodes.cpus[i], 0);
}

static void two_nodes(void **state)
{
	const struct handoff_nodes *nodes = &handoff.nodes;

	(void)state;
	good_table(NEW);
	assert_true(read_table());
	assert_int_equal(nodes->with_memory, 3);
	assert_int_equal(nodes->cpus[0], 0);
	assert_int_equal(nodes->cpus[1], 1);
	assert_int_equal(nodes->range_count, 2);
	assert_int_equal(nodes->ranges[0].start, MIB);
	assert_int_equal(nodes->ranges[0].length, 32 * MIB);
	assert_int_equal(nodes->ranges[0].node, 0);
	assert_int_equal(nodes->ranges[1].start, 33 * MIB);
	assert_int_equal(nodes->ranges[1].node, 1);
}

/* What is not enabled, empty, of no interest here, or of a processor that the MADT does not list: passed over. */
static void passes_over(void **state)
{
	(void)state;
	good_table(NEW);
	add_memory(99, 0, 64 * MIB, 0);
	add_memory(1, MIB, 0, ON);
	add_lapic(1, 0, 0);
	add_x2apic(0, 300, 0);
	add_lapic(5, 7, ON);
	add_x2apic(1, 300, ON);			/* said twice, and the same */
	for (uint8_t type = 3; type <= 6; type++)
		(void)add(type, 2);
	(void)add(0, 20);			/* longer than today, and not enabled */
	assert_true(read_table());
	assert_int_equal(handoff.nodes.with_memory, 3);
	assert_int_equal(handoff.nodes.range_count, 2);
	assert_int_equal(handoff.nodes.cpus[1], 1);
	assert_int_equal(handoff.nodes.cpus[2], 0);
}

/* Memory that may be plugged is memory like the rest; where nothing is plugged yet there is none to have. */
static void may_be_plugged(void **state)
{
	(void)state;
	new_table(NEW);
	add_lapic(0, 0, ON);
	add_x2apic(0, 300, ON);
	add_memory(63, 0, 65 * MIB, ON | 2);
	add_memory(4, 1ULL << 40, 1ULL << 30, ON | 2);
	assert_true(read_table());
	assert_true(handoff.nodes.with_memory == 1ULL << 63);
	assert_int_equal(handoff.nodes.range_count, 2);
}

/* Before revision 2 only 8 bits of a domain's number count, and the others may be anything. */
static void revisions(void **state)
{
	static const struct { uint8_t revision; bool is_good; const char *why; } rows[] = {
		{ 0, true, "" }, { 1, true, "" }, { 2, false, "it has a domain 256, and the last that can be used is 63" },
		{ 3, false, "it has a domain 256, and the last that can be used is 63" },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		for (unsigned form = 0; form < 2; form++) {
			new_table(rows[i].revision);
			add_x2apic(0, 300, ON);
			add_lapic(form ? 256 : 0, 0, ON);
			add_memory(form ? 0 : 256, 0, 65 * MIB, ON);
			assert_int_equal(read_table(), rows[i].is_good);
			assert_string_equal(why, rows[i].why);
			if (!rows[i].is_good)
				is_one_node();
		}
	}
	new_table(NEW);
	add_lapic(1U << 24, 0, ON);
	assert_false(read_table());
	assert_string_equal(why, "it has a domain 16777216, and the last that can be used is 63");
}

/* ---- Mistakes: each is made in a good table ---- */

static void too_short(void) { length = FIRST - 1; }
static void only_a_head(void) { length = FIRST; }
static void entry_of_0(void) { table[add(1, 40) + 1] = 0; }
static void entry_of_1(void) { table[add(1, 40) + 1] = 1; }
static void entry_beyond(void) { table[add(1, 40) + 1] = 41; }
static void half_a_head(void) { length++; }
static void short_lapic(void) { (void)add(0, 15); }
static void short_memory(void) { (void)add(1, 39); }
static void short_x2apic(void) { (void)add(2, 23); }
static void unknown_type(void) { (void)add(7, 16); }
static void type_255(void) { (void)add(255, 2); }
static void domain_64(void) { add_lapic(64, 9, ON); }
static void domain_64_x2apic(void) { add_x2apic(64, 9, ON); }
static void domain_64_memory(void) { add_memory(64, 1ULL << 40, MIB, ON); }
static void two_domains(void) { add_x2apic(0, 300, ON); }
static void no_processor(void) { handoff.cpu_count = 3; }
static void no_memory(void) { handoff.region_count = 4; }
static void gap_at_end(void) { handoff.regions[1].length += 4096; }
static void gap_at_start(void) { handoff.regions[1] = (struct handoff_region){ 64 * MIB, 2 * MIB, REGION_FREE, 0 }; }
static void overlap(void) { add_memory(1, 32 * MIB, 2 * MIB, ON); }
static void overlap_of_one(void) { add_memory(1, 65 * MIB - 1, 1, ON); }
static void overlap_before(void) { add_memory(1, MIB - 1, 2, ON); }
static void overlap_around(void) { add_memory(0, 0, 1ULL << 40, ON); }
static void wraps(void) { add_memory(1, UINT64_MAX - 4095, 8192, ON); }
static void beyond_52_bits(void) { add_memory(1, (1ULL << 52) - 4096, 4097, ON); }
static void at_52_bits(void) { add_memory(1, 1ULL << 52, 1, ON); }

static void many_ranges(void)
{
	for (uint64_t i = 0; i < HANDOFF_RANGES_MAX - 1; i++)
		add_memory(1, (1ULL << 40) + i * MIB, MIB, ON);
}

static void mistakes(void **state)
{
	static const struct { void (*make)(void); const char *why; } rows[] = {
		{ too_short, "its 47 bytes are fewer than a SRAT has" },
		{ only_a_head, "processor 0 (APIC ID 0) is in no domain" },
		{ entry_of_0, "its entry at byte 168 has a wrong length" },
		{ entry_of_1, "its entry at byte 168 has a wrong length" },
		{ entry_beyond, "its entry at byte 168 has a wrong length" },
		{ half_a_head, "its entry at byte 168 has a wrong length" },
		{ short_lapic, "its entry at byte 168 has 15 bytes, too few for type 0" },
		{ short_memory, "its entry at byte 168 has 39 bytes, too few for type 1" },
		{ short_x2apic, "its entry at byte 168 has 23 bytes, too few for type 2" },
		{ unknown_type, "its entry at byte 168 has the unknown type 7" },
		{ type_255, "its entry at byte 168 has the unknown type 255" },
		{ domain_64, "it has a domain 64, and the last that can be used is 63" },
		{ domain_64_x2apic, "it has a domain 64, and the last that can be used is 63" },
		{ domain_64_memory, "it has a domain 64, and the last that can be used is 63" },
		{ two_domains, "processor 1 (APIC ID 300) is in domains 1 and 0" },
		{ no_processor, "processor 2 (APIC ID 7) is in no domain" },
		{ no_memory, "memory at 0xc800000 is in no domain" },
		{ gap_at_end, "memory at 0x4100000 is in no domain" },
		{ gap_at_start, "memory at 0x4100000 is in no domain" },
		{ overlap, "its memory at 0x2000000 is there twice, in domains 0 and 1" },
		{ overlap_of_one, "its memory at 0x40fffff is there twice, in domains 1 and 1" },
		{ overlap_before, "its memory at 0x100000 is there twice, in domains 0 and 1" },
		{ overlap_around, "its memory at 0x100000 is there twice, in domains 0 and 0" },
		{ wraps, "no processor can address the end of its memory at 0xfffffffffffff000, 0x2000 bytes" },
		{ beyond_52_bits, "no processor can address the end of its memory at 0xffffffffff000, 0x1001 bytes" },
		{ at_52_bits, "no processor can address the end of its memory at 0x10000000000000, 0x1 bytes" },
		{ many_ranges, "it has more than 128 ranges of memory" },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		good_table(NEW);
		rows[i].make();
		assert_false(read_table());
		assert_string_equal(why, rows[i].why);
		is_one_node();
	}
}

/* The last that still fits. */
static void limits(void **state)
{
	(void)state;
	good_table(NEW);
	many_ranges();
	length -= 40;
	assert_true(read_table());
	assert_int_equal(handoff.nodes.range_count, HANDOFF_RANGES_MAX);
	good_table(NEW);
	add_memory(1, (1ULL << 52) - 4096, 4096, ON);
	assert_true(read_table());
	srat_none(&handoff.nodes);
	is_one_node();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_nodes), cmocka_unit_test(passes_over), cmocka_unit_test(may_be_plugged),
		cmocka_unit_test(revisions), cmocka_unit_test(mistakes), cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests_name("srat", tests, NULL, NULL);
}
