/* SPDX-License-Identifier: MIT */
/*
 * The loop over a queue's requests that all devices share (contract in virtio.h).
 *
 * A driver can offer requests faster than they can be served: 256 of a whole disk each, or, with a buffer that lies
 * over the rings, requests that announce the next ones. Therefore a round takes only what was in the ring when it
 * began, and ends when its budget is used up. What comes meanwhile, or is left, is for the next round, which the
 * scheduler starts in the turn of the VM whose driver it is.
 */
#include "hv/virtio/virtio.h"

/* True when the device has a request to work on; *is_new: one it has not seen yet. */
static bool next_request(struct vq *vq, struct vq_req *req, bool *is_new)
{
	*is_new = !vq->s.is_held;
	if (*is_new)
		vq->s.is_held = vq_pop(vq, req);
	return vq->s.is_held;
}

void virtio_serve(struct virtio_dev *dev, unsigned queue, struct vq_req *req, virtio_serve_fn *serve)
{
	struct vq *vq = &dev->queues[queue];
	enum virtio_answer answer = VIRTIO_DONE;
	bool is_new;

	if (!vq_begin(vq))
		return;
	vq_disable_notify(vq);
	while (answer == VIRTIO_DONE && vq->budget > 0 && next_request(vq, req, &is_new)) {
		answer = serve(dev, vq, req, is_new);
		if (answer == VIRTIO_DONE) {
			vq->s.is_held = false;
			vq_push(vq, req);
		}
	}
	/*
	 * Every round that leaves no request half done asks the driver to kick again, also one whose budget
	 * is used up: the next round may find nothing, and then nobody would ask. What is in the ring already
	 * is noticed here.
	 */
	if (answer == VIRTIO_LATER || (answer == VIRTIO_DONE && vq_enable_notify(vq)))
		dev->later(dev->ctx, queue);
	if (vq_should_interrupt(vq))
		dev->interrupt(dev->ctx);
}
