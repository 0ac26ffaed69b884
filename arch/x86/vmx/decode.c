/* SPDX-License-Identifier: MIT */
/*
 * Hardware words to neutral structs. Pure. SDM vol. 3, 28.2.1 "Basic VM-Exit Information", tables 28-3
 * (control registers), 28-2 (task switches), 28-4 (MOV DR), 28-5 (I/O instructions), 28-7 (EPT violations); 28.2.5 and table 28-9
 * (INS and OUTS).
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx.h"

#define INSN_ADDR_SIZE	FIELD(9, 7)	/* 0: 16 bits, 1: 32, 2: 64 */
#define INSN_SEGMENT	FIELD(17, 15)	/* in the order of enum guest_seg */

struct pio_access vmx_decode_io(uint64_t qual, uint32_t insn_info)
{
	struct pio_access access = {
		.port = (uint16_t)field_get(qual, IOQ_PORT),
		.size = (uint8_t)(field_get(qual, IOQ_SIZE) + 1),
		.is_in = qual & IOQ_IN,
		.is_string = qual & IOQ_STRING,
		.is_rep = qual & IOQ_REP,
	};

	if (access.is_string) {
		access.addr_size = (uint8_t)(2U << field_get(insn_info, INSN_ADDR_SIZE));
		access.seg = access.is_in ? SEG_ES : (uint8_t)field_get(insn_info, INSN_SEGMENT);
	}
	return access;
}

#define CRQ_NUMBER	FIELD(3, 0)
#define CRQ_TYPE	FIELD(5, 4)
#define CRQ_GPR		FIELD(11, 8)
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

#define DRQ_NUMBER	FIELD(3, 0)	/* bit 3 is undefined; Bochs exits for DR8 to DR15, and has it set */
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
#define TSQ_SOURCE	FIELD(31, 30)

/* `event` is what was being delivered, if anything was: a gate's reason is nowhere else. */
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

/* IDT-vectoring and VM-exit interruption information share their layout with what an entry injects. */
struct vevent vmx_decode_event(uint32_t info, uint32_t error, uint32_t insn_len)
{
	struct vevent event = {
		.is_valid = info & INTR_VALID,
		.type = (enum vevent_type)field_get(info, INTR_TYPE),
		.vector = (uint8_t)field_get(info, INTR_VECTOR),
		.has_error = info & INTR_HAS_ERROR,
		.error = info & INTR_HAS_ERROR ? error : 0,
	};

	if (event.type >= VEVENT_SOFT_INT)	/* the three that push RIP behind the instruction */
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
