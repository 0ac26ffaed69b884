/* SPDX-License-Identifier: MIT */
/*
 * 16550A (uart16550.h). Everything the guest polls is kept ready in a byte: LSR is updated when something
 * changes and only read here, IIR is computed from four conditions.
 */
#include "hv/dev/uart16550.h"

#include "hv/lib/util.h"
#include "hv/state.h"

#define MSR_CONNECTED	(MSR_CTS | MSR_DSR | MSR_DCD)	/* somebody is always there */

/* ---- FIFOs ---- */

static void fifo_put(struct uart_fifo *fifo, uint8_t byte)
{
	fifo->data[(fifo->head + fifo->count++) % UART_FIFO] = byte;
}

static uint8_t fifo_get(struct uart_fifo *fifo)
{
	uint8_t byte = fifo->data[fifo->head];

	fifo->head = (fifo->head + 1) % UART_FIFO;
	fifo->count--;
	return byte;
}

/* Without FIFOs there is one holding register each way. */
static unsigned fifo_depth(const struct uart16550 *uart)
{
	return uart->s.fcr & FCR_ENABLE ? UART_FIFO : 1;
}

/* ---- Interrupts ---- */

/* The pending source of highest priority, as IIR names it. */
static uint8_t uart_source(const struct uart16550 *uart)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };

	if ((uart->s.ier & IER_RLSI) && (uart->s.lsr & LSR_OE))
		return IIR_RLSI;
	if ((uart->s.ier & IER_RDI) && uart->s.rx.count) {
		/*
		 * Below the trigger level a chip waits for four character times before it interrupts; here
		 * it does so at once.
		 */
		if (uart->s.fcr & FCR_ENABLE && uart->s.rx.count < triggers[uart->s.fcr >> FCR_TRIGGER_SHIFT])
			return IIR_TIMEOUT;
		return IIR_RDI;
	}
	if ((uart->s.ier & IER_THRI) && uart->s.thr_pending)
		return IIR_THRI;
	if ((uart->s.ier & IER_MSI) && (uart->s.msr & ~MSR_LEVELS))
		return IIR_MSI;
	return IIR_NONE;
}

static void uart_update_irq(struct uart16550 *uart)
{
	bool is_high = uart_source(uart) != IIR_NONE;

	if (is_high == uart->irq_is_high)
		return;
	uart->irq_is_high = is_high;
	irq_set(&uart->irq, is_high);
}

/* ---- Bytes ---- */

static void uart_receive(struct uart16550 *uart, uint8_t byte)
{
	if (uart->s.rx.count >= fifo_depth(uart))
		uart->s.lsr |= LSR_OE;
	else
		fifo_put(&uart->s.rx, byte);
	uart->s.lsr |= LSR_DR;
}

/* Hand on what the back end takes; THRE comes back when the transmitter is empty. */
static void uart_drain(struct uart16550 *uart)
{
	while (uart->s.tx.count) {
		struct uart_fifo *tx = &uart->s.tx;
		size_t run = min_size(tx->count, UART_FIFO - tx->head);
		size_t taken = run;

		if (uart->back.write)
			taken = min_size(uart->back.write(uart->back.ctx, &tx->data[tx->head], run), run);
		tx->head = (uint8_t)((tx->head + taken) % UART_FIFO);
		tx->count = (uint8_t)(tx->count - taken);
		if (taken < run)
			return;
	}
	if (!(uart->s.lsr & LSR_THRE)) {
		uart->s.lsr |= LSR_THRE | LSR_TEMT;
		uart->s.thr_pending = true;
	}
}

static void uart_transmit(struct uart16550 *uart, uint8_t byte)
{
	uart->s.thr_pending = false;
	if (uart->s.mcr & MCR_LOOP) {
		uart_receive(uart, byte);
		uart->s.thr_pending = uart->s.lsr & LSR_THRE;
		return;
	}
	if (uart->s.tx.count >= fifo_depth(uart))
		return;		/* the driver did not wait for THRE: lost, as in the chip */
	fifo_put(&uart->s.tx, byte);
	uart->s.lsr &= (uint8_t)~(LSR_THRE | LSR_TEMT);
	uart_drain(uart);
}

static uint8_t uart_take(struct uart16550 *uart)
{
	uint8_t byte = 0;

	if (uart->s.rx.count)
		byte = fifo_get(&uart->s.rx);
	if (!uart->s.rx.count)
		uart->s.lsr &= (uint8_t)~LSR_DR;
	return byte;
}

/* Tell the back end that input is possible again, once per refusal. */
static void uart_ask_input(struct uart16550 *uart)
{
	if (!uart->s.was_refused || (uart->s.mcr & MCR_LOOP) || uart->s.rx.count >= fifo_depth(uart))
		return;
	uart->s.was_refused = false;
	if (uart->back.readable)
		uart->back.readable(uart->back.ctx);
}

size_t uart_input(void *dev, const uint8_t *data, size_t len)
{
	struct uart16550 *uart = dev;
	size_t taken = 0;

	while (taken < len && !(uart->s.mcr & MCR_LOOP) && uart->s.rx.count < fifo_depth(uart))
		uart_receive(uart, data[taken++]);
	if (taken < len)
		uart->s.was_refused = true;
	uart_update_irq(uart);
	return taken;
}

void uart_writable(void *dev)
{
	struct uart16550 *uart = dev;

	if (!uart->s.tx.count)
		return;
	uart_drain(uart);
	uart_update_irq(uart);
}

/* ---- Registers ---- */

static void fifo_clear_rx(struct uart16550 *uart)
{
	uart->s.rx.count = 0;
	uart->s.lsr &= (uint8_t)~LSR_DR;
}

/* Drop the bytes that are in the transmit FIFO: the driver has reset it. */
static void fifo_clear_tx(struct uart16550 *uart)
{
	uart->s.tx.count = 0;
	uart->s.lsr |= LSR_THRE | LSR_TEMT;
	uart->s.thr_pending = true;
}

static void uart_write_fcr(struct uart16550 *uart, uint8_t value)
{
	bool has_changed = (value ^ uart->s.fcr) & FCR_ENABLE;

	if (has_changed || (value & FCR_CLEAR_RX))
		fifo_clear_rx(uart);
	if ((has_changed && uart->s.tx.count) || (value & FCR_CLEAR_TX))
		fifo_clear_tx(uart);
	uart->s.fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
}

/* In loop-back the modem inputs see the modem outputs (data sheet, "Modem Control Register", bit 4). */
static uint8_t uart_modem_levels(const struct uart16550 *uart)
{
	if (!(uart->s.mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((uart->s.mcr & MCR_DTR ? MSR_DSR : 0) | (uart->s.mcr & MCR_RTS ? MSR_CTS : 0) |
			 (uart->s.mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->s.mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void uart_write_mcr(struct uart16550 *uart, uint8_t value)
{
	uint8_t changed, levels;

	uart->s.mcr = value & MCR_WRITABLE;
	levels = uart_modem_levels(uart);
	changed = (uint8_t)((uart->s.msr ^ levels) & MSR_LEVELS);
	if (levels & MSR_RI)
		changed &= (uint8_t)~MSR_RI;	/* RI reports its trailing edge only */
	uart->s.msr = (uint8_t)(levels | (uart->s.msr & ~MSR_LEVELS) | changed >> MSR_DELTA_SHIFT);
}

static void uart_write_ier(struct uart16550 *uart, uint8_t value)
{
	uint8_t before = uart->s.ier;

	uart->s.ier = value & IER_WRITABLE;
	/* Linux tests for UARTs that forget this and falls back to a timer for them. */
	if ((uart->s.ier & ~before & IER_THRI) && (uart->s.lsr & LSR_THRE))
		uart->s.thr_pending = true;
}

static uint8_t uart_read_iir(struct uart16550 *uart)
{
	uint8_t source = uart_source(uart);

	if (source == IIR_THRI)
		uart->s.thr_pending = false;
	return (uint8_t)(source | (uart->s.fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t uart_read_register(struct uart16550 *uart, unsigned reg)
{
	bool has_divisor = uart->s.lcr & LCR_DLAB;
	uint8_t value;

	switch (reg) {
	case UART_DATA:
		return has_divisor ? uart->s.dll : uart_take(uart);
	case UART_IER:
		return has_divisor ? uart->s.dlm : uart->s.ier;
	case UART_IIR_FCR:
		return uart_read_iir(uart);
	case UART_LCR:
		return uart->s.lcr;
	case UART_MCR:
		return uart->s.mcr;
	case UART_MSR:
		value = uart->s.msr;
		uart->s.msr &= MSR_LEVELS;
		return value;
	case UART_SCR:
		return uart->s.scr;
	default:
		value = uart->s.lsr;
		uart->s.lsr &= (uint8_t)~LSR_OE;
		return value;
	}
}

__attribute__((noinline))
static uint64_t uart_read_slow(struct uart16550 *uart, uint64_t offset)
{
	uint8_t value = uart_read_register(uart, (unsigned)offset);

	if (offset == UART_DATA)
		uart_ask_input(uart);
	uart_update_irq(uart);
	return value;
}

static uint64_t uart_read(void *dev, uint64_t offset, unsigned size)
{
	struct uart16550 *uart = dev;

	(void)size;
	/* A driver polls LSR: no side effect without an error to clear. */
	if (offset == UART_LSR && !(uart->s.lsr & LSR_OE))
		return uart->s.lsr;
	return uart_read_slow(uart, offset);
}

static void uart_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct uart16550 *uart = dev;
	bool has_divisor = uart->s.lcr & LCR_DLAB;
	uint8_t byte = (uint8_t)value;

	(void)size;
	switch (offset) {
	case UART_DATA:
		if (has_divisor)
			uart->s.dll = byte;
		else
			uart_transmit(uart, byte);
		break;
	case UART_IER:
		if (has_divisor)
			uart->s.dlm = byte;
		else
			uart_write_ier(uart, byte);
		break;
	case UART_IIR_FCR:
		uart_write_fcr(uart, byte);
		uart_ask_input(uart);
		break;
	case UART_LCR:
		uart->s.lcr = byte;
		break;
	case UART_MCR:
		uart_write_mcr(uart, byte);
		uart_ask_input(uart);
		break;
	case UART_SCR:
		uart->s.scr = byte;
		break;
	default:	/* LSR and MSR are read-only outside factory tests */
		break;
	}
	uart_update_irq(uart);
}

int uart_map(struct uart16550 *uart, struct bus *pio, uint16_t base)
{
	struct bus_range range = {
		.name = "uart16550", .start = base, .length = UART_REGS, .sizes = BUS_SIZE_1,
		.read = uart_read, .write = uart_write, .dev = uart,
	};

	return bus_add(pio, &range);
}

void uart_reset(struct uart16550 *uart)
{
	uart->s = (struct uart16550_state){ .lsr = LSR_THRE | LSR_TEMT, .msr = MSR_CONNECTED, .dll = DIVISOR_9600 };
	uart->irq_is_high = false;
	irq_set(&uart->irq, false);
}

static void fifo_after_load(struct uart_fifo *fifo)
{
	fifo->head %= UART_FIFO;
	fifo->count = fifo->count > UART_FIFO ? UART_FIFO : fifo->count;
}

void uart_after_load(void *dev)
{
	struct uart16550 *uart = dev;
	struct uart16550_state *s = &uart->s;

	state_fix_bool(&s->thr_pending);
	state_fix_bool(&s->was_refused);
	fifo_after_load(&s->rx);
	fifo_after_load(&s->tx);
	s->ier &= IER_WRITABLE;
	s->mcr &= MCR_WRITABLE;
	s->lsr &= LSR_OE;
	s->lsr |= (uint8_t)((s->rx.count ? LSR_DR : 0) | (s->tx.count ? 0 : LSR_THRE | LSR_TEMT));
	uart->irq_is_high = uart_source(uart) != IIR_NONE;
	irq_set(&uart->irq, uart->irq_is_high);
}

void uart_init(struct uart16550 *uart, const struct char_back *back, const struct irq_line *irq)
{
	*uart = (struct uart16550){ .back = *back, .irq = *irq };
	uart_reset(uart);
}
