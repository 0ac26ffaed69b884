/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/ap.c: other processors that come, come late, differ, or never answer. The messages reach them here, and
 * what they run is ap_main, until it halts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/cpu_init.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/others.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/tsc_agree.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "boot/handoff.h"
#include "cpu_fake.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "panic_fake.h"

#define LOW	0x10000ULL	/* free memory below 1 MiB */
#define PAGES	4U
#define HZ	1000000ULL	/* a tick is a microsecond */

void ap_main(struct cpu *cpu);

/* The start code and its parameters: one page's worth of bytes. */
__asm__(".data\n.globl ap_start, ap_start_params, ap_start_end\n"
	"ap_start: .fill 64, 1, 0x90\nap_start_params: .fill 64, 1, 0\nap_start_end:\n.text\n");

static struct cpu blocks[CPUS_MAX];
struct cpu *cpus[CPUS_MAX] = { &blocks[0] };
struct cpu_features cpu_features = { .has_nx = true };

/* What each processor does when it is sent for, by APIC ID. */
enum manner { SOUND, OTHER_TIME, OTHER_MODE, DEAD, SECOND_SIPI, DIFFERS, WRONG_ID, NO_VIRT, HANGS, STUBBORN };
static enum manner manners[8];
static unsigned inits[8], sipis[8], nmis[8], kicks;
static uint64_t now, sipi_page;
static jmp_buf halted;
static struct cpu *running;
static unsigned on, off;
static bool is_boot_lapic = true;

uint64_t time_now(void) { return now += 10; }
uint64_t time_hz(void) { return HZ; }
void paging_make_identity(uint64_t *top) { top[0] = 0x1234; }

struct cpu *gdt_create(uint32_t index)
{
	blocks[index] = (struct cpu){ .self = &blocks[index], .index = index, .stack_top = (uint8_t *)0x7000 };
	return &blocks[index];
}

/* The exchange itself is test_tsc_agree's. */
static unsigned answers;
static bool is_prepared;
void tsc_prepare(void) { is_prepared = true; }
uint64_t tsc_ask(void) { assert_true(is_prepared); return manners[running->apic_id] == OTHER_TIME ? 12345 : 0; }

static struct cpu *find(uint32_t apic_id);
static bool is_panicking;

bool tsc_answer(uint64_t ticks)
{
	assert_int_equal(ticks, 5 * HZ);
	answers++;
	if (is_panicking)
		find(1)->in_panic = true;	/* meanwhile: it reports, and answers no more */
	return !is_panicking;
}


void cpu_init_other(struct cpu *cpu) { assert_ptr_equal(cpu, running); }
const char *cpu_join(void) { return manners[running->apic_id] == DIFFERS ? "it differs" : NULL; }
bool host_lapic_init_other(void) { return manners[running->apic_id] != OTHER_MODE; }
bool host_lapic_reaches(uint32_t apic_id) { return apic_id < 255; }

uint32_t host_lapic_id(void)
{
	if (is_boot_lapic)
		return 0;
	return manners[running->apic_id] == WRONG_ID ? 99 : running->apic_id;
}

static bool supported(const char **why)
{
	*why = "no VT-x";
	return manners[running->apic_id] != NO_VIRT;
}
static void cpu_on(void) { on++; }
static void cpu_off(void) { off++; }
static const struct virt_backend backend = { .supported = supported, .cpu_on = cpu_on, .cpu_off = cpu_off };
const struct virt_backend *virt = &backend;

static void leave(void) { longjmp(halted, 1); }

static struct cpu *find(uint32_t apic_id)
{
	for (unsigned i = 1; i < CPUS_MAX; i++)
		if (cpus[i] && cpus[i]->apic_id == apic_id)
			return cpus[i];
	return NULL;
}

static void run(uint32_t apic_id)
{
	running = find(apic_id);
	is_boot_lapic = false;
	if (!setjmp(halted))
		ap_main(running);
	is_boot_lapic = true;
}

/* It halts, and the NMI comes: what follows is cpu_park's next look, until it halts again or stops. */
static void wake(uint32_t apic_id)
{
	struct cpu *cpu = find(apic_id);

	is_boot_lapic = false;
	running = cpu;
	if (!setjmp(halted))
		cpu_park(cpu);
	is_boot_lapic = true;
}

/* SDM vol. 3, 11.6.1: INIT is mode 5, SIPI 6 with the page as its vector, NMI 4; bit 14 asserts. */
void host_lapic_send(uint32_t apic_id, uint64_t command)
{
	const enum manner manner = manners[apic_id];

	assert_int_equal(command & 0x4000, 0x4000);
	switch (command >> 8 & 7) {
	case 5:
		inits[apic_id]++;
		return;
	case 6:
		sipi_page = (command & 0xff) << 12;
		sipis[apic_id]++;
		if (manner == HANGS)
			find(apic_id)->state = CPU_RUNNING;
		else if (manner != DEAD && (manner != SECOND_SIPI || sipis[apic_id] == 2))
			run(apic_id);
		return;
	default:
		assert_int_equal(command >> 8 & 7, 4);
		if (++nmis[apic_id] % 2 == 0 && manner != STUBBORN)	/* the first struck too early */
			wake(apic_id);
	}
}

static struct handoff handoff;

static int set_up(void **unused)
{
	static bool is_mapped;

	(void)unused;
	insn_fake_init();
	cpu_fake_install();
	insn_fake.halt = insn_fake.stop = leave;
	insn_fake.cr4 = CR4_PAE | CR4_OSFXSR;
	insn_fake_msr(MSR_EFER)->val = EFER_LME | EFER_LMA | EFER_NXE;
	insn_fake_msr(MSR_IA32_PAT)->val = 0x0007040600070406;
	memset(cpus + 1, 0, sizeof(cpus) - sizeof(cpus[0]));
	memset(manners, 0, sizeof(manners));
	memset(inits, 0, sizeof(inits));
	memset(sipis, 0, sizeof(sipis));
	memset(nmis, 0, sizeof(nmis));
	on = off = answers = 0;
	is_prepared = false;
	log_fake_init();
	handoff = (struct handoff){ .region_count = 1, .cpu_count = 3, .cpus = { { 0 }, { 1 }, { 2 } } };
	handoff.regions[0] = (struct handoff_region){ .start = LOW, .length = PAGES * PAGE_SIZE, .kind = REGION_FREE };
	if (!is_mapped)
		assert_true(mmap((void *)LOW, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)LOW);
	is_mapped = true;
	memset((void *)LOW, 0xa5, PAGES * PAGE_SIZE);
	return 0;
}

/* ---- They come ---- */

/* One that panics while clocks are compared reports: no INIT may strike it, and nothing goes on without it. */
static void test_panics_meanwhile(void **unused)
{
	(void)unused;
	manners[1] = HANGS;
	is_panicking = true;
	if (!setjmp(halted)) {
		host_start_others(&handoff);
		fail();
	}
	is_panicking = false;
	assert_int_equal(answers, 1);
	assert_int_equal(inits[1], 1);		/* that which began its start */
	assert_int_equal(inits[2], 0);
}

static void test_all_come(void **unused)
{
	(void)unused;
	host_start_others(&handoff);
	assert_int_equal(host_cpu_count(), 3);
	assert_int_equal(on, 2);
	assert_int_equal(answers, 2);
	assert_int_equal(inits[1], 1);
	assert_int_equal(sipis[1], 1);			/* it answered: no second */
	assert_int_equal(sipi_page % PAGE_SIZE, 0);
	assert_in_range(sipi_page, LOW, LOW + 2 * PAGE_SIZE);
	assert_int_equal(insn_fake_msr(MSR_IA32_PAT)->writes, 2);
	for (uint64_t at = sipi_page; at < sipi_page + 2 * PAGE_SIZE; at += 8)
		assert_int_equal(*(uint64_t *)at, 0);	/* nothing is left that maps memory executable at its own address */
	assert_int_equal(cpus[2]->apic_id, 2);
}

static void test_second_sipi(void **unused)
{
	(void)unused;
	manners[2] = SECOND_SIPI;
	host_start_others(&handoff);
	assert_int_equal(sipis[2], 2);
	assert_int_equal(host_cpu_count(), 3);
}

/* One that does not answer is sent an INIT, so that it cannot come later and take the next one's stack. */
static void test_left_out(void **unused)
{
	static const struct { enum manner manner; const char *why; unsigned inits; } rows[] = {
		{ DEAD, "it does not answer", 2 }, { HANGS, "it stopped on its way", 2 }, { DIFFERS, "it differs", 1 },
		{ WRONG_ID, "another APIC ID", 1 }, { NO_VIRT, "no VT-x", 1 },
		{ OTHER_MODE, "in another mode", 1 },
		{ OTHER_TIME, "its time-stamp counter differs from the boot processor's by 12345 ticks", 1 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		manners[1] = rows[i].manner;
		host_start_others(&handoff);
		assert_int_equal(host_cpu_count(), 2);	/* the next one comes all the same */
		assert_int_equal(inits[1], rows[i].inits);
		assert_non_null(strstr(log_fake_text, "TZ-W022 processor 1 (APIC ID 1) is left out"));
		assert_non_null(strstr(log_fake_text, rows[i].why));
		assert_int_equal(on, 1);
	}
}

static void test_not_reached(void **unused)
{
	(void)unused;
	handoff.cpus[1].apic_id = 300;
	host_start_others(&handoff);
	assert_non_null(strstr(log_fake_text, "only be reached with x2APIC"));
	assert_int_equal(host_cpu_count(), 2);
}

static void test_alone(void **unused)
{
	(void)unused;
	handoff.cpu_count = 1;
	host_start_others(&handoff);
	assert_int_equal(host_cpu_count(), 1);
	assert_int_equal(log_fake_lines, 0);
}

/* Two pages in one piece, below 640 KiB and not page 0. */
static void test_no_low_memory(void **unused)
{
	static const struct { uint64_t start, length; uint32_t kind; } rows[] = {
		{ LOW, PAGE_SIZE, REGION_FREE }, { LOW, 2 * PAGE_SIZE, REGION_ACPI }, { 0, 2 * PAGE_SIZE, REGION_FREE },
		{ 0xa0000, 0x10000, REGION_FREE }, { 0x9f000, 0x10000, REGION_FREE }, { LOW + 0x800, 2 * PAGE_SIZE, REGION_FREE },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		handoff.regions[0] = (struct handoff_region){ rows[i].start, rows[i].length, rows[i].kind, 0 };
		host_start_others(&handoff);
		assert_non_null(strstr(log_fake_text, "TZ-W023"));
		assert_int_equal(inits[1] + inits[2], 0);
	}
}

/* ---- They go ---- */

static void test_stop(void **unused)
{
	(void)unused;
	host_start_others(&handoff);
	manners[2] = STUBBORN;
	kicks = 0;
	assert_int_equal(host_stop_others(), 1);
	assert_int_equal(kicks, 0);			/* a processor that halts takes none */
	assert_int_equal(nmis[1], 2);			/* one that strikes between a look and its HLT is lost: again */
	assert_in_range(nmis[2], 2, 1000);		/* and not for ever */
	assert_int_equal(cpus[1]->state, CPU_GONE);
	assert_int_equal(host_cpu_count(), 1);
}

/* ---- They work ---- */

static unsigned runs;
static bool does_return;
static void work(void) { runs++; assert_int_equal(running->state, CPU_WORKING); }
static void work_on(void) { runs++; leave(); }		/* it is still there when we come back */

void host_kick(struct processor *processor, enum host_kick what)
{
	assert_int_equal(what, KICK_WAKE);
	kicks++;
	if (does_return)
		container_of(processor, struct cpu, processor)->state = CPU_ON;
}

static void test_run_others(void **unused)
{
	(void)unused;
	runs = 0;
	manners[2] = DIFFERS;
	handoff.cpu_count = 4;
	handoff.cpus[3].apic_id = 3;
	host_start_others(&handoff);
	host_run_others(work);
	assert_int_equal(runs, 2);			/* those that are on, once each */
	assert_int_equal(nmis[2], 0);
	assert_int_equal(cpus[1]->state, CPU_ON);
	assert_int_equal(host_cpu_count(), 3);
	host_run_others(work);
	assert_int_equal(runs, 4);
	assert_int_equal(host_stop_others(), 2);
	assert_int_equal(off, 2);
}

static void test_processor_at(void **unused)
{
	(void)unused;
	manners[1] = DEAD;
	host_start_others(&handoff);
	assert_ptr_equal(host_processor_at(0), &cpus[0]->processor);
	assert_ptr_equal(host_processor_at(1), &cpus[2]->processor);	/* those that are left out have no number */
	assert_int_equal(host_processor_number(host_processor_at(1)), 2);
	assert_null(host_processor_at(2));
	assert_null(host_processor_at(CPUS_MAX));
	host_run_others(work_on);
	assert_ptr_equal(host_processor_at(1), &cpus[2]->processor);
	assert_int_equal(host_cpu_count(), 2);
}

/*
 * One that idles in its work is woken, and leaves once it has returned; one that does not return is not
 * waited for for ever.
 */
static void test_stop_working(void **unused)
{
	uint64_t begin;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		set_up(NULL);
		kicks = 0;
		does_return = i == 0;
		host_start_others(&handoff);
		host_run_others(work_on);
		assert_int_equal(cpus[1]->state, CPU_WORKING);
		begin = now;
		assert_int_equal(host_stop_others(), does_return ? 2 : 0);
		assert_in_range(now - begin, 0, 11 * HZ);
		assert_int_equal(kicks, 2);
		assert_int_equal(off, does_return ? 2 : 0);
	}
}

/* It halts and no NMI wakes it: that cannot be, and to go on would be to wait for its VMs for ever. */
static void call_others(void) { host_run_others(work); }

static void test_never_wakes(void **unused)
{
	(void)unused;
	host_start_others(&handoff);
	manners[2] = STUBBORN;
	assert_true(panics(call_others));
	assert_in_range(nmis[2], 2, 10000);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_come), TEST(test_panics_meanwhile), TEST(test_second_sipi), TEST(test_left_out), TEST(test_not_reached), TEST(test_alone),
		TEST(test_no_low_memory), TEST(test_stop), TEST(test_run_others), TEST(test_processor_at),
		TEST(test_stop_working), TEST(test_never_wakes),
	};

	return cmocka_run_group_tests_name("ap", tests, NULL, NULL);
}
