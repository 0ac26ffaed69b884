/* SPDX-License-Identifier: MIT */
/*
 * 8259A pair (pic.h). One chip's rules are written once; the pair adds only the cascade: the slave's
 * request is the master's input 2.
 *
 * One deliberate difference from the chip: an edge stays latched when its line drops before the
 * acknowledge (the real one then answers with its spurious vector), because our devices pulse. When such a line
 * rises again, INT falls and rises with it: in modes Fixed and NMI of LINT0 nobody acknowledges, and only
 * edges of INT count.
 */
#include "hv/dev/pic.h"

#include "hv/lib/util.h"
#include "hv/state.h"

#define CASCADE_PIN	2U
#define PINS_PER_CHIP	8U
#define SPURIOUS_PIN	7U

#define MASTER_BASE	0x08U
#define SLAVE_BASE	0x70U
#define ELCR_MASTER	0xf8U	/* timer, keyboard and cascade are always edge-triggered */
#define ELCR_SLAVE	0xdeU	/* so are the clock (8) and the coprocessor (13) */
#define ELCR_SLAVE_RESET 0x02U	/* the SCI (9) is level-triggered */

#define ICW1		0x10U	/* even port, bit 4: initialise */
#define ICW1_IC4	0x01U
#define ICW1_SNGL	0x02U
#define ICW2_BASE	0xf8U
#define ICW4_AEOI	0x02U
#define ICW4_SFNM	0x10U
#define OCW3		0x08U	/* even port, bit 3 with bit 4 clear */
#define OCW3_RIS	0x01U
#define OCW3_RR		0x02U
#define OCW3_POLL	0x04U
#define OCW3_SMM	0x20U
#define OCW3_ESMM	0x40U
#define OCW2_LEVEL	0x07U
#define OCW2_EOI	0x20U
#define OCW2_SPECIFIC	0x40U
#define OCW2_ROTATE	0x80U
#define POLL_REQUEST	0x80U

static const uint8_t elcr_writable[2] = { ELCR_MASTER, ELCR_SLAVE };

enum { STEP_NONE, STEP_ICW2, STEP_ICW3, STEP_ICW4 };

static uint8_t pin_bit(unsigned pin)
{
	return (uint8_t)(1U << pin);
}

/* The pin of highest priority in a set, counted from behind the lowest one; -1 for an empty set. */
static int chip_first(const struct pic_chip *chip, uint8_t set)
{
	for (unsigned i = 1; set && i <= PINS_PER_CHIP; i++) {
		unsigned pin = (chip->lowest + i) % PINS_PER_CHIP;

		if (set & pin_bit(pin))
			return (int)pin;
	}
	return -1;
}

static unsigned chip_rank(const struct pic_chip *chip, unsigned pin)
{
	return (pin - chip->lowest - 1U) % PINS_PER_CHIP;
}

/* The request this chip would present, or -1. */
static int chip_request(const struct pic_chip *chip)
{
	uint8_t blocking = chip->isr;
	int pin = chip_first(chip, chip->irr & (uint8_t)~chip->imr);
	int served;

	if (pin < 0 || chip->init_step)
		return -1;
	if (chip->special_mask)
		blocking &= (uint8_t)~chip->imr;	/* special mask mode: a masked level in service blocks no other */
	if (chip->special_fully_nested && !chip->is_slave)
		blocking &= (uint8_t)~pin_bit(CASCADE_PIN);	/* the slave may interrupt itself */
	served = chip_first(chip, blocking);
	if (served >= 0 && chip_rank(chip, (unsigned)pin) >= chip_rank(chip, (unsigned)served))
		return -1;
	return pin;
}

static void chip_line(struct pic_chip *chip, unsigned pin, bool is_high)
{
	uint8_t bit = pin_bit(pin);
	bool was_high = chip->lines & bit;

	if (is_high)
		chip->lines |= bit;
	else
		chip->lines &= (uint8_t)~bit;

	if (is_high && (!was_high || (chip->elcr & bit)))
		chip->irr |= bit;
	else if (!is_high && (chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
}

/* INTA for one chip: the pin, with IRR and ISR moved on; the spurious pin when the request is gone. */
static unsigned chip_ack(struct pic_chip *chip)
{
	int pin = chip_request(chip);
	uint8_t bit;

	if (pin < 0)
		return SPURIOUS_PIN;
	bit = pin_bit((unsigned)pin);
	if (!(chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_on_aeoi)
		chip->lowest = (uint8_t)pin;
	return (unsigned)pin;
}

/* After every change: carry the slave's request to the master and the master's to the processor. */
static void pic_update(struct pic *pic)
{
	struct pic_chip *master = &pic->s.chip[0];
	bool slave_requests = chip_request(&pic->s.chip[1]) >= 0;
	bool is_high;

	/* The cascade follows the slave's INT as a level, and takes its request back with it. */
	if (slave_requests)
		chip_line(master, CASCADE_PIN, true);
	else {
		chip_line(master, CASCADE_PIN, false);
		master->irr &= (uint8_t)~pin_bit(CASCADE_PIN);
	}

	is_high = chip_request(master) >= 0;
	if (is_high != pic->is_high) {
		pic->is_high = is_high;
		irq_set(&pic->output, is_high);
	}
}

void pic_set_line(struct pic *pic, unsigned pin, bool is_high)
{
	struct pic_chip *chip;
	bool is_repeated;
	uint8_t bit;

	if (pin >= 2 * PINS_PER_CHIP || pin == CASCADE_PIN)
		return;
	chip = &pic->s.chip[pin / PINS_PER_CHIP];
	bit = pin_bit(pin % PINS_PER_CHIP);
	is_repeated = is_high && !(chip->lines & bit) && (chip->irr & bit & (uint8_t)~chip->imr);
	chip_line(chip, pin % PINS_PER_CHIP, is_high);
	pic_update(pic);
	if (is_repeated && pic->is_high) {
		irq_lower(&pic->output);
		irq_raise(&pic->output);
	}
}

bool pic_hears(const struct pic *pic, unsigned pin)
{
	const struct pic_chip *chip = &pic->s.chip[pin / PINS_PER_CHIP % 2];

	return ~(chip->imr & chip->irr) & pin_bit(pin % PINS_PER_CHIP);
}

uint8_t pic_ack(struct pic *pic)
{
	struct pic_chip *chip = &pic->s.chip[0];
	unsigned pin = chip_ack(chip);
	uint8_t vector;

	if (pin == CASCADE_PIN) {
		chip = &pic->s.chip[1];
		pin = chip_ack(chip);
		/* The slave may have more: its INT falls and rises again between two acknowledges. */
		pic->s.chip[0].lines &= (uint8_t)~pin_bit(CASCADE_PIN);
	}
	vector = (uint8_t)(chip->vector_base + pin);
	pic_update(pic);
	return vector;
}

/* ICW1 clears the chip down to its wiring; the edge latches must see a new rise (data sheet, "ICW1"). */
static void chip_init_start(struct pic_chip *chip, uint8_t icw1)
{
	struct pic_chip fresh = {
		.lines = chip->lines, .elcr = chip->elcr, .is_slave = chip->is_slave,
		.vector_base = chip->vector_base, .lowest = SPURIOUS_PIN,
		.irr = chip->lines & chip->elcr,
		.needs_icw4 = icw1 & ICW1_IC4, .is_single = icw1 & ICW1_SNGL,
		.init_step = STEP_ICW2,
	};

	*chip = fresh;
}

static void chip_init_next(struct pic_chip *chip, uint8_t value)
{
	uint8_t after_icw3 = chip->needs_icw4 ? STEP_ICW4 : STEP_NONE;

	switch (chip->init_step) {
	case STEP_ICW2:
		chip->vector_base = value & ICW2_BASE;
		chip->init_step = chip->is_single ? after_icw3 : STEP_ICW3;
		break;
	case STEP_ICW3:		/* the cascade is wired: its number is not ours to choose */
		chip->init_step = after_icw3;
		break;
	default:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->special_fully_nested = value & ICW4_SFNM;
		chip->init_step = STEP_NONE;
		break;
	}
}

/* End of interrupt and rotation: three independent bits and a level. */
static void chip_ocw2(struct pic_chip *chip, uint8_t value)
{
	bool is_specific = value & OCW2_SPECIFIC, is_rotate = value & OCW2_ROTATE;
	uint8_t candidates = chip->isr;
	int pin = value & OCW2_LEVEL;

	if (!(value & OCW2_EOI)) {
		if (is_specific && is_rotate)
			chip->lowest = (uint8_t)pin;		/* set priority */
		else if (!is_specific)
			chip->rotate_on_aeoi = is_rotate;
		return;
	}
	if (!is_specific) {
		if (chip->special_mask)
			candidates &= (uint8_t)~chip->imr;	/* a masked level is ended by a specific EOI only */
		pin = chip_first(chip, candidates);
		if (pin < 0)
			return;
	}
	chip->isr &= (uint8_t)~pin_bit((unsigned)pin);
	if (is_rotate)
		chip->lowest = (uint8_t)pin;
}

static void chip_ocw3(struct pic_chip *chip, uint8_t value)
{
	chip->poll = value & OCW3_POLL;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
}

static uint64_t chip_read(struct pic *pic, struct pic_chip *chip, uint64_t offset)
{
	bool is_pending;
	unsigned pin;

	if (chip->poll) {	/* the read after a poll command is the acknowledge */
		chip->poll = false;
		is_pending = chip_request(chip) >= 0;
		pin = chip_ack(chip);
		pic_update(pic);
		return is_pending ? POLL_REQUEST | pin : pin;
	}
	if (offset)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static void chip_write(struct pic *pic, struct pic_chip *chip, uint64_t offset, uint8_t value)
{
	if (offset) {
		if (chip->init_step)
			chip_init_next(chip, value);
		else if (chip->imr == value)
			return;		/* the mask stays the same: no request appears or goes away */
		else {
			irq_wake(&pic->sleeper);
			chip->imr = value;
		}
	} else if (value & ICW1) {
		irq_wake(&pic->sleeper);
		chip_init_start(chip, value);
	} else if (value & OCW3) {
		chip_ocw3(chip, value);
	} else {
		chip_ocw2(chip, value);
	}
	pic_update(pic);
}

static uint64_t master_read(void *dev, uint64_t offset, unsigned size)
{
	struct pic *pic = dev;

	(void)size;
	return chip_read(pic, &pic->s.chip[0], offset);
}

static void master_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;

	(void)size;
	chip_write(pic, &pic->s.chip[0], offset, (uint8_t)value);
}

static uint64_t slave_read(void *dev, uint64_t offset, unsigned size)
{
	struct pic *pic = dev;

	(void)size;
	return chip_read(pic, &pic->s.chip[1], offset);
}

static void slave_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;

	(void)size;
	chip_write(pic, &pic->s.chip[1], offset, (uint8_t)value);
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
	const struct pic *pic = dev;

	(void)size;
	return pic->s.chip[offset & 1].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;
	struct pic_chip *chip = &pic->s.chip[offset & 1];

	(void)size;
	chip->elcr = (uint8_t)value & elcr_writable[offset & 1];
	chip->irr = (uint8_t)((chip->irr & ~chip->elcr) | (chip->lines & chip->elcr));
	pic_update(pic);
}

static const struct bus_range pic_ranges[] = {
	{ "pic",       0x020, 2, BUS_SIZE_1, master_read, master_write, NULL },
	{ "pic slave", 0x0a0, 2, BUS_SIZE_1, slave_read, slave_write, NULL },
	{ "elcr",      0x4d0, 2, BUS_SIZE_1, elcr_read, elcr_write, NULL },
};

int pic_map(struct pic *pic, struct bus *pio)
{
	return bus_add_table(pio, pic_ranges, countof(pic_ranges), pic);
}

void pic_reset(struct pic *pic)
{
	static const uint8_t base[2] = { MASTER_BASE, SLAVE_BASE };
	static const uint8_t elcr[2] = { 0, ELCR_SLAVE_RESET };

	for (unsigned i = 0; i < 2; i++) {
		struct pic_chip *chip = &pic->s.chip[i];

		*chip = (struct pic_chip){
			.lines = chip->lines, .elcr = elcr[i], .imr = UINT8_MAX, .is_slave = i == 1,
			.vector_base = base[i], .lowest = SPURIOUS_PIN,
		};
		chip->irr = chip->lines & chip->elcr;
	}
	pic_update(pic);
}

static void chip_after_load(struct pic_chip *chip, unsigned number)
{
	bool *const flags[] = {
		&chip->needs_icw4, &chip->is_single, &chip->auto_eoi, &chip->rotate_on_aeoi, &chip->special_mask,
		&chip->special_fully_nested, &chip->read_isr, &chip->poll,
	};

	for (size_t i = 0; i < countof(flags); i++)
		state_fix_bool(flags[i]);
	chip->is_slave = number == 1;
	chip->elcr &= elcr_writable[number];
	chip->vector_base &= ICW2_BASE;
	chip->lowest %= PINS_PER_CHIP;
	if (chip->init_step > STEP_ICW4)
		chip->init_step = STEP_NONE;
}

void pic_after_load(void *dev)
{
	struct pic *pic = dev;

	for (unsigned i = 0; i < 2; i++)
		chip_after_load(&pic->s.chip[i], i);
	pic_update(pic);
	irq_set(&pic->output, pic->is_high);	/* the receiver of the line was loaded as well: tell it the level again */
}

void pic_init(struct pic *pic, const struct irq_line *output)
{
	*pic = (struct pic){ .output = *output };
	pic_reset(pic);
}
