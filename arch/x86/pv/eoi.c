/* SPDX-License-Identifier: MIT */
/* End of interrupt without an exit (contract in eoi.h, that of the offer in hv/vcpu.h). */
#include "arch/x86/pv/eoi.h"

#include "arch/x86/pv/guest_struct.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EOI_RESERVED	2ULL
#define EOI_WORD	4U	/* bytes, and aligned to as many by the bits of the address */
#define EOI_OFFERED	1U	/* the other bits of the word are the guest's */

bool eoi_write(struct vcpu *vcpu, uint64_t val)
{
	if ((val & EOI_RESERVED) || !guest_struct_accept(&vcpu->vm->gpm, val, EOI_WORD))
		return false;
	lapic_settle(&vcpu->lapic);		/* what was offered was offered in the old word */
	vcpu->pv_eoi = val;
	return true;
}

/*
 * Half of the word is one load and one store, without a walk. The vCPU does not run, so nobody else touches the word but a
 * sibling whose guest is at fault, and that spoils what its own guest reads there.
 */
static bool write_bit(struct vcpu *vcpu, uint16_t half, uint16_t bit)
{
	return gpm_write16(&vcpu->vm->gpm, guest_struct_at(vcpu->pv_eoi), (uint16_t)((half & ~EOI_OFFERED) | bit));
}

static bool read_half(struct vcpu *vcpu, uint16_t *half)
{
	return (vcpu->pv_eoi & PV_ENABLE) && gpm_read16(&vcpu->vm->gpm, guest_struct_at(vcpu->pv_eoi), half);
}

bool vcpu_offer_eoi(struct vcpu *vcpu)
{
	uint16_t half;

	return read_half(vcpu, &half) && write_bit(vcpu, half, EOI_OFFERED);
}

bool vcpu_withdraw_eoi(struct vcpu *vcpu)
{
	uint16_t half;

	if (!read_half(vcpu, &half))
		return false;
	if (half & EOI_OFFERED)
		(void)write_bit(vcpu, half, 0);
	return !(half & EOI_OFFERED);
}
