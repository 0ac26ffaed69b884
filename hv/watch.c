/* SPDX-License-Identifier: MIT */
/* Does every processor get on? (Contract in watch.h.) */
#include "hv/watch.h"

#include <stddef.h>

#include "hv/host.h"
#include "hv/panic.h"
#include "hv/processor.h"

#define ASK_BEATS	3U	/* without one it is asked, by NMIs... */
#define HANG_BEATS	10U	/* ...and blamed */

void watch_answer(void)
{
	host_processor()->watch.beats++;
}

static void look_at_other(struct watch *self)
{
	const struct watch *other = &self->other->watch;
	const uint32_t beats = other->beats;

	if (!other->is_on || beats != self->seen) {
		self->seen = beats;
		self->missed = 0;
	} else if (++self->missed >= HANG_BEATS) {
		panic("processor %u makes no progress, since %u s", host_processor_number(self->other), self->missed);
	} else if (self->missed >= ASK_BEATS) {
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
