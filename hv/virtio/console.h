/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The virtio console: one port, a receive and a transmit queue (OASIS virtio 1.2, 5.3 "Console
 * Device"). Multiport is not offered.
 *
 * No byte is lost in either direction. Output the back does not take stays with the driver's
 * request and goes on after front.writable; input without receive buffers is not taken and asked for
 * again (back.readable) when the driver has put new ones.
 *
 * Bytes move in the VM's own turn only: in an exit of its guest, or as work put off (work.h). What the
 * back's side calls at other times (front.input, front.writable) does no more than ask for that.
 */
#include <stdint.h>

#include "hv/chardev.h"
#include "hv/virtio/virtio.h"

#define VIRTIO_CONSOLE_F_SIZE		(1ULL << 0)
#define VIRTIO_CONSOLE_F_EMERG_WRITE	(1ULL << 2)

#define VIRTIO_CONSOLE_RX	0U	/* receiveq(port0) */
#define VIRTIO_CONSOLE_TX	1U	/* transmitq(port0) */

/* 5.3.4 "Device configuration layout"; little-endian, as we are. */
struct virtio_console_config {
	uint16_t cols, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

struct virtio_console_state {
	struct virtio_console_config config;
	bool                         has_spoken;	/* the driver has sent something: it is ready to listen, see console.c */
	struct vq_req                tx_req;		/* held while the back is full */
};

struct virtio_console {
	struct virtio_dev            dev;
	struct virtio_console_state  s;
	struct char_back             back;
	bool                         is_receiving;	/* back.readable was called in the VM's turn: input may come */
	struct vq_req                rx_req;
};

void virtio_console_init(struct virtio_console *con, const struct char_back *back);

/* The guest's end of the stream, for whoever owns the back. Its resize tells the driver (VIRTIO_CONSOLE_F_SIZE). */
struct char_front virtio_console_front(struct virtio_console *con);
