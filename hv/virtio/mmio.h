/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The virtio-mmio transport, version 2: a page of registers in front of one virtio device (OASIS
 * virtio 1.2, 4.2 "Virtio Over MMIO"). It owns the status state machine and the interrupt line and
 * knows no device; the device hangs below as struct virtio_dev.
 *
 * Reads without exits: given a shadow page (virtio_mmio_page), every change of a readable register
 * is also stored there, so that the page can be mapped read-only into the guest and only writes
 * trap. Reading has no side effects, therefore a load from the page and a read through
 * virtio_mmio_read are the same thing.
 *
 * Interrupts are edges, as the ACPI tables say: the line rises when InterruptStatus becomes other than 0, and
 * anew when InterruptACK leaves some of it. README.md says why none is lost. Only InterruptACK clears bits, and
 * only those written.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/gpm.h"
#include "hv/irq.h"
#include "hv/state.h"
#include "hv/virtio/virtio.h"
#include "hv/work.h"

/*
 * Every register of the window: offset, name (4.2.2, table "MMIO Device Register Layout"), access
 * (R, W, RW). Registers without R read as 0, writes to registers without W vanish.
 */
#define VIRTIO_MMIO_REGISTERS(X)		\
	X(0x000, MagicValue,        R)		\
	X(0x004, Version,           R)		\
	X(0x008, DeviceID,          R)		\
	X(0x00c, VendorID,          R)		\
	X(0x010, DeviceFeatures,    R)		\
	X(0x014, DeviceFeaturesSel, W)		\
	X(0x020, DriverFeatures,    W)		\
	X(0x024, DriverFeaturesSel, W)		\
	X(0x030, QueueSel,          W)		\
	X(0x034, QueueNumMax,       R)		\
	X(0x038, QueueNum,          W)		\
	X(0x044, QueueReady,        RW)		\
	X(0x050, QueueNotify,       W)		\
	X(0x060, InterruptStatus,   R)		\
	X(0x064, InterruptACK,      W)		\
	X(0x070, Status,            RW)		\
	X(0x080, QueueDescLow,      W)		\
	X(0x084, QueueDescHigh,     W)		\
	X(0x090, QueueDriverLow,    W)		\
	X(0x094, QueueDriverHigh,   W)		\
	X(0x0a0, QueueDeviceLow,    W)		\
	X(0x0a4, QueueDeviceHigh,   W)		\
	X(0x0b0, SHMLenLow,         R)		\
	X(0x0b4, SHMLenHigh,        R)		\
	X(0x0b8, SHMBaseLow,        R)		\
	X(0x0bc, SHMBaseHigh,       R)		\
	X(0x0fc, ConfigGeneration,  R)

enum virtio_mmio_reg {
#define X(offset, name, access) VIRTIO_MMIO_##name = (offset),
	VIRTIO_MMIO_REGISTERS(X)
#undef X
	VIRTIO_MMIO_CONFIG = 0x100,	/* the device's own space, to the end of the page */
};

#define VIRTIO_MMIO_PAGE	0x1000U
#define VIRTIO_MMIO_SIZES	(BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4)	/* for struct bus_range */

#define VIRTIO_MMIO_MAGIC	0x74726976U	/* "virt" */
#define VIRTIO_MMIO_VERSION	2U
#define VIRTIO_MMIO_VENDOR	0x5a505254U	/* "TRPZ" */

/* InterruptStatus */
#define VIRTIO_INT_USED_BUFFER	1U
#define VIRTIO_INT_CONFIG	2U

/* Status: virtio 1.2, 2.1 "Device Status Field" */
#define VIRTIO_STATUS_ACKNOWLEDGE	1U
#define VIRTIO_STATUS_DRIVER		2U
#define VIRTIO_STATUS_DRIVER_OK		4U
#define VIRTIO_STATUS_FEATURES_OK	8U
#define VIRTIO_STATUS_NEEDS_RESET	64U
#define VIRTIO_STATUS_FAILED		128U

struct virtio_mmio_state {
	uint32_t           status;
	uint32_t           interrupt_status;
	uint32_t           generation;		/* of the configuration space; never reset */
	uint32_t           device_features_sel, driver_features_sel, queue_sel;
	uint32_t           later_queues;	/* a bit for each queue that has to be served again in the VM's turn */
};

struct virtio_mmio {
	struct virtio_mmio_state s;
	struct virtio_dev *dev;
	struct irq_line    irq;
	uint32_t          *shadow;		/* VIRTIO_MMIO_PAGE bytes, or NULL */
	bool               complained;		/* logged: a driver can be wrong again and again */
	struct work_list  *work_list;		/* of the VM */
	struct work        work;
};

/*
 * Put dev behind this window and reset it; all of dev but what the transport gives is filled in
 * already.
 */
void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_dev *dev, struct gpm *gpm,
		      struct irq_line irq, struct work_list *work_list);

/*
 * Fill the page with the current value of every readable register and keep it current; NULL: no
 * longer.
 */
void virtio_mmio_page(struct virtio_mmio *mmio, uint32_t *page);

/*
 * What is saved of the window, its device and the device's queues: writes at most VIRTIO_MMIO_OBJECTS,
 * returns how many.
 */
#define VIRTIO_MMIO_OBJECTS	3U
size_t virtio_mmio_objects(struct virtio_mmio *mmio, uint32_t instance, struct state_object *to);

/* For struct bus_range; `opaque` is the struct virtio_mmio. */
uint64_t virtio_mmio_read(void *opaque, uint64_t offset, unsigned size);
void     virtio_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value);

/*
 * Between mmio.c and status.c: the line follows InterruptStatus; a queue to be served in the VM's turn; the
 * state machine behind Status.
 */
void virtio_mmio_set_interrupts(struct virtio_mmio *mmio, uint32_t val);
/* For state sections (hv/state.h): bring all that follows from Status, InterruptStatus and the queues up to date. */
void virtio_mmio_after_load(void *mmio);
void virtio_status_after_load(struct virtio_mmio *mmio);
void virtio_mmio_later(struct virtio_mmio *mmio, unsigned queue);
void virtio_status_reset(struct virtio_mmio *mmio);
void virtio_status_write(struct virtio_mmio *mmio, uint32_t val);
