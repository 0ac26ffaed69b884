/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What trapeze.conf and vms/NAME.conf mean: text in, records and error lines out. Pure; see ini.h for the form.
 * Paths are kept as text here; vms.c turns them into loaded files and file indices.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "boot/ini.h"

#define CONFIG_AS_HOST		UINT32_MAX
#define CONFIG_NUMA_ANY		"any"
#define CONFIG_ATTACH_NONE	"none"	/* as the value of attach; no VM may have this name */

struct config_host {
	struct handoff_host record;	/* complete */
	uint32_t attach_line;		/* where it was given */
	uint32_t overcommit;
	uint32_t timeout;		/* seconds to wait for a key */
};

struct config_file {
	char path[HANDOFF_PATH_MAX];	/* relative to \trapeze\, '/' as separator */
	uint32_t line;			/* where it was given; 0: not at all */
};

struct config_disk {
	struct config_file file;
	struct handoff_disk record;	/* complete but for the index of the file */
};

struct config_vm {
	struct handoff_vm record;	/* complete but for what depends on files: their indices and counts */
	uint32_t cpuset_line;		/* where it was given */
	uint32_t numa_line;		/* where nodes were named */
	uint32_t autostart;
	uint32_t overcommit;		/* CONFIG_AS_HOST: what trapeze.conf says */
	struct config_file kernel, initrd;
	struct config_file modules[HANDOFF_MODULES_MAX];
	struct config_disk disks[HANDOFF_DISKS_MAX];
};

/* Both fill in the defaults first, so a record is complete whatever the text holds. */
void config_parse_host(const struct ini_text *source, struct config_host *host,
		       struct ini_report *report);
void config_parse_vm(const struct ini_text *source, const char *name, struct config_vm *vm,
		     struct ini_report *report);

bool config_overcommits(const struct config_host *host, const struct config_vm *vm);

/* "web.conf" is the description of a VM called "web": 1 yes, 0 not a description, -1 one with a bad name. */
int config_vm_name(const char *file_name, char name[HANDOFF_NAME_MAX]);
/* The order in which VMs are taken: alphabetical, upper and lower case alike. */
int config_name_order(const char *a, const char *b);
/* Is this the same file on a file system that does not distinguish upper and lower case? */
bool config_same_path(const char *a, const char *b);
