/* SPDX-License-Identifier: MIT */
/*
 * The decoder, row by row: literal bytes and what must come out of them. The text beside the bytes is what
 * an assembler was given for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/emulate/insn.h"
#include "hv/lib/util.h"

#define MEM(s, b, i, factor, d) .has_mem = true, .seg = (s), .base = (b), .index = (i), .scale = (factor), .disp = (d)
#define NO_MEM(s) .seg = (s), .base = -1, .index = -1

struct row {
	enum insn_mode mode;
	const char    *text;
	const char    *hex;
	struct insn    expected;
};

static const struct row rows[] = {
	{ INSN_64, "mov [rbx],al", "88 03",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx],ah", "88 23",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .is_high = true, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx],sil", "40 88 33",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RSI, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx],r9b", "44 88 0b",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_R9, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx],cx", "66 89 0b",
	  { .kind = INSN_MOV, .size = 2, .dest_size = 2, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RCX, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx],eax", "89 03",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov [rbx+0x50],r8d", "44 89 43 50",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_R8, MEM(SEG_DS, GPR_RBX, -1, 1, 0x50) } },
	{ INSN_64, "mov [rbp-8],rdi", "48 89 7d f8",
	  { .kind = INSN_MOV, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RDI, MEM(SEG_SS, GPR_RBP, -1, 1, -0x8) } },
	{ INSN_64, "mov eax,[rax+rcx*4+0x12345678]", "8b 84 88 78 56 34 12",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, GPR_RAX, GPR_RCX, 4, 0x12345678) } },
	{ INSN_64, "mov r15,[r12]", "4d 8b 3c 24",
	  { .kind = INSN_MOV, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_R15, MEM(SEG_DS, GPR_R12, -1, 1, 0x0) } },
	{ INSN_64, "mov dh,[rsp]", "8a 34 24",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_RDX, .is_high = true, MEM(SEG_SS, GPR_RSP, -1, 1, 0x0) } },
	{ INSN_64, "mov ax,[rel $+0x107]", "66 8b 05 00 01 00 00",
	  { .kind = INSN_MOV, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, -1, -1, 0, 0x100), .is_rip_relative = true } },
	{ INSN_64, "mov eax,[gs:0x28]", "65 8b 04 25 28 00 00 00",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_GS, -1, -1, 0, 0x28) } },
	{ INSN_64, "mov [fs:rax],rbx", "64 48 89 18",
	  { .kind = INSN_MOV, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RBX, MEM(SEG_FS, GPR_RAX, -1, 1, 0x0) } },
	{ INSN_64, "mov eax,[ebx+4]", "67 8b 43 04",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 4, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, GPR_RBX, -1, 1, 0x4) } },
	{ INSN_64, "mov al,[qword 0x1122334455667788]", "a0 88 77 66 55 44 33 22 11",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, -1, -1, 0, 0x1122334455667788) } },
	{ INSN_64, "mov [qword 0xfee00020],rax", "48 a3 20 00 e0 fe 00 00 00 00",
	  { .kind = INSN_MOV, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, -1, -1, 0, 0xfee00020) } },
	{ INSN_64, "mov byte [rbx],0x80", "c6 03 80",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    .src = SRC_IMM, .imm = 0xffffffffffffff80ULL, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov word [rbx],0x1234", "66 c7 03 34 12",
	  { .kind = INSN_MOV, .size = 2, .dest_size = 2, .addr_size = 8, .is_store = true,
	    .src = SRC_IMM, .imm = 0x1234, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov dword [rbx],0x89abcdef", "c7 03 ef cd ab 89",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .src = SRC_IMM, .imm = 0xffffffff89abcdefULL, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "mov qword [rbx],-1", "48 c7 03 ff ff ff ff",
	  { .kind = INSN_MOV, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_IMM, .imm = 0xffffffffffffffffULL, MEM(SEG_DS, GPR_RBX, -1, 1, 0x0) } },
	{ INSN_64, "movnti [rdx],ebp", "0f c3 2a",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RBP, MEM(SEG_DS, GPR_RDX, -1, 1, 0x0) } },
	{ INSN_64, "mov ecx,edx", "89 d1",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 8, .src = SRC_REG,
	    .reg = GPR_RCX, NO_MEM(SEG_ES) } },
	{ INSN_64, "mov [rax],ds", "8c 18",
	  { .kind = INSN_STORE_SEG, .src = SRC_REG, .reg = SEG_DS, .size = 2, .dest_size = 2, .addr_size = 8, .is_store = true,
	    MEM(SEG_DS, GPR_RAX, -1, 1, 0x0) } },
	{ INSN_64, "movzx eax,byte [rdx]", "0f b6 02",
	  { .kind = INSN_MOVZX, .size = 1, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, GPR_RDX, -1, 1, 0x0) } },
	{ INSN_64, "movzx r10,word [rdx]", "4c 0f b7 12",
	  { .kind = INSN_MOVZX, .size = 2, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_R10, MEM(SEG_DS, GPR_RDX, -1, 1, 0x0) } },
	{ INSN_64, "movsx cx,byte [rdx]", "66 0f be 0a",
	  { .kind = INSN_MOVSX, .size = 1, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_RCX, MEM(SEG_DS, GPR_RDX, -1, 1, 0x0) } },
	{ INSN_64, "movsxd rax,dword [rdx]", "48 63 02",
	  { .kind = INSN_MOVSX, .size = 4, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, GPR_RDX, -1, 1, 0x0) } },
	{ INSN_64, "add [rdi],eax", "01 07",
	  { .kind = INSN_ADD, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "add eax,[rdi]", "03 07",
	  { .kind = INSN_ADD, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock or dword [rdi],0x10", "f0 83 0f 10",
	  { .kind = INSN_OR, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_IMM, .imm = 0x10,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "or byte [rdi],0x90", "80 0f 90",
	  { .kind = INSN_OR, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_IMM, .imm = 0xffffffffffffff90ULL,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "adc word [rdi],-2", "66 83 17 fe",
	  { .kind = INSN_ADC, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_IMM, .imm = 0xfffffffffffffffeULL,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "sbb [rdi],r11", "4c 19 1f",
	  { .kind = INSN_SBB, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_R11, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "and bl,[rdi]", "22 1f",
	  { .kind = INSN_AND, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_RBX, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "sub qword [rdi],0x11223344", "48 81 2f 44 33 22 11",
	  { .kind = INSN_SUB, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_IMM, .imm = 0x11223344,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock xor [rdi],cx", "f0 66 31 0f",
	  { .kind = INSN_XOR, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_RCX,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "cmp dword [rdi],5", "83 3f 05",
	  { .kind = INSN_CMP, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_IMM, .imm = 0x5, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "cmp rsi,[rdi]", "48 3b 37",
	  { .kind = INSN_CMP, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_RSI, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "test byte [rdi],0x20", "f6 07 20",
	  { .kind = INSN_TEST, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .src = SRC_IMM, .imm = 0x20, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "test [rdi],edx", "85 17",
	  { .kind = INSN_TEST, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_REG, .reg = GPR_RDX, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "inc byte [rdi]", "fe 07",
	  { .kind = INSN_INC, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock dec qword [rdi]", "f0 48 ff 0f",
	  { .kind = INSN_DEC, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "not word [rdi]", "66 f7 17",
	  { .kind = INSN_NOT, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "neg dword [rdi]", "f7 1f",
	  { .kind = INSN_NEG, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "xchg [rdi],eax", "87 07",
	  { .kind = INSN_XCHG, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "xchg bh,[rdi]", "86 3f",
	  { .kind = INSN_XCHG, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_RBX, .is_high = true,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock xadd [rdi],edx", "f0 0f c1 17",
	  { .kind = INSN_XADD, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_RDX,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock cmpxchg [rdi],rcx", "f0 48 0f b1 0f",
	  { .kind = INSN_CMPXCHG, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_RCX,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "bt dword [rdi],7", "0f ba 27 07",
	  { .kind = INSN_BT, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .src = SRC_IMM, .imm = 0x7, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "lock bts [rdi],rax", "f0 48 0f ab 07",
	  { .kind = INSN_BTS, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG,
	    MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "btr word [rdi],3", "66 0f ba 37 03",
	  { .kind = INSN_BTR, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_IMM, .imm = 0x3, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "btc [rdi],esi", "0f bb 37",
	  { .kind = INSN_BTC, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_REG, .reg = GPR_RSI, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "stosb", "aa",
	  { .kind = INSN_STOS, .size = 1, .dest_size = 1, .addr_size = 8, .is_store = true,
	    NO_MEM(SEG_ES) } },
	{ INSN_64, "rep stosd", "f3 ab",
	  { .kind = INSN_STOS, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .has_rep = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "rep stosq", "f3 48 ab",
	  { .kind = INSN_STOS, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .has_rep = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "rep movsb", "f3 a4",
	  { .kind = INSN_MOVS, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .is_store = true, .has_rep = true, NO_MEM(SEG_DS) } },
	{ INSN_64, "movsd", "a5",
	  { .kind = INSN_MOVS, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .is_store = true, NO_MEM(SEG_DS) } },
	{ INSN_64, "fs lodsw", "64 66 ad",
	  { .kind = INSN_LODS, .size = 2, .dest_size = 2, .addr_size = 8, .is_load = true,
	    NO_MEM(SEG_FS) } },
	{ INSN_64, "repne scasb", "f2 ae",
	  { .kind = INSN_SCAS, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .has_rep = true, .is_repne = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "repe cmpsd", "f3 a7",
	  { .kind = INSN_CMPS, .size = 4, .dest_size = 4, .addr_size = 8, .is_load = true,
	    .has_rep = true, NO_MEM(SEG_DS) } },
	{ INSN_64, "a32 rep stosd", "f3 67 ab",
	  { .kind = INSN_STOS, .size = 4, .dest_size = 4, .addr_size = 4, .is_store = true,
	    .has_rep = true, NO_MEM(SEG_ES) } },
	{ INSN_32, "es movsd", "26 a5",
	  { .kind = INSN_MOVS, .size = 4, .dest_size = 4, .addr_size = 4, .is_load = true,
	    .is_store = true, NO_MEM(SEG_ES) } },
	{ INSN_16, "rep movsw", "f3 a5",
	  { .kind = INSN_MOVS, .size = 2, .dest_size = 2, .addr_size = 2, .is_load = true,
	    .is_store = true, .has_rep = true, NO_MEM(SEG_DS) } },
	{ INSN_64, "movsd [rdi],xmm0", "f2 0f 11 07",
	  { .kind = INSN_VECTOR, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "movups xmm1,[rdi]", "0f 10 0f",
	  { .kind = INSN_VECTOR, .size = 16, .dest_size = 16, .addr_size = 8, .is_load = true,
	    .src = SRC_MEM, .reg = 1, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "movaps xmm1,[rdi]", "0f 28 0f",
	  { .kind = INSN_VECTOR, .size = 16, .dest_size = 16, .addr_size = 8, .is_load = true, .is_aligned = true,
	    .src = SRC_MEM, .reg = 1, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_64, "in al,dx", "ec",
	  { .kind = INSN_IN, .size = 1, .dest_size = 1, .addr_size = 8, .src = SRC_REG,
	    NO_MEM(SEG_ES) } },
	{ INSN_64, "in eax,0x60", "e5 60",
	  { .kind = INSN_IN, .size = 4, .dest_size = 4, .addr_size = 8, .src = SRC_IMM,
	    .imm = 0x60, NO_MEM(SEG_ES) } },
	{ INSN_64, "out dx,ax", "66 ef",
	  { .kind = INSN_OUT, .size = 2, .dest_size = 2, .addr_size = 8, .src = SRC_REG,
	    .reg = GPR_RDX, NO_MEM(SEG_ES) } },
	{ INSN_64, "rep insd", "f3 6d",
	  { .kind = INSN_INS, .size = 4, .dest_size = 4, .addr_size = 8, .is_store = true,
	    .has_rep = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "rep outsb", "f3 6e",
	  { .kind = INSN_OUTS, .size = 1, .dest_size = 1, .addr_size = 8, .is_load = true,
	    .has_rep = true, NO_MEM(SEG_DS) } },
	{ INSN_32, "gs outsw", "65 66 6f",
	  { .kind = INSN_OUTS, .size = 2, .dest_size = 2, .addr_size = 4, .is_load = true,
	    NO_MEM(SEG_GS) } },
	{ INSN_16, "insb", "6c",
	  { .kind = INSN_INS, .size = 1, .dest_size = 1, .addr_size = 2, .is_store = true,
	    NO_MEM(SEG_ES) } },
	{ INSN_32, "mov [0xd0000050],eax", "a3 50 00 00 d0",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 4, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, -1, -1, 0, -0x2fffffb0) } },
	{ INSN_32, "mov ecx,[ss:ebx+esi*2]", "36 8b 0c 73",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 4, .is_load = true,
	    .src = SRC_MEM, .reg = GPR_RCX, MEM(SEG_SS, GPR_RBX, GPR_RSI, 2, 0x0) } },
	{ INSN_32, "inc dword [eax]", "ff 00",
	  { .kind = INSN_INC, .size = 4, .dest_size = 4, .addr_size = 4, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RAX, -1, 1, 0x0) } },
	{ INSN_16, "mov [bx+si],al", "88 00",
	  { .kind = INSN_MOV, .size = 1, .dest_size = 1, .addr_size = 2, .is_store = true,
	    .src = SRC_REG, MEM(SEG_DS, GPR_RBX, GPR_RSI, 1, 0x0) } },
	{ INSN_16, "mov ax,[bp+di+2]", "8b 43 02",
	  { .kind = INSN_MOV, .size = 2, .dest_size = 2, .addr_size = 2, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_SS, GPR_RBP, GPR_RDI, 1, 0x2) } },
	{ INSN_16, "mov eax,[es:edi]", "26 66 67 8b 07",
	  { .kind = INSN_MOV, .size = 4, .dest_size = 4, .addr_size = 4, .is_load = true,
	    .src = SRC_MEM, MEM(SEG_ES, GPR_RDI, -1, 1, 0x0) } },
	{ INSN_16, "mov [0x1234],dx", "89 16 34 12",
	  { .kind = INSN_MOV, .size = 2, .dest_size = 2, .addr_size = 2, .is_store = true,
	    .src = SRC_REG, .reg = GPR_RDX, MEM(SEG_DS, -1, -1, 0, 0x1234) } },
	{ INSN_64, "push qword [rax]", "ff 30",
	  { .kind = INSN_PUSH, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, .src = SRC_MEM, MEM(SEG_DS, GPR_RAX, -1, 1, 0x0) } },
	{ INSN_64, "push r9", "41 51",
	  { .kind = INSN_PUSH, .size = 8, .dest_size = 8, .addr_size = 8, .is_store = true,
	    .src = SRC_REG, .reg = GPR_R9, NO_MEM(SEG_ES) } },
	{ INSN_64, "pop qword [rax]", "8f 00",
	  { .kind = INSN_POP, .size = 8, .dest_size = 8, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RAX, -1, 1, 0x0) } },
	{ INSN_64, "mov cr3,rax", "0f 22 d8",
	  { .kind = INSN_MOV_CR, .size = 8, .dest_size = 8, .addr_size = 8, .src = SRC_REG,
	    .cr_dr = 3, .to_cr_dr = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "mov r8,cr8", "45 0f 20 c0",
	  { .kind = INSN_MOV_CR, .size = 8, .dest_size = 8, .addr_size = 8, .reg = GPR_R8,
	    .cr_dr = 8, NO_MEM(SEG_ES) } },
	{ INSN_64, "mov dr7,rbx", "0f 23 fb",
	  { .kind = INSN_MOV_DR, .size = 8, .dest_size = 8, .addr_size = 8, .src = SRC_REG,
	    .reg = GPR_RBX, .cr_dr = 7, .to_cr_dr = true, NO_MEM(SEG_ES) } },
	{ INSN_64, "mov rcx,dr6", "0f 21 f1",
	  { .kind = INSN_MOV_DR, .size = 8, .dest_size = 8, .addr_size = 8, .reg = GPR_RCX,
	    .cr_dr = 6, NO_MEM(SEG_ES) } },
	{ INSN_64, "lmsw ax", "0f 01 f0",
	  { .kind = INSN_LMSW, .size = 4, .dest_size = 2, .addr_size = 8, NO_MEM(SEG_ES) } },
	{ INSN_64, "clts", "0f 06",
	  { .kind = INSN_CLTS, .size = 4, .dest_size = 4, .addr_size = 8, NO_MEM(SEG_ES) } },
	{ INSN_64, "smsw ecx", "0f 01 e1",
	  { .kind = INSN_SMSW, .size = 4, .dest_size = 4, .addr_size = 8, .reg = GPR_RCX,
	    NO_MEM(SEG_ES) } },
	{ INSN_64, "cpuid", "0f a2",
	  { .kind = INSN_OTHER, .size = 4, .dest_size = 4, .addr_size = 8, NO_MEM(SEG_ES) } },
	{ INSN_64, "lea rax,[rbx]", "48 8d 03",
	  { .kind = INSN_OTHER, .size = 8, .dest_size = 8, .addr_size = 8, NO_MEM(SEG_ES) } },
	{ INSN_64, "lock cmpxchg16b [rdi]", "f0 48 0f c7 0f",
	  { .kind = INSN_CMPXCHG_WIDE, .size = 16, .dest_size = 16, .addr_size = 8, .is_load = true,
	    .is_store = true, MEM(SEG_DS, GPR_RDI, -1, 1, 0x0) } },
};

static size_t parse_hex(const char *hex, uint8_t *bytes)
{
	size_t len = 0;
	char  *end;

	for (; *hex; hex = *end ? end + 1 : end)
		bytes[len++] = (uint8_t)strtoul(hex, &end, 16);
	return len;
}

/* X(field): everything but the length and the scale of an absent index. */
#define FIELDS(X) X(kind) X(size) X(dest_size) X(addr_size) X(is_store) X(is_load) X(has_rep) X(is_repne) \
	X(src) X(reg) X(is_high) X(imm) X(has_mem) X(seg) X(base) X(index) X(is_rip_relative) \
	X(disp) X(cr_dr) X(to_cr_dr)

static unsigned compare(const struct row *row, const struct insn *got)
{
	const struct insn *want = &row->expected;
	unsigned wrong = 0;

#define CHECK(field)									\
	if (got->field != want->field) {						\
		print_error("%s: " #field " is %lld, not %lld\n", row->text,		\
			    (long long)got->field, (long long)want->field);		\
		wrong++;								\
	}
	FIELDS(CHECK)
#undef CHECK
	if (got->index >= 0 && got->scale != want->scale) {
		print_error("%s: scale is %u, not %u\n", row->text, got->scale, want->scale);
		wrong++;
	}
	return wrong;
}

static void decodes_each_row(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		uint8_t     bytes[INSN_MAX] = { 0 };
		size_t      len = parse_hex(rows[i].hex, bytes);
		struct insn insn;

		if (insn_decode(&insn, rows[i].mode, bytes, sizeof(bytes)) || insn.len != len ||
		    insn.mode != rows[i].mode) {
			print_error("%s: not decoded, or its length is wrong\n", rows[i].text);
			wrong++;
			continue;
		}
		wrong += compare(&rows[i], &insn);
	}
	assert_int_equal(wrong, 0);
}

/* With one byte too few there is no instruction, and not a byte beyond is looked at (the sanitizer watches). */
static void needs_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint8_t     bytes[INSN_MAX];
		size_t      len = parse_hex(rows[i].hex, bytes);
		uint8_t    *exact = malloc(len);
		struct insn insn;

		assert_non_null(exact);
		memcpy(exact, bytes, len);
		assert_int_equal(insn_decode(&insn, rows[i].mode, exact, len), 0);
		for (size_t avail = 0; avail < len; avail++)
			assert_int_equal(insn_decode(&insn, rows[i].mode, exact, avail), INSN_CUT);
		free(exact);
	}
}

static void refuses_what_is_none(void **state)
{
	static const struct { enum insn_mode mode; const char *hex; } bad[] = {
		{ INSN_64, "06" },			/* push es */
		{ INSN_64, "f0 89 03" },		/* lock mov */
		{ INSN_64, "f0 0f a2" },		/* lock cpuid */
		{ INSN_64, "f0 6c" },			/* lock insb */
		{ INSN_64, "f0 0f ff 00" },
		{ INSN_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66" },	/* prefixes only */
		{ INSN_32, "0f 20 c8" },		/* mov eax, cr1 */
		{ (enum insn_mode)7, "90" },
	};

	(void)state;
	for (size_t i = 0; row_of(bad, i); i++) {
		uint8_t     bytes[INSN_MAX];
		size_t      len = parse_hex(bad[i].hex, bytes);
		struct insn insn;

		assert_int_equal(insn_decode(&insn, bad[i].mode, bytes, len), INSN_BAD);
	}
}

static void writes_text(void **state)
{
	static const uint8_t mov[] = { 0x89, 0x43, 0x50 }, jump[] = { 0xeb, 0xfe };
	char text[64], small[4];

	(void)state;
	insn_text(text, sizeof(text), INSN_64, 0, mov, sizeof(mov));
	assert_string_equal(text, "mov [rbx+0x50], eax");
	insn_text(text, sizeof(text), INSN_64, 0xffffffff81000000ULL, jump, sizeof(jump));
	assert_string_equal(text, "jmp 0xFFFFFFFF81000000");
	insn_text(text, sizeof(text), INSN_64, 0, mov, 1);
	assert_string_equal(text, "(bad)");
	insn_text(small, sizeof(small), INSN_64, 0, mov, sizeof(mov));
	assert_string_equal(small, "mov");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_each_row),
		cmocka_unit_test(needs_every_byte),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(writes_text),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
