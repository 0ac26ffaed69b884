/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The VMX instructions, one function each: SDM vol. 3, chapter 31 "VMX Instruction Reference".
 *
 * They do not raise an exception when something is wrong but set flags (31.2 "Conventions"): CF for
 * VMfailInvalid, ZF for VMfailValid, neither for success. SETNA ("not above": CF or ZF is set) turns both
 * into one bool. Addresses are physical: the operand is the place in memory where the address stands.
 */
#include <stdbool.h>
#include <stdint.h>

/* The region is a page of the processor's until VMXOFF; its first word is the VMCS revision. */
static inline bool vmxon(uint64_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
	return !failed;
}

static inline void vmxoff(void) { __asm__ volatile("vmxoff" : : : "cc", "memory"); }

/* Write back what the processor keeps of this VMCS, and make it one that was never launched. No longer current. */
static inline bool vmclear(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmclear %1; setna %0" : "=qm"(failed) : "m"(vmcs) : "cc", "memory");
	return !failed;
}

/* Make this VMCS the current one. Fails when its first word is not the revision. */
static inline bool vmptrld(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmptrld %1; setna %0" : "=qm"(failed) : "m"(vmcs) : "cc", "memory");
	return !failed;
}

/* A field that every processor we accept has. Flags are not looked at: it cannot fail while a VMCS is current. */
static inline uint64_t vmread(uint64_t field)
{
	uint64_t val;

	__asm__ volatile("vmread %1, %0" : "=r"(val) : "r"(field) : "cc");
	return val;
}

/* A field that the processor may lack: then VMREAD fails and leaves the destination alone, and the result is 0. */
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

/*
 * The operand of INVEPT and INVVPID in memory: the tag first; the second word is 0, or a linear address we
 * never give.
 */
struct inv_descriptor { uint64_t first, second; };

/*
 * Forget translations that went through EPT tables: those of one EPT pointer, or all. Fails when the type is
 * not supported.
 */
static inline bool invept(uint64_t type, uint64_t eptp)
{
	struct inv_descriptor descriptor = { eptp, 0 };
	bool failed;

	__asm__ volatile("invept %1, %2; setna %0" : "=qm"(failed) : "m"(descriptor), "r"(type) : "cc", "memory");
	return !failed;
}

/* Forget translations of linear addresses: those of one VPID, or all. Fails when the type is not supported. */
static inline bool invvpid(uint64_t type, uint16_t vpid)
{
	struct inv_descriptor descriptor = { vpid, 0 };
	bool failed;

	__asm__ volatile("invvpid %1, %2; setna %0" : "=qm"(failed) : "m"(descriptor), "r"(type) : "cc", "memory");
	return !failed;
}

/* Types. IA32_VMX_EPT_VPID_CAP has a bit for each; we accept processors without the single ones (enable.c). */
#define INVEPT_SINGLE		1U
#define INVEPT_ALL		2U
#define INVVPID_SINGLE		1U
#define INVVPID_ALL		2U
