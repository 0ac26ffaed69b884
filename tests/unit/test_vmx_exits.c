/* SPDX-License-Identifier: MIT */
/* VT-x's words about an exit become the neutral handlers' facts, and what an emulated instruction leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/vmx/exits.h"
#include "exits_fake.h"
#include "hv/dev/lapic_page.h"
#include "hv/lib/util.h"
#include "insn_fake.h"
#include "vcpu_fake.h"
#include "vmcs_fake.h"

static struct vcpu_fake fake;

/* ---- What stands around exits.c: the guest's registers are in the VMCS, as in vmx/state.c ---- */

static uint64_t get(struct vcpu *vcpu, enum guest_reg reg)
{
	(void)vcpu;
	return reg == REG_RFLAGS ? vmcs_fake_get(VMCS_GUEST_RFLAGS) : 0;
}

static const struct virt_backend backend = { .get = get };

enum exit_result vmx_entry_failed(struct vcpu *vcpu) { return exit_fatal(vcpu, "entry", 0); }

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	vmcs_fake_init(&fake.vcpu);
	exits_fake_init();
	virt = &backend;
	vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE);
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

/* The exit as enter leaves it, and its row's handler. */
static bool refuses;		/* the local APIC what it is told */
static enum exit_result leave(uint32_t reason, uint64_t qual)
{
	exits_fake_init();
	exits_fake.apic.refuses = refuses;
	fake.progress = 0;
	fake.vcpu.exit = (struct exit_record){ .rip = 0x1000, .reason = reason, .insn_len = 2 };
	vmcs_fake_set(VMCS_EXIT_QUALIFICATION, qual);
	return vmx_rows[reason].handle(&fake.vcpu);
}

/* ---- Rows ---- */

/* SDM vol. 3, appendix C: numbers of the manual, and who answers. NULL: a control that we never set asks for it. */
static void test_rows(void **unused)
{
	static const struct { uint32_t reason; const char *handler; } rows[] = {
		{ 2, "triple_fault" }, { 10, "cpuid" }, { 12, "hlt" }, { 13, "invd" }, { 15, "rdpmc" }, { 18, "hypercall" },
		{ 31, "rdmsr" }, { 32, "wrmsr" }, { 36, "mwait" }, { 39, "monitor" }, { 40, "pause" }, { 52, "turn_over" },
		{ 41, "exception" }, { 54, "wbinvd" }, { 55, "xsetbv" },
		/* every instruction of VMX, and what CPUID hides: #UD */
		{ 11, "undefined" }, { 19, "undefined" }, { 20, "undefined" }, { 21, "undefined" }, { 22, "undefined" },
		{ 23, "undefined" }, { 24, "undefined" }, { 25, "undefined" }, { 26, "undefined" }, { 27, "undefined" },
		{ 50, "undefined" }, { 53, "undefined" }, { 59, "undefined" }, { 60, "undefined" }, { 63, "undefined" },
		{ 64, "undefined" }, { 67, "undefined" }, { 68, "undefined" },
		{ 3, NULL }, { 16, NULL }, { 37, NULL }, { 43, NULL }, { 44, NULL }, { 57, NULL },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		if (!rows[i].handler) {
			assert_null(vmx_rows[rows[i].reason].handle);
			continue;
		}
		leave(rows[i].reason, 0);
		assert_string_equal(exits_fake.name, rows[i].handler);
	}
}

static void test_every_row_has_a_name(void **unused)
{
	(void)unused;
	for (uint32_t reason = 0; reason < VMX_ROW_COUNT; reason++)
		assert_non_null(vmx_rows[reason].name);
}

/* SDM vol. 3, 30.1.4 and 30.4.3.3: both come behind the instruction, with the vector, and with the offset in the page. */
static void test_apic(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch;
	struct lapic_page page = { .reg = { [0x3f] = { 7 } } };

	(void)unused;
	vmx->apic_page = &page;
	assert_int_equal(leave(45, 0x61), EXIT_RESUME);
	assert_int_equal(exits_fake.apic.ended, 0x61);
	assert_int_equal(fake.progress, 1);
	assert_int_equal(fake.vcpu.exit.insn_len, 0);
	assert_int_equal(leave(56, 0x3f0), EXIT_RESUME);
	assert_int_equal(exits_fake.apic.msr, 0x83f);
	assert_int_equal(exits_fake.apic.val, 7);
	assert_int_equal(fake.progress, 1);
	assert_int_equal(fake.vcpu.exit.insn_len, 0);
	refuses = true;
	assert_int_equal(leave(56, 0x020), EXIT_STOP);
	refuses = false;
	assert_true(fake.is_killed);
	fake.is_killed = false;
}

/* A reason of a later processor ends the VM, and so does what our own tables did wrong. */
static void test_ends(void **unused)
{
	(void)unused;
	assert_int_equal(leave(VMX_ROW_UNKNOWN, 0), EXIT_STOP);
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(leave(49, 0), EXIT_STOP);	/* EPT misconfiguration */
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(leave(VMX_ROW_REFUSED, 0), EXIT_STOP);
	assert_true(fake.is_killed);
}

/* ---- Facts ---- */

/* SDM vol. 3, table 28-5: size - 1 in bits 2:0, direction 3, string 4, REP 5, DX or immediate 6, port 31:16. */
static void test_ports(void **unused)
{
	static const struct { uint64_t qual; uint32_t info; const char *handler; struct pio_access want; } rows[] = {
		{ 0x03f80000, 0, "out", { .port = 0x3f8, .size = 1 } },
		{ 0x03f80008, 0, "in", { .port = 0x3f8, .size = 1, .is_in = true } },
		{ 0xffff0041, 0, "out", { .port = 0xffff, .size = 2 } },	/* the port is an immediate: no matter */
		{ 0x0cf8000b, 0, "in", { .port = 0xcf8, .size = 4, .is_in = true } },
		/* table 28-9: address size in bits 9:7, segment in 17:15 */
		{ 0x00e90010, 0x00018000, "pio_string", { .port = 0xe9, .size = 1, .addr_size = 2, .seg = SEG_DS } },
		{ 0x00e90031, 0x00010080, "pio_string", { .port = 0xe9, .size = 2, .is_rep = true,
						   .addr_size = 4, .seg = SEG_SS } },
		{ 0x00e9003b, 0x00028100, "pio_string", { .port = 0xe9, .size = 4, .is_in = true, .is_rep = true,
						   .addr_size = 8, .seg = SEG_ES } },	/* INS knows ES only */
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		vmcs_fake_set(VMCS_EXIT_INSN_INFO, rows[i].info);
		assert_int_equal(leave(30, rows[i].qual), EXIT_SKIP);
		assert_string_equal(exits_fake.name, rows[i].handler);
		assert_int_equal(exits_fake.pio.port, rows[i].want.port);
		assert_int_equal(exits_fake.pio.size, rows[i].want.size);
		assert_int_equal(exits_fake.pio.is_in, rows[i].want.is_in);
		assert_int_equal(exits_fake.pio.is_rep, rows[i].want.is_rep);
		assert_int_equal(exits_fake.pio.addr_size, rows[i].want.addr_size);
		assert_int_equal(exits_fake.pio.seg, rows[i].want.seg);
	}
}

/* Tables 28-3 and 28-4. */
static void test_registers(void **unused)
{
	(void)unused;
	leave(28, 0x0304);		/* MOV CR4, RBX */
	assert_string_equal(exits_fake.name, "cr");
	assert_int_equal(exits_fake.cr.op, CR_MOV_TO);
	assert_int_equal(exits_fake.cr.cr, 4);
	assert_int_equal(exits_fake.cr.gpr, GPR_RBX);
	leave(28, 0x12340030);		/* LMSW 1234h */
	assert_int_equal(exits_fake.cr.op, CR_LMSW);
	assert_int_equal(exits_fake.cr.lmsw, 0x1234);
	leave(29, 0x0f17);		/* MOV R15, DR7 */
	assert_string_equal(exits_fake.name, "dr");
	assert_int_equal(exits_fake.dr.dr, 7);
	assert_int_equal(exits_fake.dr.gpr, GPR_R15);
	assert_true(exits_fake.dr.is_read);
}

/*
 * Table 28-7: read, write, fetch in bits 2:0, the entry's rights in 5:3, 7 and 8: a linear address, and its
 * translation.
 */
static void test_ept(void **unused)
{
	static const struct { uint64_t qual; struct npt_fault want; } rows[] = {
		{ 0x181, { .addr = { 0 } } },
		{ 0x182, { .is_write = true } },
		{ 0x184, { .is_fetch = true } },
		{ 0x18a, { .is_write = true, .was_mapped = true } },
		{ 0x194, { .is_fetch = true, .was_mapped = true } },
		{ 0x1a1, { .was_mapped = true } },
		{ 0x081, { .in_walk = true } },
		{ 0x083, { .is_write = true, .in_walk = true } },	/* to set an accessed bit */
		{ 0x001, { .in_walk = false } },			/* no linear address: MOV CR3 loads PDPTEs */
	};

	(void)unused;
	vmcs_fake_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0xfee00020);
	for (size_t i = 0; row_of(rows, i); i++) {
		leave(48, rows[i].qual);
		assert_string_equal(exits_fake.name, "npt");
		assert_int_equal(exits_fake.npt.addr.raw, 0xfee00020);
		assert_int_equal(exits_fake.npt.is_write, rows[i].want.is_write);
		assert_int_equal(exits_fake.npt.is_fetch, rows[i].want.is_fetch);
		assert_int_equal(exits_fake.npt.was_mapped, rows[i].want.was_mapped);
		assert_int_equal(exits_fake.npt.in_walk, rows[i].want.in_walk);
		assert_int_equal(fake.vcpu.exit.insn_len, 0);	/* no length is given for this exit: 28.2.5 */
	}
}

/*
 * 28.2.3: bit 12 says that an IRET had unblocked NMIs before it faulted; not valid while an event was being
 * delivered.
 */
static void test_ept_in_iret(void **unused)
{
	(void)unused;
	leave(48, 0x181 | BIT(12));
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), BIT(3));
	vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	leave(48, 0x181);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	fake.vcpu.pending.is_valid = true;
	leave(48, 0x181 | BIT(12));
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* ---- Events ---- */

/* Table 25-19: vector 7:0, type 10:8, error code 11, valid 31. */
static void test_exceptions(void **unused)
{
	static const struct { uint32_t info, error; uint64_t qual; struct exc_info want; } rows[] = {
		{ 0x80000b0e, 6, 0xdead000, { .vector = VEC_PF, .has_error = true, .error = 6, .fault_addr = 0xdead000 } },
		{ 0x80000b11, 0, 0, { .vector = VEC_AC, .has_error = true } },
		{ 0x80000306, 7, 0, { .vector = VEC_UD } },		/* the error field is an earlier exit's */
		{ 0x80000301, 0, 0x4000, { .vector = VEC_DB, .dr6_bits = 0x4000 } },
		{ 0x80000501, 0, 0, { .vector = VEC_DB, .int1_len = 2 } },	/* INT1: an instruction, with its length */
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		vmcs_fake_set(VMCS_EXIT_INTR_INFO, rows[i].info);
		vmcs_fake_set(VMCS_EXIT_INTR_ERROR, rows[i].error);
		leave(0, rows[i].qual);
		assert_string_equal(exits_fake.name, "exception");
		assert_int_equal(exits_fake.exc.vector, rows[i].want.vector);
		assert_int_equal(exits_fake.exc.has_error, rows[i].want.has_error);
		assert_int_equal(exits_fake.exc.error, rows[i].want.error);
		assert_int_equal(exits_fake.exc.int1_len, rows[i].want.int1_len);
		if (rows[i].want.vector == VEC_DB)
			assert_int_equal(exits_fake.exc.dr6_bits, rows[i].want.dr6_bits);
		if (rows[i].want.vector == VEC_PF)
			assert_int_equal(exits_fake.exc.fault_addr, rows[i].want.fault_addr);
		assert_int_equal(fake.vcpu.exit.insn_len, 0);
	}
}

/* The host's own: an NMI by the same reason, an interrupt that was acknowledged, and one that was spurious. */
static void test_host_events(void **unused)
{
	(void)unused;
	insn_fake_init();
	vmcs_fake_set(VMCS_EXIT_INTR_INFO, 0x80000202);
	leave(0, 0);
	assert_string_equal(exits_fake.name, "host_nmi");
	assert_int_equal(insn_fake.nmis, 1);		/* our handler, once */
	vmcs_fake_set(VMCS_EXIT_INTR_INFO, 0x800000f1);
	leave(1, 0);
	assert_string_equal(exits_fake.name, "external_irq");
	assert_int_equal(exits_fake.irq, 0xf1);
	vmcs_fake_set(VMCS_EXIT_INTR_INFO, 0x000000f1);
	assert_int_equal(leave(1, 0), EXIT_RESUME);
	assert_null(exits_fake.name);
	assert_int_equal(fake.progress, 1);	/* an interrupt is no endless loop of the guest's */
	assert_int_equal(fake.vcpu.exit.insn_len, 0);
}

/* No instruction caused these exits: nothing is stepped over. */
static void test_windows(void **unused)
{
	(void)unused;
	leave(7, 0);
	assert_string_equal(exits_fake.name, "irq_window");
	assert_int_equal(fake.vcpu.exit.insn_len, 0);
	leave(8, 0);
	assert_string_equal(exits_fake.name, "nmi_window");
	leave(52, 0);
	assert_int_equal(fake.vcpu.exit.insn_len, 0);
}

/* Table 28-2; 26.3: an NMI through a task gate blocks NMIs, an IRET that changes tasks unblocks them. */
static void test_task_switch(void **unused)
{
	static const struct {
		uint64_t qual; struct vevent event; uint64_t blocking, want_blocking;
		enum task_source source; bool is_event;
	} rows[] = {
		{ 0x00000028, { 0 }, BIT(3), BIT(3), TASK_CALL, false },
		{ 0x40000028, { 0 }, BIT(3) | BIT(1), BIT(1), TASK_IRET, false },
		{ 0x80000028, { 0 }, 0, 0, TASK_JMP, false },
		{ 0xc0000028, { .is_valid = true, .type = VEVENT_NMI, .vector = 2 }, 0, BIT(3), TASK_GATE, true },
		{ 0xc0000028, { .is_valid = true, .type = VEVENT_IRQ, .vector = 0x30 }, 0, 0, TASK_GATE, true },
		{ 0xc0000028, { .is_valid = true, .type = VEVENT_SOFT_INT, .vector = 0x80 }, 0, 0, TASK_GATE, false },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.vcpu.pending = rows[i].event;
		fake.vcpu.irq_check = false;
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].blocking);
		leave(9, rows[i].qual);
		assert_string_equal(exits_fake.name, "task_switch");
		assert_int_equal(exits_fake.task.selector, 0x28);
		assert_int_equal(exits_fake.task.source, rows[i].source);
		assert_int_equal(exits_fake.task.is_event, rows[i].is_event);
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), rows[i].want_blocking);
		assert_true(fake.vcpu.irq_check);
	}
}

/* ---- Behind the instruction ---- */

static uint64_t step(uint64_t rip, uint32_t len, uint32_t rights)
{
	fake.vcpu.exit = (struct exit_record){ .rip = rip, .insn_len = len };
	vmcs_fake_set(VMCS_GUEST_CS_RIGHTS, rights);
	vmx_step_over(&fake.vcpu);
	return vmcs_fake_get(VMCS_GUEST_RIP);
}

static void test_rip(void **unused)
{
	(void)unused;
	assert_int_equal(step(0x1000, 2, SEG_DB), 0x1002);
	assert_int_equal(step(0xffffffff, 2, SEG_DB), 1);			/* EIP wraps */
	assert_int_equal(step(0xffffffff, 2, SEG_L), 0x100000001);		/* RIP does not */
	assert_int_equal(step(0xffffffff80000000, 3, SEG_L), 0xffffffff80000003);
}

/* RF and the shadow last for one instruction; TF asks for #DB behind it, with BS in DR6 (SDM vol. 3, 17.3.1.4). */
static void test_what_is_left_behind(void **unused)
{
	static const struct { uint64_t flags, shadow, want_flags, want_shadow; bool is_trapped; } rows[] = {
		{ 0, 0, 0, 0, false },
		{ RFLAGS_RF, 0, 0, 0, false },
		{ RFLAGS_IF, BIT(0), RFLAGS_IF, 0, false },
		{ 0, BIT(1), 0, 0, false },
		{ 0, BIT(1) | BIT(3), 0, BIT(3), false },		/* NMIs stay blocked */
		{ RFLAGS_TF, 0, RFLAGS_TF, 0, true },
		{ RFLAGS_TF | RFLAGS_RF, BIT(1), RFLAGS_TF, 0, true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.injected = 0;
		fake.vcpu.dr6 = DR6_RESET;
		vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | rows[i].flags);
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].shadow);
		step(0x1000, 1, SEG_DB);
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_RFLAGS), RFLAGS_ONE | rows[i].want_flags);
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), rows[i].want_shadow);
		assert_int_equal(fake.injected, rows[i].is_trapped);
		if (rows[i].is_trapped)
			assert_int_equal(fake.vcpu.dr6 & DR6_BS, DR6_BS);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows), TEST(test_every_row_has_a_name), TEST(test_apic), TEST(test_ends), TEST(test_ports), TEST(test_registers),
		TEST(test_ept), TEST(test_ept_in_iret), TEST(test_exceptions), TEST(test_host_events), TEST(test_windows),
		TEST(test_task_switch), TEST(test_rip), TEST(test_what_is_left_behind),
	};

	return cmocka_run_group_tests_name("vmx_exits", tests, NULL, NULL);
}
