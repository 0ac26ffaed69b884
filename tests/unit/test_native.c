/* SPDX-License-Identifier: MIT */
/*
 * The processor this test runs on is the judge of the instruction layer. Random instructions with random
 * operands run twice: here, on a piece of memory; and through exit_mmio, for a fake vCPU in which a part of the
 * same addresses is a device and the rest RAM. Memory, registers and the flags that the manual defines must
 * be the same.
 *
 * NATIVE_CASES in the environment says how many (a million otherwise), NATIVE_SEED which.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/exit/mmio.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/fpu_area.h"
#include "arch/x86/hw/cr.h"
#include "hv/lib/util.h"
#include "native_cpu.h"
#include "tests/unit/native_forms.h"
#include "vcpu_fake.h"

#define CASES_DEFAULT	1000000UL
#define STATES_EACH	16U		/* register and memory contents tried with one instruction */

/* Linear addresses, the same here and in the fake guest: RAM, two pages of device, RAM. */
#define ARENA		0x510000000000ULL
#define DEV		(ARENA + PAGE_SIZE)
#define RAM_AFTER	(DEV + 2 * PAGE_SIZE)
#define ARENA_PAGES	4U
#define RAM_AT		0x9000ULL
#define RAM_AFTER_AT	0xa000ULL
#define DEV_AT		0xd0000000ULL
#define CODE		0xffffffff81000000ULL
#define CODE_AT		0x8000ULL
#define WRITE		2ULL
#define SPAN		32U		/* bytes around an operand that are filled anew and compared */
#define STATUS		(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

struct input {
	const struct form *form;
	uint8_t  code[INSN_MAX];
	size_t   len;
	unsigned size;			/* of the operand */
	uint64_t imm;
	struct insn insn;		/* as the decoder sees it: direction and size of the access */
	struct native_cpu before;
	uint64_t touched;		/* linear address of the device access */
};

#define AREA_SIZE	4096U
#define LOCK		0xf0U	/* always the first prefix here */
#define MXCSR_INIT	0x1f80U
#define FCW_MASKS	0x7fU
#define VECTOR_COMPONENTS (XCR0_SSE | XCR0_AVX | XCR0_AVX512)

static struct vcpu_fake fake;
static uint8_t native_area[AREA_SIZE] __attribute__((aligned(64)));
static uint8_t device[2 * PAGE_SIZE] __attribute__((aligned(8)));
static uint8_t *ram_before, *ram_after;
static uint8_t *const arena = (uint8_t *)ARENA;
static struct input now;		/* for the report when the processor refuses it */

/* ---- Random values: half of them at the edges, where carries and overflows live ---- */

static uint64_t random_state;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t limit) { return (random64() >> 40) * limit >> 24; }

static uint64_t random_operand(void)
{
	static const uint64_t edges[] = {
		0, 1, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ULL,
	};

	uint64_t dice = random64();

	return dice >> 63 ? edges[(dice >> 40 & 0xffff) * countof(edges) >> 16] : random64();
}

/* ---- The fake guest ---- */

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	(void)dev;
	memcpy(&val, device + offset, size);
	return val;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	memcpy(device + offset, &value, size);
}

static uint8_t *ram_at(uint64_t physical)
{
	size_t   len = PAGE_SIZE;
	uint8_t *bytes = gpm_map(&fake.vm.gpm, gpa(physical), &len);

	assert_non_null(bytes);
	return bytes;
}

static int build_guest(void **state)
{
	const struct bus_range range = { .name = "test", .start = DEV_AT, .length = sizeof(device), .sizes = 15,
					 .read = device_read, .write = device_write };
	void *place = mmap(arena, ARENA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	(void)state;
	assert_ptr_equal(place, arena);
	native_prepare();
	vcpu_fake_long(&fake);
	assert_int_equal(bus_add(&fake.vm.mmio, &range), 0);
	vcpu_fake_map(&fake, CODE, CODE_AT, 0);
	vcpu_fake_map(&fake, ARENA, RAM_AT, WRITE);
	vcpu_fake_map(&fake, DEV, DEV_AT, WRITE);
	vcpu_fake_map(&fake, DEV + PAGE_SIZE, DEV_AT + PAGE_SIZE, WRITE);
	vcpu_fake_map(&fake, RAM_AFTER, RAM_AFTER_AT, WRITE);
	fake.vcpu.exit.rip = CODE;
	vcpu_fake_set_word(&fake, RAM_AT, 0);
	vcpu_fake_set_word(&fake, RAM_AFTER_AT, 0);
	ram_before = ram_at(RAM_AT);
	ram_after = ram_at(RAM_AFTER_AT);
	return 0;
}

static uint8_t *emulated_byte(uint64_t linear)
{
	uint64_t offset = linear - ARENA;

	if (linear >= RAM_AFTER)
		return ram_after + (linear - RAM_AFTER);
	return linear >= DEV ? device + (linear - DEV) : ram_before + offset;
}

/* ---- One instruction ---- */

static void add_byte(struct input *in, unsigned byte) { in->code[in->len++] = (uint8_t)byte; }

/*
 * RBX is the base, so no other operand is RBX. BH is part of it. 4 to 7 of a byte are AH to BH without REX, SPL to
 * DIL with it.
 */
static unsigned pick_register(const struct input *in, bool has_rex)
{
	unsigned reg;

	do
		reg = (unsigned)below(has_rex ? 16 : 8);
	while (reg == GPR_RBX || (in->size == 1 && !has_rex && reg == GPR_RBX + 4));
	return reg;
}

/* Two-byte VEX: inverted R and vvvv, the vector length, and one of 66, F3, F2 as a number. */
static void encode_vex(struct input *in)
{
	const struct form *form = in->form;
	unsigned reg = pick_register(in, true);

	add_byte(in, 0xc5);
	add_byte(in, (reg >= 8 ? 0 : 0x80U) | 0x78 | (form->vex > 128 ? 4 : 0) | form->prefix);
	add_byte(in, form->opcode[0]);
	add_byte(in, 0x40 | (reg % 8) << 3 | GPR_RBX);
	add_byte(in, (unsigned)below(256));
	memset(in->code + in->len, 0x90, sizeof(in->code) - in->len);
}

static void encode(struct input *in)
{
	const struct form *form = in->form;
	bool     wants_w = in->size == 8 && !form->is_64_by_default;
	bool     has_rex = wants_w || (form->reg == ANY_REG && below(2));
	unsigned reg = form->reg >= 0 ? (unsigned)form->reg : 0;

	in->len = 0;
	if (form->may_lock && below(4) == 0 && form->reg != ANY_REG)
		add_byte(in, LOCK);
	if (form->may_repeat && below(4))
		add_byte(in, below(2) ? 0xf3 : 0xf2);
	if (form->vex) {
		encode_vex(in);
		return;
	}
	if (form->prefix)
		add_byte(in, form->prefix);
	if (in->size == 2)
		add_byte(in, 0x66);
	if (form->reg == ANY_REG)
		reg = pick_register(in, has_rex);
	if (has_rex)
		add_byte(in, 0x40 | (wants_w ? 8 : 0) | (reg >= 8 ? 4 : 0));
	for (unsigned i = 0; i < form->opcode_len; i++)
		add_byte(in, form->opcode[i]);
	if (form->reg != NO_MODRM) {
		add_byte(in, 0x40 | (reg % 8) << 3 | GPR_RBX);
		add_byte(in, (unsigned)below(256));
	}
	in->imm = random_operand();
	for (unsigned i = 0; i < (form->imm == 4 && in->size == 2 ? 2 : form->imm); i++)
		add_byte(in, (unsigned)(in->imm >> (8 * i) & 0xff));
	memset(in->code + in->len, 0x90, sizeof(in->code) - in->len);
}

static void new_instruction(struct input *in)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };

	in->form = &forms[below(countof(forms))];
	do
		in->size = sizes[below(countof(sizes))];
	while (!(in->form->sizes & in->size));
	encode(in);
	if (insn_decode(&in->insn, INSN_64, in->code, sizeof(in->code)) != INSN_OK || in->insn.len != in->len)
		fail_msg("%s: encoded wrongly, %zu bytes, decoded %u", in->form->text, in->len, in->insn.len);
	vcpu_fake_put(&fake, CODE_AT, in->code, sizeof(in->code));
	native_load_code(in->code, in->len);
}

/* ---- One state ---- */

/* An address such that the operand begins, lies or ends in the device; across the border only sometimes. */
static uint64_t device_address(unsigned size)
{
	if (below(8))
		return DEV + below(2 * PAGE_SIZE - size);
	return below(2) ? DEV - below(size) : RAM_AFTER - 1 - below(size);
}

/* The first byte of an operand that is the device's. */
static uint64_t first_device_byte(uint64_t linear) { return linear < DEV ? DEV : linear; }

static uint64_t ram_address(void) { return ARENA + 0x100 + below(PAGE_SIZE - 0x800); }

static int64_t displacement(const struct input *in)
{
	return in->insn.has_mem ? in->insn.disp : 0;
}

/* BT with a register means a bit anywhere: the register is kept to a byte, and the operand found from it. */
static uint64_t bit_string(const struct input *in)
{
	uint64_t bits = in->size * 8, number = in->before.gpr[in->insn.reg];

	return (number - number % bits) / 8;
}

static void place_modrm(struct input *in, unsigned size)
{
	uint64_t at = device_address(size);
	uint64_t *gpr = in->before.gpr;
	bool is_bit_string = in->form->undefined == BIT_TESTED && in->insn.src == SRC_REG;

	/* CMPXCHG16B wants its operand aligned; and the host does not like a lock across cache lines. */
	if (in->code[0] == LOCK || in->insn.kind == INSN_XCHG || in->insn.kind == INSN_CMPXCHG_WIDE || in->form->is_aligned)
		at = DEV + at % PAGE_SIZE / size * size;
	if (is_bit_string)
		gpr[in->insn.reg] &= 0xff;
	gpr[GPR_RBX] = at - (uint64_t)displacement(in) - (is_bit_string ? bit_string(in) : 0);
	in->touched = at;
}

static void place_stack(struct input *in)
{
	uint64_t *gpr = in->before.gpr;
	uint64_t at = device_address(in->size);

	gpr[GPR_RBX] = ram_address() - (uint64_t)displacement(in);
	gpr[GPR_RSP] = in->form->place == PUSHES ? at + in->size : at;
	if (in->form->place == LEAVES) {
		gpr[GPR_RSP] = ram_address();
		gpr[GPR_RBP] = at;
	}
	in->touched = at;
}

/* Few elements, so that all of a string is within SPAN of its start. */
static void place_string(struct input *in)
{
	uint64_t *gpr = in->before.gpr;
	bool     loads_only = in->insn.kind == INSN_LODS;
	uint64_t at = DEV + SPAN + below(2 * PAGE_SIZE - 2 * SPAN);

	gpr[GPR_RCX] = below(SPAN / in->size / 2);
	gpr[GPR_RDI] = loads_only ? ram_address() : at;
	gpr[GPR_RSI] = loads_only ? at : ram_address();
	in->touched = at;
}

/* Whole words around an address, cut to the arena. */
static uint64_t first_word(uint64_t linear) { return linear < ARENA + SPAN ? ARENA : (linear - SPAN) / 8 * 8; }
static uint64_t behind_words(uint64_t linear) { return min_u64(linear + SPAN + 32, ARENA + ARENA_PAGES * PAGE_SIZE); }

static uint64_t *native_word(uint64_t linear) { return (uint64_t *)(void *)linear; }
static uint64_t *emulated_word(uint64_t linear) { return (uint64_t *)(void *)emulated_byte(linear); }

static void fill_around(uint64_t linear)
{
	for (uint64_t at = first_word(linear); at + 8 <= behind_words(linear); at += 8)
		*native_word(at) = *emulated_word(at) = random64();
}

/* The operand itself; across the border its two parts are random. */
static void fill_operand(const struct input *in)
{
	for (unsigned done = 0; done < in->insn.size; done += sizeof(uint64_t)) {
		uint64_t at = in->touched + done, val = random_operand();

		if (at % PAGE_SIZE > PAGE_SIZE - sizeof(val))
			continue;
		memcpy(emulated_byte(at), &val, sizeof(val));
		memcpy((void *)at, &val, sizeof(val));
	}
}

/* Comparisons are to be equal often: of strings, and of CMPXCHG with what it expects. */
static void make_equal(const struct input *in)
{
	uint64_t *gpr = now.before.gpr, left;

	if (in->form->place == STRINGS)
		for (unsigned i = 0; i < SPAN; i++) {
			uint64_t to = gpr[GPR_RDI] - SPAN / 2 + i, from = gpr[GPR_RSI] - SPAN / 2 + i;

			arena[to - ARENA] = *emulated_byte(to) = *emulated_byte(from);
		}
	if (in->insn.kind != INSN_CMPXCHG && in->insn.kind != INSN_CMPXCHG_WIDE)
		return;
	memcpy(&left, emulated_byte(in->touched), sizeof(left));
	gpr[GPR_RAX] = left;
	if (in->insn.size == 16)
		memcpy(&gpr[GPR_RDX], emulated_byte(in->touched + 8), sizeof(left));
	else
		gpr[GPR_RDX] = left >> 32;
}

static void set_dividend(uint64_t *gpr, unsigned size, unsigned __int128 dividend)
{
	const uint64_t mask = size == 8 ? UINT64_MAX : (1ULL << (size * 8)) - 1;

	if (size == 1) {
		gpr[GPR_RAX] = (gpr[GPR_RAX] & ~0xffffULL) | ((uint64_t)dividend & 0xffff);
		return;
	}
	gpr[GPR_RAX] = (gpr[GPR_RAX] & ~mask) | ((uint64_t)dividend & mask);
	gpr[GPR_RDX] = (gpr[GPR_RDX] & ~mask) | ((uint64_t)(dividend >> (size * 8)) & mask);
}

/*
 * A dividend of which the quotient has room, so that the processor raises nothing: quotient times divisor,
 * and a rest.
 */
static void make_divisible(const struct input *in)
{
	uint64_t divisor = 0, quotient = random_operand(), rest = random64();
	const unsigned size = in->insn.size, unused = 64 - size * 8;

	for (unsigned i = 0; i < size; i++)
		divisor |= (uint64_t)*emulated_byte(in->touched + i) << (8 * i);
	if (!divisor)
		divisor = *emulated_byte(in->touched) = *(uint8_t *)(void *)in->touched = 1;
	if (in->insn.kind == INSN_DIV) {
		quotient = quotient << unused >> unused;
		set_dividend(now.before.gpr, size, (unsigned __int128)quotient * divisor + rest % divisor);
	} else {
		const int64_t by = (int64_t)(divisor << unused) >> unused;
		const __int128 product = (__int128)((int64_t)(quotient << unused) >> unused) * by;
		const uint64_t size_of_rest = rest % (by < 0 ? 0 - (uint64_t)by : (uint64_t)by);

		set_dividend(now.before.gpr, size,
			     (unsigned __int128)(product < 0 ? product - size_of_rest : product + size_of_rest));
	}
}

static void new_state(struct input *in)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		in->before.gpr[i] = random_operand();
	in->before.gpr[GPR_RSP] = ram_address();
	in->before.rflags = RFLAGS_ONE | RFLAGS_IF | (random64() & STATUS);
	if (in->form->place == STRINGS)
		in->before.rflags |= below(2) ? RFLAGS_DF : 0;
	if (in->form->place == MODRM)
		place_modrm(in, in->insn.size);
	else if (in->form->place == STRINGS)
		place_string(in);
	else
		place_stack(in);
	fill_around(in->touched);
	fill_operand(in);
	fill_around(in->before.gpr[GPR_RSP]);
	if (in->form->place == STRINGS)
		fill_around(in->insn.kind == INSN_LODS ? in->before.gpr[GPR_RDI] : in->before.gpr[GPR_RSI]);
	if (below(2) && in->touched + 16 < RAM_AFTER && in->touched >= DEV)
		make_equal(in);
	if (in->form->undefined == DIVIDED)
		make_divisible(in);
}

/* ---- Both executions ---- */

/* Which bytes of the count are looked at decides what is defined. */
static unsigned count_of(const struct input *in)
{
	uint64_t count = in->insn.src == SRC_IMM ? in->insn.imm : in->before.gpr[GPR_RCX];

	return (unsigned)(count & (in->size == 8 ? 63 : 31));
}

static uint64_t undefined_flags(const struct input *in)
{
	unsigned count = count_of(in), bits = in->size * 8;

	switch (in->form->undefined) {
	case LOGIC_AF:	return RFLAGS_AF;
	case SHIFTED:	return (count ? RFLAGS_AF : 0) | (count > 1 ? RFLAGS_OF : 0) | (count >= bits ? RFLAGS_CF : 0);
	case ROTATED:	return count > 1 ? RFLAGS_OF : 0;
	case DOUBLE_SHIFTED:
		return count > bits ? STATUS : (count ? RFLAGS_AF : 0) | (count > 1 ? RFLAGS_OF : 0);
	case BIT_TESTED: return STATUS & ~(RFLAGS_CF | RFLAGS_ZF);
	case SCANNED:	return STATUS & ~RFLAGS_ZF;
	case MULTIPLIED: return RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	case DIVIDED:	return STATUS;
	default:	return 0;
	}
}

/* SHLD and SHRD of 16 bits by more than 16: the result is undefined, too. */
static bool has_undefined_result(const struct input *in)
{
	return in->form->undefined == DOUBLE_SHIFTED && count_of(in) > in->size * 8;
}

static bool is_write(const struct input *in)
{
	switch (in->form->place) {
	case PUSHES:	return true;
	case POPS: case LEAVES: return false;
	case MODRM:
		if (in->insn.kind == INSN_PUSH || in->insn.kind == INSN_POP)
			return in->insn.kind == INSN_POP;
		/* Some processors do the read first, and report that. */
		return in->insn.is_store && !(in->insn.is_load && below(4) == 0);
	default:	return in->insn.is_store;
	}
}

static void emulate(const struct input *in)
{
	gpa_t addr = gpa(DEV_AT + (first_device_byte(in->touched) - DEV));
	enum exit_result result;
	bool writes = is_write(in);

	memcpy(fake.vcpu.gpr, in->before.gpr, sizeof(fake.vcpu.gpr));
	fake.regs[REG_RSP] = in->before.gpr[GPR_RSP];
	fake.regs[REG_RFLAGS] = in->before.rflags;
	fake.injected = 0;
	fake.is_killed = false;
	fake.vm.end = VM_END_NONE;
	if (in->form->is_x87)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(fake.vcpu.fpu) : "memory");	/* guest's, in the processor */
	result = exit_mmio(&fake.vcpu, addr, writes);
	if (in->form->is_x87)
		__asm__ volatile("fxsave64 (%0)\n\tfninit" : : "r"(fake.vcpu.fpu) : "memory");
	if (result != EXIT_SKIP || fake.vcpu.exit.insn_len != in->len || fake.injected || fake.is_killed)
		fail_msg("%s, size %u: result %d, length %u, %u exceptions, at %#lx", in->form->text, in->size, result,
			 fake.vcpu.exit.insn_len, fake.injected, in->touched);
	fake.vcpu.gpr[GPR_RSP] = fake.regs[REG_RSP];
}

static void describe(const struct input *in)
{
	print_error("%s, size %u, touches %#lx, bytes", in->form->text, in->size, in->touched);
	for (size_t i = 0; i < in->len; i++)
		print_error(" %02x", in->code[i]);
	print_error("\n");
}

static void compare_memory(const struct input *in, uint64_t around)
{
	for (uint64_t at = first_word(around); at + 8 <= behind_words(around); at += 8)
		if (*native_word(at) != *emulated_word(at)) {
			describe(in);
			fail_msg("%#lx: %#lx, processor %#lx", at, *emulated_word(at), *native_word(at));
		}
}

static void compare(const struct input *in, const struct native_cpu *native)
{
	uint64_t mask = (STATUS | RFLAGS_DF) & ~undefined_flags(in);

	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (fake.vcpu.gpr[i] != native->gpr[i]) {
			describe(in);
			fail_msg("register %u, before %#lx: %#lx, processor %#lx", i, in->before.gpr[i],
				 fake.vcpu.gpr[i], native->gpr[i]);
		}
	if ((fake.regs[REG_RFLAGS] ^ native->rflags) & mask) {
		describe(in);
		fail_msg("flags before %#lx: %#lx, processor %#lx", in->before.rflags, fake.regs[REG_RFLAGS],
			 native->rflags);
	}
	compare_memory(in, in->touched);
	compare_memory(in, in->before.gpr[GPR_RSP]);
	if (in->form->place == STRINGS)
		compare_memory(in, in->insn.kind == INSN_LODS ? in->before.gpr[GPR_RDI] : in->before.gpr[GPR_RSI]);
}

/* Random registers; exceptions are masked, and half of the time a component is in its initial state. */
static void new_vectors(struct native_cpu *native)
{
	struct fpu_area *area = (struct fpu_area *)native_area;
	uint64_t mask = fpu_guest_xcr0_mask() & VECTOR_COMPONENTS;

	for (unsigned i = 0; i < sizeof(native_area); i += 8)
		memcpy(native_area + i, &(uint64_t){ random64() }, 8);
	area->mxcsr = MXCSR_INIT;
	area->mxcsr_mask = 0;
	memset(&area->xstate_bv, 0, sizeof(*area) - offsetof(struct fpu_area, xstate_bv));
	area->xstate_bv = mask & (below(2) ? mask : random64() | XCR0_SSE);
	if (!(area->xstate_bv & XCR0_AVX))
		area->xstate_bv &= ~(uint64_t)XCR0_AVX512;
	memcpy(fake.vcpu.fpu, native_area, sizeof(native_area));
	native->fpu = native_area;
	native->fpu_mask = mask;
}

/* All exceptions masked, any rounding, any top of stack, any registers empty. */
static void new_x87(struct native_cpu *native)
{
	struct fpu_area *area = (struct fpu_area *)native_area;

	memset(native_area, 0, sizeof(*area));
	area->fcw = (uint16_t)(FCW_MASKS | below(2) << 9 | 1 << 8 | below(4) << 10);
	area->fcw = area->fcw & 1 << 9 ? area->fcw : area->fcw & (uint16_t)~(1U << 8);	/* a precision that exists */
	area->fsw = (uint16_t)(below(8) << 11);
	area->ftw = (uint8_t)(below(4) ? 0xff : below(256));
	area->mxcsr = MXCSR_INIT;
	for (unsigned i = 0; i < countof(area->st); i++) {
		uint64_t words[] = { random_operand() | BIT(63), below(4) ? 0x3fffU + below(80) - 20 : random64() & 0xffff };

		memcpy(area->st[i], words, 10);
	}
	area->xstate_bv = XCR0_X87 | XCR0_SSE;
	memcpy(fake.vcpu.fpu, native_area, sizeof(native_area));
	native->fpu = native_area;
	native->fpu_mask = XCR0_X87;
}

/* The last instruction's address must be the guest's, or never have been stored. */
static void compare_x87(const struct input *in)
{
	const struct fpu_area *native = (const struct fpu_area *)native_area, *emulated = fake.vcpu.fpu;

	if (native->fcw == emulated->fcw && native->fsw == emulated->fsw && native->ftw == emulated->ftw &&
	    !memcmp(native->st, emulated->st, sizeof(native->st)) && (!emulated->fip || emulated->fip == CODE))
		return;
	describe(in);
	fail_msg("x87: fsw %#x ftw %#x fip %#lx, processor fsw %#x ftw %#x", emulated->fsw, emulated->ftw,
		 emulated->fip, native->fsw, native->ftw);
}

static void compare_component(const struct input *in, const char *name, unsigned component, unsigned size)
{
	uint64_t mask = fpu_guest_xcr0_mask();
	const uint8_t *native = fpu_component((struct fpu_area *)native_area, component, mask);
	const uint8_t *emulated = fpu_component(fake.vcpu.fpu, component, mask);

	if (native && memcmp(native, emulated, size)) {
		describe(in);
		fail_msg("%s of a vector register differs from the processor's", name);
	}
}

static void run_both(struct input *in)
{
	struct native_cpu native;

	new_state(in);
	if (has_undefined_result(in))
		return;
	native = in->before;
	if (in->form->is_vector)
		new_vectors(&native);
	if (in->form->is_x87)
		new_x87(&native);
	native_run(&native);
	emulate(in);
	compare(in, &native);
	if (in->form->is_x87)
		compare_x87(in);
	if (!in->form->is_vector)
		return;
	compare_component(in, "the XMM part", FPU_COMPONENT_SSE, 16 * 16);
	compare_component(in, "the upper half of YMM", FPU_COMPONENT_AVX, 16 * 16);
	compare_component(in, "the upper half of ZMM", FPU_COMPONENT_ZMM_HIGH, 16 * 32);
}

static void on_refusal(int number)
{
	print_error("signal %d from the processor: ", number);
	describe(&now);
	_exit(1);
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/*
 * Seeds are 1, 2, 3...: make them as different as their numbers are, for the generator keeps what two have in
 * common.
 */
static uint64_t mixed(uint64_t seed)
{
	seed = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	seed = (seed ^ seed >> 32) * 0xd6e8feb86659fd93ULL;
	return (seed ^ seed >> 32) | 1;
}

static void agrees_with_the_processor(void **state)
{
	unsigned long cases = setting("NATIVE_CASES", CASES_DEFAULT);

	(void)state;
	random_state = mixed(setting("NATIVE_SEED", 1));
	signal(SIGSEGV, on_refusal);
	signal(SIGILL, on_refusal);
	for (unsigned long i = 0; i < cases; i++) {
		if (i % STATES_EACH == 0)
			new_instruction(&now);
		run_both(&now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(agrees_with_the_processor, build_guest),
	};

	return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
