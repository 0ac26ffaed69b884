/* SPDX-License-Identifier: MIT */
/* What anybody may do to a VM: write a line about it, ask for its end (contract in vm.h). */
#include "hv/vm.h"

#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/log.h"

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	char    line[400];
	va_list args;

	va_start(args, fmt);
	format_vbuf(line, sizeof(line), fmt, args);
	va_end(args);
	log_info("%s: %s", vm->name, line);
}

void vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	va_list args;

	if (vm->end != VM_END_NONE)
		return;		/* the first reason is the one that matters */
	vm->end = end;
	host_attention_set();	/* the vCPU that runs leaves its run loop: it may be one of this VM */
	va_start(args, fmt);
	format_vbuf(vm->end_reason, sizeof(vm->end_reason), fmt, args);
	va_end(args);
}

void vm_kill(struct vm *vm, const char *fmt, ...)
{
	va_list args;

	if (vm->end != VM_END_NONE)
		return;
	vm->end = VM_END_CRASHED;
	host_attention_set();
	va_start(args, fmt);
	format_vbuf(vm->end_reason, sizeof(vm->end_reason), fmt, args);
	va_end(args);
	log_error("%s: stopped: %s", vm->name, vm->end_reason);
}
