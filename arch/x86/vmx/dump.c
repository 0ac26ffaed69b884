/* SPDX-License-Identifier: MIT */
/*
 * Every VMCS field by name, from the list in vmx.h, grouped as the manual groups them. This is the only way
 * to look at a VMCS: its memory has a layout that only the processor knows. A field that this processor
 * lacks reads as 0.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "hv/vm.h"

const struct vmcs_field_info vmcs_fields[] = {
#define C 'C'
#define G 'G'
#define H 'H'
#define R 'R'
#define ROW(encoding, id, text, kind) { encoding, kind, text },
	VMX_FIELDS(ROW)
#undef ROW
#undef C
#undef G
#undef H
#undef R
};
const uint32_t vmcs_field_count = countof(vmcs_fields);

/*
 * Of the title and the fields behind it the line that *line counts down to. False: there are fewer; it has
 * counted those.
 */
static bool dump_group(struct vcpu *vcpu, char kind, const char *title, unsigned *line)
{
	if (!(*line)--) {
		vm_log(vcpu->vm, "  %s", title);
		return true;
	}
	for (uint32_t i = 0; i < vmcs_field_count; i++) {
		if (vmcs_fields[i].kind != kind || (*line)--)
			continue;
		vm_log(vcpu->vm, "    %04x %-40s %016lx", vmcs_fields[i].encoding, vmcs_fields[i].name,
		       vmread_optional(vmcs_fields[i].encoding));
		return true;
	}
	return false;
}

bool vmx_dump(struct vcpu *vcpu, unsigned line)
{
	static const struct { char kind; const char *title; } groups[] = {
		{ 'R', "read-only data" }, { 'G', "guest state" }, { 'C', "controls" }, { 'H', "host state" },
	};

	vmx_use(vcpu);
	if (!line--) {
		vm_log(vcpu->vm, "  cr2 %016lx (not a field: as the guest left it)",
		       vcpu == this_cpu()->loaded ? read_cr2() : vcpu->cr2);
		return true;
	}
	for (size_t i = 0; i < countof(groups); i++)
		if (dump_group(vcpu, groups[i].kind, groups[i].title, &line))
			return true;
	return false;
}
