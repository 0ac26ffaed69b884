/* SPDX-License-Identifier: MIT */
/*
 * Port I/O: IN, OUT and their string forms (SDM vol. 2, "IN", "INS/INSB/INSW/INSD"; vol. 1, chapter
 * 19 "Input/Output"). The processor has checked the guest's I/O privilege before it left the guest;
 * the memory operands of INS and OUTS are not checked yet (SDM vol. 3, 26.1.1 "Relative Priority of
 * Faults and VM Exits").
 */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/string.h"
#include "hv/lib/bits.h"
#include "arch/x86/emulate/fetch.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

struct pio_string {
	struct string_op op;		/* first: the step gets a pointer to it */
	uint16_t         port;
	bool             is_in;
};

static enum string_verdict pio_step(struct string_op *op, const struct operand *src,
				    const struct operand *dest)
{
	const struct pio_string *run = container_of(op, struct pio_string, op);
	uint64_t val = 0;

	vcpu_touch(op->vcpu, run->is_in ? TOUCH_IN : TOUCH_OUT, run->port);
	if (!run->is_in)
		val = operand_read(op->vcpu, src);
	bus_access(&op->vcpu->pio, run->port, op->size, !run->is_in, &val);
	if (run->is_in)
		operand_write(op->vcpu, dest, val);
	return STRING_NEXT;
}

/*
 * Is the instruction at RIP one that makes this exit? Another vCPU may have replaced it since. Compared is what the
 * exit tells.
 */
static bool fits_access(const struct insn *insn, const struct pio_access *access)
{
	return insn->kind == (access->is_in ? INSN_INS : INSN_OUTS) &&
	       insn->size == access->size && insn->has_rep == access->is_rep &&
	       (!access->addr_size || insn->addr_size == access->addr_size);
}

/*
 * Fill in what the exit did not tell from the instruction. EXIT_GO_ON: *access is complete; any other result is the
 * handler's answer.
 */
static enum exit_result complete_access(struct vcpu *vcpu, struct pio_access *access)
{
	const struct insn *insn;
	enum fetch_result  fetched;

	if (access->addr_size && (access->is_in || access->seg != SEG_UNKNOWN))
		return EXIT_GO_ON;
	fetched = fetch_insn(vcpu, &insn);
	if (fetched != FETCH_OK)
		return fetch_failed(vcpu, fetched, "no instruction can be read for port", access->port);
	if (!fits_access(insn, access))
		return EXIT_RESUME;
	vcpu->exit.insn_len = insn->len;
	access->addr_size = insn->addr_size;
	access->seg = insn->seg;
	return EXIT_GO_ON;
}

enum exit_result exit_pio_string(struct vcpu *vcpu, const struct pio_access *told)
{
	struct pio_access access = *told;
	enum exit_result  result = complete_access(vcpu, &access);
	struct pio_string run;

	if (result != EXIT_GO_ON)
		return result;
	run = (struct pio_string){
		.op = {
			.vcpu = vcpu, .step = pio_step,
			.size = access.size, .addr_size = access.addr_size,
			.has_rep = access.is_rep, .seg = access.seg, .has_src = !access.is_in,
			.has_dest = access.is_in, .dest_access = WALK_WRITE,
		},
		.port = access.port, .is_in = access.is_in,
	};
	return string_run(&run.op);
}

enum exit_result exit_out(struct vcpu *vcpu, uint16_t port, unsigned size)
{
	uint64_t val = vcpu->gpr[GPR_RAX];	/* the bus cuts it to size */

	vcpu_touch(vcpu, TOUCH_OUT, port);
	bus_access(&vcpu->pio, port, size, true, &val);
	return EXIT_SKIP;
}

/* AL and AX keep the bits above them; EAX clears the upper half of RAX. */
enum exit_result exit_in(struct vcpu *vcpu, uint16_t port, unsigned size)
{
	uint64_t *rax = &vcpu->gpr[GPR_RAX], val;

	vcpu_touch(vcpu, TOUCH_IN, port);
	bus_access(&vcpu->pio, port, size, false, &val);
	*rax = size == sizeof(uint32_t) ? val : (*rax & ~size_mask(size)) | val;
	return EXIT_SKIP;
}
