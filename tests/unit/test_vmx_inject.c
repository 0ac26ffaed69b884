/* SPDX-License-Identifier: MIT */
/*
 * What an entry on VT-x is given: events with what belongs to them, and registers that hardware has otherwise
 * than the guest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "cpu_fake.h"
#include "insn_fake.h"
#include "panic_fake.h"
#include "vcpu_fake.h"
#include "vmcs_fake.h"

static struct vcpu_fake fake;
static const struct virt_backend backend = { .get = vmx_get, .set = vmx_set, .get_seg = vmx_get_seg, .set_seg = vmx_set_seg,
					     .flush = vmx_flush };

struct vmx_caps vmx_caps;
struct vmx_controls vmx_controls;
struct guest_caps vmx_guest_caps;
static bool settles, settles_behind_acknowledge, acknowledge_lowers;
static unsigned settled;
bool vmx_settle_apic(struct vcpu *vcpu)
{
	(void)vcpu;
	return settled++ && settles ? settles_behind_acknowledge : settles;
}
static bool must_wait;
bool vmx_must_wait(struct vcpu *vcpu) { (void)vcpu; return must_wait; }
bool lapic_takes_extint(const struct lapic *lapic) { (void)lapic; return true; }

/* What the tests do not reach. */
char vmx_exit_landing[1], vmx_exit_landing_one[1], vmx_exit_landing_all[1];
static enum return_fill fill;
enum return_fill speculation_return_fill(void) { return fill; }
void vmx_io_bitmap_fill(uint8_t *bitmaps) { (void)bitmaps; }
void vmx_msr_bitmap_fill(uint8_t *bitmap) { (void)bitmap; }
uint64_t paging_root(void) { return 0; }
static bool shows_xsaves;
struct cpuid_regs cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	(void)table;
	return (struct cpuid_regs){ .eax = leaf == CPUID_XSAVE && subleaf == 1 && shows_xsaves ? CPUIDD1_XSAVES : 0 };
}

uint64_t cr4_guest_owned(const struct vcpu *vcpu) { (void)vcpu; return 0; }
uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu) { (void)vcpu; return 0; }
bool vcpu_has_irq(struct vcpu *vcpu) { (void)vcpu; return fake.has_irq; }
int vcpu_ack_irq(struct vcpu *vcpu)
{
	fake.has_irq = settles && !settles_behind_acknowledge;		/* one that was taken meanwhile */
	vcpu->lapic.s.lint0_is_high = vcpu->lapic.s.lint0_is_high && !acknowledge_lowers;
	return 0x30;
}

static void flush(void) { vmx_flush(&fake.vcpu); }
static void leave(void) { vmx_leave(&fake.vcpu); }

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	vmcs_fake_init(&fake.vcpu);
	virt = &backend;
	vmcs_fake_set(VMCS_GUEST_CR0, CR0_PE);
	vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE);
	vmx_controls = (struct vmx_controls){ 0 };
	vmx_caps = (struct vmx_caps){ .cr4_fixed1 = 0xffffffff, .cr0_fixed1 = 0xffffffff };
	shows_xsaves = settles = acknowledge_lowers = false;
	settles_behind_acknowledge = true;
	settled = 0;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

static uint64_t deliver(struct vevent event)
{
	fake.vcpu.pending = event;
	fake.vcpu.pending.is_valid = true;
	vmx_deliver(&fake.vcpu);
	assert_false(fake.vcpu.pending.is_valid);
	return vmcs_fake_get(VMCS_ENTRY_INTR_INFO);
}

/* SDM vol. 3, 18.3.1.1: RF is pushed set by faults alone. */
static void test_rf(void **unused)
{
	static const struct { enum vevent_type type; uint8_t vector; bool sets_rf; } rows[] = {
		{ VEVENT_EXCEPTION, VEC_DE, true },	{ VEVENT_EXCEPTION, VEC_DB, false },
		{ VEVENT_EXCEPTION, VEC_UD, true },	{ VEVENT_EXCEPTION, VEC_DF, false },
		{ VEVENT_EXCEPTION, VEC_GP, true },	{ VEVENT_EXCEPTION, VEC_PF, true },
		{ VEVENT_EXCEPTION, VEC_AC, true },	{ VEVENT_EXCEPTION, VEC_MC, false },
		{ VEVENT_SOFT_EXC, VEC_BP, false },	{ VEVENT_SOFT_INT, VEC_GP, false },
		{ VEVENT_IRQ, 0x30, false },		{ VEVENT_NMI, VEC_NMI, false },
		{ VEVENT_PRIV_SOFT, VEC_DB, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE);
		deliver((struct vevent){ .type = rows[i].type, .vector = rows[i].vector });
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_RFLAGS), RFLAGS_ONE | (rows[i].sets_rf ? RFLAGS_RF : 0));
	}
}

/* Entry interruption type 5 and a length: SDM vol. 3, table 25-17. */
static void test_int1(void **unused)
{
	(void)unused;
	assert_int_equal(deliver((struct vevent){ .type = VEVENT_PRIV_SOFT, .vector = VEC_DB, .insn_len = 1 }), 0x80000501);
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INSN_LENGTH), 1);
}

/* Type 4, and the length by which RIP moves on before it is pushed: SDM vol. 3, 25.8.3. */
static void test_soft_int(void **unused)
{
	(void)unused;
	assert_int_equal(deliver((struct vevent){ .type = VEVENT_SOFT_INT, .vector = 0x80, .insn_len = 2 }), 0x80000480);
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INSN_LENGTH), 2);
}

/* No shadow VMCS (SDM vol. 3, 27.3.1.5), and at each exit the host's own memory types. */
static void test_new_vmcs(void **unused)
{
	(void)unused;
	insn_fake_init();
	insn_fake_msr(MSR_IA32_PAT)->val = 0x0007010600070406;
	insn_fake_msr(MSR_EFER)->val = EFER_LME | EFER_LMA;
	assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
	vmx_arrive(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_VMCS_LINK_POINTER), UINT64_MAX);
	assert_int_equal(vmcs_fake_get(VMCS_HOST_IA32_PAT), 0x0007010600070406);
	assert_int_equal(vmcs_fake_get(VMCS_HOST_IA32_EFER), EFER_LME | EFER_LMA);
	assert_int_equal(vmcs_fake_get(VMCS_EXCEPTION_BITMAP), BIT(VEC_DB) | BIT(VEC_AC) | BIT(VEC_MC));
	assert_int_equal(vmcs_fake_counts.clears, 1);		/* VMCLEAR makes it a new one, */
	vmx_vcpu_destroy(&fake.vcpu);
	assert_int_equal(vmcs_fake_counts.clears, 2);		/* and takes it out of the processor before others get its page */
}

/*
 * Controls that depend on the VM: XSAVES where CPUID shows it; PAUSE where there is a sibling, by the better
 * of two ways.
 */
static void test_controls_of_the_vm(void **unused)
{
	static const struct { unsigned vcpus; bool shows_xsaves, may_pause; uint64_t proc2, want, want_proc; } rows[] = {
		{ 1, true, true, PROC2_EPT | PROC2_XSAVES, PROC2_EPT | PROC2_XSAVES, PROC_HLT },
		{ 1, false, true, PROC2_EPT | PROC2_XSAVES, PROC2_EPT, PROC_HLT },
		{ 1, true, true, PROC2_EPT, PROC2_EPT, PROC_HLT },
		{ 1, false, true, PROC2_EPT | PROC2_PAUSE_LOOP, PROC2_EPT, PROC_HLT },
		{ 2, false, true, PROC2_EPT | PROC2_PAUSE_LOOP, PROC2_EPT | PROC2_PAUSE_LOOP, PROC_HLT },
		{ 2, false, true, PROC2_EPT, PROC2_EPT, PROC_HLT | PROC_PAUSE },
		{ 2, false, false, PROC2_EPT, PROC2_EPT, PROC_HLT },
	};

	struct handoff_vm config = { 0 };

	(void)unused;
	fake.vm.config = &config;
	insn_fake_init();
	(void)insn_fake_msr(MSR_IA32_PAT);
	(void)insn_fake_msr(MSR_EFER);
	for (size_t i = 0; row_of(rows, i); i++) {
		config.vcpus = rows[i].vcpus;
		shows_xsaves = rows[i].shows_xsaves;
		vmx_controls.proc = PROC_HLT;
		vmx_controls.proc2 = rows[i].proc2;
		vmx_caps.proc = (uint64_t)(PROC_HLT | (rows[i].may_pause ? PROC_PAUSE : 0)) << 32;
		assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), rows[i].want_proc);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS2), rows[i].want);
		vmx_vcpu_destroy(&fake.vcpu);
	}
}

/*
 * A VMCS names the tables and the struct cpu of the processor that runs it; what that one remembers of the
 * guest is old.
 */
static void test_arrives(void **unused)
{
	static const struct { uint64_t tss, gdt; } rows[] = { { 0x1000, 0x2000 }, { 0x4000, 0x5000 }, { 0x1000, 0x2000 } };

	(void)unused;
	insn_fake_init();
	(void)insn_fake_msr(MSR_IA32_PAT);
	(void)insn_fake_msr(MSR_EFER);
	vmx_controls.proc2 = PROC2_VPID;
	vmx_caps.ept_vpid = EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVEPT_SINGLE;
	assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
	for (unsigned i = 0; row_of(rows, i); i++) {
		cpu_fake_install();
		cpu_fake.tss_base = rows[i].tss;
		cpu_fake.gdt_base = rows[i].gdt;
		cpu_fake.idt_base = 0x3000;
		vmx_arrive(&fake.vcpu);
		assert_int_equal(vmcs_fake_get(VMCS_HOST_TR_BASE), rows[i].tss);
		assert_int_equal(vmcs_fake_get(VMCS_HOST_GDTR_BASE), rows[i].gdt);
		assert_int_equal(vmcs_fake_get(VMCS_HOST_IDTR_BASE), 0x3000);
		assert_int_equal(vmcs_fake_get(VMCS_HOST_GS_BASE), (uintptr_t)this_cpu());
		assert_int_equal(vmcs_fake_counts.ept_flushes, i + 1);
		assert_int_equal(vmcs_fake_counts.vpid_flushes, i + 1);
		assert_ptr_equal(((struct vmx_vcpu *)fake.vcpu.arch)->cpu, this_cpu());
	}
	vmx_vcpu_destroy(&fake.vcpu);
}

/* Another processor may load it then: nothing of the VMCS is here, and it has to be launched again. */
static void test_leaves(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch, other;

	(void)unused;
	vmx->launched = 1;
	vmx->cpu = this_cpu();
	vmx_leave(&fake.vcpu);
	assert_int_equal(vmcs_fake_counts.clears, 1);
	assert_int_equal(vmx->launched, 0);
	assert_null(vmx->cpu);
	assert_null(cpu_fake.current);
	cpu_fake.current = &other;
	vmx_leave(&fake.vcpu);
	assert_ptr_equal(cpu_fake.current, &other);
	vmx->vmcs = hpa(0x1234);		/* what is no VMCS of ours is a bug, and to go on would be to lose a guest's state */
	assert_true(panics(leave));
}

/* VPID 0 is the host's. When all others were used the first comes again. */
static void test_vpids_run_out(void **unused)
{
	uint64_t last = 0, vpid;

	(void)unused;
	insn_fake_init();
	(void)insn_fake_msr(MSR_IA32_PAT);
	(void)insn_fake_msr(MSR_EFER);
	vmx_controls.proc2 = PROC2_VPID;
	vmx_caps.ept_vpid = EPT_CAP_INVVPID_SINGLE;
	for (;;) {
		assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
		vpid = vmcs_fake_get(VMCS_VPID);
		vmx_vcpu_destroy(&fake.vcpu);
		if (vpid <= last)
			break;
		last = vpid;
	}
	assert_int_equal(last, UINT16_MAX);
	assert_int_equal(vpid, 1);
}

/* An exit lands where the guest's return predictions are replaced, if the processor needs that. */
static void test_landings(void **unused)
{
	static const struct { enum return_fill fill; const char *at; } rows[] = {
		{ RETURN_FILL_NONE, vmx_exit_landing }, { RETURN_FILL_ONE, vmx_exit_landing_one },
		{ RETURN_FILL_ALL, vmx_exit_landing_all },
	};

	(void)unused;
	insn_fake_init();
	(void)insn_fake_msr(MSR_IA32_PAT);
	(void)insn_fake_msr(MSR_EFER);
	for (size_t i = 0; row_of(rows, i); i++) {
		fill = rows[i].fill;
		assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
		vmx_arrive(&fake.vcpu);
		assert_ptr_equal((void *)vmcs_fake_get(VMCS_HOST_RIP), rows[i].at);
		vmx_vcpu_destroy(&fake.vcpu);
	}
}

/* SDM vol. 3, 27.3.1.5: in a shadow, BS must be pending exactly when TF is set and BTF is not. */
static void test_pending_debug(void **unused)
{
	static const struct { uint64_t shadow, flags, debugctl, want; } rows[] = {
		{ BLOCK_MOV_SS, RFLAGS_TF, 0, BIT(14) },
		{ BLOCK_STI, RFLAGS_TF | RFLAGS_IF, 0, BIT(14) },
		{ BLOCK_MOV_SS, 0, 0, 0 },
		{ BLOCK_MOV_SS, RFLAGS_TF, DEBUGCTL_BTF, 0 },
		{ 0, RFLAGS_TF, 0, 0 },
		{ BLOCK_NMI, RFLAGS_TF, 0, 0 },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].shadow);
		vmcs_fake_set(VMCS_GUEST_RFLAGS, rows[i].flags | RFLAGS_ONE);
		vmcs_fake_set(VMCS_GUEST_IA32_DEBUGCTL, rows[i].debugctl);
		vmcs_fake_set(VMCS_GUEST_PENDING_DEBUG, 0);
		deliver((struct vevent){ .type = VEVENT_EXCEPTION, .vector = VEC_DB });
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_PENDING_DEBUG), rows[i].want);
	}
}

/* Of the controls only the two windows change: SDM vol. 3, table 25-6, bits 2 and 22. */
static void test_windows(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch;

	(void)unused;
	vmx->proc_controls = 0x84006172 | BIT(2) | BIT(22);
	vmx_close_windows(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84006172);
	vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE);		/* IF is clear: it cannot take it */
	fake.has_irq = true;
	fake.vcpu.irq_check = true;
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84006172 | BIT(2));
	fake.has_irq = false;
	fake.vcpu.nmi_pending = true;
	vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, BLOCK_NMI);
	fake.vcpu.irq_check = true;
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84006172 | BIT(22));
}

/*
 * Where the processor delivers, nothing is injected but what it does not know: events, NMIs and what the 8259 has. The
 * interrupt window, which would hold its interrupts back, is open only for those.
 */
static void test_processor_delivers(void **unused)
{
	static const struct { bool delivers, has_irq, extint, nmi; uint64_t flags, blocking, injected, windows; } rows[] = {
		{ true, true, false, false, 0, 0, 0, 0 },
		{ true, true, false, false, RFLAGS_IF, 0, 0, 0 },
		{ false, true, false, false, RFLAGS_IF, 0, 0x80000030, 0 },
		{ false, true, false, false, 0, 0, 0, BIT(2) },
		{ true, true, true, false, RFLAGS_IF, 0, 0x80000030, BIT(2) },
		{ true, true, true, false, 0, 0, 0, BIT(2) },
		{ true, true, false, true, 0, 0, 0x80000202, 0 },
		{ true, true, false, true, RFLAGS_IF, BLOCK_NMI, 0, BIT(22) },
		{ false, true, false, true, RFLAGS_IF, BLOCK_NMI, 0x80000030, BIT(22) },
		{ true, true, true, true, 0, 0, 0x80000202, BIT(2) },
	};
	struct vmx_vcpu *vmx = fake.vcpu.arch;
	struct lapic_page page;

	(void)unused;
	vmx->apic_page = &page;
	for (size_t i = 0; row_of(rows, i); i++) {
		settles = rows[i].delivers;
		fake.has_irq = rows[i].has_irq;
		fake.vcpu.lapic.s.lint0_is_high = rows[i].extint;
		fake.vcpu.nmi_pending = rows[i].nmi;
		fake.vcpu.irq_check = true;
		vmx->proc_controls = BIT(2) | BIT(7);
		vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | rows[i].flags);
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].blocking);
		vmcs_fake_set(VMCS_PROC_CONTROLS, vmx->proc_controls);
		vmcs_fake_set(VMCS_ENTRY_INTR_INFO, 0);
		vmx_deliver(&fake.vcpu);
		assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO), rows[i].injected);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), BIT(7) | rows[i].windows);
		assert_false(fake.vcpu.irq_check);
	}
	settled = 0;
	fake.vcpu.lapic.page = &page;		/* the processor knows all: nothing to settle */
	vmx_deliver(&fake.vcpu);
	assert_int_equal(settled, 0);
	fake.vcpu.lapic.requested = 0x40;
	vmx_deliver(&fake.vcpu);
	assert_int_equal(settled, 1);
	quirks.delivers_masked = true;		/* each time: may it still have what it was told? */
	fake.vcpu.lapic.requested = 0;
	vmx_deliver(&fake.vcpu);
	assert_int_equal(settled, 2);
	vmx->proc_controls = BIT(7);		/* held back: its window opens, and nothing is injected */
	must_wait = true;
	fake.vcpu.nmi_pending = fake.vcpu.lapic.s.lint0_is_high = false;
	vmcs_fake_set(VMCS_ENTRY_INTR_INFO, 0);
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), BIT(7) | BIT(2));
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO), 0);
	vmx->proc_controls = BIT(7);		/* and behind an exception */
	fake.vcpu.pending = (struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_UD };
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), BIT(7) | BIT(2));
	must_wait = quirks.delivers_masked = false;
}

/*
 * To acknowledge an interrupt of the 8259 may take requests from others. The processor is told of them before the entry,
 * or, where it does not get them, their window is open.
 */
static void test_news_of_acknowledge(void **unused)
{
	static const struct { bool settles_then; uint64_t windows; } rows[] = { { true, 0 }, { false, BIT(2) } };
	struct vmx_vcpu *vmx = fake.vcpu.arch;
	struct lapic_page page;

	(void)unused;
	vmx->apic_page = &page;
	for (size_t i = 0; row_of(rows, i); i++) {
		settles = true;
		settles_behind_acknowledge = rows[i].settles_then;
		acknowledge_lowers = true;
		settled = 0;
		fake.vcpu.lapic.s.lint0_is_high = true;
		vmx->proc_controls = BIT(7);
		vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
		vmcs_fake_set(VMCS_PROC_CONTROLS, vmx->proc_controls);
		vmx_deliver(&fake.vcpu);
		assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO), 0x80000030);
		assert_int_equal(settled, 2);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), BIT(7) | rows[i].windows);
	}
}

/* A VMCS has a virtual-APIC page where the processor can and the VM may, and starts without its controls. */
static void test_apic_page(void **unused)
{
	static const struct { bool can, is_quirk; uint32_t test_apic; bool has; } rows[] = {
		{ true, false, LAPIC_AUTO, true }, { true, false, LAPIC_SOFTWARE, false }, { true, false, LAPIC_PROCESSOR, true },
		{ true, true, LAPIC_AUTO, false }, { true, true, LAPIC_SOFTWARE, false }, { true, true, LAPIC_PROCESSOR, true },
		{ false, false, LAPIC_AUTO, false }, { false, false, LAPIC_PROCESSOR, false },
	};
	struct handoff_vm config = { .vcpus = 1 };
	const struct vmx_vcpu *vmx;

	(void)unused;
	fake.vm.config = &config;
	insn_fake_init();
	(void)insn_fake_msr(MSR_IA32_PAT);
	(void)insn_fake_msr(MSR_EFER);
	vmx_controls = (struct vmx_controls){ .proc = PROC_HLT | PROC_TPR_SHADOW, .proc2 = PROC2_EPT | PROC2_VIRTUAL_APIC };
	for (size_t i = 0; row_of(rows, i); i++) {
		vmx_guest_caps.delivers = rows[i].can;
		quirks.delivers_masked = rows[i].is_quirk;
		config.test_apic = rows[i].test_apic;
		vmcs_fake_set(VMCS_VIRTUAL_APIC, 1);
		assert_int_equal(vmx_vcpu_create(&fake.vcpu), 0);
		vmx = fake.vcpu.arch;
		assert_int_equal(!!vmx->apic_page, rows[i].has);
		assert_int_equal(vmcs_fake_get(VMCS_VIRTUAL_APIC), rows[i].has ? (uintptr_t)vmx->apic_page : 1);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), PROC_HLT);
		assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS2), PROC2_EPT);
		vmx_vcpu_destroy(&fake.vcpu);
	}
	vmx_guest_caps.delivers = quirks.delivers_masked = false;
}

/* 27.3.1.5: some processors refuse an NMI in the shadow of STI. The interrupt window opens behind it. */
static void test_nmi_behind_sti(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch;

	(void)unused;
	vmx->proc_controls = 0x84006172;
	fake.vcpu.nmi_pending = true;
	vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
	vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, BLOCK_STI);
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO) & INTR_VALID, 0);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84006172 | BIT(2));
	vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmx_deliver(&fake.vcpu);
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO), 0x80000202);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84006172);
}

/*
 * An entry uses whichever VMCS is current and does not ask: a look at another vCPU must not leave that one's
 * there, nor must one that comes and goes.
 */
static void test_current(void **unused)
{
	struct vmx_vcpu *own = fake.vcpu.arch, other = { .vmcs = hpa(0x3000) };
	struct vcpu other_vcpu = { .arch = &other, .vm = fake.vcpu.vm };

	(void)unused;
	cpu_fake.loaded = &fake.vcpu;
	(void)vmx_get(&fake.vcpu, REG_CR3);
	assert_false(fake.vcpu.irq_check);		/* its own was current already */
	(void)vmx_get(&other_vcpu, REG_CR3);
	assert_ptr_equal(cpu_fake.current, &other);
	assert_true(fake.vcpu.irq_check);
	assert_false(other_vcpu.irq_check);
	vmx_deliver(&fake.vcpu);
	assert_ptr_equal(cpu_fake.current, own);
	assert_false(fake.vcpu.irq_check);

	assert_int_equal(vmx_vcpu_create(&other_vcpu), 0);
	vmx_vcpu_destroy(&other_vcpu);
	assert_true(fake.vcpu.irq_check);
	vmx_deliver(&fake.vcpu);
	assert_ptr_equal(cpu_fake.current, own);

	cpu_fake.current = NULL;
	(void)vmx_get(&fake.vcpu, REG_CR3);
	assert_ptr_equal(cpu_fake.current, own);
	assert_false(fake.vcpu.irq_check);		/* nobody else took it away: nothing to give back */
}

/* A guest that clears CR4.MCE reads it clear; a machine check reaches us all the same. */
static void test_mce(void **unused)
{
	struct vmx_vcpu *vmx = fake.vcpu.arch;

	(void)unused;
	vmx->cr4_mask = CR4_MCE | CR4_PAE;
	vmx_set(&fake.vcpu, REG_CR4, CR4_PAE);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_CR4), CR4_PAE | CR4_MCE);
	assert_int_equal(vmx_get(&fake.vcpu, REG_CR4), CR4_PAE);
	vmx_set(&fake.vcpu, REG_CR4, CR4_PAE | CR4_MCE);
	assert_int_equal(vmx_get(&fake.vcpu, REG_CR4), CR4_PAE | CR4_MCE);
}

/* No entry is refused for what the guest's memory holds by the time it is read. */
static void test_pdptes(void **unused)
{
	(void)unused;
	vcpu_fake_set_word(&fake, 0x5000, 0x6001);
	vcpu_fake_set_word(&fake, 0x5008, BIT(FAKE_PHYS_BITS) | 1);
	vcpu_fake_set_word(&fake, 0x5010, 0x7021);
	vcpu_fake_set_word(&fake, 0x5018, 0xfffffffffffffffe);
	vmcs_fake_set(VMCS_GUEST_CR3, 0x5018);		/* bits 4:0 are no address */
	vmcs_fake_set(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	vmcs_fake_set(VMCS_GUEST_PDPTE0, 0x9001);
	vmx_set(&fake.vcpu, REG_CR4, CR4_PAE);
	vmx_set(&fake.vcpu, REG_CR0, CR0_PE | CR0_PG | CR0_TS);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_PDPTE0), 0x9001);	/* the guest's memory is not looked at */
	vmx_set(&fake.vcpu, REG_CR3, 0x5018);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_PDPTE0), 0x6001);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_PDPTE1), 0);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_PDPTE2), 0);
	assert_false(vmcs_fake_get(VMCS_GUEST_PDPTE3) & 1);
}

/*
 * A.10: bits 25 and 41, the types for one guest, may be missing; then everything is forgotten. The fake
 * refuses others.
 */
static void test_flush_takes_what_there_is(void **unused)
{
	static const uint64_t lacks[] = { 0, BIT(25), BIT(41), BIT(25) | BIT(41) };

	(void)unused;
	vmx_controls.proc2 = PROC2_VPID;
	((struct vmx_vcpu *)fake.vcpu.arch)->vpid = 7;
	for (size_t i = 0; row_of(lacks, i); i++) {
		vmx_caps.ept_vpid = vmcs_fake_ept_vpid = 0x00000f0106734141 & ~lacks[i];
		assert_false(panics(flush));
	}
	vmx_controls.proc2 = 0;
	vmx_caps.ept_vpid = vmcs_fake_ept_vpid = 0x0000000006734141;	/* no INVVPID at all */
	assert_false(panics(flush));
	vmcs_fake_ept_vpid = UINT64_MAX;
	vmx_caps.ept_vpid = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rf), TEST(test_int1), TEST(test_soft_int), TEST(test_new_vmcs), TEST(test_controls_of_the_vm), TEST(test_arrives), TEST(test_leaves), TEST(test_vpids_run_out), TEST(test_landings),
		TEST(test_pending_debug), TEST(test_windows), TEST(test_nmi_behind_sti), TEST(test_processor_delivers), TEST(test_news_of_acknowledge), TEST(test_apic_page), TEST(test_mce), TEST(test_pdptes),
		TEST(test_current), TEST(test_flush_takes_what_there_is),
	};

	return cmocka_run_group_tests_name("vmx_inject", tests, NULL, NULL);
}
