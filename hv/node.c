/* SPDX-License-Identifier: MIT */
/*
 * Nodes (contract in node.h). Memory between two ranges belongs to the one below, what is below all to the first: the
 * firmware's table was compared with an earlier memory map (boot/numa.c), and a page that it left out has to go somewhere.
 */
#include "hv/node.h"

#include "hv/lib/bits.h"
#include "hv/lib/util.h"

static struct {
	uint64_t with_memory;	/* that was free at the start: a VM may wish for it */
	uint64_t any;		/* in which memory may be that is given later, such as what files took: it comes last */
	uint32_t count;		/* of borders; 0: one node */
	struct { uint64_t start; uint8_t node; } borders[HANDOFF_RANGES_MAX];	/* from start on it is this node */
	uint8_t  cpus[HANDOFF_CPUSET_MAX];
	uint32_t cpu_count;
} machine;

void nodes_init(const struct handoff *handoff)
{
	const struct handoff_nodes *from = &handoff->nodes;

	machine.with_memory = machine.any = from->with_memory;
	machine.count = 0;
	for (uint32_t i = 0; i < from->range_count && i < HANDOFF_RANGES_MAX; i++) {
		const uint8_t node = (uint8_t)(from->ranges[i].node % HANDOFF_NODES_MAX);

		if (machine.count && machine.borders[machine.count - 1].node == node)
			continue;
		machine.borders[machine.count].start = from->ranges[i].start;
		machine.borders[machine.count++].node = node;
		machine.any |= BIT(node);
	}
	machine.cpu_count = (uint32_t)min_u64(handoff->cpu_count, HANDOFF_CPUSET_MAX);
	for (uint32_t i = 0; i < HANDOFF_CPUSET_MAX; i++)
		machine.cpus[i] = from->cpus[i] % HANDOFF_NODES_MAX;
}

/* The last border at or below the address. */
static uint32_t border_at(uint64_t addr)
{
	uint32_t at = 0;

	while (at + 1 < machine.count && machine.borders[at + 1].start <= addr)
		at++;
	return at;
}

unsigned node_of(hpa_t addr)
{
	return machine.count ? machine.borders[border_at(addr.raw)].node : 0;
}

uint64_t node_end(uint64_t addr)
{
	const uint32_t next = border_at(addr) + 1;

	return next < machine.count ? machine.borders[next].start : UINT64_MAX;
}

/* ---- Wishes ---- */

/* With memory or without. */
static uint64_t nodes_of(uint64_t cpuset)
{
	uint64_t nodes = 0;

	for (uint32_t i = 0; i < machine.cpu_count; i++)
		if (!cpuset || cpuset & BIT(i))
			nodes |= BIT(machine.cpus[i]);
	return nodes;
}

struct node_wish node_wish(const struct handoff_vm *config, unsigned processor)
{
	struct node_wish wish = { .nodes = config->numa ? config->numa : nodes_of(config->cpuset) };

	wish.nodes &= machine.with_memory;
	if (!wish.nodes)	/* its processors have none of their own: none is nearer than another */
		wish.nodes = machine.with_memory;
	wish.first = machine.cpus[processor % HANDOFF_CPUSET_MAX];
	if (wish.nodes && !(wish.nodes & BIT(wish.first)))
		wish.first = (unsigned)__builtin_ctzll(wish.nodes);
	if (!(machine.with_memory & (machine.with_memory - 1)))
		wish.nodes = 0;		/* there is one node */
	return wish;
}

struct node_walk node_walk(const struct node_wish *wish)
{
	const uint64_t first = BIT(wish->first);

	return (struct node_walk){ { first, wish->nodes & ~first, machine.any & ~wish->nodes & ~first } };
}

bool node_next(struct node_walk *walk, unsigned *node)
{
	for (size_t i = 0; i < countof(walk->left); i++)
		if (walk->left[i]) {
			*node = (unsigned)__builtin_ctzll(walk->left[i]);
			walk->left[i] &= walk->left[i] - 1;
			return true;
		}
	return false;
}
