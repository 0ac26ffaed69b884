/* SPDX-License-Identifier: MIT */
/* Control blocks as text, and a VM entry that failed: each field by name and with its value, each broken rule told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "insn_fake.h"
#include "vcpu_fake.h"
#include "vmcs_fake.h"

static struct vcpu_fake fake;
struct vmx_caps vmx_caps;

const char *exit_name(uint32_t reason) { return reason == 33 ? "invalid guest state" : "HLT"; }
uint32_t svm_row_of(uint32_t code) { return code; }
struct vmx_vcpu *vmx_make_current(struct vmx_vcpu *vmx) { return vmx; }

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	vmcs_fake_init(&fake.vcpu);
	insn_fake_init();
	*fake_vm_log = '\0';
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

static bool says(const char *text) { return strstr(fake_vm_log, text); }

/* As vcpu_dump does, line by line, to the first that is not there. Nothing is there behind it either. */
static void dump(bool (*block)(struct vcpu *vcpu, unsigned line))
{
	unsigned line = 0;

	while (block(&fake.vcpu, line))
		line++;
	assert_false(block(&fake.vcpu, line + 1));
	assert_int_equal(fake_vm_log_lines(), line);
}

/* Appendix B has each encoding once; all of them are printed. */
static void test_vmcs(void **unused)
{
	(void)unused;
	for (uint32_t i = 0; i < vmcs_field_count; i++)
		vmcs_fake_set(vmcs_fields[i].encoding, 0xabc00000 + vmcs_fields[i].encoding);
	dump(vmx_dump);
	for (uint32_t i = 0; i < vmcs_field_count; i++) {
		char line[100];

		snprintf(line, sizeof(line), "    %04x %-40s %016x\n", vmcs_fields[i].encoding, vmcs_fields[i].name,
			 0xabc00000 + vmcs_fields[i].encoding);
		assert_true(says(line));
	}
	assert_int_equal(fake_vm_log_lines(), vmcs_field_count + 5);		/* four groups, and CR2 */
}

/* CR2 is no field: it is in the register while the vCPU is loaded, else where it was kept. */
static void test_cr2(void **unused)
{
	(void)unused;
	insn_fake.cr2 = 0x1111;
	fake.vcpu.cr2 = 0x2222;
	dump(vmx_dump);
	assert_true(says("cr2 0000000000002222"));
	this_cpu()->loaded = &fake.vcpu;
	*fake_vm_log = '\0';
	dump(vmx_dump);
	assert_true(says("cr2 0000000000001111"));
}

static void test_vmcb(void **unused)
{
	static struct vmcb vmcb;
	struct svm_vcpu svm = { .vmcb = &vmcb };

	(void)unused;
	vmcb.control.exitcode = 0x78;
	vmcb.control.v_intr_vector = 0x31;
	vmcb.control.n_cr3 = 0x123456789000;
	vmcb.save.cs.attrib = 0x29b;
	vmcb.save.cpl = 3;
	vmcb.save.lastexcpto = 0xfeedface;
	fake.vcpu.arch = &svm;
	dump(svm_dump);
	assert_true(says("exit code 78: HLT"));
	assert_true(says("v_intr_vector=31 "));			/* a byte is not read as a word */
	assert_true(says("n_cr3=123456789000 "));
	assert_true(says("seg.attrib=29b ") || says("cs.attrib=29b "));
	assert_true(says("cpl=3 "));
	assert_true(says("lastexcpto=feedface "));
	assert_false(says("control cpl"));			/* the halves are told apart */
	*fake_vm_log = '\0';
	svm.vmcb = NULL;
	dump(svm_dump);
	assert_string_equal(fake_vm_log, "");
}

/* ---- A VM entry that failed ---- */

static void test_refused_state(void **unused)
{
	(void)unused;
	vmx_caps.cr0_fixed1 = 0xffffffff;
	vmx_caps.cr0_fixed0 = 0x80000021;
	vmcs_fake_set(VMCS_EXIT_REASON, 0x80000021);		/* 33, and bit 31: SDM vol. 3, 27.8 */
	assert_int_equal(vmx_entry_failed(&fake.vcpu), EXIT_STOP);
	assert_true(says("VM entry failed: invalid guest state"));
	assert_true(says("VM entry: "));
	assert_true(fake.is_killed);
}

/* SDM vol. 3, 31.4: error 7 is "VM entry with invalid control field(s)"; VMfailInvalid has no error number. */
static void test_refused_instruction(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch;

	(void)unused;
	vmx->failed = 2;
	vmcs_fake_set(VMCS_EXIT_REASON, 12);			/* of an earlier exit */
	vmcs_fake_set(VMCS_VM_INSTRUCTION_ERROR, 7);
	assert_int_equal(vmx_entry_failed(&fake.vcpu), EXIT_STOP);
	assert_true(says("VM-instruction error 7, "));
	assert_false(says("HLT"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vmcs), TEST(test_cr2), TEST(test_vmcb), TEST(test_refused_state), TEST(test_refused_instruction),
	};

	return cmocka_run_group_tests_name("block_dump", tests, NULL, NULL);
}
