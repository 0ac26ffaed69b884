/* SPDX-License-Identifier: MIT */
/* The loop of a string instruction (contract in string.h). */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/string.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/backend.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static uint64_t read_reg(const struct string_op *op, enum gpr reg)
{
	return vcpu_gpr_sized(op->vcpu, reg, op->addr_size, false);
}

static void add_reg(const struct string_op *op, enum gpr reg, uint64_t amount)
{
	vcpu_set_gpr_sized(op->vcpu, reg, op->addr_size, false, read_reg(op, reg) + amount);
}

static bool map_both(const struct string_op *op, const struct operand_cpu *cpu, struct operand *src,
		     struct operand *dest, struct operand_fault *fault)
{
	uint64_t from = read_reg(op, GPR_RSI), to = read_reg(op, GPR_RDI);

	if (op->has_src && !operand_map(cpu, op->seg, from, op->size, WALK_READ, src, fault))
		return false;
	return !op->has_dest ||
	       operand_map(cpu, SEG_ES, to, op->size, op->dest_access, dest, fault);
}

/*
 * Zeroing a chunk of RAM that nobody has touched takes as long as all the steps of an exit. So only the first step may
 * populate; the others go no further than memory is there.
 */
static bool map_step(const struct string_op *op, const struct operand_cpu *cpu, struct operand *src,
		     struct operand *dest, struct operand_fault *fault)
{
	bool is_mapped;

	gpm_only_look(op->steps_done);
	is_mapped = map_both(op, cpu, src, dest, fault);
	gpm_only_look(false);
	return is_mapped;
}

static void advance(struct string_op *op, uint64_t amount)
{
	if (op->has_src)
		add_reg(op, GPR_RSI, amount);
	if (op->has_dest)
		add_reg(op, GPR_RDI, amount);
	if (op->has_rep)
		add_reg(op, GPR_RCX, ~0ULL);
	op->steps_done++;
	exit_progress(op->vcpu);
}

static bool is_finished(const struct string_op *op, enum string_verdict verdict)
{
	return !op->has_rep || verdict == STRING_LAST || !read_reg(op, GPR_RCX);
}

/* With RFLAGS.TF set, #DB follows each repetition, with RIP still at the instruction (SDM vol. 3, 18.3.1.4). */
static enum exit_result single_step(struct vcpu *vcpu)
{
	dr_raise(vcpu, DR6_BS);
	return EXIT_RESUME;
}

static bool may_go_on(const struct string_op *op, uint64_t begin)
{
	return op->steps_done < STRING_STEPS_MAX && time_now() - begin < STRING_TICKS_MAX && vm_is_alive(op->vcpu->vm);
}

static enum exit_result run_steps(struct string_op *op)
{
	bool is_down = virt->get(op->vcpu, REG_RFLAGS) & RFLAGS_DF;
	uint64_t amount = is_down ? 0 - (uint64_t)op->size : op->size;
	bool is_stepped = dr_step_due(op->vcpu);
	uint64_t begin = time_now();
	struct operand_cpu cpu;

	op->steps_done = 0;
	if (op->has_rep && !read_reg(op, GPR_RCX))
		return EXIT_SKIP;
	operand_cpu_of(op->vcpu, &cpu);
	while (may_go_on(op, begin)) {
		struct operand       src = { 0 }, dest = { 0 };
		struct operand_fault fault;
		enum string_verdict  verdict;

		if (!map_step(op, &cpu, &src, &dest, &fault))
			return op->steps_done ? EXIT_RESUME : operand_inject(op->vcpu, &fault);
		verdict = op->step(op, &src, &dest);
		if (verdict == STRING_REFUSE)
			return EXIT_RESUME;
		advance(op, amount);
		if (is_finished(op, verdict))
			return EXIT_SKIP;
		if (is_stepped)
			return single_step(op->vcpu);
	}
	return EXIT_RESUME;
}

/* The interrupt shadow of STI and MOV SS covers one repetition, not all of them. */
enum exit_result string_run(struct string_op *op)
{
	enum exit_result result = run_steps(op);

	if (result == EXIT_RESUME && op->steps_done)
		virt->end_shadow(op->vcpu);
	return result;
}
