/* SPDX-License-Identifier: MIT */
/*
 * I/O and MSR bitmaps, computed from the policy tables when a vCPU is created: SDM vol. 3, 25.6.4 "I/O-Bitmap
 * Addresses", 25.6.9 "MSR-Bitmap Address". A set bit exits. Deny by default: everything starts set, and only
 * PASS rows are cleared. So a port or MSR that nobody thought of reaches our handler and not the hardware.
 */
#include "arch/x86/exit/policy.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/addr.h"
#include "hv/lib/string.h"

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

static void clear_bit(uint8_t *bitmap, uint32_t index)
{
	bitmap[index / 8] &= (uint8_t)~BIT(index % 8);
}

/* Let the guest's RDMSR or WRMSR of this MSR through, if a bit for it exists. */
static void pass(uint8_t *bitmap, uint32_t msr, unsigned low, unsigned high)
{
	if (msr < MSR_RANGE)
		clear_bit(bitmap + low, msr);
	else if (msr - MSR_HIGH_FIRST < MSR_RANGE)
		clear_bit(bitmap + high, msr - MSR_HIGH_FIRST);
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
