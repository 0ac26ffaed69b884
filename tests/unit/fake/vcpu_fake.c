/* SPDX-License-Identifier: MIT */
/* A vCPU for host tests; contract in vcpu_fake.h. */
#include "vcpu_fake.h"

#include <assert.h>
#include <string.h>

#include "arch/x86/host/cpu_init.h"
#include "arch/x86/host/features.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "release_all.h"

#define DATA_RIGHTS	(SEG_P | SEG_S | 3U)
#define CODE_RIGHTS	(SEG_P | SEG_S | 0xbU)
#define FPU_AREA	4096U		/* XSAVE without AMX */
#define ENTRY_TABLE	7U		/* present, writable, user */
#define LEVELS		4

struct cpu_features cpu_features = { .phys_bits = FAKE_PHYS_BITS };
struct quirks quirks;

static struct vcpu_fake *fake_of(struct vcpu *vcpu) { return container_of(vcpu, struct vcpu_fake, vcpu); }

static uint64_t get(struct vcpu *vcpu, enum guest_reg reg)
{
	const struct vcpu_fake *fake = fake_of(vcpu);

	if (reg == REG_CS_RIGHTS || reg == REG_SS_RIGHTS)
		return fake->segs[reg == REG_CS_RIGHTS ? SEG_CS : SEG_SS].rights;
	return fake->regs[reg];
}

static void set(struct vcpu *vcpu, enum guest_reg reg, uint64_t val)
{
	fake_of(vcpu)->regs[reg] = val;
	fake_of(vcpu)->cr3_loads += reg == REG_CR3;
}

static void get_seg(struct vcpu *vcpu, enum guest_seg seg, struct segment *to)
{
	assert(seg < SEG_COUNT);
	*to = fake_of(vcpu)->segs[seg];
}

static void set_seg(struct vcpu *vcpu, enum guest_seg seg, const struct segment *from)
{
	assert(seg < SEG_COUNT);
	fake_of(vcpu)->segs[seg] = *from;
}

static void flush(struct vcpu *vcpu) { fake_of(vcpu)->flushes++; }

static void end_shadow(struct vcpu *vcpu) { fake_of(vcpu)->shadow = 0; }
static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset) { fake_of(vcpu)->tsc_offset = offset; }

struct guest_caps fake_caps = { .vendor = MSR_INTEL, .needs_wide_tss = true };

static const struct virt_backend fake_backend = {
	.name = "fake", .get = get, .set = set, .get_seg = get_seg, .set_seg = set_seg, .flush = flush, .end_shadow = end_shadow,
	.set_tsc_offset = set_tsc_offset, .caps = &fake_caps,
};
const struct virt_backend *virt = &fake_backend;

static uint8_t fpu_area[FPU_AREA] __attribute__((aligned(64)));

void vcpu_fake_init(struct vcpu_fake *fake)
{
	static const struct handoff_vm config = { .vcpus = 1 };

	memset(fake, 0, sizeof(*fake));
	memset(fpu_area, 0, sizeof(fpu_area));
	fake->vcpu.fpu = fpu_area;
	assert(!gpm_add_slot(&fake->vm.gpm, gpa(0), FAKE_RAM));
	assert(!npt_init(&fake->vm.npt, &svm_npt_format));
	bus_init(&fake->vm.pio, "port");
	bus_init(&fake->vm.mmio, "memory");
	fake->vm.state = VM_RUNNING;
	fake->vm.config = &config;
	fake->vcpu.vm = &fake->vm;
	fake->vcpu.pio = bus_view(&fake->vm.pio);
	fake->vcpu.mmio = bus_view(&fake->vm.mmio);
	fake->next_table = FAKE_TABLES;
	fake->regs[REG_RFLAGS] = RFLAGS_ONE;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fake->segs[i] = (struct segment){ .limit = 0xffff, .rights = i == SEG_CS ? CODE_RIGHTS : DATA_RIGHTS };
}

void vcpu_fake_protected(struct vcpu_fake *fake)
{
	vcpu_fake_init(fake);
	fake->regs[REG_CR0] = CR0_PE;
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		fake->segs[i].limit = 0xffffffff;
		fake->segs[i].rights |= SEG_DB | SEG_G;
	}
}

void vcpu_fake_long(struct vcpu_fake *fake)
{
	vcpu_fake_protected(fake);
	fake->regs[REG_CR0] |= CR0_PG | CR0_WP;
	fake->regs[REG_CR3] = fake->next_table;
	fake->regs[REG_CR4] = CR4_PAE;
	fake->regs[REG_EFER] = EFER_LMA | EFER_LME | EFER_NXE;
	fake->next_table += PAGE_SIZE;
	fake->segs[SEG_CS].rights = CODE_RIGHTS | SEG_L | SEG_G;
}

void vcpu_fake_free(struct vcpu_fake *fake)
{
	npt_destroy(&fake->vm.npt);
	gpm_destroy(&fake->vm.gpm);
}

uint64_t vcpu_fake_word(struct vcpu_fake *fake, uint64_t physical)
{
	uint64_t word;
	bool     is_ram = gpm_read(&fake->vm.gpm, gpa(physical), &word, sizeof(word));

	assert(is_ram);
	return word;
}

void vcpu_fake_put(struct vcpu_fake *fake, uint64_t physical, const void *bytes, size_t len)
{
	bool is_ram = gpm_write(&fake->vm.gpm, gpa(physical), bytes, len);

	assert(is_ram);
}

void vcpu_fake_set_word(struct vcpu_fake *fake, uint64_t physical, uint64_t word)
{
	vcpu_fake_put(fake, physical, &word, sizeof(word));
}

uint64_t vcpu_fake_entry(struct vcpu_fake *fake, uint64_t linear)
{
	uint64_t table = fake->regs[REG_CR3];

	for (unsigned level = LEVELS; ; level--) {
		uint64_t addr = table + (linear >> (PAGE_SHIFT + 9 * (level - 1)) & 0x1ff) * sizeof(uint64_t);

		if (level == 1)
			return addr;
		if (!vcpu_fake_word(fake, addr)) {
			vcpu_fake_set_word(fake, addr, fake->next_table | ENTRY_TABLE);
			fake->next_table += PAGE_SIZE;
		}
		table = vcpu_fake_word(fake, addr) & FIELD(51, 12);
	}
}

void vcpu_fake_map(struct vcpu_fake *fake, uint64_t linear, uint64_t physical, uint64_t flags)
{
	vcpu_fake_set_word(fake, vcpu_fake_entry(fake, linear), physical | flags | 1);
}

/* ---- host/cpu_init.c, host/features.c ---- */

uint64_t fake_breakpoints[4];
unsigned fake_breakpoint_loads;

void cpu_set_breakpoints(const uint64_t addr[4])
{
	memcpy(fake_breakpoints, addr, sizeof(fake_breakpoints));
	fake_breakpoint_loads++;
}

/* ---- hv/vcpu.c ---- */

void vcpu_inject(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	struct vcpu_fake *fake = fake_of(vcpu);

	fake->injected++;
	fake->vector = vector;
	fake->error = has_error ? error : ~0U;
}

void vcpu_inject_event(struct vcpu *vcpu, const struct vevent *event)
{
	vcpu_inject(vcpu, event->vector, event->has_error, event->error);
	fake_of(vcpu)->event = *event;
}

void vcpu_inject_pf(struct vcpu *vcpu, uint64_t addr, uint32_t error)
{
	vcpu->cr2 = addr;
	vcpu_inject(vcpu, VEC_PF, true, error);
}

uint64_t vcpu_gpr(struct vcpu *vcpu, enum gpr reg)
{
	return reg == GPR_RSP ? get(vcpu, REG_RSP) : vcpu->gpr[reg];
}

void vcpu_set_gpr(struct vcpu *vcpu, enum gpr reg, uint64_t val)
{
	if (reg == GPR_RSP)
		set(vcpu, REG_RSP, val);
	else
		vcpu->gpr[reg] = val;
}

uint64_t vcpu_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high)
{
	return vcpu_gpr(vcpu, reg) >> (is_high ? 8 : 0) & size_mask(size);
}

void vcpu_set_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high, uint64_t val)
{
	uint64_t mask = size == 4 ? ~0ULL : size_mask(size) << (is_high ? 8 : 0);

	val = (val & size_mask(size)) << (is_high ? 8 : 0);
	vcpu_set_gpr(vcpu, reg, (vcpu_gpr(vcpu, reg) & ~mask) | val);
}

uint8_t vcpu_cpl(struct vcpu *vcpu)
{
	return (uint8_t)field_get(fake_of(vcpu)->segs[SEG_SS].rights, SEG_DPL_MASK);
}

enum insn_mode vcpu_mode(struct vcpu *vcpu)
{
	uint32_t rights = fake_of(vcpu)->segs[SEG_CS].rights;

	if ((rights & SEG_L) && (get(vcpu, REG_EFER) & EFER_LMA))
		return INSN_64;
	return rights & SEG_DB ? INSN_32 : INSN_16;
}

/* ---- hv/request.c: every vCPU is this processor's ---- */

void vcpu_request(struct vcpu *vcpu, uint32_t what)
{
	assert(what == REQUEST_FLUSH || what == REQUEST_UNHALT);
	if (what == REQUEST_FLUSH)
		flush(vcpu);
	vcpu->is_unhalted |= what == REQUEST_UNHALT;
}

/* ---- hv/vm.c, exit/fatal.c, hv/dev/lapic.c ---- */

char fake_vm_log[VM_LOG_SIZE];
static size_t vm_log_len;

void vm_log(const struct vm *vm, const char *fmt, ...)
{
	va_list args;

	(void)vm;
	if (!*fake_vm_log || vm_log_len > VM_LOG_SIZE / 2)	/* a fuzzer never empties it */
		vm_log_len = 0;
	va_start(args, fmt);
	vm_log_len += format_vbuf(fake_vm_log + vm_log_len, sizeof(fake_vm_log) - vm_log_len, fmt, args);
	va_end(args);
	vm_log_len += format_buf(fake_vm_log + vm_log_len, sizeof(fake_vm_log) - vm_log_len, "\n");
	assert(vm_log_len < sizeof(fake_vm_log));
}

unsigned fake_vm_log_lines(void)
{
	unsigned lines = 0;

	for (const char *at = fake_vm_log; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code)
{
	(void)what;
	(void)code;
	fake_of(vcpu)->is_killed = true;
	vcpu->vm->end = VM_END_CRASHED;
	return EXIT_STOP;
}

void exit_progress(struct vcpu *vcpu)
{
	fake_of(vcpu)->progress++;
}

static struct vcpu_fake *fake_of_lapic(void *dev)
{
	return container_of((struct lapic *)dev, struct vcpu_fake, vcpu.lapic);
}

uint64_t lapic_mmio_read(void *dev, uint64_t offset, unsigned size)
{
	fake_of_lapic(dev)->apic_accesses++;
	return offset << 8 | size;
}

void lapic_mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	fake_of_lapic(dev)->apic_accesses++;
	fake_of_lapic(dev)->apic_last = value;
}
