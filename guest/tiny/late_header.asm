; SPDX-License-Identifier: MIT
; The kernel whose Multiboot header takes longest to find: it ends where the search for it ends, and each word before it
; looks like the first of a header.
%define HEADER_AT	(8192 - 32)	; the header with its address fields has 32 bytes
%include "tiny.inc"
TINY_32

main:
	mov	eax, [boot_info + 4]
	CHECK_EQ eax, 0x2badb002, "late-header.magic"
	DONE
