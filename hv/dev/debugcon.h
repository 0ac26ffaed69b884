/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Two ports for tests and teaching kernels.
 *
 *   e9  write: one character to the console           read: e9, so that a guest can tell it is there
 *   f4  write of 1, 2 or 4 bytes: the VM ends in order with this exit code
 */
#include <stdint.h>

#include "hv/bus.h"
#include "hv/chardev.h"

struct debugcon {
	struct char_back out;
	void           (*exit)(void *ctx, uint32_t code);
	void            *ctx;
};

void debugcon_init(struct debugcon *dev, const struct char_back *out, void (*exit)(void *, uint32_t), void *ctx);
__attribute__((warn_unused_result)) int debugcon_map(struct debugcon *dev, struct bus *pio);
