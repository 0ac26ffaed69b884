/* SPDX-License-Identifier: MIT */
/*
 * The VMCB in words: every field by the manual's name, from the list in svm.h. The VMCB is memory, so
 * offsets and sizes suffice to print it, also when VMRUN has refused it.
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define LINE_MAX	100
#define FIELDS_A_LINE	3U

static const struct { const char *name; uint16_t offset, size; } fields[] = {
#define ROW(at, member) { #member, offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member) },
	VMCB_FIELDS(ROW)
#undef ROW
};

/* Up to eight bytes, little-endian; of longer fields (the instruction's bytes) the first eight. */
static uint64_t field_value(const struct vmcb *vmcb, size_t i)
{
	const uint8_t *bytes = (const uint8_t *)vmcb + fields[i].offset;
	uint64_t val = 0;

	for (unsigned k = 0; k < fields[i].size && k < sizeof(val); k++)
		val |= (uint64_t)bytes[k] << (8 * k);
	return val;
}

/* Names lose their "control." or "save." here: each half has its own heading. */
static const char *short_name(const char *name)
{
	while (*name && *name != '.')
		name++;
	return *name ? name + 1 : name;
}

/*
 * Is the field in the state save area? That lies behind the control area, and the list is in the order of offsets: APM
 * vol. 2, appendix B "Layout of VMCB".
 */
static bool is_save(size_t i)
{
	return fields[i].offset >= sizeof(struct vmcb_control);
}

/* A line has three fields of one half. The first field behind the line that begins with this one. */
static size_t line_end(size_t begin)
{
	size_t end = begin;

	while (end < countof(fields) && end < begin + FIELDS_A_LINE && is_save(end) == is_save(begin))
		end++;
	return end;
}

static void dump_fields(const struct vm *vm, const struct vmcb *vmcb, size_t begin)
{
	char line[LINE_MAX + 1];
	size_t used = 0, end = line_end(begin);

	for (size_t i = begin; i < end; i++) {
		used += format_buf(line + used, sizeof(line) - used, "%s=%lx ", short_name(fields[i].name),
				   field_value(vmcb, i));
		used = min_size(used, LINE_MAX);
	}
	vm_log(vm, "  %s %s", is_save(begin) ? "save   " : "control", line);
}

/* Line 0 is the exit in words; a vCPU that was never created has no VMCB, and no line. */
bool svm_dump(struct vcpu *vcpu, unsigned line)
{
	const struct svm_vcpu *svm = vcpu->arch;

	if (!svm || !svm->vmcb)
		return false;
	if (!line--) {
		vm_log(vcpu->vm, "  exit code %lx: %s", svm->vmcb->control.exitcode,
		       exit_name(svm_row_of((uint32_t)svm->vmcb->control.exitcode)));
		return true;
	}
	for (size_t i = 0; i < countof(fields); i = line_end(i)) {
		if (line--)
			continue;
		dump_fields(vcpu->vm, svm->vmcb, i);
		return true;
	}
	return false;
}
