/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Everything a guest can see, as named and versioned sections: what a saved VM consists of.
 *
 * A device is `struct x { struct x_state s; wiring }`. The state is plain data of fixed width without a pointer,
 * and its times are ticks of the VM's own clock (hv/vm_clock.h). A section says where such a state lies within
 * an object; an object that exists several times (a local APIC, a virtio window) has an instance number.
 *
 * A saved state is a header and one record for each section, in any order. It may come from anywhere and hold
 * anything: state_load checks the whole buffer before it changes a byte, and after_load makes the contents safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_NAME_MAX	16U

struct state_section {
	const char *name;		/* shorter than STATE_NAME_MAX */
	uint32_t    version;		/* raised whenever the layout of the state changes */
	size_t      offset, size;	/* of the device in its object; of its state, the device's first member */
	/*
	 * The state was loaded, or the VM's clock was started or stopped: bound what is used as an index or a divisor,
	 * compute what is derived, set lines, arm timers. Called with the device; a second call changes nothing. May
	 * be NULL.
	 */
	void      (*after_load)(void *device);
};

/* The section of member `dev` of struct `type`. Does not compile unless the state is the device's first member. */
#define STATE_SECTION(type, dev, number, fn) {						\
	.name = #dev, .version = (number), .offset = offsetof(type, dev.s) +		\
		0 * sizeof(char[offsetof(type, dev.s) == offsetof(type, dev) ? 1 : -1]),	\
	.size = sizeof(((type *)NULL)->dev.s), .after_load = (fn),			\
}

struct state_object {
	void                       *base;
	const struct state_section *sections;
	size_t                      count;
	uint32_t                    instance;
};

struct state_error {
	const char *what;		/* NULL: nothing went wrong */
	char        section[STATE_NAME_MAX];
	uint32_t    instance;
};

/* Bytes that state_save writes. */
size_t state_size(const struct state_object *objects, size_t count);

/* Write all sections; the number of bytes, or 0 when there is no room for them. */
size_t state_save(const struct state_object *objects, size_t count, void *buffer, size_t room);

/*
 * Read all sections. False, with *error filled and nothing changed, when a section of the VM is missing, has another
 * version or size, or the buffer holds one that the VM does not have. Calls no after_load: state_settle follows.
 */
__attribute__((warn_unused_result))
bool state_load(const struct state_object *objects, size_t count, const void *buffer, size_t len,
		struct state_error *error);

/* Call every after_load, in the order of the objects and sections. */
void state_settle(const struct state_object *objects, size_t count);

/*
 * Make a loaded bool 0 or 1, for after_load functions: a saved state may hold any byte, and C leaves
 * undefined what a bool with another value does.
 */
void state_fix_bool(bool *flag);
