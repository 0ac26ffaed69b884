/* SPDX-License-Identifier: MIT */
/* May we, can we: AMD-V on processors whose firmware or silicon says yes, no and not like this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/features.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/svm/insn.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/quirks.h"
#include "cpu_fake.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "page_fake.h"
#include "panic_fake.h"

#define LOCK	BIT(3)		/* VM_CR, APM vol. 2, 15.30.1 */
#define DISABLE	BIT(4)
#define SVME	BIT(12)		/* EFER */

struct cpu_features cpu_features;
void quirks_complete(void) { }
void svm_measure_quirks(void) { }
static unsigned maps_made;
static bool has_room_for_maps;
bool svm_bitmaps_init(void) { maps_made++; return has_room_for_maps; }
static enum return_fill fill;
enum return_fill speculation_return_fill(void) { return fill; }

/* CPUID 8000_000A of a Zen 2: APM vol. 3, E.4.9. */
static struct cpuid_regs zen2;

static struct cpuid_regs answer(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return leaf == 0x8000000a ? zen2 : (struct cpuid_regs){ 0 };
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	cpu_fake_install();
	insn_fake.cpuid = answer;
	zen2 = (struct cpuid_regs){ .eax = 1, .ebx = 0x8000, .edx = 0x1bcff };
	insn_fake_msr(MSR_AMD_VM_CR)->val = 0;
	insn_fake_msr(MSR_EFER)->val = EFER_LME;
	insn_fake_msr(MSR_AMD_VM_HSAVE_PA)->val = 0;
	cpu_features = (struct cpu_features){ .has_svm = true, .is_amd = true, .has_rdtscp = true };
	page_fake_limit = UINT64_MAX;
	log_fake_init();
	fill = RETURN_FILL_NONE;
	maps_made = 0;
	has_room_for_maps = true;
	return 0;
}

static const char *refused(void)
{
	const char *why_not = "";

	return svm_supported(&why_not) ? NULL : why_not;
}

/* ---- Checks: APM vol. 2, 15.4 ---- */

static void test_lock(void **unused)
{
	static const struct { uint64_t vm_cr; bool has_key; const char *refusal; } rows[] = {
		{ 0, false, NULL }, { LOCK, false, NULL }, { DISABLE, false, NULL },
		{ LOCK | DISABLE, false, "until the next reset" }, { LOCK | DISABLE, true, "with a key" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		insn_fake_msr(MSR_AMD_VM_CR)->val = rows[i].vm_cr;
		zen2.edx = 0x1bcff & ~BIT(2);
		zen2.edx |= rows[i].has_key ? (uint32_t)BIT(2) : 0;
		if (!rows[i].refusal) {
			assert_null(refused());
			continue;
		}
		assert_non_null(strstr(refused(), "TZ-E005"));
		assert_non_null(strstr(refused(), rows[i].refusal));
	}
}

/* The first processors with AMD-V, and some hypervisors, have no VM_CR: there is no lock. */
static void test_no_vm_cr(void **unused)
{
	(void)unused;
	insn_fake_init();
	insn_fake.cpuid = answer;
	assert_null(refused());
}

static void test_absent(void **unused)
{
	(void)unused;
	cpu_features.has_svm = false;
	assert_non_null(strstr(refused(), "TZ-E001"));
}

static void test_features(void **unused)
{
	struct svm_features features;

	(void)unused;
	svm_features_from(&features, 0xffffff02, 16, 0x0000000a);	/* the revision is a byte */
	assert_int_equal(features.revision, 2);
	assert_int_equal(features.asid_count, 16);
	assert_true(features.has_nrips);
	assert_false(features.has_np || features.has_decode_assists || features.has_flush_by_asid ||
		     features.has_clean_bits || features.has_pause_filter);
	svm_features_from(&features, 1, 16, BIT(0) | BIT(7));
	assert_true(features.has_np && features.has_decode_assists && !features.has_nrips);
	svm_features_from(&features, 1, 16, BIT(5) | BIT(6) | BIT(10));
	assert_true(features.has_clean_bits && features.has_flush_by_asid && features.has_pause_filter);
}

/* Nested paging, and an ASID besides the host's, are all that is needed. */
static void test_needs(void **unused)
{
	(void)unused;
	zen2 = (struct cpuid_regs){ .eax = 1, .ebx = 2, .edx = BIT(0) };
	assert_null(refused());
	zen2.ebx = 1;
	assert_non_null(strstr(refused(), "TZ-E011"));
	zen2 = (struct cpuid_regs){ .eax = 1, .ebx = 2, .edx = 0x1bcfe };
	assert_non_null(strstr(refused(), "nested paging"));
}

static void test_guest_caps(void **unused)
{
	(void)unused;
	assert_null(refused());
	assert_true(svm_guest_caps.rdtscp);
	assert_false(svm_guest_caps.invpcid || svm_guest_caps.xsaves);
	cpu_features = (struct cpu_features){ .has_svm = true, .has_invpcid = true, .has_xsaves = true };
	assert_null(refused());
	assert_true(svm_guest_caps.invpcid && svm_guest_caps.xsaves);
	assert_false(svm_guest_caps.rdtscp);
}

static void test_others_must_be_alike(void **unused)
{
	(void)unused;
	assert_null(refused());
	cpu_fake.index = 1;
	assert_null(refused());
	zen2.edx &= ~(uint32_t)BIT(3);
	assert_non_null(strstr(refused(), "next-RIP save"));
	cpu_fake.index = 0;
	assert_null(refused());
}

/* ---- On and off ---- */

/* 15.4: EFER.SVME, then the page for the processor's notes; 15.5.2: what VMRUN does not save is saved here once. */
static void test_on_and_off(void **unused)
{
	unsigned saves = fake_svm.vmsaves;
	uint64_t used = page_fake_used;
	struct svm_cpu *cpu;

	(void)unused;
	insn_fake_msr(MSR_AMD_VM_CR)->val = DISABLE | BIT(1);		/* off, not locked: the firmware left it to us */
	assert_null(refused());
	fill = RETURN_FILL_ALL;
	svm_cpu_on();
	assert_true(svm_fills_returns);
	cpu = cpu_fake.arch;
	assert_int_equal(insn_fake_msr(MSR_EFER)->val, EFER_LME | SVME);
	assert_int_equal(insn_fake_msr(MSR_AMD_VM_CR)->val, BIT(1));
	assert_int_equal(insn_fake_msr(MSR_AMD_VM_HSAVE_PA)->val, (uintptr_t)cpu->hsave);
	assert_int_equal(cpu->host_pa, (uintptr_t)cpu->host);
	assert_ptr_not_equal(cpu->hsave, cpu->host);
	assert_int_equal(fake_svm.vmsaves, saves + 1);
	svm_cpu_off();
	assert_int_equal(insn_fake_msr(MSR_EFER)->val, EFER_LME);
	assert_int_equal(insn_fake_msr(MSR_AMD_VM_HSAVE_PA)->val, 0);
	assert_null(cpu_fake.arch);
	assert_int_equal(page_fake_used, used + 3 * PAGE_SIZE);	/* they stay: it may be called where no lock can be taken */
	page_fake_free_all();
	assert_non_null(strstr(log_fake_text, "TZ-I005"));
	assert_non_null(strstr(log_fake_text, "caps: AMD-V: nested paging yes, 1 GiB pages no"));
	assert_non_null(strstr(log_fake_text, "next-RIP save yes, decode assists yes, flush by ASID yes, VMCB clean bits yes"));
	svm_cpu_off();			/* one that was never on, or is off already */
	assert_int_equal(insn_fake_msr(MSR_EFER)->writes, 2);
}

/* VM_CR is not written where nothing is to be changed: some hypervisors refuse it. */
static void test_vm_cr_is_left_alone(void **unused)
{
	(void)unused;
	svm_cpu_on();
	assert_int_equal(insn_fake_msr(MSR_AMD_VM_CR)->writes, 0);
	assert_false(svm_fills_returns);
	svm_cpu_off();
	page_fake_free_all();
}

/* The permission maps serve all processors: the boot processor makes them, before there is another. */
static void test_maps(void **unused)
{
	(void)unused;
	svm_cpu_on();
	assert_int_equal(maps_made, 1);
	svm_cpu_off();
	page_fake_free_all();
	cpu_fake.index = 1;
	svm_cpu_on();
	assert_int_equal(maps_made, 1);
	svm_cpu_off();
	page_fake_free_all();
	cpu_fake.index = 0;
	has_room_for_maps = false;
	assert_true(panics(svm_cpu_on));
	assert_non_null(strstr(panic_fake_text, "permission maps"));
	page_fake_free_all();
}

static void test_no_memory(void **unused)
{
	(void)unused;
	for (uint64_t pages = 0; pages < 3; pages++) {
		page_fake_limit = pages * PAGE_SIZE;
		assert_true(panics(svm_cpu_on));
		assert_non_null(strstr(panic_fake_text, "no memory"));
		page_fake_free_all();
	}
	assert_int_equal(insn_fake_msr(MSR_EFER)->writes, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lock), TEST(test_no_vm_cr), TEST(test_absent), TEST(test_features), TEST(test_needs), TEST(test_guest_caps),
		TEST(test_others_must_be_alike), TEST(test_on_and_off), TEST(test_vm_cr_is_left_alone), TEST(test_maps), TEST(test_no_memory),
	};

	return cmocka_run_group_tests_name("svm_enable", tests, NULL, NULL);
}
