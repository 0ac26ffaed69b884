/* SPDX-License-Identifier: MIT */
/* What anybody may do to a VM: write a line about it, ask for its end (contract in vm.h). */
#include "hv/vm.h"

#include <stdatomic.h>

#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/log.h"
#include "hv/look.h"

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	char    line[400];
	va_list args;

	va_start(args, fmt);
	format_vbuf(line, sizeof(line), fmt, args);
	va_end(args);
	log_info("%s: %s", vm->name, line);
}

/*
 * false: it has an end already, and the first reason is the one that matters. The reason is complete before the
 * end is seen, by which another processor knows that there is one.
 */
__attribute__((format(printf, 3, 0))) static bool end_with(struct vm *vm, enum vm_end end, const char *fmt, va_list args)
{
	if (vm->end != VM_END_NONE || atomic_exchange(&vm->has_reason, true))
		return false;
	format_vbuf(vm->end_reason, sizeof(vm->end_reason), fmt, args);
	vm->end = end;
	look_post_end(vm->look);
	host_attention_set();	/* the vCPU that runs here leaves its run loop: it may be one of this VM */
	return true;
}

bool vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	va_list args;
	bool    is_first;

	va_start(args, fmt);
	is_first = end_with(vm, end, fmt, args);
	va_end(args);
	return is_first;
}

bool vm_kill(struct vm *vm, const char *fmt, ...)
{
	va_list args;
	bool    is_first;

	va_start(args, fmt);
	is_first = end_with(vm, VM_END_CRASHED, fmt, args);
	va_end(args);
	if (is_first)
		log_error("%s: stopped: %s", vm->name, vm->end_reason);
	return is_first;
}
