/* SPDX-License-Identifier: MIT */
/*
 * Hardware words to neutral structs: SDM vol. 3, 28.2.1 "Basic VM-Exit Information", table 28-2 (task
 * switches), 28-3 (control registers), 28-4 (MOV DR), 28-5 (I/O instructions); 28.2.5 and table 28-9 (INS
 * and OUTS). EPT violations (table 28-7) are decoded in exits.h.
 *
 * Every function here is pure: words in, struct out, no VMREAD. So a host test can feed it literal words
 * from the manual (tests/unit/test_vmx_decode.c). Bits that the manual leaves undefined are masked here,
 * once.
 */
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx.h"

/* VM-exit instruction information of INS and OUTS. */
#define INSN_ADDR_SIZE	FIELD(9, 7)	/* 0: 16 bits, 1: 32, 2: 64 */
#define INSN_SEGMENT	FIELD(17, 15)	/* of OUTS, overrides included; in the order of enum guest_seg */

/* INS always writes through ES, whatever prefix it has: its segment field is undefined. */
struct pio_access vmx_decode_string_io(uint64_t qual, uint32_t insn_info)
{
	return (struct pio_access){
		.port = (uint16_t)field_get(qual, IOQ_PORT),
		.size = (uint8_t)(field_get(qual, IOQ_SIZE) + 1),
		.is_in = qual & IOQ_IN,
		.is_rep = qual & IOQ_REP,
		.addr_size = (uint8_t)(2U << field_get(insn_info, INSN_ADDR_SIZE)),
		.seg = qual & IOQ_IN ? SEG_ES : (uint8_t)field_get(insn_info, INSN_SEGMENT),
	};
}

/* Which fields mean something depends on the access type: CLTS has none, LMSW only the source data. */
#define CRQ_NUMBER	FIELD(3, 0)
#define CRQ_TYPE	FIELD(5, 4)	/* indexes ops[] below */
#define CRQ_GPR		FIELD(11, 8)	/* in the order of enum gpr, as instructions encode it */
#define CRQ_LMSW	FIELD(31, 16)

struct cr_access vmx_decode_cr(uint64_t qual)
{
	static const enum cr_op ops[] = { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

	return (struct cr_access){
		.op = ops[field_get(qual, CRQ_TYPE)],
		.cr = (uint8_t)field_get(qual, CRQ_NUMBER),
		.gpr = (uint8_t)field_get(qual, CRQ_GPR),
		.lmsw = (uint16_t)field_get(qual, CRQ_LMSW),
	};
}

/*
 * The manual has the number in bits 2:0 and calls bit 3 undefined, because MOV to DR8 to DR15 is #UD before it is an
 * exit. Where it is an exit first, bit 3 is set: it is kept here, and exit/dr.c answers such a number with #UD.
 */
#define DRQ_NUMBER	FIELD(3, 0)
#define DRQ_READ	BIT(4)
#define DRQ_GPR		FIELD(11, 8)

struct dr_access vmx_decode_dr(uint64_t qual)
{
	return (struct dr_access){
		.dr = (uint8_t)field_get(qual, DRQ_NUMBER),
		.gpr = (uint8_t)field_get(qual, DRQ_GPR),
		.is_read = qual & DRQ_READ,
	};
}

#define TSQ_SELECTOR	FIELD(15, 0)
#define TSQ_SOURCE	FIELD(31, 30)	/* in the order of enum task_source */

/*
 * `event` is the event whose delivery the exit cut short (vcpu->pending). A task gate in the IDT is
 * reported as source "task gate" only; which event went through it, and with which error code, is in the
 * IDT-vectoring information. INT n, INT3 and INTO through a gate are the old task's own instructions, after
 * which it goes on: they do not count as events.
 */
struct task_switch vmx_decode_task_switch(uint64_t qual, const struct vevent *event)
{
	struct task_switch how = {
		.selector = (uint16_t)field_get(qual, TSQ_SELECTOR),
		.source = (enum task_source)field_get(qual, TSQ_SOURCE),
	};

	how.is_event = how.source == TASK_GATE && event->is_valid && event->type < VEVENT_SOFT_INT;
	how.has_error = how.is_event && event->has_error;
	how.error = how.has_error ? event->error : 0;
	return how;
}

/*
 * One layout serves three fields: the VM-exit interruption information (what caused the exit), the
 * IDT-vectoring information (what the exit interrupted) and the VM-entry interruption information (what the
 * entry shall deliver): SDM vol. 3, 28.2.2, 28.2.4 and 25.8.3. Only bit 12 differs: undefined or "NMI
 * unblocking" in the first two, reserved in the third, where a set bit fails the entry. A struct vevent has
 * no place for it, so nobody can copy it by accident.
 */
struct vevent vmx_decode_event(uint32_t info, uint32_t error, uint32_t insn_len)
{
	struct vevent event = {
		.is_valid = info & INTR_VALID,
		.type = (enum vevent_type)field_get(info, INTR_TYPE),
		.vector = (uint8_t)field_get(info, INTR_VECTOR),
		.has_error = info & INTR_HAS_ERROR,
		.error = info & INTR_HAS_ERROR ? error : 0,
	};

	if (event.type >= VEVENT_SOFT_INT)	/* INT n, INT1, INT3, INTO: their handlers return behind the instruction */
		event.insn_len = insn_len;
	return event;
}

uint32_t vmx_encode_event(const struct vevent *event)
{
	uint64_t info = INTR_VALID;

	info = field_set(info, INTR_VECTOR, event->vector);
	info = field_set(info, INTR_TYPE, event->type);
	return (uint32_t)(info | (event->has_error ? INTR_HAS_ERROR : 0));
}
