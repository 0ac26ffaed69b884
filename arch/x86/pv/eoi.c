/* SPDX-License-Identifier: MIT */
/* End of interrupt without an exit (contract in eoi.h, that of the offer in hv/vcpu.h). */
#include "arch/x86/pv/eoi.h"

#include "arch/x86/pv/guest_struct.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EOI_RESERVED	2ULL
#define EOI_WORD	4U	/* bytes, and aligned to as many by the bits of the address */
#define EOI_OFFERED	1U	/* in the first byte of the word; the other bits are the guest's */

bool eoi_write(struct vcpu *vcpu, uint64_t val)
{
	if ((val & EOI_RESERVED) || !guest_struct_accept(&vcpu->vm->gpm, val, EOI_WORD))
		return false;
	lapic_settle_eoi(&vcpu->lapic);		/* what was offered was offered in the old word */
	vcpu->pv_eoi = val;
	return true;
}

static bool write_bit(struct vcpu *vcpu, uint8_t byte, uint8_t bit)
{
	byte = (uint8_t)((byte & ~EOI_OFFERED) | bit);
	return gpm_write(&vcpu->vm->gpm, guest_struct_at(vcpu->pv_eoi), &byte, sizeof(byte));
}

static bool read_byte(struct vcpu *vcpu, uint8_t *byte)
{
	return gpm_read(&vcpu->vm->gpm, guest_struct_at(vcpu->pv_eoi), byte, sizeof(*byte));
}

bool vcpu_offer_eoi(struct vcpu *vcpu)
{
	uint8_t byte;

	return (vcpu->pv_eoi & PV_ENABLE) && read_byte(vcpu, &byte) && write_bit(vcpu, byte, EOI_OFFERED);
}

bool vcpu_withdraw_eoi(struct vcpu *vcpu)
{
	uint8_t byte;

	if (!(vcpu->pv_eoi & PV_ENABLE) || !read_byte(vcpu, &byte))
		return false;
	if (byte & EOI_OFFERED)
		(void)write_bit(vcpu, byte, 0);
	return !(byte & EOI_OFFERED);
}
