; SPDX-License-Identifier: MIT
; Memory-mapped devices: every form of instruction that we carry out, each compared with the same instruction
; on RAM, and what nobody answers.
%include "tiny.inc"
TINY_64
%include "check.inc"

NOBODY		equ NOT_A_DEVICE
IOAPIC		equ 0xfec00000
IOAPIC_WINDOW	equ IOAPIC + 0x10
LAPIC		equ 0xfee00000
VIRTIO		equ 0xd0000000
PATTERN		equ 0x1122334455667788
FLAGS_ALL	equ 0x8d5
RAM_COPY	equ 0x200000
START		equ 0x00010047		; a redirection entry: masked, vector 0x47

main:
	mov	r12, NOBODY
	call	nobody
	call	extend
	call	lapic
	call	virtio
	mov	r12, IOAPIC
	mov	dword [r12], 0x12	; entry of pin 1, low half
	mov	r12, IOAPIC_WINDOW
	mov	r13, RAM_COPY
	call	stores
	call	arithmetic
	call	bits_and_exchange
	call	rarer_forms
	call	strings
	call	faults
	DONE

nobody:
	mov	rax, PATTERN
	mov	al, [r12]
	CHECK_IMM64 rax, 0x11223344556677ff, "mmio.nobody-8"
	mov	rax, PATTERN
	mov	ax, [r12 + 2]
	CHECK_IMM64 rax, 0x112233445566ffff, "mmio.nobody-16"
	mov	rax, PATTERN
	mov	eax, [r12 + 4]
	CHECK_IMM64 rax, 0x00000000ffffffff, "mmio.nobody-32"
	mov	rax, PATTERN
	mov	rax, [r12 + 8]
	CHECK_EQ rax, -1, "mmio.nobody-64"
	mov	rax, PATTERN
	mov	rbx, r12
	mov	ah, [rbx]
	CHECK_IMM64 rax, 0x112233445566ff88, "mmio.nobody-ah"
	mov	rax, PATTERN
	mov	[r12], al
	mov	[r12], ax
	mov	[r12], eax
	mov	[r12], rax
	mov	qword [r12 + 16], 5
	CHECK_IMM64 rax, PATTERN, "mmio.nobody-writes"
	mov	rax, [r12 + 8]
	CHECK_EQ rax, -1, "mmio.nobody-kept-nothing"
	; addressing: index and scale, FS, an absolute address in RAX' own form, 32-bit addresses, RIP-relative is RAM
	mov	ebx, 4
	mov	eax, [r12 + rbx * 8 + 0x20]
	inc	eax
	CHECK_EQ rax, 0, "mmio.sib"
	db	0xa1			; MOV EAX, moffs64
	dq	NOBODY + 0x40
	inc	eax
	CHECK_EQ rax, 0, "mmio.moffs"
	WRITE_MSR 0xc0000100, NOBODY
	xor	eax, eax
	mov	eax, [fs:0x10]
	inc	eax
	CHECK_EQ rax, 0, "mmio.fs"
	mov	rbx, 0xdead0000e0000000
	xor	eax, eax
	a32 mov	eax, [ebx + 8]
	inc	eax
	CHECK_EQ rax, 0, "mmio.a32"
	; across two pages that nobody answers
	mov	rax, [r12 + PAGE - 3]
	CHECK_EQ rax, -1, "mmio.crossing"
	mov	[r12 + PAGE - 3], rax
	; the VGA's window is plain memory, whatever the instruction
	mov	ebx, 0xa0000
	mov	dword [rbx], 0x12345678
	mov	eax, [rbx]
	CHECK_EQ rax, 0x12345678, "mmio.vga-window"
	mov	ebx, 0xbfff0
	movaps	[rbx], xmm0
	fnstcw	[rbx]
	movzx	eax, word [rbx]
	CHECK_EQ rax, 0x37f, "mmio.vga-window-end"
	ret

extend:
	mov	rax, PATTERN
	movzx	eax, byte [r12]
	CHECK_EQ rax, 0xff, "mmio.movzx-32-8"
	mov	rax, PATTERN
	movzx	ax, byte [r12]
	CHECK_IMM64 rax, 0x11223344556600ff, "mmio.movzx-16-8"
	mov	rax, PATTERN
	movzx	rax, word [r12]
	CHECK_EQ rax, 0xffff, "mmio.movzx-64-16"
	mov	rax, PATTERN
	movsx	eax, byte [r12]
	CHECK_IMM64 rax, 0x00000000ffffffff, "mmio.movsx-32-8"
	mov	rax, PATTERN
	movsx	rax, word [r12]
	CHECK_EQ rax, -1, "mmio.movsx-64-16"
	mov	rax, PATTERN
	movsxd	rax, dword [r12]
	CHECK_EQ rax, -1, "mmio.movsxd"
	mov	rax, PATTERN
	movsx	ax, byte [r12]
	CHECK_IMM64 rax, 0x112233445566ffff, "mmio.movsx-16-8"
	ret

lapic:
	mov	rbx, LAPIC
	mov	eax, [rbx + 0x20]
	shr	eax, 24
	CHECK_EQ rax, 0, "mmio.lapic-id"
	mov	eax, [rbx + 0x30]
	and	eax, 0xff
	CHECK_RANGE rax, 0x10, 0x1f, "mmio.lapic-version"
	mov	dword [rbx + 0x80], 0x60
	mov	eax, [rbx + 0x80]
	CHECK_EQ rax, 0x60, "mmio.lapic-tpr"
	mov	dword [rbx + 0x80], 0
	mov	dword [rbx + 0x320], 0x10055
	mov	eax, [rbx + 0x320]
	CHECK_EQ rax, 0x10055, "mmio.lapic-lvt"
	; the page goes away with the enable bit of its MSR
	READ_MSR MSR_APIC_BASE
	mov	r8, rax
	and	eax, ~0x800
	wrmsr
	mov	eax, [rbx + 0x30]
	inc	eax
	CHECK_EQ rax, 0, "mmio.lapic-off"
	WRITE_MSR MSR_APIC_BASE, r8
	ret

virtio:
	mov	rbx, VIRTIO
	mov	eax, [rbx]
	CHECK_EQ rax, 'virt', "mmio.virtio-magic"
	mov	eax, [rbx + 4]
	CHECK_EQ rax, 2, "mmio.virtio-version"
	mov	eax, [rbx + 8]
	CHECK_EQ rax, 3, "mmio.virtio-console"
	mov	eax, [rbx + 0x1008]
	CHECK_EQ rax, 4, "mmio.virtio-rng"
	mov	eax, [rbx + 0x70]
	CHECK_EQ rax, 0, "mmio.virtio-status"
	mov	dword [rbx + 0x70], 1
	mov	eax, [rbx + 0x70]
	CHECK_EQ rax, 1, "mmio.virtio-status-write"
	mov	dword [rbx + 0x14], 1
	mov	eax, [rbx + 0x10]
	and	eax, 1
	CHECK_EQ rax, 1, "mmio.virtio-version-1"
	mov	dword [rbx + 0x70], 0
	mov	eax, [rbx + 0x70]
	CHECK_EQ rax, 0, "mmio.virtio-reset"
	; a window without a device
	mov	eax, [rbx + 0x7000]
	inc	eax
	CHECK_EQ rax, 0, "mmio.virtio-nobody"
	ret

stores:
	mov	dword [r12], START
	mov	eax, [r12]
	CHECK_EQ rax, START, "mmio.mov-imm32"
	mov	ebx, START + 1
	mov	[r12], ebx
	mov	eax, [r12]
	CHECK_EQ rax, START + 1, "mmio.mov-r32"
	mov	r9d, START + 2
	mov	[r12], r9d
	mov	r10d, [r12]
	CHECK_EQ r10, START + 2, "mmio.mov-r8-15"
	ret

; SAME "name", instruction with m as dword operand: on the device and on RAM, result's low byte and flags
%macro SAME 2+
	mov	dword [r12], START
	mov	dword [r13], START
	mov	eax, 0x11
	mov	ebx, 0x15
	mov	ecx, 0
	push	FLAGS_IN
	popfq
%define m dword [r13]
	%2
	pushfq
	pop	r8
	mov	r9d, eax
	mov	r10d, ebx
	mov	eax, 0x11
	mov	ebx, 0x15
	push	FLAGS_IN
	popfq
%define m dword [r12]
	%2
	pushfq
	pop	r11
	xor	eax, r9d
	xor	ebx, r10d
	or	eax, ebx
	CHECK_EQ rax, 0, {%1, " registers"}
	and	r8d, FLAGS_SEEN
	and	r11d, FLAGS_SEEN
	CHECK_EQ r11, r8, {%1, " flags"}
	movzx	eax, byte [r13]
	mov	ebx, [r12]
	movzx	ebx, bl
	CHECK_EQ rbx, rax, {%1, " result"}
%undef m				; or the next call would expand it before we do
%endmacro

arithmetic:
%define FLAGS_IN 3			; with carry
%define FLAGS_SEEN FLAGS_ALL
	SAME	"mmio.add-r", add m, ebx
	SAME	"mmio.add-i8", add m, 0x11
	SAME	"mmio.add-i32", add m, 0x12345678
	SAME	"mmio.adc-r", adc m, ebx
	SAME	"mmio.sub-r", sub m, ebx
	SAME	"mmio.sub-i", sub m, 0x7fffffff
	SAME	"mmio.sbb-i", sbb m, 0x21
	SAME	"mmio.and-r", and m, ebx
	SAME	"mmio.and-i", and m, 0x10005
	SAME	"mmio.or-i", or m, 0x88
	SAME	"mmio.or-r", or m, ebx
	SAME	"mmio.xor-r", xor m, ebx
	SAME	"mmio.cmp-r", cmp m, ebx
	SAME	"mmio.cmp-i", cmp m, START
	SAME	"mmio.cmp-load", cmp ebx, m
	SAME	"mmio.test-r", test m, ebx
	SAME	"mmio.test-i", test m, 0x40
	SAME	"mmio.inc", inc m
	SAME	"mmio.dec", dec m
	SAME	"mmio.neg", neg m
	SAME	"mmio.not", not m
	SAME	"mmio.add-load", add ebx, m
	SAME	"mmio.sub-load", sub ebx, m
	SAME	"mmio.xor-load", xor ebx, m
	SAME	"mmio.or-load", or ebx, m
	SAME	"mmio.and-load", and ebx, m
	SAME	"mmio.adc-load", adc ebx, m
	SAME	"mmio.lock-or", lock or m, 0x88
	SAME	"mmio.lock-add", lock add m, ebx
	ret

bits_and_exchange:
	SAME	"mmio.xchg", xchg m, ebx
	SAME	"mmio.xadd", xadd m, ebx
	SAME	"mmio.lock-xadd", lock xadd m, ebx
	SAME	"mmio.cmpxchg-no", cmpxchg m, ebx
	mov	dword [r12], START
	mov	eax, START
	mov	ebx, START + 9
	lock cmpxchg [r12], ebx
	CHECK_IF z, "mmio.cmpxchg-yes"
	mov	eax, [r12]
	CHECK_EQ rax, START + 9, "mmio.cmpxchg-stored"
	SAME	"mmio.bt", bt m, 6
	SAME	"mmio.bts", bts m, 3
	SAME	"mmio.btr", btr m, 6
	SAME	"mmio.btc", btc m, 0
	SAME	"mmio.lock-bts", lock bts m, 4
	SAME	"mmio.bts-r", bts m, ecx
	ret

; What a compiler makes of device registers now and then.
rarer_forms:
	SAME	"mmio.shl-1", shl m, 1
	SAME	"mmio.shr-i", shr m, 3
	SAME	"mmio.sar-cl", sar m, cl
	SAME	"mmio.rol-i", rol m, 1
	SAME	"mmio.rcr-i", rcr m, 1
	SAME	"mmio.shld", shld m, ebx, 1
%define FLAGS_SEEN 0x40			; ZF alone is defined
	SAME	"mmio.bsf", bsf ebx, m
	SAME	"mmio.bsr", bsr ebx, m
%define FLAGS_SEEN 0x801		; OF and CF alone are defined
	SAME	"mmio.imul", imul ebx, m
	SAME	"mmio.imul-i", imul ebx, m, 0x55
	SAME	"mmio.mul", mul m
%define FLAGS_SEEN FLAGS_ALL
	SAME	"mmio.cmovc", cmovc ebx, m
	SAME	"mmio.cmovz", cmovz ebx, m
	mov	rax, PATTERN
	mov	rdi, NOBODY
	push	qword [rdi]
	pop	rax
	CHECK_EQ rax, -1, "mmio.push-m"
	mov	rbx, rsp
	push	rax
	pop	qword [rdi + 8]
	mov	r8, rsp
	CHECK_EQ r8, rbx, "mmio.pop-m-rsp"
	mov	rsp, NOBODY + 0x800
	push	rax
	mov	r8, rsp
	pop	rax
	mov	r9, rsp
	mov	rsp, rbx
	CHECK_EQ rax, -1, "mmio.stack-on-nothing"
	mov	rax, NOBODY + 0x7f8
	CHECK_EQ r8, rax, "mmio.push-rsp"
	add	rax, 8
	CHECK_EQ r9, rax, "mmio.pop-rsp"
	stc
	setc	byte [rdi]
	mov	rax, PATTERN
	mov	rdx, PATTERN
	cmpxchg16b [rdi]
	CHECK_IF nz, "mmio.cmpxchg16b"
	and	rax, rdx
	CHECK_EQ rax, -1, "mmio.cmpxchg16b-read"
	; vector registers, to a device and where nothing is
	mov	dword [r12], START
	mov	eax, 0x5555
	movd	xmm3, eax
	movd	xmm3, [r12]
	movq	rax, xmm3
	CHECK_EQ rax, START, "mmio.movd-load"
	mov	eax, START + 0x11
	movd	xmm9, eax
	movd	[r12], xmm9
	mov	eax, [r12]
	CHECK_EQ rax, START + 0x11, "mmio.movd-store"
	movups	xmm1, [rdi]
	movups	[rdi], xmm3
	movhlps	xmm2, xmm1
	movq	rax, xmm1
	movq	rbx, xmm2
	and	rax, rbx
	CHECK_EQ rax, -1, "mmio.movups-nobody"
	movq	rax, xmm3
	CHECK_EQ rax, START, "mmio.movups-kept-others"
	; x87: the processor computes, on the guest's registers
	fninit
	mov	dword [r12], START
	fild	dword [r12]
	fiadd	dword [r12]
	fistp	dword [r12]
	mov	eax, [r12]
	and	eax, 0xff
	CHECK_EQ rax, 0x8e, "mmio.x87"
	; what no form is for: the processor itself reads ones, and a write is stepped over
	mov	rdi, NOBODY + 4 * PAGE
	xor	eax, eax
	popcnt	rax, [rdi]
	CHECK_EQ rax, 64, "mmio.unknown-read"
	sgdt	[rdi]
	mov	rax, [rdi]
	CHECK_EQ rax, -1, "mmio.unknown-write"
	; the page may become the local APIC's all the same
	READ_MSR MSR_APIC_BASE
	mov	r8, rax
	lea	rbx, [rdi + 0x800]
	WRITE_MSR MSR_APIC_BASE, rbx
	mov	eax, [rdi + 0x30]
	and	eax, 0xf0
	CHECK_EQ rax, 0x10, "mmio.hole-becomes-apic"
	WRITE_MSR MSR_APIC_BASE, r8
	mov	eax, [rdi + 0x30]
	inc	eax
	CHECK_EQ rax, 0, "mmio.hole-again"
	ret

strings:
	mov	rdi, r12
	mov	eax, 0x10033
	stosd
	mov	ebx, [r12]
	CHECK_EQ rbx, 0x10033, "mmio.stosd"
	lea	rax, [r12 + 4]
	CHECK_EQ rdi, rax, "mmio.stosd-rdi"
	mov	dword [r13], 0x10034
	mov	rsi, r13
	mov	rdi, r12
	movsd
	mov	ebx, [r12]
	CHECK_EQ rbx, 0x10034, "mmio.movsd-out"
	mov	dword [r13], 0
	mov	rsi, r12
	mov	rdi, r13
	movsd
	mov	ebx, [r13]
	CHECK_EQ rbx, 0x10034, "mmio.movsd-in"
	mov	rsi, r12
	lodsd
	CHECK_EQ rax, 0x10034, "mmio.lodsd"
	; REP, both directions
	mov	rdi, NOBODY
	mov	ecx, 300
	mov	eax, 7
	rep	stosd
	CHECK_EQ rcx, 0, "mmio.rep-stosd-rcx"
	mov	rax, NOBODY + 1200
	CHECK_EQ rdi, rax, "mmio.rep-stosd-rdi"
	mov	rsi, NOBODY
	mov	edi, RAM_COPY
	mov	ecx, 300
	rep	movsb
	CHECK_EQ rdi, RAM_COPY + 300, "mmio.rep-movsb-rdi"
	mov	edi, RAM_COPY
	mov	ecx, 300
	mov	al, 0xff
	repe	scasb
	CHECK_EQ rcx, 0, "mmio.rep-movsb"
	std
	mov	rsi, NOBODY + 28
	mov	edi, RAM_COPY + 1028
	mov	ecx, 8
	rep	movsd
	cld
	CHECK_EQ rdi, RAM_COPY + 996, "mmio.rep-movsd-down"
	mov	rdi, NOBODY
	mov	al, 0xff
	mov	ecx, 20
	repe	scasb
	CHECK_EQ rcx, 0, "mmio.repe-scasb"
	mov	rdi, NOBODY
	mov	al, 1
	mov	ecx, 20
	repe	scasb
	CHECK_EQ rcx, 19, "mmio.repe-scasb-stops"
	ret

; Faults of the operand that is RAM, and of the page that leads to the device.
faults:
	mov	rax, SMALL_PAGES + 3 * PAGE
	call	unmap_page
	mov	rsi, NOBODY
	mov	edi, SMALL_PAGES + 3 * PAGE
	mov	ecx, 4
	EXPECT_FAULT 14, "mmio.movs-fault", {rep movsd}
	CHECK_EQ qword [fault_error], 2, "mmio.movs-fault-code"
	mov	rax, cr2
	CHECK_EQ rax, SMALL_PAGES + 3 * PAGE, "mmio.movs-fault-cr2"
	CHECK_EQ rcx, 4, "mmio.movs-fault-rcx"
	mov	rax, NOBODY
	CHECK_EQ rsi, rax, "mmio.movs-fault-rsi"
	mov	edi, SMALL_PAGES + 3 * PAGE - 8
	EXPECT_FAULT 14, "mmio.movs-fault-later", {rep movsd}
	CHECK_EQ rcx, 2, "mmio.movs-fault-later-rcx"
	; through a small page to the device, read-only: a write is the guest's own #PF
	mov	rax, 0xfec00015
	mov	[SMALL_TABLE + 4 * 8], rax
	mov	rax, cr0
	bts	rax, 16
	mov	cr0, rax
	mov	rax, cr3
	mov	cr3, rax
	mov	eax, [SMALL_PAGES + 4 * PAGE + 0x10]
	CHECK_EQ rax, 0x10034, "mmio.alias"
	EXPECT_FAULT 14, "mmio.read-only", {mov dword [SMALL_PAGES + 4 * PAGE + 0x10], 5}
	CHECK_EQ qword [fault_error], 3, "mmio.read-only-code"
	EXPECT_FAULT 14, "mmio.read-only-rmw", {or dword [SMALL_PAGES + 4 * PAGE + 0x10], 5}
	mov	eax, [r12]
	CHECK_EQ rax, 0x10034, "mmio.read-only-kept"
	ret
