/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The registers of a 16550A, for the drivers of the real one (drivers/, boot/print.c) and the device that pretends to be
 * one (hv/dev): National Semiconductor PC16550D data sheet, "Registers" and "Programmable Baud Generator".
 */

/* Ports behind the base. With LCR.DLAB the first two hold the divisor. */
enum uart_reg { UART_DATA, UART_IER, UART_IIR_FCR, UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCR, UART_REGS };

#define IER_RDI		0x01U	/* interrupt when data was received */
#define IER_THRI	0x02U	/* when the transmitter is empty */
#define IER_RLSI	0x04U
#define IER_MSI		0x08U
#define IER_WRITABLE	0x0fU
#define IIR_NONE	0x01U
#define IIR_MSI		0x00U
#define IIR_THRI	0x02U
#define IIR_RDI		0x04U
#define IIR_RLSI	0x06U
#define IIR_TIMEOUT	0x0cU
#define IIR_FIFO	0xc0U
#define FCR_ENABLE	0x01U
#define FCR_CLEAR_RX	0x02U
#define FCR_CLEAR_TX	0x04U
#define FCR_DMA		0x08U
#define FCR_TRIGGER	0xc0U	/* all set: an interrupt at 14 bytes */
#define FCR_TRIGGER_SHIFT 6
#define LCR_8N1		0x03U
#define LCR_DLAB	0x80U
#define MCR_DTR		0x01U
#define MCR_RTS		0x02U	/* "request to send": the other side may */
#define MCR_OUT1	0x04U
#define MCR_OUT2	0x08U	/* gates the interrupt on a PC */
#define MCR_LOOP	0x10U
#define MCR_WRITABLE	0x1fU
#define LSR_DR		0x01U	/* data is ready */
#define LSR_OE		0x02U
#define LSR_THRE	0x20U	/* the transmitter's FIFO is empty */
#define LSR_TEMT	0x40U	/* and its shift register, too */
#define MSR_CTS		0x10U
#define MSR_DSR		0x20U
#define MSR_RI		0x40U
#define MSR_DCD		0x80U
#define MSR_LEVELS	0xf0U
#define MSR_DELTA_SHIFT	4

#define UART_FIFO	16U	/* bytes, each way */
#define DIVISOR_9600	12U
#define DIVISOR_115200	1U
#define UART_TEST	0x5aU	/* a port that is there keeps this in SCR */
