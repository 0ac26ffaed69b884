/* SPDX-License-Identifier: MIT */
/* The virtio entropy device: take a buffer, fill it, give it back. Contract in rng.h. */
#include "hv/virtio/rng.h"

#include "hv/lib/util.h"
#include "hv/state.h"

/*
 * 5.4.6: the device may return fewer bytes than the buffer holds. RDSEED takes a microsecond for
 * eight bytes, so random bytes are dear: a round gives 2 KiB of them at most, a request 512. Linux
 * asks for 64.
 */
#define RNG_BYTES_MAX	512U
#define RNG_BYTE_COST	128U

static void fill_request(struct virtio_rng *rng, struct vq *vq, struct vq_req *req)
{
	while (req->written < RNG_BYTES_MAX) {
		size_t len = RNG_BYTES_MAX - req->written;
		uint8_t bytes[64];

		len = rng->fill(rng->ctx, bytes, min_size(len, sizeof(bytes)));
		vq_charge(vq, (uint64_t)len * RNG_BYTE_COST);
		if (!len || vq_write(vq, req, bytes, len) < len)
			break;
	}
}

/*
 * 5.4.6.1 wants at least one byte. When the source has none now, the buffer stays with us until the
 * driver kicks again.
 */
static enum virtio_answer rng_serve(struct virtio_dev *dev, struct vq *vq, struct vq_req *req, bool is_new)
{
	(void)is_new;
	fill_request(container_of(dev, struct virtio_rng, dev), vq, req);
	if (req->written || !req->writable)
		return VIRTIO_DONE;
	(void)vq_enable_notify(vq);
	return VIRTIO_WAIT;
}

static void rng_notify(struct virtio_dev *dev, unsigned queue)
{
	virtio_serve(dev, queue, &container_of(dev, struct virtio_rng, dev)->s.req, rng_serve);
}

static void rng_after_load(void *state)
{
	struct virtio_rng *rng = container_of(state, struct virtio_rng, s);
	struct vq *vq = &rng->dev.queues[0];

	state_fix_bool(&rng->s.entropy.is_seeded);
	if (vq->s.is_held && !vq_req_is_sane(vq, &rng->s.req))
		vq->s.is_held = false;
}

static const struct state_section rng_section = {
	"virtio-rng", 1, offsetof(struct virtio_rng, s), sizeof(struct virtio_rng_state), rng_after_load,
};

static const struct virtio_ops rng_ops = { .notify = rng_notify, .section = &rng_section };

void virtio_rng_init(struct virtio_rng *rng, rng_fill_fn *fill, void *ctx)
{
	rng->fill = fill ? fill : entropy_fill;
	rng->ctx = fill ? ctx : &rng->s.entropy;
	rng->s.entropy = (struct entropy){ 0 };
	rng->dev = (struct virtio_dev){
		.name = "virtio-rng",
		.device_id = VIRTIO_ID_RNG,
		.offered = VIRTIO_F_COMMON,
		.queue_count = 1,
		.ops = &rng_ops,
	};
}
