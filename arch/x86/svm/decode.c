/* SPDX-License-Identifier: MIT */
/*
 * From AMD's exit words to the neutral structs of decoded.h. Pure: no instruction wrappers, no guest memory;
 * every function is tested with literal words (tests/unit/test_svm_decode.c).
 *
 * Two things the words do not always say are read from the instruction's bytes: how long it is (without
 * next-RIP save) and which register it names (without decode assists). Both check that the bytes are an
 * instruction which causes this exit at all, because guest memory may have changed since (the class of
 * CVE-2016-9377); if not, the caller lets the guest execute what is there now.
 *
 * APM vol. 2, 15.7 to 15.12 and appendix C "SVM Intercept Exit Codes".
 */
#include "arch/x86/svm/exits.h"

#include "arch/x86/emulate/insn.h"
#include "hv/lib/util.h"

/*
 * ---- Segment attributes ----
 *
 * Both vendors keep bits 55:52 and 47:40 of a descriptor. Intel leaves the gap between them, AMD pushes
 * them together. The neutral form (struct segment) is Intel's.
 */

#define RIGHTS_HIGH	FIELD(15, 12)	/* AVL, L, D/B, G */

uint16_t svm_attrib_of(uint32_t rights)
{
	uint64_t attrib = rights & ATTRIB_LOW;

	attrib = field_set(attrib, ATTRIB_HIGH, field_get(rights, RIGHTS_HIGH));
	if (rights & SEG_UNUSABLE)
		attrib &= ~ATTRIB_P;	/* AMD has no "unusable": not present is the same */
	return (uint16_t)attrib;
}

uint32_t svm_rights_of(uint16_t attrib)
{
	uint64_t rights = attrib & ATTRIB_LOW;

	rights = field_set(rights, RIGHTS_HIGH, field_get(attrib, ATTRIB_HIGH));
	if (!(attrib & ATTRIB_P))
		rights |= SEG_UNUSABLE;
	return (uint32_t)rights;
}

/* ---- EXITINFO words ---- */

/* Where the processor does not name the segment, exit_pio_string reads the prefixes of the instruction. */
void svm_decode_string_io(uint64_t info1, bool has_assists, struct pio_access *access)
{
	*access = (struct pio_access){
		.port = (uint16_t)field_get(info1, IOIO_PORT),
		.size = (uint8_t)field_get(info1, IOIO_SIZE),
		.is_in = info1 & IOIO_TYPE_IN,
		.is_rep = info1 & IOIO_REP,
		.addr_size = (uint8_t)(field_get(info1, IOIO_ADDR) * 2),
		.seg = has_assists ? (uint8_t)field_get(info1, IOIO_SEG) : SEG_UNKNOWN,
	};
}

/*
 * The low bits are those of an ordinary page-fault error code, about the nested tables. The guest's own page
 * tables lie at guest-physical addresses too, and reading them may fault like any access: NPF_WALK says so, and
 * the address is then the table's and not the one that the guest's instruction was after (15.25.6).
 */
void svm_decode_npf(uint64_t info1, uint64_t info2, struct npt_fault *fault)
{
	*fault = (struct npt_fault){
		.addr = gpa(info2),
		.is_write = info1 & NPF_RW,
		.is_fetch = info1 & NPF_ID,
		.was_mapped = info1 & NPF_P,
		.in_walk = info1 & NPF_WALK,
	};
}

/* Codes 0 to 15 are reads of CR0 to CR15, 16 to 31 writes; the selective write of CR0 has a code of its own. */
static bool is_cr_write(uint64_t code)
{
	return code == SVM_EXIT_CR0_SEL_WRITE || code >= SVM_EXIT_CR0_WRITE;
}

static uint8_t cr_number(uint64_t code)
{
	if (code == SVM_EXIT_CR0_SEL_WRITE)
		return 0;
	return (uint8_t)(code - (is_cr_write(code) ? SVM_EXIT_CR0_WRITE : SVM_EXIT_CR0_READ));
}

/* With decode assists: true when the word says it all. LMSW, CLTS and SMSW need their bytes even then. */
bool svm_decode_cr(uint64_t code, uint64_t info1, struct cr_access *access)
{
	*access = (struct cr_access){
		.op = is_cr_write(code) ? CR_MOV_TO : CR_MOV_FROM,
		.cr = cr_number(code),
		.gpr = (uint8_t)field_get(info1, MOV_GPR),
	};
	return info1 & MOV_CRX;
}

/* The same from the instruction. LMSW's source is left to the caller, who can read registers and memory. */
bool svm_decode_cr_insn(uint64_t code, const struct insn *insn, struct cr_access *access)
{
	bool is_write = is_cr_write(code);
	uint8_t cr = cr_number(code);

	*access = (struct cr_access){ .cr = cr, .gpr = insn->reg };
	switch (insn->kind) {
	case INSN_MOV_CR:
		access->op = is_write ? CR_MOV_TO : CR_MOV_FROM;
		return insn->cr_dr == cr && insn->to_cr_dr == is_write;
	case INSN_LMSW:
		access->op = CR_LMSW;
		return is_write && cr == 0;
	case INSN_CLTS:
		access->op = CR_CLTS;
		return is_write && cr == 0;
	default:
		return false;
	}
}

/* The code names the debug register and the direction, EXITINFO1 the general register (with decode assists). */
bool svm_decode_dr(uint64_t code, uint64_t info1, struct dr_access *access)
{
	bool is_read = code < SVM_EXIT_DR0_WRITE;

	*access = (struct dr_access){
		.dr = (uint8_t)(code - (is_read ? SVM_EXIT_DR0_READ : SVM_EXIT_DR0_WRITE)),
		.gpr = (uint8_t)field_get(info1, MOV_GPR),
		.is_read = is_read,
	};
	return true;
}

/* The same from the instruction; false when it is not the one that the code speaks of. */
bool svm_decode_dr_insn(uint64_t code, const struct insn *insn, struct dr_access *access)
{
	svm_decode_dr(code, 0, access);
	access->gpr = insn->reg;
	return insn->kind == INSN_MOV_DR && insn->cr_dr == access->dr && insn->to_cr_dr != access->is_read;
}

/* ---- Events ---- */

#define VECTOR_FIRST_IRQ	32U

/*
 * EXITINTINFO: what was being delivered when the exit came. True when it must be delivered again.
 *
 * INT n, INT3 and INTO are not: RIP still points at the instruction, so the guest simply executes it
 * again and the processor pushes the right return address. Injecting them would need the next RIP, which
 * processors without next-RIP save do not tell (APM vol. 2, 15.20 "Event Injection").
 * Which of the others it is, the vector tells: type 3, "exception", is none with vector 2 or one above 31, and EVENTINJ
 * would refuse it as that (15.20).
 */
bool svm_decode_event(uint64_t word, struct vevent *event)
{
	uint64_t type = field_get(word, EVENT_TYPE);
	uint8_t vector = (uint8_t)field_get(word, EVENT_VECTOR);

	*event = (struct vevent){ .is_valid = false };
	if (!(word & EVENT_V) || type == EVENT_TYPE_SOFT)
		return false;
	if (type == EVENT_TYPE_EXCEPTION && (vector == VEC_BP || vector == VEC_OF))
		return false;

	*event = (struct vevent){
		.is_valid = true,
		.type = VEVENT_EXCEPTION,
		.vector = vector,
		.has_error = type == EVENT_TYPE_EXCEPTION && (word & EVENT_EV),
		.error = word & EVENT_EV ? (uint32_t)field_get(word, EVENT_ERRORCODE) : 0,
	};
	if (type == EVENT_TYPE_NMI || (type == EVENT_TYPE_EXCEPTION && vector == VEC_NMI))
		event->type = VEVENT_NMI;
	else if (type == EVENT_TYPE_INTR || vector >= VECTOR_FIRST_IRQ)
		event->type = VEVENT_IRQ;
	return true;
}

/*
 * The word for EVENTINJ. INT1, INT3 and INTO are exceptions here: of the software events AMD's types tell only
 * INT n apart. The word has no place for an instruction length.
 */
uint64_t svm_encode_event(const struct vevent *event)
{
	static const uint8_t types[] = {
		[VEVENT_IRQ] = EVENT_TYPE_INTR,
		[VEVENT_NMI] = EVENT_TYPE_NMI,
		[VEVENT_EXCEPTION] = EVENT_TYPE_EXCEPTION,
		[VEVENT_SOFT_INT] = EVENT_TYPE_SOFT,
		[VEVENT_PRIV_SOFT] = EVENT_TYPE_EXCEPTION,
		[VEVENT_SOFT_EXC] = EVENT_TYPE_EXCEPTION,
	};
	uint64_t word = EVENT_V | event->vector;

	word = field_set(word, EVENT_TYPE, types[event->type]);
	if (event->has_error)
		word = field_set(word | EVENT_EV, EVENT_ERRORCODE, event->error);
	return word;
}

/*
 * EXITINTINFO alone tells an event from a CALL. INT n, INT3 and INTO are no events here: they are instructions.
 * An instruction has a next RIP behind it, an event has none (15.7.1): that decides also where EXITINTINFO still holds
 * the event of an earlier exit.
 */
void svm_decode_task_switch(const struct vmcb *vmcb, struct task_switch *how)
{
	const struct vmcb_control *control = &vmcb->control;
	uint64_t info = control->exitinfo2;
	struct vevent event;

	*how = (struct task_switch){ .selector = (uint16_t)field_get(control->exitinfo1, TASK_SELECTOR) };
	if (info & (TASK_BY_IRET | TASK_BY_JMP)) {
		how->source = info & TASK_BY_IRET ? TASK_IRET : TASK_JMP;
		return;
	}
	how->source = control->exitintinfo & EVENT_V ? TASK_GATE : TASK_CALL;
	how->is_event = svm_decode_event(control->exitintinfo, &event) &&
			(!control->nrip || control->nrip == vmcb->save.rip);
	how->has_error = how->is_event && (info & TASK_HAS_ERROR);
	how->error = how->has_error ? (uint32_t)field_get(info, TASK_ERROR) : 0;
}

/* ---- Instruction length without next-RIP save ---- */

/*
 * Instructions of one form: prefixes, these bytes, nothing more. X(exit, EXITINFO1, bytes). Whoever adds an
 * exit of such an instruction adds a row here too: without it, a handler's EXIT_SKIP has no length on a
 * processor without next-RIP save, and the dispatcher ends the VM for it.
 */
#define INSN_FORMS(X)							\
	X(SVM_EXIT_CPUID,	0, 0x0f, 0xa2)				\
	X(SVM_EXIT_HLT,		0, 0xf4)				\
	X(SVM_EXIT_PAUSE,	0, 0x90)				\
	X(SVM_EXIT_INVD,	0, 0x0f, 0x08)				\
	X(SVM_EXIT_WBINVD,	0, 0x0f, 0x09)				\
	X(SVM_EXIT_WBINVD,	0, 0x0f, 0x08)	/* INVD: some report it so, and it gets the same answer */	\
	X(SVM_EXIT_RDPMC,	0, 0x0f, 0x33)				\
	X(SVM_EXIT_RDTSC,	0, 0x0f, 0x31)				\
	X(SVM_EXIT_MSR,		0, 0x0f, 0x32)				\
	X(SVM_EXIT_MSR,		MSR_INFO_WRITE, 0x0f, 0x30)		\
	X(SVM_EXIT_VMMCALL,	0, 0x0f, 0x01, 0xd9)			\
	X(SVM_EXIT_XSETBV,	0, 0x0f, 0x01, 0xd1)			\
	X(SVM_EXIT_MONITOR,	0, 0x0f, 0x01, 0xc8)			\
	X(SVM_EXIT_MWAIT,	0, 0x0f, 0x01, 0xc9)			\
	X(SVM_EXIT_MWAIT_ARMED,	0, 0x0f, 0x01, 0xc9)			\
	X(SVM_EXIT_RDTSCP,	0, 0x0f, 0x01, 0xf9)

#define FORM_BYTES_MAX	3

static const struct insn_form {
	uint16_t code;
	uint8_t  info1, len;
	uint8_t  bytes[FORM_BYTES_MAX];
} insn_forms[] = {
#define ROW(exit, info, ...) { (exit), (info), sizeof((uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ } },
	INSN_FORMS(ROW)
#undef ROW
};

bool svm_insn_has_form(uint64_t code)
{
	for (size_t i = 0; i < countof(insn_forms); i++)
		if (insn_forms[i].code == code)
			return true;
	return false;
}

static bool is_prefix(uint8_t byte, bool is_64)
{
	static const uint8_t legacy[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	for (size_t i = 0; i < countof(legacy); i++)
		if (byte == legacy[i])
			return true;
	return is_64 && byte >= 0x40 && byte <= 0x4f;	/* REX */
}

/* 0: what stands there is not an instruction that causes this exit. */
unsigned svm_insn_length(uint64_t code, uint64_t info1, bool is_64, const uint8_t *bytes, size_t avail)
{
	size_t skip = 0;

	while (skip < avail && is_prefix(bytes[skip], is_64))
		skip++;
	for (size_t i = 0; i < countof(insn_forms); i++) {
		const struct insn_form *form = &insn_forms[i];
		size_t k = 0;

		if (form->code != code || form->info1 != info1 || skip + form->len > avail)
			continue;
		while (k < form->len && bytes[skip + k] == form->bytes[k])
			k++;
		if (k == form->len)
			return (unsigned)(skip + form->len);
	}
	return 0;
}
