/* SPDX-License-Identifier: MIT */
/* hv/node.c and hv/vm_nodes.c: which memory is of which node, what a VM wants, in which order it gets it, what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/node.h"
#include "hv/vm.h"
#include "hv/vm_nodes.h"

#define GIB	(1ULL << 30)

static struct handoff handoff;
static char said[200];

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	va_list args;

	(void)vm;
	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

static void add_range(uint64_t start, uint64_t length, uint32_t node)
{
	handoff.nodes.ranges[handoff.nodes.range_count++] = (struct handoff_range){ start, length, node, 0 };
}

/* Node 0 is in two parts, node 5 lies between; node 7 has a processor and no memory, node 9 memory and no processor. */
static void start(void)
{
	memset(&handoff, 0, sizeof(handoff));
	add_range(0, 0xa0000, 0);
	add_range(1 << 20, GIB, 0);
	add_range(2 * GIB, GIB, 5);
	add_range(4 * GIB, GIB, 0);
	add_range(5 * GIB, GIB, 9);
	handoff.nodes.ranges[handoff.nodes.range_count] = (struct handoff_range){ 7 * GIB, GIB, 7, 0 };	/* behind the last */
	handoff.nodes.with_memory = BIT(0) | BIT(5) | BIT(9);
	handoff.cpu_count = 4;
	memcpy(handoff.nodes.cpus, (uint8_t[]){ 0, 5, 7, 5, 9 }, 5);
	nodes_init(&handoff);
}

static void test_memory(void **state)
{
	static const struct { uint64_t addr; unsigned node; uint64_t end; } rows[] = {
		{ 0, 0, 2 * GIB }, { 2 * GIB - 1, 0, 2 * GIB }, { 2 * GIB, 5, 4 * GIB }, { 4 * GIB - 1, 5, 4 * GIB },
		{ 4 * GIB, 0, 5 * GIB }, { 5 * GIB, 9, UINT64_MAX }, { 100 * GIB, 9, UINT64_MAX },
	};

	(void)state;
	start();
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(node_of(hpa(rows[i].addr)), rows[i].node);
		assert_true(node_end(rows[i].addr) == rows[i].end);
	}
	handoff.nodes.range_count = 0;
	nodes_init(&handoff);
	assert_int_equal(node_of(hpa(5 * GIB)), 0);
	assert_true(node_end(5 * GIB) == UINT64_MAX);
}

static void test_wishes(void **state)
{
	static const struct { uint64_t cpuset, numa; unsigned processor, first; uint64_t nodes; } rows[] = {
		{ 0, 0, 0, 0, BIT(0) | BIT(5) },		/* all processors; first where it starts */
		{ 0, 0, 1, 5, BIT(0) | BIT(5) },
		{ 0, 0, 2, 0, BIT(0) | BIT(5) },		/* its node has no memory: another of them */
		{ BIT(1) | BIT(3), 0, 3, 5, BIT(5) },
		{ BIT(0), 0, 0, 0, BIT(0) },
		{ BIT(0) | BIT(3), 0, 3, 5, BIT(0) | BIT(5) },
		{ BIT(2), 0, 2, 0, BIT(0) | BIT(5) | BIT(9) },	/* none of its nodes has memory: any */
		{ BIT(0), BIT(9), 0, 9, BIT(9) },		/* as its configuration says */
		{ BIT(0), BIT(5) | BIT(9), 0, 5, BIT(5) | BIT(9) },
		{ BIT(0), BIT(5) | BIT(9), 1, 5, BIT(5) | BIT(9) },
		{ BIT(0), UINT64_MAX, 0, 0, BIT(0) | BIT(5) | BIT(9) },
	};

	(void)state;
	start();
	for (size_t i = 0; row_of(rows, i); i++) {
		const struct handoff_vm config = { .cpuset = rows[i].cpuset, .numa = rows[i].numa };
		const struct node_wish wish = node_wish(&config, rows[i].processor);

		assert_int_equal(wish.first, rows[i].first);
		assert_int_equal(wish.nodes, rows[i].nodes);
	}
}

/* Those behind the last one count for nothing, also when there were more before. */
static void test_processors(void **state)
{
	const struct handoff_vm config = { 0 };

	(void)state;
	start();
	handoff.cpu_count = 5;
	nodes_init(&handoff);
	assert_int_equal(node_wish(&config, 0).nodes, BIT(0) | BIT(5) | BIT(9));
	start();
	assert_int_equal(node_wish(&config, 0).nodes, BIT(0) | BIT(5));
	handoff.cpu_count = 1;
	handoff.nodes.cpus[0] = 9;
	nodes_init(&handoff);
	assert_int_equal(node_wish(&config, 0).nodes, BIT(9));
	assert_int_equal(node_wish(&config, 0).first, 9);
}

/* With one node nothing is counted and nothing is said: a wish for all memory, from the node where it is. */
static void test_one_node(void **state)
{
	const struct handoff_vm config = { .numa = BIT(3) };
	struct node_wish wish;

	(void)state;
	memset(&handoff, 0, sizeof(handoff));
	handoff.nodes.with_memory = BIT(0);
	handoff.cpu_count = 1;
	nodes_init(&handoff);
	wish = node_wish(&(struct handoff_vm){ 0 }, 0);
	assert_int_equal(wish.first, 0);
	assert_int_equal(wish.nodes, 0);
	add_range(0, GIB, 3);
	handoff.nodes.with_memory = BIT(3);
	nodes_init(&handoff);		/* and a processor in a node without memory */
	wish = node_wish(&config, 0);
	assert_int_equal(wish.first, 3);
	assert_int_equal(wish.nodes, 0);
}

static void test_order(void **state)
{
	static const struct { struct node_wish wish; unsigned order[4]; } rows[] = {
		{ { 9, BIT(5) | BIT(9) }, { 9, 5, 0, 99 } },
		{ { 5, BIT(5) }, { 5, 0, 9, 99 } },
		{ { 5, BIT(0) | BIT(5) | BIT(9) }, { 5, 0, 9, 99 } },
		{ { 0, 0 }, { 0, 5, 9, 99 } },
	};

	(void)state;
	start();
	for (size_t i = 0; row_of(rows, i); i++) {
		struct node_walk walk = node_walk(&rows[i].wish);
		unsigned node, n = 0;

		for (; node_next(&walk, &node); n++)
			assert_int_equal(node, rows[i].order[n]);
		assert_int_equal(rows[i].order[n], 99);
	}
}

/* What becomes free later may be of a node that had nothing free at the start: nobody wishes for it, and it is handed out. */
static void test_memory_that_comes_later(void **state)
{
	static const uint64_t without[] = { BIT(9), BIT(5) | BIT(9) };

	for (size_t i = 0; row_of(without, i); i++) {
		struct node_wish wish;
		struct node_walk walk;
		uint64_t found = 0;
		unsigned node;

		(void)state;
		start();
		handoff.nodes.with_memory &= ~without[i];
		nodes_init(&handoff);
		wish = node_wish(&(struct handoff_vm){ 0 }, 0);
		assert_int_equal(wish.nodes & without[i], 0);
		for (walk = node_walk(&wish); node_next(&walk, &node); found |= BIT(node))
			assert_false(found & BIT(node));
		assert_int_equal(found, BIT(0) | BIT(5) | BIT(9));
	}
}

static void test_words(void **state)
{
	static struct vm vm;
	char text[VM_NODES_TEXT];

	(void)state;
	said[0] = '\0';
	assert_string_equal(vm_nodes_text(&vm, text), "");
	vm.gpm.wish = (struct node_wish){ 5, BIT(5) | BIT(9) };
	vm.gpm.chunks[5] = 3;
	vm.gpm.chunks[9] = 1;
	assert_string_equal(vm_nodes_text(&vm, text), "; RAM: 6144 KiB of node 5, 2048 KiB of node 9");
	vm_nodes_report(&vm);
	assert_string_equal(said, "");
	vm.gpm.chunks[0] = 2;
	vm.gpm.chunks[1] = 3;
	vm_nodes_report(&vm);
	assert_string_equal(vm_nodes_text(&vm, text),
			    "; RAM: 4096 KiB of node 0, 6144 KiB of node 1, 6144 KiB of node 5, 2048 KiB of node 9");
	assert_string_equal(said, "10240 KiB of its RAM came from other nodes than wanted: those had no more");
	for (unsigned node = 0; node < HANDOFF_NODES_MAX; node++)
		vm.gpm.chunks[node] = UINT32_MAX;
	assert_int_equal(strlen(vm_nodes_text(&vm, text)), VM_NODES_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory), cmocka_unit_test(test_wishes), cmocka_unit_test(test_processors), cmocka_unit_test(test_one_node),
		cmocka_unit_test(test_order), cmocka_unit_test(test_memory_that_comes_later), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
