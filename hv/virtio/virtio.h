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

#define VIRTIO_QUEUES_MAX	4U

struct virtio_dev;

struct virtio_ops {
	void (*reset)(struct virtio_dev *dev);
	void (*notify)(struct virtio_dev *dev, unsigned queue);	/* the driver kicked this queue */
	/* Device configuration space; offset+size is inside config_size. NULL when there is none. */
	uint64_t (*config_read)(struct virtio_dev *dev, uint64_t offset, unsigned size);
	void (*config_write)(struct virtio_dev *dev, uint64_t offset, unsigned size, uint64_t value);
};

struct virtio_dev {
	const char  *name;
	uint32_t     device_id;
	uint64_t     offered;		/* feature bits, transport ones included */
	uint64_t     accepted;		/* what the driver took; fixed by FEATURES_OK */
	uint32_t     config_size;	/* a multiple of 4; the transport reads whole words of it */
	unsigned     queue_count;
	struct vq    queues[VIRTIO_QUEUES_MAX];
	const struct virtio_ops *ops;
	bool         is_live;		/* DRIVER_OK and not failed: queues may be served (the transport says) */

	/* Given by the transport */
	void       (*interrupt)(void *ctx);		/* used buffers */
	void       (*config_changed)(void *ctx);
	void       (*needs_reset)(void *ctx);		/* the driver broke the protocol */
	void        *ctx;
};
