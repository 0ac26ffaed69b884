/* SPDX-License-Identifier: MIT */
/* The machine's last line (contract in end.h). Said by main.c after the last VM, and by panic.c. */
#include "hv/end.h"

#include "hv/log.h"

static const char *id = "";

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
