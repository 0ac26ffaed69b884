/* SPDX-License-Identifier: MIT */
/*
 * What VT-x leaves in the processor while a vCPU is loaded, and the state behind its registers: kept, saved,
 * restored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/features.h"
#include "arch/x86/virt/guest_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "insn_fake.h"
#include "vmcs_fake.h"

static struct vcpu vcpu;
static unsigned windows_closed;
static uint64_t turn;
struct cpu_features cpu_features;

void vmx_close_windows(struct vcpu *unused) { (void)unused; windows_closed++; }
bool vmx_limit_turn(struct vcpu *unused, uint64_t ticks) { (void)unused; turn = ticks; return true; }
static unsigned arrivals;
void vmx_arrive(struct vcpu *here) { arrivals++; ((struct vmx_vcpu *)here->arch)->cpu = this_cpu(); }
struct vmx_vcpu *vmx_make_current(struct vmx_vcpu *vmx) { this_cpu()->current = vmx; return vmx; }

/* SDM vol. 4: the MSRs of SYSCALL, KERNEL_GS_BASE and TSC_AUX. */
static const uint32_t msrs[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103 };

static int set_up(void **unused)
{
	(void)unused;
	memset(&vcpu, 0, sizeof(vcpu));
	vmcs_fake_init(&vcpu);
	insn_fake_init();
	for (size_t i = 0; i < countof(msrs); i++)
		insn_fake_msr(msrs[i])->val = 0x1000 + i;
	cpu_features = (struct cpu_features){ .has_rdtscp = true };
	windows_closed = 0;
	turn = 0;
	return 0;
}

/* What one guest left in the processor is there again when it comes back, whatever another wrote meanwhile. */
static void test_msrs_come_back(void **unused)
{
	(void)unused;
	vmx_put(&vcpu);
	for (size_t i = 0; i < countof(msrs); i++)
		insn_fake_msr(msrs[i])->val = ~0ULL;
	vmx_load(&vcpu);
	for (size_t i = 0; i < countof(msrs); i++)
		assert_int_equal(insn_fake_msr(msrs[i])->val, 0x1000 + i);
}

/* The entry does not ask which VMCS is current: loading a vCPU has made it its own. */
static void test_load_makes_current(void **unused)
{
	(void)unused;
	this_cpu()->current = NULL;
	vmx_load(&vcpu);
	assert_ptr_equal(this_cpu()->current, vcpu.arch);
}

/* What belongs to the processor is looked after when the vCPU comes to another one, or to its first. */
static void test_load_arrives(void **unused)
{
	struct vmx_vcpu *vmx = vcpu.arch;
	struct cpu other;

	(void)unused;
	arrivals = 0;
	for (unsigned i = 0; i < 2; i++)
		vmx_load(&vcpu);
	assert_int_equal(arrivals, 1);
	vmx->cpu = &other;
	for (unsigned i = 0; i < 2; i++)
		vmx_load(&vcpu);
	assert_int_equal(arrivals, 2);
}

/*
 * What the guest may execute has no say: the MSR bitmap lets it at TSC_AUX also where VT-x has no control for RDTSCP.
 * Without RDTSCP there is no TSC_AUX: an access would be #GP, in the hypervisor.
 */
static void test_no_tsc_aux(void **unused)
{
	(void)unused;
	cpu_features.has_rdtscp = false;
	vmx_put(&vcpu);
	vmx_load(&vcpu);
	assert_int_equal(insn_fake_msr(0xc0000103)->reads, 0);
	assert_int_equal(insn_fake_msr(0xc0000103)->writes, 0);
	assert_int_equal(insn_fake_msr(0xc0000102)->writes, 1);
}

/*
 * Table 25-3: STI in bit 0, MOV SS 1, NMI 3; at most one of the first two. Appendix B: PDPTE0 is 280ah, the
 * others follow.
 */
static void test_saved_and_restored(void **unused)
{
	static const struct { uint64_t blocking, pending; uint32_t shadow, nmi, due; } rows[] = {
		{ 0, 0, SHADOW_NONE, 0, 0 }, { BIT(0), 0, SHADOW_STI, 0, 0 }, { BIT(1), 0, SHADOW_MOV_SS, 0, 0 },
		{ BIT(3), 0, SHADOW_NONE, 1, 0 }, { BIT(3) | BIT(1), 0, SHADOW_MOV_SS, 1, 0 }, { BIT(1), BIT(14), SHADOW_MOV_SS, 0, DEBUG_DUE_STEP },
		{ BIT(1), BIT(12) | BIT(0), SHADOW_MOV_SS, 0, DEBUG_DUE_ENABLED | 1 },	/* table 25-4: a breakpoint is due */
		{ BIT(1), BIT(14) | 0xf, SHADOW_MOV_SS, 0, DEBUG_DUE_STEP | DEBUG_DUE_BREAKPOINTS },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct guest_state state = { 0 };

		vmx_put(&vcpu);
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].blocking);
		vmcs_fake_set(VMCS_GUEST_PENDING_DEBUG, rows[i].pending);
		for (unsigned pdpte = 0; pdpte < 4; pdpte++)
			vmcs_fake_set(0x280a + 2 * pdpte, 0x5001 + (pdpte << 12));
		vmx_save(&vcpu, &state);
		assert_int_equal(state.in_shadow, rows[i].shadow);
		assert_int_equal(state.nmi_blocked, rows[i].nmi);
		assert_int_equal(state.debug_due, rows[i].due);
		assert_int_equal(state.star, 0x1000);
		assert_int_equal(state.lstar, 0x1001);
		assert_int_equal(state.cstar, 0x1002);
		assert_int_equal(state.sfmask, 0x1003);
		assert_int_equal(state.kernel_gs_base, 0x1004);
		assert_int_equal(state.pdpte[3], 0x8001);

		vmcs_fake_init(&vcpu);		/* another VMCS, another vmx_vcpu */
		vmx_restore(&vcpu, &state);
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_INTERRUPTIBILITY), rows[i].blocking);
		assert_int_equal(vmcs_fake_get(VMCS_GUEST_PENDING_DEBUG), rows[i].pending);
		for (unsigned pdpte = 0; pdpte < 4; pdpte++)
			assert_int_equal(vmcs_fake_get(0x280a + 2 * pdpte), 0x5001 + (pdpte << 12));
		vmx_load(&vcpu);
		for (size_t at = 0; at + 1 < countof(msrs); at++)
			assert_int_equal(insn_fake_msr(msrs[at])->val, 0x1000 + at);
	}
}

/*
 * Nothing of an earlier life: no event with the next entry, no activity state, no window, no turn that is
 * running out.
 */
static void test_earlier_life(void **unused)
{
	const struct guest_state state = { 0 };

	(void)unused;
	vmcs_fake_set(VMCS_ENTRY_INTR_INFO, 0x80000030);
	vmcs_fake_set(VMCS_GUEST_ACTIVITY, 1);
	vmx_restore(&vcpu, &state);
	assert_int_equal(vmcs_fake_get(VMCS_ENTRY_INTR_INFO), 0);
	assert_int_equal(vmcs_fake_get(VMCS_GUEST_ACTIVITY), 0);
	assert_int_equal(windows_closed, 1);
	assert_int_equal(turn, ~0ULL);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_msrs_come_back), TEST(test_load_makes_current), TEST(test_load_arrives), TEST(test_no_tsc_aux), TEST(test_saved_and_restored), TEST(test_earlier_life),
	};

	return cmocka_run_group_tests_name("vmx_save", tests, NULL, NULL);
}
