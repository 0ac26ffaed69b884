; SPDX-License-Identifier: MIT
; RDMSR and WRMSR: values, refusals with #GP on the instruction itself, registers that must keep.
%include "tiny.inc"
TINY_64
%include "check.inc"

EFER_HERE	equ 0xd01		; SCE, LME, LMA, NXE
PAT_RESET	equ 0x0007040600070406

; GP_READ number, name
%macro GP_READ 2
	mov	ecx, %1
	EXPECT_FAULT 13, %2, rdmsr
%endmacro

; GP_WRITE number, value, name: #GP, and the register keeps its value where it can be read
%macro GP_WRITE 3
	mov	rax, %2
	mov	rdx, rax
	shr	rdx, 32
	mov	ecx, %1
	EXPECT_FAULT 13, %3, wrmsr
%endmacro

; KEEPS number, value, name: what is written is read back
%macro KEEPS 3
	WRITE_MSR %1, %2
	READ_MSR %1
	CHECK_IMM64 rax, %2, %3
%endmacro

main:
	call	refused
	call	efer
	call	apic_base
	call	syscall_group
	call	pat
	call	mtrr
	call	time
	call	deadline
	call	x2apic
	call	vendor
	DONE

refused:
	mov	rax, -1
	mov	rdx, -1
	mov	ecx, 0x1234
	EXPECT_FAULT 13, "msr.unknown-read", rdmsr
	CHECK_EQ rax, -1, "msr.refused-keeps-rax"
	CHECK_EQ rdx, -1, "msr.refused-keeps-rdx"
	CHECK_EQ qword [fault_error], 0, "msr.refused-error-code"
	GP_READ 0xc0012345, "msr.unknown-high-read"
	GP_READ 0x40000000, "msr.between-ranges-read"
	GP_READ 0xffffffff, "msr.last-read"
	GP_READ 0x2000, "msr.behind-bitmap-read"
	GP_WRITE 0x1234, 0, "msr.unknown-write"
	GP_WRITE 0xc0012345, 0, "msr.unknown-high-write"
	GP_WRITE 0x40000000, 0, "msr.between-ranges-write"
	GP_WRITE 0xfe, 0, "msr.read-only-write"		; MTRRCAP
	GP_READ 0xc1, "msr.pmu-hidden"
	GP_READ 0x48, "msr.spec-ctrl-hidden"
	GP_READ 0xc0000104, "msr.tsc-ratio-hidden"
	; only ECX counts, and the upper halves of the results become zero
	mov	rcx, 0xffffffff0000001b
	mov	rax, -1
	mov	rdx, -1
	rdmsr
	shr	rax, 32
	shr	rdx, 32
	CHECK_EQ rax, 0, "msr.rax-upper"
	CHECK_EQ rdx, 0, "msr.rdx-upper"
	mov	rax, 0xffffffff0000001b
	CHECK_EQ rcx, rax, "msr.keeps-rcx"
	ret

efer:
	READ_MSR MSR_EFER
	CHECK_EQ rax, EFER_HERE, "msr.efer"
	GP_WRITE MSR_EFER, EFER_HERE | 0x2, "msr.efer-reserved"
	GP_WRITE MSR_EFER, EFER_HERE | 0x1000, "msr.efer-svme"
	GP_WRITE MSR_EFER, EFER_HERE & ~0x100, "msr.efer-lme-while-paging"
	READ_MSR MSR_EFER
	CHECK_EQ rax, EFER_HERE, "msr.efer-kept"
	WRITE_MSR MSR_EFER, EFER_HERE & ~0x801
	READ_MSR MSR_EFER
	CHECK_EQ rax, EFER_HERE & ~0x801, "msr.efer-sce-nxe-off"
	; without NXE bit 63 of an entry is reserved: #PF with the reserved bit in its code
	mov	rax, SMALL_PAGES
	call	unmap_page
	mov	rbx, 0x8000000000400007
	mov	[SMALL_TABLE], rbx
	EXPECT_FAULT 14, "msr.nx-reserved", {mov al, [SMALL_PAGES]}
	and	qword [fault_error], 0x18
	CHECK_EQ qword [fault_error], 8, "msr.nx-reserved-code"
	WRITE_MSR MSR_EFER, EFER_HERE
	mov	al, [SMALL_PAGES]
	CHECK_EQ 1, 1, "msr.nx-again"
	ret

apic_base:
	READ_MSR MSR_APIC_BASE
	CHECK_IMM64 rax, 0xfee00900, "msr.apic-base"
	GP_WRITE MSR_APIC_BASE, 0xfee00901, "msr.apic-base-reserved"
	GP_WRITE MSR_APIC_BASE, 0xfee00500, "msr.apic-base-x2-alone"
	GP_WRITE MSR_APIC_BASE, 0x10000000fee00900, "msr.apic-base-wide"
	; the page moves; where it was is nothing any more
	WRITE_MSR MSR_APIC_BASE, 0xfed00900
	mov	eax, 0xfed00030
	mov	eax, [rax]
	and	eax, 0xff
	CHECK_RANGE rax, 0x10, 0x1f, "msr.apic-moved"
	mov	eax, 0xfee00030
	mov	eax, [rax]
	mov	edx, 0xffffffff
	CHECK_EQ rax, rdx, "msr.apic-moved-away"
	WRITE_MSR MSR_APIC_BASE, 0xfee00900
	mov	eax, 0xfee00030
	mov	eax, [rax]
	and	eax, 0xff
	CHECK_RANGE rax, 0x10, 0x1f, "msr.apic-moved-back"
	READ_MSR MSR_APIC_BASE
	CHECK_IMM64 rax, 0xfee00900, "msr.apic-base-kept"
	ret

syscall_group:
	KEEPS 0xc0000081, 0x0023001000000000, "msr.star"
	KEEPS 0xc0000082, 0xffffffff81000000, "msr.lstar"
	KEEPS 0xc0000083, 0xffffffff81000040, "msr.cstar"
	KEEPS 0xc0000084, 0x47700, "msr.sfmask"
	KEEPS 0xc0000102, 0xffff888000000000, "msr.kernel-gs-base"
	KEEPS 0xc0000100, 0x00007f0000001000, "msr.fs-base"
	KEEPS 0xc0000101, 0xffff888000000080, "msr.gs-base"
	KEEPS 0x174, 0x10, "msr.sysenter-cs"
	KEEPS 0x175, 0x80000, "msr.sysenter-esp"
	KEEPS 0x176, 0x81000000, "msr.sysenter-eip"
	swapgs
	READ_MSR 0xc0000101
	CHECK_IMM64 rax, 0xffff888000000000, "msr.swapgs"
	mov	eax, 0x80000001
	cpuid
	bt	edx, 27
	jnc	.none
	KEEPS 0xc0000103, 0x12345, "msr.tsc-aux"
	xor	ecx, ecx
	rdtscp
	CHECK_EQ rcx, 0x12345, "msr.rdtscp"
.none:	ret

pat:
	READ_MSR 0x277
	CHECK_IMM64 rax, PAT_RESET, "msr.pat-reset"
	GP_WRITE 0x277, 0x0007040600070402, "msr.pat-reserved-2"
	GP_WRITE 0x277, 0x0307040600070406, "msr.pat-reserved-3"
	GP_WRITE 0x277, 0x0007040800070406, "msr.pat-reserved-8"
	READ_MSR 0x277
	CHECK_IMM64 rax, PAT_RESET, "msr.pat-kept"
	KEEPS 0x277, 0x0407050600070106, "msr.pat"
	WRITE_MSR 0x277, PAT_RESET
	ret

mtrr:
	READ_MSR 0xfe
	and	eax, 0x5ff
	CHECK_EQ rax, 0x508, "msr.mtrrcap"
	READ_MSR 0x2ff
	CHECK_EQ rax, 0xc06, "msr.mtrr-def-type"
	GP_WRITE 0x2ff, 0xc02, "msr.mtrr-def-reserved-type"
	GP_WRITE 0x2ff, 0x1c06, "msr.mtrr-def-reserved-bit"
	KEEPS 0x200, 0x80000000, "msr.mtrr-base"
	KEEPS 0x201, 0xf80000800, "msr.mtrr-mask"
	GP_WRITE 0x200, 0x80000002, "msr.mtrr-base-type"
	GP_WRITE 0x201, 0xf80000001, "msr.mtrr-mask-reserved"
	GP_WRITE 0x201, 0xfff0000080000800, "msr.mtrr-mask-wide"
	KEEPS 0x250, 0x0606060606060604, "msr.mtrr-fix64k"
	GP_WRITE 0x26f, 0x0202020202020202, "msr.mtrr-fix4k-type"
	GP_READ 0x210, "msr.mtrr-pair-8"
	ret

time:
	WRITE_MSR 0x10, 0
	call	now
	CHECK_RANGE rax, 0, 0x3fffffff, "msr.tsc-write"
	mov	rbx, 0x4000000000
	READ_MSR 0x3b
	mov	r8, rax
	add	rax, rbx
	mov	r9, rax
	call	now
	mov	r10, rax
	WRITE_MSR 0x3b, r9
	call	now
	sub	rax, r10
	sub	rax, rbx
	CHECK_RANGE rax, 0, 0x3fffffff, "msr.tsc-adjust"
	READ_MSR 0x3b
	CHECK_EQ rax, r9, "msr.tsc-adjust-kept"
	READ_MSR 0x10
	mov	rbx, rax
	call	now
	sub	rax, rbx
	CHECK_RANGE rax, 0, 0x3fffffff, "msr.tsc-read"
	ret

deadline:
	mov	eax, 0xfee00000
	mov	dword [rax + 0x320], 0x50040	; TSC-deadline, masked
	mov	rbx, 0x7fffffff00000000
	WRITE_MSR 0x6e0, rbx
	READ_MSR 0x6e0
	CHECK_EQ rax, rbx, "msr.deadline"
	WRITE_MSR 0x6e0, 0
	READ_MSR 0x6e0
	CHECK_EQ rax, 0, "msr.deadline-off"
	mov	eax, 0xfee00000
	mov	dword [rax + 0x320], 0x10040	; one-shot: the deadline register is dead
	WRITE_MSR 0x6e0, rbx
	READ_MSR 0x6e0
	CHECK_EQ rax, 0, "msr.deadline-other-mode"
	ret

x2apic:
	GP_READ 0x802, "msr.x2apic-in-xapic"
	GP_WRITE 0x80b, 0, "msr.x2apic-eoi-in-xapic"
	WRITE_MSR MSR_APIC_BASE, 0xfee00d00
	READ_MSR MSR_APIC_BASE
	CHECK_IMM64 rax, 0xfee00d00, "msr.x2apic-on"
	READ_MSR 0x802
	CHECK_EQ rax, 0, "msr.x2apic-id"
	READ_MSR 0x803
	and	eax, 0xff
	CHECK_RANGE rax, 0x10, 0x1f, "msr.x2apic-version"
	KEEPS 0x808, 0x20, "msr.x2apic-tpr"
	mov	rax, cr8
	CHECK_EQ rax, 2, "msr.x2apic-tpr-is-cr8"
	WRITE_MSR 0x808, 0
	GP_READ 0x80b, "msr.x2apic-eoi-read"
	GP_WRITE 0x802, 0, "msr.x2apic-id-write"
	GP_WRITE 0x80b, 1, "msr.x2apic-eoi-value"
	GP_WRITE 0x808, 0x100, "msr.x2apic-tpr-reserved"
	GP_READ 0x80e, "msr.x2apic-no-dfr"
	GP_READ 0x8ff, "msr.x2apic-last"
	GP_WRITE MSR_APIC_BASE, 0xfee00900, "msr.x2apic-back"
	WRITE_MSR MSR_APIC_BASE, 0xfee00000
	WRITE_MSR MSR_APIC_BASE, 0xfee00900
	READ_MSR MSR_APIC_BASE
	and	eax, 0xc00
	CHECK_EQ rax, 0x800, "msr.x2apic-off"
	ret

vendor:
	call	is_amd
	test	eax, eax
	jnz	.amd
	READ_MSR 0x3a
	CHECK_EQ rax, 1, "msr.feature-control-locked"
	GP_READ 0x480, "msr.vmx-caps-hidden"
	GP_READ 0xc0010114, "msr.vm-cr-on-intel"
	READ_MSR 0xce				; the TSC's rate in units of 100 MHz
	shr	eax, 8
	CHECK_RANGE rax, 1, 255, "msr.platform-info"
	GP_WRITE 0xce, 0, "msr.platform-info-write"
	GP_READ 0xc0010000, "msr.perf-ctl-on-intel"
	READ_MSR 0x1a0
	and	eax, 0x1801
	CHECK_EQ rax, 0x1801, "msr.misc-enable"
	ret
.amd:	mov	ecx, 0xc0010114
	rdmsr
	and	eax, 0x10
	CHECK_EQ rax, 0x10, "msr.svm-disabled"
	GP_READ 0xc0010117, "msr.hsave-hidden"
	GP_READ 0x480, "msr.vmx-caps-hidden"
	GP_READ 0xce, "msr.platform-info-on-amd"
	; four counters that count nothing, without a CPUID bit
	WRITE_MSR 0xc0010000, 0x430076
	READ_MSR 0xc0010000
	CHECK_EQ rax, 0, "msr.perf-ctl"
	WRITE_MSR 0xc0010007, 1
	READ_MSR 0xc0010007
	CHECK_EQ rax, 0, "msr.perf-ctr"
	GP_READ 0xc0010008, "msr.perf-behind"
	mov	rax, -1
	mov	rdx, -1
	mov	ecx, 3
	rdpmc
	or	rax, rdx
	CHECK_EQ rax, 0, "msr.rdpmc"
	ret
