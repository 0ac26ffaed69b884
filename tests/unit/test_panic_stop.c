/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/panic.c with others.c: one processor reports, all others stop first, and the report says
 * where they were.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* It remembers who reported: its file is included so that a test can let it forget. */
#include "arch/x86/host/panic.c"

#include "arch/x86/host/lapic.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "insn_fake.h"
#include "log_fake.h"

#define HZ	1000000ULL
#define COUNT	4U

static struct cpu blocks[COUNT];
struct cpu *cpus[CPUS_MAX];
static jmp_buf stopped;
static unsigned nmis[COUNT], offs;
static bool is_deaf[COUNT];
static uint64_t now;
static struct trap_frame frame = { .rip = 0x1234, .rbp = 0x88 };

uint64_t time_now(void) { return now += 10; }
uint64_t time_hz(void) { return HZ; }
void trap_log_registers(const struct trap_frame *of) { assert_ptr_equal(of, &frame); log_say("registers"); }
void trap_log_control(void) { log_say("control"); }
void panic_log_stack(uint64_t rip, uint64_t rbp) { log_say("  at %lx, %lx", rip, rbp); }
const char *exit_name(uint32_t reason) { return reason == 12 ? "HLT" : NULL; }
void machine_check_note(struct machine_check *note) { note->count = this_cpu()->index; }
void machine_check_log(const struct machine_check *note) { log_say("  checks %u", note->count); }
bool gdt_on_stack(uint64_t addr, uint64_t len) { return addr == 0x100 && len == 8; }
void host_power_off(uint64_t efi_reset_system) { assert_int_equal(efi_reset_system, 0); log_say("off"); longjmp(stopped, 2); }
void host_kick(struct processor *unused, enum host_kick what) { (void)unused; (void)what; fail(); }

static bool has_sink;
static unsigned consoles;
bool log_has_sink(void) { return has_sink; }
void console_init(const struct handoff_framebuffer *fb) { assert_int_equal(fb->base, 0); consoles++; }

static void cpu_off(void) { offs++; }
static const struct virt_backend backend = { .cpu_off = cpu_off };
const struct virt_backend *virt = &backend;

static void become(struct cpu *cpu)
{
	assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, cpu), 0);
}

/* On another processor: does it go on behind the call? */
static bool goes_on(struct cpu *cpu, void (*call)(void))
{
	struct cpu *self = this_cpu();
	jmp_buf outer;
	bool does;

	memcpy(outer, stopped, sizeof(outer));
	become(cpu);
	does = !setjmp(stopped);
	if (does)
		call();
	does = this_cpu()->self == cpu && !insn_fake.nmis;
	insn_fake.nmis = 0;
	become(self);
	memcpy(stopped, outer, sizeof(outer));
	return does;
}

static void stop(void)
{
	insn_fake.nmis = 1;	/* a mark for goes_on */
	longjmp(stopped, 1);
}

static void join(void) { panic_join(&frame); }
static void claim(void) { (void)!panic_claim(); }

/* SDM vol. 3, 11.6.1: an asserted NMI is 4400h. */
void host_lapic_send(uint32_t apic_id, uint64_t command)
{
	struct cpu *cpu = &blocks[apic_id - 10];

	assert_int_equal(command, 0x4400);
	nmis[cpu->index]++;
	if (!is_deaf[cpu->index])
		assert_false(goes_on(cpu, join));
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	insn_fake.stop = stop;
	log_fake_init();
	memset(cpus, 0, sizeof(cpus));
	memset(nmis, 0, sizeof(nmis));
	memset(is_deaf, 0, sizeof(is_deaf));
	reporter = NULL;
	offs = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i] = (struct cpu){ .self = &blocks[i], .index = i, .apic_id = 10 + i, .state = i ? CPU_ON : CPU_OFF };
		cpus[i] = &blocks[i];
	}
	become(cpus[0]);
	return 0;
}

static bool says(const char *text) { return strstr(log_fake_text, text); }

/* ---- Who stops ---- */

static void test_no_panic(void **unused)
{
	(void)unused;
	assert_true(goes_on(cpus[1], join));		/* an NMI that wakes, or the machine's own */
	assert_int_equal(offs, 0);
	assert_int_equal(cpus[1]->state, CPU_ON);
}

/* The others leave virtualization first: the firmware's reset may send them an INIT. */
static void test_others_stop(void **unused)
{
	struct vm vm = { .name = "guest" };
	struct vcpu vcpu = { .vm = &vm, .id = 2, .exit = { .rip = 0x7777, .reason = 12 } };

	(void)unused;
	blocks[2].state = CPU_LEFT_OUT;
	blocks[3].loaded = &vcpu;
	assert_true(panic_claim());
	assert_int_equal(nmis[0], 0);
	assert_int_equal(nmis[1], 1);
	assert_int_equal(nmis[2], 0);
	assert_int_equal(nmis[3], 1);
	assert_int_equal(offs, 2);
	assert_int_equal(cpus[1]->state, CPU_GONE);
	panic_log_machine(&frame);
	assert_true(says("processor 0 (APIC ID 10), no vCPU loaded\n  checks 0\nregisters\ncontrol\n"));
	assert_false(says("processor 1"));
	panic_log_others();
	assert_true(says("processor 1 (APIC ID 11), no vCPU loaded\n  checks 1\nregisters\n  at 1234, 88\n"));
	assert_false(says("processor 2"));
	assert_true(says("processor 3 (APIC ID 13), vCPU 2 of VM \"guest\" loaded, last exit HLT at rip 0x7777\n  checks 3\nregisters\n"));
	assert_false(says("does not answer"));
	join();						/* the reporter's own NMI, of the machine: the report goes on */
	assert_false(panic_claim());			/* and a panic of the report itself is the same one */
	assert_int_equal(nmis[1], 1);
}

/* Any processor may report: the boot processor stops like the others. */
static void test_boot_processor_stops(void **unused)
{
	(void)unused;
	become(cpus[2]);
	assert_true(panic_claim());
	assert_int_equal(nmis[0], 1);
	assert_int_equal(nmis[2], 0);
	assert_int_equal(offs, 3);
	panic_log_machine(NULL);
	assert_true(says("processor 2 (APIC ID 12), no vCPU loaded\n  checks 2\ncontrol\n"));
	panic_log_others();
	assert_true(says("processor 0 (APIC ID 10), no vCPU loaded\n  checks 0\nregisters\n  at 1234, 88\n"));
	assert_false(says("processor 2 (APIC ID 12) does"));
}

static void test_two_at_once(void **unused)
{
	(void)unused;
	assert_true(panic_claim());
	cpus[1]->state = CPU_ON;
	assert_false(goes_on(cpus[1], claim));
	assert_int_equal(log_fake_lines, 0);
	assert_int_equal(nmis[0], 0);
}

/* One that takes no NMI is named, and not waited for. */
static void test_deaf(void **unused)
{
	uint64_t begin = now;

	(void)unused;
	is_deaf[1] = is_deaf[3] = true;
	assert_true(panic_claim());
	assert_in_range(now - begin, HZ / 5, HZ / 5 + 1000);
	panic_log_others();
	assert_true(says("processor 1 (APIC ID 11) does not answer, no vCPU loaded\n"));
	assert_int_equal(cpus[2]->state, CPU_GONE);
}

/* It starts: its own APIC may not even be on. */
static void test_starting(void **unused)
{
	(void)unused;
	cpus[1]->state = CPU_RUNNING;
	become(cpus[1]);
	assert_true(panic_claim());
	assert_int_equal(nmis[0] + nmis[2] + nmis[3], 0);
	assert_true(cpus[1]->in_panic);
}

/* A panic that comes before the console: the serial port alone. */
static void test_reader(void **unused)
{
	(void)unused;
	consoles = 0;
	has_sink = true;
	panic_find_reader();
	assert_int_equal(consoles, 0);
	has_sink = false;
	panic_find_reader();
	assert_int_equal(consoles, 1);
}

/* ---- The end ---- */

static void test_stop(void **unused)
{
	(void)unused;
	if (!setjmp(stopped))
		panic_stop(true);
	assert_false(says("off"));
	if (!setjmp(stopped))
		panic_stop(false);
	assert_true(says("off"));
	assert_true(panic_on_stack(0x100, 8));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_panic), TEST(test_others_stop), TEST(test_boot_processor_stops), TEST(test_two_at_once), TEST(test_deaf),
		TEST(test_starting), TEST(test_reader), TEST(test_stop),
	};

	return cmocka_run_group_tests_name("panic_stop", tests, NULL, NULL);
}
