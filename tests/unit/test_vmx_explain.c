/* SPDX-License-Identifier: MIT */
/*
 * The entry-failure explainer: a state that a processor would enter, broken in one field at a time; exactly the rule
 * that was broken must be named, with the field and the value. SDM vol. 3, chapter 27.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/lib/util.h"

#define FIELDS		0x7000U
#define PAT_RESET	0x0007040600070406ULL
#define HIGH_HALF	0xffffffff80000000ULL
#define NON_CANONICAL	0x0000800000000000ULL
#define CODE64		0xa09bU
#define DATA		0xc093U
#define BUSY_TSS	0x8bU
#define UNUSABLE	0x10000U
#define DPL3		0x60U
#define CONFORMING	0x4U
#define EVENT(type, vector) (INTR_VALID | (uint64_t)(type) << 8 | (vector))

/* A Skylake's, as far as the checks look. */
static const struct vmx_caps caps = {
	.revision = 0x2b, .has_true = true,
	.pin = 0x0000007f00000016ULL, .proc = 0xfff9fffe04006172ULL, .proc2 = 0x02177fff00000000ULL,
	.exit = 0x01ffffff00036dfbULL, .entry = 0x0003ffff000011fbULL,
	.misc = 0x600401e0ULL,
	.cr0_fixed0 = 0x80000021ULL, .cr0_fixed1 = 0xffffffffULL,
	.cr4_fixed0 = 0x2000ULL, .cr4_fixed1 = 0x3767ffULL,
	.phys_bits = 40,
};

struct setting { uint32_t field; uint64_t val; };

static const struct setting valid[] = {
	{ VMCS_PIN_CONTROLS, 0x3f },			{ VMCS_PROC_CONTROLS, 0xb6386dfaU },
	{ VMCS_PROC_CONTROLS2, 0x1013faU },		{ VMCS_EXIT_CONTROLS, 0x3fefffU },
	{ VMCS_ENTRY_CONTROLS, 0xd3ffU },		{ VMCS_EXCEPTION_BITMAP, 0x60002U },
	{ VMCS_IO_BITMAP_A, 0x10000 },			{ VMCS_IO_BITMAP_B, 0x11000 },
	{ VMCS_MSR_BITMAP, 0x12000 },			{ VMCS_EPT_POINTER, 0x1301eU },
	{ VMCS_VPID, 1 },				{ VMCS_VMCS_LINK_POINTER, ~0ULL },
	{ VMCS_HOST_CR0, 0x80010033U },			{ VMCS_HOST_CR3, 0x1000 },
	{ VMCS_HOST_CR4, 0x42620U },			{ VMCS_HOST_CS_SELECTOR, 8 },
	{ VMCS_HOST_SS_SELECTOR, 16 },			{ VMCS_HOST_DS_SELECTOR, 16 },
	{ VMCS_HOST_ES_SELECTOR, 16 },			{ VMCS_HOST_TR_SELECTOR, 24 },
	{ VMCS_HOST_GS_BASE, HIGH_HALF },		{ VMCS_HOST_TR_BASE, HIGH_HALF },
	{ VMCS_HOST_GDTR_BASE, HIGH_HALF },		{ VMCS_HOST_IDTR_BASE, HIGH_HALF },
	{ VMCS_HOST_IA32_PAT, PAT_RESET },		{ VMCS_HOST_IA32_EFER, 0xd00 },
	{ VMCS_HOST_RIP, HIGH_HALF },			{ VMCS_HOST_RSP, HIGH_HALF },
	{ VMCS_GUEST_CR0, 0x80000031U },		{ VMCS_GUEST_CR3, 0x2000 },
	{ VMCS_GUEST_CR4, 0x2020 },			{ VMCS_GUEST_IA32_EFER, 0x500 },
	{ VMCS_GUEST_IA32_PAT, PAT_RESET },		{ VMCS_GUEST_DR7, 0x400 },
	{ VMCS_GUEST_RIP, 0x1000200 },			{ VMCS_GUEST_RFLAGS, 0x202 },
	{ VMCS_GUEST_CS_SELECTOR, 0x10 },		{ VMCS_GUEST_CS_RIGHTS, CODE64 },
	{ VMCS_GUEST_CS_LIMIT, 0xffffffffU },		{ VMCS_GUEST_SS_RIGHTS, DATA },
	{ VMCS_GUEST_SS_LIMIT, 0xffffffffU },		{ VMCS_GUEST_DS_RIGHTS, DATA },
	{ VMCS_GUEST_DS_LIMIT, 0xffffffffU },		{ VMCS_GUEST_ES_RIGHTS, DATA },
	{ VMCS_GUEST_ES_LIMIT, 0xffffffffU },		{ VMCS_GUEST_FS_RIGHTS, UNUSABLE },
	{ VMCS_GUEST_GS_RIGHTS, UNUSABLE },		{ VMCS_GUEST_LDTR_RIGHTS, UNUSABLE },
	{ VMCS_GUEST_TR_RIGHTS, BUSY_TSS },		{ VMCS_GUEST_TR_LIMIT, 0x67 },
	{ VMCS_GUEST_GDTR_BASE, 0x1000 },		{ VMCS_GUEST_GDTR_LIMIT, 31 },
};

struct state {
	uint64_t fields[FIELDS];
	unsigned found;
	struct vmx_violation last;
};

static struct state state;

static uint64_t read_field(void *ctx, uint32_t field)
{
	assert_true(field < FIELDS);
	return ((struct state *)ctx)->fields[field];
}

static void note(void *ctx, const struct vmx_violation *violation)
{
	((struct state *)ctx)->found++;
	((struct state *)ctx)->last = *violation;
}

static void make_valid(void)
{
	memset(&state, 0, sizeof(state));
	for (size_t i = 0; i < countof(valid); i++)
		state.fields[valid[i].field] = valid[i].val;
}

/* `with` puts the state into the situation that the rule is about, and is itself allowed. */
struct breakage {
	struct setting with, broken;
	uint32_t       blamed;
	const char    *rule;		/* words of it */
};

#define NOTHING { VMCS_GUEST_SYSENTER_CS, 0 }
#define RESTRICTED { VMCS_PROC_CONTROLS2, 0x10137aU }	/* no unrestricted guest */

static const struct breakage breakages[] = {
	{ NOTHING, { VMCS_PIN_CONTROLS, 0x13f }, VMCS_PIN_CONTROLS, "IA32_VMX_PINBASED_CTLS" },
	{ NOTHING, { VMCS_PROC_CONTROLS, 0xb6386df8U }, VMCS_PROC_CONTROLS, "IA32_VMX_PROCBASED_CTLS does" },
	{ NOTHING, { VMCS_PROC_CONTROLS2, 0x801013faU }, VMCS_PROC_CONTROLS2, "IA32_VMX_PROCBASED_CTLS2" },
	{ NOTHING, { VMCS_EXIT_CONTROLS, 0x803fefffU }, VMCS_EXIT_CONTROLS, "IA32_VMX_EXIT_CTLS" },
	{ NOTHING, { VMCS_ENTRY_CONTROLS, 0xd3feU }, VMCS_ENTRY_CONTROLS, "IA32_VMX_ENTRY_CTLS" },
	{ NOTHING, { VMCS_IO_BITMAP_A, 0x10010 }, VMCS_IO_BITMAP_A, "4 KiB aligned" },
	{ NOTHING, { VMCS_IO_BITMAP_B, 0x11fff }, VMCS_IO_BITMAP_B, "4 KiB aligned" },
	{ NOTHING, { VMCS_MSR_BITMAP, 0x12001 }, VMCS_MSR_BITMAP, "4 KiB aligned" },
	{ NOTHING, { VMCS_VIRTUAL_APIC, 0x13008 }, VMCS_VIRTUAL_APIC, "4 KiB aligned" },
	{ NOTHING, { VMCS_PROC_CONTROLS, 0xb6186dfaU }, VMCS_PROC_CONTROLS2, "needs the TPR shadow" },
	{ NOTHING, { VMCS_PIN_CONTROLS, 0x3e }, VMCS_PIN_CONTROLS, "needs external-interrupt exiting" },
	{ NOTHING, { VMCS_PIN_CONTROLS, 0x37 }, VMCS_PIN_CONTROLS, "need NMI exiting" },
	{ { VMCS_PIN_CONTROLS, 0x1f }, { VMCS_PROC_CONTROLS, 0xb6786dfaU }, VMCS_PROC_CONTROLS, "needs virtual NMIs" },
	{ NOTHING, { VMCS_VPID, 0 }, VMCS_VPID, "must not be 0" },
	{ NOTHING, { VMCS_EPT_POINTER, 0x13016U }, VMCS_EPT_POINTER, "four levels" },
	{ NOTHING, { VMCS_EPT_POINTER, 0x13018U }, VMCS_EPT_POINTER, "write-back" },
	{ NOTHING, { VMCS_EPT_POINTER, 0x1eU }, VMCS_EPT_POINTER, "point somewhere" },
	{ NOTHING, { VMCS_PROC_CONTROLS2, 0x1013f8U }, VMCS_PROC_CONTROLS2, "needs EPT" },
	{ NOTHING, { VMCS_ENTRY_INTR_INFO, EVENT(1, 32) }, VMCS_ENTRY_INTR_INFO, "do not belong together" },
	{ NOTHING, { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_NMI, 3) }, VMCS_ENTRY_INTR_INFO, "do not belong together" },
	{ NOTHING, { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_EXCEPTION, 13) }, VMCS_ENTRY_INTR_INFO, "error code" },
	{ NOTHING, { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_EXCEPTION, 6) | INTR_HAS_ERROR }, VMCS_ENTRY_INTR_INFO,
	  "error code" },
	{ { VMCS_ENTRY_INSN_LENGTH, 1 }, { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_SOFT_INT, 0x80) | INTR_HAS_ERROR },
	  VMCS_ENTRY_INTR_INFO, "error code" },
	{ NOTHING, { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_SOFT_EXC, 3) }, VMCS_ENTRY_INSN_LENGTH, "1 to 15" },
	{ NOTHING, { VMCS_HOST_CR0, 0x00010033U }, VMCS_HOST_CR0, "CR0_FIXED" },
	{ NOTHING, { VMCS_HOST_CR4, 0x40620U }, VMCS_HOST_CR4, "CR4_FIXED" },
	{ NOTHING, { VMCS_HOST_DS_SELECTOR, 0x13 }, VMCS_HOST_CS_SELECTOR, "RPL 0 and TI 0" },
	{ NOTHING, { VMCS_HOST_CS_SELECTOR, 0 }, VMCS_HOST_CS_SELECTOR, "null" },
	{ NOTHING, { VMCS_HOST_TR_SELECTOR, 0 }, VMCS_HOST_TR_SELECTOR, "null" },
	{ NOTHING, { VMCS_HOST_RIP, NON_CANONICAL }, VMCS_HOST_RIP, "canonical" },
	{ NOTHING, { VMCS_HOST_FS_BASE, NON_CANONICAL }, VMCS_HOST_GS_BASE, "bases must be canonical" },
	{ NOTHING, { VMCS_HOST_GS_BASE, NON_CANONICAL }, VMCS_HOST_GS_BASE, "bases must be canonical" },
	{ NOTHING, { VMCS_HOST_TR_BASE, NON_CANONICAL }, VMCS_HOST_GS_BASE, "bases must be canonical" },
	{ NOTHING, { VMCS_HOST_GDTR_BASE, NON_CANONICAL }, VMCS_HOST_GS_BASE, "bases must be canonical" },
	{ NOTHING, { VMCS_HOST_IDTR_BASE, NON_CANONICAL }, VMCS_HOST_GS_BASE, "bases must be canonical" },
	{ NOTHING, { VMCS_EXIT_CONTROLS, 0x3fedffU }, VMCS_EXIT_CONTROLS, "address-space size" },
	{ NOTHING, { VMCS_HOST_IA32_EFER, 0x900 }, VMCS_HOST_IA32_EFER, "LMA and LME" },
	{ NOTHING, { VMCS_HOST_IA32_PAT, 2 }, VMCS_HOST_IA32_PAT, "memory type" },
	{ NOTHING, { VMCS_GUEST_CR0, 0x80000011U }, VMCS_GUEST_CR0, "CR0_FIXED" },
	{ { VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_CR0, 0x80000030U }, VMCS_GUEST_CR0, "PG needs PE" },
	{ NOTHING, { VMCS_GUEST_CR4, 0x20 }, VMCS_GUEST_CR4, "CR4_FIXED" },
	{ NOTHING, { VMCS_GUEST_CR4, 0x2000 }, VMCS_ENTRY_CONTROLS, "CR4.PAE" },
	{ NOTHING, { VMCS_EPT_POINTER, BIT(40) | 0x1301eU }, VMCS_EPT_POINTER, "reserved" },
	{ NOTHING, { VMCS_GUEST_CR3, BIT(40) }, VMCS_GUEST_CR3, "physical-address width" },
	{ NOTHING, { VMCS_GUEST_CR3, 1ULL << 60 }, VMCS_GUEST_CR3, "physical-address width" },
	{ NOTHING, { VMCS_GUEST_IA32_EFER, 0x100 }, VMCS_GUEST_IA32_EFER, "LMA must equal" },
	{ NOTHING, { VMCS_GUEST_IA32_EFER, 0x1500 }, VMCS_GUEST_IA32_EFER, "LMA must equal" },
	{ NOTHING, { VMCS_GUEST_IA32_PAT, 8 }, VMCS_GUEST_IA32_PAT, "memory type" },
	{ NOTHING, { VMCS_GUEST_IA32_DEBUGCTL, 4 }, VMCS_GUEST_IA32_DEBUGCTL, "reserved" },
	{ NOTHING, { VMCS_GUEST_DR7, 1ULL << 32 }, VMCS_GUEST_DR7, "63:32" },
	{ NOTHING, { VMCS_GUEST_SYSENTER_ESP, NON_CANONICAL }, VMCS_GUEST_SYSENTER_EIP, "canonical" },
	{ NOTHING, { VMCS_GUEST_CS_RIGHTS, CODE64 & ~SEG_P }, VMCS_GUEST_CS_RIGHTS, "present code segment" },
	{ NOTHING, { VMCS_GUEST_CS_RIGHTS, CODE64 | SEG_DB }, VMCS_GUEST_CS_RIGHTS, "L and D/B" },
	{ NOTHING, { VMCS_GUEST_SS_RIGHTS, CODE64 & ~SEG_L }, VMCS_GUEST_SS_RIGHTS, "writable data" },
	{ NOTHING, { VMCS_GUEST_CS_RIGHTS, CODE64 | DPL3 }, VMCS_GUEST_CS_RIGHTS, "DPL must be SS's" },
	{ NOTHING, { VMCS_GUEST_CS_RIGHTS, CODE64 | DPL3 | CONFORMING }, VMCS_GUEST_CS_RIGHTS, "conforming" },
	{ { VMCS_GUEST_CS_RIGHTS, CODE64 | CONFORMING }, { VMCS_GUEST_CS_RIGHTS, CODE64 | DPL3 }, VMCS_GUEST_CS_RIGHTS,
	  "DPL must be SS's" },
	{ RESTRICTED, { VMCS_GUEST_CS_SELECTOR, 0x13 }, VMCS_GUEST_SS_SELECTOR, "RPL must be that of CS" },
	{ RESTRICTED, { VMCS_GUEST_DS_SELECTOR, 3 }, VMCS_GUEST_DS_SELECTOR, "no more than DPL" },
	{ NOTHING, { VMCS_GUEST_DS_RIGHTS, DATA & ~1U }, VMCS_GUEST_DS_RIGHTS, "accessed" },
	{ NOTHING, { VMCS_GUEST_FS_RIGHTS, 0x99 }, VMCS_GUEST_DS_RIGHTS, "readable if code" },
	{ { VMCS_GUEST_FS_RIGHTS, 0x9b }, { VMCS_GUEST_GS_RIGHTS, 0x13 }, VMCS_GUEST_DS_RIGHTS, "present" },
	{ NOTHING, { VMCS_GUEST_ES_RIGHTS, DATA & ~0x10U }, VMCS_GUEST_DS_RIGHTS, "27.3.1.2" },
	{ NOTHING, { VMCS_GUEST_DS_LIMIT, 0xffff0000U }, VMCS_GUEST_CS_LIMIT, "granularity" },
	{ NOTHING, { VMCS_GUEST_TR_RIGHTS, 0x89 }, VMCS_GUEST_TR_RIGHTS, "busy TSS" },
	{ NOTHING, { VMCS_GUEST_TR_RIGHTS, 0x83 }, VMCS_GUEST_TR_RIGHTS, "busy TSS" },	/* of 16 bits, in long mode */
	{ NOTHING, { VMCS_GUEST_CS_RIGHTS, CODE64 & ~TYPE_ACCESSED }, VMCS_GUEST_CS_RIGHTS, "present code segment" },
	/* A stack may expand down: it is the next field that is found wrong. */
	{ { VMCS_GUEST_SS_RIGHTS, DATA | TYPE_DOWN }, { VMCS_GUEST_TR_RIGHTS, 0x89 }, VMCS_GUEST_TR_RIGHTS, "busy TSS" },
	{ NOTHING, { VMCS_GUEST_TR_SELECTOR, 4 }, VMCS_GUEST_TR_SELECTOR, "TI" },
	{ NOTHING, { VMCS_GUEST_LDTR_RIGHTS, 0x83 }, VMCS_GUEST_LDTR_RIGHTS, "LDTR" },
	{ { VMCS_GUEST_LDTR_RIGHTS, 0x82 }, { VMCS_GUEST_LDTR_BASE, NON_CANONICAL }, VMCS_GUEST_LDTR_BASE, "canonical" },
	{ { VMCS_GUEST_LDTR_RIGHTS, 0x82 }, { VMCS_GUEST_LDTR_SELECTOR, 4 }, VMCS_GUEST_LDTR_BASE, "TI 0" },
	{ NOTHING, { VMCS_GUEST_FS_BASE, NON_CANONICAL }, VMCS_GUEST_FS_BASE, "canonical" },
	{ NOTHING, { VMCS_GUEST_CS_BASE, 1ULL << 32 }, VMCS_GUEST_CS_BASE, "63:32" },
	{ NOTHING, { VMCS_GUEST_DS_BASE, 1ULL << 32 }, VMCS_GUEST_CS_BASE, "63:32" },
	{ NOTHING, { VMCS_GUEST_GDTR_LIMIT, 0x10000 }, VMCS_GUEST_GDTR_BASE, "limit bits 31:16" },
	{ NOTHING, { VMCS_GUEST_IDTR_BASE, NON_CANONICAL }, VMCS_GUEST_IDTR_BASE, "canonical" },
	{ NOTHING, { VMCS_GUEST_RIP, NON_CANONICAL }, VMCS_GUEST_RIP, "canonical" },
	{ NOTHING, { VMCS_GUEST_RFLAGS, 0x200 }, VMCS_GUEST_RFLAGS, "bit 1" },
	{ NOTHING, { VMCS_GUEST_RFLAGS, 0x8202 }, VMCS_GUEST_RFLAGS, "reserved" },
	{ NOTHING, { VMCS_GUEST_RFLAGS, 0x20202 }, VMCS_GUEST_RFLAGS, "VM needs" },
	{ { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_IRQ, 32) }, { VMCS_GUEST_RFLAGS, 2 }, VMCS_GUEST_RFLAGS, "IF must be 1" },
	{ NOTHING, { VMCS_GUEST_ACTIVITY, 4 }, VMCS_GUEST_ACTIVITY, "not supported" },
	{ NOTHING, { VMCS_GUEST_INTERRUPTIBILITY, 3 }, VMCS_GUEST_INTERRUPTIBILITY, "at once" },
	{ NOTHING, { VMCS_GUEST_INTERRUPTIBILITY, 32 }, VMCS_GUEST_INTERRUPTIBILITY, "reserved" },
	{ { VMCS_GUEST_RFLAGS, 2 }, { VMCS_GUEST_INTERRUPTIBILITY, 1 }, VMCS_GUEST_INTERRUPTIBILITY, "needs RFLAGS.IF" },
	{ { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_IRQ, 32) }, { VMCS_GUEST_INTERRUPTIBILITY, 2 },
	  VMCS_GUEST_INTERRUPTIBILITY, "blocks" },
	{ { VMCS_ENTRY_INTR_INFO, EVENT(VEVENT_NMI, 2) }, { VMCS_GUEST_INTERRUPTIBILITY, 8 },
	  VMCS_GUEST_INTERRUPTIBILITY, "blocks" },
	{ { VMCS_GUEST_INTERRUPTIBILITY, 2 }, { VMCS_GUEST_RFLAGS, 0x102 }, VMCS_GUEST_PENDING_DEBUG, "BS must be" },
	{ { VMCS_GUEST_INTERRUPTIBILITY, 1 }, { VMCS_GUEST_PENDING_DEBUG, 0x4000 }, VMCS_GUEST_PENDING_DEBUG, "BS must be" },
	{ { VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_PDPTE0, 3 }, VMCS_GUEST_PDPTE0, "27.3.1.6" },
	{ { VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_PDPTE1, 0x21 }, VMCS_GUEST_PDPTE1, "27.3.1.6" },
	{ { VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_PDPTE2, BIT(40) | 1 }, VMCS_GUEST_PDPTE2, "27.3.1.6" },
	{ { VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_PDPTE3, BIT(63) | 1 }, VMCS_GUEST_PDPTE3, "27.3.1.6" },
	{ NOTHING, { VMCS_VMCS_LINK_POINTER, 0x1001 }, VMCS_VMCS_LINK_POINTER, "all ones" },
};

static void test_valid_state(void **unused)
{
	(void)unused;
	make_valid();
	vmx_explain(&caps, read_field, note, &state);
	if (state.found)
		fail_msg("blamed %x: %s", state.last.field, state.last.rule);
}

static void test_one_field_broken(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(breakages); i++) {
		const struct breakage *row = &breakages[i];
		bool more_follows = row->with.field == VMCS_ENTRY_CONTROLS;	/* a 64-bit state without its mode */

		make_valid();
		state.fields[row->with.field] = row->with.val;
		if (more_follows) {
			state.fields[VMCS_GUEST_IA32_EFER] = 0;
			state.fields[VMCS_GUEST_CS_RIGHTS] = CODE64 & ~SEG_L;
		}
		vmx_explain(&caps, read_field, note, &state);
		if (state.found)
			fail_msg("row %zu: its situation is not valid: %x %s", i, state.last.field, state.last.rule);
		state.fields[row->broken.field] = row->broken.val;
		vmx_explain(&caps, read_field, note, &state);
		if (state.found != 1 || state.last.field != row->blamed || !strstr(state.last.rule, row->rule))
			fail_msg("row %zu: %u found, last %x: %s; expected %x: %s", i, state.found, state.last.field,
				 state.found ? state.last.rule : "-", row->blamed, row->rule);
		assert_int_equal(state.last.value, state.fields[row->blamed]);
	}
}

/* 32-bit protected mode without paging, and real mode, are good states for an unrestricted guest. */
static void test_other_modes_are_valid(void **unused)
{
	static const struct setting protected_mode[] = {
		{ VMCS_ENTRY_CONTROLS, 0xd1ff }, { VMCS_GUEST_IA32_EFER, 0 }, { VMCS_GUEST_CR0, 0x31 },
		{ VMCS_GUEST_CR4, 0x2000 }, { VMCS_GUEST_CS_RIGHTS, 0xc09b }, { VMCS_GUEST_RIP, 0x100000 },
	};
	static const struct setting real_mode[] = {
		{ VMCS_GUEST_CR0, 0x30 }, { VMCS_GUEST_CS_RIGHTS, 0x9b }, { VMCS_GUEST_CS_LIMIT, 0xffff },
		{ VMCS_GUEST_SS_RIGHTS, 0x93 }, { VMCS_GUEST_SS_LIMIT, 0xffff }, { VMCS_GUEST_RIP, 0x7c00 },
	};

	(void)unused;
	make_valid();
	for (size_t i = 0; i < countof(protected_mode); i++)
		state.fields[protected_mode[i].field] = protected_mode[i].val;
	assert_int_equal(vmx_explain(&caps, read_field, note, &state), 0);
	for (size_t i = 0; i < countof(real_mode); i++)
		state.fields[real_mode[i].field] = real_mode[i].val;
	assert_int_equal(vmx_explain(&caps, read_field, note, &state), 0);
	state.fields[VMCS_GUEST_CS_RIGHTS] = 0x93;		/* a data segment, as after a reset */
	assert_int_equal(vmx_explain(&caps, read_field, note, &state), 0);
	state.fields[VMCS_GUEST_SS_RIGHTS] |= DPL3;
	assert_int_equal(vmx_explain(&caps, read_field, note, &state), 1);
	assert_int_equal(state.last.field, VMCS_GUEST_SS_RIGHTS);
}

static void test_instruction_errors(void **unused)
{
	(void)unused;
	assert_string_equal(vmx_instruction_error(7), "VM entry with invalid control field(s)");
	assert_string_equal(vmx_instruction_error(28), "invalid operand to INVEPT or INVVPID");
	assert_string_equal(vmx_instruction_error(0), "no current VMCS");
	assert_string_equal(vmx_instruction_error(15), "VMXON executed in VMX root operation");
	assert_string_equal(vmx_instruction_error(22), "VMCALL with incorrect MSEG revision identifier");
	assert_string_equal(vmx_instruction_error(26), "VM entry with events blocked by MOV SS");
	assert_string_equal(vmx_instruction_error(18), "VM entry with executive-VMCS pointer not VMXON pointer");
	for (unsigned number = 0; number < 40; number++) {
		const bool is_listed = number <= 28 && number != 14 && number != 21 && number != 27;

		assert_int_equal(strcmp(vmx_instruction_error(number), "a number that the manual does not list") != 0, is_listed);
	}
	assert_string_equal(vmx_instruction_error(~0U), "a number that the manual does not list");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_state),
		cmocka_unit_test(test_one_field_broken),
		cmocka_unit_test(test_other_modes_are_valid),
		cmocka_unit_test(test_instruction_errors),
	};

	return cmocka_run_group_tests_name("vmx_explain", tests, NULL, NULL);
}
