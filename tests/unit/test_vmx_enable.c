/* SPDX-License-Identifier: MIT */
/* May we, can we: VT-x on processors whose firmware or silicon says yes, no and not like this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/features.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/quirks.h"
#include "arch/x86/vmx/vmx.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "cpu_fake.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "page_fake.h"
#include "panic_fake.h"
#include "vmcs_fake.h"

#define LOCKED	1ULL	/* IA32_FEATURE_CONTROL, SDM vol. 4: bit 0 lock, 1 VMX in SMX, 2 VMX outside it */
#define IN_TXT	2ULL
#define OUTSIDE	4ULL

struct cpu_features cpu_features;
struct quirks quirks;
void quirks_complete(void) { }

/* A Skylake: SDM vol. 3, appendix A, and what such a machine reports. */
static const struct { uint32_t msr; uint64_t val; } skylake[] = {
	{ 0x480, 0x00da040000000004 }, { 0x481, 0x0000007f00000016 }, { 0x482, 0xfff9fffe0401e172 },
	{ 0x483, 0x01ffffff00036dff }, { 0x484, 0x0003ffff000011ff }, { 0x485, 0x000000007004c1e7 },
	{ 0x486, 0x80000021 }, { 0x487, 0xffffffff }, { 0x488, 0x2000 }, { 0x489, 0x003767ff },
	{ 0x48b, 0x02177fff00000000 }, { 0x48c, 0x00000f0106734141 },
	{ 0x48d, 0x0000007f00000016 }, { 0x48e, 0xfff9fffe04006172 }, { 0x48f, 0x01ffffff00036dfb },
	{ 0x490, 0x0003ffff000011fb },
};

static void set_msr(uint32_t msr, uint64_t val) { insn_fake_msr(msr)->val = val; }

/* What the processor says of INVEPT and INVVPID, and does. */
static void set_caps(uint64_t ept_vpid)
{
	set_msr(MSR_IA32_VMX_EPT_VPID_CAP, ept_vpid);
	vmcs_fake_ept_vpid = ept_vpid;
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	cpu_fake_install();
	for (size_t i = 0; i < countof(skylake); i++)
		set_msr(skylake[i].msr, skylake[i].val);
	vmcs_fake_ept_vpid = insn_fake_msr(MSR_IA32_VMX_EPT_VPID_CAP)->val;
	set_msr(MSR_IA32_FEATURE_CONTROL, LOCKED | OUTSIDE);
	cpu_features = (struct cpu_features){ .has_vmx = true, .is_intel = true, .has_rdtscp = true, .has_invpcid = true,
					     .phys_bits = 46 };
	page_fake_limit = UINT64_MAX;
	log_fake_init();
	return 0;
}

static const char *refused(void)
{
	const char *why_not = "";

	return vmx_supported(&why_not) ? NULL : why_not;
}

/* ---- The firmware's lock: SDM vol. 3, 24.7 ---- */

static void test_lock(void **unused)
{
	static const struct { uint64_t control, want; const char *refusal; } rows[] = {
		{ LOCKED | OUTSIDE, LOCKED | OUTSIDE, NULL },
		{ LOCKED | OUTSIDE | IN_TXT, LOCKED | OUTSIDE | IN_TXT, NULL },
		{ 0, LOCKED | OUTSIDE, NULL },				/* left open: we switch it on, and lock */
		{ 0xff00, 0xff00 | LOCKED | OUTSIDE, NULL },		/* SENTER's bits stay */
		{ LOCKED, LOCKED, "TZ-E002 VT-x is disabled and locked" },
		{ LOCKED | IN_TXT, LOCKED | IN_TXT, "TZ-E004" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_msr(MSR_IA32_FEATURE_CONTROL, rows[i].control);
		if (rows[i].refusal)
			assert_non_null(strstr(refused(), rows[i].refusal));
		else
			assert_null(refused());
		assert_int_equal(insn_fake_msr(MSR_IA32_FEATURE_CONTROL)->val, rows[i].want);
	}
}

/* It is each processor's own, but a user is told once. */
static void test_lock_is_told_once(void **unused)
{
	(void)unused;
	set_msr(MSR_IA32_FEATURE_CONTROL, 0);
	assert_null(refused());
	assert_int_equal(log_fake_lines, 1);
	assert_non_null(strstr(log_fake_text, "TZ-I003"));
	cpu_fake.index = 1;
	set_msr(MSR_IA32_FEATURE_CONTROL, 0);
	assert_null(refused());
	assert_int_equal(log_fake_lines, 1);
	assert_int_equal(insn_fake_msr(MSR_IA32_FEATURE_CONTROL)->val, LOCKED | OUTSIDE);
}

/* Under some hypervisors the MSR can be read and not written, or is not there at all. */
static void test_lock_refuses(void **unused)
{
	(void)unused;
	set_msr(MSR_IA32_FEATURE_CONTROL, 0);
	insn_fake_msr(MSR_IA32_FEATURE_CONTROL)->is_locked = true;
	assert_non_null(strstr(refused(), "refuses writes"));
	insn_fake_init();
	assert_non_null(strstr(refused(), "refuses writes"));
}

static void test_absent(void **unused)
{
	(void)unused;
	cpu_features.has_vmx = false;
	assert_non_null(strstr(refused(), "TZ-E001"));
	assert_int_equal(insn_fake_msr(MSR_IA32_FEATURE_CONTROL)->reads, 0);	/* no such MSR without VT-x */
}

/* ---- What the processor can do ---- */

/* A.2: bit 55 of IA32_VMX_BASIC says that the TRUE registers are there, and they count. */
static void test_caps(void **unused)
{
	struct vmx_caps caps;

	(void)unused;
	vmx_caps_read(&caps);
	assert_int_equal(caps.revision, 4);
	assert_true(caps.has_true);
	assert_int_equal(caps.proc, 0xfff9fffe04006172);
	assert_int_equal(caps.exit, 0x01ffffff00036dfb);
	assert_int_equal(caps.entry, 0x0003ffff000011fb);
	assert_int_equal(caps.proc2, 0x02177fff00000000);
	assert_int_equal(caps.ept_vpid, 0x00000f0106734141);
	assert_int_equal(caps.misc, 0x7004c1e7);
	assert_int_equal(caps.cr0_fixed0, 0x80000021);
	assert_int_equal(caps.cr4_fixed1, 0x003767ff);
	assert_int_equal(caps.phys_bits, 46);
	set_msr(0x480, 0x005a040080000004);	/* bit 31 is always 0 by the manual, and no part of the revision */
	vmx_caps_read(&caps);
	assert_int_equal(caps.revision, 4);
	assert_false(caps.has_true);
	assert_int_equal(caps.proc, 0xfff9fffe0401e172);
}

/* A.3.3 and A.10: these two MSRs exist only where controls say so. */
static void test_caps_of_old_processors(void **unused)
{
	struct vmx_caps caps;

	(void)unused;
	set_msr(0x48e, 0x7ff9fffe04006172);	/* no secondary controls */
	vmx_caps_read(&caps);
	assert_int_equal(caps.proc2, 0);
	assert_int_equal(caps.ept_vpid, 0);
	assert_int_equal(insn_fake_msr(0x48b)->reads, 0);
	assert_int_equal(insn_fake_msr(0x48c)->reads, 0);
	set_msr(0x48e, 0xfff9fffe04006172);
	set_msr(0x48b, 0x0000000100000000);	/* neither EPT nor VPID */
	vmx_caps_read(&caps);
	assert_int_equal(insn_fake_msr(0x48c)->reads, 0);
}

static void test_ept(void **unused)
{
	static const struct { uint64_t lacks; const char *refusal; } rows[] = {
		{ BIT(6), "four-level" }, { BIT(14), "write-back" }, { BIT(16), "2 MiB" }, { BIT(20), "INVEPT" },
		{ BIT(26), "INVEPT of all" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_msr(0x48c, 0x00000f0106734141 & ~rows[i].lacks);
		assert_non_null(strstr(refused(), "TZ-E011"));
		assert_non_null(strstr(refused(), rows[i].refusal));
	}
	set_msr(0x48c, BIT(6) | BIT(14) | BIT(16) | BIT(20) | BIT(26));	/* nothing else is needed */
	assert_null(refused());
}

/*
 * A.10: a tag is of use only where INVVPID (bit 32) can forget all of them (bit 42), as VMXON and a round of
 * tags need it.
 */
static void test_vpid(void **unused)
{
	static const struct { uint64_t lacks; bool is_used; } rows[] = {
		{ 0, true }, { BIT(32), false }, { BIT(42), false }, { BIT(32) | BIT(42), false }, { BIT(41), true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_caps(0x00000f0106734141 & ~rows[i].lacks);
		assert_null(refused());
		assert_int_equal(!!(vmx_controls.proc2 & BIT(5)), rows[i].is_used);
		vmx_cpu_on();
		page_fake_free_all();
	}
}

/* The types were chosen by what the processor has: a failure is a mistake of ours, and nothing is safe then. */
static void test_invalidation_fails(void **unused)
{
	static const struct { uint64_t lacks; const char *why; } rows[] = {
		{ BIT(26), "INVEPT of type 2 failed" }, { BIT(42), "INVVPID of type 2 failed" },
	};

	(void)unused;
	assert_null(refused());
	for (size_t i = 0; row_of(rows, i); i++) {
		vmcs_fake_ept_vpid = ~rows[i].lacks;
		assert_true(panics(vmx_cpu_on));
		assert_non_null(strstr(panic_fake_text, rows[i].why));
		page_fake_free_all();
	}
}

/* Before Westmere: the missing control is named. */
static void test_too_old(void **unused)
{
	(void)unused;
	set_msr(0x48b, 0x0000006f00000000);
	assert_non_null(strstr(refused(), "TZ-E011"));
	assert_non_null(strstr(refused(), "unrestricted guest"));
}

/* A guest is offered what the processor has and the controls let it execute: both. */
static void test_guest_caps(void **unused)
{
	(void)unused;
	assert_null(refused());
	assert_true(vmx_guest_caps.rdtscp && vmx_guest_caps.invpcid);
	assert_false(vmx_guest_caps.xsaves);			/* CPUID has none */
	cpu_features.has_rdtscp = false;
	cpu_features.has_xsaves = true;
	set_msr(0x48b, 0x02176fff00000000);			/* no control for INVPCID */
	assert_null(refused());
	assert_false(vmx_guest_caps.rdtscp || vmx_guest_caps.invpcid);
	assert_true(vmx_guest_caps.xsaves);
	cpu_features.has_rdtscp = true;
	set_msr(0x48b, 0x02077ff700000000);			/* none for RDTSCP and XSAVES */
	assert_null(refused());
	assert_false(vmx_guest_caps.rdtscp || vmx_guest_caps.xsaves);
	assert_true(vmx_guest_caps.invpcid);
}

/* A processor that has virtual-interrupt delivery and no posted interrupts is not Intel's. */
static void test_delivery(void **unused)
{
	static const struct { uint64_t pin, proc2; bool delivers, is_quirk; } rows[] = {
		{ 0x000000ff00000016, 0x02177fff00000000, true, false },
		{ 0x0000007f00000016, 0x02177fff00000000, true, true },
		{ 0x0000007f00000016, 0x02177dff00000000, false, false },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_msr(0x48d, rows[i].pin);
		set_msr(0x48b, rows[i].proc2);
		assert_null(refused());
		assert_int_equal(vmx_guest_caps.delivers, rows[i].delivers);
		assert_int_equal(quirks.delivers_masked, rows[i].is_quirk);
	}
}

/* Another processor must be like the first: a vCPU may run on any. */
static void test_others_must_be_alike(void **unused)
{
	(void)unused;
	assert_null(refused());
	cpu_fake.index = 1;
	assert_null(refused());
	set_msr(0x48c, 0x00000f0106714141);		/* no 1 GiB pages */
	assert_non_null(strstr(refused(), "differs"));
	assert_non_null(strstr(refused(), "EPT"));
	cpu_fake.index = 0;				/* the first would do without */
	assert_null(refused());
}

/* ---- On and off ---- */

/* 24.8: CR0 and CR4 have the bits that VMXON asks for; the region begins with the revision, bit 31 clear. */
static void test_on_and_off(void **unused)
{
	(void)unused;
	set_msr(0x488, 0x2040);		/* a later processor might ask for more */
	assert_null(refused());
	insn_fake.cr0 = CR0_PE | CR0_ET | CR0_WP | CR0_PG;
	insn_fake.cr4 = CR4_PAE;
	vmx_cpu_on();
	assert_int_equal(insn_fake.cr0, CR0_PE | CR0_ET | CR0_WP | CR0_PG | CR0_NE);
	assert_int_equal(insn_fake.cr4, CR4_PAE | BIT(13) | BIT(6));
	assert_int_equal(*(uint32_t *)hpa_ptr(hpa(vmcs_fake_vmxon)), 4);
	vmx_cpu_off();
	assert_int_equal(insn_fake.cr4, CR4_PAE | BIT(6));
	page_free(hpa_ptr(hpa(vmcs_fake_vmxon)));
}

/* A user's report says what is there: A.10 of a processor that has little. */
static void test_report(void **unused)
{
	struct vmx_caps caps = { .ept_vpid = BIT(17) | BIT(25) };

	(void)unused;
	vmx_controls.proc2 = BIT(7);
	vmx_caps_report(&caps);
	assert_non_null(strstr(log_fake_text, "caps: VT-x: unrestricted guest yes, EPT no, 2 MiB pages no, 1 GiB pages yes, "
			       "execute-only pages no, INVEPT of one guest yes, TRUE control registers no\n"));
	log_fake_init();
	caps = (struct vmx_caps){ .ept_vpid = BIT(0) | BIT(16), .has_true = true };
	vmx_controls.proc2 = BIT(1);
	vmx_caps_report(&caps);
	assert_non_null(strstr(log_fake_text, "caps: VT-x: unrestricted guest no, EPT yes, 2 MiB pages yes, 1 GiB pages no, "
			       "execute-only pages yes, INVEPT of one guest no (all are flushed), TRUE control registers yes\n"));
}

static void test_no_memory(void **unused)
{
	(void)unused;
	assert_null(refused());
	page_fake_limit = 0;
	assert_true(panics(vmx_cpu_on));
	assert_non_null(strstr(panic_fake_text, "no memory"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lock), TEST(test_lock_is_told_once), TEST(test_lock_refuses), TEST(test_absent), TEST(test_caps),
		TEST(test_caps_of_old_processors), TEST(test_ept), TEST(test_vpid), TEST(test_invalidation_fails),
		TEST(test_too_old), TEST(test_guest_caps), TEST(test_delivery),
		TEST(test_others_must_be_alike), TEST(test_on_and_off), TEST(test_report), TEST(test_no_memory),
	};

	return cmocka_run_group_tests_name("vmx_enable", tests, NULL, NULL);
}
