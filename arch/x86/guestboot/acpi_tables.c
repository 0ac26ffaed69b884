/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables, see acpi_tables.h. Layouts: ACPI specification 5.2 "ACPI System Description Tables"; the FADT
 * is that of revision 4 (ACPI 4.0), the last one without fields a small PC has no use for.
 *
 * What the FADT denies on purpose: a keyboard controller (Linux would probe it for a second; its reset
 * command works all the same), VGA, MSI, an SMI command port (the machine is always in ACPI mode), C2 and C3.
 */
#include "arch/x86/guestboot/acpi_tables.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/hw/acpi_words.h"
#include "dsdt.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/lapic.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/memory_map.h"
#include "hv/vm.h"

#define TABLE_ALIGN		64U	/* what the FACS asks for */
#define SPACE_IO		1U
#define ACCESS_ANY		0U

#define FADT_WBINVD		(1U << 0)
#define FADT_PROC_C1		(1U << 2)
#define FADT_SLP_BUTTON		(1U << 5)	/* set: no fixed-hardware sleep button */
#define FADT_FIX_RTC		(1U << 6)	/* set: the RTC wakes nobody through PM1 */
#define FADT_TMR_VAL_EXT	(1U << 8)	/* 32-bit PM timer */
#define FADT_RESET_REG_SUP	(1U << 10)
#define BOOT_LEGACY_DEVICES	(1U << 0)
#define BOOT_VGA_NOT_PRESENT	(1U << 2)
#define BOOT_MSI_NOT_SUPPORTED	(1U << 3)
#define NO_C2			101U		/* worst-case latencies that mean "not there" */
#define NO_C3			1001U
#define PM1_EVENT_LEN		4U
#define PM1_CONTROL_LEN		2U
#define PM_TIMER_LEN		4U
#define RESET_VALUE		6U
#define CMOS_CENTURY		0x32U


struct ACPI_PACKED acpi_gas { uint8_t space, bit_width, bit_offset, access; uint64_t address; };

struct ACPI_PACKED acpi_facs {
	char     signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t  version, reserved[31];
};

struct ACPI_PACKED acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t  reserved0, preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t  acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t  pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t  duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t  reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t  reset_value;
	uint16_t arm_boot_arch;
	uint8_t  minor_version;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct acpi_gas x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk, x_pm2_cnt_blk, x_pm_tmr_blk,
			x_gpe0_blk, x_gpe1_blk;
};

_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI 5.2.10");
_Static_assert(sizeof(struct acpi_fadt) == 244, "ACPI 4.0, 5.2.9");

/* The entries whose number does not vary come first, so that the table is a struct with a shorter end. */
struct ACPI_PACKED acpi_madt {
	struct acpi_header    header;
	struct madt_start     start;
	struct madt_ioapic    ioapic;
	struct madt_override  pit, sci;
	struct madt_lapic_nmi nmi;
	struct madt_lapic     lapics[VM_VCPUS_MAX];
};

struct builder {
	struct gpm *gpm;
	uint64_t    next;	/* where the next table goes */
	bool        failed;
};

/* The byte that makes the sum of all bytes 0, when it replaces a 0. */
static uint8_t checksum_of(const void *table, size_t len)
{
	return (uint8_t)-table_sum(table, len);
}

static struct acpi_header header(const char *signature, uint8_t revision, size_t len)
{
	struct acpi_header made = {
		.length = (uint32_t)len, .revision = revision, .oem_revision = 1, .creator_revision = 1,
		.oem_id = "TRAPEZ", .oem_table_id = "TRAPEZE", .creator_id = "TRPZ",
	};

	memcpy(made.signature, signature, sizeof(made.signature));
	return made;
}

static uint32_t place(struct builder *builder, const void *bytes, size_t len)
{
	uint64_t addr = builder->next;

	builder->next = align_up(addr + len, TABLE_ALIGN);
	if (builder->next > MEMORY_MP_TABLE || !gpm_write(builder->gpm, gpa(addr), bytes, len))
		builder->failed = true;
	return (uint32_t)addr;
}

static uint32_t place_table(struct builder *builder, void *table, size_t len)
{
	((struct acpi_header *)table)->checksum = checksum_of(table, len);
	return place(builder, table, len);
}

/* Where the compiled "Name (VCNT, n)" keeps its n; 0 when dsdt.asl has lost it. */
static size_t find_virtio_count(void)
{
	/* NameOp, NameSeg, BytePrefix */
	static const uint8_t pattern[] = { 0x08, 'V', 'C', 'N', 'T', 0x0a };

	for (size_t i = 0; i + sizeof(pattern) < sizeof(dsdt_aml); i++)
		if (!memcmp(&dsdt_aml[i], pattern, sizeof(pattern)))
			return i + sizeof(pattern);
	return 0;
}

static uint32_t place_dsdt(struct builder *builder, uint8_t virtio_count)
{
	const size_t checksum_at = offsetof(struct acpi_header, checksum);
	const size_t count_at = find_virtio_count();
	uint32_t addr = place(builder, dsdt_aml, sizeof(dsdt_aml));
	uint8_t  checksum = (uint8_t)(dsdt_aml[checksum_at] + dsdt_aml[count_at] - virtio_count);

	if (!count_at || !gpm_write(builder->gpm, gpa(addr + count_at), &virtio_count, sizeof(virtio_count)) ||
	    !gpm_write(builder->gpm, gpa(addr + checksum_at), &checksum, sizeof(checksum)))
		builder->failed = true;
	return addr;
}

static struct acpi_gas io_register(uint32_t port, uint32_t bytes)
{
	return (struct acpi_gas){ SPACE_IO, (uint8_t)(bytes * 8), 0, ACCESS_ANY, port };
}

static uint32_t place_fadt(struct builder *builder, uint32_t facs, uint32_t dsdt)
{
	struct acpi_fadt fadt = {
		.header = header("FACP", 4, sizeof(fadt)),
		.firmware_ctrl = facs,
		.dsdt = dsdt, .x_dsdt = dsdt,
		.sci_int = ACPI_SCI_IRQ,
		.pm1a_evt_blk = ACPI_PM1_EVENT_PORT, .pm1_evt_len = PM1_EVENT_LEN,
		.pm1a_cnt_blk = ACPI_PM1_CONTROL_PORT, .pm1_cnt_len = PM1_CONTROL_LEN,
		.pm_tmr_blk = ACPI_PM_TIMER_PORT, .pm_tmr_len = PM_TIMER_LEN,
		.x_pm1a_evt_blk = io_register(ACPI_PM1_EVENT_PORT, PM1_EVENT_LEN),
		.x_pm1a_cnt_blk = io_register(ACPI_PM1_CONTROL_PORT, PM1_CONTROL_LEN),
		.x_pm_tmr_blk = io_register(ACPI_PM_TIMER_PORT, PM_TIMER_LEN),
		.p_lvl2_lat = NO_C2, .p_lvl3_lat = NO_C3,
		.century = CMOS_CENTURY,
		.iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_VGA_NOT_PRESENT | BOOT_MSI_NOT_SUPPORTED,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
			 FADT_RESET_REG_SUP,
		.reset_reg = io_register(RESET_PORT, 1),
		.reset_value = RESET_VALUE,
	};

	return place_table(builder, &fadt, sizeof(fadt));
}

static uint32_t place_madt(struct builder *builder, uint32_t vcpu_count)
{
	size_t len = offsetof(struct acpi_madt, lapics) + vcpu_count * sizeof(struct madt_lapic);
	struct acpi_madt madt = {
		.header = header("APIC", 3, len),
		.start = { LAPIC_BASE, MADT_PCAT_COMPAT },
		.ioapic = { MADT_IOAPIC, sizeof(struct madt_ioapic), 0, 0, IOAPIC_BASE, 0 },
		.pit = { MADT_OVERRIDE, sizeof(struct madt_override), 0, TIMER_ISA_IRQ, TIMER_GSI, INTI_BUS },
		.sci = { MADT_OVERRIDE, sizeof(struct madt_override), 0, ACPI_SCI_IRQ, ACPI_SCI_IRQ, INTI_LEVEL_HIGH },
		.nmi = { MADT_LAPIC_NMI, sizeof(struct madt_lapic_nmi), MADT_ALL_PROCESSORS, INTI_BUS, NMI_LINT },
	};

	for (uint8_t i = 0; i < vcpu_count; i++)
		madt.lapics[i] = (struct madt_lapic){
			MADT_LAPIC, sizeof(struct madt_lapic), i, i, MADT_ENABLED,
		};
	return place_table(builder, &madt, len);
}

static void place_roots(struct builder *builder, uint64_t rsdp_addr, uint32_t fadt, uint32_t madt)
{
	struct ACPI_PACKED { struct acpi_header header; uint32_t tables[2]; } rsdt = {
		header("RSDT", 1, sizeof(rsdt)), { fadt, madt },
	};
	struct ACPI_PACKED { struct acpi_header header; uint64_t tables[2]; } xsdt = {
		header("XSDT", 1, sizeof(xsdt)), { fadt, madt },
	};
	struct acpi_rsdp rsdp = {
		.signature = ACPI_RSDP_SIGNATURE, .oem_id = "TRAPEZ", .revision = ACPI_RSDP_REVISION_2, .length = sizeof(rsdp),
		.rsdt = place_table(builder, &rsdt, sizeof(rsdt)),
		.xsdt = place_table(builder, &xsdt, sizeof(xsdt)),
	};

	rsdp.checksum = checksum_of(&rsdp, ACPI_RSDP_LENGTH_1);
	rsdp.extended_checksum = checksum_of(&rsdp, sizeof(rsdp));
	if (!gpm_write(builder->gpm, gpa(rsdp_addr), &rsdp, sizeof(rsdp)))
		builder->failed = true;
}

int acpi_tables_write(struct gpm *gpm, const struct acpi_shape *shape, gpa_t *rsdp)
{
	const struct acpi_facs facs = { .signature = "FACS", .length = sizeof(facs), .version = 1 };
	struct builder builder = {
		.gpm = gpm, .next = align_up(MEMORY_FIRMWARE + sizeof(struct acpi_rsdp), TABLE_ALIGN),
	};
	uint32_t dsdt, fadt, madt;

	if (shape->vcpu_count > VM_VCPUS_MAX || shape->virtio_count > VIRTIO_DEVS_MAX)
		return -1;
	dsdt = place_dsdt(&builder, (uint8_t)shape->virtio_count);
	fadt = place_fadt(&builder, place(&builder, &facs, sizeof(facs)), dsdt);
	madt = place_madt(&builder, shape->vcpu_count);
	place_roots(&builder, MEMORY_FIRMWARE, fadt, madt);
	*rsdp = gpa(MEMORY_FIRMWARE);
	return builder.failed ? -1 : 0;
}
