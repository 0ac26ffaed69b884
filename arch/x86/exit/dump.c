/* SPDX-License-Identifier: MIT */
/*
 * A vCPU as text: everything by name, from the tables the rest of the code uses. A line takes some ten
 * thousand ticks, and a whole dump millions, so it is printed a few lines at a time: each part of it knows
 * its lines by number.
 */
#include "arch/x86/emulate/walk.h"
#include "arch/x86/exit/exit.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vga_text.h"
#include "hv/vm.h"

#define LINES_A_CALL	8U
#define REGS_A_LINE	3U
#define GPRS_A_LINE	4U

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

/*
 * Bits of control registers that determine the processor's mode, by the manuals' names; those of a register
 * follow each other.
 */
static const struct { enum guest_reg reg; uint64_t bit; const char *name; } bit_names[] = {
#define ROW(reg, bit) { REG_##reg, reg##_##bit, #bit },
	ROW(CR0, PE) ROW(CR0, MP) ROW(CR0, EM) ROW(CR0, TS) ROW(CR0, NE) ROW(CR0, WP) ROW(CR0, AM) ROW(CR0, NW)
	ROW(CR0, CD) ROW(CR0, PG)
	ROW(CR4, PSE) ROW(CR4, PAE) ROW(CR4, MCE) ROW(CR4, PGE) ROW(CR4, OSFXSR) ROW(CR4, OSXMMEXCPT) ROW(CR4, UMIP)
	ROW(CR4, LA57) ROW(CR4, VMXE) ROW(CR4, FSGSBASE) ROW(CR4, PCIDE) ROW(CR4, OSXSAVE) ROW(CR4, SMEP)
	ROW(CR4, SMAP) ROW(CR4, PKE)
	ROW(EFER, SCE) ROW(EFER, LME) ROW(EFER, LMA) ROW(EFER, NXE)
	ROW(RFLAGS, CF) ROW(RFLAGS, ZF) ROW(RFLAGS, SF) ROW(RFLAGS, TF) ROW(RFLAGS, IF) ROW(RFLAGS, DF) ROW(RFLAGS, OF)
	ROW(RFLAGS, NT) ROW(RFLAGS, RF) ROW(RFLAGS, VM) ROW(RFLAGS, AC)
#undef ROW
};

static const char *mode_name(struct vcpu *vcpu)
{
	static const char *const sizes[] = { [INSN_16] = "16-bit", [INSN_32] = "32-bit", [INSN_64] = "64-bit" };
	uint64_t cr0 = virt->get(vcpu, REG_CR0), rflags = virt->get(vcpu, REG_RFLAGS);

	if (!(cr0 & CR0_PE))
		return "real mode";
	if (rflags & RFLAGS_VM)
		return "virtual-8086 mode";
	return sizes[vcpu_mode(vcpu)];
}

static bool dump_mode(struct vcpu *vcpu, unsigned line)
{
	enum guest_reg named = GUEST_REG_COUNT;
	char   text[200] = "";
	size_t len = 0;

	if (line)
		return false;
	for (size_t i = 0; i < countof(bit_names); i++) {
		enum guest_reg reg = bit_names[i].reg;

		if (!(virt->get(vcpu, reg) & bit_names[i].bit))
			continue;
		if (reg != named)
			len += format_buf(text + len, sizeof(text) - len, ", %s:", reg_names[reg]);
		len = min_size(len, sizeof(text) - 1);
		len += format_buf(text + len, sizeof(text) - len, " %s", bit_names[i].name);
		len = min_size(len, sizeof(text) - 1);
		named = reg;
	}
	vm_log(vcpu->vm, "  %s, CPL %u%s", mode_name(vcpu), vcpu_cpl(vcpu), text);
	return true;
}

static bool dump_gprs(struct vcpu *vcpu, unsigned line)
{
	unsigned i = line * GPRS_A_LINE;

	if (i >= GPR_COUNT)
		return false;
	vm_log(vcpu->vm, "  %-3s %016lx  %-3s %016lx  %-3s %016lx  %-3s %016lx",
	       gpr_names[i], vcpu_gpr(vcpu, i), gpr_names[i + 1], vcpu_gpr(vcpu, i + 1),
	       gpr_names[i + 2], vcpu_gpr(vcpu, i + 2), gpr_names[i + 3], vcpu_gpr(vcpu, i + 3));
	return true;
}

static bool dump_registers(struct vcpu *vcpu, unsigned line)
{
	unsigned begin = line * REGS_A_LINE;
	char     text[120];
	size_t   len = 0;

	for (unsigned i = begin; i < begin + REGS_A_LINE && i < GUEST_REG_COUNT; i++)
		len += format_buf(text + len, sizeof(text) - len, "  %-12s %016lx", reg_names[i], virt->get(vcpu, i));
	if (len)
		vm_log(vcpu->vm, "%s", text);
	return len;
}

static bool dump_debug(struct vcpu *vcpu, unsigned line)
{
	if (line == 0)
		vm_log(vcpu->vm, "  dr0 %016lx  dr1 %016lx  dr2 %016lx  dr3 %016lx", vcpu->dr[0], vcpu->dr[1], vcpu->dr[2],
		       vcpu->dr[3]);
	else if (line == 1)
		vm_log(vcpu->vm, "  dr6 %016lx  dr7 %016lx, as the guest reads them", vcpu->dr6, vcpu->dr7);
	return line < 2;
}

static bool dump_segments(struct vcpu *vcpu, unsigned line)
{
	struct segment seg;

	if (line >= SEG_COUNT)
		return false;
	virt->get_seg(vcpu, line, &seg);
	vm_log(vcpu->vm, "  %-4s selector %04x base %016lx limit %08x rights %05x", seg_names[line],
	       seg.selector, seg.base, seg.limit, seg.rights);
	return true;
}

static void instruction_text(char *text, size_t size, struct vcpu *vcpu)
{
	uint8_t bytes[INSN_MAX];
	size_t  got = gva_fetch_insn(vcpu, bytes);

	if (got)
		insn_text(text, size, vcpu_mode(vcpu), vcpu->exit.rip, bytes, got);
	else
		format_buf(text, size, "cannot be fetched");
}

static bool dump_instruction(struct vcpu *vcpu, unsigned line)
{
	char text[80];

	if (line)
		return false;
	instruction_text(text, sizeof(text), vcpu);
	vm_log(vcpu->vm, "  instruction: %s", text);
	return true;
}

/* "reads port 3fd"; an empty text when there is nothing to say. */
static const char *touch_text(char *text, size_t size, uint64_t touch)
{
	static const char *const words[TOUCH_KINDS] = {
		[TOUCH_IN] = "reads port", [TOUCH_OUT] = "writes port", [TOUCH_LOAD] = "reads memory at",
		[TOUCH_STORE] = "writes memory at", [TOUCH_RDMSR] = "reads MSR", [TOUCH_WRMSR] = "writes MSR",
	};

	*text = '\0';
	if (touch)
		format_buf(text, size, "%s %lx", words[touch >> TOUCH_SHIFT],
			   touch << (64 - TOUCH_SHIFT) >> (64 - TOUCH_SHIFT));
	return text;
}

static bool dump_counts(struct vcpu *vcpu, unsigned line)
{
	if (!line--) {
		vm_log(vcpu->vm, "  exits by reason:");
		return true;
	}
	for (unsigned i = 0; i < TRACE_REASONS; i++) {
		if (!vcpu->trace.count[i] || line--)
			continue;
		vm_log(vcpu->vm, "    %-32s %u", exit_name(i), vcpu->trace.count[i]);
		return true;
	}
	return false;
}

static bool dump_last_exits(struct vcpu *vcpu, unsigned line)
{
	const struct trace *trace = &vcpu->trace;
	uint64_t total = vcpu->exits, i = (total > TRACE_RING ? total - TRACE_RING : 0) + line - 1;
	const struct exit_record *entry = &trace->ring[i % TRACE_RING];
	char text[48];

	if (!line) {
		vm_log(vcpu->vm, "  last exits, oldest first:");
		return true;
	}
	if (i >= total)
		return false;
	vm_log(vcpu->vm, "    #%lu rip %016lx %-24s %s", i, entry->rip, exit_name(entry->reason),
	       touch_text(text, sizeof(text), trace->touched[i % TRACE_RING]));
	return true;
}

static bool dump_screen(struct vcpu *vcpu, unsigned row)
{
	return vga_text_dump(&vcpu->vm->gpm, vcpu->vm->name, row);
}

static bool say_block(struct vcpu *vcpu, unsigned line)
{
	if (!line)
		vm_log(vcpu->vm, "vcpu %u, its %s:", vcpu->id, virt->block_name);
	return !line;
}

static bool dump_block(struct vcpu *vcpu, unsigned line)
{
	return virt->dump(vcpu, line);
}

static bool say_vcpu(struct vcpu *vcpu, unsigned line)
{
	if (!line)
		vm_log(vcpu->vm, "vcpu %u:", vcpu->id);
	return !line;
}

/* What most readers look for is printed last, so that it is still on a screen of fifty lines. */
static bool (*const parts[])(struct vcpu *vcpu, unsigned line) = {
	say_block, dump_block, dump_counts, dump_last_exits, dump_screen,
	say_vcpu, dump_gprs, dump_registers, dump_debug, dump_segments, dump_mode, dump_instruction,
};

bool vcpu_dump(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	gpm_only_look(true);
	for (unsigned said = 0; said < LINES_A_CALL && vm->dump.part < countof(parts); ) {
		if (parts[vm->dump.part](vcpu, vm->dump.line)) {
			vm->dump.line++;
			said++;
		} else {
			vm->dump.part++;
			vm->dump.line = 0;
		}
	}
	gpm_only_look(false);
	return vm->dump.part < countof(parts);
}

/* ---- One line: where is it, and what does it wait for? ---- */

#define AGAIN	4U	/* of the last exits: so many for the same thing are more than chance */

/* The access that the vCPU's last exits were about most often, of equals the latest; *count is how often. */
static uint64_t most_touched(const struct vcpu *vcpu, unsigned *count)
{
	const struct trace *trace = &vcpu->trace;
	uint64_t first = vcpu->exits > TRACE_RING ? vcpu->exits - TRACE_RING : 0, most = 0;

	*count = 0;
	for (uint64_t i = first; i < vcpu->exits; i++) {
		uint64_t touch = trace->touched[i % TRACE_RING];
		unsigned same = 0;

		for (uint64_t j = first; touch && j < vcpu->exits; j++)
			same += trace->touched[j % TRACE_RING] == touch;
		if (same > 0 && same >= *count) {
			most = touch;
			*count = same;
		}
	}
	return most;
}

void vcpu_where(struct vcpu *vcpu)
{
	static const char *const states[] = {
		[VCPU_PARKED] = "waits to be started (INIT, SIPI)", [VCPU_READY] = "runs", [VCPU_HALTED] = "is halted",
	};
	char     insn[80], touch[48], often[48] = "";
	unsigned count;

	if (vcpu->state == VCPU_PARKED) {
		vm_log(vcpu->vm, "vcpu %u %s", vcpu->id, states[vcpu->state]);
		return;
	}
	gpm_only_look(true);
	instruction_text(insn, sizeof(insn), vcpu);
	gpm_only_look(false);
	touch_text(touch, sizeof(touch), most_touched(vcpu, &count));
	if (count < AGAIN)
		count = 0;
	else
		format_buf(often, sizeof(often), " at %u of its last %lu exits", count, min_u64(vcpu->exits, TRACE_RING));
	vm_log(vcpu->vm, "vcpu %u %s: %s, rip %lx, %s%s%s%s; %lu exits", vcpu->id, states[vcpu->state], mode_name(vcpu),
	       vcpu->exit.rip, insn, count ? "; " : "", count ? touch : "", often, vcpu->exits);
}
