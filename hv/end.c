/* SPDX-License-Identifier: MIT */
/* The machine's last lines (contract in end.h). Said by main.c after the last VM; the verdict by panic.c, too. */
#include "hv/end.h"

#include "arch/x86/exit/exit.h"
#include "boot/handoff.h"
#include "hv/lib/format.h"
#include "hv/lock.h"
#include "hv/log.h"

static const char *id = "";

static struct lock lock = { .rank = LOCK_LONGEST };
static struct piece {
	char        vm_name[HANDOFF_NAME_MAX];	/* a copy: the VM goes away */
	const char *exit_name;
	uint32_t    ticks;
} longest;

void end_note_exit(const char *vm_name, const char *exit, uint32_t ticks)
{
	lock_take(&lock);
	if (ticks > longest.ticks) {
		longest.ticks = ticks;
		longest.exit_name = exit;
		format_buf(longest.vm_name, sizeof(longest.vm_name), "%s", vm_name);
	}
	lock_drop(&lock);
}

void end_say_longest(void)
{
	struct piece said;

	lock_take(&lock);
	said = longest;
	lock_drop(&lock);
	if (said.ticks)
		log_say("trapeze: the longest piece of work took %u ticks (VM \"%s\", %s)", said.ticks, said.vm_name,
			said.exit_name);
}

void end_init(const char *run_id)
{
	id = run_id;
}

void end_say(uint32_t status, const char *text)
{
	if (id[0])
		log_say("trapeze: END status=%u %s (run %s)", status, text, id);
	else
		log_say("trapeze: END status=%u %s", status, text);
}
