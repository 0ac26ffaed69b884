/* SPDX-License-Identifier: MIT */
/*
 * The virtio console: bytes between two rings and a struct char_back. Contract in console.h.
 *
 * Back pressure. A request whose bytes the back took only in part is held, with the cursor behind what was
 * taken, until the back has room. Bytes go through a small buffer of ours, so that the back sees each of
 * them once, whatever the driver does meanwhile.
 *
 * Input waits at the back until the driver has sent something. Linux' driver puts its receive buffers out
 * before its console exists and throws away what comes in between (in_intr of its
 * virtio_console): what was piped in, or typed ahead, would be lost. Whoever sends has a console.
 */
#include "hv/virtio/console.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/state.h"

/*
 * The back takes this much in one call, and what it took is charged behind the call: so few bytes that as many empty
 * lines, each with the longest name of a VM in front, are no long exit.
 */
#define TX_BYTES	64U

/*
 * What a byte of output costs, in bytes moved: the back formats lines, stores and draws them. The end of a
 * line costs it most. A round sends 1 KiB, less when there are many lines.
 */
#define TX_BYTE_COST	256U
#define TX_LINE_COST	32768U

static struct virtio_console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

/* ---- Driver to back ---------------------------------------------------- */

static void charge_output(struct vq *vq, const uint8_t *bytes, size_t len)
{
	vq_charge(vq, (uint64_t)len * TX_BYTE_COST);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] == '\n')
			vq_charge(vq, TX_LINE_COST);
}

/* VIRTIO_WAIT: the back is full and will say when it is not; until then a kick is of no use. */
static enum virtio_answer send_request(struct virtio_dev *dev, struct vq *vq, struct vq_req *req, bool is_new)
{
	struct virtio_console *con = console_of(dev);
	uint8_t bytes[TX_BYTES];

	(void)is_new;
	if (!con->s.has_spoken) {
		con->s.has_spoken = true;
		dev->later(dev->ctx, VIRTIO_CONSOLE_RX);
	}
	while (vq->budget > 0) {
		const struct vq_cursor start = req->read;
		const size_t len = vq_read(vq, req, bytes, sizeof(bytes));
		size_t taken;

		if (!len)
			return VIRTIO_DONE;
		taken = con->back.write(con->back.ctx, bytes, len);
		charge_output(vq, bytes, taken);
		if (taken < len) {
			req->read = start;
			vq_skip_readable(req, taken);
			return VIRTIO_WAIT;
		}
	}
	return VIRTIO_LATER;
}

static void front_writable(void *ctx)
{
	struct virtio_console *con = ctx;

	if (con->dev.s.is_live)
		con->dev.later(con->dev.ctx, VIRTIO_CONSOLE_TX);
}

/* ---- Back to driver ---------------------------------------------------- */

/*
 * Linux' driver does not read the window's size when it starts, only after a configuration interrupt, and
 * it ignores that interrupt until its console exists. When a line is typed the console exists: the
 * interrupt is sent once more, before the line.
 */
static void tell_size_again(struct virtio_console *con, const uint8_t *data, size_t len)
{
	bool is_line = false;

	for (size_t i = 0; i < len; i++)
		is_line |= data[i] == '\r' || data[i] == '\n';
	if (is_line && con->s.config.cols && con->dev.config_changed)
		con->dev.config_changed(con->dev.ctx);
}

/* Into receive buffers while there are some and the budget lasts; returns how much. */
static size_t receive(struct virtio_console *con, const uint8_t *data, size_t len)
{
	struct vq *vq = &con->dev.queues[VIRTIO_CONSOLE_RX];
	size_t done = 0;

	while (done < len && vq->budget > 0 && vq_pop(vq, &con->rx_req)) {
		done += vq_write(vq, &con->rx_req, data + done, len - done);
		vq_push(vq, &con->rx_req);
	}
	return done;
}

/*
 * Bytes are taken in the VM's turn only. At other times nothing is taken; when there are buffers, a turn is
 * asked for.
 */
static size_t front_input(void *ctx, const uint8_t *data, size_t len)
{
	struct virtio_console *con = ctx;

	if (!con->dev.s.is_live || !con->s.has_spoken)
		return 0;
	if (con->is_receiving) {
		tell_size_again(con, data, len);
		return receive(con, data, len);
	}
	if (vq_begin(&con->dev.queues[VIRTIO_CONSOLE_RX]))
		con->dev.later(con->dev.ctx, VIRTIO_CONSOLE_RX);
	return 0;
}

/*
 * The driver has added receive buffers, or the back has input: let the back hand over what it kept. If
 * buffers are left then, the back has nothing more, and calls front_input when it has. If no buffers are
 * left, the driver is asked to kick when it adds some; buffers that it added before it was asked are
 * noticed here.
 */
static void fill_receive_buffers(struct virtio_console *con)
{
	struct vq *vq = &con->dev.queues[VIRTIO_CONSOLE_RX];

	if (!con->s.has_spoken || !vq_begin(vq))
		return;
	vq_disable_notify(vq);
	con->is_receiving = true;
	if (con->back.readable)
		con->back.readable(con->back.ctx);	/* calls front_input with what it kept */
	con->is_receiving = false;
	if (vq->budget <= 0 || (vq_enable_notify(vq) && vq->s.last_avail == vq->s.avail_idx))
		con->dev.later(con->dev.ctx, VIRTIO_CONSOLE_RX);
	if (vq_should_interrupt(vq))
		con->dev.interrupt(con->dev.ctx);
}

/* ---- The device -------------------------------------------------------- */

static void console_notify(struct virtio_dev *dev, unsigned queue)
{
	if (queue == VIRTIO_CONSOLE_TX)
		virtio_serve(dev, queue, &console_of(dev)->s.tx_req, send_request);
	else
		fill_receive_buffers(console_of(dev));
}

static uint64_t console_config_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, (const uint8_t *)&console_of(dev)->s.config + offset, size);
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

static void console_after_load(void *state)
{
	struct virtio_console *con = container_of(state, struct virtio_console, s);
	struct vq *vq = &con->dev.queues[VIRTIO_CONSOLE_TX];

	state_fix_bool(&con->s.has_spoken);
	if (vq->s.is_held && !vq_req_is_sane(vq, &con->s.tx_req))
		vq->s.is_held = false;
}

static const struct state_section console_section = {
	"virtio-console", 1, offsetof(struct virtio_console, s), sizeof(struct virtio_console_state), console_after_load,
};

/* Its next driver may put buffers out before it has a console, as the first did. */
static void console_reset(struct virtio_dev *dev)
{
	console_of(dev)->s.has_spoken = false;
}

static const struct virtio_ops console_ops = {
	.section = &console_section,
	.notify = console_notify,
	.reset = console_reset,
	.config_read = console_config_read,
	.config_write = console_config_write,
};

static void front_resize(void *dev, uint16_t cols, uint16_t rows)
{
	struct virtio_console *con = dev;

	if (con->s.config.cols == cols && con->s.config.rows == rows)
		return;
	con->s.config.cols = cols;
	con->s.config.rows = rows;
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
	con->is_receiving = con->s.has_spoken = false;
	con->s.config = (struct virtio_console_config){ .max_nr_ports = 1 };
	con->dev = (struct virtio_dev){
		.name = "virtio-console",
		.device_id = VIRTIO_ID_CONSOLE,
		.offered = VIRTIO_F_COMMON | VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_EMERG_WRITE,
		.config_size = sizeof(struct virtio_console_config),
		.queue_count = 2,
		.ops = &console_ops,
	};
}
