/* SPDX-License-Identifier: MIT */
/*
 * The virtio-mmio register file (OASIS virtio 1.2, 4.2 "Virtio Over MMIO"). Contract in mmio.h.
 *
 * One table near the end has a row for each register: what reads and writes it. Setters that change
 * something readable call mmio_publish for what they changed.
 *
 * A driver that does things in the wrong order is ignored, not punished: the register keeps its
 * value and the driver can see that by reading it.
 */
#include "hv/virtio/mmio.h"

#include "hv/lib/bits.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define REG_BYTES	4U
#define REG_BITS	32U
#define FEATURE_WORDS	2U		/* selectors that mean something: features are 64 bits */
#define SHM_NONE	UINT32_MAX	/* 4.2.2.1: no such shared-memory region */

/* A row of the table at the end: how one register is read and written. */
struct mmio_reg {
	uint32_t  (*get)(const struct virtio_mmio *mmio);	/* NULL: reads as `constant` */
	void      (*set)(struct virtio_mmio *mmio, uint32_t val);	/* NULL, and no area: writes vanish */
	uint32_t    constant;
	uint16_t    area;	/* offset in struct vq of an address of which this is a half; 0: none */
	uint8_t     half;
};

static const struct mmio_reg mmio_regs[VIRTIO_MMIO_CONFIG / REG_BYTES];

/* What a load of the aligned word at `offset` gives. The shadow page holds exactly this. */
static uint32_t mmio_word(const struct virtio_mmio *mmio, uint64_t offset)
{
	struct virtio_dev *dev = mmio->dev;

	if (offset < VIRTIO_MMIO_CONFIG) {
		const struct mmio_reg *reg = &mmio_regs[index_nospec(offset / REG_BYTES, countof(mmio_regs))];

		return reg->get ? reg->get(mmio) : reg->constant;
	}
	offset -= VIRTIO_MMIO_CONFIG;
	if (!range_fits(offset, REG_BYTES, dev->config_size) || !dev->ops->config_read)
		return 0;
	return (uint32_t)dev->ops->config_read(dev, offset, REG_BYTES);
}

/*
 * Bring the words in [first, end) of the shadow page up to date. A vCPU may be reading it: whole
 * words only.
 */
static void mmio_publish(struct virtio_mmio *mmio, uint32_t first, uint32_t end)
{
	if (!mmio->shadow)
		return;
	for (uint32_t offset = first; offset < end; offset += REG_BYTES)
		*(volatile uint32_t *)&mmio->shadow[offset / REG_BYTES] = mmio_word(mmio, offset);
}

static void publish_reg(struct virtio_mmio *mmio, enum virtio_mmio_reg reg)
{
	mmio_publish(mmio, reg, reg + REG_BYTES);
}

static uint32_t config_end(const struct virtio_mmio *mmio)
{
	return VIRTIO_MMIO_CONFIG + mmio->dev->config_size;
}

/* ---- Interrupts -------------------------------------------------------- */

/* The line is up while InterruptStatus is not 0; it is touched only when that changes. */
void virtio_mmio_set_interrupts(struct virtio_mmio *mmio, uint32_t val)
{
	const bool was_high = mmio->s.interrupt_status, is_high = val;

	mmio->s.interrupt_status = val;
	publish_reg(mmio, VIRTIO_MMIO_InterruptStatus);
	if (is_high != was_high)
		irq_set(&mmio->irq, is_high);
}

static void mmio_interrupt(void *ctx)
{
	struct virtio_mmio *mmio = ctx;

	virtio_mmio_set_interrupts(mmio, mmio->s.interrupt_status | VIRTIO_INT_USED_BUFFER);
}

static void mmio_config_changed(void *ctx)
{
	struct virtio_mmio *mmio = ctx;

	/*
	 * The new contents are stored before the new generation: a driver that has read a mixture of old
	 * and new contents sees that the generation changed, or gets the interrupt.
	 */
	mmio_publish(mmio, VIRTIO_MMIO_CONFIG, config_end(mmio));
	mmio->s.generation++;
	publish_reg(mmio, VIRTIO_MMIO_ConfigGeneration);
	if (mmio->dev->s.is_live)
		virtio_mmio_set_interrupts(mmio, mmio->s.interrupt_status | VIRTIO_INT_CONFIG);
}

/* A driver can do this as often as it likes, so only the first time is worth a line. */
static void complain_once(struct virtio_mmio *mmio, const char *what)
{
	if (!mmio->complained)
		log_warn("%s: the driver %s", mmio->dev->name, what);
	mmio->complained = true;
}

/*
 * 2.1.2: the device has met an error it cannot recover from; the driver is told and has to start
 * over.
 */
static void mmio_needs_reset(void *ctx)
{
	struct virtio_mmio *mmio = ctx;

	complain_once(mmio, "broke its queue; the device waits for a reset");
	mmio->dev->s.is_live = false;
	mmio->s.status |= VIRTIO_STATUS_NEEDS_RESET;
	publish_reg(mmio, VIRTIO_MMIO_Status);
	if (mmio->s.status & VIRTIO_STATUS_DRIVER_OK)
		virtio_mmio_set_interrupts(mmio, mmio->s.interrupt_status | VIRTIO_INT_CONFIG);
}

/* ---- Work put off ------------------------------------------------------ */

void virtio_mmio_later(struct virtio_mmio *mmio, unsigned queue)
{
	mmio->s.later_queues |= 1U << queue;
	work_add(mmio->work_list, &mmio->work);
}

static void mmio_later(void *ctx, unsigned queue)
{
	virtio_mmio_later(ctx, queue);
}

/*
 * The rings of a queue that was made ready, or loaded, are populated before the queue is served: one chunk
 * at each step of work.
 */
static void serve_queue(struct virtio_mmio *mmio, unsigned queue)
{
	struct virtio_dev *dev = mmio->dev;

	if (!dev->queues[queue].s.is_ready)
		return;
	if (!vq_prepare(&dev->queues[queue]))
		virtio_mmio_later(mmio, queue);
	else if (dev->s.is_live)
		dev->ops->notify(dev, queue);
}

/* One queue at a time, so that a step of work is one round of one queue. */
static void run_work(void *ctx)
{
	struct virtio_mmio *mmio = ctx;
	unsigned queue;

	if (!mmio->s.later_queues)
		return;
	queue = (unsigned)__builtin_ctz(mmio->s.later_queues);
	mmio->s.later_queues &= ~(1U << queue);
	if (mmio->s.later_queues)
		work_add(mmio->work_list, &mmio->work);
	serve_queue(mmio, queue);
}

/* ---- Identity and features --------------------------------------------- */

static uint32_t get_device_id(const struct virtio_mmio *mmio) { return mmio->dev->device_id; }

static uint32_t get_device_features(const struct virtio_mmio *mmio)
{
	if (mmio->s.device_features_sel >= FEATURE_WORDS)
		return 0;
	return (uint32_t)(mmio->dev->offered >> (mmio->s.device_features_sel * REG_BITS));
}

static void set_device_features_sel(struct virtio_mmio *mmio, uint32_t val)
{
	mmio->s.device_features_sel = val;
	publish_reg(mmio, VIRTIO_MMIO_DeviceFeatures);
}

static void set_driver_features_sel(struct virtio_mmio *mmio, uint32_t val)
{
	mmio->s.driver_features_sel = val;
}

static void set_half(uint64_t *word, unsigned half, uint32_t val)
{
	const unsigned shift = half * REG_BITS;

	*word = (*word & ~((uint64_t)UINT32_MAX << shift)) | ((uint64_t)val << shift);
}

static void set_driver_features(struct virtio_mmio *mmio, uint32_t val)
{
	const bool is_frozen = mmio->s.status & VIRTIO_STATUS_FEATURES_OK;

	if (mmio->s.driver_features_sel < FEATURE_WORDS && !is_frozen)
		set_half(&mmio->dev->s.accepted, mmio->s.driver_features_sel, val);
}

/* ---- Queues ------------------------------------------------------------ */

/* The one QueueSel names, or NULL: every user has to say what happens without one. */
static struct vq *selected_queue(const struct virtio_mmio *mmio)
{
	struct virtio_dev *dev = mmio->dev;

	return mmio->s.queue_sel < dev->queue_count ? &dev->queues[index_nospec(mmio->s.queue_sel, dev->queue_count)] : NULL;
}

/* ... and only while its size and addresses may be changed: they freeze when it is made ready. */
static struct vq *queue_in_setup(const struct virtio_mmio *mmio)
{
	struct vq *vq = selected_queue(mmio);

	return vq && !vq->s.is_ready ? vq : NULL;
}

static void set_queue_sel(struct virtio_mmio *mmio, uint32_t val)
{
	mmio->s.queue_sel = val;
	publish_reg(mmio, VIRTIO_MMIO_QueueNumMax);
	publish_reg(mmio, VIRTIO_MMIO_QueueReady);
}

static uint32_t get_queue_num_max(const struct virtio_mmio *mmio)
{
	return selected_queue(mmio) ? VQ_SIZE_MAX : 0;
}

static void set_queue_num(struct virtio_mmio *mmio, uint32_t val)
{
	struct vq *vq = queue_in_setup(mmio);

	if (vq)
		vq->s.size = val;		/* vq_activate judges it */
}

static uint32_t get_queue_ready(const struct virtio_mmio *mmio)
{
	const struct vq *vq = selected_queue(mmio);

	return vq && vq->s.is_ready;
}

/* Rings that lie in memory nobody has touched are populated in the VM's own turn. */
static void activate(struct virtio_mmio *mmio, struct vq *vq)
{
	if (!vq_activate(vq))
		complain_once(mmio, "asked for a queue of impossible size or place; it stays off");
	else if (!vq_prepare(vq))
		virtio_mmio_later(mmio, (unsigned)(vq - mmio->dev->queues));
}

static void set_queue_ready(struct virtio_mmio *mmio, uint32_t val)
{
	struct vq *vq = selected_queue(mmio);

	if (!vq)
		return;
	if (!val)
		vq_deactivate(vq);
	else if (!vq->s.is_ready && (mmio->s.status & VIRTIO_STATUS_FEATURES_OK))
		activate(mmio, vq);
	publish_reg(mmio, VIRTIO_MMIO_QueueReady);
}

/* Two halves make an address; the other half is never OR-ed with what stood there before. */
static void set_area(struct virtio_mmio *mmio, const struct mmio_reg *reg, uint32_t val)
{
	struct vq *vq = queue_in_setup(mmio);

	if (vq)
		set_half((uint64_t *)((char *)vq + reg->area), reg->half, val);
}

static void set_queue_notify(struct virtio_mmio *mmio, uint32_t val)
{
	struct virtio_dev *dev = mmio->dev;
	const unsigned queue = (unsigned)index_nospec(val, dev->queue_count);

	if (val < dev->queue_count && dev->s.is_live && dev->queues[queue].s.is_ready)
		dev->ops->notify(dev, queue);
}

/* ---- The rest ---------------------------------------------------------- */

static uint32_t get_status(const struct virtio_mmio *mmio) { return mmio->s.status; }

/* All words are published, because a reset may change each of them. Drivers write this register rarely. */
static void set_status(struct virtio_mmio *mmio, uint32_t val)
{
	virtio_status_write(mmio, val);
	mmio_publish(mmio, 0, config_end(mmio));
}

static uint32_t get_interrupt_status(const struct virtio_mmio *mmio)
{
	return mmio->s.interrupt_status;
}

/*
 * What is left came behind the driver's look at InterruptStatus, and raised no edge, for the line was up. Without one the
 * driver would never look again.
 */
static void set_interrupt_ack(struct virtio_mmio *mmio, uint32_t val)
{
	virtio_mmio_set_interrupts(mmio, mmio->s.interrupt_status & ~val);
	if (mmio->s.interrupt_status) {
		irq_lower(&mmio->irq);
		irq_raise(&mmio->irq);
	}
}

static uint32_t get_config_generation(const struct virtio_mmio *mmio) { return mmio->s.generation; }

#define REG(name)	[VIRTIO_MMIO_##name / REG_BYTES]
#define AREA(field, n)	.area = offsetof(struct vq, s.field), .half = (n)

static const struct mmio_reg mmio_regs[VIRTIO_MMIO_CONFIG / REG_BYTES] = {
	REG(MagicValue)        = { .constant = VIRTIO_MMIO_MAGIC },
	REG(Version)           = { .constant = VIRTIO_MMIO_VERSION },
	REG(DeviceID)          = { .get = get_device_id },
	REG(VendorID)          = { .constant = VIRTIO_MMIO_VENDOR },
	REG(DeviceFeatures)    = { .get = get_device_features },
	REG(DeviceFeaturesSel) = { .set = set_device_features_sel },
	REG(DriverFeatures)    = { .set = set_driver_features },
	REG(DriverFeaturesSel) = { .set = set_driver_features_sel },
	REG(QueueSel)          = { .set = set_queue_sel },
	REG(QueueNumMax)       = { .get = get_queue_num_max },
	REG(QueueNum)          = { .set = set_queue_num },
	REG(QueueReady)        = { .get = get_queue_ready, .set = set_queue_ready },
	REG(QueueNotify)       = { .set = set_queue_notify },
	REG(InterruptStatus)   = { .get = get_interrupt_status },
	REG(InterruptACK)      = { .set = set_interrupt_ack },
	REG(Status)            = { .get = get_status, .set = set_status },
	REG(QueueDescLow)      = { AREA(desc, 0) },
	REG(QueueDescHigh)     = { AREA(desc, 1) },
	REG(QueueDriverLow)    = { AREA(avail, 0) },
	REG(QueueDriverHigh)   = { AREA(avail, 1) },
	REG(QueueDeviceLow)    = { AREA(used, 0) },
	REG(QueueDeviceHigh)   = { AREA(used, 1) },
	REG(SHMLenLow)         = { .constant = SHM_NONE },
	REG(SHMLenHigh)        = { .constant = SHM_NONE },
	REG(SHMBaseLow)        = { .constant = SHM_NONE },
	REG(SHMBaseHigh)       = { .constant = SHM_NONE },
	REG(ConfigGeneration)  = { .get = get_config_generation },
};
_Static_assert(offsetof(struct vq, s.desc) > 0, "area 0 means none");

static void config_write(struct virtio_mmio *mmio, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_dev *dev = mmio->dev;

	if (!range_fits(offset, size, dev->config_size) || !dev->ops->config_write)
		return;
	dev->ops->config_write(dev, offset, size, value);
	mmio_publish(mmio, VIRTIO_MMIO_CONFIG, config_end(mmio));
}

/*
 * Any size at any offset gives the bytes that memory with these words would hold, as the shadow
 * page does.
 */
uint64_t virtio_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct virtio_mmio *mmio = opaque;
	const uint64_t word = align_down(offset, REG_BYTES);
	uint64_t val;

	if (!range_fits(offset, size, VIRTIO_MMIO_PAGE))
		return 0;
	val = mmio_word(mmio, word) | (uint64_t)mmio_word(mmio, word + REG_BYTES) << REG_BITS;
	val >>= (offset - word) * 8;
	return val & access_mask((unsigned)min_size(size, REG_BYTES));
}

/* Apart, so that virtio_mmio_write saves no registers on its way to the device. */
__attribute__((noinline))
static void register_write(struct virtio_mmio *mmio, uint64_t offset, unsigned size, uint64_t value)
{
	const struct mmio_reg *reg;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		config_write(mmio, offset - VIRTIO_MMIO_CONFIG, size, value);
		return;
	}
	/* 4.2.2.2: registers take aligned words only. */
	if (offset % REG_BYTES || size != REG_BYTES)
		return;
	reg = &mmio_regs[index_nospec(offset / REG_BYTES, countof(mmio_regs))];
	if (reg->set)
		reg->set(mmio, (uint32_t)value);
	else if (reg->area)
		set_area(mmio, reg, (uint32_t)value);
}

void virtio_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_mmio *mmio = opaque;

	/* What a running driver writes most: before everything else, and nothing to publish. */
	if (__builtin_expect(offset == VIRTIO_MMIO_QueueNotify && size == REG_BYTES, 1))
		set_queue_notify(mmio, (uint32_t)value);
	else
		register_write(mmio, offset, size, value);
}

void virtio_mmio_page(struct virtio_mmio *mmio, uint32_t *page)
{
	mmio->shadow = page;
	mmio_publish(mmio, 0, VIRTIO_MMIO_PAGE);
}

void virtio_mmio_after_load(void *device)
{
	struct virtio_mmio *mmio = device;

	virtio_status_after_load(mmio);
	mmio->s.later_queues &= (1U << mmio->dev->queue_count) - 1;
	/* Whoever promised to wake a device that holds a request may be another one by now. */
	for (unsigned i = 0; i < mmio->dev->queue_count; i++) {
		struct vq *vq = &mmio->dev->queues[i];

		if (vq->s.is_ready && (!vq_prepare(vq) || vq->s.is_held))
			mmio->s.later_queues |= 1U << i;
	}
	if (mmio->s.later_queues)
		work_add(mmio->work_list, &mmio->work);
	mmio->s.interrupt_status &= VIRTIO_INT_USED_BUFFER | VIRTIO_INT_CONFIG;
	mmio_publish(mmio, 0, config_end(mmio));
	irq_set(&mmio->irq, mmio->s.interrupt_status != 0);
}

void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_dev *dev, struct gpm *gpm,
		      struct irq_line irq, struct work_list *work_list)
{
	*mmio = (struct virtio_mmio){ .dev = dev, .irq = irq, .work_list = work_list };
	mmio->work = (struct work){ .run = run_work, .ctx = mmio };
	dev->interrupt = mmio_interrupt;
	dev->config_changed = mmio_config_changed;
	dev->later = mmio_later;
	dev->ctx = mmio;
	for (unsigned i = 0; i < dev->queue_count; i++) {
		dev->queues[i].gpm = gpm;
		dev->queues[i].on_broken = mmio_needs_reset;
		dev->queues[i].ctx = mmio;
	}
	virtio_status_reset(mmio);
}
