/* SPDX-License-Identifier: MIT */
/*
 * Hostile instructions: any bytes, registers, modes and page-table words in front of the decoder, the memory
 * emulator and string I/O. Input: a struct input, as it lies in memory; what is missing is zero.
 *
 * Besides what the sanitizers see: a decoding is within its bounds and the same with exactly its bytes, an
 * exit does a bounded amount of work, and one that resumes the guest without progress has done nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/emulate/operand.h"
#include "arch/x86/exit/string.h"
#include "arch/x86/hw/cr.h"
#include "tests/unit/fake/vcpu_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE_AT		0x8000ULL
#define DATA_AT		0x9000ULL
#define DEVICE_AT	0xd0000000ULL
#define PORT		0x60U
#define TABLES_SIZE	0x8000ULL
#define WRITE		2ULL
#define PLACES		4U	/* linear pages: data, device, device, hole */
#define ACCESSES_MAX	(STRING_STEPS_MAX * 16U)

struct input {
	uint8_t  mode, flags;
	uint8_t  code[INSN_MAX];
	uint8_t  at_page_end;
	uint8_t  poke_count;
	uint16_t poke_at[3];
	uint64_t poke[3];
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags, gpa;
};

enum { IS_WRITE = 1, AIM = 2, IS_PIO = 4, IS_USER = 8, IS_IN = 16 };

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

/* Where code and operands may be, the same guest-physical pages in every mode. */
static uint64_t place(unsigned i)
{
	return 0x7f0000000000ULL + i * PAGE_SIZE;
}

static void build_guest(void)
{
	const struct bus_range range = { .name = "fuzz", .start = DEVICE_AT, .length = 2 * PAGE_SIZE,
					 .sizes = 15, .read = device_read, .write = device_write };
	const struct bus_range port = { .name = "fuzz", .start = PORT, .length = 4, .sizes = 7,
					.read = device_read, .write = device_write };

	vcpu_fake_long(&fake);
	must(!bus_add(&fake.vm.mmio, &range) && !bus_add(&fake.vm.pio, &port));
	vcpu_fake_map(&fake, CODE_AT, CODE_AT, WRITE);
	vcpu_fake_map(&fake, place(0), DATA_AT, WRITE);
	vcpu_fake_map(&fake, place(1), DEVICE_AT, WRITE);
	vcpu_fake_map(&fake, place(2), DEVICE_AT + PAGE_SIZE, WRITE);
	must(gpm_read(&fake.vm.gpm, gpa(FAKE_TABLES), clean_tables, sizeof(clean_tables)));
}

static void set_mode(const struct input *in)
{
	static const uint32_t cs_rights[] = {
		[INSN_16] = 0, [INSN_32] = SEG_DB, [INSN_64] = SEG_L,
	};
	enum insn_mode mode = in->mode % 3;

	fake.segs[SEG_CS].rights = SEG_P | SEG_S | 0xb | cs_rights[mode];
	fake.segs[SEG_SS].rights = SEG_P | SEG_S | 3 | (in->flags & IS_USER ? SEG_DPL_MASK : 0);
	fake.regs[REG_CR0] = mode == INSN_64 ? CR0_PE | CR0_PG | CR0_WP : CR0_PE;
	fake.regs[REG_EFER] = mode == INSN_64 ? EFER_LMA | EFER_LME | EFER_NXE : 0;
	fake.regs[REG_RFLAGS] = in->rflags;
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
		fake.vcpu.gpr[i] = in->flags & AIM ? place(in->gpr[i] % PLACES) + (in->gpr[i] >> 8 & 0xfff)
						   : in->gpr[i];
	fake.regs[REG_RSP] = fake.vcpu.gpr[GPR_RSP];
	fake.vm.end = VM_END_NONE;
	fake.is_killed = false;
	fake.injected = fake.progress = accesses = 0;
}

static void check_decoding(const struct input *in, struct insn *insn)
{
	struct insn exact;
	char        text[64];

	insn_text(text, sizeof(text), in->mode % 3, 0, in->code, sizeof(in->code));
	must(memchr(text, 0, sizeof(text)));
	if (insn_decode(insn, in->mode % 3, in->code, sizeof(in->code))) {
		insn->len = 0;
		return;
	}
	must(insn->len >= 1 && insn->len <= INSN_MAX && insn->reg < GPR_COUNT && insn->seg <= SEG_GS);
	must(insn->base < GPR_COUNT && insn->index < GPR_COUNT && insn->base >= -1 && insn->index >= -1);
	must(!insn_decode(&exact, in->mode % 3, in->code, insn->len));
	must(exact.kind == insn->kind && exact.disp == insn->disp && exact.imm == insn->imm);
}

static enum exit_result run(const struct input *in, const struct insn *insn)
{
	struct pio_access port = { .port = PORT, .size = insn->size, .is_in = in->flags & IS_IN,
				   .is_string = true, .is_rep = insn->has_rep, .seg = 0xff };
	gpa_t addr = gpa(in->gpa);

	if (in->flags & IS_PIO && (insn->size == 1 || insn->size == 2 || insn->size == 4))
		return exit_pio(&fake.vcpu, &port);
	if (in->flags & AIM && insn->len)
		addr = gpa(DEVICE_AT + operand_offset(&fake.vcpu, insn) % (2 * PAGE_SIZE));
	return exit_mmio(&fake.vcpu, addr, in->flags & IS_WRITE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { 0 };
	struct insn  insn;

	if (!fake.next_table)
		build_guest();
	memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
	check_decoding(&in, &insn);
	set_up(&in);
	/* Twice: the second time finds what the first remembered. */
	for (unsigned i = 0; i < 2 && !fake.is_killed; i++) {
		enum exit_result result;

		fake.injected = fake.progress = accesses = 0;
		result = run(&in, &insn);
		must(result == EXIT_RESUME || result == EXIT_SKIP || result == EXIT_STOP);
		must(accesses <= ACCESSES_MAX);
		must(result != EXIT_RESUME || fake.progress || !accesses);
		must((result == EXIT_STOP) == fake.is_killed);
		must(!fake.injected || result == EXIT_RESUME);
		must(result != EXIT_SKIP || (fake.vcpu.exit.insn_len && fake.vcpu.exit.insn_len <= INSN_MAX));
	}
	return 0;
}
