/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: VMCALL on Intel, VMMCALL on AMD.
 *
 *   RAX number, RBX RCX RDX RSI arguments; RAX result: >= 0, or one of the negative codes below. All
 *   other registers keep their values. HC_EXIT and HC_PRINT answer HC_DENIED outside ring 0.
 *
 *   0  HC_VERSION                     -> interface version
 *   1  HC_EXIT    RBX code            ends the VM in order; the code is reported as by port 0xf4
 *   2  HC_PRINT   RBX linear address, RCX length (at most 4096)   -> bytes printed
 *   3  HC_TIME                        -> nanoseconds since the VM started
 *   4  HC_COUNTS  RBX which           -> exits of this vCPU (0), or one of hv/count.h: 0 in an ordinary build
 *
 * and two of KVM's, by its numbers (Linux, "Linux KVM Hypercall"), denied outside ring 0:
 *
 *   5  KVM_HC_KICK_CPU   RCX APIC ID         -> 0: that processor leaves HLT, or its next one at once
 *  10  KVM_HC_SEND_IPI   RBX a set of APIC IDs from RDX on (RCX has IDs behind them, which no VM has);
 *                        RSI as the low half of the ICR, modes Fixed and NMI alone
 *                                     -> how many took it, or KVM_EINVAL
 *
 * Pointers are guest-linear and go through the guest's own page tables and guest memory's one door.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/pv/kvm.h"
#include "arch/x86/virt/backend.h"
#include "hv/count.h"
#include "hv/dev/apic_bus.h"
#include "hv/dev/debugcon.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define HC_INTERFACE	1
#define HC_PRINT_MAX	4096U
/* One call prints no more than this: a line moves a whole screen, and a call is one exit. */
#define HC_PRINT_BYTES	256U
#define HC_PRINT_LINES	16U
#define HC_PRINT_PIECE	32U	/* bytes that the console is given at a time */

enum { HC_UNKNOWN = -1, HC_DENIED = -2, HC_BAD_ADDRESS = -3, HC_BAD_LENGTH = -4 };

typedef int64_t hypercall_fn(struct vcpu *vcpu);

static int64_t hc_version(struct vcpu *vcpu)
{
	(void)vcpu;
	return HC_INTERFACE;
}

static int64_t hc_exit(struct vcpu *vcpu)
{
	if (vcpu_cpl(vcpu))
		return HC_DENIED;
	machine_exit(vcpu->vm, "hypercall", (uint32_t)vcpu->gpr[GPR_RBX]);
	return 0;
}

/*
 * How much of the text may be printed when `*lines` lines may still end: up to the end of the last of them.
 * Counts them down.
 */
static size_t within_lines(const uint8_t *text, size_t len, unsigned *lines)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n' && --*lines == 0)
			return i + 1;
	return len;
}

static int64_t hc_print(struct vcpu *vcpu)
{
	uint64_t len = vcpu->gpr[GPR_RCX];
	gva_t    addr = gva(vcpu->gpr[GPR_RBX]), fault;
	uint8_t  text[HC_PRINT_PIECE];
	unsigned lines = HC_PRINT_LINES;
	uint32_t error;
	const struct char_back *out = &vcpu->vm->machine->debugcon.out;

	if (vcpu_cpl(vcpu))
		return HC_DENIED;
	if (len > HC_PRINT_MAX)
		return HC_BAD_LENGTH;
	len = min_u64(len, HC_PRINT_BYTES);
	len = min_u64(len, PAGE_SIZE - addr.raw % PAGE_SIZE);	/* memory that nobody has touched is zeroed, 2 MiB a page */
	for (uint64_t done = 0; done < len;) {
		size_t part = (size_t)min_u64(sizeof(text), len - done), taken;

		if (!gva_read(vcpu, gva_add(addr, done), text, part, &fault, &error))
			return error == WALK_POPULATED ? (int64_t)done : HC_BAD_ADDRESS;
		part = within_lines(text, part, &lines);
		taken = out->write(out->ctx, text, part);
		done += taken;
		if (taken < part || !lines)
			return (int64_t)done;	/* the console is full, or this is enough: the caller prints the rest */
	}
	return (int64_t)len;
}

static int64_t hc_time(struct vcpu *vcpu)
{
	return (int64_t)ticks_to_ns(vm_now(vcpu->vm));
}

static int64_t hc_counts(struct vcpu *vcpu)
{
	uint64_t which = vcpu->gpr[GPR_RBX];

	return (int64_t)(which ? insn_count(which) : vcpu->exits);
}

static int64_t kvm_kick_cpu(struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;
	const uint64_t id = vcpu->gpr[GPR_RCX];

	if (vcpu_cpl(vcpu))
		return HC_DENIED;
	if (id < vm->vcpu_count)
		vcpu_request(vm->vcpus[index_nospec(id, VM_VCPUS_MAX)], REQUEST_UNHALT);
	return 0;
}

static int64_t kvm_send_ipi(struct vcpu *vcpu)
{
	const uint64_t icr = vcpu->gpr[GPR_RSI];
	const enum apic_mode mode = (enum apic_mode)field_get(icr, ICR_MODE);

	if (vcpu_cpl(vcpu))
		return HC_DENIED;
	if ((mode != APIC_FIXED && mode != APIC_NMI) || (icr & (ICR_LOGICAL | ICR_SHORTHAND)))
		return KVM_EINVAL;
	if (vcpu->gpr[GPR_RDX] > UINT32_MAX)
		return KVM_EINVAL;
	return apic_bus_send_set(vcpu->vm, (uint32_t)vcpu->gpr[GPR_RDX], vcpu->gpr[GPR_RBX], mode,
				 (uint8_t)field_get(icr, ICR_VECTOR));
}

static int64_t hc_unknown(struct vcpu *vcpu)
{
	(void)vcpu;
	return HC_UNKNOWN;
}

enum { HC_VERSION, HC_EXIT, HC_PRINT, HC_TIME, HC_COUNTS, HC_ROWS = 16 };

/* By number. Full, so that nobody asks for NULL, and a power of two, for which index_nospec is a single AND. */
static hypercall_fn *const hypercalls[HC_ROWS] = {
	[HC_VERSION] = hc_version,
	[HC_EXIT] = hc_exit,
	[HC_PRINT] = hc_print,
	[HC_TIME] = hc_time,
	[HC_COUNTS] = hc_counts,
	[KVM_HC_KICK_CPU] = kvm_kick_cpu,
	[KVM_HC_KICK_CPU + 1 ... KVM_HC_SEND_IPI - 1] = hc_unknown,
	[KVM_HC_SEND_IPI] = kvm_send_ipi,
	[KVM_HC_SEND_IPI + 1 ... HC_ROWS - 1] = hc_unknown,
};

enum exit_result exit_hypercall(struct vcpu *vcpu)
{
	uint64_t number = vcpu->gpr[GPR_RAX];

	if (__builtin_expect(number < countof(hypercalls), 1))
		vcpu->gpr[GPR_RAX] = (uint64_t)hypercalls[index_nospec(number, countof(hypercalls))](vcpu);
	else
		vcpu->gpr[GPR_RAX] = (uint64_t)HC_UNKNOWN;
	return EXIT_SKIP;
}
