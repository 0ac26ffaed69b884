/* SPDX-License-Identifier: MIT */
/*
 * PUSH, POP, PUSHF, ENTER and LEAVE when the stack, or the other operand, is not in RAM. Both addresses are
 * translated before either is touched, so that a fault finds nothing half done. SDM vol. 1, 6.2 "Stacks";
 * vol. 2 for each instruction.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

struct stack {
	struct operand_cpu   cpu;
	unsigned             width;	/* bytes of the stack pointer that count */
	struct operand       top;	/* the element that is written or read */
	struct operand       other;	/* the ModRM operand, if there is one */
	struct operand_fault fault;
};

/* SDM vol. 1, 6.2.3 "Address-Size Attributes for Stack Accesses". */
static unsigned stack_width(const struct operand_cpu *cpu)
{
	if (cpu->mode == INSN_64)
		return sizeof(uint64_t);
	return virt->get(cpu->vcpu, REG_SS_RIGHTS) & SEG_DB ? sizeof(uint32_t) : sizeof(uint16_t);
}

static void prepare(struct mmio *mmio, struct stack *stack)
{
	*stack = (struct stack){ 0 };
	operand_cpu_of(mmio->vcpu, &stack->cpu);
	stack->width = stack_width(&stack->cpu);
}

static uint64_t pointer(const struct mmio *mmio, const struct stack *stack, enum gpr reg)
{
	return vcpu_gpr_sized(mmio->vcpu, reg, stack->width, false);
}

static void set_pointer(const struct mmio *mmio, const struct stack *stack, uint64_t val)
{
	vcpu_set_gpr_sized(mmio->vcpu, GPR_RSP, stack->width, false, val);
}

static bool map_top(const struct mmio *mmio, struct stack *stack, uint64_t offset, enum walk_access access)
{
	return operand_map(&stack->cpu, SEG_SS, offset & size_mask(stack->width), mmio->insn->size, access,
			   &stack->top, &stack->fault);
}

/* The ModRM operand; `moved` is by how much the stack pointer, as its base, has already moved. */
static bool map_other(const struct mmio *mmio, struct stack *stack, uint64_t moved, enum walk_access access)
{
	const struct insn *insn = mmio->insn;
	uint64_t offset = operand_offset(mmio->vcpu, insn);

	if (!insn->has_mem)
		return true;
	if (insn->base == GPR_RSP)
		offset = (offset + moved) & size_mask(insn->addr_size);
	return operand_map(&stack->cpu, insn->seg, offset, insn->size, access, &stack->other, &stack->fault);
}

static bool is_what_trapped(const struct mmio *mmio, const struct operand *read, const struct operand *written)
{
	return operand_touches(mmio->is_write ? written : read, mmio->addr);
}

static uint64_t pushed_value(const struct mmio *mmio, const struct stack *stack)
{
	const struct insn *insn = mmio->insn;

	if (insn->kind == INSN_PUSHF)
		return virt->get(mmio->vcpu, REG_RFLAGS) & ~(RFLAGS_VM | RFLAGS_RF);
	if (insn->has_mem)
		return operand_read(mmio->vcpu, &stack->other);
	return insn->src == SRC_IMM ? insn->imm : mmio_register(mmio);
}

enum exit_result mmio_push(struct mmio *mmio)
{
	struct stack stack;
	uint64_t     top;

	prepare(mmio, &stack);
	top = pointer(mmio, &stack, GPR_RSP) - mmio->insn->size;
	if (!map_other(mmio, &stack, 0, WALK_READ) || !map_top(mmio, &stack, top, WALK_WRITE))
		return operand_inject(mmio->vcpu, &stack.fault);
	if (!is_what_trapped(mmio, &stack.other, &stack.top))
		return EXIT_RESUME;
	operand_write(mmio->vcpu, &stack.top, pushed_value(mmio, &stack));
	set_pointer(mmio, &stack, top);
	return EXIT_SKIP;
}

/* POP computes the address of its operand with the stack pointer as it is afterwards. */
enum exit_result mmio_pop(struct mmio *mmio)
{
	struct stack stack;
	uint64_t     top, val;
	unsigned     size = mmio->insn->size;

	prepare(mmio, &stack);
	top = pointer(mmio, &stack, GPR_RSP);
	if (!map_top(mmio, &stack, top, WALK_READ) || !map_other(mmio, &stack, size, WALK_WRITE))
		return operand_inject(mmio->vcpu, &stack.fault);
	if (!is_what_trapped(mmio, &stack.top, &stack.other))
		return EXIT_RESUME;
	val = operand_read(mmio->vcpu, &stack.top);
	set_pointer(mmio, &stack, top + size);
	if (mmio->insn->has_mem)
		operand_write(mmio->vcpu, &stack.other, val);
	else
		mmio_set_register(mmio, val);
	return EXIT_SKIP;
}

/*
 * ENTER with a nesting level copies frame pointers of outer functions. No compiler generates it, so it is
 * not done here.
 */
enum exit_result mmio_enter(struct mmio *mmio)
{
	struct vcpu *vcpu = mmio->vcpu;
	unsigned     size = mmio->insn->size;
	struct stack stack;
	uint64_t     top;

	if (mmio->insn->level)
		return mmio_unknown(vcpu, mmio->insn, mmio->addr, mmio->is_write);
	prepare(mmio, &stack);
	top = pointer(mmio, &stack, GPR_RSP) - size;
	if (!map_top(mmio, &stack, top, WALK_WRITE))
		return operand_inject(vcpu, &stack.fault);
	if (!is_what_trapped(mmio, &stack.other, &stack.top))
		return EXIT_RESUME;
	operand_write(vcpu, &stack.top, vcpu_gpr_sized(vcpu, GPR_RBP, size, false));
	vcpu_set_gpr_sized(vcpu, GPR_RBP, size, false, top);
	set_pointer(mmio, &stack, top - mmio->insn->imm);
	return EXIT_SKIP;
}

enum exit_result mmio_leave(struct mmio *mmio)
{
	struct vcpu *vcpu = mmio->vcpu;
	unsigned     size = mmio->insn->size;
	struct stack stack;
	uint64_t     frame;

	prepare(mmio, &stack);
	frame = pointer(mmio, &stack, GPR_RBP);
	if (!map_top(mmio, &stack, frame, WALK_READ))
		return operand_inject(vcpu, &stack.fault);
	if (!is_what_trapped(mmio, &stack.top, &stack.other))
		return EXIT_RESUME;
	set_pointer(mmio, &stack, frame + size);
	vcpu_set_gpr_sized(vcpu, GPR_RBP, size, false, operand_read(vcpu, &stack.top));
	return EXIT_SKIP;
}
