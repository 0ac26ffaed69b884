/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The virtio console: one port, a receive and a transmit queue (OASIS virtio 1.2, 5.3 "Console
 * Device"). Multiport is not offered.
 *
 * No byte is lost in either direction. Output the back does not take stays in the driver's ring
 * and goes on at front.writable; input without receive buffers is not taken and asked for again
 * (back.readable) when the driver has put new ones. No request is held between calls, so a reset
 * needs no clean-up.
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

struct virtio_console {
	struct virtio_dev            dev;
	struct virtio_console_config config;
	struct char_back             back;
	uint64_t                     tx_sent;	/* of the request that waits first */
	struct vq_req                rx_req, tx_req;	/* two: the back may echo */
};

void virtio_console_init(struct virtio_console *con, const struct char_back *back);

/* The guest's end of the stream, for whoever owns the back. Its resize tells the driver (VIRTIO_CONSOLE_F_SIZE). */
struct char_front virtio_console_front(struct virtio_console *con);
