/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From a VM's configuration to RAM with a guest in it and the state its boot processor starts in. The
 * protocol is the configured one, or told from the kernel's first bytes (PROTOCOL_AUTO): Linux bzImage,
 * Multiboot 1, boot sector. The VM's RAM slots and machine exist already; its RAM is fresh, all zeros.
 */
struct vm;
struct reset_state;
struct guest_copies;

/* 0, *boot_state and the files to copy; -1 when the image cannot be started: the VM has ended with the reason. */
__attribute__((warn_unused_result))
int loader_load(struct vm *vm, struct reset_state *boot_state, struct guest_copies *copies);
