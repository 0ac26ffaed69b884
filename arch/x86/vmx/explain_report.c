/* SPDX-License-Identifier: MIT */
/* A failed VM entry in words: what the processor said, then what explain.c finds by checking the state itself. */
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/vm.h"

static uint64_t read_field(void *ctx, uint32_t field)
{
	(void)ctx;
	return vmread_optional(field);
}

static const char *field_name(uint32_t encoding)
{
	for (uint32_t i = 0; i < vmcs_field_count; i++)
		if (vmcs_fields[i].encoding == encoding)
			return vmcs_fields[i].name;
	return "unnamed field";
}

static void report(void *ctx, const struct vmx_violation *violation)
{
	const struct vcpu *vcpu = ctx;

	vm_log(vcpu->vm, "VM entry: %s = 0x%lx: %s", field_name(violation->field), violation->value,
	       violation->rule);
}

enum exit_result vmx_entry_failed(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);
	uint64_t error = vmread(VMCS_VM_INSTRUCTION_ERROR);
	uint64_t reason = vmx->failed ? 0 : vmread(VMCS_EXIT_REASON);	/* else VMLAUNCH or VMRESUME itself failed */

	if (reason)
		vm_log(vcpu->vm, "VM entry failed: %s", exit_name((uint32_t)field_get(reason, EXIT_REASON_BASIC)));
	else
		vm_log(vcpu->vm, "VM entry failed: VM-instruction error %lu, %s", error,
		       vmx_instruction_error(vmx->failed == 1 ? 0 : (uint32_t)error));
	if (!vmx_explain(&vmx_caps, read_field, report, vcpu))
		vm_log(vcpu->vm, "VM entry: our checks find no violated rule; see the dump");
	return exit_fatal(vcpu, "VM entry failed, reason", reason ? reason : error);
}
