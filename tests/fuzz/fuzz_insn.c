/* SPDX-License-Identifier: MIT */
/*
 * Hostile instructions: any bytes, registers, modes and page-table words in front of the decoder, the memory
 * emulator and string I/O; every kind of paging, with WP, SMEP, SMAP, PSE and NXE on or off, in every combination.
 * Input: up to 4 KiB of struct inputs, as they lie in memory, one after the other on the same vCPU; what is missing
 * of the last is zero.
 *
 * Besides what the sanitizers see: a decoding is within its bounds and the same with exactly its bytes, an
 * exit does a bounded amount of work, and one that resumes the guest without progress has done nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/emulate/operand.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "arch/x86/exit/string.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/svm/state.h"
#include "tests/unit/fake/vcpu_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE_AT		0x8000ULL
#define DATA_AT		0x9000ULL
#define DEVICE_AT	0xd0000000ULL
#define PORT		0x60U
#define HOLE_AT		0xe0000000ULL
#define TABLES_SIZE	0x10000ULL	/* from FAKE_TABLES: vcpu_fake's own, then ours from OUR_TABLES */
#define OUR_TABLES	(FAKE_TABLES + 0x8000ULL)
#define LOW		0x20000ULL	/* linear, for all but 64-bit mode */
#define STEPS_MAX	(4096U / sizeof(struct input))
#define WRITE		2ULL
#define USER_WRITE	7ULL		/* present, writable, user */
#define PLACES		4U	/* linear pages: data, device, device, hole */
#define ACCESSES_MAX	(STRING_STEPS_MAX * 16U)

struct input {
	uint8_t  mode, flags;
	uint8_t  code[INSN_MAX];
	uint8_t  at_page_end;
	uint8_t  poke_count;
	uint8_t  rights;		/* the switches of paging, see set_paging */
	uint16_t poke_at[3];
	uint64_t poke[3];
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags, gpa;
};

enum { IS_WRITE = 1, AIM = 2, IS_PIO = 4, IS_USER = 8, IS_IN = 16, IS_16 = 32, IS_DELIVERING = 64 };
enum mode { REAL, FLAT, LEGACY, PAE, VIRTUAL_8086, LONG, MODES };
enum { WITH_WP = 1, WITH_SMEP = 2, WITH_SMAP = 4, WITH_PSE = 8, WITH_NXE = 16, WITH_AC = 32 };

static struct vcpu_fake fake;
static uint8_t  clean_tables[TABLES_SIZE];
static unsigned accesses;

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	accesses++;
	return offset * 0x0101010101010101ULL + size;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
	accesses++;
}

static void must(bool is_true)
{
	if (!is_true)
		abort();
}

static enum mode mode_of(const struct input *in) { return in->mode % MODES; }
static bool is_low(enum mode mode) { return mode != LONG; }

static enum insn_mode insn_mode_of(const struct input *in)
{
	enum mode mode = mode_of(in);

	if (mode == LONG)
		return INSN_64;
	return mode == REAL || mode == VIRTUAL_8086 || (in->flags & IS_16) ? INSN_16 : INSN_32;
}

/* Where operands may be, the same guest-physical pages with every kind of paging. */
static uint64_t place(enum mode mode, unsigned i)
{
	return (is_low(mode) ? LOW : 0x7f0000000000ULL) + i * PAGE_SIZE;
}

static const uint64_t places[PLACES] = { DATA_AT, DEVICE_AT, DEVICE_AT + PAGE_SIZE, HOLE_AT };

/* Tables of 32-bit paging, 4-byte entries, and behind them of PAE, 8-byte ones. */
static void build_low_tables(void)
{
	uint64_t directory = OUR_TABLES, table = directory + PAGE_SIZE;
	uint64_t pointers = table + PAGE_SIZE, pae_directory = pointers + PAGE_SIZE, pae_table = pae_directory + PAGE_SIZE;

	vcpu_fake_set_word(&fake, directory, table | USER_WRITE);
	vcpu_fake_put(&fake, table + CODE_AT / PAGE_SIZE * 4, &(uint32_t){ CODE_AT | USER_WRITE }, 4);
	vcpu_fake_set_word(&fake, pointers, pae_directory | 1);
	vcpu_fake_set_word(&fake, pae_directory, pae_table | USER_WRITE);
	vcpu_fake_set_word(&fake, pae_table + CODE_AT / PAGE_SIZE * 8, CODE_AT | USER_WRITE);
	for (unsigned i = 0; i < PLACES; i++) {
		uint32_t entry = (uint32_t)(places[i] | USER_WRITE);

		vcpu_fake_put(&fake, table + (LOW / PAGE_SIZE + i) * 4, &entry, sizeof(entry));
		vcpu_fake_set_word(&fake, pae_table + (LOW / PAGE_SIZE + i) * 8, entry);
	}
}

static void build_guest(void)
{
	const struct bus_range range = { .name = "fuzz", .start = DEVICE_AT, .length = 2 * PAGE_SIZE,
					 .sizes = 15, .read = device_read, .write = device_write };
	const struct bus_range port = { .name = "fuzz", .start = PORT, .length = 4, .sizes = 7,
					.read = device_read, .write = device_write };

	vcpu_fake_long(&fake);
	fake.vm.vcpus[fake.vm.vcpu_count++] = &fake.vcpu;
	must(!bus_add(&fake.vm.mmio, &range) && !bus_add(&fake.vm.pio, &port));
	vcpu_fake_map(&fake, CODE_AT, CODE_AT, WRITE);
	for (unsigned i = 0; i < PLACES; i++)
		vcpu_fake_map(&fake, place(LONG, i), places[i], WRITE);
	must(fake.next_table <= OUR_TABLES);
	build_low_tables();
	must(gpm_read(&fake.vm.gpm, gpa(FAKE_TABLES), clean_tables, sizeof(clean_tables)));
}

static void set_paging(const struct input *in)
{
	enum mode mode = mode_of(in);
	unsigned  rights = in->rights;

	fake.regs[REG_CR0] = mode == REAL ? 0 : CR0_PE;
	fake.regs[REG_CR0] |= mode >= LEGACY ? CR0_PG : 0;
	fake.regs[REG_CR0] |= rights & WITH_WP ? CR0_WP : 0;
	fake.regs[REG_CR4] = (rights & WITH_SMEP ? CR4_SMEP : 0) | (rights & WITH_SMAP ? CR4_SMAP : 0) |
			     (rights & WITH_PSE ? CR4_PSE : 0) | (mode == PAE || mode == LONG ? CR4_PAE : 0);
	fake.regs[REG_EFER] = (mode == LONG ? EFER_LMA | EFER_LME : 0) | (rights & WITH_NXE ? EFER_NXE : 0);
	fake.regs[REG_CR3] = mode == LONG ? FAKE_TABLES : OUR_TABLES + (mode == PAE ? 2 * PAGE_SIZE : 0);
}

static void set_mode(const struct input *in)
{
	static const uint32_t cs_rights[] = { [INSN_16] = 0, [INSN_32] = SEG_DB, [INSN_64] = SEG_L };
	enum mode mode = mode_of(in);
	bool is_user = in->flags & IS_USER || mode == VIRTUAL_8086;

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		fake.segs[i].base = mode == VIRTUAL_8086 && i != SEG_CS ? LOW : 0;
		fake.segs[i].limit = mode == REAL || mode == VIRTUAL_8086 ? 0xffff : 0xffffffff;
	}
	fake.segs[SEG_CS].rights = SEG_P | SEG_S | 0xb | cs_rights[insn_mode_of(in)];
	fake.segs[SEG_SS].rights = SEG_P | SEG_S | 3 | (is_user ? SEG_DPL_MASK : 0);
	fake.regs[REG_RFLAGS] = (in->rflags & ~(RFLAGS_VM | RFLAGS_AC)) | (in->rights & WITH_AC ? RFLAGS_AC : 0) |
				(mode == VIRTUAL_8086 ? RFLAGS_VM : 0);
	set_paging(in);
}

/* One of the places; in virtual-8086 mode as an offset in segments that begin there. */
static uint64_t aimed(const struct input *in, uint64_t val)
{
	enum mode mode = mode_of(in);
	uint64_t  base = mode == VIRTUAL_8086 ? LOW : 0;

	return place(mode, val % PLACES) + (val >> 8 & 0xfff) - base;
}

static void set_up(const struct input *in)
{
	fake.vcpu.exit.rip = CODE_AT + (in->at_page_end ? PAGE_SIZE - in->at_page_end % INSN_MAX : 0);
	set_mode(in);
	vcpu_fake_put(&fake, FAKE_TABLES, clean_tables, sizeof(clean_tables));
	for (unsigned i = 0; i < in->poke_count % 4; i++)
		vcpu_fake_set_word(&fake, FAKE_TABLES + in->poke_at[i] % (TABLES_SIZE / 8) * 8, in->poke[i]);
	vcpu_fake_put(&fake, fake.vcpu.exit.rip, in->code, sizeof(in->code));
	for (unsigned i = 0; i < GPR_COUNT; i++)
		fake.vcpu.gpr[i] = in->flags & AIM ? aimed(in, in->gpr[i]) : in->gpr[i];
	fake.regs[REG_RSP] = fake.vcpu.gpr[GPR_RSP];
	fake.vm.end = VM_END_NONE;
	fake.is_killed = false;
	fake.vcpu.pending.is_valid = in->flags & IS_DELIVERING;
	fake.injected = fake.progress = accesses = 0;
}

static void check_decoding(const struct input *in, struct insn *insn)
{
	struct insn exact;
	char        text[64];

	insn_text(text, sizeof(text), insn_mode_of(in), 0, in->code, sizeof(in->code));
	must(memchr(text, 0, sizeof(text)));
	if (insn_decode(insn, insn_mode_of(in), in->code, sizeof(in->code))) {
		insn->len = 0;
		return;
	}
	must(insn->len >= 1 && insn->len <= INSN_MAX && insn->reg < GPR_COUNT && insn->seg <= SEG_GS);
	must(insn->base < GPR_COUNT && insn->index < GPR_COUNT && insn->base >= -1 && insn->index >= -1);
	must(!insn_decode(&exact, insn_mode_of(in), in->code, insn->len));
	must(exact.kind == insn->kind && exact.disp == insn->disp && exact.imm == insn->imm);
}

static enum exit_result run(const struct input *in, const struct insn *insn)
{
	struct pio_access port = { .port = PORT, .size = insn->size, .is_in = in->flags & IS_IN,
				   .is_rep = insn->has_rep, .seg = 0xff };
	gpa_t addr = gpa(in->gpa);

	if (in->flags & IS_PIO && (insn->size == 1 || insn->size == 2 || insn->size == 4))
		return exit_pio_string(&fake.vcpu, &port);
	if (in->flags & AIM && insn->len)
		addr = gpa(DEVICE_AT + operand_offset(&fake.vcpu, insn) % (2 * PAGE_SIZE));
	return exit_mmio(&fake.vcpu, addr, in->flags & IS_WRITE);
}

/* Twice: the second time finds what the first remembered. */
static void run_step(const struct input *in)
{
	struct insn insn;

	check_decoding(in, &insn);
	set_up(in);
	for (unsigned i = 0; i < 2 && !fake.is_killed; i++) {
		enum exit_result result;

		fake.injected = fake.progress = accesses = 0;
		result = run(in, &insn);
		must(result == EXIT_RESUME || result == EXIT_SKIP || result == EXIT_STOP);
		must(accesses <= ACCESSES_MAX);
		/* Whoever accessed a device is done with it, but for a division, which reads its divisor before #DE. */
		must(result != EXIT_RESUME || fake.progress || !accesses || (fake.injected && fake.vector == VEC_DE));
		must((result == EXIT_STOP) == fake.is_killed);
		must(!fake.injected || result == EXIT_RESUME);
		must(result != EXIT_SKIP || (fake.vcpu.exit.insn_len && fake.vcpu.exit.insn_len <= INSN_MAX));
	}
}

/*
 * Instructions on vector and x87 registers are executed by this processor, with the guest's control words: a guest
 * may unmask floating-point exceptions, and the fuzzer's own arithmetic would raise them.
 */
static void mask_exceptions(void)
{
	const uint32_t mxcsr_reset = 0x1f80;

	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr_reset));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!fake.next_table)
		build_guest();
	npt_destroy(&fake.vm.npt);
	must(!npt_init(&fake.vm.npt, &svm_npt_format));
	fake.vm.hole_pages = 0;
	for (unsigned step = 0; step < STEPS_MAX && (step == 0 || size); step++) {
		struct input in = { 0 };
		size_t len = size < sizeof(in) ? size : sizeof(in);

		memcpy(&in, data, len);
		run_step(&in);
		data += len;
		size -= len;
	}
	mask_exceptions();
	return 0;
}
