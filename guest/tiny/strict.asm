; SPDX-License-Identifier: MIT
; Values that a processor refuses by itself: addresses in MSRs must be canonical (CVE-2014-3610, XSA-193),
; CR0's upper half must be 0. QEMU's software processor accepts such values, and its error codes count 16 bytes for a
; gate, so this guest does not run there.
%include "tiny.inc"
TINY_64
%include "check.inc"

%macro REFUSES 2
	xor	eax, eax
	mov	edx, 0x00008000		; bit 47 alone
	mov	ecx, %1
	EXPECT_FAULT 13, %2, wrmsr
%endmacro

main:
	REFUSES 0xc0000082, "strict.lstar"
	REFUSES 0xc0000083, "strict.cstar"
	REFUSES 0xc0000100, "strict.fs-base"
	REFUSES 0xc0000101, "strict.gs-base"
	REFUSES 0xc0000102, "strict.kernel-gs-base"
	REFUSES 0x175, "strict.sysenter-esp"
	REFUSES 0x176, "strict.sysenter-eip"
	mov	rax, cr0
	bts	rax, 32
	EXPECT_FAULT 13, "strict.cr0-wide", {mov cr0, rax}
	mov	rdi, IDT64 + 6 * 16
	and	byte [rdi + 5], 0x7f	; #UD's gate is not present
	EXPECT_FAULT 11, "strict.np-from-gate", ud2
	CHECK_EQ qword [fault_error], 6 * 8 + 3, "strict.np-from-gate-code"
	DONE
