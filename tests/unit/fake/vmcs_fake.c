/* SPDX-License-Identifier: MIT */
/* The VMCS of host tests; contract in vmcs_fake.h. */
#include "vmcs_fake.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/vmx/vmx_cpu.h"
#include "cpu_fake.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"

static struct { uint32_t encoding; char kind; uint64_t val; } fields[] = {
#define ROW(encoding, id, text, kind) { encoding, #kind[0], 0 },
	VMX_FIELDS(ROW)
#undef ROW
};

static struct vmx_vcpu vmx_vcpu;
struct vmcs_fake_counts vmcs_fake_counts;

static size_t index_of(uint64_t field)
{
	for (size_t i = 0; i < countof(fields); i++)
		if (fields[i].encoding == field)
			return i;
	fprintf(stderr, "VMCS field %#lx does not exist\n", (unsigned long)field);
	abort();
}

void vmcs_fake_init(struct vcpu *vcpu)
{
	for (size_t i = 0; i < countof(fields); i++)
		fields[i].val = 0;
	memset(&vmx_vcpu, 0, sizeof(vmx_vcpu));
	memset(&vmcs_fake_counts, 0, sizeof(vmcs_fake_counts));
	cpu_fake_install();
	cpu_fake.current = &vmx_vcpu;
	vcpu->arch = &vmx_vcpu;
}

uint64_t vmcs_fake_get(uint32_t field) { return fields[index_of(field)].val; }
void vmcs_fake_set(uint32_t field, uint64_t val) { fields[index_of(field)].val = val; }

uint64_t vmread(uint64_t field) { return fields[index_of(field)].val; }
uint64_t vmread_optional(uint64_t field) { return vmread(field); }

void vmwrite(uint64_t field, uint64_t val)
{
	size_t i = index_of(field);

	if (fields[i].kind == 'R') {
		fprintf(stderr, "VMCS field %#lx is read-only\n", (unsigned long)field);
		abort();
	}
	fields[i].val = val;
}

uint64_t vmcs_fake_vmxon;
bool vmxon(uint64_t region) { vmcs_fake_vmxon = region; return !(region % PAGE_SIZE); }
void vmxoff(void) {}
bool vmclear(uint64_t vmcs)
{
	vmcs_fake_counts.clears++;
	return !(vmcs % PAGE_SIZE);
}

bool vmptrld(uint64_t vmcs) { return !(vmcs % PAGE_SIZE); }

/* A.10: INVEPT is bit 20, its types 1 and 2 bits 25 and 26; INVVPID is bit 32, its types 0 to 3 bits 40 to 43. */
uint64_t vmcs_fake_ept_vpid = UINT64_MAX;

bool invept(uint64_t type, uint64_t eptp)
{
	assert(vmcs_fake_ept_vpid & BIT(20));	/* else #UD */
	vmcs_fake_counts.ept_flushes++;
	return (type == INVEPT_ALL || eptp) && vmcs_fake_ept_vpid & BIT(24 + type);
}

bool invvpid(uint64_t type, uint16_t vpid)
{
	assert(vmcs_fake_ept_vpid & BIT(32));
	vmcs_fake_counts.vpid_floods += type == INVVPID_ALL;
	vmcs_fake_counts.vpid_flushes += type == INVVPID_SINGLE;
	return (type == INVVPID_ALL || vpid) && vmcs_fake_ept_vpid & BIT(40 + type);
}
