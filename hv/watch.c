/* SPDX-License-Identifier: MIT */
/* Does every processor get on? (Contract in watch.h.) */
#include "hv/watch.h"

#include <stddef.h>

#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/panic.h"
#include "hv/processor.h"

#define ASK_BEATS	3U	/* without one it is asked, by NMIs... */
#define HANG_BEATS	10U	/* ...and blamed */

void watch_answer(void)
{
	host_processor()->watch.beats++;
}

/*
 * One that waits for a lock is as silent as the one that holds it and hangs, and watches nobody meanwhile. So whoever finds one
 * silent looks at all, and asks them as their own watchers would. Who it was is for the dump to say.
 */
static void note_all(struct watch *self)
{
	const struct processor *processor;

	for (uint32_t i = 0; (processor = host_processor_at(i)); i++)
		self->noted[processor->index] = processor->watch.beats;
}

static bool is_silent(const struct watch *self, const struct processor *processor)
{
	return processor->watch.is_on && processor->watch.beats == self->noted[processor->index];
}

static void ask_silent(const struct watch *self)
{
	struct processor *processor;

	for (uint32_t i = 0; (processor = host_processor_at(i)); i++)
		if (is_silent(self, processor))
			host_kick(processor, KICK_ASK);
}

_Noreturn static void blame(const struct watch *self)
{
	struct processor *processor;
	char others[128] = "";
	size_t len = 0;

	for (uint32_t i = 0; (processor = host_processor_at(i)) && len < sizeof(others); i++)
		if (processor != self->other && is_silent(self, processor))
			len += format_buf(others + len, sizeof(others) - len, "%s %u", len ? "," : "; nor do",
					  host_processor_number(processor));
	panic("processor %u makes no progress, since %u s%s", host_processor_number(self->other), self->missed, others);
}

static void look_at_other(struct watch *self)
{
	const struct watch *other = &self->other->watch;
	const uint32_t beats = other->beats;

	if (!other->is_on || beats != self->seen) {
		self->seen = beats;
		self->missed = 0;
	} else if (++self->missed >= HANG_BEATS) {
		blame(self);
	} else if (self->missed > ASK_BEATS) {
		ask_silent(self);
	} else if (self->missed == ASK_BEATS) {
		note_all(self);
		host_kick(self->other, KICK_ASK);
	}
}

static void beat(void *ctx)
{
	struct watch *self = ctx;

	self->beats++;
	look_at_other(self);
	timer_arm(&self->timer, time_now() + time_hz());
}

/* The first processor's place in the ring is behind the last one. */
static struct processor *find_next(const struct processor *self)
{
	struct processor *next = host_processor_at(self->index + 1);

	return next ? next : host_processor_at(0);
}

void watch_begin(void)
{
	struct processor *self = host_processor();
	struct watch *watch = &self->watch;

	watch->other = find_next(self);
	if (watch->other == self)
		return;
	watch->missed = 0;
	watch->is_on = true;
	timer_init(&watch->timer, beat, watch);
	timer_arm(&watch->timer, time_now() + time_hz());
}

void watch_end(void)
{
	struct watch *watch = &host_processor()->watch;

	watch->is_on = false;
	timer_disarm(&watch->timer);
}
