/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The one contract between the UEFI program and the hypervisor.
 *
 * boot/ fills one struct handoff in memory it allocated, leaves the firmware and jumps to the entry of
 * hv.elf with its physical address in RDI. Everything in it is plain data: no pointers, only physical
 * addresses and indices, so that it can be printed, checked and built by a unit test.
 *
 * State at the jump: long mode, CPL 0, interrupts off, page tables of boot's own (physical memory by itself, and the
 * hypervisor's image at its link address), a stack of 32 KiB, boot services gone, runtime services in physical mode.
 *
 * boot/ fills in magic, version and size; the hypervisor checks them first, and trusts no count beyond the arrays here.
 */
#include <stdint.h>

#define HANDOFF_MAGIC    0x45504152546c6c61ULL
#define HANDOFF_VERSION  1U

#define HANDOFF_NAME_MAX     48
#define HANDOFF_PATH_MAX     128
#define HANDOFF_RUN_ID_MAX   24
#define HANDOFF_CMDLINE_MAX  1024
#define HANDOFF_REGIONS_MAX  512
#define HANDOFF_FILES_MAX    64
#define HANDOFF_CPUS_MAX     256
#define HANDOFF_CPUSET_MAX   64		/* processors that a cpuset can name */
#define HANDOFF_NODES_MAX    64		/* nodes have numbers below it */
#define HANDOFF_NUMA_ANY     UINT64_MAX	/* all nodes, whichever there are */
#define HANDOFF_RANGES_MAX   128	/* of memory, each of one node */
#define HANDOFF_VMS_MAX      32
#define HANDOFF_VCPUS_MAX    64		/* of one VM */
#define HANDOFF_WEIGHT_DEFAULT 100
#define HANDOFF_WEIGHT_MAX   10000
#define HANDOFF_CAP_MAX      (100 * HANDOFF_VCPUS_MAX)	/* percent: more than so many processors no VM can use */
#define HANDOFF_MEMORY_MAX   (60ULL << 30)	/* of one VM: GPM_GIB_MAX less the hole for devices */
#define HANDOFF_DISKS_MAX    4
#define HANDOFF_MODULES_MAX  4
#define HANDOFF_NO_FILE      0xffffffffU
#define HANDOFF_READING_SECONDS 60U	/* the last words of an error stay so long on a screen, if no key is pressed */

/* What a stretch of physical memory is; sorted by start, no overlaps, adjacent equal kinds merged. */
enum handoff_region_kind {
	REGION_FREE = 1,	/* ours to allocate */
	REGION_LOADER,		/* handoff, early page tables and stack: free once hv_main has copied what it needs */
	REGION_FILE,		/* a loaded file: stays until the machine ends */
	REGION_HV,		/* the segments of hv.elf */
	REGION_RUNTIME,		/* firmware runtime code and data: map, never touch */
	REGION_ACPI,		/* ACPI tables and NVS */
	REGION_RESERVED,	/* never touch */
	REGION_MMIO,		/* devices */
};

struct handoff_region {
	uint64_t start, length;
	uint32_t kind;		/* enum handoff_region_kind */
	uint32_t pad;
};

struct handoff_file {
	char path[HANDOFF_PATH_MAX];	/* as the configuration spelt it, '/' as separator */
	uint64_t start, length;		/* physical, page-aligned start; the rest of the last page is zero */
};

struct handoff_cpu {
	uint32_t apic_id;
};

struct handoff_range {
	uint64_t start, length;
	uint32_t node, pad;
};

/*
 * Which memory is near which processors: the proximity domains of ACPI's SRAT under their own numbers, called nodes.
 * A machine without a SRAT that can be used has node 0 alone, and no ranges: all its memory is of that node.
 */
struct handoff_nodes {
	uint64_t with_memory;		/* bit n: there is free memory in node n */
	uint32_t range_count, pad;
	struct handoff_range ranges[HANDOFF_RANGES_MAX];	/* sorted, without overlaps; all free memory lies in them */
	uint8_t cpus[HANDOFF_CPUS_MAX];	/* the node of each processor, in the order of handoff.cpus */
};

/* 32-bit pixels; base 0 when the firmware offers no linear framebuffer. */
struct handoff_framebuffer {
	uint64_t base, length;
	uint32_t width, height, pitch;	/* pitch in bytes */
	uint32_t is_bgr;		/* 1: blue in the lowest byte (the usual case) */
};

enum handoff_protocol { PROTOCOL_AUTO, PROTOCOL_LINUX, PROTOCOL_MULTIBOOT, PROTOCOL_BOOTSECTOR };
enum handoff_disk_mode { DISK_COW, DISK_READONLY, DISK_WRITE };	/* COW: changes are private and vanish at VM end */
enum handoff_console { CONSOLE_AUTO, CONSOLE_VIRTIO, CONSOLE_SERIAL };
enum handoff_scheduler { SCHEDULER_SHARE, SCHEDULER_ROUND_ROBIN };
/* Who delivers the interrupts of its local APIC: whoever does it best here, the processor if it can, or we. */
enum handoff_apic { LAPIC_AUTO, LAPIC_PROCESSOR, LAPIC_SOFTWARE };
enum handoff_action { ACTION_DESTROY, ACTION_RESTART };	/* libvirt's words for on_crash and on_reboot */

struct handoff_disk {
	uint32_t file;		/* index into files */
	uint32_t mode;		/* enum handoff_disk_mode */
	char serial[20];	/* virtio-blk device ID string, not terminated when full */
};

struct handoff_vm {
	char name[HANDOFF_NAME_MAX];	/* the stem of NAME.conf */
	uint32_t vcpus;
	uint32_t weight;		/* its share of a processor in relation to other VMs' there */
	uint32_t cap;			/* at most so many percent of one processor; 0: no such limit */
	uint64_t cpuset;		/* bit n: it may run on processor n; 0: on any */
	uint64_t numa;			/* bit n: its memory is to come from node n; 0: from those of the processors it may run on */
	uint32_t protocol;		/* enum handoff_protocol */
	uint64_t memory;		/* bytes, multiple of 4 KiB */
	uint32_t overcommit;		/* its memory is not kept for it: whether it gets it turns out when it needs it */
	uint32_t kernel, initrd;	/* file indices, HANDOFF_NO_FILE when absent */
	uint32_t disk_count, module_count;
	struct handoff_disk disks[HANDOFF_DISKS_MAX];
	uint32_t modules[HANDOFF_MODULES_MAX];
	uint32_t console;		/* enum handoff_console: which of the guest's consoles gets the input */
	uint32_t on_crash, on_reboot;	/* enum handoff_action */
	uint32_t test_restore;		/* for tests: saved, wiped and restored at so many random exits (hv/restore_test.h) */
	uint32_t test_apic;		/* enum handoff_apic; for tests and comparison */
	char cmdline[HANDOFF_CMDLINE_MAX];
};

/* What trapeze.conf says to hv.elf. */
struct handoff_host {
	uint32_t log_level;		/* enum log_level */
	uint32_t scheduler;		/* enum handoff_scheduler */
	uint32_t stay_on;		/* when_done = halt: do not power off at the end */
	char run_id[HANDOFF_RUN_ID_MAX];	/* a word that the last line repeats, unknown to guests; "" = none */
	char attach[HANDOFF_NAME_MAX];	/* VM whose console owns the terminal; "" = the only one, "none" = nobody */
};

struct handoff {
	uint64_t magic;
	uint32_t version, size;		/* size: sizeof(struct handoff) */

	uint64_t hv_start, hv_length;	/* where the segments of hv.elf lie (physical), one contiguous block */
	uint64_t hv_link;		/* the virtual address of the first byte of that block */
	uint64_t rsdp;			/* 0 when the firmware has none */
	uint64_t efi_reset_system;	/* RuntimeServices->ResetSystem, Microsoft calling convention */
	struct handoff_host host;

	struct handoff_framebuffer framebuffer;

	uint32_t region_count, file_count, cpu_count, vm_count;
	struct handoff_region regions[HANDOFF_REGIONS_MAX];
	struct handoff_file files[HANDOFF_FILES_MAX];
	struct handoff_cpu cpus[HANDOFF_CPUS_MAX];	/* [0] is the boot processor */
	struct handoff_nodes nodes;
	struct handoff_vm vms[HANDOFF_VMS_MAX];
};
