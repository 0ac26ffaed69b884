/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The small PC every VM gets: which devices, at which addresses, on which wires. This is the list that
 * guest/machine.md and the ACPI tables repeat: change it here and there together. A unit test compares guest/machine.md
 * with a machine that was built.
 *
 *   ports  0020 00a0 04d0  8259 pair          memory  fec00000  I/O APIC, 24 pins
 *          0040-0043 0061  8254, speaker gate          fee00000  local APIC
 *          0060 0064       i8042 (reset only)          d0000000 + 4096 n  virtio-mmio n
 *          0070 0071       RTC and CMOS
 *          0092 0cf9       A20 gate, reset
 *          03f8-03ff       16550, IRQ 4        GSI 16 + n  virtio-mmio n, edge-triggered, active high
 *          0600-060b       ACPI PM1 event, control, timer (SCI on IRQ 9)
 *          00e9 00f4       debug console, exit device
 *          03d4 03d5       cursor of a screen that is not there
 *          00ec            calls of a BIOS that is not there
 */
#include "hv/block.h"
#include "hv/chardev.h"
#include "hv/console.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/bios_trap.h"
#include "hv/dev/crtc.h"
#include "hv/dev/debugcon.h"
#include "hv/dev/i8042.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/pic.h"
#include "hv/dev/pit.h"
#include "hv/dev/rtc.h"
#include "hv/dev/uart16550.h"
#include "hv/memdisk.h"
#include "hv/virtio/blk.h"
#include "hv/virtio/console.h"
#include "hv/virtio/mmio.h"
#include "hv/virtio/rng.h"

#define VIRTIO_MMIO_BASE	0xd0000000ULL
#define VIRTIO_MMIO_SIZE	0x1000ULL
#define VIRTIO_GSI_BASE		16U
#define VIRTIO_DEVS_MAX		8U

/* Wires that the tables of guestboot/ repeat. ISA line n is input n of the I/O APIC, but for the timer's. */
#define ISA_IRQS		16U
#define TIMER_ISA_IRQ		0U
#define TIMER_GSI		2U
#define EXTINT_LINT		0U	/* the 8259's INT, on the boot processor */
#define NMI_LINT		1U

struct vm;

struct machine {
	struct pic       pic;
	struct ioapic    ioapic;
	struct pit       pit;
	struct work      pit_goes_on;	/* in the VM's next turn: until then another rise would find the last one */
	uint64_t         pit_rose;	/* VM time of the last rise that could be heard */
	struct rtc       rtc;
	struct uart16550 uart;
	struct i8042     i8042;
	struct acpi_pm   acpi_pm;
	struct debugcon  debugcon;
	struct bios_trap bios_trap;
	struct crtc      crtc;

	struct virtio_console console;
	struct virtio_rng     rng;
	struct virtio_blk     blk[HANDOFF_DISKS_MAX];
	struct memdisk        disks[HANDOFF_DISKS_MAX];
	uint32_t              virtio_count;	/* windows in use */
	struct virtio_mmio    virtio[VIRTIO_DEVS_MAX];
	void                 *shadow[VIRTIO_DEVS_MAX];	/* pages the guest reads the registers from, without an exit */

	struct console_port   hvc0, ttyS0, e9;
};

/* Build every device of the configuration and put it on the VM's buses. 0 or -1 (logged). */
__attribute__((warn_unused_result)) int machine_create(struct vm *vm);

/* Zero a part of its disks' tables, so that no call takes long; true when nothing is left. Before its first start. */
__attribute__((warn_unused_result)) bool machine_prepare(struct vm *vm);

/* The two halves of its end: take its ports off the console, at once; then free what it has, a part at each call. */
void machine_stop(struct vm *vm);
__attribute__((warn_unused_result)) bool machine_release(struct vm *vm);	/* true: nothing is left */

/* The guest ends its VM in order, through the exit device or by a hypercall; 31 bits of its code count. */
void machine_exit(struct vm *vm, const char *door, uint32_t code);
