/* SPDX-License-Identifier: MIT */
#pragma once
/* Stand-ins for the VMX instructions, over the one VMCS of tests/unit/fake/vmcs_fake.c. */
#include <stdbool.h>
#include <stdint.h>

bool vmxon(uint64_t region);
void vmxoff(void);
bool vmclear(uint64_t vmcs);
bool vmptrld(uint64_t vmcs);
uint64_t vmread(uint64_t field);
uint64_t vmread_optional(uint64_t field);
void vmwrite(uint64_t field, uint64_t val);
bool invept(uint64_t type, uint64_t eptp);
bool invvpid(uint64_t type, uint16_t vpid);

#define INVEPT_SINGLE		1U
#define INVEPT_ALL		2U
#define INVVPID_SINGLE		1U
#define INVVPID_ALL		2U
