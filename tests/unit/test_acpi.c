/* SPDX-License-Identifier: MIT */
/* The guest's ACPI tables, parsed back from RAM by the offsets of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "arch/x86/guestboot/acpi_tables.h"
#include "guest_fake.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/lapic.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/vm.h"

#define RAM		(4ULL << 20)
#define AML_MAX		4096U

static uint8_t sum(struct guest_fake *guest, uint64_t addr, uint64_t len)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < len; i++)
		total = (uint8_t)(total + guest_number(guest, addr + i, 1));
	return total;
}

static void check_table(struct guest_fake *guest, uint64_t addr, const char *signature)
{
	uint64_t len = guest_number(guest, addr + 4, 4);

	assert_in_range(addr, 0xe0000, 0xfffff);
	assert_in_range(len, 36, 0x2000);
	assert_true(guest_equals(guest, addr, signature, 4));
	assert_int_equal(sum(guest, addr, len), 0);
}

/* Follow RSDP and XSDT to the table with this signature. */
static uint64_t find_table(struct guest_fake *guest, gpa_t rsdp, const char *signature)
{
	uint64_t xsdt = guest_number(guest, rsdp.raw + 24, 8);
	uint64_t count = (guest_number(guest, xsdt + 4, 4) - 36) / 8;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t addr = guest_number(guest, xsdt + 36 + i * 8, 8);

		if (guest_equals(guest, addr, signature, 4))
			return addr;
	}
	fail_msg("no %s", signature);
	return 0;
}

static gpa_t make(struct guest_fake *guest, uint32_t vcpus, uint32_t virtio)
{
	const struct acpi_shape shape = { vcpus, virtio };
	gpa_t rsdp;

	guest_fake_init(guest, RAM);
	assert_int_equal(acpi_tables_write(&guest->gpm, &shape, &rsdp), 0);
	return rsdp;
}

static void test_roots(void **unused)
{
	struct guest_fake guest;
	gpa_t rsdp = make(&guest, 1, 2);
	uint64_t rsdt = guest_number(&guest, rsdp.raw + 16, 4), xsdt = guest_number(&guest, rsdp.raw + 24, 8);

	(void)unused;
	assert_int_equal(rsdp.raw, 0xe0000);
	assert_true(guest_equals(&guest, rsdp.raw, "RSD PTR ", 8));
	assert_int_equal(sum(&guest, rsdp.raw, 20), 0);
	assert_int_equal(sum(&guest, rsdp.raw, 36), 0);
	assert_int_equal(guest_number(&guest, rsdp.raw + 15, 1), 2);
	check_table(&guest, rsdt, "RSDT");
	check_table(&guest, xsdt, "XSDT");
	assert_int_equal(guest_number(&guest, rsdt + 4, 4), 36 + 2 * 4);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(guest_number(&guest, rsdt + 36 + i * 4, 4), guest_number(&guest, xsdt + 36 + i * 8, 8));
	guest_fake_free(&guest);
}

static void test_fadt(void **unused)
{
	struct guest_fake guest;
	gpa_t rsdp = make(&guest, 1, 2);
	uint64_t fadt = find_table(&guest, rsdp, "FACP");
	static const struct { unsigned at, size; uint64_t val; } rows[] = {
		{ 4, 4, 244 }, { 8, 1, 4 }, { 46, 2, ACPI_SCI_IRQ }, { 48, 4, 0 },
		{ 56, 4, ACPI_PM1_EVENT_PORT }, { 64, 4, ACPI_PM1_CONTROL_PORT }, { 76, 4, ACPI_PM_TIMER_PORT },
		{ 88, 1, 4 }, { 89, 1, 2 }, { 91, 1, 4 }, { 92, 1, 0 },
		{ 108, 1, 0x32 },
		{ 109, 2, 0x000d },		/* legacy devices, no VGA, no MSI, no 8042, CMOS clock there */
		{ 112, 4, 0x565 },		/* WBINVD, C1, no sleep button, RTC, 32-bit timer, reset register */
		{ 116, 4, 0x00000801 }, { 120, 8, 0xcf9 }, { 128, 1, 6 },
		{ 148, 4, 0x00002001 }, { 152, 8, ACPI_PM1_EVENT_PORT },
		{ 172, 4, 0x00001001 }, { 176, 8, ACPI_PM1_CONTROL_PORT },
		{ 208, 4, 0x00002001 }, { 212, 8, ACPI_PM_TIMER_PORT },
	};

	(void)unused;
	check_table(&guest, fadt, "FACP");
	for (size_t i = 0; i < countof(rows); i++)
		if (guest_number(&guest, fadt + rows[i].at, rows[i].size) != rows[i].val)
			fail_msg("FADT offset %u", rows[i].at);
	assert_int_equal(guest_number(&guest, fadt + 40, 4), guest_number(&guest, fadt + 140, 8));
	check_table(&guest, guest_number(&guest, fadt + 40, 4), "DSDT");
	assert_true(guest_equals(&guest, guest_number(&guest, fadt + 36, 4), "FACS\x40\0\0\0", 8));
	assert_int_equal(guest_number(&guest, fadt + 36, 4) % 64, 0);
	guest_fake_free(&guest);
}

static void test_madt(void **unused)
{
	static const uint8_t fixed[] = {
		1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0,	/* I/O APIC, GSI 0 */
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,				/* IRQ 0 is GSI 2 */
		2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0,			/* IRQ 9: level, active high */
		4, 6, 0xff, 0, 0, 1,					/* LINT1 is NMI everywhere */
	};

	(void)unused;
	for (uint32_t vcpus = 1; vcpus <= VM_VCPUS_MAX; vcpus++) {
		struct guest_fake guest;
		gpa_t rsdp = make(&guest, vcpus, 0);
		uint64_t madt = find_table(&guest, rsdp, "APIC");

		check_table(&guest, madt, "APIC");
		assert_int_equal(guest_number(&guest, madt + 4, 4), 44 + sizeof(fixed) + vcpus * 8);
		assert_int_equal(guest_number(&guest, madt + 36, 4), LAPIC_BASE);
		assert_int_equal(guest_number(&guest, madt + 40, 4), 1);
		assert_true(guest_equals(&guest, madt + 44, fixed, sizeof(fixed)));
		for (uint32_t i = 0; i < vcpus; i++) {
			const uint8_t lapic[] = { 0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0 };

			assert_true(guest_equals(&guest, madt + 44 + sizeof(fixed) + i * 8, lapic, 8));
		}
		guest_fake_free(&guest);
	}
}

static size_t read_dsdt(struct guest_fake *guest, gpa_t rsdp, uint8_t *aml)
{
	uint64_t dsdt = guest_number(guest, find_table(guest, rsdp, "FACP") + 40, 4);
	size_t   len = guest_number(guest, dsdt + 4, 4);

	check_table(guest, dsdt, "DSDT");
	assert_in_range(len, 36, AML_MAX);
	assert_true(gpm_read(&guest->gpm, gpa(dsdt), aml, len));
	return len;
}

/* The offset of these bytes, which must occur exactly once. */
static size_t find_once(const uint8_t *aml, size_t len, const void *bytes, size_t bytes_len)
{
	size_t found = 0, count = 0;

	for (size_t i = 0; i + bytes_len <= len; i++)
		if (!memcmp(aml + i, bytes, bytes_len)) {
			found = i;
			count++;
		}
	assert_int_equal(count, 1);
	return found;
}

static void test_virtio_count(void **unused)
{
	(void)unused;
	for (uint32_t count = 0; count <= VIRTIO_DEVS_MAX; count++) {
		struct guest_fake guest;
		uint8_t aml[AML_MAX];
		size_t  len = read_dsdt(&guest, make(&guest, 1, count), aml);

		assert_int_equal(aml[find_once(aml, len, "\x08VCNT\x0a", 6) + 6], count);
		guest_fake_free(&guest);
	}
}

/* The resource descriptors of window n: Memory32Fixed (86h) and extended interrupt (89h; 3: consumer, edge), against machine.h. */
static void test_windows(void **unused)
{
	struct guest_fake guest;
	uint8_t aml[AML_MAX];
	size_t  len = read_dsdt(&guest, make(&guest, 1, VIRTIO_DEVS_MAX), aml);

	(void)unused;
	for (uint32_t n = 0; n < VIRTIO_DEVS_MAX; n++) {
		uint8_t  memory[12] = { 0x86, 9, 0, 1 }, irq[9] = { 0x89, 6, 0, 0x03, 1, (uint8_t)(VIRTIO_GSI_BASE + n) };
		uint32_t base = (uint32_t)(VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_SIZE), size = VIRTIO_MMIO_SIZE;
		char     name[5];
		size_t   at;

		memcpy(memory + 4, &base, 4);
		memcpy(memory + 8, &size, 4);
		snprintf(name, sizeof(name), "VIO%u", n);
		at = find_once(aml, len, name, 4);
		assert_in_range(find_once(aml, len, memory, sizeof(memory)), at, at + 128);
		assert_in_range(find_once(aml, len, irq, sizeof(irq)), at, at + 128);
		assert_int_equal(memcmp(aml + at + 4, "\x08_HID\rLNRO0005", 15), 0);
	}
	/* \_S5 carries the sleep type the PM device takes for power-off. */
	assert_int_equal(aml[find_once(aml, len, "_S5_", 4) + 8], ACPI_SLEEP_TYPE_S5);
	guest_fake_free(&guest);
}

static void test_refusals(void **unused)
{
	static const struct { uint64_t memory; struct acpi_shape shape; int result; } rows[] = {
		{ RAM, { VM_VCPUS_MAX, VIRTIO_DEVS_MAX }, 0 },
		{ RAM, { VM_VCPUS_MAX + 1, 0 }, -1 },
		{ RAM, { 1, VIRTIO_DEVS_MAX + 1 }, -1 },
		{ RAM, { UINT32_MAX, UINT32_MAX }, -1 },
		{ 0xe0000, { 1, 1 }, -1 },
		{ 0xa0000, { 1, 1 }, -1 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct guest_fake guest;
		gpa_t rsdp;

		guest_fake_init(&guest, rows[i].memory);
		assert_int_equal(acpi_tables_write(&guest.gpm, &rows[i].shape, &rsdp), rows[i].result);
		guest_fake_free(&guest);
	}
}

/* A second opinion: Intel's disassembler reads every table, if it is installed. */
static void test_iasl(void **unused)
{
	static const char *const names[] = { "FACP", "APIC", "DSDT" };
	char dir[] = "/tmp/acpi-XXXXXX", command[160];
	struct guest_fake guest;
	gpa_t rsdp;

	(void)unused;
	if (system("command -v iasl >/dev/null 2>&1"))
		skip();
	rsdp = make(&guest, 2, 3);
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; row_of(names, i); i++) {
		uint64_t addr = i < 2 ? find_table(&guest, rsdp, names[i]) :
				guest_number(&guest, find_table(&guest, rsdp, "FACP") + 40, 4);
		size_t   len = guest_number(&guest, addr + 4, 4);
		uint8_t  bytes[AML_MAX];
		FILE    *file;

		assert_true(gpm_read(&guest.gpm, gpa(addr), bytes, len));
		snprintf(command, sizeof(command), "%s/%s.aml", dir, names[i]);
		file = fopen(command, "wb");
		assert_non_null(file);
		assert_int_equal(fwrite(bytes, 1, len, file), len);
		fclose(file);
		snprintf(command, sizeof(command), "cd %s && iasl -d %s.aml >log 2>&1 && "
			 "! grep -iE 'error|invalid|incorrect' log %s.dsl", dir, names[i], names[i]);
		assert_int_equal(system(command), 0);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	guest_fake_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_virtio_count),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
