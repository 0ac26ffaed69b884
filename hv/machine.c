/* SPDX-License-Identifier: MIT */
/*
 * The small PC of machine.h, put together: which device is on which bus, where each wire ends, and what
 * happens to the VM when a device is told to reset, power off or exit. Nothing here is a device.
 *
 * Wires: ISA line n goes to input n of the 8259 pair and of the I/O APIC, except that line 0 (the timer) is
 * input 2 there, where the 8259 would be cascaded. Virtio window n has line 16 + n of the I/O APIC for
 * itself. The 8259's INT goes to LINT0 of the boot processor's local APIC.
 */
#include "hv/machine.h"

#include "hv/dev/apic_bus.h"
#include "hv/files.h"
#include "hv/host.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/look.h"
#include "hv/memory_map.h"
#include "hv/page.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define IRQ_KEYBOARD	1U
#define IRQ_RTC		8U
#define VIRTIO_GSIS	(((1U << VIRTIO_DEVS_MAX) - 1) << VIRTIO_GSI_BASE)
#define SPREAD_RATE_MAX	1100U		/* rises a second, where nobody knows whether they were taken: guests ask for 1,000 at most */
#define EXIT_CODE_MAX	0x7fffffffU	/* the VM's exit code is an int, and -1 means "none" */

_Static_assert(VIRTIO_GSI_BASE + VIRTIO_DEVS_MAX <= IOAPIC_PINS, "every window has a line");
_Static_assert(2 + HANDOFF_DISKS_MAX <= VIRTIO_DEVS_MAX, "console, entropy and every disk have a window");

/* ---- Wires ---- */

static void isa_line(void *ctx, unsigned pin, bool is_high)
{
	struct machine *machine = ctx;

	pic_set_line(&machine->pic, pin, is_high);
	ioapic_set_line(&machine->ioapic, pin == TIMER_ISA_IRQ ? TIMER_GSI : pin, is_high);
}

/*
 * Of the devices only the PIT goes on by itself when nobody serves it (the RTC waits until its flags are
 * read). So it is the one that sleeps while its interrupt is masked, and its line the only one that can say
 * so: nobody wakes others.
 *
 * It sleeps behind each rise as well, until the VM has a turn at its home: of a VM that lives on one processor no vCPU can
 * have answered before, and another rise would be lost in this one. Else a guest that never answers would interrupt its
 * neighbours' turns without end. If the rise finds all of them asleep, and has woken none, nobody is there to answer, and
 * no turn is asked for: the PIT goes on when something else has woken one.
 *
 * The 8259 asks the first vCPU alone, which lives at the VM's home. What the I/O APIC sends may be taken elsewhere, and
 * nobody there says so: so the PIT of a VM that is spread goes on some time behind a rise without a turn, too.
 */
static bool timer_is_open(const struct machine *machine, unsigned pin)
{
	return pic_hears(&machine->pic, pin) || ioapic_hears(&machine->ioapic, TIMER_GSI);
}

static uint64_t timer_heard_from(void *ctx, unsigned pin)
{
	const struct vm *vm = ctx;
	const struct machine *machine = vm->machine;

	if (!timer_is_open(machine, pin))
		return TIMER_NEVER;
	if (!machine->pit_goes_on.is_queued)
		return 0;
	return vm->is_spread && ioapic_hears(&machine->ioapic, TIMER_GSI) ? machine->pit_rose + time_hz() / SPREAD_RATE_MAX : TIMER_NEVER;
}

/* One of its vCPUs that live where its work is done wants that processor, or runs: it was awake, or was woken now. */
static bool is_awake_at_home(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->state == VCPU_READY && vm->vcpus[i]->processor == vm->vcpus[0]->processor)
			return true;
	return false;
}

static void timer_line(void *ctx, unsigned pin, bool is_high)
{
	struct vm *vm = ctx;
	struct machine *machine = vm->machine;

	isa_line(machine, pin, is_high);
	if (!is_high || !timer_is_open(machine, pin))
		return;
	machine->pit_rose = vm_clock_now(&vm->clock);
	if (is_awake_at_home(vm))
		work_add(&vm->work, &machine->pit_goes_on);
	else
		work_add_quietly(&vm->work, &machine->pit_goes_on);
}

static void wake_sleeper(void *ctx)
{
	struct machine *machine = ctx;

	pit_wake(&machine->pit);
}

static void gsi_line(void *ctx, unsigned pin, bool is_high)
{
	struct machine *machine = ctx;

	ioapic_set_line(&machine->ioapic, pin, is_high);
}

static void pic_output_line(void *ctx, unsigned pin, bool is_high)
{
	struct vm *vm = ctx;

	(void)pin;
	if (!vm->vcpus[0])
		return;
	vcpu_request_lint0(vm->vcpus[0], is_high);
}

static bool ioapic_message(void *ctx, const struct ioapic_msg *msg)
{
	return apic_bus_deliver(ctx, msg);
}

static struct irq_line isa(struct machine *machine, unsigned pin)
{
	return (struct irq_line){ .set = isa_line, .ctx = machine, .pin = pin };
}

/* ---- What the guest may do to its VM ---- */

static void guest_reset(void *vm)
{
	vm_stop(vm, VM_END_REBOOT, "reset by the guest");
}

static void guest_power_off(void *vm)
{
	vm_stop(vm, VM_END_SHUTDOWN, "powered off by the guest");
}

void machine_exit(struct vm *vm, const char *door, uint32_t code)
{
	const int exit_code = (int)(code & EXIT_CODE_MAX);

	if (vm_stop(vm, VM_END_SHUTDOWN, "%s, code %d", door, exit_code))
		vm->exit_code = exit_code;
}

static void guest_exit(void *vm, uint32_t code)
{
	machine_exit(vm, "exit device", code);
}

static void guest_called_bios(void *ctx, const char *why)
{
	vm_kill(ctx, "%s", why);
}

/* ---- Consoles ---- */

/* What the last word that begins with `key` names; NULL: there is no such word. */
static const char *last_value(const char *cmdline, const char *key)
{
	const char *value = NULL;

	for (const char *word = cmdline; *word; word++)
		if ((word == cmdline || word[-1] == ' ') && !strncmp(word, key, strlen(key)))
			value = word + strlen(key);
	return value;
}

/*
 * Linux takes the last console= as /dev/console, the one a user types into. Our own initramfs starts its shell
 * elsewhere if tz.console= says so (guest/linux/session).
 */
static bool cmdline_wants_virtio(const char *cmdline)
{
	const char *shell = last_value(cmdline, "tz.console=");
	const char *console = shell ? shell : last_value(cmdline, "console=");

	return console && !strncmp(console, "hvc", 3);
}

static bool input_goes_to_virtio(const struct handoff_vm *config)
{
	char cmdline[HANDOFF_CMDLINE_MAX];

	if (config->console != CONSOLE_AUTO)
		return config->console == CONSOLE_VIRTIO;
	memcpy(cmdline, config->cmdline, sizeof(cmdline));
	cmdline[sizeof(cmdline) - 1] = '\0';
	return cmdline_wants_virtio(cmdline);
}

static struct char_back port_back(struct console_port *port)
{
	return (struct char_back){ .write = console_port_write, .readable = console_port_readable, .ctx = port };
}

/* The terminal, which another processor may poll, has left word at a port. The VM obeys in a turn of its own. */
static bool ask_for_turn(struct vm *vm)
{
	work_ask(&vm->work);
	look_post(vm->look);
	return vm_is_alive(vm);
}

static void obey_terminal(void *ctx)
{
	struct machine *machine = ((struct vm *)ctx)->machine;

	console_port_obey(&machine->hvc0);
	console_port_obey(&machine->ttyS0);
	console_port_obey(&machine->e9);
}

static void add_consoles(struct vm *vm)
{
	struct machine *machine = vm->machine;
	bool is_virtio = input_goes_to_virtio(vm->config);

	machine->hvc0 = (struct console_port){
		.vm = vm, .vm_name = vm->name, .label = "hvc0", .input_wanted = is_virtio, .ask = ask_for_turn,
		.front = virtio_console_front(&machine->console),
	};
	machine->ttyS0 = (struct console_port){
		.vm = vm, .vm_name = vm->name, .label = "ttyS0", .input_wanted = !is_virtio, .ask = ask_for_turn,
		.front = { .input = uart_input, .writable = uart_writable, .dev = &machine->uart },
	};
	machine->e9 = (struct console_port){ .vm = vm, .vm_name = vm->name, .label = "e9", .ask = ask_for_turn };
	vm->work.answer = obey_terminal;
	console_port_add(&machine->hvc0);
	console_port_add(&machine->ttyS0);
	console_port_add(&machine->e9);
}

/* ---- The chips of a PC ---- */

static void create_chips(struct vm *vm)
{
	struct machine *machine = vm->machine;
	struct irq_line int_output = { .set = pic_output_line, .ctx = vm };
	struct irq_line timer = { timer_line, vm, TIMER_ISA_IRQ, timer_heard_from }, keyboard = isa(machine, IRQ_KEYBOARD);
	struct irq_line com1 = isa(machine, COM1_IRQ), rtc = isa(machine, IRQ_RTC), sci = isa(machine, ACPI_SCI_IRQ);
	struct char_back serial = port_back(&machine->ttyS0), debug = port_back(&machine->e9);
	uint64_t low = min_u64(vm->config->memory, MEMORY_DEVICE_HOLE);

	/* The interrupt controllers first: the other chips set the levels of their lines when they are initialized. */
	pic_init(&machine->pic, &int_output);
	ioapic_init(&machine->ioapic, ioapic_message, vm);
	machine->ioapic.kept = VIRTIO_GSIS;
	machine->pit_goes_on = (struct work){ .run = wake_sleeper, .ctx = machine };
	pit_init(&machine->pit, &vm->clock, &timer);
	machine->pic.sleeper = machine->ioapic.sleeper = (struct irq_sleeper){ wake_sleeper, machine };
	rtc_init(&machine->rtc, host_rtc_seconds(), low, vm->config->memory - low, &vm->clock, &rtc);
	uart_init(&machine->uart, &serial, &com1);
	i8042_init(&machine->i8042, &keyboard, guest_reset, vm);
	acpi_pm_init(&machine->acpi_pm, &vm->clock, &sci, guest_power_off, vm);
	debugcon_init(&machine->debugcon, &debug, guest_exit, vm);
	crtc_init(&machine->crtc);
	bios_trap_init(&machine->bios_trap, guest_called_bios, vm);
}

static int map_chips(struct vm *vm)
{
	struct machine *machine = vm->machine;

	if (pic_map(&machine->pic, &vm->pio) || ioapic_map(&machine->ioapic, &vm->mmio) ||
	    pit_map(&machine->pit, &vm->pio) || rtc_map(&machine->rtc, &vm->pio) ||
	    uart_map(&machine->uart, &vm->pio, COM1_PORT) || i8042_map(&machine->i8042, &vm->pio) ||
	    acpi_pm_map(&machine->acpi_pm, &vm->pio) || debugcon_map(&machine->debugcon, &vm->pio) ||
	    crtc_map(&machine->crtc, &vm->pio) || bios_trap_map(&machine->bios_trap, &vm->pio)) {
		vm_log(vm, "two devices want the same address");
		return -1;
	}
	return 0;
}

/* ---- Virtio ---- */

/*
 * The window's page is mapped into the guest read-only: its reads are plain loads, only its writes come to
 * us. Without memory for the page, reads come to us too and everything still works.
 */
static int map_shadow(struct vm *vm, uint32_t n, uint64_t start)
{
	struct machine *machine = vm->machine;

	machine->shadow[n] = page_alloc();
	if (!machine->shadow[n])
		return 0;
	virtio_mmio_page(&machine->virtio[n], machine->shadow[n]);
	return npt_map(&vm->npt, gpa(start), ptr_hpa(machine->shadow[n]), PAGE_SIZE, NPT_R, false);
}

static int add_virtio(struct vm *vm, struct virtio_dev *dev)
{
	struct machine *machine = vm->machine;
	uint32_t n = machine->virtio_count;
	struct irq_line irq = { .set = gsi_line, .ctx = machine, .pin = VIRTIO_GSI_BASE + n };
	struct bus_range range = {
		.name = dev->name, .start = VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_SIZE, .length = VIRTIO_MMIO_SIZE,
		.sizes = VIRTIO_MMIO_SIZES, .read = virtio_mmio_read, .write = virtio_mmio_write,
		.dev = &machine->virtio[n],
	};

	if (n == VIRTIO_DEVS_MAX || bus_add(&vm->mmio, &range))
		return -1;
	virtio_mmio_init(&machine->virtio[n], dev, &vm->gpm, irq, &vm->work);
	machine->virtio_count++;
	return map_shadow(vm, n, range.start);
}

static int add_disk(struct vm *vm, uint32_t n)
{
	const struct handoff_disk *config = &vm->config->disks[n];
	struct machine *machine = vm->machine;
	uint64_t length;
	const void *file = handoff_file_data(config->file, &length);

	if (!file || memdisk_init(&machine->disks[n], hpa_ptr(ptr_hpa(file)), length, config)) {
		vm_log(vm, "disk%u: %s", n, file ? "the file is empty or larger than 16 GiB" : "there is no such file");
		return -1;
	}
	virtio_blk_init(&machine->blk[n], &machine->disks[n].block);
	return add_virtio(vm, &machine->blk[n].dev);
}

static int create_virtio(struct vm *vm)
{
	struct machine *machine = vm->machine;
	struct char_back back = port_back(&machine->hvc0);

	virtio_console_init(&machine->console, &back);
	virtio_rng_init(&machine->rng, NULL, NULL);
	if (add_virtio(vm, &machine->console.dev) || add_virtio(vm, &machine->rng.dev))
		return -1;
	for (uint32_t n = 0; n < min_size(vm->config->disk_count, HANDOFF_DISKS_MAX); n++)
		if (add_disk(vm, n))
			return -1;
	return 0;
}

int machine_create(struct vm *vm)
{
	memset(vm->machine, 0, sizeof(*vm->machine));
	create_chips(vm);
	if (map_chips(vm) || create_virtio(vm))
		return -1;
	add_consoles(vm);
	return 0;
}

bool machine_prepare(struct vm *vm)
{
	for (uint32_t n = 0; n < HANDOFF_DISKS_MAX; n++)
		if (!memdisk_prepare(&vm->machine->disks[n]))
			return false;
	return true;
}

void machine_stop(struct vm *vm)
{
	struct machine *machine = vm->machine;

	console_port_remove(&machine->hvc0);
	console_port_remove(&machine->ttyS0);
	console_port_remove(&machine->e9);
}

bool machine_release(struct vm *vm)
{
	struct machine *machine = vm->machine;

	for (uint32_t n = 0; n < HANDOFF_DISKS_MAX; n++)
		if (!memdisk_release(&machine->disks[n]))
			return false;
	for (uint32_t n = 0; n < VIRTIO_DEVS_MAX; n++) {
		page_free(machine->shadow[n]);
		machine->shadow[n] = NULL;
	}
	return true;
}
