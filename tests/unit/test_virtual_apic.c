/* SPDX-License-Identifier: MIT */
/* vmx/virtual_apic.c: which controls and fields a VMCS has while the processor delivers, and when it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "boot/handoff.h"
#include "clock_fake.h"
#include "hv/dev/lapic_page.h"
#include "hv/dev/lapic_regs.h"
#include "hv/lib/util.h"
#include "hv/vm.h"
#include "vcpu_fake.h"
#include "vmcs_fake.h"

#define X2APIC		(LAPIC_BASE | 0xc00)
#define PROC		(0x84006172 | BIT(19) | BIT(20))	/* CR8 exits */
#define PROC2		0x10eaU

struct quirks quirks;

static struct vcpu vcpu;
static struct vm vm;
static struct lapic_page page;
static uint64_t tsc_offset;
static uint8_t bitmap[1];
static unsigned opened, closed;

void vmx_msr_bitmap_x2apic(uint8_t *of, bool is_open)
{
	assert_ptr_equal(of, bitmap);
	opened += is_open;
	closed += !is_open;
}

static void kick(void *ctx) { ((struct vcpu *)ctx)->irq_check = true; }
static void eoi(void *ctx, uint8_t vector) { (void)ctx; (void)vector; }
static const struct lapic_env env = { .kick = kick, .eoi = eoi };

static int setup(void **unused)
{
	struct vmx_vcpu *vmx;

	(void)unused;
	fake_now = 10 * FAKE_HZ;
	vcpu = (struct vcpu){ .vm = &vm };
	page = (struct lapic_page){ 0 };
	opened = closed = 0;
	vmcs_fake_init(&vcpu);
	vmx = vcpu.arch;
	*vmx = (struct vmx_vcpu){ .proc_controls = PROC, .proc2_controls = PROC2, .msr_bitmap = bitmap, .apic_page = &page };
	lapic_init(&vcpu.lapic, 1, &env, &vcpu, &fake_clock, &tsc_offset);
	assert_true(lapic_base_write(&vcpu.lapic, X2APIC));
	assert_true(lapic_msr_write(&vcpu.lapic, 0x80f, 0x1ff));
	return 0;
}

static uint64_t status(void) { return vmcs_fake_get(VMCS_GUEST_INTR_STATUS); }

/* SDM vol. 3, table 25-6 bit 21, table 25-7 bits 4, 8 and 9; 25.4.2: SVI above RVI. */
static void test_hand_over(void **unused)
{
	(void)unused;
	lapic_post(&vcpu.lapic, 0x41, true);
	lapic_post(&vcpu.lapic, 0xe3, true);
	lapic_accept(&vcpu.lapic, 0xe3);
	assert_true(vmx_delivers(&vcpu));
	assert_ptr_equal(vcpu.lapic.page, &page);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), 0x84206172);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS2), PROC2 | 0x310);
	assert_int_equal(status(), 0xe341);
	assert_int_equal(vmcs_fake_get(0x201c), 0);
	assert_int_equal(vmcs_fake_get(0x201e), 1 << 1);
	assert_int_equal(vmcs_fake_get(0x2020), 0);
	assert_int_equal(vmcs_fake_get(0x2022), 1ULL << 35);
	assert_int_equal(opened, 1);
}

/* What is in service is the processor's to say, and a lower request changes nothing. */
static void test_news(void **unused)
{
	static const struct { uint8_t vector; bool is_level; uint16_t before, after; } rows[] = {
		{ 0x41, false, 0x0000, 0x0041 }, { 0x51, false, 0x3041, 0x3051 }, { 0x31, false, 0x3041, 0x3041 },
		{ 0x41, true, 0x7000, 0x7041 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		setup(NULL);
		assert_true(vmx_delivers(&vcpu));
		vmcs_fake_set(VMCS_GUEST_INTR_STATUS, rows[i].before);
		lapic_post(&vcpu.lapic, rows[i].vector, rows[i].is_level);
		assert_true(vmx_delivers(&vcpu));
		assert_int_equal(status(), rows[i].after);
		assert_int_equal(vmcs_fake_get(0x201e), rows[i].is_level ? 2 : 0);
		vmcs_fake_set(VMCS_GUEST_INTR_STATUS, 0x1234);
		assert_true(vmx_delivers(&vcpu));
		assert_int_equal(status(), 0x1234);	/* told once */
	}
}

/* Taken back and handed over again without an entry in between: the controls stay. Switched off: they go. */
static void test_taken_back(void **unused)
{
	(void)unused;
	assert_true(vmx_delivers(&vcpu));
	lapic_from_page(&vcpu.lapic);
	lapic_post(&vcpu.lapic, 0x61, false);
	assert_true(vmx_delivers(&vcpu));
	assert_int_equal(status(), 0x61);
	assert_int_equal(opened, 1);
	assert_true(lapic_msr_write(&vcpu.lapic, 0x80f, 0xff));
	assert_true(vcpu.irq_check);
	assert_false(vmx_delivers(&vcpu));
	assert_null(vcpu.lapic.page);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS), PROC);
	assert_int_equal(vmcs_fake_get(VMCS_PROC_CONTROLS2), PROC2);
	assert_int_equal(closed, 1);
	assert_false(vmx_delivers(&vcpu));
	assert_int_equal(closed, 1);
}

/* A processor that cannot, a VM that shall not, and xAPIC mode. */
static void test_software(void **unused)
{
	struct vmx_vcpu *vmx = vcpu.arch;

	(void)unused;
	vmx->apic_page = NULL;
	assert_false(vmx_delivers(&vcpu));
	assert_null(vcpu.lapic.page);
	vmx->apic_page = &page;
	lapic_reset(&vcpu.lapic, false);
	assert_false(vmx_delivers(&vcpu));
	assert_int_equal(opened + closed, 0);
}

/*
 * Where virtual interrupts do not mind IF, the processor has the vectors only while none waits for the end of another or
 * for TPR. Each row is tried with the vectors in software, and with the vectors in the page already.
 */
static void test_masked(void **unused)
{
	static const struct { uint8_t requested[2], served, tpr; bool delivers; } rows[] = {
		{ { 0 }, 0, 0, true },
		{ { 0x41 }, 0, 0, true },
		{ { 0x41, 0x42 }, 0, 0, false },
		{ { 0x41, 0xe1 }, 0, 0, false },
		{ { 0x41 }, 0x31, 0x30, true },
		{ { 0x41 }, 0x42, 0, false },
		{ { 0x41 }, 0, 0x40, false },
		{ { 0 }, 0x42, 0xf0, true },
	};

	(void)unused;
	quirks.delivers_masked = true;
	for (size_t i = 0; row_of(rows, i); i++)
		for (unsigned in_page = 0; in_page < 2; in_page++) {
			setup(NULL);
			if (rows[i].served) {
				lapic_post(&vcpu.lapic, rows[i].served, false);
				lapic_accept(&vcpu.lapic, rows[i].served);
			}
			lapic_set_tpr(&vcpu.lapic, rows[i].tpr);
			if (in_page)
				assert_true(vmx_delivers(&vcpu));
			for (size_t n = 0; n < countof(rows[i].requested); n++)
				if (rows[i].requested[n])
					lapic_post(&vcpu.lapic, rows[i].requested[n], false);
			assert_int_equal(vmx_delivers(&vcpu), rows[i].delivers);
			assert_int_equal(vcpu.lapic.page == &page, rows[i].delivers);
			assert_int_equal(closed, in_page && !rows[i].delivers);
			assert_int_equal(lapic_is_requested(&vcpu.lapic, rows[i].requested[0]), rows[i].requested[0] != 0);
			if (rows[i].delivers)
				assert_int_equal(status(), (unsigned)rows[i].served << 8 | rows[i].requested[0]);
		}
	quirks.delivers_masked = false;
}

static void test_must_wait(void **unused)
{
	static const struct { uint8_t requested; uint64_t flags, blocking, injected; bool waits; } rows[] = {
		{ 0x41, RFLAGS_IF, 0, 0, false }, { 0x41, RFLAGS_IF, BLOCK_NMI, 0, false }, { 0, 0, BLOCK_STI, INTR_VALID, false },
		{ 0x41, 0, 0, 0, true }, { 0x41, RFLAGS_IF, BLOCK_STI, 0, true }, { 0x41, RFLAGS_IF, BLOCK_MOV_SS, 0, true },
		{ 0x41, RFLAGS_IF, 0, INTR_VALID, true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		setup(NULL);
		assert_true(vmx_delivers(&vcpu));
		if (rows[i].requested)
			lapic_post(&vcpu.lapic, rows[i].requested, false);
		vmcs_fake_set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | rows[i].flags);
		vmcs_fake_set(VMCS_GUEST_INTERRUPTIBILITY, rows[i].blocking);
		vmcs_fake_set(VMCS_ENTRY_INTR_INFO, rows[i].injected);
		assert_int_equal(vmx_must_wait(&vcpu), rows[i].waits);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = { TEST(test_hand_over), TEST(test_news), TEST(test_taken_back), TEST(test_software),
					    TEST(test_masked), TEST(test_must_wait) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
