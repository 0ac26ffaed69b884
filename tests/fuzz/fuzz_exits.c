/* SPDX-License-Identifier: MIT */
/*
 * Both vendors' words about an exit, any of them, in front of the adapters of exits.c and the decoders below:
 * what reaches the neutral handlers is within its bounds, an answer is one of the five, and an event survives
 * being written for the next entry. Input: 4 KiB of struct inputs at most, as they lie in memory, each an
 * exit; what is missing of the last is 0.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/exit/record.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/vmx/exits.h"
#include "hv/dev/lapic_page.h"
#include "hv/lib/util.h"
#include "tests/unit/fake/cpu_fake.h"
#include "tests/unit/fake/exits_fake.h"
#include "tests/unit/fake/insn_fake.h"
#include "tests/unit/fake/vcpu_fake.h"
#include "tests/unit/fake/vmcs_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE		0x8000U
#define STEPS_MAX	(4096U / sizeof(struct input))
#define LINEAR_48	0x0000ffffffffffffULL

struct input {
	uint8_t  vendor, mode;		/* bit 0 of each: AMD-V; 64-bit code */
	uint8_t  features;		/* next-RIP save, decode assists */
	uint8_t  flags;			/* NMIs blocked, an IRET seen, our own step */
	uint8_t  code[INSN_MAX + 1];
	uint32_t reason;
	uint32_t intr_info, intr_error, insn_info, insn_len;
	uint64_t info1, info2, event, next_rip, rip, rflags, gpr;
};

static struct vcpu_fake fake;
static struct vmcb vmcb;
static struct svm_vcpu svm;
static void *vmx;
static struct lapic_page page;
static const struct virt_backend *fake_backend;
static bool is_own_step;
struct svm_features svm_features;

/* ---- What stands around the two exits.c ---- */

uint64_t svm_get(struct vcpu *vcpu, enum guest_reg reg) { return fake_backend->get(vcpu, reg); }
void svm_end_shadow(struct vcpu *vcpu) { (void)vcpu; vmcb.control.interrupt_shadow = 0; }
void svm_block_nmi(struct vcpu *vcpu) { vcpu->nmi_blocked = true; }
bool svm_is_own_step(struct vcpu *vcpu, uint64_t *bits) { (void)vcpu; (void)bits; return is_own_step; }
enum exit_result vmx_entry_failed(struct vcpu *vcpu) { return exit_fatal(vcpu, "entry", 0); }

void svm_take_interrupted(struct vcpu *vcpu)
{
	struct vevent event;

	if (svm_decode_event(vmcb.control.exitintinfo, &event))
		vcpu->pending = event;
}

static void must(bool is_true)
{
	if (!is_true)
		abort();
}

/* ---- Bounds ---- */

static void check_facts(bool is_amd)
{
	const struct exits_fake *told = &exits_fake;

	if (!told->name)
		return;
	if (strcmp(told->name, "cr") == 0)
		must(told->cr.op <= CR_LMSW && told->cr.cr < 16 && told->cr.gpr < GPR_COUNT);
	if (strcmp(told->name, "dr") == 0)
		must(told->dr.dr < 16 && told->dr.gpr < GPR_COUNT);
	if (strcmp(told->name, "exception") == 0)
		must(told->exc.int1_len <= INSN_MAX && (told->exc.has_error || !told->exc.error));
	if (strcmp(told->name, "task_switch") == 0)
		must(told->task.source <= TASK_GATE && (!told->task.is_event || told->task.source == TASK_GATE) &&
		     (!told->task.has_error || told->task.is_event));
	if (strcmp(told->name, "pio_string") == 0)
		must(told->pio.seg <= 7 || (is_amd && told->pio.seg == 0xff));
}

/* What is injected is what was interrupted. */
static void check_event(const struct vevent *event, const struct vevent *again)
{
	must(again->is_valid && again->type == event->type && again->vector == event->vector);
	must(again->has_error == event->has_error && again->error == event->error);
}

/* APM vol. 2, 15.7.2: what EXITINTINFO can hold. An error code comes with some exceptions alone, which are below 32. */
static bool is_word_of_manual(uint64_t word)
{
	const uint64_t with_error = BIT(VEC_DF) | FIELD(VEC_PF, VEC_TS) | BIT(VEC_AC);
	const uint64_t type = field_get(word, EVENT_TYPE), vector = field_get(word, EVENT_VECTOR);

	if (type == EVENT_TYPE_EXCEPTION)
		return vector < 32 && (!(word & EVENT_EV) || (with_error & BIT(vector)));
	return !(word & EVENT_EV) && (type == EVENT_TYPE_INTR || (type == EVENT_TYPE_NMI && vector == VEC_NMI));
}

static void check_events(const struct input *in)
{
	struct vevent event = vmx_decode_event((uint32_t)in->event, in->intr_error, in->insn_len), again;

	if (event.is_valid) {
		again = vmx_decode_event(vmx_encode_event(&event), event.error, event.insn_len);
		check_event(&event, &again);
	}
	if (!svm_decode_event(in->event, &event))
		return;
	must(event.type <= VEVENT_EXCEPTION);
	if (is_word_of_manual(in->event)) {
		must(svm_decode_event(svm_encode_event(&event), &again));
		check_event(&event, &again);
	}
}

/* ---- An exit of each ---- */

static uint32_t leave_intel(const struct input *in)
{
	uint32_t row = in->reason % VMX_ROW_COUNT;

	fake.vcpu.arch = vmx;
	vmcs_fake_set(VMCS_EXIT_QUALIFICATION, in->info1);
	vmcs_fake_set(VMCS_GUEST_PHYSICAL_ADDRESS, in->info2);
	vmcs_fake_set(VMCS_EXIT_INTR_INFO, in->intr_info);
	vmcs_fake_set(VMCS_EXIT_INTR_ERROR, in->intr_error);
	vmcs_fake_set(VMCS_EXIT_INSN_INFO, in->insn_info);
	vmcs_fake_set(VMCS_GUEST_RFLAGS, in->rflags);
	vmcs_fake_set(VMCS_GUEST_CS_RIGHTS, in->mode & 1 ? SEG_L : SEG_DB);
	fake.vcpu.exit = (struct exit_record){ .rip = in->rip, .reason = row, .insn_len = in->insn_len % (INSN_MAX + 1) };
	fake.vcpu.pending = vmx_decode_event((uint32_t)in->event, in->intr_error, in->insn_len % (INSN_MAX + 1));
	return row;
}

static uint32_t leave_amd(const struct input *in)
{
	fake.vcpu.arch = &svm;
	fake.vcpu.pending.is_valid = false;
	svm = (struct svm_vcpu){ .vmcb = &vmcb, .iret_seen = in->flags & 2 };
	memset(&vmcb, 0, sizeof(vmcb));
	svm_features = (struct svm_features){ .has_nrips = in->features & 1, .has_decode_assists = in->features & 2 };
	is_own_step = in->flags & 4;
	vmcb.control.exitcode = in->reason & 0x80000000 ? in->reason : in->reason % 0x410;
	vmcb.control.exitinfo1 = in->info1;
	vmcb.control.exitinfo2 = in->info2;
	vmcb.control.exitintinfo = in->event;
	vmcb.control.nrip = in->next_rip;
	vmcb.save.rip = in->rip;
	vmcb.save.rflags = in->rflags;
	vmcb.save.cs.attrib = in->mode & 1 ? ATTRIB_L : ATTRIB_DB;
	svm_read_exit(&fake.vcpu);
	must(fake.vcpu.exit.reason < SVM_ROW_COUNT && fake.vcpu.exit.insn_len <= INSN_MAX);
	return fake.vcpu.exit.reason;
}

static void set_up(const struct input *in)
{
	fake.segs[SEG_CS].rights = SEG_P | SEG_S | 0xb | (in->mode & 1 ? SEG_L : SEG_DB);
	fake.regs[REG_EFER] = in->mode & 1 ? EFER_LMA | EFER_LME : 0;
	fake.regs[REG_RFLAGS] = in->rflags & ~RFLAGS_VM;
	fake.regs[REG_RIP] = in->rip;
	fake.regs[REG_RSP] = in->gpr;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		fake.vcpu.gpr[i] = in->gpr;
	fake.vcpu.nmi_blocked = in->flags & 1;
	vcpu_fake_put(&fake, CODE, in->code, sizeof(in->code));
	fake.is_killed = false;
	fake.vm.end = VM_END_NONE;
	fake.injected = 0;
	exits_fake_init();
	cpu_fake_install();
}

static void run(const struct input *in)
{
	const bool is_amd = in->vendor & 1;
	const struct exit_row *row;
	enum exit_result result;

	set_up(in);
	row = is_amd ? &svm_rows[leave_amd(in)] : &vmx_rows[leave_intel(in)];
	must(row->name || !row->handle);
	if (!row->handle)
		return;
	result = row->handle(&fake.vcpu);
	must(result == EXIT_RESUME || result == EXIT_SKIP || result == EXIT_STOP);
	must((result == EXIT_STOP) == fake.is_killed);
	check_facts(is_amd);
	if (result != EXIT_SKIP)
		return;
	if (is_amd)
		svm_step_over(&fake.vcpu);
	else
		vmx_step_over(&fake.vcpu);
}

static void build(void)
{
	insn_fake_init();
	vcpu_fake_protected(&fake);
	fake_backend = virt;
	vmcs_fake_init(&fake.vcpu);
	vmx = fake.vcpu.arch;
	((struct vmx_vcpu *)vmx)->apic_page = &page;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!vmx)
		build();
	for (unsigned step = 0; step < STEPS_MAX && (step == 0 || size); step++) {
		struct input in = { 0 };
		size_t len = size < sizeof(in) ? size : sizeof(in);

		memcpy(&in, data, len);
		if (in.features & 4)
			in.rip = CODE;		/* aimed at the bytes */
		check_events(&in);
		run(&in);
		data += len;
		size -= len;
	}
	return 0;
}
