/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest at the policies: the input is a list of RDMSR, WRMSR, MOV to control registers, CLTS, LMSW, CPUID and
 * RDPMC with any operands. Whatever it asks for, the registers that hardware is entered with stay such as a processor
 * could hold them (SDM vol. 3, 27.3.1.1; APM vol. 2, 15.5.1), refused instructions change nothing, and no handler
 * ends the VM or sees more than the allowed bits.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/cpuid_policy.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/mmio.h"
#include "arch/x86/exit/mtrr.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/memtype.h"
#include "arch/x86/hw/msr.h"
#include "clock_fake.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "vcpu_fake.h"

#define XCR0_OFFERED	7U
#define EFER_OFFERED	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define OPS_MAX		500U

static struct vcpu_fake fake;
static struct cpuid_table table;
static struct machine machine;
static const uint8_t *input;
static size_t left;

/* ---- What the handlers call besides the fakes ---- */

uint64_t vcpu_tsc(const struct vcpu *vcpu) { return vm_now(vcpu->vm) + vcpu->tsc_offset; }
uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu) { return vcpu->vm->clock.offset + vcpu->tsc_offset; }
static void be_amd(bool is_amd)
{
	fake_caps = (struct guest_caps){ .vendor = is_amd ? MSR_AMD : MSR_INTEL, .has_counters = is_amd, .needs_wide_tss = !is_amd };
}

uint64_t fpu_guest_xcr0_mask(void) { return XCR0_OFFERED; }
uint64_t fpu_live_xcr0(void) { return fake.vcpu.xcr0; }

/* The local APIC has fuzzers of its own (chips, routing). */
void mmio_hole_forget(struct vcpu *vcpu, uint64_t apic_base) { (void)vcpu; (void)apic_base; }
void lapic_settle_elsewhere(struct lapic *lapic) { (void)lapic; }
void lapic_timer_settle(struct lapic *lapic) { (void)lapic; }
void lapic_tsc_moved(struct lapic *lapic) { (void)lapic; }
bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *val) { *val = lapic->id; return msr == 0x802; }
bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t val) { (void)lapic; return msr == 0x80b && !val; }
void lapic_deadline_write(struct lapic *lapic, uint64_t val) { lapic->s.tsc_deadline = val; }
uint64_t lapic_cr8_read(const struct lapic *lapic) { return lapic->s.tpr >> 4; }
void lapic_cr8_write(struct lapic *lapic, uint64_t val) { lapic->s.tpr = (uint32_t)val << 4; }

bool lapic_base_write(struct lapic *lapic, uint64_t val)
{
	if (val & 0x2ff)
		return false;
	lapic->s.base_msr = val;
	return true;
}

/* A host that has every bit there is. */
static struct cpuid_regs rich(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0x1b, 0x756e6547, 0x6c65746e, 0x49656e69 };
	if (leaf == 0x80000000)
		return (struct cpuid_regs){ 0x80000008, 0, 0, 0 };
	if (leaf == 4 && subleaf >= 4)
		return (struct cpuid_regs){ 0 };
	if (leaf == 0xd && subleaf == 2)
		return (struct cpuid_regs){ 256, 576, 0, 0 };
	return (struct cpuid_regs){ ~0U, ~0U, ~0U, ~0U };
}

/* ---- Operations ---- */

static uint64_t take(unsigned bytes)
{
	uint64_t val = 0;

	for (; bytes && left; bytes--, left--)
		val = val << 8 | *input++;
	return val;
}

/* Few bits, or any; near what the register holds, or not. */
static uint64_t take_value(uint64_t near)
{
	switch (take(1) % 4) {
	case 0:
		return near ^ BIT(take(1) % 64);
	case 1:
		return near ^ BIT(take(1) % 64) ^ BIT(take(1) % 64);
	case 2:
		return take(4);
	default:
		return take(8);
	}
}

static uint32_t take_msr(void)
{
	size_t count;
	const struct msr_policy *rows = msr_policy_table(&count), *row;

	if (take(1) % 8 == 0)
		return (uint32_t)take(4);
	row = &rows[take(1) % count];
	return row->msr + (row->last ? (uint32_t)take(1) % (row->last - row->msr + 1) : 0);
}

static void put_edx_eax(uint64_t val)
{
	fake.vcpu.gpr[GPR_RAX] = lo32(val);
	fake.vcpu.gpr[GPR_RDX] = hi32(val);
}

static uint64_t read_msr(uint32_t msr, bool *works)
{
	fake.vcpu.gpr[GPR_RCX] = msr;
	put_edx_eax(0);
	*works = exit_rdmsr(&fake.vcpu) == EXIT_SKIP;
	return join32(fake.vcpu.gpr[GPR_RDX], fake.vcpu.gpr[GPR_RAX]);
}

/* Refused means refused: the register reads as before, but for what time moves. */
static void op_wrmsr(void)
{
	uint32_t msr = take_msr();
	bool works_before, works_after;
	uint64_t before = read_msr(msr, &works_before), after;

	fake.vcpu.gpr[GPR_RCX] = msr;
	put_edx_eax(take_value(before));
	if (exit_wrmsr(&fake.vcpu) == EXIT_SKIP)
		return;
	after = read_msr(msr, &works_after);
	assert(works_before == works_after && (before == after || msr == MSR_IA32_TSC));
}

static void op_cr(void)
{
	static const uint8_t numbers[] = { 0, 4, 8 };	/* CR3 is the guest's own and does not exit */
	static const enum guest_reg regs[] = { REG_CR0, REG_CR4, REG_CR0 };
	unsigned which = take(1) % 3;
	struct cr_access access = { .op = (enum cr_op)(take(1) % 4), .cr = numbers[which], .gpr = GPR_R9 };
	uint64_t before[] = { fake.regs[REG_CR0], fake.regs[REG_CR4], fake.regs[REG_EFER] };

	if (access.op == CR_CLTS || access.op == CR_LMSW)
		access.cr = 0;
	access.lmsw = (uint16_t)take(2);
	fake.vcpu.gpr[GPR_R9] = take_value(fake.regs[regs[which]]);
	if (exit_cr(&fake.vcpu, &access) != EXIT_RESUME)
		return;
	assert(before[0] == fake.regs[REG_CR0] && before[1] == fake.regs[REG_CR4] && before[2] == fake.regs[REG_EFER]);
}

/* A far jump: 64-bit code only in long mode. */
static void op_code_segment(void)
{
	bool is_long = (fake.regs[REG_EFER] & EFER_LMA) && take(1) % 2;

	fake.segs[SEG_CS].rights = (fake.segs[SEG_CS].rights & ~(uint32_t)SEG_L) | (is_long ? (uint32_t)SEG_L : 0);
}

static void op_others(void)
{
	uint32_t what = (uint32_t)take(1);

	fake.vcpu.gpr[GPR_RCX] = take(what & 4 ? 4 : 1);
	put_edx_eax(take(what & 8 ? 8 : 1));
	fake.segs[SEG_SS].rights ^= what & 16 ? 0x60 : 0;	/* to ring 3 and back */
	if (what % 2)
		(void)exit_cpuid(&fake.vcpu);
	else
		(void)exit_rdpmc(&fake.vcpu);
	clock_advance(what);
}

/* ---- What a processor could hold ---- */

static void check(void)
{
	uint64_t cr0 = fake.regs[REG_CR0], cr4 = fake.regs[REG_CR4], efer = fake.regs[REG_EFER];

	assert(!fake.is_killed);
	assert(!(cr0 & ~cr0_guest_allowed()) && !(cr4 & ~cr4_guest_allowed(&fake.vcpu)) && !(efer & ~EFER_OFFERED));
	assert(!(cr0 & CR0_PG) || (cr0 & CR0_PE));
	assert(!(cr0 & CR0_NW) || (cr0 & CR0_CD));
	assert(!!(efer & EFER_LMA) == ((efer & EFER_LME) && (cr0 & CR0_PG)));
	assert(!(efer & EFER_LMA) || (cr4 & CR4_PAE));
	assert(!(cr4 & CR4_PCIDE) || (efer & EFER_LMA));
	assert(pat_is_valid(fake.regs[REG_PAT]));
	assert(!fake.vcpu.xss);
	for (unsigned i = MTRR_FIXED; i < MTRR_DEFAULT; i++)
		assert(memtypes_are_valid(fake.vcpu.mtrr[i], MTRR_TYPES_VALID));
	assert(fake.vcpu.lapic.s.base_msr >> FAKE_PHYS_BITS == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(void) = { op_wrmsr, op_wrmsr, op_cr, op_cr, op_code_segment, op_others };
	const struct cpuid_facts facts = {
		.tsc_hz = FAKE_HZ, .lapic_hz = LAPIC_TIMER_HZ, .xcr0_mask = XCR0_OFFERED,
		.can_compact = true, .vcpu_count = 1, .can_rdtscp = true, .can_invpcid = true,
	};

	fake_now = 1000;
	input = data;
	left = size;
	be_amd(take(1) & 1);
	vcpu_fake_long(&fake);
	cpuid_build(&table, &facts, rich);
	fake.vm.cpuid = &table;
	fake.vm.machine = &machine;
	fake.vcpu.xcr0 = XCR0_X87;
	fake.regs[REG_PAT] = 0x0007040600070406;
	vm_clock_start(&fake.vm.clock);
	msr_reset(&fake.vcpu);
	for (unsigned i = 0; i < OPS_MAX && left; i++) {
		ops[take(1) % (sizeof(ops) / sizeof(ops[0]))]();
		check();
	}
	vcpu_fake_free(&fake);
	return 0;
}
