/* SPDX-License-Identifier: MIT */
/*
 * What an entry on AMD-V is given: RF with faults, the step over the IRET of an NMI's handler or out of a shadow,
 * and how it stays hidden, CR4.MCE, EFER.LME; and exits at PAUSE where the VM has siblings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/handlers.h"
#include "hv/host.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "vcpu_fake.h"

#define IRET_RIP	0x1000U

static struct vcpu_fake fake;
static struct vmcb vmcb;
static struct svm_vcpu svm;
struct svm_features svm_features;

/* What the tests do not reach, and exit/irq.c. */
bool vcpu_has_irq(struct vcpu *vcpu) { (void)vcpu; return fake.has_irq; }
int vcpu_ack_irq(struct vcpu *vcpu) { (void)vcpu; fake.has_irq = false; return 0x30; }
static uint64_t wake_at;
void host_wake_at(uint64_t deadline) { wake_at = deadline; }
uint64_t time_now(void) { return 0; }
uint64_t time_hz(void) { return 1000000; }
uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu) { (void)vcpu; return 0; }
void svm_bitmaps(uint64_t *iopm_pa, uint64_t *msrpm_pa) { *iopm_pa = *msrpm_pa = 0; }

enum exit_result exit_nmi_window(struct vcpu *vcpu)
{
	vcpu->nmi_blocked = false;
	vcpu->irq_check = true;
	return EXIT_RESUME;
}

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	memset(&vmcb, 0, sizeof(vmcb));
	svm = (struct svm_vcpu){ .vmcb = &vmcb };
	fake.vcpu.arch = &svm;
	vmcb.save.cr0 = CR0_PE;
	vmcb.save.rflags = RFLAGS_ONE;
	vmcb.save.rip = IRET_RIP;
	vmcb.control.intercept_exceptions = svm_exceptions_wanted();
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

static void test_rf(void **unused)
{
	static const struct { enum vevent_type type; uint8_t vector; bool sets_rf; } rows[] = {
		{ VEVENT_EXCEPTION, VEC_GP, true }, { VEVENT_EXCEPTION, VEC_PF, true }, { VEVENT_EXCEPTION, VEC_DB, false },
		{ VEVENT_EXCEPTION, VEC_DF, false }, { VEVENT_IRQ, 0x30, false }, { VEVENT_NMI, VEC_NMI, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		vmcb.save.rflags = RFLAGS_ONE;
		fake.vcpu.pending = (struct vevent){ .is_valid = true, .type = rows[i].type, .vector = rows[i].vector };
		svm_deliver(&fake.vcpu);
		assert_true(vmcb.control.eventinj & EVENT_V);
		assert_int_equal(vmcb.save.rflags, RFLAGS_ONE | (rows[i].sets_rf ? RFLAGS_RF : 0));
	}
}

/* An NMI's handler has come to its IRET, and another NMI waits: the entry is a step. */
static void begin(uint64_t flags)
{
	set_up(NULL);
	vmcb.save.rflags = RFLAGS_ONE | flags;
	fake.vcpu.nmi_blocked = fake.vcpu.nmi_pending = true;
	svm.iret_seen = true;
	svm.iret_rip = IRET_RIP;
	svm_deliver(&fake.vcpu);
	assert_int_equal(vmcb.control.eventinj, 0);
	assert_true(vmcb.save.rflags & RFLAGS_TF);
	assert_int_equal(vmcb.control.intercept_exceptions, 0xfffffffb);
}

static void leave(uint64_t code, uint64_t rip, uint64_t flags, uint64_t dr6)
{
	vmcb.control.exitcode = code;
	vmcb.save.rip = rip;
	vmcb.save.rflags = RFLAGS_ONE | flags;
	vmcb.save.dr6 = DR6_RESET | dr6;
	svm_take_interrupted(&fake.vcpu);
	assert_int_equal(vmcb.control.intercept_exceptions, svm_exceptions_wanted());
}

static void test_step(void **unused)
{
	static const struct {
		const char *what;
		uint64_t own_tf, code, rip, flags, dr6;		/* at the exit; flags without RFLAGS_ONE */
		uint64_t want_flags;
		bool     unblocks, is_ours;
		uint64_t want_dr6;				/* what is left for the guest when it is not ours alone */
		bool     hides_step;
	} rows[] = {
		{ "behind the IRET", 0, SVM_EXIT_EXCP_DB, 0x2000, RFLAGS_IF, DR6_BS, RFLAGS_IF, true, true, 0, false },
		{ "it is hidden", 0, SVM_EXIT_EXCP_DB, 0x2000, 0, 0, 0, true, true, 0, true },
		{ "no step", 0, SVM_EXIT_EXCP_DB, IRET_RIP, 0, 0, 0, false, false, 0, false },
		{ "to a task that steps", 0, SVM_EXIT_EXCP_DB, 0x2000, RFLAGS_TF, DR6_BS, RFLAGS_TF, true, true, 0, false },
		{ "to itself", 0, SVM_EXIT_EXCP_DB, IRET_RIP, RFLAGS_TF, DR6_BS, RFLAGS_TF, true, true, 0, false },
		{ "the guest steps too", RFLAGS_TF, SVM_EXIT_EXCP_DB, 0x2000, 0, DR6_BS, 0, true, false, DR6_BS, false },
		{ "a watchpoint as well", 0, SVM_EXIT_EXCP_DB, 0x2000, 0, DR6_BS | 2, 0, true, false, 2, false },
		{ "a breakpoint on it", 0, SVM_EXIT_EXCP_DB, IRET_RIP, RFLAGS_TF, 1, 0, false, false, 1, false },
		{ "it faults", 0, SVM_EXIT_EXCP_GP, IRET_RIP, RFLAGS_TF, 0, 0, true, false, 0, false },
		{ "it faults, stepped", RFLAGS_TF, SVM_EXIT_EXCP_GP, IRET_RIP, RFLAGS_TF, 0, RFLAGS_TF, true, false, 0, false },
		{ "an interrupt first", 0, SVM_EXIT_INTR, IRET_RIP, RFLAGS_TF, 0, 0, false, false, 0, false },
		{ "its stack is not there", 0, SVM_EXIT_NPF, IRET_RIP, RFLAGS_TF, 0, 0, false, false, 0, false },
		{ "it changes tasks", 0, SVM_EXIT_TASK_SWITCH, IRET_RIP, RFLAGS_TF, 0, 0, false, false, 0, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		uint64_t bits = rows[i].dr6;

		quirks.hides_step = rows[i].hides_step;
		vcpu_fake_free(&fake);
		begin(rows[i].own_tf);
		leave(rows[i].code, rows[i].rip, rows[i].flags, rows[i].dr6);
		if (vmcb.save.rflags != (RFLAGS_ONE | rows[i].want_flags) || fake.vcpu.nmi_blocked == rows[i].unblocks)
			fail_msg("%s: flags %lx, %s", rows[i].what, vmcb.save.rflags, fake.vcpu.nmi_blocked ? "blocked" : "open");
		assert_true(fake.vcpu.irq_check);
		if (rows[i].code != SVM_EXIT_EXCP_DB)
			continue;
		assert_int_equal(svm_is_own_step(&fake.vcpu, &bits), rows[i].is_ours);
		assert_int_equal(bits, rows[i].want_dr6);
	}
}

/* Nothing but NMIs is stepped for; an event that goes before the IRET asks for it anew. */
static void test_no_step(void **unused)
{
	(void)unused;
	fake.vcpu.nmi_blocked = true;
	svm.iret_seen = true;
	svm.iret_rip = IRET_RIP;
	svm_deliver(&fake.vcpu);
	assert_int_equal(vmcb.save.rflags, RFLAGS_ONE);

	fake.vcpu.nmi_pending = true;
	vmcb.save.rflags = RFLAGS_ONE | RFLAGS_NT;		/* it changes tasks: an exit anyhow */
	svm_deliver(&fake.vcpu);
	assert_int_equal(vmcb.save.rflags, RFLAGS_ONE | RFLAGS_NT);
	vmcb.save.rflags = RFLAGS_ONE;
	fake.vcpu.pending = (struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true };
	svm_deliver(&fake.vcpu);
	assert_int_equal(vmcb.save.rflags, RFLAGS_ONE | RFLAGS_RF);
	assert_false(svm.iret_seen);
	assert_true(vmcb.control.intercept_vector3 & INTERCEPT_IRET);
}

/*
 * Behind another event an NMI that is not blocked waits for the next exit, at the latest the IRET of that
 * event's handler.
 */
static void test_nmi_behind_event(void **unused)
{
	(void)unused;
	fake.vcpu.nmi_pending = true;
	fake.vcpu.pending = (struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_UD };
	svm_deliver(&fake.vcpu);
	assert_true(vmcb.control.intercept_vector3 & INTERCEPT_IRET);
	assert_true(fake.vcpu.irq_check);
	svm_deliver(&fake.vcpu);
	assert_int_equal(field_get(vmcb.control.eventinj, EVENT_TYPE), EVENT_TYPE_NMI);
	assert_true(fake.vcpu.nmi_blocked);
}

static void test_mce(void **unused)
{
	(void)unused;
	svm_set(&fake.vcpu, REG_CR4, CR4_PAE);
	assert_int_equal(vmcb.save.cr4, CR4_PAE | CR4_MCE);
	assert_int_equal(svm_get(&fake.vcpu, REG_CR4), CR4_PAE);
	assert_true(vmcb.control.intercept_cr_read & BIT(4));
	svm_set(&fake.vcpu, REG_CR4, CR4_PAE | CR4_MCE);
	assert_int_equal(svm_get(&fake.vcpu, REG_CR4), CR4_PAE | CR4_MCE);
	assert_false(vmcb.control.intercept_cr_read & BIT(4));
}

/* LME stands in the VMCB while paging is on, and the guest reads it always. Each row comes behind the one before. */
static void test_lme(void **unused)
{
	static const struct { enum guest_reg reg; uint64_t val, in_vmcb, read; } rows[] = {
		{ REG_EFER, EFER_LME | EFER_SCE, EFER_SCE, EFER_LME | EFER_SCE },
		{ REG_CR0, CR0_PE, EFER_SCE, EFER_LME | EFER_SCE },
		{ REG_EFER, EFER_LME | EFER_LMA, EFER_LMA, EFER_LME | EFER_LMA },	/* as exit/cr.c does before it sets PG */
		{ REG_CR0, CR0_PE | CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_LMA },
		{ REG_EFER, EFER_LME | EFER_NXE, EFER_LME | EFER_NXE, EFER_LME | EFER_LMA | EFER_NXE },
		{ REG_CR0, CR0_PE, EFER_NXE, EFER_LME | EFER_NXE },
		{ REG_EFER, EFER_NXE, EFER_NXE, EFER_NXE },
		{ REG_CR0, CR0_PE | CR0_PG, EFER_NXE, EFER_NXE },
		{ REG_EFER, 0, 0, 0 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		vmcb.control.clean_bits = CLEAN_ALL;
		svm_set(&fake.vcpu, rows[i].reg, rows[i].val);
		assert_int_equal(vmcb.save.efer, rows[i].in_vmcb | EFER_SVME);
		assert_int_equal(svm_get(&fake.vcpu, REG_EFER), rows[i].read);
		assert_false(vmcb.control.clean_bits & CLEAN_CRX);
	}
}

/* Saved by what the guest reads, and restored into a VMCB of another mode in the order of virt/save.c. */
static void test_lme_restored(void **unused)
{
	static const struct { uint64_t cr0, efer; } states[] = {
		{ CR0_PE, EFER_LME }, { CR0_PE, 0 }, { CR0_PE | CR0_PG, EFER_LME | EFER_LMA }, { CR0_PE | CR0_PG, 0 },
	};

	(void)unused;
	for (size_t i = 0; i < countof(states) * countof(states); i++) {
		for (unsigned step = 0; step < 2; step++) {
			size_t now = step ? i % countof(states) : i / countof(states);

			svm_set(&fake.vcpu, REG_EFER, states[now].efer);
			svm_set(&fake.vcpu, REG_CR0, states[now].cr0);
			assert_int_equal(svm_get(&fake.vcpu, REG_EFER), states[now].efer);
			assert_int_equal(vmcb.save.efer, (states[now].cr0 & CR0_PG ? states[now].efer : 0) | EFER_SVME);
		}
	}
}

#define HOLE	0xe0000000U	/* no RAM */

/* An interrupt waits in the shadow of STI, which VMRUN forgets; behind it stands this byte. */
static void begin_in_shadow(uint8_t byte, uint64_t rip, uint64_t flags)
{
	vcpu_fake_free(&fake);
	set_up(NULL);
	vcpu_fake_put(&fake, IRET_RIP, &byte, 1);
	wake_at = 0;
	quirks.forgets_shadow = fake.has_irq = true;
	vmcb.save.rip = fake.vcpu.exit.rip = rip;
	vmcb.save.rflags = RFLAGS_ONE | RFLAGS_IF | flags;
	vmcb.control.interrupt_shadow = INTERRUPT_SHADOW;
	svm_deliver(&fake.vcpu);
	assert_int_equal(vmcb.control.eventinj, 0);
	assert_int_equal(vmcb.control.vintr & V_IRQ, 0);
}

/* One instruction runs, and of the step over it the guest sees nothing; behind it the interrupt is delivered. */
static void test_step_out_of_shadow(void **unused)
{
	static const struct {
		const char *what;
		uint64_t own_tf, code, rip, dr6;	/* at the exit, with the flags of the entry */
		bool is_over, is_ours;			/* the shadow; the #DB */
	} rows[] = {
		{ "behind the instruction", 0, SVM_EXIT_EXCP_DB, IRET_RIP + 1, DR6_BS, true, true },
		{ "a jump to itself", 0, SVM_EXIT_EXCP_DB, IRET_RIP, DR6_BS, true, true },
		{ "the guest steps too", RFLAGS_TF, SVM_EXIT_EXCP_DB, IRET_RIP + 1, DR6_BS, true, false },
		{ "a watchpoint as well", 0, SVM_EXIT_EXCP_DB, IRET_RIP + 1, DR6_BS | 1, true, false },
		{ "an interrupt first", 0, SVM_EXIT_INTR, IRET_RIP, 0, false, false },
		{ "it exits", 0, SVM_EXIT_HLT, IRET_RIP, 0, false, false },
		{ "it faults", 0, SVM_EXIT_EXCP_PF, IRET_RIP, 0, false, false },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t bits = rows[i].dr6;

		begin_in_shadow(0x90, IRET_RIP, rows[i].own_tf);
		assert_true(svm.is_stepping);
		assert_int_equal(wake_at, 0);
		assert_true(vmcb.save.rflags & RFLAGS_TF);
		assert_int_equal(vmcb.control.intercept_exceptions, 0xfffffffb);
		vmcb.control.exitcode = rows[i].code;
		vmcb.save.rip = rows[i].rip;
		vmcb.save.dr6 = DR6_RESET | rows[i].dr6;
		vmcb.control.interrupt_shadow = rows[i].rip == IRET_RIP ? INTERRUPT_SHADOW : 0;	/* svm_keep_shadow would */
		fake.vcpu.nmi_blocked = true;
		svm_end_step(&fake.vcpu);
		assert_false(svm.is_stepping);
		assert_true(fake.vcpu.nmi_blocked);		/* no IRET has run */
		assert_true(fake.vcpu.irq_check);
		assert_int_equal(vmcb.control.intercept_exceptions, svm_exceptions_wanted());
		assert_int_equal(vmcb.save.rflags, RFLAGS_ONE | RFLAGS_IF | rows[i].own_tf);
		assert_int_equal(svm_is_own_step(&fake.vcpu, &bits), rows[i].is_ours);
		assert_int_equal(!vmcb.control.interrupt_shadow, rows[i].is_over);
		svm_deliver(&fake.vcpu);
		assert_int_equal(vmcb.control.eventinj != 0, rows[i].is_over);
	}
	quirks.forgets_shadow = false;
}

/*
 * Those that would show our TF or keep it, prefixes, and what cannot be read wait for the host's timer
 * instead. APM vol. 3, table A-1.
 */
static void test_no_step_out_of_shadow(void **unused)
{
	static const char shows[] = "\x0f\x17\x26\x2e\x36\x3e\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b\x4c\x4d\x4e\x4f"
				    "\x64\x65\x66\x67\x8e\x9a\x9c\x9d\xcc\xcd\xce\xcf\xea\xf0\xf1\xf2\xf3\xff";

	(void)unused;
	for (unsigned byte = 0; byte < 256; byte++) {
		bool is_step = !memchr(shows, (int)byte, sizeof(shows) - 1);

		begin_in_shadow((uint8_t)byte, IRET_RIP, 0);
		assert_int_equal(svm.is_stepping, is_step);
		assert_int_equal(!!(vmcb.save.rflags & RFLAGS_TF), is_step);
		assert_int_equal(!wake_at, is_step);
	}
	begin_in_shadow(0x90, HOLE, 0);
	assert_false(svm.is_stepping);
	quirks.forgets_shadow = false;
}

/*
 * An interrupt waits in an interrupt shadow: an open window is the processor's to keep shut, unless it
 * forgets the shadow.
 */
static void test_shadow(void **unused)
{
	(void)unused;
	for (unsigned forgets = 0; forgets < 2; forgets++) {
		quirks.forgets_shadow = forgets;
		vmcb.save.rip = HOLE;
		wake_at = 0;
		fake.has_irq = true;
		vmcb.save.rflags = RFLAGS_ONE | RFLAGS_IF;
		vmcb.control.interrupt_shadow = INTERRUPT_SHADOW;
		vmcb.control.vintr = 0;
		svm_deliver(&fake.vcpu);
		assert_int_equal(vmcb.control.eventinj, 0);
		assert_int_equal(vmcb.control.vintr & V_IRQ, forgets ? 0 : V_IRQ);
		assert_int_equal(wake_at != 0, forgets);
		assert_true(fake.vcpu.irq_check);
	}
	quirks.forgets_shadow = false;
}

/*
 * The processor may keep those parts of the state that nobody wrote. APM vol. 2, 15.15.3: FS, GS, LDTR and TR
 * have no clean bit.
 */
static void test_clean_segments(void **unused)
{
	static const uint32_t parts[SEG_COUNT] = {
		[SEG_ES] = CLEAN_SEG, [SEG_CS] = CLEAN_SEG, [SEG_SS] = CLEAN_SEG, [SEG_DS] = CLEAN_SEG,
		[SEG_GDTR] = CLEAN_DT, [SEG_IDTR] = CLEAN_DT,
	};

	(void)unused;
	for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
		vmcb.control.clean_bits = CLEAN_ALL;
		svm_set_seg(&fake.vcpu, (enum guest_seg)seg, &(struct segment){ .limit = 0xffff });
		assert_int_equal(vmcb.control.clean_bits, CLEAN_ALL & ~parts[seg]);
	}
}

/* PAUSE exits where the VM is to have siblings: its first vCPU is made before there is one. */
static void test_pause_of_siblings(void **unused)
{
	static const struct { uint32_t vcpus; uint32_t want; } rows[] = { { 1, 0 }, { 2, INTERCEPT_PAUSE } };
	struct handoff_vm config = { 0 };

	(void)unused;
	fake.vm.config = &config;
	for (size_t i = 0; row_of(rows, i); i++) {
		const struct svm_vcpu *made;

		config.vcpus = rows[i].vcpus;
		assert_int_equal(svm_vcpu_create(&fake.vcpu), 0);
		made = fake.vcpu.arch;
		assert_int_equal(made->vmcb->control.intercept_vector3 & INTERCEPT_PAUSE, rows[i].want);
		svm_vcpu_destroy(&fake.vcpu);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rf), TEST(test_step), TEST(test_no_step), TEST(test_nmi_behind_event), TEST(test_mce), TEST(test_lme),
		TEST(test_lme_restored), TEST(test_clean_segments), TEST(test_shadow), TEST(test_step_out_of_shadow), TEST(test_no_step_out_of_shadow),
		TEST(test_pause_of_siblings),
	};

	return cmocka_run_group_tests_name("svm_inject", tests, NULL, NULL);
}
