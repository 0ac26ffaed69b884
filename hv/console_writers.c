/* SPDX-License-Identifier: MIT */
/*
 * Which guest may put out when the terminal is slower than all of them (the rules of output are in
 * console.c). A port that is refused waits. While several wait, they write in rounds: each VM SHARE bytes in
 * a round. When there is room, those who have some of their share left are called back, in a circle, and
 * write in turns of their VMs.
 *
 * All of it is called with the log's lock, but for console_writer_resume.
 */
#include "hv/console_parts.h"

#include "drivers/uart16550.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define ROOM_AGAIN	2048U		/* call a writer back when this much is free: not for every byte */
#define SHARE		4096U		/* bytes of a VM in a round, while several wait */

static size_t waiting;			/* ports that were refused */
static size_t next_writer;		/* index of the port that is called back first */

size_t console_guest_room(void)
{
	size_t room = serial_room();

	return room > CONSOLE_LOG_RESERVE ? room - CONSOLE_LOG_RESERVE : 0;
}

void console_writer_init(struct console_port *port)
{
	port->was_full = port->is_called = false;
	port->share = SHARE;
}

/* The others who wait may be called back, or begin a new round, now that this one has had its turn. */
static void call_for_writers(void)
{
	if (waiting > 0 && console_guest_room() >= ROOM_AGAIN)
		console_call();
}

size_t console_writer_limit(const struct console_port *port, size_t len)
{
	return waiting > port->was_full ? min_size(len, port->share) : len;
}

void console_writer_wrote(struct console_port *port, size_t taken, bool is_refused)
{
	port->share -= min_size(port->share, taken);
	if (!is_refused || port->was_full)
		return;
	port->was_full = true;
	waiting++;
	console_want();
	call_for_writers();	/* it may have been refused for others' sake, not for want of room */
}

void console_writer_leave(struct console_port *port)
{
	waiting -= port->was_full;
	call_for_writers();
}

/* The port was called back: it writes now. */
void console_writer_resume(struct console_port *port)
{
	log_hold();
	waiting -= port->was_full;
	port->was_full = port->is_called = false;
	log_release();
	if (port->front.writable)
		port->front.writable(port->front.dev);
	log_hold();
	call_for_writers();
	log_release();
}

/* ---- Rounds ---- */

/* How much each stream of a VM may write in a round: all streams of a VM together have one share. */
static size_t fair_share(const struct vm *vm)
{
	size_t streams = 0;

	for (size_t i = 0; i < console_streams.count; i++)
		streams += console_streams.ports[i]->vm == vm && console_streams.ports[i]->was_full;
	return SHARE / max_size(streams, 1);
}

/*
 * A round lasts until nobody who waits has any of its share left. Who was called back and has not had a turn
 * since, because its VM waits for a processor, is waited for as well, but only while the terminal has enough
 * to do: the driver wakes us when half of the ring is sent.
 */
static bool is_round_over(void)
{
	const bool is_half_sent = serial_room() >= serial_size() / 2;

	for (size_t i = 0; i < console_streams.count; i++) {
		const struct console_port *port = console_streams.ports[i];

		if (port->was_full && port->share > 0 && !(port->is_called && is_half_sent))
			return false;
	}
	return true;
}

static void begin_round(void)
{
	for (size_t i = 0; i < console_streams.count; i++)
		console_streams.ports[i]->share = fair_share(console_streams.ports[i]->vm);
}

/* Room for those who were called back and have not written yet. */
static size_t room_of_the_called(void)
{
	size_t room = 0;

	for (size_t i = 0; i < console_streams.count; i++)
		room += console_streams.ports[i]->is_called ? console_streams.ports[i]->share : 0;
	return room;
}

bool console_writers_wait(void)
{
	return waiting;
}

/*
 * Call back as many waiting ports as there is room for, in a circle that begins where it last stopped. They
 * write in turns of their VMs, and whoever comes too late for the room keeps what is left of its share.
 */
void console_writers_poll(void)
{
	const size_t count = console_streams.count;
	size_t room;

	if (!waiting)		/* nearly always, and this is on the way of each interrupt */
		return;
	room = console_guest_room() - min_size(console_guest_room(), room_of_the_called());
	if (is_round_over())
		begin_round();
	for (size_t i = 0; i < count && room >= ROOM_AGAIN; i++) {
		struct console_port *port = console_streams.ports[next_writer++ % count];

		if (!port->was_full || port->is_called || !port->share)
			continue;
		port->is_called = true;
		(void)console_leave_word(port, WISH_WRITABLE);
		room -= min_size(room, port->share);
	}
}
