/* SPDX-License-Identifier: MIT */
/*
 * I/O and MSR bitmaps, computed from the policy tables when a vCPU is created: SDM vol. 3, 25.6.4 "I/O-Bitmap
 * Addresses", 25.6.9 "MSR-Bitmap Address". A set bit exits. Deny by default: everything starts set, and only
 * PASS rows are cleared, and registers of the local APIC while the processor serves them (virtual_apic.c). So a port or
 * MSR that nobody thought of reaches our handler and not the hardware.
 */
#include "arch/x86/exit/policy.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/quirks.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/addr.h"
#include "hv/lib/apic.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

/*
 * The MSR bitmap page has four quarters of one bit for each MSR: reads of MSRs 0 to 1fffh, reads of c0000000h to
 * c0001fffh, then writes of both ranges. MSRs outside of the two ranges always exit.
 */
enum { READ_LOW = 0, READ_HIGH = 1024, WRITE_LOW = 2048, WRITE_HIGH = 3072 };
#define MSR_HIGH_FIRST	0xc0000000U
#define MSR_RANGE	0x2000U

void vmx_io_bitmap_fill(uint8_t *bitmaps)
{
	memset(bitmaps, 0xff, 2 * PAGE_SIZE);	/* every port is a device model's or nobody's */
}

static void set_bit(uint8_t *bitmap, uint32_t index, bool exits)
{
	uint8_t bit = (uint8_t)BIT(index % 8), *byte = &bitmap[index / 8];

	*byte = exits ? *byte | bit : *byte & (uint8_t)~bit;
}

/* Let the guest's RDMSR or WRMSR of this MSR through, if a bit for it exists. */
static void pass(uint8_t *bitmap, uint32_t msr, unsigned low, unsigned high)
{
	if (msr < MSR_RANGE)
		set_bit(bitmap + low, msr, false);
	else if (msr - MSR_HIGH_FIRST < MSR_RANGE)
		set_bit(bitmap + high, msr - MSR_HIGH_FIRST, false);
}

void vmx_msr_bitmap_fill(uint8_t *bitmap)
{
	size_t count;
	const struct msr_policy *rows = msr_policy_table(&count);

	memset(bitmap, 0xff, PAGE_SIZE);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].read == MSR_PASS)
			pass(bitmap, rows[i].msr, READ_LOW, READ_HIGH);
		if (rows[i].write == MSR_PASS)
			pass(bitmap, rows[i].msr, WRITE_LOW, WRITE_HIGH);
	}
}

/*
 * What the processor serves from the virtual-APIC page, or does by itself: 30.5 "Virtualizing MSR-Based APIC Accesses". All
 * other registers are the software's, and would be read from a page that does not have them.
 */
static const struct { enum apic_reg first, last; bool is_read, is_written; } virtual_regs[] = {
	{ APIC_ID, APIC_VERSION, true, false },		{ APIC_TPR, APIC_TPR, true, true },
	{ APIC_PPR, APIC_PPR, true, false },		{ APIC_EOI, APIC_EOI, false, true },
	{ APIC_LDR, APIC_LDR, true, false },		{ APIC_ISR, APIC_IRR + 7, true, false },	/* and TMR */
	{ APIC_SELF_IPI, APIC_SELF_IPI, false, true },
};

void vmx_msr_bitmap_x2apic(uint8_t *bitmap, bool is_open)
{
	for (size_t i = 0; i < countof(virtual_regs); i++)
		for (uint32_t reg = virtual_regs[i].first; reg <= virtual_regs[i].last; reg++) {
			bool exits = !is_open || (reg == APIC_SELF_IPI && quirks.delivers_masked);

			if (virtual_regs[i].is_read)
				set_bit(bitmap + READ_LOW, MSR_X2APIC_FIRST + reg, exits);
			if (virtual_regs[i].is_written)
				set_bit(bitmap + WRITE_LOW, MSR_X2APIC_FIRST + reg, exits);
		}
}
