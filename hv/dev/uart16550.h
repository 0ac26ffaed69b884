/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * NS16550A serial port (National Semiconductor PC16550D data sheet, "Registers").
 *
 *   +0 RBR THR (DLL)  +1 IER (DLM)  +2 IIR FCR  +3 LCR  +4 MCR  +5 LSR  +6 MSR  +7 SCR    (DLAB set)
 *
 * Bytes leave as soon as the back end takes them; while it refuses, the transmit FIFO keeps them and
 * LSR.THRE stays clear, so that a driver waits and nothing is lost. Linux' 8250 driver needs: IIR that
 * shows a 16550A, the modem loop-back, a THRE interrupt whenever IER.THRI is switched on with THRE set.
 * The interrupt is not gated with MCR.OUT2 as a PC's wiring does: teaching kernels written for emulators
 * leave it clear.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/chardev.h"
#include "hv/irq.h"
#include "hv/lib/uart.h"

struct uart_fifo {
	uint8_t data[UART_FIFO];
	uint8_t head, count;
};

struct uart16550_state {
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
	bool    thr_pending;		/* the THRE interrupt, until IIR shows it or THR is written */
	bool    was_refused;		/* input was turned away: say so when there is room */
	struct uart_fifo rx, tx;
};

struct uart16550 {
	struct uart16550_state s;
	bool    irq_is_high;		/* what the line was told last */
	struct char_back back;
	struct irq_line  irq;
};

void uart_init(struct uart16550 *uart, const struct char_back *back, const struct irq_line *irq);
void uart_reset(struct uart16550 *uart);
void uart_after_load(void *dev);
/* base: 0x3f8 for COM1. */
__attribute__((warn_unused_result)) int uart_map(struct uart16550 *uart, struct bus *pio, uint16_t base);

/* struct char_front */
size_t uart_input(void *dev, const uint8_t *data, size_t len);
void   uart_writable(void *dev);
