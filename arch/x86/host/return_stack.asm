; SPDX-License-Identifier: MIT
;
; void return_stack_replace(void): forget all return predictions; see return_stack.inc.

%include "arch/x86/host/return_stack.inc"

bits 64
section .text
global return_stack_replace
return_stack_replace:
	REPLACE_RETURNS RETURN_STACK
	ret
