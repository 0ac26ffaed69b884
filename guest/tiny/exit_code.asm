; SPDX-License-Identifier: MIT
; A guest ends itself by hypercall, with a code.
%include "tiny.inc"
TINY_64
%include "check.inc"
main:
	SAY	"END by hypercall"
	mov	eax, 1
	mov	ebx, 7
	call	hypercall
	SAY	"FAIL still here"
	hlt
