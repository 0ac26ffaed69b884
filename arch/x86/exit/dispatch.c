/* SPDX-License-Identifier: MIT */
/*
 * The run loop, and how any exit goes, for both vendors: the one place where a row is looked up, its answer
 * is obeyed, RIP moves and time is measured. vcpu_run, at the end of the file, repeats three steps:
 *
 *   deliver (vendor)  inject an interrupt, NMI or exception that waits for the guest, and make its control block ready
 *                     for the entry (VT-x: current again); only when there may be something to do
 *   enter (vendor)    run the guest until it exits, then fill vcpu->exit: why it stopped (the number of a row in the
 *                     vendor's exit table, never more than its rows), at which RIP, and how long the instruction is
 *                     as far as that is known yet: the handler may have to correct or to find it (record.h)
 *   dispatch          note the exit in the trace, call the handler of that row, and do what the handler answers:
 *
 *     EXIT_SKIP       the handler has emulated the instruction: step over it (RIP and what goes with it), run on
 *     EXIT_RESUME     run on at the same RIP; the same exit again and again without progress ends the VM
 *     EXIT_SKIP_STOP  step over the instruction, then leave the run loop
 *     EXIT_STOP       leave the run loop; RIP stays
 *
 *   To leave the run loop is to set this processor's `attention`, which vcpu_run looks at after each exit. EXIT_GO_ON is
 *   no answer: it passes between the parts of a handler, and says that nothing is decided yet.
 *
 * Three examples:
 *
 *   CPUID             exit_cpuid stores the answer in the registers: EXIT_SKIP, and the guest goes on behind it
 *   first touch       exit_npt maps memory at the address: EXIT_RESUME, and the guest executes the instruction again
 *   HLT               exit_hlt marks the vCPU as halted: EXIT_SKIP_STOP, and the scheduler picks another one
 *
 * A row's handler is either neutral (arch/x86/exit/) or one of the vendor's (vmx/exits.c, svm/exits.c). Most
 * of the vendor's decode what the exit says and call a neutral one; a few answer what only their vendor
 * knows. Where a row has no handler the controls never ask for that exit. An entry that failed is a row, too,
 * whose handler ends the VM, but for one that QEMU makes of a guest's fault.
 *
 * How an exception gets to the guest: a handler queues it with vcpu_inject, which fills vcpu->pending, and answers
 * EXIT_RESUME; deliver puts it into the next entry. An event whose delivery the exit cut short becomes vcpu->pending
 * again in enter, before the handler runs.
 *
 * A handler that makes one of the classic mistakes ends its VM by name. Without that, an instruction that
 * is skipped by zero bytes executes for ever, and the guest looks as if it hung by itself.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/exit/record.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

/* The same exit at the same RIP this often, without progress in between, is a bug in a handler or an attack. */
#define EXIT_LOOP_MAX	64U

const char *exit_name(uint32_t reason)
{
	const char *name = reason < virt->exits.count ? virt->exits.rows[reason].name : NULL;

	return name ? name : "unnamed exit";
}

void exit_progress(struct vcpu *vcpu)
{
	vcpu->loop.made_progress = true;
}

/*
 * EXIT_RESUME: the guest executes the same instruction again. That is in order while something has changed
 * since: a handler said exit_progress, or this exit differs from the one before. When the same exit comes
 * EXIT_LOOP_MAX times in a row and nothing has changed, nothing ever will, and the VM ends.
 */
static enum exit_result resume(struct vcpu *vcpu)
{
	struct exit_loop *loop = &vcpu->loop;
	const struct exit_record *exit = &vcpu->exit;

	if (loop->made_progress || exit->rip != loop->rip || exit->reason != loop->reason ||
	    vcpu->exits != loop->next) {	/* an exit with another answer came in between: the guest went on */
		*loop = (struct exit_loop){ .rip = exit->rip, .reason = exit->reason, .next = vcpu->exits + 1 };
		return EXIT_RESUME;
	}
	loop->next++;
	if (++loop->count < EXIT_LOOP_MAX)
		return EXIT_RESUME;
	return exit_fatal(vcpu, "RIP did not move: the same exit, again and again, at rip", exit->rip);
}

/*
 * Every answer but the plain "emulated, go on", and every mistake: EXIT_SKIP arrives here only when nobody
 * knows the length of the instruction. Returns EXIT_STOP when the run loop must end. A function of its own,
 * so that the short path in handle stays short.
 */
__attribute__((noinline)) static enum exit_result settle(struct vcpu *vcpu, enum exit_result result)
{
	if (result == EXIT_RESUME)
		return resume(vcpu);
	if (result == EXIT_STOP)
		return EXIT_STOP;
	if (result != EXIT_SKIP && result != EXIT_SKIP_STOP)
		return exit_fatal(vcpu, "a handler gave an answer that the dispatcher does not know:", result);
	if (!vcpu->exit.insn_len)
		return exit_fatal(vcpu, "a handler skips an instruction of unknown length, at rip", vcpu->exit.rip);
	virt->step_over(vcpu);		/* only EXIT_SKIP_STOP with a known length is left */
	return EXIT_STOP;
}

/* A row without a handler: our controls never ask for this exit, so either they are wrong or the processor is. */
static enum exit_result unexpected(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "unexpected exit, row of the exit table", vcpu->exit.reason);
}

/* An exit that took longer than every one before it: the longest is printed when the VM ends. */
__attribute__((noinline)) static void note_longest(struct vcpu *vcpu, uint32_t ticks)
{
	vcpu->longest = (struct longest_exit){ .ticks = ticks, .exit = vcpu->exit };
}

/* One exit: look up its row, call the handler, obey its answer. */
static inline void handle(struct vcpu *vcpu, const struct virt_backend *backend)
{
	exit_fn *handler = backend->exits.rows[vcpu->exit.reason].handle;
	enum exit_result result = handler ? handler(vcpu) : unexpected(vcpu);

	if (__builtin_expect(result == EXIT_SKIP && vcpu->exit.insn_len, 1))
		backend->step_over(vcpu);
	else if (settle(vcpu, result) == EXIT_STOP)
		host_attention_set();
}

/*
 * One exit with its trace entry and its time. The lower half of the time stamp is enough for a difference:
 * 2^32 ticks are about a second or more, and no exit may take that long. Returns the clock after the exit,
 * which the run loop needs as well.
 */
static inline uint32_t dispatch(struct vcpu *vcpu, const struct virt_backend *backend)
{
	uint32_t start = rdtsc32(), now, ticks;

	trace_exit(&vcpu->trace, vcpu->exits++, &vcpu->exit);
	handle(vcpu, backend);
	now = rdtsc32();
	ticks = now - start;
	if (__builtin_expect(ticks > vcpu->longest.ticks, 0))
		note_longest(vcpu, ticks);
	return now;
}

/*
 * The end of the turn in the lower half of the time stamp, which wraps. Differences up to 2^31 ticks are
 * unambiguous, so a longer turn ends after that many.
 */
static uint32_t turn_end32(uint64_t turn_end)
{
	uint64_t now = rdtsc();

	return (uint32_t)(turn_end > now ? now + min_u64(turn_end - now, INT32_MAX) : now);
}

/*
 * What others asked of it (hv/request.h). False: the guest must not run on now, because its VM has ended, or INIT has
 * parked it.
 */
__attribute__((noinline)) static bool take_requests(struct vcpu *vcpu)
{
	vcpu_take_requests(vcpu);
	return !this_cpu()->attention;
}

/*
 * Run a vCPU until the scheduler has something to do. `attention` says so: a host interrupt has come, a
 * handler has answered EXIT_STOP or EXIT_SKIP_STOP, or the VM has ended. A device that puts work off sets it
 * too, and so do an event that wakes a halted vCPU and an INIT that parks one. `irq_check` says that
 * something may be waiting to be delivered, on VT-x that another vCPU's VMCS has become current, or that
 * another processor has kicked this one; most exits do not set it.
 *
 * The turn also ends by the clock, which is looked at after each exit. No interrupt need come when the turn
 * is over: the VMX-preemption timer counts only the time in which the guest runs, and an emulated processor
 * may hold the host's interrupts back while the guest has RFLAGS.IF clear.
 */
void vcpu_run(struct vcpu *vcpu, uint64_t turn_end)
{
	const struct cpu *cpu = this_cpu();
	const struct virt_backend *const backend = virt;	/* never changes: load it once */
	uint32_t end = turn_end32(turn_end), now;

	do {
		if (vcpu->irq_check) {
			if (vcpu->requests && !take_requests(vcpu))
				return;
			backend->deliver(vcpu);		/* inject what waits, or open a window; VT-x: current again */
			if (vcpu->state != VCPU_READY)	/* its 8259 had it look at requests: a sibling's INIT parked it */
				return;
		}
		backend->enter(vcpu);			/* the guest runs; the call returns after the exit */
		now = dispatch(vcpu, backend);		/* the handler of the exit, and its answer */
	} while (!cpu->attention && (int32_t)(now - end) < 0);
}
