/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * drivers/uart16550.c against a 16550 of a few lines, whose FIFO overruns as a real one's does. The driver's file is
 * included, so that its port accesses and its processor can be ours.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/hw/insn.h"
#include "hv/log.h"

static uint8_t chip_in(uint16_t port);
static void chip_out(uint16_t port, uint8_t value);
static struct cpu processor;

#define inb(port)	 chip_in(port)
#define outb(port, byte) chip_out(port, byte)
#define this_cpu()	 (&processor)
#include "drivers/uart16550.c"
#undef inb
#undef outb

/* ---- The log, whose lock keeps other processors out; it is not taken twice ---- */

static unsigned log_holds, log_releases;

void log_hold(void)
{
	assert_int_equal(log_holds, log_releases);
	log_holds++;
}

void log_release(void) { log_releases++; }

/* ---- The chip: what it received and nobody read, what was written to it, and its modem lines ---- */

static struct {
	uint8_t  rx[UART_FIFO];
	size_t   rx_len;
	uint8_t  tx[65536];
	size_t   tx_len;
	uint8_t  ier, fcr, lcr, mcr, scratch, divisor[2];
	bool     is_absent, is_scratchless, is_busy;	/* all ones; an 8250 without that register */
	unsigned overruns, accesses;
} chip;

static uint8_t chip_pending(void)
{
	return (chip.ier & IER_RDI) && chip.rx_len ? 0xc4 : 0xc1;
}

static uint8_t chip_in(uint16_t at)
{
	uint8_t byte = 0;

	chip.accesses++;

	if (chip.is_absent && at - COM1_PORT != UART_SCR)
		return 0xff;
	switch (at - COM1_PORT) {
	case UART_DATA:
		if (chip.rx_len) {
			byte = chip.rx[0];
			memmove(chip.rx, chip.rx + 1, --chip.rx_len);
		}
		return byte;
	case UART_IIR_FCR:
		return chip_pending();
	case UART_LSR:
		return (uint8_t)((chip.is_busy ? 0 : LSR_THRE | LSR_TEMT) | (chip.rx_len ? LSR_DR : 0));
	case UART_SCR:
		return chip.is_scratchless ? 0 : chip.scratch;
	default:
		return 0;
	}
}

static void chip_out(uint16_t at, uint8_t value)
{
	chip.accesses++;
	switch (at - COM1_PORT) {
	case UART_DATA:
		if (chip.lcr & LCR_DLAB)
			chip.divisor[0] = value;
		else
			chip.tx[chip.tx_len++ % sizeof(chip.tx)] = value;
		break;
	case UART_IER:
		if (chip.lcr & LCR_DLAB)
			chip.divisor[1] = value;
		else
			chip.ier = value;
		break;
	case UART_LCR:
		chip.lcr = value;
		break;
	case UART_IIR_FCR:
		chip.fcr = value;
		break;
	case UART_MCR:
		chip.mcr = value;
		break;
	case UART_SCR:
		chip.scratch = value;
		break;
	default:
		break;
	}
}

void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t vector)) { (void)vector; (void)handler; }
void host_ioapic_route(uint32_t gsi, uint8_t vector) { (void)gsi; (void)vector; }

void *page_alloc_contiguous(size_t pages)
{
	static uint8_t memory[LARGE_RING_PAGES * PAGE_SIZE];

	assert_int_equal(pages, LARGE_RING_PAGES);
	return memory;
}

static void chip_interrupt(void)
{
	if (chip_pending() & IIR_NONE)
		return;
	serial_interrupt(VECTOR_SERIAL);
	assert_true(log_holds > 0 && log_holds == log_releases);
}

/* A byte comes over the wire; whether the interrupt it asks for comes at once is the caller's choice. */
static void wire_in(uint8_t byte)
{
	if (chip.rx_len == UART_FIFO)
		chip.overruns++;
	else
		chip.rx[chip.rx_len++] = byte;
}

static void chip_start(void)
{
	memset(&chip, 0, sizeof(chip));
	memset(&port, 0, sizeof(port));
	port.ring = small_ring;
	port.size = SMALL_RING;
	assert_true(serial_init());
	serial_enable_interrupts();
}
