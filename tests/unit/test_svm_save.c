/* SPDX-License-Identifier: MIT */
/* What AMD-V leaves in the processor while a vCPU is loaded, CR2 above all, and the state behind its registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/guest_state.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "insn_fake.h"

#define TSC_AUX	0xc0000103U

static struct vcpu vcpu;
static struct vmcb vmcb;
static struct svm_vcpu svm;
struct guest_caps svm_guest_caps;

static int set_up(void **unused)
{
	(void)unused;
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vmcb, 0, sizeof(vmcb));
	svm = (struct svm_vcpu){ .vmcb = &vmcb };
	vcpu.arch = &svm;
	insn_fake_init();
	insn_fake_msr(TSC_AUX)->val = 7;
	svm_guest_caps = (struct guest_caps){ .rdtscp = true };
	return 0;
}

/* ---- Loaded and put ---- */

static void test_tsc_aux(void **unused)
{
	(void)unused;
	svm_put(&vcpu);
	insn_fake_msr(TSC_AUX)->val = ~0ULL;
	svm_load(&vcpu);
	assert_int_equal(insn_fake_msr(TSC_AUX)->val, 7);
	assert_int_equal(insn_fake_msr(TSC_AUX)->writes, 1);
	svm_guest_caps.rdtscp = false;		/* no such MSR: an access would be #GP, in the hypervisor */
	svm_load(&vcpu);
	svm_put(&vcpu);
	assert_int_equal(insn_fake_msr(TSC_AUX)->writes, 1);
	assert_int_equal(insn_fake_msr(TSC_AUX)->reads, 1);
}

/*
 * The guest's CR2 is in the VMCB while it runs; the neutral code keeps what the processor's register holds.
 * It must find there what the guest had, unless a #PF is queued whose address the guest has not seen yet.
 */
static void test_cr2(void **unused)
{
	static const struct { struct vevent pending; uint64_t want; } rows[] = {
		{ { 0 }, 0x2000 },
		{ { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_PF }, 0x5000 },
		{ { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP }, 0x2000 },
		{ { .is_valid = true, .type = VEVENT_SOFT_INT, .vector = VEC_PF }, 0x2000 },	/* INT 14: no fault */
		{ { .is_valid = false, .type = VEVENT_EXCEPTION, .vector = VEC_PF }, 0x2000 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		vmcb.save.cr2 = 0x2000;		/* the guest's last fault */
		vcpu.cr2 = 0x5000;		/* vcpu_inject_pf wrote this one */
		vcpu.pending = rows[i].pending;
		svm_put(&vcpu);
		assert_int_equal(insn_fake.cr2, rows[i].want);
		assert_int_equal(vcpu.cr2, rows[i].want);
		/* And back, on this processor or another, whose VMCB copies are not ours. */
		vmcb.save.cr2 = 0;
		vmcb.control.clean_bits = ~0U;
		svm_load(&vcpu);
		assert_int_equal(vmcb.save.cr2, rows[i].want);
		assert_int_equal(vmcb.control.clean_bits, 0);
	}
}

/* ---- Saved and restored ---- */

static void test_saved_and_restored(void **unused)
{
	static const struct { uint64_t shadow; bool nmi; } rows[] = { { 0, false }, { 1, false }, { 0, true }, { 1, true } };

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct guest_state state = { .cr2 = 0x2000 };

		vmcb.save.star = 1;
		vmcb.save.lstar = 2;
		vmcb.save.cstar = 3;
		vmcb.save.sfmask = 4;
		vmcb.save.kernel_gs_base = 5;
		vmcb.control.interrupt_shadow = rows[i].shadow;
		vcpu.nmi_blocked = rows[i].nmi;
		svm_save(&vcpu, &state);
		assert_int_equal(state.in_shadow, rows[i].shadow);
		assert_int_equal(state.nmi_blocked, rows[i].nmi);

		memset(&vmcb, 0, sizeof(vmcb));
		vmcb.save.rip = 0x1000;
		vcpu.nmi_blocked = !rows[i].nmi;
		svm_restore(&vcpu, &state);
		assert_true(vmcb.save.star == 1 && vmcb.save.lstar == 2 && vmcb.save.cstar == 3 && vmcb.save.sfmask == 4);
		assert_int_equal(vmcb.save.kernel_gs_base, 5);
		assert_int_equal(vmcb.save.cr2, 0x2000);
		assert_int_equal(vmcb.control.interrupt_shadow, rows[i].shadow);
		assert_int_equal(svm.shadow_rip, rows[i].shadow ? 0x1000 : SVM_NO_SHADOW);
		assert_int_equal(vcpu.nmi_blocked, rows[i].nmi);
		assert_int_equal(vmcb.control.intercept_vector3, rows[i].nmi ? BIT(20) : 0);	/* the IRET to come */
	}
}

/* Nothing of an earlier life: no event, no window, no step, no clean copy, no translation, and DR6 as after a reset. */
static void test_earlier_life(void **unused)
{
	const struct guest_state state = { 0 };

	(void)unused;
	vmcb.control.eventinj = BIT(31) | 0x30;
	vmcb.control.vintr = BIT(8) | BIT(24);
	vmcb.control.intercept_vector3 = BIT(20) | BIT(4) | BIT(0);
	vmcb.control.clean_bits = ~0U;
	vmcb.save.dr6 = 0xffff4ff0;
	svm.iret_seen = true;
	svm.shadow_exits = 3;
	svm_restore(&vcpu, &state);
	assert_int_equal(vmcb.control.eventinj, 0);
	assert_int_equal(vmcb.control.vintr, BIT(24));
	assert_int_equal(vmcb.control.intercept_vector3, BIT(0));
	assert_int_equal(vmcb.control.clean_bits, 0);
	assert_int_equal(vmcb.save.dr6, 0xffff0ff0);
	assert_false(svm.iret_seen);
	assert_int_equal(svm.shadow_exits, 0);
	assert_true(svm.want_flush);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tsc_aux), TEST(test_cr2), TEST(test_saved_and_restored), TEST(test_earlier_life),
	};

	return cmocka_run_group_tests_name("svm_save", tests, NULL, NULL);
}
