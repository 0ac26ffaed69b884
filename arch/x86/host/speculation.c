/* SPDX-License-Identifier: MIT */
/*
 * Barriers against speculation across VMs, see speculation.h. Intel, "Speculative Execution Side Channel
 * Mitigations" and "Affected Processors"; SDM vol. 4, table 2-2 (IA32_SPEC_CTRL, IA32_PRED_CMD,
 * IA32_FLUSH_CMD, IA32_ARCH_CAPABILITIES); AMD, "Software Techniques for Managing Speculation on AMD
 * Processors"; APM vol. 2, 3.2.9 "Speculation Control MSRs".
 */
#include "arch/x86/host/speculation.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"

static struct speculation plan;

/*
 * Enhanced and automatic IBRS keep a guest's return predictions from us. A processor with some control, but not that
 * one, uses them; of one with no control at all nothing is known, and nothing is done.
 */
static enum return_fill return_fill(const struct cpu_features *has)
{
	if (has->has_auto_ibrs)
		return RETURN_FILL_NONE;
	if (has->has_spec_ctrl && has->arch_capabilities & ARCH_CAP_IBRS_ALL)
		return has->arch_capabilities & ARCH_CAP_PBRSB_NO ? RETURN_FILL_NONE : RETURN_FILL_ONE;
	return has->has_spec_ctrl || has->has_ibpb ? RETURN_FILL_ALL : RETURN_FILL_NONE;
}

struct speculation speculation_plan(const struct cpu_features *has)
{
	const uint64_t caps = has->arch_capabilities;

	return (struct speculation){
		.at_exit = return_fill(has),
		.ibrs = (has->has_spec_ctrl && caps & ARCH_CAP_IBRS_ALL) ||
			(has->has_ibrs && has->has_ibrs_always && !has->has_auto_ibrs),
		.auto_ibrs = has->has_auto_ibrs,
		.ibpb = has->has_spec_ctrl || has->has_ibpb,
		.flush_l1d = has->has_l1d_flush && !(caps & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL_VMENTRY)),
		.clear_buffers = has->has_md_clear,
	};
}

void speculation_init(void)
{
	plan = speculation_plan(&cpu_features);
	if (plan.ibrs)
		wrmsr(MSR_IA32_SPEC_CTRL, SPEC_CTRL_IBRS);
}

enum return_fill speculation_return_fill(void)
{
	return plan.at_exit;
}

void speculation_leave_vm(uint32_t next_vm)
{
	struct cpu *cpu = this_cpu();

	if (cpu->last_vm == next_vm)
		return;
	cpu->last_vm = next_vm;
	return_stack_replace();
	if (plan.ibpb)
		wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	if (plan.flush_l1d)
		wrmsr(MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D);
	if (plan.clear_buffers)
		verw(HOST_DS);	/* it clears internal buffers too (Intel, "Microarchitectural Data Sampling") */
}

void speculation_words(char *text, size_t size)
{
	const struct { bool is_done; const char *name; } rows[] = {
		{ plan.ibrs, "IBRS" }, { plan.auto_ibrs, "automatic IBRS" }, { plan.ibpb, "IBPB" },
		{ plan.flush_l1d, "L1D flush" }, { plan.clear_buffers, "VERW" },
		{ plan.at_exit != RETURN_FILL_NONE, "returns at exits" },
	};
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < countof(rows); i++)
		if (rows[i].is_done && len < size)
			len += format_buf(text + len, size - len, "%s%s", len ? ", " : "", rows[i].name);
	if (!len)
		format_buf(text, size, "nothing that CPUID offers");
}
