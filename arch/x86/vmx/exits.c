/* SPDX-License-Identifier: MIT */
/*
 * The exit table and its adapters, and how VT-x steps over an emulated instruction. A row's handler is
 * neutral where it can be (`exit_cpuid`); a handler that needs decoded facts has an adapter of about five
 * lines here, which reads the VMCS fields, lets decode.c turn them into a neutral struct, and calls the
 * handler in arch/x86/exit/.
 *
 * When an adapter runs, backend.c has stored the reason, RIP and the instruction length in vcpu->exit, and
 * an event whose delivery the exit cut short in vcpu->pending. Every field of the exit stays readable until
 * the next entry, so an adapter reads only those that its reason defines: SDM vol. 3, 28.2 "Recording
 * VM-Exit Information and Updating VM-Entry Control Fields".
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "hv/vm.h"

/*
 * No instruction caused this exit, so the length field means nothing (SDM vol. 3, 28.2.5 "Information for
 * VM Exits Due to Instruction Execution"). With length 0 a handler that answers EXIT_SKIP all the same is
 * named by the dispatcher, instead of moving RIP by a stale number.
 */
static inline void no_instruction(struct vcpu *vcpu)
{
	vcpu->exit.insn_len = 0;
}

/*
 * An interrupt of the host arrived while the guest ran. "Acknowledge interrupt on exit" is set
 * (controls.c), so the processor has already taken the vector from the local APIC, as it does before it
 * goes through an IDT. No interrupt is pending any more, and our IDT will not see this one: the handler is
 * called from here, and sends the EOI.
 */
static enum exit_result vmx_exit_irq(struct vcpu *vcpu)
{
	uint64_t info = vmread(VMCS_EXIT_INTR_INFO);

	no_instruction(vcpu);
	if (!(info & INTR_VALID)) {	/* nothing was acknowledged: spurious */
		exit_progress(vcpu);
		return EXIT_RESUME;
	}
	return exit_external_irq(vcpu, (uint8_t)field_get(info, INTR_VECTOR));
}

/*
 * An exception that the exception bitmap asks for (state.c), or an NMI of the host: both have reason 0, and
 * the interruption information tells them apart. The vector decides what the qualification means: for #DB
 * the bits that the processor would have put into DR6, for #PF the linear address (SDM vol. 3, 28.2.1
 * "Basic VM-Exit Information"). The exit comes before the processor delivers anything: DR6 and CR2 of the
 * guest are still the old ones.
 *
 * INT1 (opcode F1h) reports #DB too, but as a privileged software exception with a length of its own. Its
 * handler returns behind the instruction; injected like a hardware #DB it would return to INT1 and execute
 * it for ever.
 */
static enum exit_result vmx_exit_exception(struct vcpu *vcpu)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTR_INFO);
	struct vevent event = vmx_decode_event(info, (uint32_t)vmread(VMCS_EXIT_INTR_ERROR), 0);
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct exc_info exc = {
		.vector = event.vector, .has_error = event.has_error, .error = event.error,
		.dr6_bits = qual, .fault_addr = qual,
		.int1_len = event.type == VEVENT_PRIV_SOFT ? vcpu->exit.insn_len : 0,
	};

	no_instruction(vcpu);
	if (event.type == VEVENT_NMI) {
		/*
		 * The exit delivers it to nobody and blocks the next one: 28.1 "Architectural State Before a
		 * VM Exit".
		 */
		cpu_take_nmi();
		return exit_host_nmi(vcpu);
	}
	return exit_exception(vcpu, &exc);
}

/* In an entry: SDM vol. 3, 27.9 "Machine-Check Events During VM Entry". */
static enum exit_result vmx_exit_machine_check(struct vcpu *vcpu)
{
	return exit_exception(vcpu, &(struct exc_info){ .vector = VEC_MC });
}

/*
 * Interrupt-window exiting makes the processor exit as soon as RFLAGS.IF is 1 and no shadow of STI or MOV
 * SS holds interrupts back; NMI-window exiting does the same for NMIs (SDM vol. 3, 26.2 "Other Causes of VM
 * Exits"). The processor leaves the control set; vmx_deliver, which runs before the next entry, injects what
 * waited and sets the control anew.
 */
static enum exit_result vmx_exit_irq_window(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	return exit_irq_window(vcpu);
}

static enum exit_result vmx_exit_nmi_window(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	return exit_nmi_window(vcpu);
}

/* The VMX-preemption timer, which the scheduler set through limit_turn, has counted down to 0. */
static enum exit_result vmx_exit_turn_over(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	return exit_turn_over(vcpu);
}

/*
 * IN and OUT need nothing but the qualification, and are the exit that guests make most: port, size and
 * direction travel in registers. INS and OUTS also need the address size and the segment, from the
 * instruction information.
 */
static enum exit_result vmx_exit_io(struct vcpu *vcpu)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct pio_access access;

	if (!(qual & IOQ_STRING))
		return (qual & IOQ_IN ? exit_in : exit_out)(vcpu, (uint16_t)field_get(qual, IOQ_PORT),
							    (unsigned)field_get(qual, IOQ_SIZE) + 1);
	access = vmx_decode_string_io(qual, (uint32_t)vmread(VMCS_EXIT_INSN_INFO));
	return exit_pio_string(vcpu, &access);
}

/*
 * MOV to CR0 or CR4 exits when it would change a bit of the guest/host mask relative to the read shadow,
 * CR8 always (state.c, controls.c). LMSW has this reason too; CLTS does not exit, because TS is the guest's
 * own. MOV from CR0 and CR4 never exits: the processor composes the value from the register and the shadow.
 */
static enum exit_result vmx_exit_cr(struct vcpu *vcpu)
{
	struct cr_access access = vmx_decode_cr(vmread(VMCS_EXIT_QUALIFICATION));

	return exit_cr(vcpu, &access);
}

/*
 * MOV DR exits before the processor checks the CPL, CR4.DE or DR7.GD (SDM vol. 3, 26.1.3): exit_dr checks
 * all three.
 */
static enum exit_result vmx_exit_dr(struct vcpu *vcpu)
{
	struct dr_access access = vmx_decode_dr(vmread(VMCS_EXIT_QUALIFICATION));

	return exit_dr(vcpu, &access);
}

/*
 * VMX non-root operation has no task switches: each attempt exits, and exit/task_switch.c carries it out
 * (SDM vol. 3, 26.4.2 "Treatment of Task Switches"). What the processor would have done to NMI blocking on
 * the way is done here: delivering an NMI blocks further NMIs, and IRET unblocks them, also an IRET that
 * returns to another task (26.3).
 */
static enum exit_result vmx_exit_task_switch(struct vcpu *vcpu)
{
	struct task_switch how = vmx_decode_task_switch(vmread(VMCS_EXIT_QUALIFICATION), &vcpu->pending);
	uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (how.is_event && vcpu->pending.type == VEVENT_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking | BLOCK_NMI);
	else if (how.source == TASK_IRET)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCK_NMI);
	vcpu->irq_check = true;
	return exit_task_switch(vcpu, &how);
}

/*
 * The guest touched a guest-physical address whose EPT entry is absent or forbids the access: a first
 * touch, a device's register, or an address where nothing is. The instruction length is not among what this
 * exit reports (28.2.5), so whoever emulates the instruction fetches and decodes it.
 */
static enum exit_result vmx_exit_ept_violation(struct vcpu *vcpu)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct npt_fault fault = vmx_decode_ept(qual, vmread(VMCS_GUEST_PHYSICAL_ADDRESS));

	no_instruction(vcpu);
	/*
	 * The access belonged to an IRET that had already unblocked NMIs. That IRET will execute again, so
	 * NMIs must be blocked again (28.2.3 "Information About NMI Unblocking Due to IRET"). When the exit
	 * cut the delivery of an event short, the bit is undefined.
	 */
	if ((qual & EPTQ_NMI_UNBLOCK) && !vcpu->pending.is_valid)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
	return exit_npt(vcpu, &fault);
}

/*
 * An EPT entry holds a combination that the manual forbids (29.3.3.1): only we write them, so the mistake
 * is ours.
 */
static enum exit_result vmx_exit_ept_misconfig(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "EPT misconfiguration (a bug in the hypervisor's tables) at",
			  vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
}

/*
 * The guest has ended a vector of the EOI-exit bitmap (virtual_apic.c); the qualification names it. Like a trap the exit
 * comes behind the instruction, which the processor has executed (SDM vol. 3, 30.1.4 "EOI Virtualization").
 */
static enum exit_result vmx_exit_eoi(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	lapic_page_ended(&vcpu->lapic, (uint8_t)vmread(VMCS_EXIT_QUALIFICATION));
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/*
 * The guest wrote a register of the virtual-APIC page, and the processor left the rest to us. The MSR bitmap lets one
 * such case through: a message to itself with a vector below 16, which is an error. A trap as well.
 */
static enum exit_result vmx_exit_apic_write(struct vcpu *vcpu)
{
	uint32_t reg = (uint32_t)vmread(VMCS_EXIT_QUALIFICATION) / APIC_REG_BYTES % LAPIC_PAGE_REGS;
	const struct vmx_vcpu *vmx = vcpu->arch;

	no_instruction(vcpu);
	if (!lapic_msr_write(&vcpu->lapic, X2APIC_MSRS + reg, vmx->apic_page->reg[reg][0]))
		return exit_fatal(vcpu, "the processor let the guest write a register of its local APIC that it may not, number", reg);
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/* A reason beyond the end of VMX_EXITS: the processor is newer than the table. */
static enum exit_result vmx_exit_unknown(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "exit that this program does not know, reason", vmread(VMCS_EXIT_REASON));
}

const struct exit_row vmx_rows[VMX_ROW_COUNT] = {
#define ROW(number, id, text, handler) [number] = { text, handler },
	VMX_EXITS(ROW)
#undef ROW
	[VMX_ROW_UNKNOWN] = { "unknown exit", vmx_exit_unknown },
	[VMX_ROW_REFUSED] = { "VM entry failed", vmx_entry_failed },
};
_Static_assert(VMX_ROW_COUNT <= TRACE_REASONS, "the trace counts every row");

/*
 * What the end of an instruction changes besides RIP: RF becomes 0, the shadow of an earlier STI or MOV SS
 * ends, and with TF set a single step is due. The step is injected as an exception and not left in the
 * pending-debug field, because pending debug exceptions are lost when another event is injected with the
 * same entry (SDM vol. 3, 27.7.3 "Delivery of Pending Debug Exceptions after VM Entry"): a timer interrupt
 * would swallow it.
 */
__attribute__((noinline)) static void clear_instruction_state(struct vcpu *vcpu)
{
	vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~RFLAGS_RF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(BLOCK_STI | BLOCK_MOV_SS));
	if (dr_step_due(vcpu))
		dr_raise(vcpu, DR6_BS);
}

/*
 * The instruction of vcpu->exit has been emulated: do what its retirement would have done. Called for every
 * EXIT_SKIP, so the common case (no TF, no RF, no shadow) must stay short: two VMREADs and one VMWRITE.
 */
void vmx_step_over(struct vcpu *vcpu)
{
	uint64_t rip = vcpu->exit.rip, next = rip + vcpu->exit.insn_len, flags, shadow;

	/*
	 * Outside 64-bit mode EIP wraps at 4 GiB. The upper halves differ only when the sum crosses 4 GiB:
	 * CS is read for that case alone.
	 */
	if (hi32(rip ^ next) && !(vmread(VMCS_GUEST_CS_RIGHTS) & SEG_L))
		next = lo32(next);
	vmwrite(VMCS_GUEST_RIP, next);
	flags = vmread(VMCS_GUEST_RFLAGS) & (RFLAGS_RF | RFLAGS_TF);
	shadow = vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS);
	if (flags | shadow)
		clear_instruction_state(vcpu);
}
