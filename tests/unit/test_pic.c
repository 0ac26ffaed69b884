/* SPDX-License-Identifier: MIT */
/* hv/dev/pic.c: scripts of port writes, lines and acknowledges, each with what must come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/dev/pic.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

enum op { END, OUT, RAISE, LOWER, ACK, IN, INT, RISES };	/* ACK, IN, INT, RISES (of INT so far): compare with value */

struct step { enum op op; unsigned where, value; };

#define SPURIOUS_MASTER 0x37

/* Linux' vectors 30h and 38h, normal EOI, everything unmasked. */
static void pic_linux(struct bus *bus)
{
	outb(bus, 0x20, 0x11);
	outb(bus, 0x21, 0x30);
	outb(bus, 0x21, 0x04);
	outb(bus, 0x21, 0x01);
	outb(bus, 0xa0, 0x11);
	outb(bus, 0xa1, 0x38);
	outb(bus, 0xa1, 0x02);
	outb(bus, 0xa1, 0x01);
	outb(bus, 0x21, 0x00);
	outb(bus, 0xa1, 0x00);
}

static const struct step edge[] = {
	{ INT, 0, 0 }, { RAISE, 4, 0 }, { INT, 0, 1 }, { IN, 0x20, 0x10 }, { ACK, 0, 0x34 }, { INT, 0, 0 },
	{ OUT, 0x20, 0x0b }, { IN, 0x20, 0x10 },	/* ISR */
	{ RAISE, 4, 0 }, { INT, 0, 0 },			/* still up: no edge */
	{ OUT, 0x20, 0x20 }, { INT, 0, 0 }, { IN, 0x20, 0 },
	{ LOWER, 4, 0 }, { RAISE, 4, 0 }, { LOWER, 4, 0 }, { INT, 0, 1 }, { ACK, 0, 0x34 },	/* latched */
	{ END, 0, 0 },
};

static const struct step priority[] = {
	{ RAISE, 6, 0 }, { ACK, 0, 0x36 }, { RAISE, 7, 0 }, { INT, 0, 0 },	/* lower waits */
	{ RAISE, 1, 0 }, { INT, 0, 1 }, { ACK, 0, 0x31 },			/* higher nests */
	{ OUT, 0x20, 0x20 }, { INT, 0, 0 },		/* ends 1; 6 still blocks 7 */
	{ OUT, 0x20, 0x66 }, { INT, 0, 1 }, { ACK, 0, 0x37 },	/* specific EOI of 6 */
	{ END, 0, 0 },
};

static const struct step cascade[] = {
	{ RAISE, 8, 0 }, { INT, 0, 1 }, { IN, 0x20, 0x04 }, { ACK, 0, 0x38 },
	{ OUT, 0x20, 0x0b }, { OUT, 0xa0, 0x0b }, { IN, 0x20, 0x04 }, { IN, 0xa0, 0x01 },
	{ RAISE, 3, 0 }, { INT, 0, 0 },			/* below the cascade */
	{ RAISE, 12, 0 }, { INT, 0, 0 },
	{ OUT, 0xa0, 0x20 }, { INT, 0, 0 },		/* the master still serves the cascade */
	{ OUT, 0x20, 0x20 }, { INT, 0, 1 }, { ACK, 0, 0x3c }, { OUT, 0xa0, 0x20 }, { OUT, 0x20, 0x20 },
	{ ACK, 0, 0x33 }, { END, 0, 0 },
};

static const struct step spurious[] = {
	{ ACK, 0, SPURIOUS_MASTER }, { OUT, 0x20, 0x0b }, { IN, 0x20, 0 },
	{ OUT, 0x4d1, 0x08 }, { RAISE, 11, 0 }, { OUT, 0x4d1, 0x08 }, { INT, 0, 1 },
	{ LOWER, 11, 0 }, { INT, 0, 0 }, { ACK, 0, SPURIOUS_MASTER }, { END, 0, 0 },
};

static const struct step masked[] = {
	{ OUT, 0x21, 0x10 }, { RAISE, 4, 0 }, { INT, 0, 0 }, { IN, 0x21, 0x10 }, { IN, 0x20, 0x10 },
	{ OUT, 0x21, 0x00 }, { INT, 0, 1 }, { ACK, 0, 0x34 }, { END, 0, 0 },
};

static const struct step level[] = {
	{ OUT, 0x4d1, 0x02 }, { IN, 0x4d1, 0x02 }, { RAISE, 9, 0 }, { ACK, 0, 0x39 }, { INT, 0, 0 },
	{ OUT, 0xa0, 0x20 }, { OUT, 0x20, 0x20 }, { INT, 0, 1 },	/* still asserted */
	{ ACK, 0, 0x39 }, { LOWER, 9, 0 }, { OUT, 0xa0, 0x20 }, { OUT, 0x20, 0x20 }, { INT, 0, 0 }, { END, 0, 0 },
};

static const struct step elcr_fixed[] = {
	{ OUT, 0x4d0, 0xff }, { IN, 0x4d0, 0xf8 }, { OUT, 0x4d1, 0xff }, { IN, 0x4d1, 0xde }, { END, 0, 0 },
};

static const struct step rotation[] = {
	{ OUT, 0x20, 0xc3 }, { RAISE, 3, 0 }, { RAISE, 4, 0 }, { ACK, 0, 0x34 },	/* 3 is lowest now */
	{ OUT, 0x20, 0xa0 }, { ACK, 0, 0x33 },		/* rotate on EOI: 4 becomes lowest */
	{ RAISE, 5, 0 }, { INT, 0, 1 }, { ACK, 0, 0x35 }, { END, 0, 0 },
};

static const struct step special_mask[] = {
	{ RAISE, 2 + 1, 0 }, { ACK, 0, 0x33 }, { RAISE, 6, 0 }, { INT, 0, 0 },
	{ OUT, 0x21, 0x08 }, { OUT, 0x20, 0x68 }, { INT, 0, 1 }, { ACK, 0, 0x36 },
	{ OUT, 0x20, 0x20 }, { OUT, 0x20, 0x0b }, { IN, 0x20, 0x08 },	/* unspecific EOI skips the masked */
	{ OUT, 0x20, 0x63 }, { IN, 0x20, 0 }, { END, 0, 0 },
};

static const struct step poll[] = {
	{ RAISE, 5, 0 }, { OUT, 0x20, 0x0c }, { IN, 0x20, 0x85 }, { INT, 0, 0 },
	{ IN, 0x20, 0 },				/* one command, one answer: this is IRR again */
	{ OUT, 0x20, 0x0b }, { IN, 0x20, 0x20 }, { OUT, 0x20, 0x0c }, { IN, 0x20, 0x07 }, { END, 0, 0 },
};

static const struct step auto_eoi[] = {
	{ OUT, 0x20, 0x11 }, { OUT, 0x21, 0x30 }, { OUT, 0x21, 0x04 }, { OUT, 0x21, 0x03 }, { OUT, 0x21, 0 },
	{ RAISE, 1, 0 }, { ACK, 0, 0x31 }, { OUT, 0x20, 0x0b }, { IN, 0x20, 0 },
	{ RAISE, 6, 0 }, { INT, 0, 1 }, { END, 0, 0 },
};

/* Special fully nested: the slave's higher priority interrupts its own lower one. */
static const struct step sfnm[] = {
	{ OUT, 0x20, 0x11 }, { OUT, 0x21, 0x30 }, { OUT, 0x21, 0x04 }, { OUT, 0x21, 0x11 }, { OUT, 0x21, 0 },
	{ RAISE, 12, 0 }, { ACK, 0, 0x3c }, { RAISE, 8, 0 }, { INT, 0, 1 }, { ACK, 0, 0x38 }, { END, 0, 0 },
};

/* A slave in automatic EOI asks on at once: the master must see that as a new request. */
static const struct step slave_auto_eoi[] = {
	{ OUT, 0xa0, 0x11 }, { OUT, 0xa1, 0x38 }, { OUT, 0xa1, 0x02 }, { OUT, 0xa1, 0x03 }, { OUT, 0xa1, 0 },
	{ RAISE, 8, 0 }, { RAISE, 12, 0 }, { ACK, 0, 0x38 }, { INT, 0, 0 }, { OUT, 0x20, 0x20 }, { INT, 0, 1 },
	{ ACK, 0, 0x3c }, { OUT, 0x20, 0x20 }, { INT, 0, 0 }, { END, 0, 0 },
};

static const struct step init_forgets[] = {
	{ RAISE, 4, 0 }, { OUT, 0x20, 0x11 }, { INT, 0, 0 }, { OUT, 0x21, 0x43 }, { OUT, 0x21, 0x04 },
	{ OUT, 0x21, 0x01 }, { IN, 0x21, 0 }, { INT, 0, 0 }, { LOWER, 4, 0 }, { RAISE, 4, 0 },
	{ ACK, 0, 0x44 }, { END, 0, 0 },		/* low three bits of ICW2 are ignored */
};

/* Nobody acknowledges, as with LINT0 in mode Fixed or NMI: each edge of an unmasked input is one of INT too. */
static const struct step repeated[] = {
	{ RAISE, 4, 0 }, { RISES, 0, 1 }, { LOWER, 4, 0 }, { INT, 0, 1 }, { RAISE, 4, 0 }, { RISES, 0, 2 }, { INT, 0, 1 },
	{ RAISE, 4, 0 }, { RISES, 0, 2 },		/* still up: no edge */
	{ OUT, 0x21, 0x10 }, { LOWER, 4, 0 }, { RAISE, 4, 0 }, { RISES, 0, 2 }, { OUT, 0x21, 0 }, { RISES, 0, 3 },
	{ ACK, 0, 0x34 }, { INT, 0, 0 }, { LOWER, 4, 0 }, { RAISE, 4, 0 }, { RISES, 0, 3 },	/* in service */
	{ END, 0, 0 },
};

/* The cascade is no input: nothing a device says there arrives. Pins that do not exist neither. */
static const struct step no_such_pin[] = {
	{ RAISE, 2, 0 }, { RAISE, 16, 0 }, { RAISE, 0xffffffff, 0 }, { INT, 0, 0 }, { END, 0, 0 },
};

static const struct { const char *name; const struct step *steps; } scripts[] = {
	{ "edge", edge }, { "priority", priority }, { "cascade", cascade }, { "spurious", spurious },
	{ "masked", masked }, { "level", level }, { "elcr_fixed", elcr_fixed }, { "rotation", rotation },
	{ "special_mask", special_mask }, { "poll", poll }, { "auto_eoi", auto_eoi }, { "sfnm", sfnm },
	{ "slave_auto_eoi", slave_auto_eoi }, { "repeated", repeated },
	{ "init_forgets", init_forgets }, { "no_such_pin", no_such_pin },
};

static void expect(const char *name, size_t at, unsigned got, unsigned want)
{
	if (got != want)
		fail_msg("%s, step %zu: got %#x, want %#x", name, at, got, want);
}

static void test_scripts(void **state)
{
	(void)state;
	for (size_t n = 0; row_of(scripts, n); n++) {
		struct line_fake line = { 0 };
		struct irq_line output = line_fake_end(&line);
		struct pic pic;
		struct bus bus;

		bus_init(&bus, "ports");
		pic_init(&pic, &output);
		assert_int_equal(pic_map(&pic, &bus), 0);
		pic_linux(&bus);
		for (size_t i = 0; scripts[n].steps[i].op != END; i++) {
			const struct step *step = &scripts[n].steps[i];

			if (step->op == OUT)
				outb(&bus, step->where, (uint8_t)step->value);
			else if (step->op == RAISE || step->op == LOWER)
				pic_set_line(&pic, step->where, step->op == RAISE);
			else if (step->op == ACK)
				expect(scripts[n].name, i, pic_ack(&pic), step->value);
			else if (step->op == IN)
				expect(scripts[n].name, i, inb(&bus, step->where), step->value);
			else if (step->op == RISES)
				expect(scripts[n].name, i, line.rises, step->value);
			else
				expect(scripts[n].name, i, line.is_high, step->value);
			assert_int_equal(line.is_high, pic.is_high);
		}
	}
}

static void test_reset_state(void **state)
{
	struct line_fake line = { 0 };
	struct irq_line output = line_fake_end(&line);
	struct pic pic;
	struct bus bus;

	(void)state;
	bus_init(&bus, "ports");
	pic_init(&pic, &output);
	assert_int_equal(pic_map(&pic, &bus), 0);
	pic_set_line(&pic, 0, true);
	assert_false(line.is_high);
	outb(&bus, 0x21, 0xfe);		/* a boot sector that only unmasks the timer gets vector 8 */
	assert_true(line.is_high);
	assert_int_equal(pic_ack(&pic), 8);
	pic_set_line(&pic, 9, true);	/* the SCI is level-triggered from the start */
	assert_int_equal(inb(&bus, 0x4d1), 2);
	pic_reset(&pic);
	assert_false(line.is_high);
	assert_int_equal(inb(&bus, 0x21), 0xff);
}

/* Any sequence of writes leaves the pair consistent: an acknowledge gives one of its 16 vectors, output agrees. */
static void test_random(void **state)
{
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	struct line_fake line = { 0 };
	struct irq_line output = line_fake_end(&line);
	uint32_t seed = 1;
	struct pic pic;
	struct bus bus;

	(void)state;
	bus_init(&bus, "ports");
	pic_init(&pic, &output);
	assert_int_equal(pic_map(&pic, &bus), 0);
	for (int i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		uint8_t value = (uint8_t)(seed >> 24), what = (uint8_t)(seed >> 16);

		if (what < 100)
			outb(&bus, ports[what % countof(ports)], value);
		else if (what < 130)
			(void)inb(&bus, ports[what % countof(ports)]);
		else if (what < 230)
			pic_set_line(&pic, value & 0x1f, what & 1);
		else
			(void)pic_ack(&pic);
		assert_int_equal(line.is_high, pic.is_high);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_reset_state),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
