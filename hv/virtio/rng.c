/* SPDX-License-Identifier: MIT */
/* The virtio entropy device: take a buffer, fill it, give it back. Contract in rng.h. */
#include "hv/virtio/rng.h"

#include "hv/lib/util.h"

/*
 * 5.4.6: the device may return fewer bytes than the buffer holds. RDSEED takes a microsecond for
 * eight bytes, so a guest with gigabytes of buffers must not be able to keep us in this loop;
 * Linux asks for 64.
 */
#define RNG_BYTES_MAX	512U

static bool fill_request(struct virtio_rng *rng, struct vq *vq)
{
	while (rng->req.written < RNG_BYTES_MAX) {
		size_t len = RNG_BYTES_MAX - rng->req.written;
		uint8_t bytes[64];

		len = rng->fill(rng->ctx, bytes, min_size(len, sizeof(bytes)));
		if (!len || vq_write(vq, &rng->req, bytes, len) < len)
			break;
	}
	return rng->req.written || !rng->req.writable;
}

/*
 * False when the source ran dry: 5.4.6.1 wants at least one byte, so the buffer stays for the next
 * kick.
 */
static bool serve_queue(struct virtio_rng *rng, struct vq *vq)
{
	while (vq_pop(vq, &rng->req)) {
		if (!fill_request(rng, vq)) {
			vq_unpop(vq);
			return false;
		}
		vq_push(vq, &rng->req);
	}
	return true;
}

static void rng_notify(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_rng *rng = container_of(dev, struct virtio_rng, dev);
	struct vq *vq = &dev->queues[queue];
	bool is_dry;

	if (!vq_has_more(vq))
		return;
	do {
		vq_disable_notify(vq);
		is_dry = !serve_queue(rng, vq);
	} while (vq_enable_notify(vq) && !is_dry);
	if (vq_should_interrupt(vq))
		dev->interrupt(dev->ctx);
}

static const struct virtio_ops rng_ops = { .notify = rng_notify };

void virtio_rng_init(struct virtio_rng *rng, rng_fill_fn *fill, void *ctx)
{
	rng->fill = fill ? fill : entropy_fill;
	rng->ctx = fill ? ctx : &rng->entropy;
	rng->entropy = (struct entropy){ 0 };
	rng->dev = (struct virtio_dev){
		.name = "virtio-rng",
		.device_id = VIRTIO_ID_RNG,
		.offered = VIRTIO_F_COMMON,
		.queue_count = 1,
		.ops = &rng_ops,
	};
}
