; SPDX-License-Identifier: MIT
; The smallest guest: says hello, checks that it can count, leaves.
%include "tiny.inc"
TINY_64
main:
	SAY	"hello from a tiny guest"
	mov	rax, 2
	add	rax, rax
	CHECK_EQ rax, 4, "hello.add"
	DONE
