/* SPDX-License-Identifier: MIT */
/*
 * The exit table and its adapters, and the two parts that every exit has on AMD-V: svm_enter has it read,
 * exit/dispatch.c has its instruction stepped over. A row's handler is neutral where it can be; one that needs decoded
 * facts has an adapter here.
 *
 * The processor has written the exit into the VMCB: EXITCODE says why, EXITINFO1 and EXITINFO2 mean what
 * the code makes them mean, EXITINTINFO holds an event whose delivery the exit cut short. All of it is
 * plain memory, read without an instruction of its own, and stays until the next VMRUN.
 *
 * Without next-RIP save the length of the instruction comes from its bytes, read *before* the handler runs:
 * if they are no longer the instruction that caused the exit, the guest executes what is there now and
 * nothing was emulated by mistake (the class of CVE-2016-9377).
 *
 * APM vol. 2, appendix C "SVM Intercept Exit Codes"; 15.7.1 "State Saved on Exit".
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/emulate/fetch.h"
#include "arch/x86/emulate/operand.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

static exit_fn svm_exit_cr, svm_exit_dr, svm_exit_exception, svm_exit_intr, svm_exit_iret;
static exit_fn svm_exit_ioio, svm_exit_msr, svm_exit_npf, svm_exit_resume, svm_exit_task_switch;

/* ---- Stepping over ---- */

/*
 * What the end of an instruction changes besides RIP: RF becomes 0, the shadow of an earlier STI or MOV SS
 * ends, and with TF set a single step is due. The VMCB has no field for a pending step, so #DB is queued as
 * an exception.
 */
__attribute__((noinline)) static void clear_instruction_state(struct vcpu *vcpu)
{
	svm_of(vcpu)->vmcb->save.rflags &= ~RFLAGS_RF;
	svm_end_shadow(vcpu);
	if (dr_step_due(vcpu))
		dr_raise(vcpu, DR6_BS);
}

/* The instruction of vcpu->exit has been emulated: do what its retirement would have done. */
void svm_step_over(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;
	uint64_t rip = vcpu->exit.rip, next = rip + vcpu->exit.insn_len;

	/*
	 * Outside 64-bit mode EIP wraps at 4 GiB. The upper halves differ only when the sum crosses 4 GiB:
	 * CS is looked at for that case alone.
	 */
	if (hi32(rip ^ next) && !(vmcb->save.cs.attrib & ATTRIB_L))
		next = lo32(next);
	vmcb->save.rip = next;
	if ((vmcb->save.rflags & (RFLAGS_RF | RFLAGS_TF)) | vmcb->control.interrupt_shadow)
		clear_instruction_state(vcpu);
}

/* ---- The instruction ---- */

/*
 * The instruction at RIP, decoded from a copy of its bytes: the guest may change them while we look.
 * EXIT_GO_ON: *insn is valid. Any other result is the handler's answer: the guest has got a page fault, or
 * the VM ends.
 */
static enum exit_result fetch(struct vcpu *vcpu, const struct insn **insn)
{
	enum fetch_result got = fetch_insn(vcpu, insn);

	if (got == FETCH_OK)
		return EXIT_GO_ON;
	return fetch_failed(vcpu, got, "no instruction can be read at rip", vcpu->exit.rip);
}

/* ---- Adapters ---- */

/*
 * IN, OUT, INS and OUTS: EXITINFO1 describes the access, EXITINFO2 is the RIP behind the instruction (15.10.2). The
 * segment of OUTS is given with decode assists only; else exit_pio_string reads the prefix.
 */
static enum exit_result svm_exit_ioio(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &svm_of(vcpu)->vmcb->control;
	uint64_t info1 = control->exitinfo1;
	struct pio_access access;

	/* Every processor gives the next RIP here, also those without next-RIP save. */
	vcpu->exit.insn_len = (uint32_t)(control->exitinfo2 - vcpu->exit.rip);
	if (!(info1 & IOIO_STR))
		return (info1 & IOIO_TYPE_IN ? exit_in : exit_out)(vcpu, (uint16_t)field_get(info1, IOIO_PORT),
								   (unsigned)field_get(info1, IOIO_SIZE));
	svm_decode_string_io(info1, svm_features.has_decode_assists, &access);
	return exit_pio_string(vcpu, &access);
}

/* One exit code for both instructions. */
static enum exit_result svm_exit_msr(struct vcpu *vcpu)
{
	return svm_of(vcpu)->vmcb->control.exitinfo1 & MSR_INFO_WRITE ? exit_wrmsr(vcpu) : exit_rdmsr(vcpu);
}

/*
 * A nested page fault: the guest touched a guest-physical address whose nested entry is absent or forbids
 * the access. EXITINFO1 is an error code as #PF has it, with bits of its own; EXITINFO2 is the address
 * (15.25.6).
 */
static enum exit_result svm_exit_npf(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &svm_of(vcpu)->vmcb->control;
	struct npt_fault fault;

	svm_decode_npf(control->exitinfo1, control->exitinfo2, &fault);
	vcpu->exit.insn_len = 0;	/* no next RIP is saved for a fault: whoever emulates the access decodes */
	return exit_npt(vcpu, &fault);
}

/* Read the source of LMSW: a register or two bytes of memory. EXIT_GO_ON: *val is valid. */
static enum exit_result read_lmsw(struct vcpu *vcpu, const struct insn *insn, uint16_t *val)
{
	struct operand_fault fault;
	struct operand_cpu cpu;
	struct operand source;

	if (!insn->has_mem) {
		*val = (uint16_t)vcpu_gpr_sized(vcpu, insn->reg, sizeof(*val), false);
		return EXIT_GO_ON;
	}
	operand_cpu_of(vcpu, &cpu);
	if (!operand_map(&cpu, insn->seg, operand_offset(vcpu, insn), sizeof(*val), WALK_READ, &source, &fault))
		return operand_inject(vcpu, &fault);
	*val = (uint16_t)operand_read(vcpu, &source);
	return EXIT_GO_ON;
}

/* SMSW exits only while CR0's cache bits are hidden (state.c): show the guest its own view. */
static enum exit_result store_msw(struct vcpu *vcpu, const struct insn *insn)
{
	uint64_t val = svm_get(vcpu, REG_CR0);
	struct operand_fault fault;
	struct operand_cpu cpu;
	struct operand dest;

	vcpu->exit.insn_len = insn->len;
	if (!insn->has_mem) {
		vcpu_set_gpr_sized(vcpu, insn->reg, insn->dest_size, false, val);
		return EXIT_SKIP;
	}
	operand_cpu_of(vcpu, &cpu);
	if (!operand_map(&cpu, insn->seg, operand_offset(vcpu, insn), sizeof(uint16_t), WALK_WRITE, &dest, &fault))
		return operand_inject(vcpu, &fault);
	operand_write(vcpu, &dest, val);
	return EXIT_SKIP;
}

/*
 * An access to CR0, CR4 or CR8. With decode assists EXITINFO1 names the register of a MOV, and next-RIP
 * save its length: the bytes are not needed. LMSW and SMSW exit with the codes of CR0 but have other
 * operands; for them, and on a processor without assists, the instruction is fetched and must be one that
 * causes this exit.
 */
static enum exit_result svm_exit_cr(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &svm_of(vcpu)->vmcb->control;
	struct cr_access access;
	const struct insn *insn;
	enum exit_result result;

	if (svm_features.has_decode_assists && vcpu->exit.insn_len &&
	    svm_decode_cr(control->exitcode, control->exitinfo1, &access))
		return exit_cr(vcpu, &access);
	result = fetch(vcpu, &insn);
	if (result != EXIT_GO_ON)
		return result;
	if (insn->kind == INSN_SMSW && control->exitcode == SVM_EXIT_CR0_READ)
		return store_msw(vcpu, insn);
	if (!svm_decode_cr_insn(control->exitcode, insn, &access))
		return EXIT_RESUME;	/* the bytes have changed since the exit: let the guest execute what is there now */
	vcpu->exit.insn_len = insn->len;
	if (access.op == CR_LMSW)
		result = read_lmsw(vcpu, insn, &access.lmsw);
	if (result != EXIT_GO_ON)
		return result;		/* its exception is queued */
	return exit_cr(vcpu, &access);
}

/* MOV DR, in the same two ways. */
static enum exit_result svm_exit_dr(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &svm_of(vcpu)->vmcb->control;
	struct dr_access access;
	const struct insn *insn;
	enum exit_result result;

	if (svm_features.has_decode_assists && vcpu->exit.insn_len &&
	    svm_decode_dr(control->exitcode, control->exitinfo1, &access))
		return exit_dr(vcpu, &access);
	result = fetch(vcpu, &insn);
	if (result != EXIT_GO_ON)
		return result;
	if (!svm_decode_dr_insn(control->exitcode, insn, &access))
		return EXIT_RESUME;
	vcpu->exit.insn_len = insn->len;
	return exit_dr(vcpu, &access);
}

/*
 * DR6 is up to date when #DB exits (APM vol. 2, 15.12.2 "#DB (Debug)"). The VMCB's DR6 is not the guest's, which is in
 * struct vcpu: emptied each time, it holds what is new.
 */
static uint64_t take_debug_status(struct vmcb *vmcb)
{
	uint64_t bits = svm_debug_status(vmcb, vmcb->save.rflags & RFLAGS_TF);

	vmcb->save.dr6 = DR6_RESET;
	vmcb->control.clean_bits &= ~CLEAN_DRX;
	return bits;
}

/*
 * #DB, #AC and #MC always exit (controls.c), the others only while inject.c takes a step, over an IRET or
 * out of a shadow. EXITINFO1 is the error code, EXITINFO2 the address of #PF. The exit comes before the
 * delivery: CR2 of the guest is still the old one (15.12).
 */
static enum exit_result svm_exit_exception(struct vcpu *vcpu)
{
	const uint64_t with_error = BIT(VEC_DF) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) | BIT(VEC_GP) | BIT(VEC_PF) | BIT(VEC_AC);
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;
	uint8_t vector = (uint8_t)(vmcb->control.exitcode - SVM_EXIT_EXCP_DE);
	struct exc_info info = {
		.vector = vector,
		.has_error = with_error & BIT(vector),
		.error = with_error & BIT(vector) ? (uint32_t)vmcb->control.exitinfo1 : 0,
		.dr6_bits = vector == VEC_DB ? take_debug_status(vmcb) : 0,
		.fault_addr = vmcb->control.exitinfo2,
	};

	if (vector == VEC_DB && svm_is_own_step(vcpu, &info.dr6_bits)) {
		exit_progress(vcpu);
		return EXIT_RESUME;
	}
	return exit_exception(vcpu, &info);
}

/*
 * The guest attempted a hardware task switch, which exit/task_switch.c carries out. What the processor
 * would have done to NMI blocking on the way is done here: delivering an NMI blocks further NMIs, and IRET
 * unblocks them, also an IRET that returns to another task. CALL, JMP, IRET, INT n, INT3 and INTO are
 * instructions, behind which the old task goes on: their length comes from their bytes.
 */
static enum exit_result svm_exit_task_switch(struct vcpu *vcpu)
{
	enum exit_result result;
	struct task_switch how;
	const struct insn *insn;

	svm_decode_task_switch(svm_of(vcpu)->vmcb, &how);
	if (how.is_event && vcpu->pending.type == VEVENT_NMI)
		svm_block_nmi(vcpu);
	if (!how.is_event) {
		vcpu->pending.is_valid = false;		/* nothing was being delivered, whatever EXITINTINFO says */
		result = fetch(vcpu, &insn);
		if (result != EXIT_GO_ON)
			return result;
		vcpu->exit.insn_len = insn->len;
	}
	result = exit_task_switch(vcpu, &how);
	if (how.source == TASK_IRET)
		(void)exit_nmi_window(vcpu);
	return result;
}

/*
 * An interrupt of the host ended the guest, and is still pending: #VMEXIT clears GIF, which switch.asm sets
 * again, and IF has been clear since then. With IF set for a moment the interrupt goes through our IDT like
 * any other.
 */
static enum exit_result svm_exit_intr(struct vcpu *vcpu)
{
	cpu_open_irq();
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/*
 * IRET is intercepted while an NMI handler runs: this one probably ends it. The exit comes before the IRET
 * is executed, and NMIs stay blocked until it is, so only note where it is and let it run.
 * svm_take_interrupted unblocks at the first exit with another RIP; svm_deliver steps over the IRET when
 * another NMI waits.
 */
static enum exit_result svm_exit_iret(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	svm->iret_seen = vcpu->nmi_blocked;
	svm->iret_rip = vcpu->exit.rip;
	svm->vmcb->control.intercept_vector3 &= ~INTERCEPT_IRET;
	svm->vmcb->control.clean_bits &= ~CLEAN_I;
	vcpu->irq_check = true;
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/*
 * SMI and INIT of the host are still pending, and the processor took them when switch.asm set GIF again.
 * FERR_FREEZE: the guest waits for the external interrupt of an x87 error as a PC of 1985 had it; no guest
 * of ours is wired like that.
 */
static enum exit_result svm_exit_resume(struct vcpu *vcpu)
{
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/* ---- The table ---- */

/*
 * The bytes at RIP are not an instruction that causes this exit, or could not be read. Nothing is emulated:
 * the guest executes what is there now, or gets the fault that reading it raised.
 */
static enum exit_result svm_exit_changed(struct vcpu *vcpu)
{
	enum fetch_result fetched = (enum fetch_result)svm_of(vcpu)->fetched;

	if (fetched == FETCH_OK)
		return EXIT_RESUME;
	return fetch_failed(vcpu, fetched, "no instruction can be read at rip", vcpu->exit.rip);
}

/* A code that is not in the lists: the processor is newer than they are. */
static enum exit_result svm_exit_unknown(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "exit that this program does not know, code", svm_of(vcpu)->vmcb->control.exitcode);
}

const struct exit_row svm_rows[SVM_ROW_COUNT] = {
#define ROW(code, id, text, handler) [code] = { text, handler },
	SVM_EXITS_LOW(ROW)
#undef ROW
#define ROW(code, id, text, handler) [(code) - SVM_EXIT_HIGH_BASE + SVM_ROW_HIGH] = { text, handler },
	SVM_EXITS_HIGH(ROW)
#undef ROW
	[SVM_ROW_UNKNOWN] = { "unknown exit", svm_exit_unknown },
	[SVM_ROW_REFUSED] = { "VMRUN refused", svm_entry_refused },
	[SVM_ROW_CHANGED] = { "instruction changed since the exit", svm_exit_changed },
};
_Static_assert(SVM_ROW_COUNT <= TRACE_REASONS, "the trace counts every row");

/* Exit codes come in two runs, from 0 and from 400h; the table has them one behind the other. */
uint32_t svm_row_of(uint32_t code)
{
	if (code < SVM_ROW_HIGH)
		return code;
	if (code - SVM_EXIT_HIGH_BASE < SVM_ROW_UNKNOWN - SVM_ROW_HIGH)
		return code - SVM_EXIT_HIGH_BASE + SVM_ROW_HIGH;
	return code == SVM_EXIT_INVALID ? SVM_ROW_REFUSED : SVM_ROW_UNKNOWN;
}

/* ---- Reading the exit ---- */

/*
 * The length from the bytes, for exits that have a form in decode.c. The handlers of others decode for
 * themselves.
 */
static uint32_t length_by_bytes(struct vcpu *vcpu, uint32_t code)
{
	const struct insn *insn;

	svm_of(vcpu)->fetched = (uint8_t)fetch_insn(vcpu, &insn);
	if (svm_of(vcpu)->fetched != FETCH_OK)
		return 0;
	return svm_insn_length(code, svm_of(vcpu)->vmcb->control.exitinfo1, fetch_slot(insn)->mode == INSN_64,
			       (const uint8_t *)fetch_slot(insn)->bytes, insn->len);
}

/*
 * Without next-RIP save. An exit whose instruction has one form gets its length now, before its handler
 * does anything; if the bytes do not fit, the exit goes to svm_exit_changed instead of its handler.
 */
static void find_length(struct vcpu *vcpu, uint32_t code)
{
	vcpu->exit.insn_len = 0;
	if (!svm_insn_has_form(code))
		return;
	vcpu->exit.insn_len = length_by_bytes(vcpu, code);
	if (!vcpu->exit.insn_len)
		vcpu->exit.reason = SVM_ROW_CHANGED;
}

/*
 * Of reading an exit the part that is seldom needed: apart, so that the usual one has no registers to save.
 *
 * EXITINTINFO comes first. Delivering an event writes a frame to the guest's stack, and where nobody has touched
 * that page yet there is a nested page fault in the middle of it. Nothing but EXITINTINFO holds the event then:
 * the local APIC has handed an interrupt out already, and unless it is injected again the guest waits for it for
 * ever (15.7.2).
 */
__attribute__((noinline)) static void read_rest(struct vcpu *vcpu)
{
	const struct svm_vcpu *svm = svm_of(vcpu);
	const struct vmcb_control *control = &svm->vmcb->control;

	if ((control->exitintinfo & EVENT_V) || svm->iret_seen)
		svm_take_interrupted(vcpu);
	if (!svm_features.has_nrips)
		find_length(vcpu, (uint32_t)control->exitcode);
}

/*
 * The VMCB's words about the exit into vcpu->exit. A next RIP that is not 1 to 15 bytes ahead is none: nRIP
 * is 0 at exits that no instruction causes. Of the code 32 bits are looked at: every code fits into them, and
 * of VMEXIT_INVALID, which is -1, they say enough.
 */
void svm_read_exit(struct vcpu *vcpu)
{
	const struct svm_vcpu *svm = svm_of(vcpu);
	const struct vmcb *vmcb = svm->vmcb;
	uint64_t length = vmcb->control.nrip - vmcb->save.rip;

	vcpu->exit = (struct exit_record){
		.rip = vmcb->save.rip, .reason = svm_row_of((uint32_t)vmcb->control.exitcode),
		.insn_len = length <= INSN_MAX ? (uint32_t)length : 0,
	};
	if ((vmcb->control.exitintinfo & EVENT_V) || svm->iret_seen || !svm_features.has_nrips)
		read_rest(vcpu);
}
