/* SPDX-License-Identifier: MIT */
/*
 * Debug registers: SDM vol. 3, 18.2 "Debug Registers"; APM vol. 2, 13.1 "Software-Debug Resources".
 *
 * Every MOV DR exits, and what a guest reads is what struct vcpu holds, never the processor. Two things go
 * to hardware: DR7, without GD, into the control block, where it counts only while the guest runs; and DR0
 * to DR3 into the processor, by dr_load, while that DR7 enables a breakpoint. A guest without breakpoints
 * makes a switch of vCPUs no slower, and cannot read another guest's addresses. (A hypervisor could stop
 * intercepting MOV DR after a guest's first use. That would save a debugger in the guest its exits, and
 * every switch of vCPUs would have to save the registers: few guests debug themselves.)
 *
 * Whether the processor checks the faults of MOV DR (CPL, CR4.DE, DR7.GD) before the exit differs: VT-x
 * checks none (SDM vol. 3, 26.1.3), AMD-V some (APM vol. 2, 15.7). So all are checked here. Not done:
 * breakpoints on ports and device memory that we emulate.
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/host/cpu_init.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/nospec.h"
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
 * In DR6 a #DB replaces B0 to B3; the other bits stay set until the guest clears them. The processor may
 * report B0 to B3 for breakpoints that DR7 does not enable (SDM vol. 3, 18.2.3). When the guest enables
 * none, DR0 to DR3 may still hold another guest's addresses, so those bits are dropped.
 */
void dr_raise(struct vcpu *vcpu, uint64_t dr6_bits)
{
	uint64_t news = dr6_bits & DR6_STATUS;

	if (!(vcpu->dr7 & DR7_ENABLED))
		news &= ~DR6_B;
	if (news)
		vcpu->dr6 = (vcpu->dr6 & ~DR6_B) | news;
	vcpu->dr7 &= ~DR7_GD;	/* as the processor does, so that the guest's handler can use MOV DR */
	vcpu_inject(vcpu, VEC_DB, false, 0);
}

/*
 * INT1 delivers #DB as an event type of its own: it pushes the RIP behind the instruction, and leaves DR6
 * as it is.
 */
void dr_raise_int1(struct vcpu *vcpu, uint32_t insn_len)
{
	const struct vevent event = { .is_valid = true, .type = VEVENT_PRIV_SOFT, .vector = VEC_DB, .insn_len = insn_len };

	vcpu->dr7 &= ~DR7_GD;
	vcpu_inject_event(vcpu, &event);
}

/* With DEBUGCTL.BTF set, TF traps after branches only (SDM vol. 3, 18.4.3), and we emulate no branch. */
bool dr_step_due(struct vcpu *vcpu)
{
	return (virt->get(vcpu, REG_RFLAGS) & RFLAGS_TF) && !(virt->get(vcpu, REG_DEBUGCTL) & DEBUGCTL_BTF);
}

static uint64_t read_dr(const struct vcpu *vcpu, unsigned dr)
{
	if (dr < DR_ADDRESSES)
		return vcpu->dr[index_nospec(dr, DR_ADDRESSES)];
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
		vcpu->dr[index_nospec(dr, DR_ADDRESSES)] = val;
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
