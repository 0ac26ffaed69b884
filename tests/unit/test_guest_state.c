/* SPDX-License-Identifier: MIT */
/* A vCPU as plain data: what is restored is what is saved, and nothing from outside does us harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/virt/save.h"
#include "hv/lib/bits.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define ROUNDS	2000U
#define MASK	(XCR0_X87 | XCR0_SSE | XCR0_AVX)

/* ---- A back end of two arrays, and what it keeps beside them ---- */

static struct vm vm;
static struct vcpu vcpu;
static uint64_t regs[GUEST_READ_COUNT];
static struct segment segs[SEG_COUNT];
static struct guest_state rest;		/* what virt->save and restore carry */
static unsigned unloads, flushes;

static uint64_t get(struct vcpu *unused, enum guest_reg reg) { (void)unused; return regs[reg]; }
static void set(struct vcpu *unused, enum guest_reg reg, uint64_t val) { (void)unused; regs[reg] = val; }
static void get_seg(struct vcpu *unused, enum guest_seg seg, struct segment *to) { (void)unused; *to = segs[seg]; }
static void set_seg(struct vcpu *unused, enum guest_seg seg, const struct segment *from) { (void)unused; segs[seg] = *from; }
static void set_tsc_offset(struct vcpu *unused, uint64_t offset) { (void)unused; (void)offset; }
static void flush(struct vcpu *unused) { (void)unused; flushes++; }

#define VENDOR_FIELDS(X) X(star) X(lstar) X(cstar) X(sfmask) X(kernel_gs_base) X(nmi_blocked) X(in_shadow) X(debug_due)

static void save(struct vcpu *unused, struct guest_state *state)
{
	(void)unused;
#define COPY(field) state->field = rest.field;
	VENDOR_FIELDS(COPY)
#undef COPY
	memcpy(state->pdpte, rest.pdpte, sizeof(rest.pdpte));
}

static void restore(struct vcpu *unused, const struct guest_state *state)
{
	(void)unused;
	rest = *state;
}

static const struct virt_backend backend = {
	.get = get, .set = set, .get_seg = get_seg, .set_seg = set_seg, .save = save, .restore = restore, .flush = flush,
	.set_tsc_offset = set_tsc_offset,
};
const struct virt_backend *virt = &backend;

void vcpu_unload(struct vcpu *unused) { (void)unused; unloads++; }
void vcpu_start_if_due(struct vcpu *unused) { (void)unused; }
uint64_t vcpu_host_tsc_offset(const struct vcpu *unused) { (void)unused; return 0; }
uint64_t fpu_guest_xcr0_mask(void);
uint64_t fpu_guest_xcr0_mask(void) { return MASK; }
uint64_t vcpu_gpr(struct vcpu *of, enum gpr reg) { return reg == GPR_RSP ? regs[REG_RSP] : of->gpr[reg]; }

void dr_reset(struct vcpu *of)
{
	memset(of->dr, 0, sizeof(of->dr));
	of->dr6 = DR6_RESET;
	of->dr7 = DR7_RESET;
}

bool xcr0_is_valid(uint64_t val, uint64_t mask)
{
	return (val & XCR0_X87) && !(val & ~mask) && (!(val & XCR0_AVX) || (val & XCR0_SSE));
}

static uint64_t random64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static void fill(void *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)at)[i] = (uint8_t)random();
}

/* Any bytes, then what a guest could have had: else they are bounded, which another test looks at. */
static void random_state(struct guest_state *state)
{
	fill(state, sizeof(*state));
	guest_state_bound(state, MASK);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		state->seg[i] = (struct segment){ random64(), (uint32_t)random64(), (uint16_t)random64(), (uint32_t)random64() };
	state->gpr[GPR_RSP] = state->reg[REG_RSP];
	if (!state->pending.is_valid)
		state->pending = (struct guest_event){ 0 };
	state->pending.is_valid &= 1;
	state->pending.has_error &= 1;
	state->halted_if &= 1;
	state->nmi_pending &= 1;
	state->is_unhalted &= 1;
	state->unused = 0;
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	srandom(1);
	return 0;
}

/* ---- Tests ---- */

/* DR7 is derived, and need not come back by itself. */
static bool is_same(const struct guest_state *a, const struct guest_state *b)
{
	struct guest_state one = *a, other = *b;

	one.reg[REG_DR7] = other.reg[REG_DR7] = 0;
	return !memcmp(&one.gpr, &other.gpr, sizeof(one.gpr)) &&
	       !memcmp(one.reg, other.reg, sizeof(one.reg)) &&
	       !memcmp(one.pdpte, other.pdpte, sizeof(one) - offsetof(struct guest_state, pdpte));
}

static void test_there_and_back(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct guest_state wanted;

		random_state(&wanted);
		vcpu.saved.s = wanted;
		vcpu_restore(&vcpu);
		memset(&vcpu.saved.s, 0xa5, sizeof(vcpu.saved.s));
		vcpu_save(&vcpu);
		if (!is_same(&vcpu.saved.s, &wanted))
			fail_msg("round %u differs", i);
		for (unsigned k = 0; k < SEG_COUNT; k++) {
			assert_int_equal(vcpu.saved.s.seg[k].base, wanted.seg[k].base);
			assert_int_equal(vcpu.saved.s.seg[k].limit, wanted.seg[k].limit);
			assert_int_equal(vcpu.saved.s.seg[k].selector, wanted.seg[k].selector);
			assert_int_equal(vcpu.saved.s.seg[k].rights, wanted.seg[k].rights);
		}
	}
	assert_int_equal(unloads, 2 * ROUNDS);
	assert_int_equal(flushes, ROUNDS);
	assert_true(vcpu.irq_check);
}

/* A state that lies about DR7 gets what the guest would read, never breakpoints at another guest's addresses. */
static void test_one_dr7(void **unused)
{
	(void)unused;
	random_state(&vcpu.saved.s);
	vcpu.saved.s.reg[REG_DR7] = 0xff;
	vcpu.saved.s.dr7 = 0x2401;
	vcpu_restore(&vcpu);
	assert_int_equal(regs[REG_DR7], 0x401);
	assert_int_equal(vcpu.dr7, 0x2401);
}

static void test_bound(void **unused)
{
	static const struct { uint64_t xcr0, want; } rows[] = {
		{ 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 3 }, { 5, 1 }, { 7, 7 }, { 0xe7, 1 }, { ~0ULL, 1 },
	};

	(void)unused;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct guest_state state;

		fill(&state, sizeof(state));
		guest_state_bound(&state, MASK);
		assert_true(is_canonical(state.lstar) && is_canonical(state.cstar) && is_canonical(state.kernel_gs_base));
		assert_false(hi32(state.sfmask) || hi32(state.tsc_aux) || state.xss);
		assert_true(state.run_state <= VCPU_HALTED);
		assert_true(state.in_shadow <= SHADOW_MOV_SS);
		assert_int_equal(state.dr7 & ~0xffff23ffULL, 0x400);
		assert_int_equal(state.dr6 & ~0xe00fULL, 0xffff0ff0);
		assert_true(!state.pending.is_valid || (state.pending.type <= VEVENT_SOFT_EXC && state.pending.type != 1));
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct guest_state state = { .xcr0 = rows[i].xcr0 };

		guest_state_bound(&state, MASK);
		if (state.xcr0 != rows[i].want)
			fail_msg("XCR0 %lx became %lx", (unsigned long)rows[i].xcr0, (unsigned long)state.xcr0);
	}
}

/* A start leaves nothing of the life before but MSRs and the clock. */
static void test_reset(void **unused)
{
	struct reset_state start = { .rip = 0x7c00, .rsp = 0x7000, .efer = 5, .cr0 = 0x60000010, .gpr = { 1, 2, 3 } };

	random_state(&vcpu.saved.s);
	vcpu.saved.s.lstar = 0x1234;
	vcpu.saved.s.nmi_blocked = vcpu.saved.s.in_shadow = vcpu.saved.s.pending.is_valid = vcpu.saved.s.is_unhalted = 1;
	vcpu_restore(&vcpu);
	assert_true(vcpu.pv_steal && vcpu.pv_time && vcpu.pv_eoi);
	(void)unused;
	vcpu_reset(&vcpu, &start);
	assert_false(vcpu.pv_steal || vcpu.pv_time || vcpu.pv_wall || vcpu.pv_eoi);
	assert_int_equal(regs[REG_RIP], 0x7c00);
	assert_int_equal(regs[REG_RSP], 0x7000);
	assert_int_equal(regs[REG_RFLAGS], RFLAGS_ONE);
	assert_int_equal(regs[REG_PAT], PAT_RESET);
	assert_int_equal(regs[REG_DR7], DR7_RESET);
	assert_int_equal(vcpu.gpr[GPR_RDX], 3);
	assert_int_equal(vcpu.cr2, 0);
	assert_int_equal(vcpu.dr6, DR6_RESET);
	assert_int_equal(rest.lstar, 0x1234);
	assert_false(vcpu.pending.is_valid || vcpu.nmi_pending || vcpu.is_unhalted || rest.nmi_blocked || rest.in_shadow || rest.debug_due);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, set_up),
		cmocka_unit_test_setup(test_one_dr7, set_up),
		cmocka_unit_test_setup(test_bound, set_up),
		cmocka_unit_test_setup(test_reset, set_up),
	};

	return cmocka_run_group_tests_name("guest_state", tests, NULL, NULL);
}
