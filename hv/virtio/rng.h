/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The virtio entropy device: one queue of buffers to be filled (OASIS virtio 1.2, 5.4 "Entropy
 * Device"). The smallest device; read this first.
 */
#include <stddef.h>
#include <stdint.h>

#include "hv/virtio/entropy.h"
#include "hv/virtio/virtio.h"

/* Puts up to len random bytes at `to`; returns how many, 0 when there are none now. */
typedef size_t rng_fill_fn(void *ctx, uint8_t *to, size_t len);

struct virtio_rng_state {
	struct entropy entropy;		/* of the default source */
	struct vq_req  req;		/* held while the source has nothing */
};

struct virtio_rng {
	struct virtio_dev       dev;
	struct virtio_rng_state s;
	rng_fill_fn            *fill;
	void                   *ctx;
};

/* fill NULL: entropy_fill of entropy.h. */
void virtio_rng_init(struct virtio_rng *rng, rng_fill_fn *fill, void *ctx);
