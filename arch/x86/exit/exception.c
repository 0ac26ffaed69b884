/* SPDX-License-Identifier: MIT */
/*
 * Intercepted exceptions. #DB and #AC always exit, because a guest can make their delivery raise themselves
 * again for ever, with no instruction in between and no interrupt getting through (CVE-2015-5307,
 * CVE-2015-8104). We hand each one back; one that strikes while the same vector is being delivered, again and
 * again, stops the VM. #MC is the host's: a machine check on our watch is fatal for everybody (we panic).
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/panic.h"
#include "hv/vcpu.h"

/* Deliveries that raised the very exception they deliver, in a row, before we call it a loop. */
#define DELIVERY_LOOP_MAX 32U

static bool is_delivery_loop(struct vcpu *vcpu, uint8_t vector)
{
	bool nested = vcpu->pending.is_valid && vcpu->pending.vector == vector;

	vcpu->delivery_loops = nested ? vcpu->delivery_loops + 1 : 0;
	return vcpu->delivery_loops > DELIVERY_LOOP_MAX;
}

enum exit_result exit_exception(struct vcpu *vcpu, const struct exc_info *info)
{
	if (info->vector == VEC_MC)
		panic("machine check while guest %u ran", vcpu->id);
	if (is_delivery_loop(vcpu, info->vector))
		return exit_fatal(vcpu, "endless loop delivering exception", info->vector);
	if (info->vector == VEC_DB)
		vcpu->dr6_pending = info->dr6_bits;
	if (info->vector == VEC_PF)
		vcpu_inject_pf(vcpu, info->fault_addr, info->error);
	else
		vcpu_inject(vcpu, info->vector, info->has_error, info->error);
	return EXIT_RESUME;
}

/* An instruction this machine does not have, or that CPUID does not offer: #UD, as on a processor without it. */
enum exit_result exit_undefined(struct vcpu *vcpu)
{
	vcpu_inject_ud(vcpu);
	return EXIT_RESUME;
}

/* No performance counters: CPUID leaf 0xA says none, so any index is a #GP (SDM vol. 2, RDPMC). */
enum exit_result exit_rdpmc(struct vcpu *vcpu)
{
	vcpu_inject_gp(vcpu);
	return EXIT_RESUME;
}
