/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM on one processor (struct limb in slot.h): who of its vCPUs takes turns there, and what share of the processor they
 * get together. The VM's weight is divided among its limbs by how many vCPUs want a processor in each, in whole numbers of
 * at least one, so that a VM gets no more by having many. All functions are for the processor of the limb.
 */
#include <stdbool.h>

#include "hv/slot.h"
#include "hv/vm.h"

/* Its vCPUs go nowhere without the others: it has one, a cap, restores to be tested, or does not run. Where one of them lives. */
static inline bool slot_stays_together(const struct slot *slot)
{
	return slot->vcpus == 1 || slot->config->cap || slot->config->test_restore || !slot->vm || !vm_is_alive(slot->vm);
}

/* It lives here: its home says so, and it has been taken in. Of one that lives elsewhere nothing else is looked at. */
static inline bool limb_has(const struct limb *limb, const struct party *party)
{
	return party->look.home == limb->processor && party->turn.in == &limb->vcpus;
}

/* The first vCPU lives here, so this is the home of the VM; all of them do. */
static inline bool limb_is_of_vm(const struct limb *limb) { return limb_has(limb, limb->slot->parties); }
static inline bool limb_is_whole(const struct limb *limb) { return limb->vcpus.count == limb->slot->vcpus; }

/* No vCPU of the VM lives anywhere yet, or all live here: each begins as one that is not ready. */
void limb_start(struct limb *limb);

void limb_join(struct limb *limb, struct party *party);
void limb_leave(struct limb *limb, struct party *party);

void limb_weigh(struct limb *limb);	/* vCPUs elsewhere may have begun or ceased to want a processor */

/* Its vCPU wants this processor, or not. */
void limb_set_ready(struct limb *limb, struct party *party, bool is_ready);

void limb_want(struct limb *limb, bool wants);	/* it takes its turns among the VMs here, or lets them pass */

/* The VM does not run any more: no vCPU here is ready. */
void limb_stop(struct limb *limb);

/* All of them leave, and the limb ceases to take turns. */
void limb_end(struct limb *limb);
