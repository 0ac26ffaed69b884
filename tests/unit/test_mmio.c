/* SPDX-License-Identifier: MIT */
/*
 * Trapped memory accesses carried out on a device that is eight kilobytes of bytes: every form with its
 * result, flags and registers; REP in batches; operands that cross into RAM or nowhere; instructions that
 * are not what the exit was about; 32-bit and real mode; the local APIC page; the two memories of fetch.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/mmio.h"
#include "arch/x86/exit/string.h"
#include "arch/x86/hw/cr.h"
#include "clock_fake.h"
#include "hv/lib/util.h"
#include "page_fake.h"
#include "vcpu_fake.h"

#define CODE		0xffffffff81000000ULL	/* linear */
#define CODE_AT		0x8000ULL		/* guest-physical */
#define RAM		0xffffc90000000000ULL	/* a page of RAM, two of device, one of RAM, a hole */
#define RAM_AT		0x9000ULL
#define DEV		(RAM + PAGE_SIZE)
#define DEV_AT		0xd0000000ULL
#define DEV_PAGES	2U
#define RAM_AFTER	(DEV + DEV_PAGES * PAGE_SIZE)
#define RAM_AFTER_AT	0xa000ULL
#define HOLE		0xffffc98000000000ULL
#define HOLE_AT		0xe0000000ULL
#define SPOT		0x10U			/* where the rows' operand is */
#define OLD		0x8877665544332211ULL
#define RAM_WORD	0x0123456789abcdefULL
#define WRITE		2ULL
#define STATUS		(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static struct vcpu_fake fake;
static uint8_t  device[DEV_PAGES * PAGE_SIZE];
static unsigned reads, writes, last_size;
static uint64_t write_ticks;		/* that one takes */

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	assert_ptr_equal(dev, device);
	assert_true(offset + size <= sizeof(device));
	reads++;
	last_size = size;
	memcpy(&val, device + offset, size);
	return val;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	assert_ptr_equal(dev, device);
	assert_true(offset + size <= sizeof(device));
	writes++;
	fake_now += write_ticks;
	last_size = size;
	memcpy(device + offset, &value, size);
}

static void add_device(void)
{
	const struct bus_range range = {
		.name = "test", .start = DEV_AT, .length = sizeof(device), .sizes = 15,
		.read = device_read, .write = device_write, .dev = device,
	};

	assert_int_equal(bus_add(&fake.vm.mmio, &range), 0);
	memset(device, 0, sizeof(device));
	reads = writes = last_size = 0;
	write_ticks = 0;
}

static int set_up(void **state)
{
	(void)state;
	vcpu_fake_long(&fake);
	add_device();
	vcpu_fake_map(&fake, CODE, CODE_AT, 0);
	vcpu_fake_map(&fake, RAM, RAM_AT, WRITE);
	for (unsigned i = 0; i < DEV_PAGES; i++)
		vcpu_fake_map(&fake, DEV + i * PAGE_SIZE, DEV_AT + i * PAGE_SIZE, WRITE);
	vcpu_fake_map(&fake, RAM_AFTER, RAM_AFTER_AT, WRITE);
	vcpu_fake_set_word(&fake, RAM_AT, RAM_WORD);
	fake.vcpu.exit.rip = CODE;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	return 0;
}

static size_t put_code(uint64_t at, const char *hex)
{
	uint8_t bytes[INSN_MAX + 1] = { 0 };
	size_t  len = 0;
	char   *end;

	for (; *hex; hex = *end ? end + 1 : end)
		bytes[len++] = (uint8_t)strtoul(hex, &end, 16);
	vcpu_fake_put(&fake, at, bytes, len);
	return len;
}

static uint64_t device_word(unsigned offset)
{
	uint64_t word;

	memcpy(&word, device + offset, sizeof(word));
	return word;
}

static void set_device_word(unsigned offset, uint64_t word)
{
	memcpy(device + offset, &word, sizeof(word));
}

/* ---- Every form ---- */

struct reg_value { enum gpr reg; uint64_t val; };

struct row {
	const char *text, *hex;
	bool        is_write;		/* what the exit said */
	uint64_t    before, after;	/* device */
	uint64_t    flags_in, flags_out;
	unsigned    at;			/* operand's distance from SPOT */
	struct reg_value in[4], out[4];	/* all zero: unused; a register not listed must stay as it was */
};

static const struct row rows[] = {
	{ "mov [rbx],al", "88 03", true, OLD, 0x8877665544332299ULL, 0, 0,
	  .in = { { GPR_RAX, 0x1122334455667799ULL } } },
	{ "mov [rbx],ah", "88 23", true, OLD, 0x8877665544332277ULL, 0, 0,
	  .in = { { GPR_RAX, 0x1122334455667799ULL } } },
	{ "mov [rbx],r9w", "66 44 89 0b", true, OLD, 0x887766554433abcdULL, 0, 0,
	  .in = { { GPR_R9, 0xabcd } } },
	{ "mov [rbx],edx", "89 13", true, OLD, 0x88776655cafebabeULL, 0, 0,
	  .in = { { GPR_RDX, 0xdeadbeefcafebabeULL } } },
	{ "mov [rbx],rdx", "48 89 13", true, OLD, 0xdeadbeefcafebabeULL, 0, 0,
	  .in = { { GPR_RDX, 0xdeadbeefcafebabeULL } } },
	{ "mov byte [rbx],0x80", "c6 03 80", true, OLD, 0x8877665544332280ULL, 0, 0, .at = 0 },
	{ "mov qword [rbx],-2", "48 c7 03 fe ff ff ff", true, OLD, 0xfffffffffffffffeULL, 0, 0, .at = 0 },
	{ "mov dword [rbx],0x89abcdef", "c7 03 ef cd ab 89", true, OLD, 0x8877665589abcdefULL,
	  0, 0, .at = 0 },
	{ "movnti [rbx],ecx", "0f c3 0b", true, OLD, 0x8877665500000005ULL, 0, 0,
	  .in = { { GPR_RCX, 0x5 } } },
	{ "mov al,[rbx]", "8a 03", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } },
	  .out = { { GPR_RAX, 0xffffffffffffff11ULL } } },
	{ "mov ch,[rbx]", "8a 2b", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RCX, 0x0 } }, .out = { { GPR_RCX, 0x1100 } } },
	{ "mov ax,[rbx]", "66 8b 03", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } },
	  .out = { { GPR_RAX, 0xffffffffffff2211ULL } } },
	{ "mov eax,[rbx]", "8b 03", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } }, .out = { { GPR_RAX, 0x44332211 } } },
	{ "mov r15,[rbx]", "4c 8b 3b", false, OLD, OLD, 0, 0,
	  .out = { { GPR_R15, 0x8877665544332211ULL } } },
	{ "mov eax,[rbx+rcx*4-8]", "8b 44 8b f8", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RCX, 0x2 } }, .out = { { GPR_RAX, 0x44332211 } } },
	{ "movzx eax,byte [rbx]", "0f b6 03", false, 0xf0, 0xf0, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } }, .out = { { GPR_RAX, 0xf0 } } },
	{ "movzx rax,word [rbx]", "48 0f b7 03", false, 0x8000, 0x8000, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } }, .out = { { GPR_RAX, 0x8000 } } },
	{ "movsx ax,byte [rbx]", "66 0f be 03", false, 0xf0, 0xf0, 0, 0,
	  .in = { { GPR_RAX, 0x0 } }, .out = { { GPR_RAX, 0xfff0 } } },
	{ "movsx eax,word [rbx]", "0f bf 03", false, 0x8000, 0x8000, 0, 0,
	  .in = { { GPR_RAX, 0xffffffffffffffffULL } }, .out = { { GPR_RAX, 0xffff8000ULL } } },
	{ "movsxd rax,dword [rbx]", "48 63 03", false, 0x80000000ULL, 0x80000000ULL, 0, 0,
	  .out = { { GPR_RAX, 0xffffffff80000000ULL } } },
	{ "add dword [rbx],1", "83 03 01", true, 0xffffffffULL, 0x0,
	  0, RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_CF, .at = 0 },
	{ "add eax,[rbx]", "03 03", false, 0x2, 0x2, 0, RFLAGS_PF,
	  .in = { { GPR_RAX, 0xffffffff00000001ULL } }, .out = { { GPR_RAX, 0x3 } } },
	{ "lock or dword [rbx],0x80", "f0 81 0b 80 00 00 00", true, 0x1, 0x81, 0, RFLAGS_PF, .at = 0 },
	{ "adc byte [rbx],0xff", "80 13 ff", true, 0x12, 0x12,
	  RFLAGS_CF, RFLAGS_CF | RFLAGS_AF | RFLAGS_PF, .at = 0 },
	{ "sbb word [rbx],1", "66 83 1b 01", true, 0x1, 0xffff,
	  RFLAGS_CF, RFLAGS_CF | RFLAGS_AF | RFLAGS_PF | RFLAGS_SF, .at = 0 },
	{ "and [rbx],rcx", "48 21 0b", true, 0xffff, 0xf0f0, 0, RFLAGS_PF,
	  .in = { { GPR_RCX, 0xf0f0 } } },
	{ "sub qword [rbx],1", "48 83 2b 01", true, 0x8000000000000000ULL, 0x7fffffffffffffffULL,
	  0, RFLAGS_OF | RFLAGS_AF | RFLAGS_PF, .at = 0 },
	{ "xor dl,[rbx]", "32 13", false, 0x11, 0x11, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RDX, 0xff11 } }, .out = { { GPR_RDX, 0xff00 } } },
	{ "cmp rax,[rbx]", "48 3b 03", false, 0x6, 0x6,
	  0, RFLAGS_CF | RFLAGS_AF | RFLAGS_SF | RFLAGS_PF,
	  .in = { { GPR_RAX, 0x5 } }, .out = { { GPR_RAX, 0x5 } } },
	{ "cmp eax,[rbx]", "3b 03", false, 0x6, 0x6, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RAX, 0xffffffff00000006ULL } },
	  .out = { { GPR_RAX, 0xffffffff00000006ULL } } },
	{ "cmp dword [rbx],7", "83 3b 07", false, 0x6, 0x6,
	  0, RFLAGS_CF | RFLAGS_AF | RFLAGS_SF | RFLAGS_PF, .at = 0 },
	{ "test byte [rbx],0x10", "f6 03 10", false, 0x11, 0x11, 0, 0, .at = 0 },
	{ "test [rbx],eax", "85 03", false, 0x11, 0x11, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RAX, 0xffffffff00000000ULL } },
	  .out = { { GPR_RAX, 0xffffffff00000000ULL } } },
	{ "inc dword [rbx]", "ff 03", true, 0x7fffffff, 0x80000000ULL,
	  RFLAGS_CF, RFLAGS_CF | RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF, .at = 0 },
	{ "lock dec byte [rbx]", "f0 fe 0b", true, 0x1, 0x0, 0, RFLAGS_ZF | RFLAGS_PF, .at = 0 },
	{ "not word [rbx]", "66 f7 13", true, 0xff, 0xff00, RFLAGS_CF, RFLAGS_CF, .at = 0 },
	{ "neg dword [rbx]", "f7 1b", true, 0x1, 0xffffffffULL,
	  0, RFLAGS_CF | RFLAGS_AF | RFLAGS_SF | RFLAGS_PF, .at = 0 },
	{ "xchg [rbx],eax", "87 03", true, 0x44332211, 0x5, 0, 0,
	  .in = { { GPR_RAX, 0xffffffff00000005ULL } }, .out = { { GPR_RAX, 0x44332211 } } },
	{ "xchg ah,[rbx]", "86 23", true, 0x11, 0x5, 0, 0,
	  .in = { { GPR_RAX, 0x500 } }, .out = { { GPR_RAX, 0x1100 } } },
	{ "lock xadd [rbx],ecx", "f0 0f c1 0b", true, 0x4, 0x7, 0, 0,
	  .in = { { GPR_RCX, 0x3 } }, .out = { { GPR_RCX, 0x4 } } },
	{ "lock cmpxchg [rbx],rdx", "f0 48 0f b1 13", true, 0x9, 0x5, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RAX, 0x9 }, { GPR_RDX, 0x5 } }, .out = { { GPR_RAX, 0x9 } } },
	{ "cmpxchg [rbx],edx", "0f b1 13", true, 0x9, 0x9,
	  0, RFLAGS_CF | RFLAGS_AF | RFLAGS_SF | RFLAGS_PF,
	  .in = { { GPR_RAX, 0xffffffff00000008ULL }, { GPR_RDX, 0x5 } },
	  .out = { { GPR_RAX, 0x9 } } },
	{ "bt dword [rbx],4", "0f ba 23 04", false, 0x10, 0x10, 0, RFLAGS_CF, .at = 0 },
	{ "bt dword [rbx],36", "0f ba 23 24", false, 0x10, 0x10, 0, RFLAGS_CF, .at = 0 },
	{ "lock bts [rbx],eax", "f0 0f ab 03", true, 0x10, 0x18, 0, 0,
	  .in = { { GPR_RAX, 0x3 } } },
	{ "bts [rbx-8],rax", "48 0f ab 43 f8", true, 0x10, 0x18, 0, 0,
	  .in = { { GPR_RAX, 0x43 } } },
	{ "bts [rbx+8],eax", "0f ab 43 08", true, 0x10, 0x18, 0, 0,
	  .in = { { GPR_RAX, 0xffffffc3ULL } } },
	{ "btr word [rbx],4", "66 0f ba 33 04", true, 0x10, 0x0, 0, RFLAGS_CF, .at = 0 },
	{ "btc [rbx],rcx", "48 0f bb 0b", true, 0x10, 0x8000000000000010ULL, 0, 0,
	  .in = { { GPR_RCX, 0x3f } } },
	{ "stosd", "ab", true, OLD, 0x8877665500000007ULL, 0, 0,
	  .in = { { GPR_RDI, DEV+0x10 }, { GPR_RAX, 0x7 } }, .out = { { GPR_RDI, DEV+0x14 } } },
	{ "rep stosb", "f3 aa", true, OLD, 0xeeee665544332211ULL, RFLAGS_DF, RFLAGS_DF,
	  .at = 7,
	  .in = { { GPR_RDI, DEV+0x17 }, { GPR_RAX, 0xee }, { GPR_RCX, 0x2 } },
	  .out = { { GPR_RDI, DEV+0x15 }, { GPR_RCX, 0x0 } } },
	{ "rep stosb", "f3 aa", true, OLD, OLD, 0, 0,
	  .in = { { GPR_RDI, DEV+0x10 }, { GPR_RAX, 0xee }, { GPR_RCX, 0x0 } },
	  .out = { { GPR_RDI, DEV+0x10 }, { GPR_RCX, 0x0 } } },
	{ "lodsw", "66 ad", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RSI, DEV+0x10 }, { GPR_RAX, 0xffffffffffffffffULL } },
	  .out = { { GPR_RSI, DEV+0x12 }, { GPR_RAX, 0xffffffffffff2211ULL } } },
	{ "repne scasb", "f2 ae", false, OLD, OLD, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RDI, DEV+0x10 }, { GPR_RAX, 0x33 }, { GPR_RCX, 0x8 } },
	  .out = { { GPR_RDI, DEV+0x13 }, { GPR_RCX, 0x5 } } },
	{ "repe scasb", "f3 ae", false, OLD, OLD,
	  0, RFLAGS_CF | RFLAGS_AF | RFLAGS_SF,
	  .in = { { GPR_RDI, DEV+0x10 }, { GPR_RAX, 0x11 }, { GPR_RCX, 0x8 } },
	  .out = { { GPR_RDI, DEV+0x12 }, { GPR_RCX, 0x6 } } },
	{ "rep movsq", "f3 48 a5", true, OLD, 0x123456789abcdefULL, 0, 0,
	  .in = { { GPR_RSI, RAM }, { GPR_RDI, DEV+0x10 }, { GPR_RCX, 0x1 } },
	  .out = { { GPR_RDI, DEV+0x18 }, { GPR_RSI, RAM+8 }, { GPR_RCX, 0x0 } } },
	{ "movsd", "a5", false, OLD, OLD, 0, 0,
	  .in = { { GPR_RSI, DEV+0x10 }, { GPR_RDI, RAM+0x100 } },
	  .out = { { GPR_RDI, RAM+0x104 }, { GPR_RSI, DEV+0x14 } } },
	{ "rep movsb", "f3 a4", false, OLD, 0x4433221144332211ULL, 0, 0,
	  .in = { { GPR_RSI, DEV+0x10 }, { GPR_RDI, DEV+0x14 }, { GPR_RCX, 0x4 } },
	  .out = { { GPR_RDI, DEV+0x18 }, { GPR_RSI, DEV+0x14 }, { GPR_RCX, 0x0 } } },
	{ "cmpsd", "a7", false, 0x89abcdefULL, 0x89abcdefULL, 0, RFLAGS_ZF | RFLAGS_PF,
	  .in = { { GPR_RSI, RAM }, { GPR_RDI, DEV+0x10 } },
	  .out = { { GPR_RDI, DEV+0x14 }, { GPR_RSI, RAM+4 } } },
};

static void load_registers(const struct row *row, uint64_t *expected)
{
	uint64_t *gpr = fake.vcpu.gpr;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		gpr[i] = 0;
	gpr[GPR_RBX] = DEV + SPOT;
	for (size_t i = 0; i < countof(row->in); i++)
		if (row->in[i].reg || row->in[i].val)
			gpr[row->in[i].reg] = row->in[i].val;
	memcpy(expected, gpr, sizeof(fake.vcpu.gpr));
	for (size_t i = 0; i < countof(row->out); i++)
		if (row->out[i].reg || row->out[i].val)
			expected[row->out[i].reg] = row->out[i].val;
}

static void does_each_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		const struct row *row = &rows[i];
		size_t   len = put_code(CODE_AT, row->hex);
		uint64_t expected[GPR_COUNT], flags;
		enum exit_result result;

		load_registers(row, expected);
		set_device_word(SPOT, row->before);
		fake.regs[REG_RFLAGS] = RFLAGS_ONE | RFLAGS_IF | row->flags_in;
		vcpu_fake_set_word(&fake, RAM_AT, RAM_WORD);
		result = exit_mmio(&fake.vcpu, gpa(DEV_AT + SPOT + row->at), row->is_write);

		if (result != EXIT_SKIP || fake.vcpu.exit.insn_len != len || fake.injected || fake.is_killed)
			fail_msg("%s: result %d, length %u", row->text, result, fake.vcpu.exit.insn_len);
		if (device_word(SPOT) != row->after)
			fail_msg("%s: the device holds %#lx", row->text, device_word(SPOT));
		flags = fake.regs[REG_RFLAGS] & (STATUS | RFLAGS_DF);
		if (flags != row->flags_out || !(fake.regs[REG_RFLAGS] & RFLAGS_IF))
			fail_msg("%s: flags %#lx, not %#lx", row->text, flags, row->flags_out);
		for (unsigned reg = 0; reg < GPR_COUNT; reg++)
			if (fake.vcpu.gpr[reg] != expected[reg])
				fail_msg("%s: register %u is %#lx", row->text, reg, fake.vcpu.gpr[reg]);
	}
}

/* The second time everything comes from memory (fetch.c) and must be the same; one access, of the right size. */
static void repeats_from_memory(void **state)
{
	(void)state;
	put_code(CODE_AT, "89 43 50");		/* mov [rbx+0x50], eax */
	fake.vcpu.gpr[GPR_RBX] = DEV;
	for (unsigned i = 1; i < 5; i++) {
		fake.vcpu.gpr[GPR_RAX] = i;
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
		assert_int_equal(device_word(0x50), i);
		assert_int_equal(writes, i);
		assert_int_equal(last_size, 4);
	}
	/* Other bytes at the same place, then another page behind the same address, then another CR3. */
	put_code(CODE_AT, "88 43 50");		/* mov [rbx+0x50], al */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
	assert_int_equal(last_size, 1);
	fake.vcpu.gpr[GPR_RBP] = 0;
	put_code(CODE_AT, "48 c7 84 2b 50 00 00 00 01 00 00 00");	/* mov qword [rbx+rbp+0x50], 1 */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
	put_code(CODE_AT, "48 c7 84 2b 50 00 00 00 01 00 00 02");	/* only its twelfth byte is another */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
	assert_int_equal(device_word(0x50), 0x2000001);
	put_code(0xb000, "66 89 43 50");	/* mov [rbx+0x50], ax */
	vcpu_fake_map(&fake, CODE, 0xb000, 0);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
	assert_int_equal(last_size, 2);
	fake.regs[REG_CR3] = 0x200000;
	vcpu_fake_map(&fake, CODE, CODE_AT, 0);
	put_code(CODE_AT, "48 89 43 50");	/* mov [rbx+0x50], rax */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x50), true), EXIT_SKIP);
	assert_int_equal(last_size, 8);
}

/* ---- REP ---- */

static void repeats_in_batches(void **state)
{
	uint64_t count = 3 * STRING_STEPS_MAX - 10;
	unsigned exits = 0;
	enum exit_result result;

	(void)state;
	put_code(CODE_AT, "f3 aa");		/* rep stosb */
	fake.vcpu.gpr[GPR_RDI] = DEV + 0x100;
	fake.vcpu.gpr[GPR_RCX] = count;
	fake.vcpu.gpr[GPR_RAX] = 0x5a;
	do {
		uint64_t at = fake.vcpu.gpr[GPR_RDI] - DEV;

		result = exit_mmio(&fake.vcpu, gpa(DEV_AT + at), true);
		exits++;
	} while (result == EXIT_RESUME && exits < 10);
	assert_int_equal(result, EXIT_SKIP);
	assert_int_equal(exits, 3);
	assert_int_equal(writes, count);
	assert_int_equal(fake.progress, count);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0);
	assert_int_equal(fake.vcpu.gpr[GPR_RDI], DEV + 0x100 + count);
	assert_int_equal(device[0x100 + count - 1], 0x5a);
	assert_int_equal(device[0x100 + count], 0);
}

/* A device that takes long gets fewer steps: what bounds an exit is time. */
static void repeats_for_a_while(void **state)
{
	(void)state;
	put_code(CODE_AT, "f3 aa");		/* rep stosb */
	fake.vcpu.gpr[GPR_RDI] = DEV;
	fake.vcpu.gpr[GPR_RCX] = STRING_STEPS_MAX;
	write_ticks = STRING_TICKS_MAX / 5;
	for (unsigned exits = 1; exits <= STRING_STEPS_MAX / 5; exits++) {
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + writes), true), EXIT_RESUME);
		assert_int_equal(writes, exits * 5);
		assert_int_equal(fake.vcpu.gpr[GPR_RCX], STRING_STEPS_MAX - writes);
	}
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + writes), true), EXIT_SKIP);
	/* One step at least, however long it takes. */
	fake.vcpu.gpr[GPR_RDI] = DEV;
	fake.vcpu.gpr[GPR_RCX] = 2;
	write_ticks = 100 * STRING_TICKS_MAX;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 1), true), EXIT_SKIP);
}

/* The fault of a later step is left to the processor, with the registers of the steps before it. */
static void repeats_up_to_a_fault(void **state)
{
	(void)state;
	put_code(CODE_AT, "f3 a4");		/* rep movsb: RAM that ends after four bytes */
	fake.vcpu.gpr[GPR_RSI] = RAM_AFTER + PAGE_SIZE - 4;
	fake.vcpu.gpr[GPR_RDI] = DEV;
	fake.vcpu.gpr[GPR_RCX] = 9;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 5);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], RAM_AFTER + PAGE_SIZE);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(writes, 4);
	/* As the first step it is injected, and nothing has happened. */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 4), true), EXIT_RESUME);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, 0);
	assert_int_equal(fake.vcpu.cr2, RAM_AFTER + PAGE_SIZE);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 5);
	assert_int_equal(writes, 4);
}

/* ---- Operands across a page border ---- */

static void splits_between_ram_and_device(void **state)
{
	uint64_t ram_end = RAM_AT + PAGE_SIZE - 8;

	(void)state;
	put_code(CODE_AT, "48 89 03");		/* mov [rbx], rax: three bytes of RAM, five of the device */
	fake.vcpu.gpr[GPR_RBX] = DEV - 3;
	fake.vcpu.gpr[GPR_RAX] = OLD;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(vcpu_fake_word(&fake, ram_end), 0x3322110000000000ULL);
	assert_int_equal(device_word(0), 0x8877665544ULL);
	assert_int_equal(writes, 2);
	put_code(CODE_AT, "48 ff 03");		/* inc qword [rbx] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(vcpu_fake_word(&fake, ram_end), 0x3322120000000000ULL);
	put_code(CODE_AT, "48 8b 0b");		/* mov rcx, [rbx] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), false), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], OLD + 1);
	/* Device first, and between two device pages. */
	fake.vcpu.gpr[GPR_RBX] = RAM_AFTER - 2;
	put_code(CODE_AT, "48 89 03");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 2 * PAGE_SIZE - 2), true), EXIT_SKIP);
	assert_int_equal(vcpu_fake_word(&fake, RAM_AFTER_AT), 0x887766554433ULL);
	fake.vcpu.gpr[GPR_RBX] = DEV + PAGE_SIZE - 1;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + PAGE_SIZE - 1), true), EXIT_SKIP);
	assert_int_equal(device_word(PAGE_SIZE - 1), OLD);
}

/*
 * Both pages of an operand lie in memory that nobody has touched: the instruction is executed again after
 * each of them.
 */
static void populates_a_chunk_an_exit(void **state)
{
	const uint64_t far = 0x40000000;
	uint64_t before;

	(void)state;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), 2 * LARGE_SIZE), 0);
	vcpu_fake_map(&fake, RAM, far, WRITE);
	vcpu_fake_map(&fake, DEV, far + LARGE_SIZE, WRITE);
	put_code(CODE_AT, "f3 48 a5");		/* rep movsq */
	fake.vcpu.gpr[GPR_RSI] = RAM + PAGE_SIZE - 4;
	fake.vcpu.gpr[GPR_RDI] = DEV + PAGE_SIZE;
	fake.vcpu.gpr[GPR_RCX] = 1;
	set_device_word(PAGE_SIZE, OLD);
	before = fake.vm.gpm.populated;
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + PAGE_SIZE), true), EXIT_RESUME);
		assert_int_equal(fake.vm.gpm.populated, before + i * LARGE_SIZE);
		assert_int_equal(fake.progress, i);
		assert_int_equal(fake.injected + writes, 0);
	}
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + PAGE_SIZE), true), EXIT_SKIP);
	assert_int_equal(device_word(PAGE_SIZE), 0);
	assert_int_equal(writes, 1);
}

/*
 * Code in RAM that nobody has touched: the guest's tables have changed since it was executed. Its memory is all
 * that this exit populates. Bytes behind an instruction need no memory.
 */
static void populates_for_code(void **state)
{
	const uint64_t far = 0x40000000;
	uint64_t before;

	(void)state;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), LARGE_SIZE), 0);
	vcpu_fake_map(&fake, CODE + PAGE_SIZE, far, 0);
	put_code(CODE_AT + PAGE_SIZE - 2, "89 03");		/* mov [rbx], eax */
	fake.vcpu.gpr[GPR_RBX] = DEV;
	fake.vcpu.exit.rip = CODE + PAGE_SIZE - 2;
	before = fake.vm.gpm.populated;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(fake.vm.gpm.populated, before);

	fake.vcpu.exit.rip = CODE + PAGE_SIZE;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.vm.gpm.populated, before + LARGE_SIZE);
	assert_int_equal(fake.progress, 1);
	assert_int_equal(fake.injected, 0);
	assert_false(fake.is_killed);
	fake.vcpu.gpr[GPR_RAX] = DEV;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);	/* 00 00 is add [rax], al */
}

/* The exception of an earlier x87 instruction comes before the access; instructions that do not wait for it go on. */
static void raises_what_is_pending(void **state)
{
	const uint16_t divide_unmasked = 0x37b;
	const float    zero = 0;

	(void)state;
	fake.vcpu.gpr[GPR_RBX] = DEV;
	fake.regs[REG_CR0] |= CR0_NE;
	__asm__ volatile("fldcw %0; fld1; fdivs %1" : : "m"(divide_unmasked), "m"(zero));
	put_code(CODE_AT, "d9 43 10");		/* fld dword [rbx+0x10] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x10), false), EXIT_RESUME);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.vector, VEC_MF);
	assert_int_equal(reads, 0);
	put_code(CODE_AT, "dd 7b 10");		/* fnstsw [rbx+0x10] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x10), true), EXIT_SKIP);
	assert_int_equal(device_word(0x10) & 0x84, 0x84);	/* ES, ZE */
	fake.regs[REG_CR0] &= ~CR0_NE;
	put_code(CODE_AT, "d9 43 10");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x10), false), EXIT_STOP);
	assert_true(fake.is_killed);
	assert_int_equal(fake.injected, 1);
	__asm__ volatile("fninit");
}

/* Sixteen bytes must be aligned; eight need not. */
static void wants_wide_exchanges_aligned(void **state)
{
	(void)state;
	fake.vcpu.gpr[GPR_RBX] = DEV + 8;
	put_code(CODE_AT, "48 0f c7 0b");	/* cmpxchg16b [rbx] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 8), true), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
	assert_int_equal(fake.error, 0);
	assert_int_equal(reads + writes, 0);
	fake.vcpu.gpr[GPR_RBX] = DEV + 4;
	put_code(CODE_AT, "0f c7 0b");		/* cmpxchg8b [rbx] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 4), true), EXIT_SKIP);
	fake.vcpu.gpr[GPR_RBX] = DEV + 16;
	put_code(CODE_AT, "48 0f c7 0b");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 16), true), EXIT_SKIP);
	assert_int_equal(fake.injected, 1);
}

/*
 * By zero, and quotients that have no room: the instruction changes nothing. The rest is compared with the
 * processor's.
 */
static void raises_divide_error(void **state)
{
	static const struct { const char *hex; uint64_t rdx, rax, divisor; bool fits; } cases[] = {
		{ "f6 73 10", 0, 0xffff, 0, false },	{ "f6 73 10", 0, 0x0fff, 0x0f, false },	/* div byte */
		{ "f6 73 10", 0, 0x0eff, 0x0f, true },	{ "f7 73 10", 5, 0, 5, false },		/* div dword */
		{ "f7 73 10", 4, 0, 5, true },		{ "48 f7 73 10", 5, 0, 5, false },
		{ "f6 7b 10", 0, 0x0080, 1, false },	{ "f6 7b 10", 0, 0xff80, 1, true },	/* idiv byte */
		{ "f6 7b 10", 0, 0x0080, 0xff, true },	{ "f6 7b 10", 0, 0xff80, 0xff, false },
		{ "48 f7 7b 10", ~0ULL, 1ULL << 63, ~0ULL, false }, { "48 f7 7b 10", ~0ULL, 1ULL << 63, 1, true },
		{ "48 f7 7b 10", 0, 5, 0, false },
	};
	unsigned faults = 0;

	(void)state;
	fake.vcpu.gpr[GPR_RBX] = DEV;
	for (size_t i = 0; row_of(cases, i); i++) {
		put_code(CODE_AT, cases[i].hex);
		fake.vcpu.gpr[GPR_RAX] = cases[i].rax;
		fake.vcpu.gpr[GPR_RDX] = cases[i].rdx;
		set_device_word(0x10, cases[i].divisor);
		faults += !cases[i].fits;
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x10), false), cases[i].fits ? EXIT_SKIP : EXIT_RESUME);
		assert_int_equal(fake.injected, faults);
		assert_int_equal(fake.vector, VEC_DE);
		if (!cases[i].fits)
			assert_true(fake.vcpu.gpr[GPR_RAX] == cases[i].rax && fake.vcpu.gpr[GPR_RDX] == cases[i].rdx);
	}
}

static void faults_before_half_a_write(void **state)
{
	(void)state;
	put_code(CODE_AT, "48 89 03");
	vcpu_fake_map(&fake, RAM_AFTER, RAM_AFTER_AT, 0);	/* read-only */
	fake.vcpu.gpr[GPR_RBX] = RAM_AFTER - 2;
	fake.vcpu.gpr[GPR_RAX] = OLD;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 2 * PAGE_SIZE - 2), true), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, PF_PRESENT | PF_WRITE);
	assert_int_equal(fake.vcpu.cr2, RAM_AFTER);
	assert_int_equal(writes, 0);
}

/* ---- Instructions that are not what the exit was about (emulator and decode races) ---- */

static void acts_on_nothing_else(void **state)
{
	static const struct { const char *hex; uint64_t rbx, at; bool is_write; } swapped[] = {
		{ "89 03", DEV + 0x20, 0x10, true },		/* another operand */
		{ "89 03", DEV + 0x10, 0x10, false },		/* a store, but the exit was a read */
		{ "8b 03", DEV + 0x10, 0x10, true },		/* the other way round */
		{ "39 03", DEV + 0x10, 0x10, true },		/* cmp does not write */
		{ "89 d8", DEV + 0x10, 0x10, true },		/* register to register */
		{ "ab", DEV + 0x10, 0x10, false },		/* stosd does not read */
		{ "ab", DEV + 0x10, 0x1010, true },		/* another page */
		{ "48 89 03", DEV - 3, 0x1000, true },		/* a split operand elsewhere */
	};

	(void)state;
	for (size_t i = 0; row_of(swapped, i); i++) {
		put_code(CODE_AT, swapped[i].hex);
		fake.vcpu.gpr[GPR_RBX] = swapped[i].rbx;
		fake.vcpu.gpr[GPR_RDI] = DEV + 0x10;
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + swapped[i].at), swapped[i].is_write),
				 EXIT_RESUME);
		assert_int_equal(reads + writes + fake.injected + fake.progress, 0);
		assert_false(fake.is_killed);
	}
}

/* SDM vol. 2: #GP(0) for memory that is not aligned to the operand's size, which no processor need have checked. */
static void misaligned_moves_fault(void **state)
{
	static const struct { const char *hex; unsigned at; bool is_write; } moves[] = {
		{ "0f 28 03", 8, false },		/* movaps xmm0, [rbx] */
		{ "0f 29 03", 4, true },		/* movaps [rbx], xmm0 */
		{ "66 0f 6f 03", 1, false },		/* movdqa xmm0, [rbx] */
		{ "66 0f e7 03", 8, true },		/* movntdq [rbx], xmm0 */
		{ "66 0f 38 2a 03", 8, false },		/* movntdqa xmm0, [rbx] */
		{ "c5 f8 28 03", 8, false },		/* vmovaps xmm0, [rbx] */
		{ "c5 fc 29 03", 16, true },		/* vmovaps [rbx], ymm0 */
	};

	(void)state;
	for (size_t i = 0; row_of(moves, i); i++) {
		fake.injected = 0;
		fake.vcpu.gpr[GPR_RBX] = DEV + moves[i].at;
		put_code(CODE_AT, moves[i].hex);
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + moves[i].at), moves[i].is_write), EXIT_RESUME);
		assert_int_equal(fake.injected, 1);
		assert_int_equal(fake.vector, VEC_GP);
		assert_int_equal(fake.error, 0);
		assert_int_equal(reads + writes, 0);
	}
}

static void stops_for_what_it_cannot_do(void **state)
{
	static const char *const unsupported[] = {
		"0f 58 03",			/* addps xmm0, [rbx] */
		"c5 f0 12 03",			/* vmovlps xmm0, xmm1, [rbx] */
		"0f 01 03",			/* sgdt [rbx] */
		"c8 10 00 01",			/* enter 16, 1: with a copy of the outer frame's pointer */
		"0f 0b",			/* ud2 */
	};

	(void)state;
	for (size_t i = 0; row_of(unsupported, i); i++) {
		fake.is_killed = false;
		fake.vcpu.gpr[GPR_RBX] = DEV;
		put_code(CODE_AT, unsupported[i]);
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_STOP);
		assert_true(fake.is_killed);
		assert_int_equal(reads + writes, 0);
	}
}

/* ---- Where nothing is, any instruction: reads give ones, writes vanish ---- */

static bool is_ones_page(uint64_t physical)
{
	hpa_t    page;
	unsigned rights;
	uint64_t size;

	if (!npt_lookup(&fake.vm.npt, gpa(physical), &page, &rights, &size))
		return false;
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(((const uint8_t *)hpa_ptr(page))[i], 0xff);
	assert_int_equal(rights, NPT_R);
	assert_int_equal(size, PAGE_SIZE);
	return true;
}

static enum exit_result at_hole(const char *hex, uint64_t physical, bool is_write)
{
	fake.injected = 0;
	fake.progress = 0;
	fake.is_killed = false;
	fake.vcpu.gpr[GPR_RBX] = HOLE + physical % PAGE_SIZE;
	put_code(CODE_AT, hex);
	return exit_mmio(&fake.vcpu, gpa(physical), is_write);
}

/* Two processors need the page of ones at once: they get the same one, and the other goes back. */
static void other_reads_hole(void)
{
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT + PAGE_SIZE, false), EXIT_RESUME);
}

static void the_page_of_ones_is_one(void **state)
{
	uint64_t used, size;
	hpa_t    first, second;
	unsigned rights;

	(void)state;
	assert_int_equal(npt_map(&fake.vm.npt, gpa(HOLE_AT), hpa(0), PAGE_SIZE, 0, false), 0);	/* the tables are there */
	used = page_fake_used;
	page_fake_meanwhile = other_reads_hole;
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT, false), EXIT_RESUME);
	assert_true(npt_lookup(&fake.vm.npt, gpa(HOLE_AT), &first, &rights, &size));
	assert_true(npt_lookup(&fake.vm.npt, gpa(HOLE_AT + PAGE_SIZE), &second, &rights, &size));
	assert_int_equal(first.raw, second.raw);
	assert_int_equal(page_fake_used, used + PAGE_SIZE);
}

static void memory_is_held(void)
{
	assert_int_not_equal(fake.vm.memory_lock.drawn, fake.vm.memory_lock.served);
}

/* While a sibling on another processor reads a hole a local APIC moves there: the page of ones does not stay. */
static void apic_comes_meanwhile(void)
{
	memory_is_held();
	fake.vcpu.lapic.s.base_msr = HOLE_AT | BIT(11);
}

static void holes_while_siblings_run(void **state)
{
	(void)state;
	fake.vm.vcpus[fake.vm.vcpu_count++] = &fake.vcpu;
	fake.vm.is_spread = true;
	fake.vm.memory_lock = (struct lock){ .rank = LOCK_MEMORY };
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT + 512 * PAGE_SIZE, false), EXIT_RESUME);	/* the page of ones is there */
	assert_int_equal(fake.vm.hole_pages, 1);
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT + 512 * PAGE_SIZE, false), EXIT_RESUME);	/* both read it: counted once */
	assert_int_equal(fake.vm.hole_pages, 1);
	page_fake_meanwhile = apic_comes_meanwhile;
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT, false), EXIT_RESUME);
	assert_null(page_fake_meanwhile);
	assert_false(is_ones_page(HOLE_AT));
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(fake.vm.memory_lock.drawn, 4);
	assert_int_equal(fake.vm.memory_lock.served, 4);
}

/* A guest that stores there again and again is told about once. */
static void writes_to_holes_are_noted_once(void **state)
{
	unsigned lines;

	(void)state;
	fake_vm_log[0] = '\0';
	assert_int_equal(at_hole("0f 01 03", HOLE_AT, true), EXIT_SKIP);		/* sgdt [rbx] */
	lines = fake_vm_log_lines();
	assert_non_null(strstr(fake_vm_log, "no RAM and no device"));
	assert_int_equal(at_hole("0f 01 03", HOLE_AT + 64, true), EXIT_SKIP);
	assert_int_equal(fake_vm_log_lines(), lines);
}

static void holes_answer_anything(void **state)
{
	(void)state;
	fake.vm.vcpus[fake.vm.vcpu_count++] = &fake.vcpu;
	/* Nobody decodes a read: the processor does it, on ones. Newer than the decoder: likewise. */
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT, false), EXIT_RESUME);		/* paddb xmm0, [rbx] */
	assert_true(is_ones_page(HOLE_AT));
	assert_int_equal(fake.progress, 1);
	assert_int_equal(at_hole("62 f1 7c 48 10 03", HOLE_AT + PAGE_SIZE, false), EXIT_RESUME);	/* vmovups zmm0 */
	assert_true(is_ones_page(HOLE_AT + PAGE_SIZE));
	assert_int_equal(fake.vm.hole_pages, 2);
	assert_int_equal(at_hole("66 0f fc 03", BIT(48), false), EXIT_STOP);		/* its translation would be that of address 0 */
	assert_int_equal(fake.vm.hole_pages, 2);
	/* A write is stepped over... */
	assert_int_equal(at_hole("0f 01 03", HOLE_AT, true), EXIT_SKIP);		/* sgdt [rbx] */
	assert_int_equal(fake.vcpu.exit.insn_len, 3);
	/* ...but not one that also goes on elsewhere, nor what is no instruction. */
	assert_int_equal(at_hole("ff 13", HOLE_AT, true), EXIT_STOP);			/* call [rbx] */
	assert_int_equal(at_hole("06", HOLE_AT, true), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_UD);
	/* The page becomes a local APIC's. */
	mmio_hole_forget(&fake.vcpu, HOLE_AT | BIT(11));
	assert_false(is_ones_page(HOLE_AT));
	assert_int_equal(fake.flushes, 1);
	mmio_hole_forget(&fake.vcpu, DEV_AT);
	assert_int_equal(fake.flushes, 1);
	fake.vcpu.lapic.s.base_msr = HOLE_AT | BIT(11);
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT + 8, false), EXIT_STOP);
	assert_int_equal(at_hole("06", HOLE_AT + 8, false), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_UD);
}

/*
 * The processor's own accesses while it delivers an event: the bytes at RIP, which would fit, have nothing to
 * do with them.
 */
static void deliveries_read_ones(void **state)
{
	(void)state;
	fake.vcpu.gpr[GPR_RBX] = DEV;
	put_code(CODE_AT, "48 89 03");		/* mov [rbx], rax */
	assert_int_equal(mmio_in_delivery(&fake.vcpu, gpa(DEV_AT), true), EXIT_STOP);
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(mmio_in_delivery(&fake.vcpu, gpa(DEV_AT), false), EXIT_STOP);
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(mmio_in_delivery(&fake.vcpu, gpa(HOLE_AT), true), EXIT_STOP);
	assert_true(fake.is_killed);
	fake.is_killed = false;
	assert_int_equal(mmio_in_delivery(&fake.vcpu, gpa(HOLE_AT + 8), false), EXIT_RESUME);
	assert_true(is_ones_page(HOLE_AT));
	assert_int_equal(fake.progress, 1);
	assert_int_equal(mmio_in_delivery(&fake.vcpu, gpa(BIT(48)), false), EXIT_STOP);
	assert_int_equal(reads + writes, 0);
}

/* A page of which a device has a part stays the device's; page tables are bounded. */
static void holes_are_whole_pages_and_few(void **state)
{
	const struct bus_range small = { .name = "small", .start = HOLE_AT + PAGE_SIZE + 0x800, .length = 16, .sizes = 4 };
	uint64_t page = HOLE_AT + 2 * PAGE_SIZE;

	(void)state;
	assert_int_equal(bus_add(&fake.vm.mmio, &small), 0);
	assert_int_equal(at_hole("66 0f fc 03", HOLE_AT + PAGE_SIZE, false), EXIT_STOP);
	assert_int_equal(at_hole("0f 01 03", HOLE_AT + PAGE_SIZE + 0xff0, true), EXIT_STOP);
	assert_int_equal(at_hole("66 0f fc 03", DEV_AT + PAGE_SIZE, false), EXIT_STOP);
	while (at_hole("66 0f fc 03", page, false) == EXIT_RESUME)
		page += PAGE_SIZE;
	assert_true(fake.is_killed);
	assert_int_equal(page, HOLE_AT + 66 * PAGE_SIZE);
	assert_false(is_ones_page(page));
}

/* The bytes could be read and are no instruction, or not with LOCK: the guest's own #UD, never its end. */
static void raises_undefined(void **state)
{
	static const char *const undefined[] = {
		"06",				/* push es, in 64-bit mode */
		"f0 89 03",			/* lock mov [rbx], eax */
		"f0 ab",			/* lock stosd */
		"f0 83 3b 01",			/* lock cmp dword [rbx], 1 */
		"66 66 66 66 66 66 66 66 66 66 66 66 66 66 66",
	};

	(void)state;
	for (size_t i = 0; row_of(undefined, i); i++) {
		fake.injected = 0;
		fake.vcpu.gpr[GPR_RBX] = fake.vcpu.gpr[GPR_RDI] = DEV;
		put_code(CODE_AT, undefined[i]);
		assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
		assert_int_equal(fake.injected, 1);
		assert_int_equal(fake.vector, VEC_UD);
		assert_int_equal(fake.error, ~0U);
		assert_false(fake.is_killed);
		assert_int_equal(reads + writes, 0);
	}
}

static void fetch_faults(void **state)
{
	(void)state;
	/* The instruction's second half lies on a page that is not there (any more). */
	fake.vcpu.exit.rip = CODE + PAGE_SIZE - 1;
	fake.vcpu.gpr[GPR_RBX] = DEV;
	put_code(CODE_AT + PAGE_SIZE - 1, "89");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, PF_FETCH);
	assert_int_equal(fake.vcpu.cr2, CODE + PAGE_SIZE);
	vcpu_fake_map(&fake, CODE + PAGE_SIZE, 0xb000, 0);
	put_code(0xb000, "03");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(writes, 1);
	/* Code in device memory: no bytes, no guess. */
	vcpu_fake_map(&fake, CODE, DEV_AT, 0);
	fake.vcpu.exit.rip = CODE;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_STOP);
}

/* ---- Other modes, segments, the APIC, nobody ---- */

static void protected_mode(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	vcpu_fake_protected(&fake);
	add_device();
	fake.vcpu.exit.rip = CODE_AT;
	put_code(CODE_AT, "89 43 04");		/* mov [ebx+4], eax, in a segment with a base */
	fake.segs[SEG_DS].base = 0x10000000;
	fake.vcpu.gpr[GPR_RBX] = DEV_AT - 0x10000000;
	fake.vcpu.gpr[GPR_RAX] = 0x1234;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 4), true), EXIT_SKIP);
	assert_int_equal(device_word(4), 0x1234);
	/* A source segment that expands down and has 16 bits ends at ffffh: what lies behind that is refused. */
	put_code(CODE_AT, "a5");			/* movsd */
	fake.segs[SEG_DS] = (struct segment){ .base = 0xffff1000, .limit = 0xfff,
					      .rights = SEG_P | SEG_S | TYPE_RW | TYPE_DOWN | TYPE_ACCESSED };
	fake.vcpu.gpr[GPR_RSI] = 0x10000;
	fake.vcpu.gpr[GPR_RDI] = DEV_AT;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.injected, 1);
	fake.vcpu.gpr[GPR_RSI] = 0xfffc;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	fake.injected = 0;
	/* rep movsd whose source segment ends after two elements: the third is the processor's to refuse. */
	put_code(CODE_AT, "f3 a5");
	fake.segs[SEG_DS] = (struct segment){ .base = 0, .limit = 0x1007, .rights = fake.segs[SEG_ES].rights };
	fake.vcpu.gpr[GPR_RSI] = 0x1000;
	fake.vcpu.gpr[GPR_RDI] = DEV_AT;
	fake.vcpu.gpr[GPR_RCX] = 3;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 1);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 8), true), EXIT_RESUME);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.vector, VEC_GP);
	assert_int_equal(fake.error, 0);
}

static void real_mode(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	vcpu_fake_init(&fake);
	add_device();
	fake.segs[SEG_CS].base = CODE_AT;
	fake.vcpu.exit.rip = 0x10;
	put_code(CODE_AT + 0x10, "88 87 fe ff");	/* mov [bx-2], al: 16-bit address arithmetic */
	fake.segs[SEG_DS].base = DEV_AT;
	fake.vcpu.gpr[GPR_RBX] = 0xffff0007;
	fake.vcpu.gpr[GPR_RAX] = 0x99;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 5), true), EXIT_SKIP);
	assert_int_equal(device[5], 0x99);
	put_code(CODE_AT + 0x10, "f3 a4");		/* rep movsb: SI and CX wrap at 16 bits, upper halves stay */
	fake.segs[SEG_ES].base = RAM_AT;
	fake.vcpu.gpr[GPR_RSI] = 0xaaaa0005;
	fake.vcpu.gpr[GPR_RDI] = 0xbbbb0000;
	fake.vcpu.gpr[GPR_RCX] = 0xcccc0002;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 5), false), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], 0xaaaa0007);
	assert_int_equal(fake.vcpu.gpr[GPR_RDI], 0xbbbb0002);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0xcccc0000);
	assert_int_equal(vcpu_fake_word(&fake, RAM_AT) & 0xffff, 0x0099);
}

/* The stack pointer is as wide as SS says; what lies above stays. */
static void stack_widths(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	vcpu_fake_init(&fake);			/* real mode */
	add_device();
	fake.segs[SEG_SS].base = DEV_AT;
	fake.vcpu.exit.rip = CODE_AT;
	put_code(CODE_AT, "68 34 12");		/* push 0x1234: SP wraps at 16 bits */
	fake.regs[REG_RSP] = 0xaaaa0000;
	device[PAGE_SIZE + 0xffe] = 0;
	fake.segs[SEG_SS].base = DEV_AT + PAGE_SIZE - 0xf000;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + PAGE_SIZE + 0xffe), true), EXIT_SKIP);
	assert_int_equal(fake.regs[REG_RSP], 0xaaaafffe);
	assert_int_equal(device[PAGE_SIZE + 0xffe] | device[PAGE_SIZE + 0xfff] << 8, 0x1234);
	put_code(CODE_AT, "66 5a");		/* pop edx */
	fake.regs[REG_RSP] = 0xaaaaf000;
	set_device_word(PAGE_SIZE, OLD);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + PAGE_SIZE), false), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RDX], 0x44332211);
	assert_int_equal(fake.regs[REG_RSP], 0xaaaaf004);
	vcpu_fake_free(&fake);
	vcpu_fake_protected(&fake);		/* 32-bit */
	add_device();
	fake.vcpu.exit.rip = CODE_AT;
	fake.regs[REG_RSP] = DEV_AT + 0x24;
	fake.vcpu.gpr[GPR_RCX] = 0x77;
	put_code(CODE_AT, "51");		/* push ecx */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x20), true), EXIT_SKIP);
	assert_int_equal(device_word(0x20), 0x77);
	put_code(CODE_AT, "8f 44 24 04");	/* pop [esp+4]: the address is computed behind the pop */
	set_device_word(0x28, 0);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x28), true), EXIT_SKIP);
	assert_int_equal(device_word(0x28), 0x77);
	assert_int_equal(fake.regs[REG_RSP], DEV_AT + 0x24);
}

static void stores_of_system_registers(void **state)
{
	(void)state;
	fake.vcpu.gpr[GPR_RBX] = DEV;
	fake.regs[REG_CR0] = 0x80050033;
	fake.segs[SEG_DS].selector = 0x18;
	set_device_word(0, OLD);
	put_code(CODE_AT, "0f 01 23");		/* smsw [rbx] */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(device_word(0), (OLD & ~0xffffULL) | 0x33);
	put_code(CODE_AT, "48 8c 1b");		/* mov [rbx], ds: 16 bits whatever the operand size */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_SKIP);
	assert_int_equal(device_word(0), (OLD & ~0xffffULL) | 0x18);
}

static void segment_bases_in_64_bit_mode(void **state)
{
	(void)state;
	fake.regs[REG_GS_BASE] = DEV;
	fake.segs[SEG_DS].base = 0x123000;		/* ignored */
	put_code(CODE_AT, "65 89 14 25 30 00 00 00");	/* mov gs:[0x30], edx */
	fake.vcpu.gpr[GPR_RDX] = 0x77;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x30), true), EXIT_SKIP);
	assert_int_equal(device_word(0x30), 0x77);
	put_code(CODE_AT, "89 15 10 00 00 00");		/* mov [rip+0x10], edx */
	vcpu_fake_map(&fake, CODE + PAGE_SIZE, DEV_AT, WRITE);
	fake.vcpu.exit.rip = CODE + PAGE_SIZE - 0x16;
	put_code(CODE_AT + PAGE_SIZE - 0x16, "89 15 14 00 00 00");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 4), true), EXIT_SKIP);
	assert_int_equal(device_word(4), 0x77);
	fake.regs[REG_RSP] = DEV + 0x40;
	fake.vcpu.exit.rip = CODE;
	put_code(CODE_AT, "89 14 24");			/* mov [rsp], edx */
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT + 0x40), true), EXIT_SKIP);
	assert_int_equal(device_word(0x40), 0x77);
	/* A string operand that is not canonical: #GP, #SS through SS. */
	put_code(CODE_AT, "a5");
	fake.vcpu.gpr[GPR_RSI] = 0x0000800000000000ULL;
	fake.vcpu.gpr[GPR_RDI] = DEV;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(DEV_AT), true), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
}

static void apic_page_first(void **state)
{
	(void)state;
	fake.vcpu.lapic.s.base_msr = LAPIC_BASE | BIT(11);
	put_code(CODE_AT, "89 03");
	fake.vcpu.gpr[GPR_RBX] = LAPIC_BASE + 0xb0;
	fake.vcpu.gpr[GPR_RAX] = 0x1234;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(LAPIC_BASE + 0xb0), true), EXIT_SKIP);
	assert_int_equal(fake.apic_accesses, 1);
	assert_int_equal(fake.apic_last, 0x1234);
	put_code(CODE_AT, "8b 03");
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(LAPIC_BASE + 0xb0), false), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RAX], 0xb004);
	/* In x2APIC mode, and when the APIC is off, the page is nobody's. */
	fake.vcpu.lapic.s.base_msr = LAPIC_BASE | BIT(11) | BIT(10);
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(LAPIC_BASE + 0xb0), false), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RAX], 0xffffffff);
	fake.vcpu.lapic.s.base_msr = LAPIC_BASE;
	assert_int_equal(exit_mmio(&fake.vcpu, gpa(LAPIC_BASE + 0xb0), false), EXIT_SKIP);
	assert_int_equal(fake.apic_accesses, 2);
	assert_int_equal(fake.vm.mmio.unclaimed, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_page_of_ones_is_one), CASE(does_each_form), CASE(repeats_from_memory), CASE(repeats_in_batches),
		CASE(repeats_for_a_while), CASE(repeats_up_to_a_fault), CASE(splits_between_ram_and_device),
		CASE(populates_a_chunk_an_exit), CASE(populates_for_code),
		CASE(raises_divide_error), CASE(raises_what_is_pending), CASE(wants_wide_exchanges_aligned),
		CASE(faults_before_half_a_write),
		CASE(acts_on_nothing_else), CASE(misaligned_moves_fault), CASE(stops_for_what_it_cannot_do),
		CASE(raises_undefined),
		CASE(holes_answer_anything), CASE(holes_while_siblings_run), CASE(writes_to_holes_are_noted_once), CASE(deliveries_read_ones), CASE(holes_are_whole_pages_and_few),
		CASE(fetch_faults),
		CASE(protected_mode), CASE(real_mode), CASE(stack_widths), CASE(stores_of_system_registers),
		CASE(segment_bases_in_64_bit_mode), CASE(apic_page_first),
	};

	return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
