/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a virtio device is to its transport: an ID, offered features, queues, four callbacks.
 * Three layers (OASIS virtio 1.2): the transport (mmio.c) knows no device, the queue (queue.c) knows no
 * transport, a device sees requests and never a descriptor.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/virtio/queue.h"

#define VIRTIO_ID_BLOCK		2U
#define VIRTIO_ID_CONSOLE	3U
#define VIRTIO_ID_RNG		4U

#define VIRTIO_F_INDIRECT_DESC	(1ULL << 28)
#define VIRTIO_F_EVENT_IDX	(1ULL << 29)
#define VIRTIO_F_VERSION_1	(1ULL << 32)

/* What every device here offers: the transport and the queue implement it. */
#define VIRTIO_F_COMMON	(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

#define VIRTIO_QUEUES_MAX	2U	/* the console has as many; a row of sections in status.c for each */

struct virtio_dev;
struct state_section;

struct virtio_ops {
	void (*notify)(struct virtio_dev *dev, unsigned queue);	/* the driver kicked this queue */
	void (*reset)(struct virtio_dev *dev);			/* what the device knew of its driver is gone; NULL: nothing */
	/* Device configuration space; offset+size is inside config_size. NULL when there is none. */
	uint64_t (*config_read)(struct virtio_dev *dev, uint64_t offset, unsigned size);
	void (*config_write)(struct virtio_dev *dev, uint64_t offset, unsigned size, uint64_t value);
	/* What is saved of the device itself (hv/state.h), at an offset from struct virtio_dev. NULL: nothing */
	const struct state_section *section;
};

struct virtio_dev_state {
	uint64_t     accepted;		/* feature bits that the driver accepted; fixed by FEATURES_OK */
	bool         is_live;		/* DRIVER_OK and not failed: queues may be served (the transport says) */
};

struct virtio_dev {
	struct virtio_dev_state s;
	const char  *name;
	uint32_t     device_id;
	uint64_t     offered;		/* feature bits, transport ones included */
	uint32_t     config_size;	/* a multiple of 4; the transport reads whole words of it */
	unsigned     queue_count;
	struct vq    queues[VIRTIO_QUEUES_MAX];
	const struct virtio_ops *ops;

	/* Given by the transport */
	void       (*interrupt)(void *ctx);		/* used buffers */
	void       (*config_changed)(void *ctx);
	void       (*later)(void *ctx, unsigned queue);	/* notify again soon, in the VM's own turn */
	void        *ctx;
};

/* What became of a request that a device was given. */
enum virtio_answer {
	VIRTIO_DONE,	/* served: give it back to the driver */
	VIRTIO_LATER,	/* the budget is used up: hand it to the device again, later */
	VIRTIO_WAIT,	/* the device cannot go on: it calls `later` when it can, or the driver kicks */
};

/* is_new: the first time for this request. Between two calls the cursors in req stay where they are. */
typedef enum virtio_answer virtio_serve_fn(struct virtio_dev *dev, struct vq *vq, struct vq_req *req, bool is_new);

/*
 * One round of the queue: hand its requests to `serve` until none is left or the budget of the round is used up; the
 * rest is put off to the VM's own turn. The body of a device's notify. req is the queue's own and survives between
 * rounds: it holds the request that waits.
 */
void virtio_serve(struct virtio_dev *dev, unsigned queue, struct vq_req *req, virtio_serve_fn *serve);
