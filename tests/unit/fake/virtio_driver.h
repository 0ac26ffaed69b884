/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The guest's side of a virtio-mmio device for tests: a machine with some RAM, one window, one interrupt
 * line, and a driver that works descriptor by descriptor, so that a test can be as wrong as it likes.
 */
#include "gpm_fake.h"
#include "hv/virtio/mmio.h"

/* RAM: below 640 KiB and from 1 MiB to 64 MiB, as on a PC; between them is a hole. */
#define DRV_LOW_END	0xa0000ULL
#define DRV_RAM_START	0x100000ULL
#define DRV_RAM_END	0x4000000ULL

#define DRV_QUEUES	2U
#define DRV_SIZE	16U		/* entries, unless a test says otherwise */
#define DRV_RINGS	0x200000ULL	/* where queue 0's rings are; the next one's 64 KiB behind */
#define DRV_STEPS_MAX	100000U
#define DRV_DATA	0x300000ULL	/* free for data */

#define DESC_NEXT	1U
#define DESC_WRITE	2U
#define DESC_INDIRECT	4U

struct drv_desc { uint64_t addr; uint32_t len; uint16_t flags, next; };

struct drv_queue {
	uint32_t size;
	uint64_t desc, avail, used;
	uint16_t avail_idx;		/* what we announced */
	uint16_t used_seen;
	uint16_t kicked_idx;		/* avail_idx at the last drv_kick_if_wanted */
};

struct drv {
	struct gpm_fake    mem;
	struct virtio_mmio mmio;
	struct drv_queue   queues[DRV_QUEUES];
	struct work_list   work;	/* of the VM */
	bool               line;	/* level of the interrupt line */
	unsigned           edges;	/* times it went high */
};

void drv_create(struct drv *drv, struct virtio_dev *dev);
void drv_destroy(struct drv *drv);

uint32_t drv_get(struct drv *drv, uint32_t reg);
void     drv_set(struct drv *drv, uint32_t reg, uint32_t val);

/* ACKNOWLEDGE, DRIVER, features, FEATURES_OK. Returns Status. */
uint32_t drv_negotiate(struct drv *drv, uint64_t features);
/* Tell the device where drv->queues[queue] is and make it ready. Returns QueueReady. */
uint32_t drv_ready(struct drv *drv, unsigned queue);
/* All of it, with DRV_SIZE entries at the usual places, up to DRIVER_OK. */
void     drv_start(struct drv *drv, uint64_t features);

void drv_write_mem(struct drv *drv, uint64_t addr, const void *from, size_t len);
void drv_read_mem(struct drv *drv, uint64_t addr, void *to, size_t len);
void drv_touch(struct drv *drv, uint64_t addr, uint64_t len);	/* memory that a guest has used already */
void drv_put16(struct drv *drv, uint64_t addr, uint16_t val);
uint16_t drv_get16(struct drv *drv, uint64_t addr);

void drv_desc(struct drv *drv, unsigned queue, unsigned index, struct drv_desc desc);
void drv_offer(struct drv *drv, unsigned queue, uint16_t head);	/* into the available ring, no kick */
void drv_kick(struct drv *drv, unsigned queue);			/* notify, and run what that put off */
unsigned drv_work(struct drv *drv);	/* run what was put off, at most DRV_STEPS_MAX steps; how many they were */
void drv_kick_if_wanted(struct drv *drv, unsigned queue);	/* as a driver does: 2.7.7 and 2.7.10 */
bool drv_take(struct drv *drv, unsigned queue, uint32_t *id, uint32_t *len);	/* next used element */
