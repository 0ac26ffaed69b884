/* SPDX-License-Identifier: MIT */
/* hv/machine.c: the whole PC on its buses; where wires end, who gets the keyboard, how a guest ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/virt/npt.h"
#include "hv/dev/apic_bus.h"
#include "clock_fake.h"
#include "hv/console.h"
#include "hv/files.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/machine.h"
#include "hv/page.h"
#include "hv/processor.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "page_fake.h"
#include "port_fake.h"

#define IOAPIC_SET(f, index, value)				\
	do {							\
		out(&(f)->vm->mmio, IOAPIC_BASE, 4, (index));	\
		out(&(f)->vm->mmio, IOAPIC_BASE + 0x10, 4, (value)); \
	} while (0)

struct fixture {
	struct vm *vm;
	struct vcpu *vcpu;
	struct handoff_vm config;
	unsigned kicks, messages, maps, ports_added;
	struct ioapic_msg last;
	char text[64];
	size_t text_len;
	uint8_t file[4096];
};

static struct fixture fixture;

/* ---- The rest of the hypervisor ---- */

host_random_fn *host_random_source(unsigned n)
{
	(void)n;
	return NULL;
}

void host_pause(void) { }

uint64_t host_rtc_seconds(void)
{
	return 1735689598;
}

bool apic_bus_deliver(struct vm *vm, const struct ioapic_msg *msg)
{
	assert_ptr_equal(vm, fixture.vm);
	fixture.last = *msg;
	fixture.messages++;
	return true;
}

int npt_map(struct npt *npt, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned rights, bool is_uncached)
{
	assert_ptr_equal(npt, &fixture.vm->npt);
	assert_int_equal(gpa.raw, VIRTIO_MMIO_BASE + fixture.maps++ * VIRTIO_MMIO_SIZE);
	assert_int_equal(size, PAGE_SIZE);
	assert_int_equal(rights, NPT_R);	/* never writable: writes must exit */
	assert_false(is_uncached);
	assert_int_equal(*(uint32_t *)hpa_ptr(hpa), 0x74726976);
	return 0;
}

bool vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	const bool is_first = vm->end == VM_END_NONE;

	(void)fmt;
	if (is_first)
		vm->end = end;
	return is_first;
}

bool vm_kill(struct vm *vm, const char *fmt, ...)
{
	return vm_stop(vm, VM_END_CRASHED, "%s", fmt);
}

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	(void)vm;
	(void)fmt;
}

void vcpu_kick(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu, fixture.vcpu);
	fixture.kicks++;
}

void vcpu_request_lint0(struct vcpu *vcpu, bool is_high)
{
	lapic_set_lint0(&vcpu->lapic, is_high);
}

void console_port_add(struct console_port *port)
{
	assert_ptr_equal(port->vm, fixture.vm);
	fixture.ports_added++;
}

void console_port_remove(struct console_port *port)
{
	(void)port;
}

size_t console_port_write(void *port, const uint8_t *data, size_t len)
{
	(void)port;
	assert_true(fixture.text_len + len < sizeof(fixture.text));
	memcpy(fixture.text + fixture.text_len, data, len);
	fixture.text_len += len;
	return len;
}

void console_port_readable(void *port)
{
	(void)port;
}

static const struct console_port *obeyed[4];
static size_t obeyed_count;

void console_port_obey(struct console_port *port)
{
	obeyed[obeyed_count++] = port;
}

const void *handoff_file_data(uint32_t index, uint64_t *length)
{
	*length = index ? 0 : sizeof(fixture.file);
	return index ? NULL : fixture.file;
}

/* ---- Fixture ---- */

static void apic_kick(void *ctx)
{
	vcpu_kick(ctx);
}

static void apic_eoi(void *ctx, uint8_t vector)
{
	(void)ctx;
	(void)vector;
}

static const struct lapic_env apic_env = { .kick = apic_kick, .eoi = apic_eoi };

static void build(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->vm = calloc(1, sizeof(*f->vm));
	f->vcpu = calloc(1, sizeof(*f->vcpu));
	assert_non_null(f->vm);
	assert_non_null(f->vcpu);
	f->vm->machine = calloc(1, sizeof(*f->vm->machine));
	assert_non_null(f->vm->machine);
	f->vm->vcpus[0] = f->vcpu;
	f->vm->vcpu_count = 1;
	lapic_init(&f->vcpu->lapic, 0, &apic_env, f->vcpu, &f->vm->clock, &f->vcpu->tsc_offset);
	vm_clock_start(&f->vm->clock);
	f->vm->state = VM_RUNNING;
	f->vm->exit_code = -1;
	f->vm->config = &f->config;
	f->config.memory = 128 << 20;
	f->config.disk_count = 2;
	f->config.disks[0].mode = DISK_COW;
	f->config.disks[1].mode = DISK_READONLY;
	bus_init(&f->vm->pio, "ports");
	bus_init(&f->vm->mmio, "memory");
}

static int setup(void **state)
{
	build(&fixture);
	*state = &fixture;
	return machine_create(fixture.vm);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	machine_stop(f->vm);
	while (host_processor()->timers.first)
		timer_disarm(host_processor()->timers.first);
	while (!machine_release(f->vm))
		continue;
	free(f->vm->machine);
	free(f->vm);
	free(f->vcpu);
	return page_fake_used || timer_next() != TIMER_NEVER ? -1 : 0;
}

static void test_windows(void **state)
{
	static const unsigned device_ids[] = { 3, 4, 2, 2 };	/* console, entropy, two disks */
	struct fixture *f = *state;

	assert_int_equal(f->vm->machine->virtio_count, countof(device_ids));
	assert_int_equal(f->maps, countof(device_ids));
	assert_int_equal(f->ports_added, 3);
	for (unsigned n = 0; row_of(device_ids, n); n++) {
		uint64_t base = VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_SIZE;

		assert_int_equal(in(&f->vm->mmio, base, 4), 0x74726976);
		assert_int_equal(in(&f->vm->mmio, base + 8, 4), device_ids[n]);
	}
	assert_int_equal(in(&f->vm->mmio, VIRTIO_MMIO_BASE + 4 * VIRTIO_MMIO_SIZE, 4), 0xffffffff);
	assert_null(bus_find(&f->vm->mmio, LAPIC_BASE));
}

/* The table of the copy-on-write disk is zeroed in pieces; the other disk has none. */
static void test_prepare(void **state)
{
	struct fixture *f = *state;

	assert_int_equal((uintptr_t)f->vm->machine->disks[0].chunks[0] & 0xff, PAGE_FAKE_OLD);
	assert_false(machine_prepare(f->vm));
	assert_null(f->vm->machine->disks[0].chunks[0]);
	assert_true(machine_prepare(f->vm));
}

/* Every address of the map in machine.h answers. */
static void test_ports(void **state)
{
	static const uint16_t ports[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x92, 0xcf9, 0x3f8,
		0x3ff, 0x600, 0x603, 0x604, 0x605, 0x608, 0x60b, 0xe9, 0xf4, 0xf7,
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(ports, i); i++)
		assert_non_null(bus_find(&f->vm->pio, ports[i]));
	assert_null(bus_find(&f->vm->pio, 0xcf8));
	assert_null(bus_find(&f->vm->pio, 0x80));
	outb(&f->vm->pio, 0x70, 0x09);
	assert_int_equal(inb(&f->vm->pio, 0x71), 0x24);
}

/* While all is masked only the PIT may sleep: a write to a mask wakes no other device. */
static void test_only_the_timer_sleeps(void **state)
{
	const struct fixture *f = *state;
	const struct machine *machine = f->vm->machine;
	const struct irq_line *const others[] = {
		&machine->uart.irq, &machine->rtc.irq, &machine->i8042.irq, &machine->acpi_pm.sci,
	};

	outb(&f->vm->pio, 0x21, 0xff);
	outb(&f->vm->pio, 0xa1, 0xff);
	assert_int_equal(irq_heard_from(&machine->pit.irq), TIMER_NEVER);
	for (size_t i = 0; i < countof(others); i++) {
		irq_raise(others[i]);	/* latched: another rise would change nothing */
		assert_int_equal(irq_heard_from(others[i]), 0);
	}
	outb(&f->vm->pio, 0x21, 0xfe);
	assert_int_equal(irq_heard_from(&machine->pit.irq), 0);
}

/* So much time, in which the VM has a turn a hundred times a second. */
static void clock_advance_with_turns(const struct fixture *f, uint64_t ticks)
{
	for (uint64_t passed = 0; passed < ticks; passed += FAKE_HZ / 100) {
		clock_advance(FAKE_HZ / 100);
		while (work_is_pending(&f->vm->work))
			work_run_one(&f->vm->work);
	}
}

/* The timer: 8259 input 0, I/O APIC input 2; INT reaches LINT0 of the boot processor and wakes it. */
static void test_timer_wire(void **state)
{
	struct fixture *f = *state;

	clock_advance(FAKE_HZ);
	assert_false(f->vcpu->lapic.s.lint0_is_high);
	outb(&f->vm->pio, 0x21, 0xfe);
	clock_advance(FAKE_HZ / 10);
	assert_true(f->vcpu->lapic.s.lint0_is_high);
	assert_int_not_equal(f->kicks, 0);
	assert_int_equal(pic_ack(&f->vm->machine->pic), 8);
	assert_false(f->vcpu->lapic.s.lint0_is_high);
	assert_int_equal(f->messages, 0);
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x30);
	clock_advance(FAKE_HZ / 10);
	assert_int_not_equal(f->messages, 0);
	assert_int_equal(f->last.vector, 0x30);
	/* Masked at the 8259 alone it goes on. Masked at both it sleeps, and either one's mask wakes it. */
	outb(&f->vm->pio, 0x21, 0xff);
	f->messages = 0;
	clock_advance_with_turns(f, FAKE_HZ);
	assert_in_range(f->messages, 15, 25);
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x10030);
	clock_advance_with_turns(f, FAKE_HZ);
	assert_false(timer_is_armed(&f->vm->machine->pit.timer));
	f->messages = 0;
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x30);
	clock_advance_with_turns(f, FAKE_HZ);
	assert_in_range(f->messages, 15, 25);
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x10030);
	clock_advance_with_turns(f, FAKE_HZ);
	assert_false(timer_is_armed(&f->vm->machine->pit.timer));
	outb(&f->vm->pio, 0x21, 0xfe);
	assert_true(timer_is_armed(&f->vm->machine->pit.timer));
}

/* Behind a rise it sleeps until the VM has a turn: nobody can have answered before. */
static void test_timer_waits_for_a_turn(void **state)
{
	const struct fixture *f = *state;
	struct vm *vm = f->vm;
	const struct timer *timer = &vm->machine->pit.timer;

	assert_false(work_is_pending(&vm->work));
	outb(&vm->pio, 0x21, 0xfe);
	clock_advance(FAKE_HZ);
	assert_false(timer_is_armed(timer));
	assert_true(work_is_pending(&vm->work));
	clock_advance_with_turns(f, FAKE_HZ / 100);
	assert_true(timer_is_armed(timer));
	assert_in_range(timer->deadline, fake_now, fake_now + FAKE_HZ / 18);
	assert_int_equal(pic_ack(&vm->machine->pic), 8);
	outb(&vm->pio, 0x20, 0x20);
	clock_advance(FAKE_HZ / 10);
	assert_true(f->vcpu->lapic.s.lint0_is_high);
	assert_false(timer_is_armed(timer));
}

/* How often the VM asked for a turn. */
static unsigned turns;

static void ask_for_a_turn(void *ctx)
{
	assert_ptr_equal(ctx, fixture.vm);
	turns++;
}

static void listen_for_turns(struct vm *vm)
{
	vm->work.wake = ask_for_a_turn;
	vm->work.ctx = vm;
	turns = 0;
}

/* While all of the VM sleep and it wakes none, it asks for no turn; behind the next one the missed ticks are one. */
static void test_timer_lets_sleepers_sleep(void **state)
{
	const struct fixture *f = *state;
	struct vm *vm = f->vm;
	const struct timer *timer = &vm->machine->pit.timer;

	listen_for_turns(vm);
	f->vcpu->state = VCPU_HALTED;
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x30);
	outb(&vm->pio, 0x21, 0xfe);
	clock_advance(FAKE_HZ);
	assert_int_equal(turns, 0);
	assert_false(timer_is_armed(timer));
	assert_int_equal(pic_ack(&vm->machine->pic), 8);
	outb(&vm->pio, 0x20, 0x20);
	assert_false(f->vcpu->lapic.s.lint0_is_high);
	clock_advance_with_turns(f, FAKE_HZ / 100);	/* something else has woken it */
	assert_true(f->vcpu->lapic.s.lint0_is_high);
	assert_true(timer_is_armed(timer));
	f->vcpu->state = VCPU_READY;
	clock_advance(FAKE_HZ / 10);
	assert_int_equal(turns, 1);
	assert_false(timer_is_armed(timer));
}

/*
 * Of a VM that is spread, what the I/O APIC sends may be taken by one that has no turn at its home: the timer goes on all the
 * same, at a rate that is bounded. The 8259 sends to the first one alone.
 */
static void test_timer_of_a_spread_vm(void **state)
{
	static struct vcpu elsewhere;
	struct fixture *f = *state;
	struct vm *vm = f->vm;

	listen_for_turns(vm);
	elsewhere = (struct vcpu){ .state = VCPU_READY, .processor = (struct processor *)&elsewhere };
	f->vcpu->state = VCPU_HALTED;
	vm->vcpus[vm->vcpu_count++] = &elsewhere;
	vm->is_spread = true;
	outb(&vm->pio, 0x43, 0x34);
	outb(&vm->pio, 0x40, 60);
	outb(&vm->pio, 0x40, 0);			/* 20,000 Hz */
	outb(&vm->pio, 0x21, 0xfe);
	clock_advance(FAKE_HZ);
	assert_false(timer_is_armed(&vm->machine->pit.timer));
	IOAPIC_SET(f, 0x10 + 2 * 2, 0x30);
	f->messages = 0;
	clock_advance(FAKE_HZ);
	assert_in_range(f->messages, 1050, 1101);
	assert_int_equal(turns, 0);
	outb(&vm->pio, 0x40, 1193 & 0xff);
	outb(&vm->pio, 0x40, 1193 >> 8);		/* 1,000 Hz: all that guests ask for */
	f->messages = 0;
	clock_advance(FAKE_HZ);
	assert_in_range(f->messages, 999, 1001);
	elsewhere.processor = f->vcpu->processor;	/* one at home wants it: each turn is as good as one of the first */
	clock_advance(FAKE_HZ / 100);
	assert_int_equal(turns, 1);
}

static void test_isa_wires(void **state)
{
	struct fixture *f = *state;

	IOAPIC_SET(f, 0x10 + 2 * 4, 0x34);
	outb(&f->vm->pio, 0x3f9, 0x02);		/* COM1: THRE interrupt */
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->last.vector, 0x34);
	IOAPIC_SET(f, 0x10 + 2 * 4, 0x10034);
	IOAPIC_SET(f, 0x10 + 2 * 4, 0x34);	/* still up: the edge is over */
	assert_int_equal(f->messages, 1);
}

/* Window n has input 16 + n, whose edges wait while it is masked. */
static void test_virtio_wires(void **state)
{
	struct fixture *f = *state;
	struct machine *machine = f->vm->machine;

	for (unsigned n = 0; n < machine->virtio_count; n++) {
		IOAPIC_SET(f, 0x10 + 2 * (16 + n), 0x10050 + n);
		irq_raise(&machine->virtio[n].irq);
		assert_int_equal(f->messages, 3 * n);
		IOAPIC_SET(f, 0x10 + 2 * (16 + n), 0x50 + n);
		assert_int_equal(f->messages, 3 * n + 1);
		assert_int_equal(f->last.vector, 0x50 + n);
		assert_false(f->last.is_level);
		irq_lower(&machine->virtio[n].irq);
		irq_raise(&machine->virtio[n].irq);
		assert_int_equal(f->messages, 3 * n + 2);
		IOAPIC_SET(f, 0x10 + 2 * (16 + n), 0x8050 + n);	/* a driver that takes it for a level is served as well */
		assert_int_equal(f->messages, 3 * n + 3);
		assert_true(f->last.is_level);
	}
	assert_int_equal(machine->ioapic.kept, 0xff0000);
}

static void test_ends(void **state)
{
	static const struct { uint16_t port; unsigned size; uint32_t value; enum vm_end end; int code; } rows[] = {
		{ 0x64, 1, 0xfe, VM_END_REBOOT, -1 }, { 0xcf9, 1, 0x06, VM_END_REBOOT, -1 },
		{ 0x92, 1, 0x01, VM_END_REBOOT, -1 }, { 0x604, 2, 0x3400, VM_END_SHUTDOWN, -1 },
		{ 0xf4, 1, 0, VM_END_SHUTDOWN, 0 }, { 0xf4, 4, 42, VM_END_SHUTDOWN, 42 },
		{ 0xec, 4, 0x0e410010, VM_END_CRASHED, -1 },
		{ 0xf4, 4, 0xffffffff, VM_END_SHUTDOWN, 0x7fffffff }, { 0xcf8, 4, 0x80000600, VM_END_NONE, -1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < countof(rows); i++) {
		f->vm->end = VM_END_NONE;
		f->vm->exit_code = -1;
		out(&f->vm->pio, rows[i].port, rows[i].size, rows[i].value);
		if (f->vm->end != rows[i].end || f->vm->exit_code != rows[i].code)
			fail_msg("row %zu: end %u, code %d", i, f->vm->end, f->vm->exit_code);
	}
	out(&f->vm->pio, 0xf4, 1, 1);
	out(&f->vm->pio, 0xf4, 1, 2);		/* the first one counts */
	assert_int_equal(f->vm->exit_code, 1);
}

static void test_output(void **state)
{
	struct fixture *f = *state;

	outb(&f->vm->pio, 0x3f8, 'a');
	outb(&f->vm->pio, 0xe9, 'b');
	assert_int_equal(f->text_len, 2);
	assert_memory_equal(f->text, "ab", 2);
}

static void test_console_choice(void **state)
{
	static const struct { uint32_t console; const char *cmdline; bool is_virtio; } rows[] = {
		{ CONSOLE_AUTO, "", false }, { CONSOLE_AUTO, "console=hvc0", true },
		{ CONSOLE_AUTO, "quiet console=ttyS0 console=hvc0 root=/dev/vda", true },
		{ CONSOLE_AUTO, "console=hvc0 console=ttyS0,115200", false },
		{ CONSOLE_AUTO, "xconsole=hvc0", false }, { CONSOLE_AUTO, "console=", false },
		{ CONSOLE_AUTO, "console=ttyS0 tz.console=hvc0", true },	/* the shell is there, wherever the word stands */
		{ CONSOLE_AUTO, "tz.console=hvc0 console=ttyS0", true },
		{ CONSOLE_AUTO, "console=hvc0 tz.console=ttyS0", false },
		{ CONSOLE_SERIAL, "tz.console=hvc0", false },
		{ CONSOLE_VIRTIO, "console=ttyS0", true }, { CONSOLE_SERIAL, "console=hvc0", false },
	};

	void *ctx = &fixture;

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		build(&fixture);
		fixture.config.console = rows[i].console;
		strcpy(fixture.config.cmdline, rows[i].cmdline);
		assert_int_equal(machine_create(fixture.vm), 0);
		assert_int_equal(fixture.vm->machine->hvc0.input_wanted, rows[i].is_virtio);
		assert_int_equal(fixture.vm->machine->ttyS0.input_wanted, !rows[i].is_virtio);
		assert_int_equal(teardown(&ctx), 0);
	}
	build(&fixture);
	memset(fixture.config.cmdline, 'x', sizeof(fixture.config.cmdline));	/* never terminated */
	assert_int_equal(machine_create(fixture.vm), 0);
	assert_int_equal(teardown(&ctx), 0);
}

/* The terminal asks for a turn of the VM: it is looked at, and in that turn each of its ports obeys, once. */
static void test_terminal_asks(void **state)
{
	struct fixture *f = *state;
	const struct machine *machine = f->vm->machine;
	struct look look = { 0 };

	f->vm->work.ctx = f->vm;
	f->vm->state = VM_STARTING;
	assert_false(machine->ttyS0.ask(f->vm));	/* it has not started, and nobody looks yet */
	f->vm->look = &look;
	f->vm->state = VM_RUNNING;
	assert_true(machine->hvc0.ask(f->vm));
	assert_true(machine->e9.ask(f->vm));
	assert_true(look.is_posted);
	while (work_is_pending(&f->vm->work))
		work_run_one(&f->vm->work);
	assert_int_equal(obeyed_count, 3);
	assert_ptr_equal(obeyed[0], &machine->hvc0);
	assert_ptr_equal(obeyed[1], &machine->ttyS0);
	assert_ptr_equal(obeyed[2], &machine->e9);
	f->vm->end = VM_END_SHUTDOWN;
	assert_false(machine->ttyS0.ask(f->vm));
}

/* Half-built machines come apart: a missing file, no memory at any point, and one never begun. */
static void test_failures(void **state)
{
	void *ctx = &fixture;

	(void)state;
	build(&fixture);
	assert_int_equal(teardown(&ctx), 0);
	build(&fixture);
	fixture.config.disks[1].file = 7;
	assert_int_equal(machine_create(fixture.vm), -1);
	assert_int_equal(teardown(&ctx), 0);
	for (uint64_t pages = 0; pages < 6; pages++) {
		build(&fixture);
		fixture.config.disk_count = 1;
		page_fake_limit = pages * PAGE_SIZE;
		(void)!machine_create(fixture.vm);
		page_fake_limit = UINT64_MAX;
		assert_int_equal(teardown(&ctx), 0);
	}
}

/* ---- guest/machine.md ---- */

/* A line "| start | length | sizes | name | ..." is the next range of the bus, in the order of addresses. */
static void compare_row(const struct bus *bus, size_t *row, const char *line)
{
	unsigned long long start, length;
	char sizes[16], name[40];
	unsigned mask = 0;

	if (sscanf(line, "| %llx | %llx | %15[0-9 ]| %39[^|]|", &start, &length, sizes, name) != 4)
		return;
	for (const char *digit = sizes; *digit; digit++)
		mask |= *digit == ' ' ? 0U : (unsigned)(*digit - '0');
	name[strlen(name) - 1] = '\0';	/* the space before the bar */
	assert_in_range(*row, 0, bus->count - 1);
	assert_int_equal(bus->ranges[*row].start, start);
	assert_int_equal(bus->ranges[*row].length, length);
	assert_int_equal(bus->ranges[*row].sizes, mask);
	assert_string_equal(bus->ranges[*row].name, name);
	(*row)++;
}

/* The manual lists what a machine with one disk has, and nothing else. */
static void test_manual(void **state)
{
	void *ctx = &fixture;
	const struct bus *bus = NULL;
	size_t row = 0, rows = 0;
	char line[256];
	FILE *manual = fopen("guest/machine.md", "r");

	(void)state;
	assert_non_null(manual);
	build(&fixture);
	fixture.config.disk_count = 1;
	assert_int_equal(machine_create(fixture.vm), 0);
	while (fgets(line, sizeof(line), manual)) {
		if (!strncmp(line, "## ", 3)) {
			assert_true(!bus || row == bus->count);
			rows += row;
			row = 0;
			bus = !strcmp(line, "## Ports\n") ? &fixture.vm->pio :
			      !strcmp(line, "## Memory\n") ? &fixture.vm->mmio : NULL;
		} else if (bus) {
			compare_row(bus, &row, line);
		}
	}
	fclose(manual);
	assert_int_equal(rows, fixture.vm->pio.count + fixture.vm->mmio.count);
	assert_int_equal(teardown(&ctx), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_windows), TEST(test_prepare), TEST(test_ports), TEST(test_timer_wire), TEST(test_timer_waits_for_a_turn),
		TEST(test_timer_lets_sleepers_sleep), TEST(test_timer_of_a_spread_vm), TEST(test_isa_wires), TEST(test_virtio_wires),
		TEST(test_only_the_timer_sleeps), TEST(test_ends), TEST(test_output), TEST(test_terminal_asks),
		cmocka_unit_test(test_console_choice), cmocka_unit_test(test_failures), cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
