/* SPDX-License-Identifier: MIT */
/*
 * Driver for the machine's COM1, a 16550 (National Semiconductor PC16550D data sheet). Bytes to send wait in
 * a ring that the "transmitter empty" interrupt empties, 16 at a time; no caller waits for the serial line, which at
 * 115200 baud takes 87 microseconds a byte. Before serial_enable_interrupts bytes are sent by polling, so that
 * the text is out before anything else can go wrong.
 *
 * The ring begins small, in the image, and is replaced by a large one when interrupts go on (by then pages
 * can be had). Runs with interrupts off throughout. The interrupt handler may run on another processor: the
 * log's lock keeps it out. Those who write or drain hold that already, for the console's sake; to read and to
 * answer takes it here.
 */
#include "drivers/uart16550.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/lapic.h"
#include "hv/lib/bits.h"
#include "arch/x86/hw/insn.h"
#include "hv/addr.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/lib/uart.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/page.h"

#define MCR_READY	(MCR_DTR | MCR_OUT2)
#define LSR_ABSENT	0xffU	/* what an empty bus reads */

#define SMALL_RING	4096U
#define LARGE_RING_PAGES 64U			/* 256 KiB: several screens ahead of the wire */
#define INPUT_RING	4096U
#define INPUT_STOP	(INPUT_RING * 3 / 4)	/* with so many waiting RTS goes off, with half of them on again */
#define ANSWERS		16U
#define IRQ_ROUNDS	64U			/* a stuck interrupt line must not hold the machine */
#define POLLS_MAX	10000000U		/* a stuck transmitter neither */

static uint8_t small_ring[SMALL_RING];

/* head and tail count bytes for ever; the difference is what waits. */
static struct {
	bool     is_present, has_interrupts;
	uint8_t *ring;
	size_t   size, head, tail;
	uint8_t  input[INPUT_RING];
	size_t   input_head, input_tail;
	bool     is_full;		/* the receive interrupt is masked, bytes stay in the FIFO */
	bool     is_stopped;		/* RTS is off */
	uint8_t  answers[ANSWERS];	/* bytes that overtake the ring */
	size_t   answer_len;
} port = { .ring = small_ring, .size = SMALL_RING };

static uint8_t read_reg(enum uart_reg reg)
{
	return inb((uint16_t)(COM1_PORT + reg));
}

static void write_reg(enum uart_reg reg, uint8_t val)
{
	outb((uint16_t)(COM1_PORT + reg), val);
}

static uint8_t *slot(size_t at)
{
	return &port.ring[at & (port.size - 1)];	/* both sizes are powers of two: no division for each byte */
}

static size_t waiting(void)
{
	return port.head - port.tail;
}

static bool is_ready(void)
{
	return read_reg(UART_LSR) & LSR_THRE;
}

/* The transmitter is empty: give it a FIFO's worth; answers fit into one. */
static void send_some(void)
{
	size_t sent = port.answer_len;

	for (size_t i = 0; i < sent; i++)
		write_reg(UART_DATA, port.answers[i]);
	port.answer_len = 0;
	for (; sent < UART_FIFO && waiting() > 0; sent++)
		write_reg(UART_DATA, *slot(port.tail++));
}

static bool wait_for(uint64_t status)
{
	for (uint32_t polls = 0; polls < POLLS_MAX; polls++) {
		if (read_reg(UART_LSR) & status)
			return true;
		cpu_pause();
	}
	port.answer_len = 0;
	port.tail = port.head;		/* the port does not send: drop what waits, or each line would wait as long */
	return false;
}

static size_t arrived(void)
{
	return port.input_head - port.input_tail;
}

/* While our ring is full bytes stay in the FIFO, and RTS tells the other side, or the emulator, to wait. */
static void receive(void)
{
	while (arrived() < INPUT_RING && read_reg(UART_LSR) & LSR_DR)
		port.input[port.input_head++ % INPUT_RING] = read_reg(UART_DATA);
}

/* A change is rare, so the registers are written only then. */
static void control_flow(void)
{
	bool is_full = arrived() == INPUT_RING;
	bool is_stopped = arrived() >= (port.is_stopped ? INPUT_STOP / 2 : INPUT_STOP);

	if (is_stopped != port.is_stopped)
		write_reg(UART_MCR, is_stopped ? MCR_READY : MCR_READY | MCR_RTS);
	port.is_stopped = is_stopped;
	if (is_full != port.is_full && port.has_interrupts)
		write_reg(UART_IER, is_full ? IER_THRI : IER_RDI | IER_THRI);
	port.is_full = is_full;
}

/*
 * A port that is not there reads all ones and keeps no scratch value; early 8250s lack the scratch register
 * too and are not worth supporting.
 */
bool serial_init(void)
{
	write_reg(UART_SCR, UART_TEST);
	port.is_present = read_reg(UART_SCR) == UART_TEST && read_reg(UART_LSR) != LSR_ABSENT;
	if (!port.is_present)
		return false;
	write_reg(UART_IER, 0);
	write_reg(UART_LCR, LCR_DLAB);
	write_reg(UART_DATA, DIVISOR_115200);
	write_reg(UART_IER, 0);
	write_reg(UART_LCR, LCR_8N1);
	write_reg(UART_IIR_FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER);
	write_reg(UART_MCR, MCR_READY | MCR_RTS);
	return true;
}

static void grow_ring(void)
{
	uint8_t *large = page_alloc_contiguous(LARGE_RING_PAGES);

	if (!large)
		return;
	port.ring = large;
	port.size = LARGE_RING_PAGES * PAGE_SIZE;
	port.head = port.tail = 0;
}

void serial_enable_interrupts(void)
{
	if (!port.is_present || port.has_interrupts)
		return;
	serial_drain();
	grow_ring();
	cpu_set_interrupt(VECTOR_SERIAL, serial_interrupt);
	host_ioapic_route(COM1_IRQ, VECTOR_SERIAL);
	port.has_interrupts = true;
	write_reg(UART_IER, IER_RDI | IER_THRI);
	receive();		/* bytes that came before the interrupt was enabled raise no edge */
}

/* The line is edge-triggered: serve until IIR says "none", or it stays high and no further edge comes. */
void serial_interrupt(uint8_t vector)
{
	size_t before;

	(void)vector;
	log_hold();		/* another processor may be writing; this one is not: it took an interrupt */
	before = waiting();
	for (unsigned i = 0; i < IRQ_ROUNDS && !(read_reg(UART_IIR_FCR) & IIR_NONE); i++) {
		receive();
		if (is_ready())
			send_some();
		(void)read_reg(UART_MSR);
		control_flow();
	}
	if (arrived() > 0 || (before >= port.size / 2 && waiting() < port.size / 2))
		this_cpu()->attention |= ATTENTION_OTHER;
	log_release();
}

/* Start the transmitter when it sleeps: its next interrupt keeps it going. */
static void kick(void)
{
	if (is_ready())
		send_some();
}

size_t serial_write(const uint8_t *data, size_t len)
{
	bool was_empty = waiting() == 0;
	size_t taken = min_size(len, port.size - waiting());
	size_t to_the_end = min_size(taken, port.size - (port.head & (port.size - 1)));

	if (!port.is_present)
		return len;
	memcpy(slot(port.head), data, to_the_end);
	memcpy(port.ring, data + to_the_end, taken - to_the_end);
	port.head += taken;
	if (!port.has_interrupts)
		serial_drain();
	else if (was_empty)
		kick();
	return taken;
}

/* Without room it says nothing: a sender that waits for its answers never has so many questions open. */
void serial_answer(const uint8_t *data, size_t len)
{
	log_hold();
	if (port.is_present && len <= ANSWERS - port.answer_len) {
		for (size_t i = 0; i < len; i++)
			port.answers[port.answer_len++] = data[i];
		kick();
	}
	log_release();
}

size_t serial_size(void)
{
	return port.size;
}

size_t serial_room(void)
{
	return port.size - waiting();
}

void serial_drain(void)
{
	if (!port.is_present)
		return;
	while ((waiting() > 0 || port.answer_len > 0) && wait_for(LSR_THRE))
		send_some();
	(void)wait_for(LSR_TEMT);
}

/* The poll asks often, and seldom has anything come: it need not wait for the lock to find that out. Only it reads. */
bool serial_has_input(void)
{
	return !port.has_interrupts || __atomic_load_n(&port.input_head, __ATOMIC_RELAXED) != port.input_tail;
}

size_t serial_read(uint8_t *data, size_t len)
{
	size_t count = 0;

	if (!port.is_present || !serial_has_input())
		return 0;
	log_hold();
	if (!port.has_interrupts)
		receive();
	while (count < len && arrived() > 0)
		data[count++] = port.input[port.input_tail++ % INPUT_RING];
	if (port.is_full)
		receive();
	control_flow();
	log_release();
	return count;
}
