; SPDX-License-Identifier: MIT
; Hardware task switches in 32-bit mode: by JMP, CALL and IRET, by task gates for INT, an exception, an interrupt and
; an NMI; 16- and 32-bit tasks; another CR3, an LDT; what is refused, and in which task the exception comes.
; With "strict" as its command line also checks that fail in QEMU 7.2: its AMD-V does not exit for task switches, and its
; own have faults.
%include "tiny.inc"
TINY_32

; Each page from here holds one TSS; the stack of its task is the end of the page.
TASKS		equ 0x30000
IDT32		equ 0x38000
LDT32		equ 0x38800
DIRECTORY	equ 0x40000		; two page directories of 4 MiB pages
OTHER_DIRECTORY	equ 0x41000
WINDOW		equ 0x40000000		; what OTHER_DIRECTORY maps elsewhere
MARK_A		equ 0x800000
MARK_B		equ 0xc00000

TSS_EIP		equ 0x20
TSS_FLAGS	equ 0x24
TSS_ESP		equ 0x38
TSS_DS		equ 0x54
TSS_FS		equ 0x58
TSS_LDT		equ 0x60
TSS_TRAP	equ 0x64
FLAGS_NT	equ 1 << 14
FLAGS_RF	equ 1 << 16
LAPIC		equ 0xfee00000

; Selectors behind those of tiny.inc, in the order of task_gdt
SEL_MAIN	equ 0x30
SEL_WORK	equ 0x38		; the task that tests prepare and enter
SEL_NARROW	equ 0x40		; with a 16-bit TSS
SEL_SMALL	equ 0x48		; whose limit is one too small
SEL_ABSENT	equ 0x50
SEL_LDT32	equ 0x58
CODE_LOW	equ 0x60		; code with the base of this program: 16-bit offsets
EXEC_ONLY	equ 0x68
GATE_WORK	equ 0x70		; a task gate in the GDT

TSS_MAIN	equ TASKS
TSS_WORK	equ TASKS + 0x1000
TSS_NARROW	equ TASKS + 0x2000
TSS_SMALL	equ TASKS + 0x3000
NARROW_STACK	equ 0x7000

main:
	mov	esi, gdt
	mov	edi, task_gdt
	mov	ecx, 12
	rep	movsd
	lgdt	[task_gdt_ptr]
	call	idt_init
	mov	ax, SEL_MAIN
	ltr	ax
	mov	ebx, [boot_info]
	mov	ebx, [ebx + 16]
	cmp	byte [ebx], 's'
	sete	[is_strict]
	call	jumps
	call	calls
	call	gates
	call	interrupts
	call	narrow
	call	refused
	call	late_faults
	cmp	byte [is_strict], 0
	je	.lenient
	call	traps
.lenient:
	call	other_tables
	DONE

; The work task will start at %1, with fresh segments and registers.
%macro WORK 1
	mov	eax, %1
	call	prepare
%endmacro

prepare:				; eax: entry
	push	edi
	push	ecx
	push	eax
	mov	edi, TSS_WORK
	mov	ecx, 104 / 4
	xor	eax, eax
	rep	stosd
	pop	eax
	mov	edi, TSS_WORK
	mov	[edi + TSS_EIP], eax
	mov	dword [edi + TSS_FLAGS], 2
	mov	dword [edi + TSS_ESP], TSS_WORK + 0x1000
	mov	dword [edi + 0x28], 0x11111111	; EAX
	mov	dword [edi + 0x44], 0x77777777	; EDI
	mov	dword [edi + 0x48], DATA
	mov	dword [edi + 0x4c], CODE32
	mov	dword [edi + 0x50], DATA
	mov	dword [edi + TSS_DS], DATA
	mov	dword [edi + TSS_FS], DATA
	mov	word [edi + 0x66], 104
	mov	ecx, cr3
	mov	[edi + 0x1c], ecx
	mov	byte [work_descriptor + 5], 0x89
	pop	ecx
	pop	edi
	ret

is_strict:	dd 0
%macro CHECK_STRICT 3
	cmp	byte [is_strict], 0
	je	%%over
	CHECK_EQ %1, %2, %3
%%over:
%endmacro

%macro NOTE 0				; what a task finds at its start
	mov	[seen_eax], eax
	mov	[seen_edi], edi
	mov	[seen_esp], esp
	str	[seen_tr]
	pushfd
	pop	dword [seen_flags]
	mov	ecx, cr0
	mov	[seen_cr0], ecx
%endmacro
seen_eax:	dd 0
seen_edi:	dd 0
seen_esp:	dd 0
seen_tr:	dd 0
seen_flags:	dd 0
seen_cr0:	dd 0
count:		dd 0

%macro CHECK_BIT 4			; value, bit mask, expected (0 or mask), name
	mov	eax, %1
	and	eax, %2
	CHECK_EQ eax, %3, %4
%endmacro
%macro CHECK_TYPE 3			; selector, type byte, name
	movzx	eax, byte [task_gdt + %1 + 5]
	CHECK_EQ eax, %2, %3
%endmacro

jumps:
	WORK	.work
	mov	dword [TSS_WORK], 0xdead0000
	clts
	mov	ebx, 0x12345678
	stc
	jmp	SEL_WORK:0
.behind:
	pushfd
	pop	eax
	and	eax, 1
	CHECK_STRICT eax, 1, "task.jmp-flags-back"
	CHECK_EQ ebx, 0x12345678, "task.jmp-registers-back"
	CHECK_EQ [seen_eax], 0x11111111, "task.jmp-eax"
	CHECK_EQ [seen_edi], 0x77777777, "task.jmp-edi"
	CHECK_EQ [seen_esp], TSS_WORK + 0x1000, "task.jmp-esp"
	CHECK_EQ [seen_tr], SEL_WORK, "task.jmp-tr"
	CHECK_BIT [seen_flags], FLAGS_NT, 0, "task.jmp-nt"
	CHECK_BIT [seen_cr0], 8, 8, "task.jmp-ts"
	CHECK_EQ [TSS_WORK], 0xdead0000, "task.jmp-no-link"
	CHECK_EQ [seen_main_eip], .behind, "task.jmp-saved-eip"
	CHECK_EQ [seen_main_type], 0x89, "task.jmp-old-not-busy"
	CHECK_TYPE SEL_WORK, 0x89, "task.jmp-left-not-busy"
	CHECK_TYPE SEL_MAIN, 0x8b, "task.jmp-new-busy"
	; through a task gate in the GDT
	WORK	.work
	mov	dword [seen_tr], 0
	jmp	GATE_WORK:0
	CHECK_EQ [seen_tr], SEL_WORK, "task.jmp-gate-tr"
	ret
.work:	NOTE
	mov	eax, [TSS_MAIN + TSS_EIP]
	mov	[seen_main_eip], eax
	movzx	eax, byte [task_gdt + SEL_MAIN + 5]
	mov	[seen_main_type], eax
	jmp	SEL_MAIN:0
seen_main_eip:	dd 0
seen_main_type:	dd 0

calls:
	WORK	.work
	mov	dword [count], 0
	call	SEL_WORK:0
	CHECK_EQ [count], 1, "task.call-count"
	CHECK_BIT [seen_flags], FLAGS_NT, FLAGS_NT, "task.call-nt"
	CHECK_EQ [seen_link], SEL_MAIN, "task.call-link"
	CHECK_EQ [seen_main_type], 0x8b, "task.call-old-busy"
	CHECK_EQ [TSS_WORK + TSS_EIP], .again, "task.iret-saved-eip"
	CHECK_BIT [TSS_WORK + TSS_FLAGS], FLAGS_NT, 0, "task.iret-nt-cleared"
	CHECK_TYPE SEL_WORK, 0x89, "task.iret-not-busy"
	str	ax
	movzx	eax, ax
	CHECK_EQ eax, SEL_MAIN, "task.iret-tr"
	pushfd
	pop	eax
	and	eax, FLAGS_NT
	CHECK_EQ eax, 0, "task.iret-no-nt"
	call	SEL_WORK:0		; it goes on behind its IRET
	CHECK_EQ [count], 11, "task.call-again"
	ret
.work:	NOTE
	movzx	eax, word [TSS_WORK]
	mov	[seen_link], eax
	movzx	eax, byte [task_gdt + SEL_MAIN + 5]
	mov	[seen_main_type], eax
	inc	dword [count]
	iretd
.again:	add	dword [count], 10
	iretd
seen_link:	dd 0

%macro TASK_GATE 1			; a vector leads to the work task
	mov	dword [IDT32 + %1 * 8], SEL_WORK << 16
	mov	dword [IDT32 + %1 * 8 + 4], 0x8500
%endmacro

gates:
	WORK	.on_int
	TASK_GATE 0x50
	mov	dword [count], 0
	int	0x50
.behind_int:
	CHECK_EQ [count], 1, "task.int-count"
	CHECK_EQ [seen_main_eip], .behind_int, "task.int-saved-eip"
	CHECK_BIT [seen_flags], FLAGS_NT, FLAGS_NT, "task.int-nt"
	CHECK_EQ [seen_esp], TSS_WORK + 0x1000, "task.int-no-error-code"
	; INT3 too pushes what is behind it
	WORK	.on_int
	TASK_GATE 3
	int3
.behind_int3:
	CHECK_EQ [count], 2, "task.int3-count"
	CHECK_EQ [seen_main_eip], .behind_int3, "task.int3-saved-eip"
	; an exception with an error code
	WORK	.on_gp
	TASK_GATE 13
	mov	ax, 0x1234
.bad:	mov	gs, ax
.behind_gp:
	CHECK_EQ [count], 3, "task.gp-count"
	CHECK_EQ [seen_main_eip], .bad, "task.gp-saved-eip"
	CHECK_EQ [seen_error], 0x1234, "task.gp-error-code"
	mov	ebx, [TSS_MAIN + TSS_FLAGS]
	and	ebx, FLAGS_RF
	CHECK_STRICT ebx, FLAGS_RF, "task.gp-saved-rf"
	CHECK_EQ [seen_esp], TSS_WORK + 0x1000 - 4, "task.gp-esp"
	; one without
	WORK	.on_ud
	TASK_GATE 6
.ud:	ud2
.behind_ud:
	CHECK_EQ [seen_main_eip], .ud, "task.ud-saved-eip"
	CHECK_EQ [seen_esp], TSS_WORK + 0x1000, "task.ud-no-error-code"
	ret
.on_int:
	NOTE
	mov	eax, [TSS_MAIN + TSS_EIP]
	mov	[seen_main_eip], eax
	inc	dword [count]
	iretd
.on_gp:	NOTE
	pop	dword [seen_error]
	mov	eax, [TSS_MAIN + TSS_EIP]
	mov	[seen_main_eip], eax
	mov	dword [TSS_MAIN + TSS_EIP], .behind_gp
	inc	dword [count]
	iretd
.on_ud:	NOTE
	mov	eax, [TSS_MAIN + TSS_EIP]
	mov	[seen_main_eip], eax
	mov	dword [TSS_MAIN + TSS_EIP], .behind_ud
	iretd
seen_error:	dd 0

; IRQ 0 of the 8259, and NMIs from the local APIC, one of them sent while another is handled.
interrupts:
	mov	al, 0x11
	out	0x20, al
	mov	al, 0x20
	out	0x21, al
	mov	al, 4
	out	0x21, al
	mov	al, 1
	out	0x21, al
	mov	al, 0xfe
	out	0x21, al
	WORK	.on_irq
	TASK_GATE 0x20
	mov	dword [count], 0
	mov	al, 0x34
	out	0x43, al
	mov	al, 0x00
	out	0x40, al
	mov	al, 0x20
	out	0x40, al
	sti
.wait:	hlt
	cmp	dword [count], 3
	jb	.wait
	cli
	mov	al, 0xff
	out	0x21, al
	cmp	dword [count], 3
	setae	al
	movzx	eax, al
	CHECK_EQ eax, 1, "task.irq-count"
	CHECK_BIT [seen_flags], 1 << 9, 0, "task.irq-if-off"
	CHECK_BIT [TSS_MAIN + TSS_FLAGS], 1 << 9, 1 << 9, "task.irq-saved-if"
	mov	eax, [TSS_MAIN + TSS_EIP]
	sub	eax, .wait
	cmp	eax, 16
	setb	al
	movzx	eax, al
	CHECK_EQ eax, 1, "task.irq-saved-eip"

	WORK	.on_nmi
	TASK_GATE 2
	mov	dword [count], 0
	call	send_nmi
	mov	ecx, 1000
.spin:	out	0x80, al		; an exit: QEMU changes tasks unseen
	cmp	dword [count], 2
	loopne	.spin
	CHECK_EQ [count], 2, "task.nmi-count"
	CHECK_EQ [seen_nested], 1, "task.nmi-blocked-in-its-task"
	ret
.on_irq:
	NOTE
	inc	dword [count]
	mov	al, 0x20
	out	0x20, al
	iretd
	jmp	.on_irq
.on_nmi:
	inc	dword [count]
	cmp	dword [count], 1
	jne	.second
	call	send_nmi
	mov	ecx, 1000
.look:	loop	.look
	mov	eax, [count]
	mov	[seen_nested], eax
.second:
	iretd
	jmp	.on_nmi
seen_nested:	dd 0

send_nmi:				; to the processor with APIC ID 0
	mov	dword [LAPIC + 0xf0], 0x1ff
	mov	dword [LAPIC + 0x310], 0
	mov	dword [LAPIC + 0x300], 0x4400
	ret

; A 16-bit task: FS and GS become null, upper halves are not kept.
narrow:
	mov	edi, TSS_NARROW
	mov	ecx, 44 / 4
	xor	eax, eax
	rep	stosd
	mov	word [TSS_NARROW + 0x0e], .work - LOAD
	mov	word [TSS_NARROW + 0x10], 2
	mov	word [TSS_NARROW + 0x1a], NARROW_STACK
	mov	word [TSS_NARROW + 0x22], DATA
	mov	word [TSS_NARROW + 0x24], CODE_LOW
	mov	word [TSS_NARROW + 0x26], DATA16
	mov	word [TSS_NARROW + 0x28], DATA
	mov	ax, DATA
	mov	fs, ax
	mov	gs, ax
	call	SEL_NARROW:0
	CHECK_EQ [seen_tr], SEL_NARROW, "task.16-tr"
	CHECK_EQ [seen_fs], 0, "task.16-fs"
	CHECK_EQ [seen_gs], 0, "task.16-gs"
	movzx	eax, word [seen_esp]
	CHECK_EQ eax, NARROW_STACK, "task.16-sp"
	CHECK_BIT [seen_flags], FLAGS_NT, FLAGS_NT, "task.16-nt"
	movzx	eax, word [TSS_NARROW]
	CHECK_EQ eax, SEL_MAIN, "task.16-link"
	movzx	eax, word [TSS_NARROW + 0x0e]
	CHECK_EQ eax, .again - LOAD, "task.16-saved-ip"
	movzx	eax, word [TSS_NARROW + 0x12]
	CHECK_EQ eax, 0x5678, "task.16-saved-ax"
	movzx	eax, word [TSS_NARROW + 0x24]
	CHECK_EQ eax, CODE_LOW, "task.16-saved-cs"
	CHECK_TYPE SEL_NARROW, 0x81, "task.16-not-busy"
	mov	ax, fs
	movzx	eax, ax
	CHECK_EQ eax, DATA, "task.16-fs-back"
	ret
.work:	NOTE
	mov	eax, fs
	mov	[seen_fs], eax
	mov	eax, gs
	mov	[seen_gs], eax
	mov	eax, 0x12345678
	iretd
.again:	iretd
seen_fs:	dd -1
seen_gs:	dd -1

; ---- Exceptions: the handler notes them, and goes on where it is told ----------------------------------

fault_vector:	dd 0
fault_error:	dd 0
fault_eip:	dd 0
fault_tr:	dd 0
resume_eip:	dd 0
resume_esp:	dd 0

%macro EXPECT 6+			; name, vector, error, TR, label of what faults, instruction
	mov	dword [fault_vector], -1
	mov	dword [resume_eip], %%after
	mov	[resume_esp], esp
%5:	%6
%%after:
	CHECK_EQ [fault_vector], %2, {%1, " vector"}
	CHECK_EQ [fault_error], %3, {%1, " error"}
	CHECK_EQ [fault_tr], %4, {%1, " task"}
%endmacro

%assign vec 0
%rep 32
gate_%+vec:
%if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21)
	push	0
%endif
	push	vec
	jmp	fault
%assign vec vec + 1
%endrep

fault:					; stack: vector, error, eip, cs, eflags
	push	DATA
	pop	ds
	pop	dword [fault_vector]
	pop	dword [fault_error]
	pop	dword [fault_eip]
	mov	dword [fault_tr], 0
	str	[fault_tr]
	cmp	dword [fault_tr], SEL_MAIN
	je	.here
	jmp	SEL_MAIN:0
.here:	mov	esp, [resume_esp]
	jmp	[resume_eip]

gate_table:
%assign vec 0
%rep 32
	dd	gate_%+vec
%assign vec vec + 1
%endrep

idt_init:
	mov	esi, gate_table
	mov	edi, IDT32
	mov	ecx, 32
.next:	lodsd
	mov	[edi], ax
	mov	word [edi + 2], CODE32
	mov	word [edi + 4], 0x8e00
	shr	eax, 16
	mov	[edi + 6], ax
	add	edi, 8
	loop	.next
	lidt	[.pointer]
	ret
.pointer:
	dw	256 * 8 - 1
	dd	IDT32

refused:
	call	idt_init
	WORK	.never
	EXPECT	"task.not-present", 11, SEL_ABSENT, SEL_MAIN, .absent, {jmp SEL_ABSENT:0}
	CHECK_EQ [fault_eip], .absent, "task.not-present eip"
	EXPECT	"task.busy", 13, SEL_MAIN, SEL_MAIN, .busy, {call SEL_MAIN:0}
	EXPECT	"task.too-small", 10, SEL_SMALL, SEL_MAIN, .small, {jmp SEL_SMALL:0}
	EXPECT	"task.an-ldt", 13, SEL_LDT32, SEL_MAIN, .ldt, {jmp SEL_LDT32:0}
	; IRET with NT follows a link to a task that is not busy
	mov	word [TSS_MAIN], SEL_WORK
	pushfd
	or	dword [esp], FLAGS_NT
	popfd
	EXPECT	"task.link-not-busy", 10, SEL_WORK, SEL_MAIN, .link, iretd
	pushfd
	and	dword [esp], ~FLAGS_NT
	popfd
	CHECK_TYPE SEL_MAIN, 0x8b, "task.refused-old-busy"
	CHECK_TYPE SEL_WORK, 0x89, "task.refused-new-not-busy"
	; INT to a task that is not there: no EXT; by an exception: EXT, and with #NP of its own a fault after a fault
	mov	dword [IDT32 + 0x50 * 8], SEL_ABSENT << 16
	mov	dword [IDT32 + 0x50 * 8 + 4], 0x8500
	EXPECT	"task.int-not-present", 11, SEL_ABSENT, SEL_MAIN, .int, {int 0x50}
	mov	dword [IDT32 + 6 * 8], SEL_ABSENT << 16
	mov	dword [IDT32 + 6 * 8 + 4], 0x8500
	cmp	byte [is_strict], 0
	je	.lenient
	EXPECT	"task.ud-not-present", 11, SEL_ABSENT + 1, SEL_MAIN, .ud, ud2
.lenient:
	call	idt_init
	ret
.never:	SAY	"FAIL a task was entered that must not be"
	DONE

; Segments are checked when the new task is already the current one.
late_faults:
	WORK	.never
	mov	dword [TSS_WORK + TSS_DS], EXEC_ONLY
	EXPECT	"task.ds-unreadable", 10, EXEC_ONLY, SEL_WORK, .ds, {jmp SEL_WORK:0}
	CHECK_STRICT [fault_eip], .never, "task.ds-unreadable eip"
	WORK	.never
	mov	dword [TSS_WORK + TSS_FS], 0x200
	EXPECT	"task.fs-outside", 10, 0x200, SEL_WORK, .fs, {jmp SEL_WORK:0}
	; an LDT of its own
	WORK	.with_ldt
	mov	dword [LDT32 + 8], 0x0000ffff
	mov	dword [LDT32 + 12], 0x00cf9200
	mov	dword [TSS_WORK + TSS_LDT], SEL_LDT32
	mov	dword [TSS_WORK + TSS_FS], 0xc
	mov	dword [seen_fs], 0
	call	SEL_WORK:0
	CHECK_EQ [seen_fs], 0xc, "task.ldt-fs"
	CHECK_EQ [seen_ldt], SEL_LDT32, "task.ldt"
	movzx	eax, byte [LDT32 + 13]
	CHECK_STRICT eax, 0x93, "task.ldt-accessed"
	mov	dword [seen_ldt], 0
	sldt	[seen_ldt]
	CHECK_EQ [seen_ldt], 0, "task.ldt-back"
	ret
.never:	SAY	"FAIL a task ran without its segments"
	DONE
.with_ldt:
	mov	eax, fs
	mov	[seen_fs], eax
	mov	eax, [fs:header]
	sldt	[seen_ldt]
	iretd
seen_ldt:	dd 0

; The T bit: #DB before the first instruction of the new task, with BT in DR6.
traps:
	WORK	.never
	mov	word [TSS_WORK + TSS_TRAP], 1
	xor	eax, eax
	mov	dr6, eax
	EXPECT	"task.trap", 1, 0, SEL_WORK, .trap, {jmp SEL_WORK:0}
	CHECK_EQ [fault_eip], .never, "task.trap eip"
	mov	eax, dr6
	and	eax, 1 << 15
	CHECK_EQ eax, 1 << 15, "task.trap dr6"
	ret
.never:	SAY	"FAIL no trap at the start of a task"
	DONE

; With paging each task may have its own page tables.
other_tables:
	mov	edi, DIRECTORY
	mov	eax, 0x83
	mov	ecx, 1024
.fill:	mov	[edi], eax
	mov	[edi + 0x1000], eax
	add	eax, 0x400000
	add	edi, 4
	loop	.fill
	mov	dword [MARK_A], 'aaaa'
	mov	dword [MARK_B], 'bbbb'
	mov	dword [DIRECTORY + (WINDOW >> 20)], MARK_A + 0x83
	mov	dword [OTHER_DIRECTORY + (WINDOW >> 20)], MARK_B + 0x83
	mov	eax, cr4
	or	eax, 1 << 4		; PSE
	mov	cr4, eax
	mov	eax, DIRECTORY
	mov	cr3, eax
	mov	[TSS_MAIN + 0x1c], eax
	mov	eax, cr0
	or	eax, 1 << 31
	mov	cr0, eax
	WORK	.work
	mov	dword [TSS_WORK + 0x1c], OTHER_DIRECTORY
	mov	ebx, [WINDOW]
	call	SEL_WORK:0
	mov	eax, [WINDOW]
	mov	ecx, cr0
	and	ecx, ~(1 << 31)
	mov	cr0, ecx
	CHECK_EQ ebx, 'aaaa', "task.cr3-before"
	CHECK_EQ [seen_window], 'bbbb', "task.cr3-other"
	CHECK_EQ eax, 'aaaa', "task.cr3-back"
	ret
.work:	mov	eax, [WINDOW]
	mov	[seen_window], eax
	iretd
seen_window:	dd 0

align 8
task_gdt:
	times 6 dq 0			; those of tiny.inc
%macro TSS_DESCRIPTOR 3			; base, limit, type byte
	dw	%2, %1 & 0xffff
	db	%1 >> 16, %3, 0, 0
%endmacro
	TSS_DESCRIPTOR TSS_MAIN, 103, 0x89
work_descriptor:
	TSS_DESCRIPTOR TSS_WORK, 103, 0x89
	TSS_DESCRIPTOR TSS_NARROW, 43, 0x81
	TSS_DESCRIPTOR TSS_SMALL, 102, 0x89
	TSS_DESCRIPTOR TSS_SMALL, 103, 0x09
	TSS_DESCRIPTOR LDT32, 15, 0x82
	dq	0x00409a100000ffff	; CODE_LOW: base 1 MiB
	dq	0x00cf98000000ffff	; EXEC_ONLY
	dw	0, SEL_WORK, 0x8500, 0
task_gdt_ptr:
	dw	$ - task_gdt - 1
	dd	task_gdt
