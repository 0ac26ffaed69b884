/* SPDX-License-Identifier: MIT */
#pragma once
/* The configuration on the disk: read it, check it, load what it names, and write it all into the handoff. */
#include "boot/config.h"
#include "boot/file.h"
#include "boot/handoff.h"

/* A file that some VM names: loaded once, whoever else names it. */
struct vms_file {
	const struct config_file *named;	/* by the first one */
	const char *vm;
	uint32_t users;
	bool is_written;
};

struct vms {
	const struct volume *volume;
	uint32_t processors;		/* that the machine has */
	uint64_t nodes;			/* bit n: it has memory in node n */
	struct ini_report report;
	struct config_host host;
	struct config_vm *list;		/* in the order of their numbers, without those with autostart = no */
	uint32_t count;
	struct vms_file files[HANDOFF_FILES_MAX];	/* of the VMs in the list; the index is the handoff's */
	uint32_t file_count;
};

/* trapeze.conf and vms/NAME.conf. Does not return when anything is wrong: every fault has been shown then. */
void vms_read(struct firmware *fw, const struct volume *volume, uint32_t processors, uint64_t nodes, struct vms *vms);
/* Each file once, and the records of the handoff. Does not return either when a file cannot be loaded. */
void vms_load(const struct firmware *fw, struct vms *vms, struct handoff *handoff);
