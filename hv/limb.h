/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM on one processor (struct limb in slot.h): who of its vCPUs takes turns there, and what share of the processor they
 * get together. The VM's weight is divided among its limbs by how many vCPUs live in each, so that a VM gets no more by
 * having many. All functions are for the processor of the limb.
 */
#include <stdbool.h>

struct limb;
struct party;
struct run_queue;
struct slot;

/* No vCPU of the VM lives anywhere yet, or all live here: each begins as one that is not ready. */
void limb_start(struct limb *limb);

void limb_join(struct limb *limb, struct party *party);
void limb_leave(struct limb *limb, struct party *party);

/* Its vCPU wants this processor, or not. */
void limb_set_ready(struct limb *limb, struct party *party, bool is_ready);

/* The VM does not run any more: no vCPU here is ready. */
void limb_stop(struct limb *limb);

/* All of them leave, and the limb ceases to take turns. */
void limb_end(struct limb *limb);
