; SPDX-License-Identifier: MIT
;
; A program for Debian, without a C library, that says what running there costs (scripts/bench reads it).
;
; As the first program (rdinit=/bench): the time-stamp counter at its first instruction, then user work, then
; /init takes over. As `bench blk`: reads of ports, then direct reads of /dev/vda, one and 32 at a time. Lines, numbers in
; hexadecimal, which go out together at the end, for a serial line that still sends would interrupt what is measured next:
;
;	BENCH-USER entry TSC EXITS		work TICKS EXITS
;	BENCH-USER port-21 READS TICKS EXITS	and so on, of PORTS: the quickest batch
;	BENCH-USER blk-1 REQUESTS TICKS EXITS	blk-32 REQUESTS TICKS EXITS
;
; On a machine without a hypervisor EXITS is 0, and it stops after the work.

bits 64
default rel

SYS_WRITE	equ 1
SYS_OPEN	equ 2
SYS_PREAD	equ 17
SYS_PAUSE	equ 34
SYS_GETPID	equ 39
SYS_EXECVE	equ 59
SYS_EXIT	equ 60
SYS_IOPL	equ 172
SYS_IO_SETUP	equ 206
SYS_IO_GETEVENTS equ 208
SYS_IO_SUBMIT	equ 209
O_DIRECT	equ 0x4000
IOCB_CMD_PREAD	equ 0
IOCB_SIZE	equ 64

HC_COUNTS	equ 4
CPUID1_HYPERVISOR equ 31

WORK_ROUNDS	equ 30000000		; of ten instructions: scripts/bench knows the product
TABLE_SIZE	equ 256 << 10

PORT_READS	equ 100
PORT_BATCHES	equ 16

REQUEST		equ 4096
DEPTH		equ 32
BATCHES		equ 32
TEXT_SIZE	equ 1024		; a line for each port and each depth has room
REQUESTS	equ DEPTH * BATCHES

%macro SYSCALL 1
	mov	eax, %1
	syscall
%endmacro

%macro PRINT 1
	mov	rsi, %%text
	mov	edx, %%end - %%text
	call	put
	jmp	%%end
%%text:	db	%1
%%end:
%endmacro

section .text
global _start
_start:
	rdtsc
	shl	rdx, 32
	or	rax, rdx
	mov	[entry_tsc], rax
	call	find_hypervisor
	call	exits
	mov	[entry_exits], rax
	SYSCALL	SYS_GETPID
	cmp	eax, 1
	jne	from_shell

	PRINT	"BENCH-USER entry "
	mov	rax, [entry_tsc]
	call	put_number
	mov	rax, [entry_exits]
	call	put_number
	call	put_line
	call	start
	call	work
	PRINT	"BENCH-USER work "
	call	put_times
	cmp	byte [hypercall_kind], 0
	je	stay
	call	say
	lea	rdi, [init_path]
	lea	rsi, [init_argv]
	lea	rdx, [init_env]
	SYSCALL	SYS_EXECVE
stay:	PRINT	{"BENCH-USER end", 10}
	call	say
.pause:	SYSCALL	SYS_PAUSE
	jmp	.pause

; Integers and memory: a generator picks the place in a table that is changed next.
work:
	mov	ecx, WORK_ROUNDS
	mov	rax, 88172645463325252
	lea	rdi, [table]
.round:	mov	rdx, rax
	shl	rdx, 13
	xor	rax, rdx
	mov	rdx, rax
	shr	rdx, 7
	xor	rax, rdx
	movzx	edx, ax
	add	[rdi + rdx * 4], eax
	dec	ecx
	jnz	.round
	ret

from_shell:
	call	ports
	jmp	blk

; ---- Ports, with the right to use them (IOPL 3) --------------------------------------------------------

ports:
	mov	edi, 3
	SYSCALL	SYS_IOPL
	test	eax, eax
	js	no_ports
	lea	r12, [port_list]
.port:	mov	r13, -1				; the quickest batch: no interrupt fell into it
	mov	r14d, PORT_BATCHES
.batch:	call	start
	movzx	edx, word [r12]
	mov	ecx, PORT_READS
.read:	in	al, dx
	dec	ecx
	jnz	.read
	call	stop
	mov	rax, [ticks]
	cmp	rax, r13
	cmovb	r13, rax
	dec	r14d
	jnz	.batch
	PRINT	"BENCH-USER port-"
	lea	rsi, [r12 + 2]
	mov	edx, 4
	call	put
	mov	eax, PORT_READS
	call	put_number
	mov	[ticks], r13
	call	put_results
	add	r12, 6
	lea	rax, [port_list.end]
	cmp	r12, rax
	jb	.port
	ret
no_ports:
	PRINT	{"BENCH-USER failed: no right to use ports", 10}
	jmp	give_up

; ---- The disk -----------------------------------------------------------------------------------------

blk:
	lea	rdi, [disk_path]
	mov	esi, O_DIRECT
	SYSCALL	SYS_OPEN
	test	eax, eax
	js	failed
	mov	[disk], eax

	xor	ebx, ebx			; once before what counts
	call	read_one
	call	start
.one:	call	read_one
	inc	ebx
	cmp	ebx, REQUESTS
	jne	.one
	call	stop
	PRINT	"BENCH-USER blk-1 "
	call	put_requests

	mov	edi, DEPTH
	lea	rsi, [aio]
	SYSCALL	SYS_IO_SETUP
	test	eax, eax
	js	failed
	call	prepare_many
	call	read_many
	call	start
	mov	ebx, BATCHES
.many:	call	read_many
	dec	ebx
	jnz	.many
	call	stop
	PRINT	"BENCH-USER blk-32 "
	call	put_requests
	call	say
	xor	edi, edi
	SYSCALL	SYS_EXIT
failed:
	PRINT	{"BENCH-USER failed: no direct reads of /dev/vda", 10}
give_up:
	call	say
	mov	edi, 1
	SYSCALL	SYS_EXIT

read_one:				; request ebx
	mov	edi, [disk]
	lea	rsi, [buffers]
	mov	edx, REQUEST
	mov	r10d, ebx
	and	r10d, DEPTH - 1
	shl	r10, 12
	SYSCALL	SYS_PREAD
	cmp	eax, REQUEST
	jne	failed
	ret

prepare_many:
	xor	ecx, ecx
	lea	rdi, [iocbs]
	lea	rsi, [iocb_list]
	lea	rdx, [buffers]
.next:	mov	[rsi + rcx * 8], rdi
	mov	word [rdi + 16], IOCB_CMD_PREAD
	mov	eax, [disk]
	mov	[rdi + 20], eax
	mov	eax, ecx
	shl	eax, 12
	mov	[rdi + 40], rax			; offset
	add	rax, rdx
	mov	[rdi + 24], rax			; buffer
	mov	qword [rdi + 32], REQUEST
	add	rdi, IOCB_SIZE
	inc	ecx
	cmp	ecx, DEPTH
	jne	.next
	ret

read_many:
	mov	rdi, [aio]
	mov	esi, DEPTH
	lea	rdx, [iocb_list]
	SYSCALL	SYS_IO_SUBMIT
	cmp	eax, DEPTH
	jne	failed
	mov	rdi, [aio]
	mov	esi, DEPTH
	mov	edx, DEPTH
	lea	r10, [events]
	xor	r8d, r8d
	SYSCALL	SYS_IO_GETEVENTS
	cmp	eax, DEPTH
	jne	failed
	ret

; ---- Measuring ----------------------------------------------------------------------------------------

start:
	call	exits
	mov	[start_exits], rax
	rdtsc
	shl	rdx, 32
	or	rax, rdx
	mov	[start_tsc], rax
	ret

stop:
	rdtsc
	shl	rdx, 32
	or	rax, rdx
	sub	rax, [start_tsc]
	mov	[ticks], rax
	call	exits
	sub	rax, [start_exits]
	cmp	byte [hypercall_kind], 1
	cmc
	sbb	rax, 0				; not the one by which we asked
	mov	[exit_count], rax
	ret

exits:					; rax: of this vCPU so far
	push	rbx
	mov	eax, HC_COUNTS
	xor	ebx, ebx
	cmp	byte [hypercall_kind], 1
	jb	.nobody
	je	.vmcall
	vmmcall
	pop	rbx
	ret
.vmcall:
	vmcall
	pop	rbx
	ret
.nobody:
	xor	eax, eax
	pop	rbx
	ret

find_hypervisor:
	mov	eax, 1
	cpuid
	bt	ecx, CPUID1_HYPERVISOR
	jnc	.none
	xor	eax, eax
	cpuid
	cmp	ebx, 'Auth'
	sete	al
	inc	al
	mov	[hypercall_kind], al
.none:	ret

; ---- Printing -----------------------------------------------------------------------------------------

put:					; rsi, edx bytes
	mov	edi, [text_len]
	lea	rcx, [text]
	add	rdi, rcx
	mov	ecx, edx
	add	[text_len], edx
	rep movsb
	ret

say:					; all that was put
	mov	edi, 1
	lea	rsi, [text]
	mov	edx, [text_len]
	SYSCALL	SYS_WRITE
	ret

put_requests:
	mov	eax, REQUESTS
	call	put_number
	jmp	put_results
put_times:
	call	stop
put_results:
	mov	rax, [ticks]
	call	put_number
	mov	rax, [exit_count]
	call	put_number
put_line:
	lea	rsi, [newline]
	mov	edx, 1
	jmp	put

put_number:				; rax, 16 digits and a space
	lea	rdi, [number]
	mov	ecx, 16
.digit:	rol	rax, 4
	mov	edx, eax
	and	edx, 15
	cmp	edx, 10
	jb	.small
	add	edx, 'a' - '0' - 10
.small:	add	edx, '0'
	mov	[rdi], dl
	inc	rdi
	dec	ecx
	jnz	.digit
	mov	byte [rdi], ' '
	lea	rsi, [number]
	mov	edx, 17
	jmp	put

section .data
port_list:					; the port, and its name
	dw	0x21
	db	"21  "
	dw	0x61
	db	"61  "
	dw	0x3fd
	db	"3fd "
	dw	0x71
	db	"71  "
.end:
newline:	db 10
disk_path:	db "/dev/vda", 0
init_path:	db "/init", 0
env_path:	db "PATH=/bin", 0
align 8
init_argv:	dq init_path, 0
init_env:	dq env_path, 0

section .bss
alignb 4096
buffers:	resb DEPTH * REQUEST
table:		resb TABLE_SIZE
iocbs:		resb DEPTH * IOCB_SIZE
iocb_list:	resq DEPTH
events:		resb DEPTH * 32
entry_tsc:	resq 1
entry_exits:	resq 1
start_tsc:	resq 1
start_exits:	resq 1
ticks:		resq 1
exit_count:	resq 1
aio:		resq 1
number:		resb 24
text:		resb TEXT_SIZE
text_len:	resd 1
disk:		resd 1
hypercall_kind:	resb 1			; 0 none, 1 VMCALL, 2 VMMCALL
