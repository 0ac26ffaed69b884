/* SPDX-License-Identifier: MIT */
/*
 * The guest page-table walk: every paging mode, who may do what, error codes, reserved bits, accessed and
 * dirty bits, tables that lead nowhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/emulate/walk.h"
#include "hv/lib/util.h"
#include "vcpu_fake.h"

#define P	1ULL
#define W	2ULL
#define U	4ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define NX	BIT(63)
#define LINEAR	0x00007f1234567000ULL
#define FRAME	0x3000ULL

static struct vcpu_fake fake;

static int set_up(void **state)
{
	(void)state;
	vcpu_fake_long(&fake);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	return 0;
}

static struct walk_cpu long_cpu(void)
{
	struct walk_cpu cpu;

	walk_cpu_of(&fake.vcpu, &cpu);
	return cpu;
}

static bool walk(const struct walk_cpu *cpu, uint64_t addr, enum walk_access access, uint64_t *out, uint32_t *error)
{
	gpa_t where = gpa(0);
	bool  is_done = walk_gva(&fake.vm.gpm, cpu, gva(addr), access, &where, error);

	*out = where.raw;
	return is_done;
}

/* One row: the leaf's bits, the processor, the access; -1 for "translates", else the error code. */
struct rights_row {
	const char      *name;
	uint64_t         leaf;
	uint8_t          cpl;
	uint64_t         cr0, cr4, efer, rflags;
	enum walk_access access;
	int64_t          error;
};

#define KERNEL .cpl = 0
#define USER   .cpl = 3
#define ON_WP  .cr0 = CR0_WP
#define ON_NX  .efer = EFER_NXE

static const struct rights_row rights[] = {
	{ "not present", 0, KERNEL, ON_WP, ON_NX, .access = WALK_READ, .error = 0 },
	{ "not present, user write", 0, USER, ON_WP, ON_NX, .access = WALK_WRITE, .error = PF_WRITE | PF_USER },
	{ "not present, fetch", 0, KERNEL, ON_WP, ON_NX, .access = WALK_FETCH, .error = PF_FETCH },
	{ "not present, fetch, no NX", 0, KERNEL, ON_WP, .access = WALK_FETCH, .error = 0 },
	{ "kernel reads kernel page", P, KERNEL, ON_WP, ON_NX, .access = WALK_READ, .error = -1 },
	{ "user reads kernel page", P | W, USER, ON_WP, ON_NX, .access = WALK_READ, .error = PF_PRESENT | PF_USER },
	{ "user reads user page", P | U, USER, ON_WP, ON_NX, .access = WALK_READ, .error = -1 },
	{ "user writes read-only", P | U, USER, ON_NX, .access = WALK_WRITE,
	  .error = PF_PRESENT | PF_WRITE | PF_USER },
	{ "kernel writes read-only, WP", P, KERNEL, ON_WP, ON_NX, .access = WALK_WRITE,
	  .error = PF_PRESENT | PF_WRITE },
	{ "kernel writes read-only, no WP", P, KERNEL, ON_NX, .access = WALK_WRITE, .error = -1 },
	{ "fetch from NX", P | NX, KERNEL, ON_WP, ON_NX, .access = WALK_FETCH, .error = PF_PRESENT | PF_FETCH },
	{ "read from NX", P | NX, KERNEL, ON_WP, ON_NX, .access = WALK_READ, .error = -1 },
	{ "NX bit without NXE", P | NX, KERNEL, ON_WP, .access = WALK_READ, .error = PF_PRESENT | PF_RSVD },
	{ "kernel fetches user page", P | U, KERNEL, ON_WP, ON_NX, .access = WALK_FETCH, .error = -1 },
	{ "SMEP", P | U, KERNEL, ON_WP, ON_NX, .cr4 = CR4_SMEP, .access = WALK_FETCH,
	  .error = PF_PRESENT | PF_FETCH },
	{ "SMEP shows I/D without NX", 0, KERNEL, ON_WP, .cr4 = CR4_SMEP, .access = WALK_FETCH, .error = PF_FETCH },
	{ "SMAP", P | U | W, KERNEL, ON_WP, ON_NX, .cr4 = CR4_SMAP, .access = WALK_READ, .error = PF_PRESENT },
	{ "SMAP, AC set", P | U | W, KERNEL, ON_WP, ON_NX, .cr4 = CR4_SMAP, .rflags = RFLAGS_AC,
	  .access = WALK_WRITE, .error = -1 },
	{ "SMAP, user", P | U | W, USER, ON_WP, ON_NX, .cr4 = CR4_SMAP, .access = WALK_WRITE, .error = -1 },
	{ "address bit 40 reserved", P | BIT(40), KERNEL, ON_WP, ON_NX, .access = WALK_READ,
	  .error = PF_PRESENT | PF_RSVD },
	{ "address bit 51 reserved, user write", P | BIT(51), USER, ON_WP, ON_NX, .access = WALK_WRITE,
	  .error = PF_PRESENT | PF_RSVD | PF_WRITE | PF_USER },
	{ "bit 52 ignored", P | BIT(52), KERNEL, ON_WP, ON_NX, .access = WALK_READ, .error = -1 },
};

static void checks_rights(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(rights); i++) {
		const struct rights_row *row = &rights[i];
		struct walk_cpu cpu = { .cr0 = CR0_PG | CR0_PE | row->cr0, .cr3 = fake.regs[REG_CR3],
					.cr4 = CR4_PAE | row->cr4, .efer = EFER_LMA | row->efer,
					.rflags = row->rflags, .cpl = row->cpl, .phys_bits = FAKE_PHYS_BITS };
		uint32_t error = ~0U;
		uint64_t out;
		bool     is_done;

		vcpu_fake_set_word(&fake, vcpu_fake_entry(&fake, LINEAR), FRAME | row->leaf);
		is_done = walk(&cpu, LINEAR + 0x123, row->access, &out, &error);
		if (is_done != (row->error < 0) || (is_done ? out != FRAME + 0x123 : error != row->error))
			fail_msg("%s: %s, error %#x", row->name, is_done ? "translated" : "faulted", error);
	}
}

/* A level above the leaf takes rights away for all below it. */
static void upper_levels_limit(void **state)
{
	struct walk_cpu cpu = long_cpu();
	uint64_t top = fake.regs[REG_CR3] + (LINEAR >> 39) * 8, out;
	uint32_t error;

	(void)state;
	vcpu_fake_map(&fake, LINEAR, FRAME, W | U);
	vcpu_fake_set_word(&fake, top, vcpu_fake_word(&fake, top) & ~W);
	assert_false(walk(&cpu, LINEAR, WALK_WRITE, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_WRITE);
	vcpu_fake_set_word(&fake, top, vcpu_fake_word(&fake, top) | NX);
	assert_false(walk(&cpu, LINEAR, WALK_FETCH, &out, &error));
	vcpu_fake_set_word(&fake, top, vcpu_fake_word(&fake, top) | PS);
	assert_false(walk(&cpu, LINEAR, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD);
}

static void sets_accessed_and_dirty(void **state)
{
	struct walk_cpu cpu = long_cpu();
	uint64_t top = fake.regs[REG_CR3] + (LINEAR >> 39) * 8, leaf, out;
	uint32_t error;

	(void)state;
	vcpu_fake_map(&fake, LINEAR, FRAME, 0);
	leaf = vcpu_fake_entry(&fake, LINEAR);
	assert_false(walk(&cpu, LINEAR, WALK_WRITE, &out, &error));
	assert_int_equal(vcpu_fake_word(&fake, leaf), FRAME | P);
	assert_true(walk(&cpu, LINEAR, WALK_READ, &out, &error));
	assert_int_equal(vcpu_fake_word(&fake, leaf), FRAME | P | A);
	assert_int_equal(vcpu_fake_word(&fake, top) & (A | D), A);
	vcpu_fake_map(&fake, LINEAR, FRAME, W);
	assert_true(walk(&cpu, LINEAR, WALK_WRITE, &out, &error));
	assert_int_equal(vcpu_fake_word(&fake, leaf), FRAME | P | W | A | D);
	assert_int_equal(vcpu_fake_word(&fake, top) & (A | D), A);
}

static void large_pages(void **state)
{
	struct walk_cpu cpu = long_cpu();
	uint64_t linear = 0xffffffff81234567ULL;
	uint64_t pdpt = 0x10000, pd = 0x11000, out;
	uint32_t error;

	(void)state;
	vcpu_fake_set_word(&fake, fake.regs[REG_CR3] + 511 * 8, pdpt | P | W);
	vcpu_fake_set_word(&fake, pdpt + 510 * 8, pd | P | W);
	vcpu_fake_set_word(&fake, pd + 9 * 8, 0x40000000 | P | W | PS);
	assert_true(walk(&cpu, linear, WALK_WRITE, &out, &error));
	assert_int_equal(out, 0x40034567);
	assert_int_equal(vcpu_fake_word(&fake, pd + 9 * 8), 0x40000000 | P | W | PS | A | D);
	vcpu_fake_set_word(&fake, pd + 9 * 8, 0x40002000 | P | W | PS);
	assert_false(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD);

	vcpu_fake_set_word(&fake, pdpt + 510 * 8, 0xc0000000 | P | PS);
	assert_true(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(out, 0xc1234567);
	vcpu_fake_set_word(&fake, pdpt + 510 * 8, 0xc0200000 | P | PS);
	assert_false(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD);
}

static void paging_32(void **state)
{
	struct walk_cpu cpu = { .cr0 = CR0_PG | CR0_PE | CR0_WP, .cr3 = 0x10fff, .phys_bits = FAKE_PHYS_BITS };
	uint64_t linear = 0xc0801abcULL, out;	/* directory 770, table 1 */
	uint32_t error;

	(void)state;
	vcpu_fake_set_word(&fake, 0x10000 + 770 * 4, 0x11000 | P | W);
	vcpu_fake_set_word(&fake, 0x11000, (0x5000ULL | P) << 32 | 0xffff0000);	/* entry 1 is an upper half */
	assert_true(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(out, 0x5abc);
	assert_int_equal(vcpu_fake_word(&fake, 0x11000), (0x5000ULL | P | A) << 32 | 0xffff0000);
	assert_false(walk(&cpu, linear, WALK_WRITE, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_WRITE);
	/* Fetches are told apart only where they can be forbidden. */
	assert_false(walk(&cpu, 0, WALK_FETCH, &out, &error));
	assert_int_equal(error, 0);

	/* 4 MiB pages, and address bits 39:32 of PSE-36; without CR4.PSE the bit is ignored. */
	vcpu_fake_set_word(&fake, 0x10000 + 770 * 4, 0x12c06000 | P | W | PS);
	cpu.cr4 = CR4_PSE;
	assert_true(walk(&cpu, linear, WALK_WRITE, &out, &error));
	assert_int_equal(out, 0x312c01abcULL);
	vcpu_fake_set_word(&fake, 0x10000 + 770 * 4, 0x12e06000 | P | W | PS);
	assert_false(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD);
	vcpu_fake_set_word(&fake, 0x10000 + 770 * 4, 0x11000 | P | W | PS);
	cpu.cr4 = 0;
	assert_true(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(out, 0x5abc);
}

static void paging_pae(void **state)
{
	struct walk_cpu cpu = { .cr0 = CR0_PG | CR0_PE | CR0_WP, .cr3 = 0x10020, .cr4 = CR4_PAE, .efer = EFER_NXE,
				.phys_bits = FAKE_PHYS_BITS };
	uint64_t linear = 0xc0601abcULL, out;
	uint32_t error;

	(void)state;
	/* The pointer table is 32-byte aligned and grants no rights; its entries have no accessed bit. */
	vcpu_fake_set_word(&fake, 0x10020 + 3 * 8, 0x11000 | P);
	vcpu_fake_set_word(&fake, 0x11000 + 3 * 8, 0x12000 | P | W | U);
	vcpu_fake_set_word(&fake, 0x12000 + 8, 0x6000 | P | W | U);
	cpu.cpl = 3;
	assert_true(walk(&cpu, linear, WALK_WRITE, &out, &error));
	assert_int_equal(out, 0x6abc);
	assert_int_equal(vcpu_fake_word(&fake, 0x10020 + 3 * 8), 0x11000 | P);
	assert_int_equal(vcpu_fake_word(&fake, 0x12000 + 8), 0x6000 | P | W | U | A | D);
	vcpu_fake_set_word(&fake, 0x12000 + 8, 0x6000 | P | W | U | BIT(52));
	assert_false(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD | PF_USER);
	vcpu_fake_set_word(&fake, 0x11000 + 3 * 8, 0x400000 | P | W | U | PS);
	assert_true(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(out, 0x401abc);
	vcpu_fake_set_word(&fake, 0x10020 + 3 * 8, 0x11000 | P | W);
	assert_false(walk(&cpu, linear, WALK_READ, &out, &error));
	assert_int_equal(error, PF_PRESENT | PF_RSVD | PF_USER);
}

static void no_paging_and_bad_addresses(void **state)
{
	struct walk_cpu cpu = { .cr0 = CR0_PE };
	uint64_t out;
	uint32_t error;

	(void)state;
	assert_true(walk(&cpu, 0x1fee00020ULL, WALK_WRITE, &out, &error));
	assert_int_equal(out, 0xfee00020);
	cpu = long_cpu();
	assert_false(walk(&cpu, 0x0000800000000000ULL, WALK_READ, &out, &error));
	assert_int_equal(error, WALK_NOT_CANONICAL);
	cpu.cr3 = FAKE_RAM;
	assert_false(walk(&cpu, LINEAR, WALK_READ, &out, &error));
	assert_int_equal(error, WALK_NOT_RAM);
	/* A table that contains itself ends after four levels. */
	cpu.cr3 = 0x10000;
	for (unsigned i = 0; i < 512; i++)
		vcpu_fake_set_word(&fake, 0x10000 + i * 8, 0x10000 | P | W | U | A | D);
	assert_true(walk(&cpu, LINEAR + 8, WALK_WRITE, &out, &error));
	assert_int_equal(out, 0x10008);
}

static void copies_across_pages(void **state)
{
	uint64_t val = 0, expected = 0x1122334455667788ULL;
	uint32_t error = 0;
	gva_t    fault = gva(0);

	(void)state;
	vcpu_fake_map(&fake, LINEAR, 0x8000, W);
	vcpu_fake_map(&fake, LINEAR + PAGE_SIZE, 0x5000, W);
	assert_true(gva_write_system(&fake.vcpu, gva(LINEAR + 0xffd), &expected, 8, &fault, &error));
	assert_true(gva_read(&fake.vcpu, gva(LINEAR + 0xffd), &val, 8, &fault, &error));
	assert_int_equal(val, expected);
	assert_int_equal(vcpu_fake_word(&fake, 0x5000) & 0xffffffffff, 0x1122334455);
	assert_false(gva_read(&fake.vcpu, gva(LINEAR + 0x1ffd), &val, 8, &fault, &error));
	assert_int_equal(fault.raw, LINEAR + 0x2000);
	assert_int_equal(error, 0);
	/* SMAP: the kernel's own reads of a user's page go with AC, the processor's of its tables do not. */
	fake.regs[REG_CR4] |= CR4_SMAP;
	fake.regs[REG_RFLAGS] |= RFLAGS_AC;
	vcpu_fake_map(&fake, LINEAR, 0x8000, W | U);
	assert_true(gva_read(&fake.vcpu, gva(LINEAR), &val, 1, &fault, &error));
	assert_false(gva_read_system(&fake.vcpu, gva(LINEAR), &val, 1, &fault, &error));
	assert_int_equal(error, PF_PRESENT);
	vcpu_fake_map(&fake, LINEAR, 0xd0000000, W);
	assert_false(gva_read(&fake.vcpu, gva(LINEAR), &val, 1, &fault, &error));
	assert_int_equal(error, WALK_NOT_RAM);
}

static void fetches_what_is_there(void **state)
{
	uint8_t bytes[INSN_MAX];

	(void)state;
	fake.vcpu.exit.rip = LINEAR + 0xffa;
	assert_int_equal(gva_fetch_insn(&fake.vcpu, bytes), 0);
	vcpu_fake_map(&fake, LINEAR, 0x8000, 0);
	vcpu_fake_put(&fake, 0x8ffa, "abcdef", 6);
	assert_int_equal(gva_fetch_insn(&fake.vcpu, bytes), 6);
	assert_memory_equal(bytes, "abcdef", 6);
	vcpu_fake_map(&fake, LINEAR + PAGE_SIZE, 0x9000, 0);
	vcpu_fake_put(&fake, 0x9000, "ghijklmno", 9);
	assert_int_equal(gva_fetch_insn(&fake.vcpu, bytes), INSN_MAX);
	assert_memory_equal(bytes, "abcdefghijklmno", INSN_MAX);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(checks_rights), CASE(upper_levels_limit), CASE(sets_accessed_and_dirty), CASE(large_pages),
		CASE(paging_32), CASE(paging_pae), CASE(no_paging_and_bad_addresses), CASE(copies_across_pages),
		CASE(fetches_what_is_there),
	};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
