/* SPDX-License-Identifier: MIT */
/*
 * Quirks are found on processors that have them and on no other. The processor is svm_vmrun below: it knows the few
 * instructions of the probes by their bytes, and does what the manual says unless it is told to be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/emulate/walk.h"
#include "arch/x86/host/features.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/quirks.h"
#include "cpu_fake.h"
#include "hv/addr.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "page_fake.h"

#define PAE_POINTER	0x200U

struct cpu_features cpu_features;
static struct quirks wrong;		/* what the processor does wrong */
static unsigned entries, interrupts;	/* each guest is interrupted by the host so often first */
static struct svm_cpu svm_cpu;

/* ---- A processor ---- */

static uint8_t *memory_of(const struct vmcb *vmcb)
{
	uint64_t table = vmcb->control.n_cr3;

	for (unsigned level = 4; level > 0; level--)
		table = *(const uint64_t *)hpa_ptr(hpa(table)) & FIELD(51, 12);
	return hpa_ptr(hpa(table));
}

static void leave(struct vmcb *vmcb, uint32_t code, uint64_t rip)
{
	vmcb->control.exitcode = code;
	vmcb->save.rip = rip;
}

static void sysenter(struct vmcb *vmcb)
{
	if (!wrong.mixes_cs) {
		leave(vmcb, SVM_EXIT_EXCP_UD, vmcb->save.rip);
		return;
	}
	vmcb->save.cs.attrib |= ATTRIB_L | ATTRIB_DB;
	leave(vmcb, SVM_EXIT_HLT, vmcb->save.sysenter_eip);
}

static void nop(struct vmcb *vmcb)
{
	bool is_open = (vmcb->save.rflags & RFLAGS_IF) && (vmcb->control.vintr & V_IRQ);

	if (vmcb->save.rflags & RFLAGS_TF) {
		vmcb->save.dr6 |= wrong.hides_step ? 0 : DR6_BS;
		leave(vmcb, SVM_EXIT_EXCP_DB, vmcb->save.rip + 1);
	} else {
		assert_true(is_open && vmcb->control.interrupt_shadow);
		leave(vmcb, SVM_EXIT_VINTR, vmcb->save.rip + !wrong.forgets_shadow);
	}
}

void svm_vmrun(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_pa)
{
	struct vmcb *vmcb = hpa_ptr(hpa(vmcb_pa));
	uint8_t *memory = memory_of(vmcb);
	const uint8_t *code = memory + vmcb->save.rip;

	(void)gpr;
	assert_int_equal(host_pa, svm_cpu.host_pa);
	assert_int_equal(vmcb->control.guest_asid, 1);
	if (entries++ % (interrupts + 1) < interrupts)
		leave(vmcb, SVM_EXIT_INTR, vmcb->save.rip);
	else if (code[0] == 0x90)
		nop(vmcb);
	else if (code[1] == 0x34)
		sysenter(vmcb);
	else if (code[1] == 0xa2)
		leave(vmcb, SVM_EXIT_CPUID, vmcb->save.rip);
	else if (code[0] == 0xf4)
		leave(vmcb, SVM_EXIT_HLT, vmcb->save.rip);
	else
		fail();
	if (code[1] == 0xa2 && (vmcb->save.rflags & RFLAGS_TF) && wrong.steps_reach_us)
		quirks.steps_dropped++;			/* host/trap.c */
	if ((vmcb->save.cr0 & CR0_PG) && !(vmcb->save.efer & EFER_LME) && wrong.marks_pae_pointers)
		memory[PAE_POINTER] |= (uint8_t)BIT(5);
}

/* ---- The tests ---- */

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	cpu_fake_install();
	svm_cpu.host_pa = 0x5000;
	cpu_fake.arch = &svm_cpu;
	cpu_features = (struct cpu_features){ .has_xsave = false };
	memset(&quirks, 0, sizeof(quirks));
	memset(&wrong, 0, sizeof(wrong));
	entries = interrupts = 0;
	log_fake_init();
	return 0;
}

static void test_svm(void **unused)
{
	static bool *const flags[] = {
		&wrong.forgets_shadow, &wrong.mixes_cs, &wrong.marks_pae_pointers, &wrong.hides_step, &wrong.steps_reach_us,
	};

	for (unsigned which = 0; which < 1U << countof(flags); which++) {
		set_up(unused);
		interrupts = which % 3;
		for (unsigned i = 0; i < countof(flags); i++)
			*flags[i] = which & 1U << i;
		svm_measure_quirks();
		assert_int_equal(insn_fake.open_irqs, interrupts * countof(flags));
		quirks.steps_dropped = 0;
		assert_memory_equal(&quirks, &wrong, sizeof(wrong));
		assert_int_equal(page_fake_used, 0);
		quirks_complete();
		assert_int_equal(log_fake_lines, which ? 1 : 0);
	}
}

static void test_mend_cs(void **unused)
{
	static struct vmcb vmcb;

	(void)unused;
	vmcb.save.cs.attrib = 0xefb;
	svm_mend_cs(&vmcb);
	assert_int_equal(vmcb.save.cs.attrib, 0xafb);
	vmcb.save.cs.attrib = 0xcfb;
	svm_mend_cs(&vmcb);
	assert_int_equal(vmcb.save.cs.attrib, 0xcfb);
}

/* inject.c's: the step is over. */
void svm_end_step(struct vcpu *vcpu) { svm_of(vcpu)->is_stepping = false; }
void svm_begin_step(struct vcpu *vcpu) { (void)vcpu; }
size_t gva_fetch_insn(struct vcpu *vcpu, uint8_t *bytes) { (void)vcpu; (void)bytes; return 0; }
void host_wake_at(uint64_t tsc) { (void)tsc; }
uint64_t time_now(void) { return 0; }
uint64_t time_hz(void) { return 1; }

/* A shadow lasts while the guest exits at the same RIP, but not for ever. */
static void test_keep_shadow(void **unused)
{
	static struct vmcb vmcb;
	struct svm_vcpu svm = { .vmcb = &vmcb, .shadow_rip = SVM_NO_SHADOW };
	static struct vcpu vcpu;
	unsigned kept = 0;

	(void)unused;
	vcpu.arch = &svm;
	vmcb.save.rip = 0x1000;
	vmcb.control.interrupt_shadow = INTERRUPT_SHADOW;
	do {
		svm_keep_shadow(&vcpu);
		if (!vmcb.control.interrupt_shadow)
			break;
		vmcb.control.interrupt_shadow = 0;	/* what the next VMRUN makes of it */
	} while (++kept < 1000);
	assert_int_equal(kept, 65);

	vmcb.control.interrupt_shadow = INTERRUPT_SHADOW;
	svm_keep_shadow(&vcpu);
	vmcb.control.interrupt_shadow = 0;
	vmcb.save.rip = 0x1001;
	svm.is_stepping = true;
	svm_keep_shadow(&vcpu);
	assert_int_equal(vmcb.control.interrupt_shadow, 0);
	assert_false(svm.is_stepping);
}

/*
 * AVX at 576, 256 bytes; AVX-512's three behind a gap, the middle one aligned. EBX of subleaf 1 is the size
 * to be judged.
 */
static uint32_t compacted_size, compacts;

static struct cpuid_regs avx512(uint32_t leaf, uint32_t subleaf)
{
	static const struct cpuid_regs components[] = {
		[2] = { 256, 576, 0, 0 }, [5] = { 60, 1088, 0, 0 }, [6] = { 512, 1152, 2, 0 }, [7] = { 1024, 1664, 0, 0 },
	};

	assert_int_equal(leaf, 13);
	if (subleaf == 1)
		return (struct cpuid_regs){ compacts, compacted_size, 0, 0 };
	return components[subleaf % countof(components)];
}

static void test_compaction(void **unused)
{
	static const struct { uint64_t components; uint32_t compacts, size; bool is_wrong; } rows[] = {
		{ 0x3, 8, 576, false }, { 0x7, 8, 832, false }, { 0xe7, 8, 2432, false }, { 0xe7, 2, 2432, false },
		{ 0xe7, 8, 2688, true }, { 0x7, 8, 0, true }, { 0x7, 1, 0, false },	/* the last one has no XSAVEC */
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		compacts = rows[i].compacts;
		compacted_size = rows[i].size;
		assert_int_equal(quirks_compaction_is_wrong(rows[i].components, avx512), rows[i].is_wrong);
	}
}

static struct cpuid_regs without_cx16(uint32_t leaf, uint32_t subleaf)
{
	assert_int_equal(leaf, CPUID_FEATURES);
	assert_int_equal(subleaf, 0);
	return (struct cpuid_regs){ ~0U, ~0U, (uint32_t)~CPUID1_C_CX16, ~0U };
}

static struct cpuid_regs with_cx16(uint32_t leaf, uint32_t subleaf)
{
	assert_int_equal(leaf, CPUID_FEATURES);
	assert_int_equal(subleaf, 0);
	return (struct cpuid_regs){ 0, 0, (uint32_t)CPUID1_C_CX16, 0 };
}

static void test_garbled_flags(void **unused)
{
	static const struct { struct cpuid_regs (*host)(uint32_t leaf, uint32_t subleaf); bool garbles, is_wrong; } rows[] = {
		{ with_cx16, true, true }, { with_cx16, false, false }, { without_cx16, true, false },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		set_up(unused);
		insn_fake.cpuid = rows[i].host;
		insn_fake.garbles_flags = rows[i].garbles;
		quirks_complete();
		assert_int_equal(quirks.garbles_flags, rows[i].is_wrong);
		assert_int_equal(log_fake_lines, rows[i].is_wrong ? 1 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_svm, set_up), cmocka_unit_test(test_mend_cs), cmocka_unit_test(test_keep_shadow),
		cmocka_unit_test(test_compaction), cmocka_unit_test(test_garbled_flags),
	};

	return cmocka_run_group_tests_name("quirks", tests, NULL, NULL);
}
