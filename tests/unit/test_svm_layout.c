/* SPDX-License-Identifier: MIT */
/*
 * svm.h: the VMCB is covered by its field list, bits are where appendix B has them, every exit has a name;
 * the maps and ASIDs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "arch/x86/exit/policy.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/svm/svm_cpu.h"
#include "hv/lib/util.h"
#include "hv/page.h"

/* What bitmaps.c needs of the world. */
static unsigned allocs_left;
void *page_alloc_contiguous(size_t pages)
{
	static uint8_t areas[2][3 * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

	assert_in_range(pages, 1, 3);
	return allocs_left ? areas[--allocs_left] : NULL;
}
const struct msr_policy *msr_policy_table(size_t *count)
{
	static const struct msr_policy rows[] = { { .msr = MSR_LSTAR, .read = MSR_PASS, .write = MSR_PASS } };

	*count = countof(rows);
	return rows;
}

struct field { size_t offset, size; const char *name; };

static const struct field fields[] = {
#define ROW(at, member) { at, sizeof(((struct vmcb *)0)->member), #member },
	VMCB_FIELDS(ROW)
#undef ROW
};

static const struct field reserved[] = {
#define HOLE(member) { offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member), #member }
	HOLE(control.reserved_018), HOLE(control.reserved_05d), HOLE(control.reserved_065),
	HOLE(control.reserved_0c4), HOLE(control.reserved_0e0), HOLE(save.reserved_0a0), HOLE(save.reserved_0cc),
	HOLE(save.reserved_0d8), HOLE(save.reserved_180), HOLE(save.reserved_248), HOLE(save.reserved_298),
};

static void mark(uint8_t *map, const struct field *field)
{
	for (size_t i = 0; i < field->size; i++) {
		assert_int_equal(map[field->offset + i], 0);	/* nothing twice */
		map[field->offset + i] = 1;
	}
}

/* Every byte of the VMCB is a listed (hence dumped) field or reserved. */
static void fields_cover_the_vmcb(void **state)
{
	uint8_t map[sizeof(struct vmcb)] = { 0 };

	(void)state;
	for (size_t i = 0; i < countof(fields); i++)
		mark(map, &fields[i]);
	for (size_t i = 0; i < countof(reserved); i++)
		mark(map, &reserved[i]);
	for (size_t i = 0; i < sizeof(map); i++)
		assert_int_equal(map[i], 1);
}

/* Some places by the manual's numbers, independent of the list. */
static void offsets(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct vmcb, control.tlb_control), 0x5c);
	assert_int_equal(offsetof(struct vmcb, control.exitcode), 0x70);
	assert_int_equal(offsetof(struct vmcb, control.eventinj), 0xa8);
	assert_int_equal(offsetof(struct vmcb, control.nrip), 0xc8);
	assert_int_equal(offsetof(struct vmcb, save), 0x400);
	assert_int_equal(offsetof(struct vmcb, save.tr.base), 0x498);
	assert_int_equal(offsetof(struct vmcb, save.cpl), 0x4cb);
	assert_int_equal(offsetof(struct vmcb, save.rax), 0x5f8);
	assert_int_equal(offsetof(struct vmcb, save.g_pat), 0x668);
}

static void exits_are_named(void **state)
{
	static const struct { uint32_t code; const char *name; } rows[] = {
#define ROW(number, id, text, handler) { number, text },
		SVM_EXITS(ROW)
#undef ROW
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_non_null(rows[i].name);
		assert_true(rows[i].name[0]);
		assert_true(i == 0 || rows[i].code > rows[i - 1].code);		/* sorted, no number twice */
	}
	assert_int_equal(SVM_EXIT_CPUID, 0x72);
	assert_int_equal(SVM_EXIT_SHUTDOWN, 0x7f);
	assert_int_equal(SVM_EXIT_XSETBV, 0x8d);
	assert_int_equal(SVM_EXIT_NPF, 0x400);
}

/* ---- bitmaps.c: deny by default, PASS rows only, all 3 x 8,192 MSRs ---- */

static unsigned msrpm_bits(const uint8_t *map, unsigned range, uint32_t index)
{
	unsigned bit = (range * 0x2000 + index) * 2;

	return ((unsigned)map[bit / 8] >> (bit % 8)) & 3U;
}

static void msrpm(void **state)
{
	static const struct msr_policy rows[] = {
		{ .msr = MSR_IA32_TSC, .read = MSR_PASS, .write = MSR_EMULATE },
		{ .msr = MSR_IA32_SYSENTER_CS, .read = MSR_PASS, .write = MSR_PASS },
		{ .msr = MSR_EFER, .read = MSR_EMULATE, .write = MSR_EMULATE },
		{ .msr = MSR_LSTAR, .read = MSR_PASS, .write = MSR_PASS },
		{ .msr = MSR_AMD_LS_CFG, .read = MSR_DENY, .write = MSR_PASS },
		{ .msr = 0x4b564d00U, .read = MSR_PASS, .write = MSR_PASS },	/* outside every range */
	};
	static uint8_t map[MSRPM_PAGES * 4096];
	unsigned opened = 0;

	(void)state;
	svm_msrpm_build(map, rows, countof(rows));
	assert_int_equal(msrpm_bits(map, 0, MSR_IA32_TSC), 2);		/* write exits */
	assert_int_equal(msrpm_bits(map, 0, MSR_IA32_SYSENTER_CS), 0);
	assert_int_equal(msrpm_bits(map, 1, MSR_EFER & 0x1fff), 3);
	assert_int_equal(msrpm_bits(map, 1, MSR_LSTAR & 0x1fff), 0);
	assert_int_equal(msrpm_bits(map, 2, MSR_AMD_LS_CFG & 0x1fff), 1);
	for (unsigned range = 0; range < 4; range++)
		for (uint32_t index = 0; index < 0x2000; index++)
			opened += msrpm_bits(map, range, index) != 3;
	assert_int_equal(opened, 4);
}

/*
 * What each VMCB is given: every port exits, also behind the last (a word there reaches 3 bits further), and
 * the policy's MSRs.
 */
static void maps(void **state)
{
	uint64_t io_pa, msr_pa, io_again, msr_again;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		allocs_left = i;
		assert_false(svm_bitmaps_init());
	}
	allocs_left = 2;
	assert_true(svm_bitmaps_init());
	svm_bitmaps(&io_pa, &msr_pa);		/* for each vCPU, on any processor: nothing is made any more */
	svm_bitmaps(&io_again, &msr_again);
	assert_true(io_pa == io_again && msr_pa == msr_again);
	for (size_t i = 0; i < IOPM_PAGES * PAGE_SIZE; i++)
		assert_int_equal(((const uint8_t *)(uintptr_t)io_pa)[i], 0xff);
	assert_int_equal(msrpm_bits((const uint8_t *)(uintptr_t)msr_pa, 1, MSR_LSTAR & 0x1fff), 0);
	assert_int_equal(msrpm_bits((const uint8_t *)(uintptr_t)msr_pa, 1, MSR_EFER & 0x1fff), 3);
}

/* ---- controls.c ---- */

static void controls(void **state)
{
	struct vmcb_control control = { 0 };
	const struct svm_features none = { .asid_count = 16, .has_np = true }, filter = { .has_pause_filter = true };

	(void)state;
	svm_controls_init(&control, &none, false);
	assert_false(control.intercept_vector3 & INTERCEPT_PAUSE);	/* there is nobody to wait for */
	svm_controls_init(&control, &filter, true);
	assert_true(control.intercept_vector3 & INTERCEPT_PAUSE);
	assert_in_range(control.pause_filter_count, 50, 5000);
	memset(&control, 0, sizeof(control));
	svm_controls_init(&control, &none, true);
	assert_true(control.intercept_vector3 & INTERCEPT_PAUSE);
	assert_int_equal(control.pause_filter_count, 0);		/* each of them exits */
	assert_true(control.intercept_vector4 & INTERCEPT_VMRUN);
	assert_true(control.intercept_vector3 & INTERCEPT_INTR);
	assert_true(control.intercept_vector3 & INTERCEPT_SHUTDOWN);
	assert_true(control.intercept_vector3 & INTERCEPT_IOIO_PROT);
	assert_true(control.intercept_vector3 & INTERCEPT_MSR_PROT);
	assert_int_equal(control.intercept_exceptions, BIT(VEC_DB) | BIT(VEC_AC) | BIT(VEC_MC));
	assert_int_equal(control.intercept_cr_write, BIT(4) | BIT(8));
	assert_int_equal(control.intercept_dr_read, 0xff);	/* none may be missing: hardware has no guest's values */
	assert_int_equal(control.intercept_dr_write, 0xff);
	assert_int_equal(control.np_enable, 1);
	assert_true(control.vintr & V_INTR_MASKING);
}

static void asids(void **state)
{
	static struct vmcb vmcb_a, vmcb_b;
	struct svm_features features = { .asid_count = 4 };	/* 1, 2, 3 */
	struct svm_cpu cpu = { 0 }, other = { 0 };
	struct svm_vcpu a = { .vmcb = &vmcb_a }, b = { .vmcb = &vmcb_b };

	(void)state;
	svm_asid_pick(&a, &cpu, &features);	/* the first of all: whatever was in the TLB goes */
	assert_int_equal(vmcb_a.control.guest_asid, 1);
	assert_int_equal(vmcb_a.control.tlb_control, TLB_CONTROL_FLUSH_ALL);
	svm_asid_pick(&b, &cpu, &features);
	assert_int_equal(vmcb_b.control.guest_asid, 2);
	assert_int_equal(vmcb_b.control.tlb_control, TLB_CONTROL_NOTHING);
	vmcb_a.control.tlb_control = TLB_CONTROL_NOTHING;	/* as state.c does after each VMRUN */
	svm_asid_pick(&a, &cpu, &features);	/* held: nothing to do */
	assert_int_equal(vmcb_a.control.guest_asid, 1);
	assert_int_equal(vmcb_a.control.tlb_control, TLB_CONTROL_NOTHING);

	a.want_flush = true;			/* a fresh number is a flush */
	svm_asid_pick(&a, &cpu, &features);
	assert_int_equal(vmcb_a.control.guest_asid, 3);
	assert_int_equal(vmcb_a.control.tlb_control, TLB_CONTROL_NOTHING);
	a.want_flush = true;			/* out of numbers: all flushed, and b's is void */
	svm_asid_pick(&a, &cpu, &features);
	assert_int_equal(vmcb_a.control.guest_asid, 1);
	assert_int_equal(vmcb_a.control.tlb_control, TLB_CONTROL_FLUSH_ALL);
	svm_asid_pick(&b, &cpu, &features);
	assert_int_equal(vmcb_b.control.guest_asid, 2);

	/*
	 * On another processor the number is of that one, and when it comes back a fresh one: what it left
	 * behind is old.
	 */
	svm_asid_pick(&b, &other, &features);
	assert_int_equal(vmcb_b.control.guest_asid, 1);
	assert_int_equal(vmcb_b.control.tlb_control, TLB_CONTROL_FLUSH_ALL);
	vmcb_b.control.clean_bits = CLEAN_ALL;
	svm_asid_pick(&b, &cpu, &features);
	assert_int_equal(vmcb_b.control.guest_asid, 3);
	assert_int_equal(vmcb_b.control.clean_bits, CLEAN_ALL & ~CLEAN_ASID);
	b = (struct svm_vcpu){ .vmcb = &vmcb_b, .cpu = &cpu, .asid_generation = cpu.asid_generation };
	vmcb_b.control.guest_asid = 2;

	features.has_flush_by_asid = true;	/* where there is better, it is used */
	b.want_flush = true;
	svm_asid_pick(&b, &cpu, &features);
	assert_int_equal(vmcb_b.control.guest_asid, 2);
	assert_int_equal(vmcb_b.control.tlb_control, TLB_CONTROL_FLUSH_ASID);
	assert_false(b.want_flush);
}

static void difference(void **state)
{
	static const struct svm_features features = { .revision = 1, .asid_count = 16, .has_np = true };
	struct svm_features other = features;

	(void)state;
	assert_null(svm_features_difference(&features, &other));
	other.has_pause_filter = true;
	assert_string_equal(svm_features_difference(&features, &other), "PAUSE filter");
	other.asid_count = 17;		/* the first is named */
	assert_string_equal(svm_features_difference(&features, &other), "number of ASIDs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_cover_the_vmcb), cmocka_unit_test(offsets), cmocka_unit_test(exits_are_named),
		cmocka_unit_test(msrpm), cmocka_unit_test(maps), cmocka_unit_test(controls), cmocka_unit_test(asids),
		cmocka_unit_test(difference),
	};

	return cmocka_run_group_tests_name("svm_layout", tests, NULL, NULL);
}
