/* SPDX-License-Identifier: MIT */
/*
 * The run loop, and how any exit goes, for both vendors: the one place where a row is looked up, its answer is obeyed,
 * RIP moves and time is measured.
 *
 *   deliver (vendor)  gives the guest what is due, if there may be something
 *   enter (vendor)    runs the guest, and fills vcpu->exit: where, why, how long the instruction is if hardware says so
 *   dispatch          notes the exit in the trace, calls the row's handler, and does what the handler answers:
 *
 *     EXIT_SKIP       the instruction was emulated: step over it, run on
 *     EXIT_RESUME     run on at the same RIP; the same exit again and again without progress ends the VM
 *     EXIT_SKIP_STOP  step over it, leave the run loop
 *     EXIT_STOP       leave the run loop
 *
 * A handler that makes one of the classic mistakes ends its VM by name. Without that, an instruction that is skipped
 * by zero bytes executes for ever, and the guest looks as if it hung by itself.
 */
#include "arch/x86/exit/dispatch.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

/* The same exit at the same RIP this often, with nothing to show for it, is a bug in a handler or an attack. */
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

/* The guest runs on where it stopped: is that going anywhere? */
static enum exit_result resume(struct vcpu *vcpu)
{
	struct exit_loop *loop = &vcpu->loop;
	const struct exit_record *exit = &vcpu->exit;

	if (loop->made_progress || exit->rip != loop->rip || exit->reason != loop->reason ||
	    vcpu->trace.total != loop->next) {	/* an exit of another kind came between: that was progress */
		*loop = (struct exit_loop){ .rip = exit->rip, .reason = exit->reason, .next = vcpu->trace.total + 1 };
		return EXIT_RESUME;
	}
	loop->next++;
	if (++loop->count < EXIT_LOOP_MAX)
		return EXIT_RESUME;
	return exit_fatal(vcpu, "RIP did not move: the same exit, again and again, at rip", exit->rip);
}

/*
 * Every answer but the plain "emulated, go on", and every mistake; EXIT_SKIP comes here only with an unknown length. Out of
 * line, for the short path's sake.
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
	virt->step_over(vcpu);		/* EXIT_SKIP_STOP */
	return EXIT_STOP;
}

/* Rows without a handler: our controls never ask for these exits. */
static enum exit_result unexpected(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "unexpected exit, row of the exit table", vcpu->exit.reason);
}

/* An exit that took longer than every one before it: the longest is printed when the VM ends. */
__attribute__((noinline)) static void note_longest(struct vcpu *vcpu, uint32_t ticks)
{
	vcpu->longest = (struct longest_exit){ .ticks = ticks, .exit = vcpu->exit };
}

static inline void handle(struct vcpu *vcpu, const struct virt_backend *backend)
{
	exit_fn *handler = backend->exits.rows[vcpu->exit.reason].handle;
	enum exit_result result = handler ? handler(vcpu) : unexpected(vcpu);

	if (__builtin_expect(result == EXIT_SKIP && vcpu->exit.insn_len, 1))
		backend->step_over(vcpu);
	else if (settle(vcpu, result) == EXIT_STOP)
		this_cpu()->attention = true;
}

/*
 * Half a time stamp is enough for a difference: 2^32 ticks are more than a second, and no exit may take that long.
 * Returns the clock behind the exit, which the run loop needs as well.
 */
static inline uint32_t dispatch(struct vcpu *vcpu, const struct virt_backend *backend)
{
	uint32_t start = rdtsc32(), now, ticks;

	trace_exit(&vcpu->trace, &vcpu->exit);
	handle(vcpu, backend);
	now = rdtsc32();
	ticks = now - start;
	if (__builtin_expect(ticks > vcpu->longest.ticks, 0))
		note_longest(vcpu, ticks);
	return now;
}

/* The end of the turn on the half clock. A turn that is longer than half of what it can show ends there. */
static uint32_t turn_end32(uint64_t turn_end)
{
	uint64_t now = rdtsc();

	return (uint32_t)(turn_end > now ? now + min_u64(turn_end - now, INT32_MAX) : now);
}

/*
 * `attention` says that the scheduler has something to do: a host interrupt came, a handler answered EXIT_STOP, or the
 * VM ended. `irq_check` says that there may be something to deliver; most exits change nothing about it.
 * No interrupt need come when the turn is over: the timer of a turn may count only what the guest itself runs, or
 * the guest may hold interrupts back. So the clock is looked at as well, at each exit, for one may take half a turn.
 */
void vcpu_run(struct vcpu *vcpu, uint64_t turn_end)
{
	const struct cpu *cpu = this_cpu();
	const struct virt_backend *const backend = virt;	/* const, but the compiler cannot know */
	uint32_t end = turn_end32(turn_end), now;

	do {
		if (vcpu->irq_check)
			backend->deliver(vcpu);		/* pending events, windows */
		backend->enter(vcpu);			/* looks like a call, returns at the exit */
		now = dispatch(vcpu, backend);		/* one row of one table */
	} while (!cpu->attention && (int32_t)(now - end) < 0);
}
