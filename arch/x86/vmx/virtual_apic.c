/* SPDX-License-Identifier: MIT */
/*
 * The processor delivers a guest's interrupts by itself: SDM vol. 3, chapter 30 "APIC Virtualization and Virtual
 * Interrupts". What the local APIC has to do with it, and who has the truth when, is in hv/dev/lapic_page.h.
 *
 * Three controls belong together here. "Virtualize x2APIC mode" and "APIC-register virtualization" let the guest's RDMSR
 * and WRMSR go to the virtual-APIC page, as far as the MSR bitmap lets them pass (bitmaps.c): so EOI, a message to itself
 * and TPR, with CR8, need no exit. "Virtual-interrupt delivery" makes the processor look after each of them, and after
 * each entry, whether the highest vector that is requested (RVI) has a higher class than the one in service (SVI) and
 * TPR; then it delivers it as soon as IF and the shadow of STI allow it. RVI and SVI are a field of the VMCS: the
 * processor does not search the page for them.
 *
 * A vector of the EOI-exit bitmap, which is TMR here, exits at its end, because the I/O APIC waits for it.
 *
 * In xAPIC mode the local APIC stays in software: its page would have to lie in the guest's memory map for each vCPU by
 * itself, which one set of EPT tables for all vCPUs of a VM cannot say. Posted interrupts (pin-based control 7) are not
 * used: no processor here offers them, and a vCPU that runs elsewhere is kicked (hv/request.c).
 */
#include "arch/x86/hw/insn.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/dev/lapic_page.h"
#include "hv/lib/util.h"

/* The guest interrupt status, 25.4.2. */
#define STATUS_RVI	FIELD(7, 0)
#define STATUS_SVI	FIELD(15, 8)

/* CR8 is the page's TPR meanwhile, and needs no exit. */
static void set_controls(struct vmx_vcpu *vmx, bool is_on)
{
	const uint64_t cr8 = PROC_CR8_LOAD | PROC_CR8_STORE;

	vmx->proc_controls = is_on ? (vmx->proc_controls & ~cr8) | PROC_TPR_SHADOW : (vmx->proc_controls & ~PROC_TPR_SHADOW) | cr8;
	vmwrite(VMCS_PROC_CONTROLS, vmx->proc_controls);
	vmwrite(VMCS_PROC_CONTROLS2, vmx->proc2_controls | (is_on ? PROC2_VIRTUAL_APIC : 0));
	vmx_msr_bitmap_x2apic(vmx->msr_bitmap, is_on);
	vmx->delivers = is_on;
}

static uint64_t vector_or_0(int vector) { return vector < 0 ? 0 : (uint64_t)vector; }

/* 64 vectors a field, two words of TMR. */
static void write_eoi_exits(const struct lapic_page *page)
{
	for (unsigned i = 0; i < EOI_EXIT_FIELDS; i++)
		vmwrite(VMCS_EOI_EXIT_BITMAP0 + 2 * i, join32(page->reg[APIC_TMR + 2 * i + 1][0], page->reg[APIC_TMR + 2 * i][0]));
}

static void hand_over(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;
	struct lapic_page *page = vmx->apic_page;
	uint64_t rvi, svi;

	lapic_to_page(&vcpu->lapic, page);
	if (!vmx->delivers)
		set_controls(vmx, true);
	rvi = vector_or_0(lapic_page_highest(page, APIC_IRR));
	svi = vector_or_0(lapic_page_highest(page, APIC_ISR));
	vmwrite(VMCS_GUEST_INTR_STATUS, field_set(field_set(0, STATUS_RVI, rvi), STATUS_SVI, svi));
	write_eoi_exits(page);
}

static void tell(struct vcpu *vcpu)
{
	struct lapic_news news = lapic_take_news(&vcpu->lapic);
	uint64_t status = vmread(VMCS_GUEST_INTR_STATUS);

	if (news.requested > field_get(status, STATUS_RVI))
		vmwrite(VMCS_GUEST_INTR_STATUS, field_set(status, STATUS_RVI, news.requested));
	if (news.levels)
		write_eoi_exits(vcpu->lapic.page);
}

bool vmx_settle_apic(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	if (!lapic_page_fits(&vcpu->lapic) || (quirks.delivers_masked && !vmx_leaves_none_behind(vcpu))) {
		lapic_from_page(&vcpu->lapic);
		if (vmx->delivers)
			set_controls(vmx, false);
		return false;
	}
	if (vcpu->lapic.page)
		tell(vcpu);
	else
		hand_over(vcpu);
	return true;
}
