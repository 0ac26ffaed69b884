/* SPDX-License-Identifier: MIT */
/* boot/acpi.c on tables made here: found through XSDT and RSDT, refused when damaged, processors listed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "boot/acpi.h"
#include "hv/lib/util.h"

#define HEADER		36U
#define RSDP_1		20U
#define RSDP_2		36U
#define MADT_FIRST	44U

static void fix_sum(uint8_t *bytes, size_t len, size_t at)
{
	uint8_t sum = 0;

	bytes[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[at] = (uint8_t)-sum;
}

static void finish_table(uint8_t *table, const char *signature, uint32_t length)
{
	memcpy(table, signature, 4);
	memcpy(table + 4, &length, sizeof(length));
	fix_sum(table, length, 9);
}

/* Below 4 GiB, so that an RSDT can point to it as well. */
struct machine {
	uint8_t rsdp[64], xsdt[64], rsdt[64], other[64], madt[256];
};

static uint64_t memory_start, memory_end;	/* what is_mapped says; the machine's pages lie in it */

static bool is_mapped(uint64_t start, uint64_t length)
{
	return start >= memory_start && start <= memory_end && length <= memory_end - start;
}

static struct machine *new_machine(uint8_t revision)
{
	struct machine *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint64_t tables[2];
	uint32_t rsdt, length = RSDP_2;

	assert_true(m != MAP_FAILED);
	memory_start = (uintptr_t)m;
	memory_end = memory_start + sizeof(*m);
	tables[0] = (uintptr_t)m->other;
	tables[1] = (uintptr_t)m->madt;
	finish_table(m->other, "FACP", HEADER);
	finish_table(m->madt, "APIC", MADT_FIRST);
	memcpy(m->xsdt + HEADER, tables, sizeof(tables));
	finish_table(m->xsdt, "XSDT", HEADER + sizeof(tables));
	for (unsigned i = 0; i < 2; i++)
		memcpy(m->rsdt + HEADER + 4 * i, &tables[i], 4);
	finish_table(m->rsdt, "RSDT", HEADER + 8);

	memcpy(m->rsdp, "RSD PTR ", 8);
	m->rsdp[15] = revision;
	rsdt = (uint32_t)(uintptr_t)m->rsdt;
	tables[0] = (uintptr_t)m->xsdt;
	memcpy(m->rsdp + 16, &rsdt, 4);
	memcpy(m->rsdp + 20, &length, 4);
	memcpy(m->rsdp + 24, &tables[0], 8);
	fix_sum(m->rsdp, RSDP_1, 8);
	fix_sum(m->rsdp, RSDP_2, 32);
	return m;
}

static uint64_t rsdp_of(const struct machine *m)
{
	return (uint64_t)(uintptr_t)m->rsdp;
}

static void end_machine(struct machine *m)
{
	munmap(m, sizeof(*m));
}

static void finds_tables(void **state)
{
	(void)state;
	for (uint8_t revision = 0; revision <= 2; revision += 2) {
		struct machine *m = new_machine(revision);

		assert_true(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
		assert_ptr_equal(acpi_find(rsdp_of(m), "APIC", is_mapped), m->madt);
		assert_ptr_equal(acpi_find(rsdp_of(m), "FACP", is_mapped), m->other);
		assert_null(acpi_find(rsdp_of(m), "MCFG", is_mapped));
		m->madt[20]++;
		assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
		end_machine(m);
	}
	assert_false(acpi_rsdp_is_valid(0, is_mapped));
	assert_null(acpi_find(0, "APIC", is_mapped));
}

static void falls_back_to_rsdt(void **state)
{
	struct machine *m = new_machine(2);

	(void)state;
	memset(m->xsdt + HEADER, 0, 16);
	fix_sum(m->xsdt, HEADER + 16, 9);
	m->xsdt[9]++;					/* wrong by one, wherever the tables lie */
	assert_ptr_equal(acpi_find(rsdp_of(m), "APIC", is_mapped), m->madt);
	end_machine(m);
}

static void refuses_damage(void **state)
{
	struct machine *m = new_machine(2);
	uint32_t length = 8;

	(void)state;
	m->rsdp[33]++;					/* only the second checksum covers it */
	assert_false(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	m->rsdp[33]--;
	m->rsdp[0] = 'r';
	assert_false(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	m->rsdp[0] = 'R';
	assert_true(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	memcpy(m->madt + 4, &length, 4);		/* shorter than a header */
	assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
	length = ~0U;
	memcpy(m->madt + 4, &length, 4);
	assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
	end_machine(m);
}

/* One that is listed and not whole is told apart from one that is not there. */
static void tells_damage(void **state)
{
	struct machine *m = new_machine(2);
	const void *table = m;

	(void)state;
	assert_int_equal(acpi_look_up(rsdp_of(m), "APIC", is_mapped, &table), ACPI_WHOLE);
	assert_ptr_equal(table, m->madt);
	assert_int_equal(acpi_look_up(rsdp_of(m), "SRAT", is_mapped, &table), ACPI_ABSENT);
	assert_null(table);
	m->madt[20]++;
	assert_int_equal(acpi_look_up(rsdp_of(m), "APIC", is_mapped, &table), ACPI_DAMAGED);
	assert_null(table);
	m->rsdp[0] = 'r';
	assert_int_equal(acpi_look_up(rsdp_of(m), "APIC", is_mapped, &table), ACPI_ABSENT);
	end_machine(m);
}

static void end_memory_at(const void *end) { memory_end = (uintptr_t)end; }

/* Addresses that lead nowhere, in a root table whose sum is right: passed over, not followed. */
static void follows_nothing_unmapped(void **state)
{
	static const uint64_t wild[] = { 0x1000, 0xfffff000, 0x7fffffffff00, 0x800000000000, UINT64_MAX - 3 };

	(void)state;
	for (size_t i = 0; row_of(wild, i); i++) {
		struct machine *m = new_machine(2);

		memcpy(m->xsdt + HEADER, &wild[i], sizeof(wild[i]));
		finish_table(m->xsdt, "XSDT", HEADER + 16);
		assert_ptr_equal(acpi_find(rsdp_of(m), "APIC", is_mapped), m->madt);
		assert_null(acpi_find(rsdp_of(m), "FACP", is_mapped));
		memcpy(m->rsdp + 24, &wild[i], sizeof(wild[i]));
		fix_sum(m->rsdp, RSDP_2, 32);
		assert_ptr_equal(acpi_find(rsdp_of(m), "FACP", is_mapped), m->other);	/* by the RSDT */
		assert_false(acpi_rsdp_is_valid(wild[i], is_mapped));
		end_machine(m);
	}
}

/* A root table that claims to be longer than its pointers: what follows them is read as pointers, and leads nowhere. */
static void long_root(void **state)
{
	struct machine *m = new_machine(2);

	(void)state;
	memset(m->xsdt + HEADER + 16, 0x5a, sizeof(m->xsdt) - HEADER - 16);
	finish_table(m->xsdt, "XSDT", sizeof(m->xsdt));
	assert_null(acpi_find(rsdp_of(m), "MCFG", is_mapped));
	end_machine(m);
}

/* Memory ends within each structure in turn: in its head, and behind it. */
static void memory_ends(void **state)
{
	struct machine *m = new_machine(2);

	(void)state;
	end_memory_at(m->madt + MADT_FIRST);
	assert_ptr_equal(acpi_find(rsdp_of(m), "APIC", is_mapped), m->madt);
	end_memory_at(m->madt + MADT_FIRST - 1);
	assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
	end_memory_at(m->madt + HEADER - 1);
	assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
	end_memory_at(m->rsdp + RSDP_2);
	assert_true(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	assert_null(acpi_find(rsdp_of(m), "APIC", is_mapped));
	end_memory_at(m->rsdp + RSDP_2 - 1);
	assert_false(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	end_memory_at(m->rsdp + RSDP_1 - 1);
	assert_false(acpi_rsdp_is_valid(rsdp_of(m), is_mapped));
	end_machine(m);
}

static void lists_cpus(void **state)
{
	static const uint8_t entries[] = {
		0, 8, 0, 0, 1, 0, 0, 0,				/* APIC 0 */
		1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,	/* an I/O APIC */
		0, 8, 1, 2, 1, 0, 0, 0,				/* APIC 2 */
		0, 8, 2, 3, 2, 0, 0, 0,				/* APIC 3: only online capable */
		0, 8, 3, 4, 0, 0, 0, 0,				/* APIC 4: disabled */
		9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,	/* x2APIC 2: named before */
		9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0,	/* x2APIC 256 */
		0, 4, 9, 9,					/* too short for its type */
	};
	struct machine *m = new_machine(2);
	struct handoff_cpu cpus[4] = { { 0 } };

	(void)state;
	memcpy(m->madt + MADT_FIRST, entries, sizeof(entries));
	finish_table(m->madt, "APIC", MADT_FIRST + sizeof(entries));
	assert_int_equal(acpi_list_cpus(m->madt, cpus, countof(cpus)), 3);
	assert_int_equal(cpus[0].apic_id, 0);
	assert_int_equal(cpus[1].apic_id, 2);
	assert_int_equal(cpus[2].apic_id, 256);
	assert_int_equal(acpi_list_cpus(m->madt, cpus, 2), 2);
	end_machine(m);
}

/* The last entry ends where its table does. */
static void counts_the_last(void **state)
{
	static const uint8_t entry[] = { 0, 8, 0, 5, 1, 0, 0, 0 };
	struct machine *m = new_machine(2);
	struct handoff_cpu cpus[4] = { { 0 } };

	(void)state;
	memcpy(m->madt + MADT_FIRST, entry, sizeof(entry));
	finish_table(m->madt, "APIC", MADT_FIRST + sizeof(entry));
	assert_int_equal(acpi_list_cpus(m->madt, cpus, countof(cpus)), 1);
	assert_int_equal(cpus[0].apic_id, 5);
	end_machine(m);
}

/* An entry of length 0 must not loop, one that leaves the table must not be read. */
static void bad_entries(void **state)
{
	static const uint8_t rows[][8] = {
		{ 0, 0, 0, 7, 1 }, { 0, 1, 0, 7, 1 }, { 0, 9, 0, 7, 1 }, { 9, 16, 0, 0, 1 }, { 0, 255, 0, 7, 1 },
	};
	struct handoff_cpu cpus[4];

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint8_t *madt = malloc(MADT_FIRST + sizeof(rows[i]));	/* exactly, for the sanitizer */

		assert_non_null(madt);
		memset(madt, 0, MADT_FIRST);
		memcpy(madt + MADT_FIRST, rows[i], sizeof(rows[i]));
		finish_table(madt, "APIC", MADT_FIRST + sizeof(rows[i]));
		assert_int_equal(acpi_list_cpus(madt, cpus, countof(cpus)), 0);
		free(madt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_tables),	  cmocka_unit_test(falls_back_to_rsdt),
		cmocka_unit_test(refuses_damage), cmocka_unit_test(lists_cpus),
		cmocka_unit_test(bad_entries),	  cmocka_unit_test(counts_the_last),
		cmocka_unit_test(follows_nothing_unmapped), cmocka_unit_test(long_root),
		cmocka_unit_test(memory_ends),	  cmocka_unit_test(tells_damage),
	};

	return cmocka_run_group_tests_name("boot_acpi", tests, NULL, NULL);
}
