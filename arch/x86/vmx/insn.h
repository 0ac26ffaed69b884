/* SPDX-License-Identifier: MIT */
#pragma once
/* The VMX instructions, one function each. VMfail is reported through CF and ZF (SDM vol. 3, 31.2 "Conventions"). */
#include <stdbool.h>
#include <stdint.h>

static inline bool vmxon(uint64_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
	return !failed;
}

static inline void vmxoff(void) { __asm__ volatile("vmxoff" : : : "cc", "memory"); }

static inline bool vmclear(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmclear %1; setna %0" : "=qm"(failed) : "m"(vmcs) : "cc", "memory");
	return !failed;
}

static inline bool vmptrld(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmptrld %1; setna %0" : "=qm"(failed) : "m"(vmcs) : "cc", "memory");
	return !failed;
}

/* A field that every processor we accept has. */
static inline uint64_t vmread(uint64_t field)
{
	uint64_t val;

	__asm__ volatile("vmread %1, %0" : "=r"(val) : "r"(field) : "cc");
	return val;
}

/* One that it may lack: VMfail leaves the destination untouched, so it reads as 0 here. */
static inline uint64_t vmread_optional(uint64_t field)
{
	uint64_t val = 0;

	__asm__ volatile("vmread %1, %0" : "+r"(val) : "r"(field) : "cc");
	return val;
}

/* Writing a field that the processor lacks does nothing; the controls decide which ones we use. */
static inline void vmwrite(uint64_t field, uint64_t val)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(field), "rm"(val) : "cc");
}

struct inv_descriptor { uint64_t first, second; };

static inline void invept(uint64_t type, uint64_t eptp)
{
	struct inv_descriptor descriptor = { eptp, 0 };

	__asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
	struct inv_descriptor descriptor = { vpid, 0 };

	__asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

#define INVEPT_SINGLE		1U
#define INVEPT_ALL		2U
#define INVVPID_SINGLE		1U
#define INVVPID_ALL		2U
