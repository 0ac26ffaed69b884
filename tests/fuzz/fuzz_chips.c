/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest among the chips of its PC, wired as hv/machine.c wires them: the input is a list of accesses to
 * ports and to both APICs, of jumps of the clock, of bytes that arrive, of interrupts taken, of saving and loading.
 * Whatever they are, no access leaves a device (sanitizers), no timer re-arms itself in the past (clock_advance
 * would not end), and the summaries that the quick paths rely on agree with the registers.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/virt/backend.h"
#include "clock_fake.h"
#include "hv/vm_state.h"
#include "pc_fake.h"
#include "port_fake.h"

#define STATE_MAX	4096U
#define OPS_MAX		2000U
#define SECOND_SHIFT	31U	/* a fake second is about 2^31 ticks */

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	(void)vcpu;
	(void)offset;
}

static const struct virt_backend fake_backend = { .set_tsc_offset = set_tsc_offset };
const struct virt_backend *virt = &fake_backend;

uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu)
{
	return vcpu->vm->clock.offset + vcpu->tsc_offset;
}

static struct fuzz {
	struct pc      pc;
	const uint8_t *data;	/* the rest of the input; zeros behind it */
	size_t         size;
} fuzz;

static uint32_t take(struct fuzz *f, unsigned bytes)
{
	uint32_t val = 0;

	for (; bytes && f->size; bytes--, f->size--)
		val = val << 8 | *f->data++;
	return val;
}

/* A register of some chip, or any port. */
static uint16_t take_port(struct fuzz *f)
{
	static const uint16_t ports[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x92, 0xcf9,
		0x3d4, 0x3d5, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x602, 0x604, 0x608, 0xe9,
		0xf4,
	};
	uint32_t which = take(f, 1);

	return which < sizeof(ports) / sizeof(ports[0]) ? ports[which] : (uint16_t)take(f, 2);
}

/* ---- Operations ---- */

static void op_out(struct fuzz *f)
{
	uint16_t port = take_port(f);

	outb(&f->pc.vm.pio, port, (uint8_t)take(f, 1));
}

static void op_wide(struct fuzz *f)
{
	uint16_t port = take_port(f);
	unsigned size = 2U << (take(f, 1) & 1);

	out(&f->pc.vm.pio, port, size, take(f, 4));
	(void)in(&f->pc.vm.pio, port, size);
}

static void op_in(struct fuzz *f)
{
	(void)inb(&f->pc.vm.pio, take_port(f));
}

static void op_ioapic(struct fuzz *f)
{
	struct bus *mmio = &f->pc.vm.mmio;

	out(mmio, IOAPIC_BASE, 4, take(f, 1));
	(void)in(mmio, IOAPIC_BASE + 0x10, 4);
	out(mmio, IOAPIC_BASE + 0x10, 4, take(f, 4));
}

static void op_ioapic_any(struct fuzz *f)
{
	uint64_t at = IOAPIC_BASE + take(f, 2) % IOAPIC_SIZE;

	out(&f->pc.vm.mmio, at, 1U << (take(f, 1) % 4), take(f, 4));
}

static void op_lapic_page(struct fuzz *f)
{
	uint64_t offset = take(f, 2) & 0xfff;

	(void)lapic_mmio_read(&f->pc.vcpu.lapic, offset, 4);
	lapic_mmio_write(&f->pc.vcpu.lapic, offset & 0xff0, 4, take(f, 4));
}

static void op_lapic_msr(struct fuzz *f)
{
	uint32_t msr = 0x800 + take(f, 1);
	uint64_t value = take(f, 4);

	(void)!lapic_msr_write(&f->pc.vcpu.lapic, msr, value);
	(void)!lapic_msr_read(&f->pc.vcpu.lapic, msr, &value);
}

static void op_lapic_base(struct fuzz *f)
{
	(void)!lapic_base_write(&f->pc.vcpu.lapic, (uint64_t)take(f, 4) << 8);
}

static void op_deadline(struct fuzz *f)
{
	int32_t distance = (int32_t)take(f, 4);

	lapic_deadline_write(&f->pc.vcpu.lapic, vm_now(&f->pc.vm) + f->pc.vcpu.tsc_offset + (uint64_t)distance);
}

static void op_tsc(struct fuzz *f)
{
	lapic_timer_settle(&f->pc.vcpu.lapic);
	f->pc.vcpu.tsc_offset += (uint64_t)take(f, 4) << 32;
	lapic_tsc_moved(&f->pc.vcpu.lapic);
}

/* Time in steps, as with a VM that runs: up to 16 s. */
static void op_advance(struct fuzz *f)
{
	clock_advance((uint64_t)take(f, 2) << (SECOND_SHIFT - 12));
}

/* Time at once, as with a VM that did not run: up to days. */
static void op_jump(struct fuzz *f)
{
	clock_jump((uint64_t)take(f, 3) << (SECOND_SHIFT - 6));
}

static void op_input(struct fuzz *f)
{
	uint8_t bytes[20];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	(void)uart_input(&f->pc.machine.uart, bytes, take(f, 1) % (sizeof(bytes) + 1));
}

static void op_room(struct fuzz *f)
{
	f->pc.room = take(f, 1);
	uart_writable(&f->pc.machine.uart);
}

static void op_interrupts(struct fuzz *f)
{
	(void)pc_take_interrupts(&f->pc);
}

/* Saved, one byte of it changed, loaded: refused, or made safe. */
static void op_state(struct fuzz *f)
{
	static uint8_t buffer[STATE_MAX];
	struct state_error error;
	size_t len;

	vm_stop_clock(&f->pc.vm);
	len = vm_save(&f->pc.vm, buffer, sizeof(buffer));
	assert(len);
	buffer[take(f, 2) % len] = (uint8_t)take(f, 1);
	if (vm_load(&f->pc.vm, buffer, len, &error))
		assert(!error.what);
	vm_run_clock(&f->pc.vm);
}

static void (*const ops[])(struct fuzz *) = {
	op_out, op_out, op_out, op_in, op_in, op_wide, op_ioapic, op_ioapic_any, op_lapic_page, op_lapic_msr,
	op_lapic_base, op_deadline, op_tsc, op_advance, op_advance, op_jump, op_input, op_room, op_interrupts, op_state,
};

/* ---- What must hold after each ---- */

static void check_words(const uint32_t *set, uint32_t words)
{
	for (unsigned i = 0; i < 8; i++)
		assert((words >> i & 1) == (set[i] != 0));
}

/* Only such a vector's end may be offered: nobody waits for it. */
static bool serves_edge(const struct lapic *lapic)
{
	for (unsigned vector = 256; vector-- > 0;)
		if (lapic->s.isr[vector / 32] >> vector % 32 & 1)
			return !(lapic->s.tmr[vector / 32] >> vector % 32 & 1);
	return false;
}

static void check(struct fuzz *f)
{
	const struct lapic *lapic = &f->pc.vcpu.lapic;
	const struct machine *m = &f->pc.machine;

	check_words(lapic->s.irr, lapic->irr_words);
	check_words(lapic->s.isr, lapic->isr_words);
	assert(!lapic->s.eoi_is_offered || serves_edge(lapic));
	assert(!(lapic->s.irr[0] & 0xffff) && !(lapic->s.isr[0] & 0xffff));
	assert(lapic->s.lint0_is_high == m->pic.is_high);
	assert(m->uart.s.rx.count <= UART_FIFO && m->uart.s.tx.count <= UART_FIFO);
	for (unsigned i = 0; i < 3; i++)
		assert(m->pit.s.counter[i].count);
	assert((m->uart.s.lsr & 1) == (m->uart.s.rx.count != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = &fuzz;

	fake_now = 1000;
	f->data = data;
	f->size = size;
	pc_build(&f->pc);
	f->pc.machine.ioapic.kept = UINT32_MAX;		/* the chips' lines stand for those of virtio windows as well */
	for (unsigned i = 0; i < OPS_MAX && f->size; i++) {
		ops[take(f, 1) % (sizeof(ops) / sizeof(ops[0]))](f);
		check(f);
	}
	pc_destroy(&f->pc);
	assert(timer_next() == TIMER_NEVER);
	return 0;
}
