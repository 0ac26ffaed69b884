/* SPDX-License-Identifier: MIT */
/*
 * The device status field and what follows from it: reset, feature negotiation, going live,
 * failure (OASIS virtio 1.2, 2.1 "Device Status Field", 3.1 "Device Initialization"). Contract in
 * mmio.h.
 */
#include "hv/virtio/mmio.h"

#include "hv/lib/util.h"

void virtio_status_reset(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	dev->is_live = false;
	dev->accepted = 0;
	for (unsigned i = 0; i < dev->queue_count; i++)
		vq_reset(&dev->queues[i]);
	mmio->later_queues = 0;
	mmio->status = 0;
	mmio->device_features_sel = mmio->driver_features_sel = mmio->queue_sel = 0;
	virtio_mmio_set_interrupts(mmio, 0);
	if (dev->ops->reset)
		dev->ops->reset(dev);
}

/*
 * 3.1.1, step 5: a subset of what is offered, and never the legacy interface. From here on it is
 * fixed.
 */
static bool freeze_features(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	if ((dev->accepted & ~dev->offered) || !(dev->accepted & VIRTIO_F_VERSION_1))
		return false;
	for (unsigned i = 0; i < dev->queue_count; i++) {
		dev->queues[i].has_event_idx = dev->accepted & VIRTIO_F_EVENT_IDX;
		dev->queues[i].has_indirect = dev->accepted & VIRTIO_F_INDIRECT_DESC;
	}
	return true;
}

/*
 * Serve the queues. A driver that filled or kicked them too early is served now instead of never.
 */
static bool go_live(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	dev->is_live = true;
	mmio->status |= VIRTIO_STATUS_DRIVER_OK;
	for (unsigned i = 0; i < dev->queue_count; i++)
		if (dev->queues[i].is_ready)
			virtio_mmio_later(mmio, i);
	return true;
}

/*
 * The driver's way up, in order: each bit needs those before it and perhaps the device's consent.
 */
static const struct {
	uint32_t bit;
	bool   (*enter)(struct virtio_mmio *mmio);
} status_steps[] = {
	{ VIRTIO_STATUS_ACKNOWLEDGE, NULL },
	{ VIRTIO_STATUS_DRIVER,      NULL },
	{ VIRTIO_STATUS_FEATURES_OK, freeze_features },
	{ VIRTIO_STATUS_DRIVER_OK,   go_live },
};

static void climb_status(struct virtio_mmio *mmio, uint32_t val)
{
	for (size_t i = 0; i < countof(status_steps); i++) {
		const uint32_t bit = status_steps[i].bit;

		if (mmio->status & bit)
			continue;
		if (!(val & bit) || (status_steps[i].enter && !status_steps[i].enter(mmio)))
			return;
		mmio->status |= bit;
	}
}

void virtio_status_write(struct virtio_mmio *mmio, uint32_t val)
{
	const uint32_t broken = VIRTIO_STATUS_FAILED | VIRTIO_STATUS_NEEDS_RESET;

	if (!val) {
		virtio_status_reset(mmio);
		return;
	}
	/*
	 * 2.1.1: the driver never clears a bit, except by a reset. NEEDS_RESET is the device's
	 * own.
	 */
	if (mmio->status & ~val & ~VIRTIO_STATUS_NEEDS_RESET)
		return;
	mmio->status |= val & VIRTIO_STATUS_FAILED;
	if (mmio->status & broken)
		mmio->dev->is_live = false;
	else
		climb_status(mmio, val);
}
