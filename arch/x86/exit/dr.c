/* SPDX-License-Identifier: MIT */
/*
 * Debug registers: SDM vol. 3, 18.2 "Debug Registers"; APM vol. 2, 13.1 "Software-Debug Resources".
 *
 * Every MOV DR exits, and what a guest reads is what struct vcpu holds, never the processor. Two things go to
 * hardware: DR7, without GD, into the control block, where it counts only while the guest runs; and DR0 to DR3
 * into the processor while that DR7 enables a breakpoint, at dr_load. A guest that sets none costs a switch of
 * vCPUs nothing, and finds nothing of another's. (Letting go of the registers after the first use would save the
 * exits of a debugger, and cost every switch a save: few guests debug themselves.)
 *
 * An exit of MOV DR comes before its faults on VT-x (SDM vol. 3, 26.1.3), in QEMU after the check of the CPL, in
 * Bochs' AMD-V after all: each is checked here. Not done: breakpoints on ports and device memory that we emulate.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/string.h"
#include "hv/vcpu.h"


enum { DR4 = DR_ADDRESSES, DR5, DR6, DR7 };

void dr_reset(struct vcpu *vcpu)
{
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = DR6_RESET;
	vcpu->dr7 = DR7_RESET;
}

void dr_load(const struct vcpu *vcpu)
{
	if (vcpu->dr7 & DR7_ENABLED)
		cpu_set_breakpoints(vcpu->dr);
}

/*
 * B0 to B3 are of this exception alone, the rest stays until the guest clears it. The processor may report
 * conditions that DR7 does not enable: with none enabled those would be about the addresses of another guest.
 */
void dr_raise(struct vcpu *vcpu, uint64_t dr6_bits)
{
	uint64_t news = dr6_bits & DR6_STATUS;

	if (!(vcpu->dr7 & DR7_ENABLED))
		news &= ~DR6_B;
	if (news)
		vcpu->dr6 = (vcpu->dr6 & ~DR6_B) | news;
	vcpu->dr7 &= ~DR7_GD;	/* so that the handler can read them */
	vcpu_inject(vcpu, VEC_DB, false, 0);
}

/* An event of a type of its own: unlike other #DB it pushes the RIP behind itself, and DR6 says nothing. */
void dr_raise_int1(struct vcpu *vcpu, uint32_t insn_len)
{
	const struct vevent event = { .is_valid = true, .type = VEVENT_PRIV_SOFT, .vector = VEC_DB, .insn_len = insn_len };

	vcpu->dr7 &= ~DR7_GD;
	vcpu_inject_event(vcpu, &event);
}

/* With BTF set TF stops behind branches only (SDM vol. 3, 18.4.3), and none of those is emulated. */
bool dr_step_due(struct vcpu *vcpu)
{
	return (virt->get(vcpu, REG_RFLAGS) & RFLAGS_TF) && !(virt->get(vcpu, REG_DEBUGCTL) & DEBUGCTL_BTF);
}

static uint64_t read_dr(const struct vcpu *vcpu, unsigned dr)
{
	if (dr < DR_ADDRESSES)
		return vcpu->dr[dr];
	return dr == DR6 ? vcpu->dr6 : vcpu->dr7;
}

/* False: #GP. Addresses may be anything, even ones that are not canonical. */
static bool write_dr(struct vcpu *vcpu, unsigned dr, uint64_t val)
{
	if (dr >= DR_ADDRESSES && hi32(val))
		return false;
	if (dr == DR6) {
		vcpu->dr6 = DR6_RESET | (val & DR6_STATUS);
		return true;
	}
	if (dr == DR7) {
		vcpu->dr7 = DR7_RESET | (val & DR7_WRITABLE);
		virt->set(vcpu, REG_DR7, vcpu->dr7 & ~DR7_GD);
	} else {
		vcpu->dr[dr] = val;
	}
	dr_load(vcpu);
	return true;
}

/* SDM vol. 3, 18.2.4: a task switch clears the local enable bits. */
void dr_end_task(struct vcpu *vcpu)
{
	(void)write_dr(vcpu, DR7, vcpu->dr7 & ~DR7_LOCAL);
}

static enum exit_result move(struct vcpu *vcpu, const struct dr_access *access, unsigned dr)
{
	bool is_64 = vcpu_mode(vcpu) == INSN_64;
	uint64_t val;

	if (access->is_read) {
		val = read_dr(vcpu, dr);
		vcpu_set_gpr(vcpu, access->gpr, is_64 ? val : lo32(val));
		return EXIT_SKIP;
	}
	val = vcpu_gpr(vcpu, access->gpr);
	if (write_dr(vcpu, dr, is_64 ? val : lo32(val)))
		return EXIT_SKIP;
	vcpu_inject_gp(vcpu);
	return EXIT_RESUME;
}

enum exit_result exit_dr(struct vcpu *vcpu, const struct dr_access *access)
{
	bool is_alias = access->dr == DR4 || access->dr == DR5;

	if (access->dr > DR7 || (is_alias && (virt->get(vcpu, REG_CR4) & CR4_DE)))
		vcpu_inject_ud(vcpu);
	else if (vcpu_cpl(vcpu))
		vcpu_inject_gp(vcpu);
	else if (vcpu->dr7 & DR7_GD)
		dr_raise(vcpu, DR6_BD);
	else
		return move(vcpu, access, is_alias ? access->dr + (DR6 - DR4) : access->dr);
	return EXIT_RESUME;
}
