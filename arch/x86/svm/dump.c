/* SPDX-License-Identifier: MIT */
/*
 * The VMCB in words: every field by the manual's name, from the list in svm.h. The VMCB is memory, so
 * offsets and sizes suffice to print it, also when VMRUN has refused it.
 */
#include "arch/x86/svm/svm.h"

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

static void dump_fields(const struct vm *vm, const struct vmcb *vmcb)
{
	for (size_t i = 0; i < countof(fields); ) {
		char line[LINE_MAX + 1];
		size_t used = 0;
		bool is_save = fields[i].offset >= sizeof(struct vmcb_control);

		for (unsigned k = 0; k < FIELDS_A_LINE && i < countof(fields); k++, i++) {
			if (is_save != (fields[i].offset >= sizeof(struct vmcb_control)))
				break;
			used += format_buf(line + used, sizeof(line) - used, "%s=%lx ", short_name(fields[i].name),
					   field_value(vmcb, i));
			if (used >= LINE_MAX)
				used = LINE_MAX;
		}
		vm_log(vm, "  %s %s", is_save ? "save   " : "control", line);
	}
}

void svm_dump(struct vcpu *vcpu, unsigned part)
{
	const struct svm_vcpu *svm = vcpu->arch;

	if (part || !svm || !svm->vmcb)
		return;
	vm_log(vcpu->vm, "  exit code %lx: %s", svm->vmcb->control.exitcode,
	       exit_name(svm_row_of((uint32_t)svm->vmcb->control.exitcode)));
	dump_fields(vcpu->vm, svm->vmcb);
}
