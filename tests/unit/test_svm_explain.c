/* SPDX-License-Identifier: MIT */
/* svm/explain.c: a good VMCB breaks no rule; each rule broken alone is the one that is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/svm/exits.h"
#include "hv/lib/util.h"

static const struct svm_limits limits = { .phys_bits = 40, .has_long_mode = true, .cr4_reserved = ~FIELD(23, 0) };
static const struct svm_limits no_long_mode = { .phys_bits = 40, .cr4_reserved = ~FIELD(23, 0) };

/* A guest in long mode, about to be given interrupt 0x30. */
static void good(struct vmcb *vmcb)
{
	memset(vmcb, 0, sizeof(*vmcb));
	vmcb->control.intercept_vector4 = INTERCEPT_VMRUN;
	vmcb->control.guest_asid = 1;
	vmcb->control.np_enable = NP_ENABLE;
	vmcb->control.n_cr3 = 0x123000;
	vmcb->control.iopm_base_pa = 0x200000;
	vmcb->control.msrpm_base_pa = 0x204000;
	vmcb->control.eventinj = 0x80000030;
	vmcb->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	vmcb->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_WP;
	vmcb->save.cr4 = CR4_PAE;
	vmcb->save.cr3 = 0x1000;
	vmcb->save.dr6 = 0xffff0ff0;
	vmcb->save.dr7 = 0x400;
	vmcb->save.cs.attrib = 0xa9b;
	vmcb->save.g_pat = 0x0007040600070406ULL;
}

static void good_is_good(void **state)
{
	struct svm_explain out[4];
	struct vmcb vmcb;

	(void)state;
	good(&vmcb);
	assert_int_equal(svm_explain(&vmcb, &limits, out, countof(out)), 0);
}

/* X(field, bad value, word of the rule) */
#define BAD(X)										\
	X(save.efer, EFER_LME | EFER_LMA, "SVME")					\
	X(save.cr0, CR0_PE | CR0_PG | CR0_NW, "NW")					\
	X(save.cr0, CR0_PE | CR0_PG | BIT(40), "63:32")					\
	X(save.cr3, BIT(40), "CR3")							\
	X(save.cr4, CR4_PAE | BIT(30), "does not have")					\
	X(save.dr6, BIT(32), "DR6")							\
	X(save.dr7, BIT(63), "DR7")							\
	X(save.efer, EFER_SVME | BIT(20), "reserved bits of EFER")			\
	X(save.cr4, 0, "CR4.PAE")							\
	X(save.cr0, CR0_PG, "CR0.PE")							\
	X(save.cs.attrib, 0xe9b, "CS.L")						\
	X(control.intercept_vector4, 0, "VMRUN")					\
	X(control.iopm_base_pa, BIT(40) - 0x2000, "I/O permissions")			\
	X(control.msrpm_base_pa, BIT(40) - 0x1000, "MSR permissions")			\
	X(control.eventinj, 0x80000130, "type")						\
	X(control.eventinj, 0x80000530, "type")						\
	X(control.eventinj, 0x80000302, "vector")					\
	X(control.eventinj, 0x80000320, "vector")					\
	X(control.guest_asid, 0, "ASID")						\
	X(control.n_cr3, BIT(41), "nCR3")						\
	X(save.g_pat, 0x0007040600070402ULL, "gPAT")

static void expect_one(const struct vmcb *vmcb, const struct svm_limits *with, const char *field, const char *word)
{
	struct svm_explain out[4];

	assert_int_equal(svm_explain(vmcb, with, out, countof(out)), 1);
	assert_string_equal(out[0].field, field);
	assert_non_null(strstr(out[0].rule, word));
}

static void each_rule_broken_once(void **state)
{
	struct vmcb vmcb;

	(void)state;
#define TRY(member, bad, word)				\
	good(&vmcb);					\
	vmcb.member = (__typeof__(vmcb.member))(bad);	\
	expect_one(&vmcb, &limits, #member, word);
	BAD(TRY)
#undef TRY
}

static void needs_two_changes(void **state)
{
	struct vmcb vmcb;

	(void)state;
	good(&vmcb);
	expect_one(&vmcb, &no_long_mode, "save.efer", "long mode");
	good(&vmcb);
	vmcb.save.cr4 |= CR4_CET;
	vmcb.save.cr0 &= ~CR0_WP;
	expect_one(&vmcb, &limits, "save.cr4", "CET");
}

/* More broken rules than room: all are counted, no more are stored. */
static void bounded(void **state)
{
	struct svm_explain out[2] = { { 0 }, { "untouched", 1, "untouched" } };
	struct vmcb vmcb;

	(void)state;
	memset(&vmcb, 0xff, sizeof(vmcb));
	assert_true(svm_explain(&vmcb, &limits, out, 1) > 5);
	assert_string_equal(out[1].field, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_is_good), cmocka_unit_test(each_rule_broken_once),
		cmocka_unit_test(needs_two_changes), cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests_name("svm_explain", tests, NULL, NULL);
}
