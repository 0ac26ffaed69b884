; SPDX-License-Identifier: MIT
; CPUID: what is hidden, what is ours, what must not change.
%include "tiny.inc"
TINY_64
%include "check.inc"

main:
	call	registers
	call	features
	call	ours
	call	topology
	call	ranges
	call	osxsave
	call	xsave_leaf
	DONE

registers:
	mov	rax, 0xdeadbeef00000000
	mov	rbx, -1
	mov	rcx, 0xffffffff00000000
	mov	rdx, -1
	mov	rsi, 0x1111111111111111
	mov	rdi, 0x2222222222222222
	mov	rbp, 0x3333333333333333
	mov	r8, 0x4444444444444444
	mov	r15, 0x5555555555555555
	mov	r14, rsp
	stc
	cpuid
	mov	r13, rsp
	CHECK_IF c, "cpuid.keeps-flags"
	CHECK_EQ r13, r14, "cpuid.keeps-rsp"
	shr	rax, 32
	CHECK_EQ rax, 0, "cpuid.rax-upper"
	shr	rbx, 32
	CHECK_EQ rbx, 0, "cpuid.rbx-upper"
	shr	rcx, 32
	CHECK_EQ rcx, 0, "cpuid.rcx-upper"
	shr	rdx, 32
	CHECK_EQ rdx, 0, "cpuid.rdx-upper"
	mov	rax, 0x1111111111111111
	CHECK_EQ rsi, rax, "cpuid.keeps-rsi"
	mov	rax, 0x2222222222222222
	CHECK_EQ rdi, rax, "cpuid.keeps-rdi"
	mov	rax, 0x3333333333333333
	CHECK_EQ rbp, rax, "cpuid.keeps-rbp"
	mov	rax, 0x4444444444444444
	CHECK_EQ r8, rax, "cpuid.keeps-r8"
	mov	rax, 0x5555555555555555
	CHECK_EQ r15, rax, "cpuid.keeps-r15"
	; an operand-size prefix makes it longer and changes nothing else
	xor	eax, eax
	db	0x66
	cpuid
	mov	r8d, ebx
	xor	eax, eax
	cpuid
	CHECK_EQ r8, rbx, "cpuid.prefix"
	ret

features:
	mov	eax, 1
	cpuid
	bt	ecx, 5
	CHECK_IF nc, "cpuid.vmx-hidden"
	bt	ecx, 31
	CHECK_IF c, "cpuid.hypervisor"
	bt	ecx, 3
	CHECK_IF nc, "cpuid.monitor-hidden"
	bt	ecx, 21
	CHECK_IF c, "cpuid.x2apic"
	bt	ecx, 24
	CHECK_IF c, "cpuid.tsc-deadline"
	bt	edx, 9
	CHECK_IF c, "cpuid.apic"
	bt	edx, 28
	CHECK_IF nc, "cpuid.one-thread"
	shr	ebx, 24
	CHECK_EQ rbx, 0, "cpuid.initial-apic-id"
	mov	eax, 0x80000001
	cpuid
	bt	ecx, 2
	CHECK_IF nc, "cpuid.svm-hidden"
	bt	edx, 29
	CHECK_IF c, "cpuid.long-mode"
	mov	eax, 7
	xor	ecx, ecx
	cpuid
	bt	edx, 26			; a speculation-control MSR that we do not have
	CHECK_IF nc, "cpuid.spec-ctrl-hidden"
	mov	eax, 0xa
	cpuid
	and	eax, 0xff
	CHECK_EQ rax, 0, "cpuid.no-pmu"
	; APIC switched off: its bit goes away
	READ_MSR MSR_APIC_BASE
	mov	r8, rax
	and	eax, ~0x800
	wrmsr
	mov	eax, 1
	cpuid
	bt	edx, 9
	CHECK_IF nc, "cpuid.apic-off"
	WRITE_MSR MSR_APIC_BASE, r8
	ret

ours:
	mov	eax, 0x40000000
	cpuid
	CHECK_EQ rbx, 'Trap', "cpuid.signature-b"
	CHECK_EQ rcx, 'ezeH', "cpuid.signature-c"
	CHECK_EQ rdx, 'yper', "cpuid.signature-d"
	cmp	eax, 0x40000010
	CHECK_IF ae, "cpuid.signature-max"
	mov	eax, 0x40000101
	cpuid
	CHECK_EQ rax, 1 << 24 | 1 << 11 | 1 << 9 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 3 | 1 << 1, "cpuid.kvm-features"	; clock, IPIs, flush, kick, EOI, steal time, port 80h
	mov	eax, 0x40000010
	cpuid
	mov	r8d, eax
	cmp	eax, 1000
	CHECK_IF a, "cpuid.tsc-khz"
	CHECK_EQ rbx, 10000, "cpuid.lapic-khz"
	call	is_amd
	test	eax, eax
	jnz	.amd
	mov	eax, 0x15		; crystal * EBX / EAX
	cpuid
	mov	r9d, eax
	mov	eax, ecx
	imul	rax, rbx
	xor	edx, edx
	div	r9
	xor	edx, edx
	mov	ecx, 1000
	div	rcx
	sub	rax, r8
	inc	rax
	CHECK_RANGE rax, 0, 2, "cpuid.leaf15-agrees"
	ret
.amd:	SKIP	"cpuid.leaf15-agrees", "AMD processors have no such leaf"
	ret

topology:
	xor	eax, eax
	cpuid
	cmp	eax, 0xb
	jb	.none
	mov	eax, 0xb
	xor	ecx, ecx
	cpuid
	CHECK_EQ rdx, 0, "cpuid.x2apic-id"
	CHECK_EQ rcx, 0x100, "cpuid.level-smt"
	CHECK_EQ rbx, 1, "cpuid.threads"
	mov	eax, 0xb
	mov	ecx, 1
	cpuid
	CHECK_EQ rcx, 0x201, "cpuid.level-core"
	CHECK_EQ rbx, 1, "cpuid.cores"
	mov	eax, 0xb
	mov	ecx, 2
	cpuid
	CHECK_EQ rax, 0, "cpuid.level-end"
	CHECK_EQ rcx, 2, "cpuid.level-end-number"
.none:	ret

; Beyond the last basic leaf: Intel repeats that leaf, AMD says nothing.
ranges:
	xor	eax, eax
	cpuid
	xor	ecx, ecx
	cpuid				; the last leaf
	mov	r8d, eax
	mov	r9d, ebx
	mov	eax, 0x3fffffff
	xor	ecx, ecx
	cpuid
	mov	r10d, eax
	mov	r11d, ebx
	call	is_amd
	test	eax, eax
	jz	.intel
	xor	r8d, r8d
	xor	r9d, r9d
.intel:	CHECK_EQ r10, r8, "cpuid.out-of-range-a"
	CHECK_EQ r11, r9, "cpuid.out-of-range-b"
	mov	eax, 0x4fffffff
	cpuid
	or	eax, ebx
	or	eax, ecx
	or	eax, edx
	CHECK_EQ rax, 0, "cpuid.out-of-range-hypervisor"
	mov	eax, 0x80000008
	cpuid
	and	eax, 0xff
	CHECK_RANGE rax, 32, 52, "cpuid.physical-bits"
	ret

osxsave:
	mov	eax, 1
	cpuid
	bt	ecx, 26
	jnc	.none
	mov	rax, cr4
	and	rax, ~(1 << 18)
	mov	cr4, rax
	mov	eax, 1
	cpuid
	bt	ecx, 27
	CHECK_IF nc, "cpuid.osxsave-off"
	mov	rax, cr4
	or	rax, 1 << 18
	mov	cr4, rax
	mov	eax, 1
	cpuid
	bt	ecx, 27
	CHECK_IF c, "cpuid.osxsave-on"
	ret
.none:	SKIP	"cpuid.osxsave", "no XSAVE on this processor"
	ret

%macro XSAVE_SIZE 1			; rax: leaf 0xd's size with this XCR0
	xor	ecx, ecx
	xor	edx, edx
	mov	eax, %1
	xsetbv
	mov	eax, 0xd
	xor	ecx, ecx
	cpuid
	mov	eax, ebx
%endmacro

xsave_leaf:
	mov	rax, cr4
	bt	rax, 18
	jnc	.none
	mov	eax, 0xd
	xor	ecx, ecx
	cpuid
	mov	r8d, eax
	mov	r9d, ecx
	and	eax, 3
	CHECK_EQ rax, 3, "cpuid.xcr0-x87-sse"
	XSAVE_SIZE 1
	CHECK_EQ rax, 576, "cpuid.xsave-size-x87"
	cmp	eax, r9d
	CHECK_IF be, "cpuid.xsave-size-max"
	test	r8d, 4
	jz	.none
	XSAVE_SIZE 7
	CHECK_EQ rax, 832, "cpuid.xsave-size-avx"
	mov	eax, 0xd
	mov	ecx, 2
	cpuid
	CHECK_EQ rax, 256, "cpuid.avx-size"
	CHECK_EQ rbx, 576, "cpuid.avx-offset"
.none:	ret
