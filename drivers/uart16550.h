/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Driver for the real serial port COM1: transmit ring emptied by interrupt, receive ring filled by it. When nobody
 * reads, the other side is told to stop by RTS; bytes that come all the same stay in the port's FIFO.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool   serial_init(void);		/* probe and program 115200 8N1; false: no port, everything below is a no-op */
void   serial_enable_interrupts(void);	/* makes the I/O APIC route; after host_lapic_init */
void   serial_interrupt(uint8_t vector);
size_t serial_write(const uint8_t *data, size_t len);	/* into the ring: bytes taken */
size_t serial_size(void);		/* of that ring */
size_t serial_room(void);
void   serial_drain(void);		/* poll until the ring and the shift register are empty */
void   serial_answer(const uint8_t *data, size_t len);	/* a few bytes that overtake those in the ring (hv/terminal.h) */
bool   serial_has_input(void);		/* serial_read may find some; on the same processor */
size_t serial_read(uint8_t *data, size_t len);		/* what has arrived; on the processor that takes its interrupt */
