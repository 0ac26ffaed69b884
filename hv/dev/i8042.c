/* SPDX-License-Identifier: MIT */
/*
 * i8042 (i8042.h). What needs it: reset by FE (Linux' "kbd" reboot, every teaching kernel), A20 code of boot
 * sectors that waits for an empty input buffer, and probes that must come to "no keyboard" at once instead
 * of running into their time-outs.
 */
#include "hv/dev/i8042.h"

#include "hv/lib/pc.h"
#include "hv/lib/util.h"
#include "hv/state.h"

#define STATUS_OUTPUT_FULL	0x01U
#define STATUS_SYSTEM		0x04U	/* self-test passed */
#define STATUS_COMMAND		0x08U	/* the last write went to port 64h */
#define STATUS_UNLOCKED		0x10U
#define STATUS_TIMEOUT		0x40U

#define CONTROL_KBD_INTERRUPT	0x01U
#define CONTROL_SYSTEM		0x04U
#define CONTROL_KBD_OFF		0x10U
#define CONTROL_AUX_OFF		0x20U

#define OUTPUT_RUN		0x01U	/* low resets the processor */
#define OUTPUT_A20		0x02U

#define CMD_READ_CONTROL	0x20U
#define CMD_WRITE_CONTROL	0x60U
#define CMD_AUX_DISABLE		0xa7U
#define CMD_AUX_ENABLE		0xa8U
#define CMD_AUX_TEST		0xa9U
#define CMD_SELF_TEST		0xaaU
#define CMD_KBD_TEST		0xabU
#define CMD_KBD_DISABLE		0xadU
#define CMD_KBD_ENABLE		0xaeU
#define CMD_READ_INPUT		0xc0U
#define CMD_READ_OUTPUT		0xd0U
#define CMD_WRITE_OUTPUT	0xd1U
#define CMD_KBD_LOOP		0xd2U
#define CMD_AUX_LOOP		0xd3U
#define CMD_AUX_WRITE		0xd4U
#define CMD_A20_OFF		0xddU
#define CMD_A20_ON		0xdfU
#define CMD_PULSE		0xf0U	/* to FF: each clear bit of the low four pulses an output */

#define REPLY_SELF_TEST		0x55U
#define REPLY_LINE_STUCK	0x02U	/* interface tests: clock line stuck high, nothing plugged in */
#define REPLY_RESEND		0xfeU

#define PORT92_RESET		0x01U
#define PORT92_WRITABLE		0x03U
#define CF9_RESET		0x04U
#define CF9_WRITABLE		0x0eU

static void i8042_set_irq(struct i8042 *dev, bool is_high)
{
	dev->s.irq_is_high = is_high;
	irq_set(&dev->irq, is_high);
}

static void i8042_reply(struct i8042 *dev, uint8_t data, uint8_t status)
{
	dev->s.data = data;
	dev->s.status = (uint8_t)((dev->s.status & ~STATUS_TIMEOUT) | STATUS_OUTPUT_FULL | status);
	if (dev->s.control & CONTROL_KBD_INTERRUPT)
		i8042_set_irq(dev, true);
}

static void i8042_request_reset(struct i8042 *dev)
{
	if (dev->reset_requested)
		dev->reset_requested(dev->ctx);
}

static void i8042_set_output(struct i8042 *dev, uint8_t value)
{
	dev->s.output_port = value;
	if (!(value & OUTPUT_RUN))
		i8042_request_reset(dev);
}

/* One row per command: what to answer, what to change in the command byte, or "a parameter follows". */
struct i8042_command {
	uint8_t code;
	bool    has_reply, has_param;
	uint8_t reply;
	uint8_t control_set, control_clear;
};

static const struct i8042_command commands[] = {
	{ .code = CMD_WRITE_CONTROL, .has_param = true },
	{ .code = CMD_WRITE_OUTPUT, .has_param = true },
	{ .code = CMD_KBD_LOOP, .has_param = true },
	{ .code = CMD_AUX_LOOP, .has_param = true },
	{ .code = CMD_AUX_WRITE, .has_param = true },
	{ .code = CMD_SELF_TEST, .has_reply = true, .reply = REPLY_SELF_TEST, .control_set = CONTROL_SYSTEM },
	{ .code = CMD_KBD_TEST, .has_reply = true, .reply = REPLY_LINE_STUCK },
	{ .code = CMD_AUX_TEST, .has_reply = true, .reply = REPLY_LINE_STUCK },
	{ .code = CMD_READ_INPUT, .has_reply = true },
	{ .code = CMD_KBD_DISABLE, .control_set = CONTROL_KBD_OFF },
	{ .code = CMD_KBD_ENABLE, .control_clear = CONTROL_KBD_OFF },
	{ .code = CMD_AUX_DISABLE, .control_set = CONTROL_AUX_OFF },
	{ .code = CMD_AUX_ENABLE, .control_clear = CONTROL_AUX_OFF },
};

/* The commands whose answer or effect is in the controller's own ports. */
static bool i8042_port_command(struct i8042 *dev, uint8_t code)
{
	if (code == CMD_READ_CONTROL)
		i8042_reply(dev, dev->s.control, 0);
	else if (code == CMD_READ_OUTPUT)
		i8042_reply(dev, dev->s.output_port, 0);
	else if (code == CMD_A20_OFF)
		dev->s.output_port &= (uint8_t)~OUTPUT_A20;
	else if (code == CMD_A20_ON)
		dev->s.output_port |= OUTPUT_A20;
	else if (code >= CMD_PULSE && !(code & OUTPUT_RUN))
		i8042_request_reset(dev);
	else
		return false;
	return true;
}

static void i8042_command(struct i8042 *dev, uint8_t code)
{
	dev->s.status |= STATUS_COMMAND;
	dev->s.command = 0;
	if (i8042_port_command(dev, code))
		return;
	for (size_t i = 0; i < countof(commands); i++) {
		const struct i8042_command *row = &commands[i];

		if (row->code != code)
			continue;
		dev->s.control = (uint8_t)((dev->s.control | row->control_set) & ~row->control_clear);
		if (row->has_param)
			dev->s.command = code;
		if (row->has_reply)
			i8042_reply(dev, row->reply, 0);
		return;
	}
}

static void i8042_data(struct i8042 *dev, uint8_t value)
{
	uint8_t command = dev->s.command;

	dev->s.status &= (uint8_t)~STATUS_COMMAND;
	dev->s.command = 0;
	if (command == CMD_WRITE_CONTROL)
		dev->s.control = value;
	else if (command == CMD_WRITE_OUTPUT)
		i8042_set_output(dev, value);
	else if (command == CMD_KBD_LOOP || command == CMD_AUX_LOOP)
		i8042_reply(dev, value, 0);	/* never marked as from the mouse port: there is none */
	else
		i8042_reply(dev, REPLY_RESEND, STATUS_TIMEOUT);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
	struct i8042 *dev = opaque;

	(void)offset;
	(void)size;
	dev->s.status &= (uint8_t)~(STATUS_OUTPUT_FULL | STATUS_TIMEOUT);
	i8042_set_irq(dev, false);
	return dev->s.data;
}

static void data_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	i8042_data(opaque, (uint8_t)value);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct i8042 *dev = opaque;

	(void)offset;
	(void)size;
	return dev->s.status;
}

static void command_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	i8042_command(opaque, (uint8_t)value);
}

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct i8042 *dev = opaque;

	(void)offset;
	(void)size;
	return dev->s.port92;
}

static void port92_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *dev = opaque;
	bool is_rise = value & ~(uint64_t)dev->s.port92 & PORT92_RESET;

	(void)offset;
	(void)size;
	dev->s.port92 = (uint8_t)value & PORT92_WRITABLE;
	if (is_rise)
		i8042_request_reset(dev);
}

static uint64_t cf9_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct i8042 *dev = opaque;

	(void)offset;
	(void)size;
	return dev->s.cf9;
}

static void cf9_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *dev = opaque;
	bool is_rise = value & ~(uint64_t)dev->s.cf9 & CF9_RESET;

	(void)offset;
	(void)size;
	dev->s.cf9 = (uint8_t)value & CF9_WRITABLE;
	if (is_rise)
		i8042_request_reset(dev);
}

static const struct bus_range i8042_ranges[] = {
	{ "i8042 data",    0x060, 1, BUS_SIZE_1, data_read, data_write, NULL },
	{ "i8042 command", 0x064, 1, BUS_SIZE_1, status_read, command_write, NULL },
	{ "port 92",       0x092, 1, BUS_SIZE_1, port92_read, port92_write, NULL },
	{ "reset control", RESET_PORT, 1, BUS_SIZE_1, cf9_read, cf9_write, NULL },
};

int i8042_map(struct i8042 *dev, struct bus *pio)
{
	return bus_add_table(pio, i8042_ranges, countof(i8042_ranges), dev);
}

void i8042_reset(struct i8042 *dev)
{
	dev->s.status = STATUS_SYSTEM | STATUS_UNLOCKED;
	dev->s.data = 0;
	dev->s.control = CONTROL_SYSTEM | CONTROL_KBD_OFF | CONTROL_AUX_OFF;
	dev->s.output_port = OUTPUT_RUN | OUTPUT_A20;
	dev->s.command = 0;
	dev->s.port92 = OUTPUT_A20;
	dev->s.cf9 = 0;
	i8042_set_irq(dev, false);
}

void i8042_after_load(void *opaque)
{
	struct i8042 *dev = opaque;

	state_fix_bool(&dev->s.irq_is_high);
	irq_set(&dev->irq, dev->s.irq_is_high);
}

void i8042_init(struct i8042 *dev, const struct irq_line *irq, void (*reset_requested)(void *), void *ctx)
{
	*dev = (struct i8042){ .irq = *irq, .reset_requested = reset_requested, .ctx = ctx };
	i8042_reset(dev);
}
