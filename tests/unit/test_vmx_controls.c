/* SPDX-License-Identifier: MIT */
/* Wanted controls against what processors can do; the bitmaps against the policy they are computed from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/exit/policy.h"
#include "arch/x86/virt/quirks.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/lib/util.h"

struct quirks quirks;

#define CAP(may, must)	((uint64_t)(may) << 32 | (must))

static void test_reconcile(void **unused)
{
	static const struct { uint64_t cap, required, wished, forbidden, result, missing; bool ok; } rows[] = {
		{ CAP(0xff, 0x00), 0x01, 0x00, 0x00, 0x01, 0x00, true },
		{ CAP(0xff, 0x16), 0x01, 0x00, 0x00, 0x17, 0x00, true },	/* what must be one is added */
		{ CAP(0x7f, 0x16), 0x80, 0x00, 0x00, 0x16, 0x80, false },	/* required and impossible */
		{ CAP(0x7f, 0x16), 0x01, 0x80, 0x00, 0x17, 0x00, true },	/* wished and impossible */
		{ CAP(0x7f, 0x16), 0x01, 0x40, 0x00, 0x57, 0x00, true },	/* wished and there */
		{ CAP(0xff, 0x16), 0x01, 0x00, 0x04, 0x17, 0x04, false },	/* forbidden and always on */
		{ CAP(0xff, 0x16), 0x01, 0x00, 0x08, 0x17, 0x00, true },
		{ CAP(0x0f, 0x00), 0x30, 0x00, 0x00, 0x00, 0x10, false },	/* the lowest missing one is named */
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t result, missing;

		assert_int_equal(vmx_reconcile(rows[i].cap, rows[i].required, rows[i].wished, rows[i].forbidden,
					       &result, &missing), rows[i].ok);
		assert_int_equal(result, rows[i].result);
		assert_int_equal(missing, rows[i].missing);
	}
}

/* Capability words as processors report them. NULL: everything that is needed is there. */
static const struct { const char *cpu; struct vmx_caps caps; const char *missing; uint64_t proc2; } cpus[] = {
	{ "Skylake", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x02177fff, 0),
		       .exit = CAP(0x01ffffff, 0x00036dfb), .entry = CAP(0x0003ffff, 0x000011fb) }, NULL, 0x1017fa },
	{ "Tiger Lake", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x02977fff, 0),
			  .exit = CAP(0x01ffffff, 0x00036dfb), .entry = CAP(0x0003ffff, 0x000011fb) }, NULL, 0x1017fa },
	{ "Haswell", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x00007fff, 0),
		       .exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) }, NULL, 0x17fa },
	{ "Haswell without a TPR shadow", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xffd9fffe, 0x04006172), .proc2 = CAP(0x00007fff, 0),
		       .exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) }, NULL, 0x14ea },
	{ "Haswell whose CR8 always exits", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04186172), .proc2 = CAP(0x00007fff, 0),
		       .exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) }, NULL, 0x14ea },
	{ "Westmere", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x000000ff, 0),
			.exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) }, NULL, 0xea },
	{ "Nehalem", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x0000006f, 0),
		       .exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) },
	  "unrestricted guest", 0 },
	{ "Penryn", { .pin = CAP(0x3f, 0x16), .proc = CAP(0xf7f9fffe, 0x0401e172), .proc2 = CAP(0x00000041, 0),
		      .exit = CAP(0x0003ffff, 0x00036dff), .entry = CAP(0x00003fff, 0x000011ff) }, "CR3-load", 0 },
	{ "without EPT", { .pin = CAP(0x7f, 0x16), .proc = CAP(0xfff9fffe, 0x04006172), .proc2 = CAP(0x0000006d, 0),
			   .exit = CAP(0x007fffff, 0x00036dfb), .entry = CAP(0x0000ffff, 0x000011fb) }, "EPT", 0 },
	{ "a hypervisor without virtual NMIs", { .pin = CAP(0x5f, 0x16) }, "virtual NMIs", 0 },
};

static void test_processors(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(cpus); i++) {
		struct vmx_controls out = { 0 };
		const char *missing = NULL;
		bool ok = vmx_controls_init(&cpus[i].caps, &out, &missing);

		if (ok != !cpus[i].missing || (!ok && !strstr(missing, cpus[i].missing)))
			fail_msg("%s: missing %s", cpus[i].cpu, missing ? missing : "nothing");
		if (!ok)
			continue;
		assert_int_equal(out.proc2, cpus[i].proc2);
		assert_int_equal(out.entry & ENTRYC_IA32E_GUEST, 0);
		assert_int_equal(out.proc & (PROC_CR3_LOAD | PROC_CR3_STORE | PROC_RDTSC), 0);
		assert_true(out.proc & PROC_SECONDARY && out.exit & EXITC_HOST_64);
		assert_true(out.proc & PROC_MOV_DR);
		assert_int_equal(!!(out.proc & PROC_TPR_SHADOW), !!(out.proc2 & PROC2_VIRTUAL_IRQS));
	}
}

/* The report says of each wished control whether it is there; none is left out, none has no name. */
static void test_wished(void **unused)
{
	struct vmx_controls all = { ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL }, none = { 0 };
	struct cap_row rows[16];
	size_t count = vmx_wished_rows(&all, rows, countof(rows));

	(void)unused;
	assert_int_equal(count, 12);
	for (size_t i = 0; i < count; i++)
		assert_true(rows[i].has && rows[i].name && rows[i].instead);
	assert_int_equal(vmx_wished_rows(&none, rows, countof(rows)), count);
	for (size_t i = 0; i < count; i++)
		assert_false(rows[i].has);
	assert_int_equal(vmx_wished_rows(&all, rows, 2), 2);
}

/* ---- Bitmaps: every one of the 2 x 8192 registers, deny by default ---- */

static const struct msr_policy policy[] = {
	{ .msr = 0x10, .read = MSR_PASS, .write = MSR_EMULATE },
	{ .msr = 0x1b, .read = MSR_EMULATE, .write = MSR_EMULATE },
	{ .msr = 0x174, .read = MSR_PASS, .write = MSR_PASS },
	{ .msr = 0x200, .last = 0x20f, .read = MSR_EMULATE, .write = MSR_EMULATE },
	{ .msr = 0x1fff, .read = MSR_PASS, .write = MSR_DENY },
	{ .msr = 0x40000000, .read = MSR_PASS, .write = MSR_PASS },	/* no bitmap covers it: it exits */
	{ .msr = 0xc0000080, .read = MSR_EMULATE, .write = MSR_EMULATE },
	{ .msr = 0xc0000082, .read = MSR_PASS, .write = MSR_PASS },
	{ .msr = 0xc0001fff, .read = MSR_DENY, .write = MSR_PASS },
};

const struct msr_policy *msr_policy_table(size_t *count)
{
	*count = countof(policy);
	return policy;
}

static const struct msr_policy *rule_of(uint32_t msr)
{
	for (size_t i = 0; i < countof(policy); i++)
		if (policy[i].msr == msr)
			return &policy[i];
	return NULL;
}

/* SDM vol. 3, 25.6.9: read low, read high, write low, write high, 1 KiB each. */
static bool exits(const uint8_t *bitmap, uint32_t msr, bool is_write)
{
	uint32_t index = msr & 0x1fff;

	return bitmap[(is_write ? 2048U : 0U) + (msr >= 0xc0000000 ? 1024U : 0U) + index / 8] >> index % 8 & 1;
}

static void check_range(const uint8_t *bitmap, uint32_t first)
{
	for (uint32_t msr = first; msr < first + 0x2000; msr++) {
		const struct msr_policy *rule = rule_of(msr);

		if (exits(bitmap, msr, false) != !(rule && rule->read == MSR_PASS) ||
		    exits(bitmap, msr, true) != !(rule && rule->write == MSR_PASS))
			fail_msg("MSR %x", msr);
	}
}

static void test_difference(void **unused)
{
	static const struct vmx_caps caps = { .revision = 1, .pin = 2, .cr4_fixed1 = 3 };
	static const struct { struct vmx_caps other; const char *name; } rows[] = {
		{ { .revision = 1, .pin = 2, .cr4_fixed1 = 3 }, NULL },
		{ { .revision = 2, .pin = 2, .cr4_fixed1 = 3 }, "VMCS revision" },
		{ { .revision = 1, .pin = 2, .cr4_fixed1 = 3, .has_true = true }, "TRUE control registers" },
		{ { .revision = 1, .pin = 2 | 1ULL << 63, .cr4_fixed1 = 3 }, "pin-based controls" },
		{ { .revision = 1, .pin = 2, .cr4_fixed1 = 2 }, "fixed bits of CR4" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		const char *name = vmx_caps_difference(&caps, &rows[i].other);

		assert_int_equal(!name, !rows[i].name);
		if (name)
			assert_string_equal(name, rows[i].name);
	}
}

static void test_msr_bitmap(void **unused)
{
	uint8_t bitmap[PAGE_SIZE];

	(void)unused;
	memset(bitmap, 0x55, sizeof(bitmap));
	vmx_msr_bitmap_fill(bitmap);
	check_range(bitmap, 0);
	check_range(bitmap, 0xc0000000);
}

/* What the processor serves in x2APIC mode: all of SDM vol. 3, 30.5 that we keep in its page, and nothing else. */
static void test_x2apic_bitmap(void **unused)
{
	uint8_t bitmap[PAGE_SIZE];

	(void)unused;
	vmx_msr_bitmap_fill(bitmap);
	vmx_msr_bitmap_x2apic(bitmap, true);
	for (uint32_t reg = 0; reg < 0x100; reg++) {
		bool is_set = reg >= 0x10 && reg < 0x28;	/* ISR, TMR, IRR */
		bool is_read = is_set || reg == 2 || reg == 3 || reg == 8 || reg == 10 || reg == 13;
		bool is_written = reg == 8 || reg == 11 || reg == 0x3f;

		if (exits(bitmap, 0x800 + reg, false) == is_read || exits(bitmap, 0x800 + reg, true) == is_written)
			fail_msg("register %#x", reg);
	}
	vmx_msr_bitmap_x2apic(bitmap, false);
	check_range(bitmap, 0);
	quirks.delivers_masked = true;		/* a message to itself might wait */
	vmx_msr_bitmap_x2apic(bitmap, true);
	assert_true(exits(bitmap, 0x83f, true));
	assert_false(exits(bitmap, 0x80b, true));
	quirks.delivers_masked = false;
}

static void test_io_bitmap(void **unused)
{
	uint8_t bitmaps[2 * PAGE_SIZE] = { 0 };

	(void)unused;
	vmx_io_bitmap_fill(bitmaps);
	for (size_t i = 0; i < sizeof(bitmaps); i++)
		assert_int_equal(bitmaps[i], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reconcile),
		cmocka_unit_test(test_wished),
		cmocka_unit_test(test_x2apic_bitmap),
		cmocka_unit_test(test_processors),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_msr_bitmap),
		cmocka_unit_test(test_io_bitmap),
	};

	return cmocka_run_group_tests_name("vmx_controls", tests, NULL, NULL);
}
