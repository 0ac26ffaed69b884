/* SPDX-License-Identifier: MIT */
/*
 * Start states as constants, see reset.h. The values are the architecture's, without regard to what a
 * vendor's control block needs beside them: bits VMX fixes in CR0 and CR4 are the backend's business.
 *
 * SDM vol. 3, 10.1.1 "Processor State After Reset", table "IA-32 and Intel 64 Processor States Following
 * Power-up, Reset, or INIT"; APM vol. 2, 14.1.3 "Processor Initialization State" agrees.
 */
#include "arch/x86/virt/reset.h"

#include "arch/x86/hw/cr.h"
#include "hv/lib/pc.h"

#define RIGHTS_DATA	(SEG_P | SEG_S | TYPE_RW | TYPE_ACCESSED)
#define RIGHTS_CODE	(RIGHTS_DATA | TYPE_CODE)
#define RIGHTS_FLAT	(SEG_G | SEG_DB)
#define RIGHTS_LONG	(SEG_G | SEG_L)

#define LIMIT_64KIB	0xffffU
#define LIMIT_4GIB	0xffffffffU

/* Common to every start: LDTR empty, TR a TSS nobody uses (busy: VM entry wants that in every mode), tables at 0 with the real-mode limit. */
static const struct reset_state base_state = {
	.rflags = RFLAGS_ONE,
	.cr0 = CR0_ET,
	.seg = {
		[SEG_LDTR] = { 0, LIMIT_64KIB, 0, SEG_P | TYPE_LDT },
		[SEG_TR] = { 0, LIMIT_64KIB, 0, SEG_P | TYPE_TSS_BUSY },
		[SEG_GDTR] = { 0, LIMIT_64KIB, 0, 0 },
		[SEG_IDTR] = { 0, LIMIT_64KIB, 0, 0 },
	},
};

static const struct segment real_data = { 0, LIMIT_64KIB, 0, RIGHTS_DATA };

static void set_data_segments(struct reset_state *state, const struct segment *data)
{
	static const enum guest_seg data_segs[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < sizeof(data_segs) / sizeof(data_segs[0]); i++)
		state->seg[data_segs[i]] = *data;
}

/*
 * CR0.CD and CR0.NW stay clear: INIT leaves them as they are, and on a PC the firmware has turned the
 * caches on long before the first boot sector or SIPI.
 */
void reset_real_mode(struct reset_state *state, uint16_t segment, uint16_t ip)
{
	*state = base_state;
	state->rip = ip;
	set_data_segments(state, &real_data);
	state->seg[SEG_CS] = (struct segment){
		(uint64_t)segment << REAL_MODE_SHIFT, LIMIT_64KIB, segment, RIGHTS_CODE,
	};
}

void reset_long_mode(struct reset_state *state, uint64_t rip, uint64_t cr3)
{
	const struct segment data = { 0, LIMIT_4GIB, RESET_LINUX_DATA, RIGHTS_DATA | RIGHTS_FLAT };

	*state = base_state;
	state->rip = rip;
	state->cr0 |= CR0_PE | CR0_NE | CR0_PG;
	state->cr3 = cr3;
	state->cr4 = CR4_PAE;
	state->efer = EFER_LME | EFER_LMA;
	set_data_segments(state, &data);
	state->seg[SEG_CS] = (struct segment){ 0, LIMIT_4GIB, RESET_LINUX_CODE, RIGHTS_CODE | RIGHTS_LONG };
	state->seg[SEG_GDTR].limit = 0;
	state->seg[SEG_IDTR].limit = 0;	/* no handlers yet: an exception is a triple fault */
}

void reset_protected_mode(struct reset_state *state, uint32_t eip, uint16_t code_selector, uint16_t data_selector)
{
	const struct segment data = { 0, LIMIT_4GIB, data_selector, RIGHTS_DATA | RIGHTS_FLAT };

	*state = base_state;
	state->rip = eip;
	state->cr0 |= CR0_PE;
	set_data_segments(state, &data);
	state->seg[SEG_CS] = (struct segment){ 0, LIMIT_4GIB, code_selector, RIGHTS_CODE | RIGHTS_FLAT };
	state->seg[SEG_GDTR].limit = 0;
	state->seg[SEG_IDTR].limit = 0;
}
