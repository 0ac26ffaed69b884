/* SPDX-License-Identifier: MIT */
/*
 * The virtio console: bytes between two rings and a struct char_back. Contract in console.h.
 *
 * Back pressure. A request whose bytes the back took only in part goes back into the ring
 * (vq_unpop), with tx_sent remembering how far it got; it is popped, and checked, afresh when the
 * back has room. Bytes go through a small buffer of ours, so that the back sees each of them once,
 * whatever the driver does meanwhile.
 */
#include "hv/virtio/console.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define TX_BYTES	256U

static struct virtio_console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

static void signal_used(struct virtio_console *con, struct vq *vq)
{
	if (vq_should_interrupt(vq))
		con->dev.interrupt(con->dev.ctx);
}

/* ---- Driver to back ---------------------------------------------------- */

/* False: the back is full and will say when it is not. */
static bool send_request(struct virtio_console *con, struct vq *vq)
{
	uint8_t bytes[TX_BYTES];
	size_t len, taken;

	vq_skip_readable(&con->tx_req, con->tx_sent);
	while ((len = vq_read(vq, &con->tx_req, bytes, sizeof(bytes))) > 0) {
		taken = con->back.write(con->back.ctx, bytes, len);
		con->tx_sent += taken;
		if (taken < len)
			return false;
	}
	con->tx_sent = 0;
	return true;
}

static void transmit(struct virtio_console *con)
{
	struct vq *vq = &con->dev.queues[VIRTIO_CONSOLE_TX];
	bool is_full = false;

	if (!vq_has_more(vq))
		return;
	do {
		vq_disable_notify(vq);
		while (!is_full && vq_pop(vq, &con->tx_req)) {
			is_full = !send_request(con, vq);
			if (is_full)
				vq_unpop(vq);
			else
				vq_push(vq, &con->tx_req);
		}
		/*
		 * While the back is full a kick is of no use: front.writable brings us here again.
		 */
	} while (!is_full && vq_enable_notify(vq));
	signal_used(con, vq);
}

static void front_writable(void *ctx)
{
	struct virtio_console *con = ctx;

	if (con->dev.is_live)
		transmit(con);
}

/* ---- Back to driver ---------------------------------------------------- */

/*
 * Linux' driver does not read the size when it starts, but at a configuration change, and forgets that one while its
 * console is being made. A line that is typed proves that somebody is there: the news go before it.
 */
static void tell_size_again(struct virtio_console *con, const uint8_t *data, size_t len)
{
	bool is_line = false;

	for (size_t i = 0; i < len; i++)
		is_line |= data[i] == '\r' || data[i] == '\n';
	if (is_line && con->config.cols && con->dev.config_changed)
		con->dev.config_changed(con->dev.ctx);
}

static size_t front_input(void *ctx, const uint8_t *data, size_t len)
{
	struct virtio_console *con = ctx;
	struct vq *vq = &con->dev.queues[VIRTIO_CONSOLE_RX];
	size_t done = 0;

	if (!con->dev.is_live)
		return 0;
	tell_size_again(con, data, len);
	do {
		while (done < len && vq_pop(vq, &con->rx_req)) {
			done += vq_write(vq, &con->rx_req, data + done, len - done);
			vq_push(vq, &con->rx_req);
		}
		/* Out of buffers: have the driver kick when it adds some, and look once more. */
	} while (done < len && vq_enable_notify(vq));
	signal_used(con, vq);
	return done;
}

static void receive_buffers_added(struct virtio_console *con)
{
	vq_disable_notify(&con->dev.queues[VIRTIO_CONSOLE_RX]);
	if (con->back.readable)
		con->back.readable(con->back.ctx);	/* calls front_input with what it kept */
}

/* ---- The device -------------------------------------------------------- */

static void console_notify(struct virtio_dev *dev, unsigned queue)
{
	if (queue == VIRTIO_CONSOLE_TX)
		transmit(console_of(dev));
	else
		receive_buffers_added(console_of(dev));
}

static void console_reset(struct virtio_dev *dev)
{
	console_of(dev)->tx_sent = 0;
}

static uint64_t console_config_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, (const uint8_t *)&console_of(dev)->config + offset, size);
	return val;
}

/*
 * 5.3.4: a byte written to emerg_wr is output at once, at any time, before the driver is up too.
 */
static void console_config_write(struct virtio_dev *dev, uint64_t offset, unsigned size,
				 uint64_t value)
{
	struct virtio_console *con = console_of(dev);
	const uint8_t byte = (uint8_t)value;

	(void)size;
	if (offset != offsetof(struct virtio_console_config, emerg_wr))
		return;
	/*
	 * There is nowhere to keep it: when the back is full, this byte is lost, as on a wire
	 * without flow control.
	 */
	(void)con->back.write(con->back.ctx, &byte, 1);
}

static const struct virtio_ops console_ops = {
	.reset = console_reset,
	.notify = console_notify,
	.config_read = console_config_read,
	.config_write = console_config_write,
};

static void front_resize(void *dev, uint16_t cols, uint16_t rows)
{
	struct virtio_console *con = dev;

	if (con->config.cols == cols && con->config.rows == rows)
		return;
	con->config.cols = cols;
	con->config.rows = rows;
	if (con->dev.config_changed)
		con->dev.config_changed(con->dev.ctx);
}

struct char_front virtio_console_front(struct virtio_console *con)
{
	return (struct char_front){
		.input = front_input, .writable = front_writable, .resize = front_resize, .dev = con,
	};
}

void virtio_console_init(struct virtio_console *con, const struct char_back *back)
{
	con->back = *back;
	con->tx_sent = 0;
	con->config = (struct virtio_console_config){ .max_nr_ports = 1 };
	con->dev = (struct virtio_dev){
		.name = "virtio-console",
		.device_id = VIRTIO_ID_CONSOLE,
		.offered = VIRTIO_F_COMMON | VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_EMERG_WRITE,
		.config_size = sizeof(struct virtio_console_config),
		.queue_count = 2,
		.ops = &console_ops,
	};
}
