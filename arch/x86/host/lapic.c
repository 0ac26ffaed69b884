/* SPDX-License-Identifier: MIT */
/*
 * Our own local APIC: x2APIC where the processor has it, else MMIO through the direct map with plain aligned
 * 32-bit accesses. Its timer is the only one the hypervisor uses. SDM vol. 3, chapter 11 "Advanced
 * Programmable Interrupt Controller (APIC)".
 *
 * host_wake_at is called after nearly every exit that concerns time, so it writes as seldom as it may: a
 * deadline that is armed and not later than the new one stays. It fires early, the scheduler looks, finds
 * nothing due and arms the right one: one interrupt in exchange for a register write at each exit.
 */
#include "arch/x86/host/lapic.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "hv/addr.h"
#include "hv/host.h"
#include "hv/lib/apic.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

_Static_assert(MSR_X2APIC_FIRST == X2APIC_MSRS, "the processor's registers and a guest's are at one place");

#define CALIBRATE_PER_SECOND	100U	/* the APIC timer is measured for 1/100 s */
#define CALIBRATE_WINDOWS	3U
#define COUNT_MAX		0xffffffffULL
#define REPEATS_PER_SECOND_MAX	20000U	/* how often a counter repeats whose interrupt nobody has taken */
#define DIVIDE_BY_16		3U	/* what the register holds for it */
#define SEND_POLLS_MAX		100000U

enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };

/* The same for all processors, and constant once the boot processor is set up. */
static struct {
	enum lapic_mode mode;
	uint64_t        hz;		/* of the timer's counter; 0: TSC-deadline mode */
} lapic;

static volatile uint32_t *reg_ptr(enum apic_reg reg)
{
	return hpa_ptr(hpa(LAPIC_BASE + reg * APIC_REG_BYTES));
}

static uint32_t reg_read(enum apic_reg reg)
{
	if (lapic.mode == LAPIC_X2APIC)
		return (uint32_t)rdmsr(MSR_X2APIC_FIRST + reg);
	return *reg_ptr(reg);
}

static void reg_write(enum apic_reg reg, uint64_t val)
{
	if (lapic.mode == LAPIC_X2APIC)
		wrmsr(MSR_X2APIC_FIRST + reg, val);
	else
		*reg_ptr(reg) = (uint32_t)val;
}

/*
 * SDM vol. 3, 11.12.5 "x2APIC State Transitions": from disabled to x2APIC only by way of xAPIC. The mode is the boot
 * processor's; it may use its APIC while others start, so they write nothing down. False: this one came into another.
 */
static bool enable_mode(void)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
	enum lapic_mode mode = LAPIC_XAPIC;

	if (cpu_is_boot() && base & APIC_BASE_X2APIC)
		log_info("TZ-I009 the firmware enabled x2APIC: kept");
	if (!(base & APIC_BASE_ENABLE)) {
		base |= APIC_BASE_ENABLE;
		wrmsr(MSR_IA32_APIC_BASE, base);
	}
	if (base & APIC_BASE_X2APIC || cpu_features.has_x2apic) {
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_X2APIC);
		mode = LAPIC_X2APIC;
	}
	if (cpu_is_boot())
		lapic.mode = mode;
	return mode == lapic.mode;
}

/* The 8259 pair: moved away from the exception vectors, then masked; it may still answer with a spurious IRQ 7. */
static void mask_legacy_pic(void)
{
	static const struct { uint16_t port; uint8_t val; } steps[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 },		/* ICW1: edge, cascade, ICW4 follows */
		{ 0x21, 0x20 }, { 0xa1, 0x28 },		/* ICW2: vectors 20h and 28h */
		{ 0x21, 0x04 }, { 0xa1, 0x02 },		/* ICW3: the slave on line 2 */
		{ 0x21, 0x01 }, { 0xa1, 0x01 },		/* ICW4: 8086 mode */
		{ 0x21, 0xff }, { 0xa1, 0xff },		/* OCW1: all masked */
	};

	for (size_t i = 0; i < countof(steps); i++)
		outb(steps[i].port, steps[i].val);
}

/*
 * LINT0 is connected to the 8259: masked. LINT1 is connected to NMI on every processor: it stays open on
 * one of them, so that a memory error is reported, and once. The performance and thermal entries were set
 * up by the firmware: masked, because we have no handler for what they deliver.
 */
static void set_local_vectors(void)
{
	reg_write(APIC_LVT_LINT0, LVT_MASKED);
	reg_write(APIC_LVT_LINT1, cpu_is_boot() ? (uint32_t)APIC_NMI << LVT_MODE_SHIFT : LVT_MASKED);
	reg_write(APIC_LVT_ERROR, LVT_MASKED);
	reg_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	this_cpu()->wake_at = TIMER_NEVER;
	reg_write(APIC_TPR, 0);
	reg_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

static void timer_interrupt(uint8_t vector)
{
	(void)vector;
	if (lapic.hz)
		reg_write(APIC_INITIAL, 0);
	this_cpu()->wake_at = TIMER_NEVER;
	this_cpu()->attention |= ATTENTION_TIMER;
}

/* How fast does the APIC timer count? Against the TSC, read around it: the answer can only be too low. */
static uint64_t measure_window(void)
{
	uint64_t window = time_hz() / CALIBRATE_PER_SECOND, start, elapsed;
	uint32_t counted;

	reg_write(APIC_DIVIDE, DIVIDE_BY_16);
	start = time_now();
	reg_write(APIC_INITIAL, COUNT_MAX);
	do {
		counted = (uint32_t)COUNT_MAX - reg_read(APIC_CURRENT);
		elapsed = time_now() - start;
	} while (elapsed < window);
	reg_write(APIC_INITIAL, 0);
	return mul_div64(counted, time_hz(), elapsed);
}

/* The highest of a few windows: an SMI or a busy host of an emulator can only lower the result. */
static uint64_t measure_hz(void)
{
	uint64_t hz = 1;

	for (unsigned i = 0; i < CALIBRATE_WINDOWS; i++)
		hz = max_u64(hz, measure_window());
	return hz;
}

/*
 * Nothing comes before the first host_wake_at.
 *
 * The counter repeats until its interrupt has been taken: timer_interrupt stops it. An interrupt can be lost
 * where a processor is a program (arch/x86/svm/README.md). Nothing would arm a one-shot timer again, and a guest
 * that never exits would run for ever.
 */
static void set_timer_mode(void)
{
	if (!cpu_features.has_tsc_deadline) {
		reg_write(APIC_DIVIDE, DIVIDE_BY_16);
		reg_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
		return;
	}
	reg_write(APIC_LVT_TIMER, LVT_DEADLINE | VECTOR_TIMER);
	/* The mode must be in place before the first deadline is written (SDM vol. 3, 11.5.4.1). */
	__asm__ volatile("mfence" : : : "memory");
}

static void start_timer(void)
{
	cpu_set_interrupt(VECTOR_TIMER, timer_interrupt);
	if (!cpu_features.has_tsc_deadline)
		lapic.hz = measure_hz();
	set_timer_mode();
}

void host_lapic_init(void)
{
	mask_legacy_pic();
	(void)enable_mode();
	set_local_vectors();
	start_timer();
	log_debug("local APIC %u: %s, timer %s at %lu Hz", host_lapic_id(),
		  lapic.mode == LAPIC_X2APIC ? "x2APIC" : "xAPIC", lapic.hz ? "counter" : "TSC-deadline",
		  lapic.hz ? lapic.hz : time_hz());
}

/* All timers count at the boot processor's rate: they have one clock, and processors of another model are left out. */
bool host_lapic_init_other(void)
{
	if (!enable_mode())
		return false;
	set_local_vectors();
	set_timer_mode();
	return true;
}

bool host_lapic_reaches(uint32_t apic_id)
{
	return lapic.mode == LAPIC_X2APIC || apic_id <= XAPIC_ID_MAX;
}

static void wait_until_sent(void)
{
	for (uint32_t polls = 0; polls < SEND_POLLS_MAX && reg_read(APIC_ICR) & ICR_PENDING; polls++)
		cpu_pause();
}

void host_lapic_send(uint32_t apic_id, uint64_t command)
{
	cpu_fence();
	if (lapic.mode == LAPIC_X2APIC) {
		reg_write(APIC_ICR, join32(apic_id, command));
		return;
	}
	reg_write(APIC_ICR_HIGH, field_set(0, XAPIC_ID, apic_id));
	reg_write(APIC_ICR, command);	/* the low half sends */
	wait_until_sent();
}

uint32_t host_lapic_id(void)
{
	uint32_t id = reg_read(APIC_ID);

	return lapic.mode == LAPIC_X2APIC ? id : (uint32_t)field_get(id, XAPIC_ID);
}

void host_lapic_eoi(void)
{
	if (lapic.mode != LAPIC_OFF)
		reg_write(APIC_EOI, 0);
}

/*
 * Rounded up, so that the deadline has passed when the timer fires. A deadline beyond the counter's range
 * fires early; the scheduler then arms the timer again. One that is near or over fires a little late, because
 * the count is the time between two repetitions as well.
 */
static uint64_t timer_count(uint64_t tsc)
{
	uint64_t now = time_now(), count = tsc > now ? mul_div64(tsc - now, lapic.hz, time_hz()) : 0;

	return max_u64(min_u64(count, COUNT_MAX - 1), lapic.hz / REPEATS_PER_SECOND_MAX) + 1;
}

void host_wake_at(uint64_t tsc)
{
	struct cpu *cpu = this_cpu();

	if (cpu->wake_at <= tsc)
		return;
	cpu->wake_at = tsc;
	if (lapic.hz)
		reg_write(APIC_INITIAL, timer_count(tsc));
	else
		wrmsr(MSR_IA32_TSC_DEADLINE, tsc ? tsc : 1);	/* 0 would stop it */
}
