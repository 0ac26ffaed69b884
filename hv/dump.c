/* SPDX-License-Identifier: MIT */
/* A vCPU as text: everything by name, from the tables the rest of the code uses. */
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/walk.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static const char *const gpr_names[GPR_COUNT] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static const char *const seg_names[SEG_COUNT] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr",
};

static const char *const reg_names[GUEST_REG_COUNT] = {
#define NAME(id, text) [id] = text,
	GUEST_REGS(NAME)
#undef NAME
};

static void dump_registers(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		vm_log(vcpu->vm, "  %-3s %016lx  %-3s %016lx  %-3s %016lx  %-3s %016lx",
		       gpr_names[i], vcpu_gpr(vcpu, i), gpr_names[i + 1], vcpu_gpr(vcpu, i + 1),
		       gpr_names[i + 2], vcpu_gpr(vcpu, i + 2), gpr_names[i + 3], vcpu_gpr(vcpu, i + 3));
	for (unsigned i = 0; i < GUEST_REG_COUNT; i += 3) {
		unsigned b = i + 1 < GUEST_REG_COUNT ? i + 1 : i, c = i + 2 < GUEST_REG_COUNT ? i + 2 : i;

		vm_log(vcpu->vm, "  %-12s %016lx  %-12s %016lx  %-12s %016lx", reg_names[i], virt->get(vcpu, i),
		       reg_names[b], virt->get(vcpu, b), reg_names[c], virt->get(vcpu, c));
	}
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		struct segment seg;

		virt->get_seg(vcpu, i, &seg);
		vm_log(vcpu->vm, "  %-4s selector %04x base %016lx limit %08x rights %05x", seg_names[i],
		       seg.selector, seg.base, seg.limit, seg.rights);
	}
}

static void dump_instruction(struct vcpu *vcpu)
{
	uint8_t bytes[INSN_MAX];
	size_t  got = gva_fetch_insn(vcpu, bytes);
	char    text[80];

	if (!got) {
		vm_log(vcpu->vm, "  instruction: cannot be fetched");
		return;
	}
	insn_text(text, sizeof(text), vcpu_mode(vcpu), virt->get(vcpu, REG_RIP), bytes, got);
	vm_log(vcpu->vm, "  instruction: %s", text);
}

static void dump_trace(struct vcpu *vcpu)
{
	const struct trace *trace = &vcpu->trace;
	uint64_t first = trace->total > TRACE_RING ? trace->total - TRACE_RING : 0;

	vm_log(vcpu->vm, "  last exits, oldest first:");
	for (uint64_t i = first; i < trace->total; i++) {
		const struct trace_entry *entry = &trace->ring[i % TRACE_RING];

		vm_log(vcpu->vm, "    #%lu rip %016lx %s", i, entry->rip, exit_name((uint32_t)entry->reason));
	}
	vm_log(vcpu->vm, "  exits by reason:");
	for (unsigned i = 0; i < TRACE_REASONS; i++)
		if (trace->count[i])
			vm_log(vcpu->vm, "    %-32s %u", exit_name(i), trace->count[i]);
}

void vcpu_dump(struct vcpu *vcpu)
{
	vm_log(vcpu->vm, "vcpu %u:", vcpu->id);
	dump_registers(vcpu);
	dump_instruction(vcpu);
	dump_trace(vcpu);
	vm_log(vcpu->vm, "%s:", virt->block_name);
	virt->dump(vcpu);
}
