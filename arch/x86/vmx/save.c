/* SPDX-License-Identifier: MIT */
/*
 * What of a vCPU is not a register of the VMCS that get and get_seg know: the MSRs that stay in the
 * processor while it is loaded, and the non-register state (SDM vol. 3, 25.4.2 "Guest Non-Register State")
 * that save and restore carry.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/host/features.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/guest_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/timer.h"

#define PDPTE_STEP	2U	/* appendix B: their encodings lie two apart */
#define DEBUG_DUE_BITS	(DEBUG_DUE_BREAKPOINTS | DEBUG_DUE_ENABLED | DEBUG_DUE_STEP)	/* as in the VMCS field */
_Static_assert(DEBUG_DUE_STEP == PENDING_DEBUG_BS, "the bits are the field's");

/* ---- Loaded and put ---- */

/*
 * These MSRs belong to SYSCALL, SWAPGS and RDTSCP. Neither the hypervisor nor the processor at an exit uses
 * them, so the guest's values stay in the processor across exits and change only when another vCPU comes. The
 * guest reads and writes them without an exit (MSR bitmap): TSC_AUX wherever the processor has it, whether or
 * not the guest may execute RDTSCP.
 */
void vmx_load(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);

	if (vmx->cpu != this_cpu())
		vmx_arrive(vcpu);
	wrmsr(MSR_STAR, vmx->star);
	wrmsr(MSR_LSTAR, vmx->lstar);
	wrmsr(MSR_CSTAR, vmx->cstar);
	wrmsr(MSR_SFMASK, vmx->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, vmx->kernel_gs);
	if (cpu_features.has_rdtscp)
		wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
}

/* The guest may have written them since the load: read them back. */
void vmx_put(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	vmx->star = rdmsr(MSR_STAR);
	vmx->lstar = rdmsr(MSR_LSTAR);
	vmx->cstar = rdmsr(MSR_CSTAR);
	vmx->sfmask = rdmsr(MSR_SFMASK);
	vmx->kernel_gs = rdmsr(MSR_KERNEL_GS_BASE);
	if (cpu_features.has_rdtscp)
		vcpu->tsc_aux = rdmsr(MSR_TSC_AUX);
}

/* ---- Saved and restored ---- */

/*
 * VT-x tells the shadow of MOV SS, which holds NMIs and #DB back as well, from that of STI. Never both
 * (27.3.1.5).
 */
static uint32_t shadow_of(uint64_t blocking)
{
	if (blocking & BLOCK_MOV_SS)
		return SHADOW_MOV_SS;
	return blocking & BLOCK_STI ? SHADOW_STI : SHADOW_NONE;
}

static uint64_t blocking_of(const struct guest_state *state)
{
	static const uint64_t shadows[] = { [SHADOW_STI] = BLOCK_STI, [SHADOW_MOV_SS] = BLOCK_MOV_SS };

	return shadows[state->in_shadow] | (state->nmi_blocked ? BLOCK_NMI : 0);
}

void vmx_save(struct vcpu *vcpu, struct guest_state *state)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);
	uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	state->star = vmx->star;
	state->lstar = vmx->lstar;
	state->cstar = vmx->cstar;
	state->sfmask = vmx->sfmask;
	state->kernel_gs_base = vmx->kernel_gs;
	state->nmi_blocked = !!(blocking & BLOCK_NMI);
	state->in_shadow = shadow_of(blocking);
	state->debug_due = (uint32_t)vmread(VMCS_GUEST_PENDING_DEBUG) & DEBUG_DUE_BITS;
	for (unsigned i = 0; i < PAE_POINTERS; i++)
		state->pdpte[i] = vmread(VMCS_GUEST_PDPTE0 + PDPTE_STEP * i);
}

/*
 * The activity state is 0, active: a vCPU that is halted or waits for its SIPI is not entered at all (enum
 * vcpu_state). What the VMCS held of the vCPU's life before goes: an event to inject, open windows, the
 * rest of a turn.
 */
void vmx_restore(struct vcpu *vcpu, const struct guest_state *state)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);

	vmx->star = state->star;
	vmx->lstar = state->lstar;
	vmx->cstar = state->cstar;
	vmx->sfmask = state->sfmask;
	vmx->kernel_gs = state->kernel_gs_base;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking_of(state));
	vmwrite(VMCS_GUEST_PENDING_DEBUG, state->debug_due & DEBUG_DUE_BITS);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_ENTRY_INTR_INFO, 0);
	for (unsigned i = 0; i < PAE_POINTERS; i++)
		vmwrite(VMCS_GUEST_PDPTE0 + PDPTE_STEP * i, state->pdpte[i]);
	vmx_close_windows(vcpu);
	(void)vmx_limit_turn(vcpu, TIMER_NEVER);
}
