/* SPDX-License-Identifier: MIT */
/*
 * The device status field and what follows from it: reset, feature negotiation, going live,
 * failure (OASIS virtio 1.2, 2.1 "Device Status Field", 3.1 "Device Initialization"). Contract in
 * mmio.h.
 */
#include "hv/virtio/mmio.h"

#include "hv/lib/util.h"
#include "hv/state.h"

#define STATUS_BROKEN	(VIRTIO_STATUS_FAILED | VIRTIO_STATUS_NEEDS_RESET)

void virtio_status_reset(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	dev->s.is_live = false;
	dev->s.accepted = 0;
	if (dev->ops->reset)
		dev->ops->reset(dev);
	for (unsigned i = 0; i < dev->queue_count; i++)
		vq_reset(&dev->queues[i]);
	mmio->s.later_queues = 0;
	mmio->s.status = 0;
	mmio->s.device_features_sel = mmio->s.driver_features_sel = mmio->s.queue_sel = 0;
	virtio_mmio_set_interrupts(mmio, 0);
}

static void tell_queues(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->queue_count; i++) {
		dev->queues[i].s.has_event_idx = dev->s.accepted & VIRTIO_F_EVENT_IDX;
		dev->queues[i].s.has_indirect = dev->s.accepted & VIRTIO_F_INDIRECT_DESC;
	}
}

/*
 * 3.1.1, step 5: a subset of what is offered, and never the legacy interface. From here on it is
 * fixed.
 */
static bool freeze_features(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	if ((dev->s.accepted & ~dev->offered) || !(dev->s.accepted & VIRTIO_F_VERSION_1))
		return false;
	tell_queues(dev);
	return true;
}

/*
 * Serve the queues. A driver that filled or kicked them too early is served now instead of never.
 */
static bool go_live(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	dev->s.is_live = true;
	for (unsigned i = 0; i < dev->queue_count; i++)
		if (dev->queues[i].s.is_ready)
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

		if (mmio->s.status & bit)
			continue;
		if (!(val & bit) || (status_steps[i].enter && !status_steps[i].enter(mmio)))
			return;
		mmio->s.status |= bit;
	}
}

void virtio_status_write(struct virtio_mmio *mmio, uint32_t val)
{
	if (!val) {
		virtio_status_reset(mmio);
		return;
	}
	/*
	 * 2.1.1: the driver never clears a bit, except by a reset. NEEDS_RESET is the device's
	 * own.
	 */
	if (mmio->s.status & ~val & ~VIRTIO_STATUS_NEEDS_RESET)
		return;
	mmio->s.status |= val & VIRTIO_STATUS_FAILED;
	if (mmio->s.status & STATUS_BROKEN)
		mmio->dev->s.is_live = false;
	else
		climb_status(mmio, val);
}

/* ---- Saved and loaded -------------------------------------------------- */

/*
 * Make a loaded state safe: only features that are offered count as accepted, a broken queue or device is
 * not served.
 */
void virtio_status_after_load(struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	dev->s.is_live = (mmio->s.status & VIRTIO_STATUS_DRIVER_OK) && !(mmio->s.status & STATUS_BROKEN);
	for (unsigned i = 0; i < dev->queue_count; i++)
		dev->s.is_live &= !dev->queues[i].s.is_broken;
	dev->s.accepted &= dev->offered;
	if (mmio->s.status & VIRTIO_STATUS_FEATURES_OK)
		tell_queues(dev);
}

static const struct state_section dev_sections[1 + VIRTIO_QUEUES_MAX] = {
	{ "virtio-dev", 1, offsetof(struct virtio_dev, s), sizeof(struct virtio_dev_state), NULL },
	{ "virtio-queue0", 1, offsetof(struct virtio_dev, queues[0]), sizeof(struct vq_state), vq_after_load },
	{ "virtio-queue1", 1, offsetof(struct virtio_dev, queues[1]), sizeof(struct vq_state), vq_after_load },
};
_Static_assert(offsetof(struct vq, s) == 0 && VIRTIO_QUEUES_MAX == 2, "the rows above");

static const struct state_section window_section = {
	"virtio-mmio", 1, offsetof(struct virtio_mmio, s), sizeof(struct virtio_mmio_state), virtio_mmio_after_load,
};

/* The queues first, for the device looks whether one holds a request; the window last, for it serves them. */
size_t virtio_mmio_objects(struct virtio_mmio *mmio, uint32_t instance, struct state_object *to)
{
	struct virtio_dev *dev = mmio->dev;
	size_t count = 0;

	to[count++] = (struct state_object){ dev, dev_sections, 1 + dev->queue_count, instance };
	if (dev->ops->section)
		to[count++] = (struct state_object){ dev, dev->ops->section, 1, instance };
	to[count++] = (struct state_object){ mmio, &window_section, 1, instance };
	return count;
}
