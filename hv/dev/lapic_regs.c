/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's register file: one table for both ways to reach it. In x2APIC mode a register that is not
 * there, a read of a write-only one, a write of a read-only one and a reserved bit are #GP; in xAPIC mode
 * they are an error in ESR or ignored (SDM vol. 3, "x2APIC Register Address Space" and "Error Handling").
 *
 * EOI and ICR by MSR come first in lapic_msr_write: they are what a kernel writes all day. What else they would pass
 * through are functions of their own, for whose registers they do not pay.
 */
#include "hv/dev/lapic_regs.h"

#include "hv/lib/nospec.h"
#include "hv/lib/shared.h"
#include "hv/lib/util.h"

#define MMIO_SHIFT	4
#define MMIO_IN_REG	0x0fU
#define XAPIC_ID_SHIFT	24
#define VERSION		(LAPIC_VERSION | (LVT_COUNT - 1) << 16)

#define BITS_TPR	0x000000ffU
#define BITS_LDR	0xff000000U
#define BITS_DFR	0xf0000000U
#define BITS_SVR	0x000003ffU	/* the focus bit is accepted and does nothing */
#define BITS_TIMER	0x000710ffU
#define BITS_LVT	0x000117ffU
#define BITS_LINT	0x0001f7ffU
#define BITS_ERROR	0x000110ffU
#define BITS_DIVIDE	0x0000000bU
#define BITS_ICR	0x000cdfffU
#define BITS_ANY	0xffffffffU
#define LVT_READ_ONLY	0x00005000U	/* delivery status, Remote IRR: always 0 here */
#define ICR_READ_ONLY	0x00001000U

#define R_BOTH		0x01U
#define R_XAPIC		0x02U
#define W_BOTH		0x04U
#define W_XAPIC		0x08U
#define W_X2APIC	0x10U
#define READABLE_XAPIC	(R_BOTH | R_XAPIC)
#define WRITABLE_XAPIC	(W_BOTH | W_XAPIC)
#define WRITABLE_X2APIC	(W_BOTH | W_X2APIC)

typedef uint32_t reg_read_fn(struct lapic *lapic, unsigned index);
typedef void reg_write_fn(struct lapic *lapic, unsigned index, uint32_t value);

struct reg {
	uint8_t       access;
	uint32_t      bits;	/* what a write may set */
	reg_read_fn  *read;
	reg_write_fn *write;
};

/* ---- Reads ---- */

static uint32_t read_id(struct lapic *lapic, unsigned index)
{
	(void)index;
	return lapic_is_x2apic(lapic) ? lapic->id : lapic->id << XAPIC_ID_SHIFT;
}

static uint32_t read_version(struct lapic *lapic, unsigned index)
{
	(void)lapic;
	(void)index;
	return VERSION;
}

static uint32_t read_zero(struct lapic *lapic, unsigned index)
{
	(void)lapic;
	(void)index;
	return 0;
}

static uint32_t read_ppr(struct lapic *lapic, unsigned index)
{
	(void)index;
	lapic_settle(lapic);
	return lapic_ppr(lapic);
}

#define READ_FIELD(name, expression)						\
	static uint32_t read_##name(struct lapic *lapic, unsigned index)	\
	{									\
		(void)index;							\
		return (expression);						\
	}

READ_FIELD(tpr, lapic_task_priority(lapic))
READ_FIELD(ldr, lapic->s.ldr)
READ_FIELD(dfr, lapic->s.dfr)
READ_FIELD(svr, lapic->s.svr)
READ_FIELD(esr, lapic->s.esr)
READ_FIELD(icr_low, (uint32_t)lapic->s.icr)
READ_FIELD(icr_high, (uint32_t)(lapic->s.icr >> 32))
READ_FIELD(initial, lapic->s.timer_initial)
READ_FIELD(divide, lapic->s.timer_divide)
READ_FIELD(current, lapic_timer_current(lapic))

static uint32_t read_isr(struct lapic *lapic, unsigned index)
{
	lapic_settle(lapic);
	return lapic->s.isr[index - APIC_ISR];
}

static uint32_t read_tmr(struct lapic *lapic, unsigned index)
{
	lapic_settle(lapic);
	return lapic->s.tmr[index - APIC_TMR];
}

static uint32_t read_irr(struct lapic *lapic, unsigned index)
{
	lapic_settle(lapic);
	return lapic->s.irr[index - APIC_IRR];
}

static enum lapic_lvt lvt_of(unsigned index)
{
	return index == APIC_LVT_CMCI ? LVT_CMCI : (enum lapic_lvt)(index - APIC_LVT_TIMER + LVT_TIMER);
}

static uint32_t read_lvt(struct lapic *lapic, unsigned index)
{
	return lapic->s.lvt[lvt_of(index)];
}

/* ---- Writes ---- */

static void write_tpr(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	lapic_set_tpr(lapic, (uint8_t)value);
}

static void write_eoi(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	(void)value;
	lapic_eoi(lapic);
}

static void write_ldr(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	shared_write32(&lapic->s.ldr, value);
}

static void write_dfr(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	shared_write32(&lapic->s.dfr, value | ~BITS_DFR);
}

/* The timer first: what it owes is requested, and held, only while the APIC is on. */
static void mask_all(struct lapic *lapic)
{
	lapic_timer_set_lvt(lapic, lapic->s.lvt[LVT_TIMER] | LVT_MASKED);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		shared_write32(&lapic->s.lvt[i], lapic->s.lvt[i] | LVT_MASKED);
}

/* Switched off by software, every LVT entry is masked and stays so. */
static void write_svr(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	if (!(value & SVR_ENABLE))
		mask_all(lapic);
	shared_write32(&lapic->s.svr, value);
	if (!(value & SVR_ENABLE))
		lapic_from_page(lapic);		/* a message to itself must not be taken any more */
}

/* A write moves the errors since the last one into view and starts over. */
static void write_esr(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	(void)value;
	lapic->s.esr = lapic->s.esr_latch;
	lapic->s.esr_latch = 0;
	if (lapic->timer_waits)
		lapic_timer_go_on(lapic);
}

/* The read-only bits are 0, but for Remote IRR of a level-triggered LINT0 in fixed mode as long as it is one. */
static uint32_t lvt_with_status(const struct lapic *lapic, enum lapic_lvt lvt, uint32_t value)
{
	bool is_level = lvt == LVT_LINT0 && (value & (LVT_LEVEL | LVT_MODE)) == LVT_LEVEL;

	return (value & ~LVT_READ_ONLY) | (is_level ? lapic->s.lvt[lvt] & LVT_REMOTE_IRR : 0);
}

static void write_lvt(struct lapic *lapic, unsigned index, uint32_t value)
{
	enum lapic_lvt lvt = lvt_of(index);

	value = lvt_with_status(lapic, lvt, value);
	if (!(lapic->s.svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (lvt == LVT_TIMER)
		lapic_timer_set_lvt(lapic, value);
	else
		shared_write32(&lapic->s.lvt[lvt], value);
	if (lvt == LVT_LINT0)
		lapic_lint0_changed(lapic, false);	/* the 8259 may get through now */
}

static void write_icr_low(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	lapic->s.icr = (lapic->s.icr & ~(uint64_t)UINT32_MAX) | (value & ~ICR_READ_ONLY);
	lapic_send(lapic);
}

static void write_icr_high(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	lapic->s.icr = (lapic->s.icr & UINT32_MAX) | (uint64_t)value << 32;
}

static void write_initial(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	lapic_timer_set_initial(lapic, value);
}

static void write_divide(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	lapic_timer_set_divide(lapic, value);
}

static void write_self_ipi(struct lapic *lapic, unsigned index, uint32_t value)
{
	(void)index;
	if (lapic_vector_is_illegal(value))
		lapic_error(lapic, ESR_SEND_ILLEGAL);
	else
		lapic_post(lapic, (uint8_t)value, false);
}

/* ---- The table ---- */

#define VECTOR_SET(first, fn) [first ... (first) + 7] = { R_BOTH, 0, fn, NULL }
#define LVT_ENTRY(index, bits) [index] = { R_BOTH | W_BOTH, bits, read_lvt, write_lvt }

static const struct reg regs[APIC_REGS] = {
	[APIC_ID]       = { R_BOTH, 0, read_id, NULL },
	[APIC_VERSION]  = { R_BOTH, 0, read_version, NULL },
	[APIC_TPR]      = { R_BOTH | W_BOTH, BITS_TPR, read_tpr, write_tpr },
	[APIC_APR]      = { R_XAPIC, 0, read_zero, NULL },
	[APIC_PPR]      = { R_BOTH, 0, read_ppr, NULL },
	[APIC_EOI]      = { W_BOTH, 0, NULL, write_eoi },
	[APIC_RRD]      = { R_XAPIC, 0, read_zero, NULL },
	[APIC_LDR]      = { R_BOTH | W_XAPIC, BITS_LDR, read_ldr, write_ldr },
	[APIC_DFR]      = { R_XAPIC | W_XAPIC, BITS_DFR, read_dfr, write_dfr },
	[APIC_SVR]      = { R_BOTH | W_BOTH, BITS_SVR, read_svr, write_svr },
	VECTOR_SET(APIC_ISR, read_isr),
	VECTOR_SET(APIC_TMR, read_tmr),
	VECTOR_SET(APIC_IRR, read_irr),
	[APIC_ESR]      = { R_BOTH | W_BOTH, 0, read_esr, write_esr },
	LVT_ENTRY(APIC_LVT_CMCI, BITS_LVT),
	[APIC_ICR]      = { R_BOTH | W_XAPIC, BITS_ICR, read_icr_low, write_icr_low },
	[APIC_ICR_HIGH] = { R_XAPIC | W_XAPIC, BITS_LDR, read_icr_high, write_icr_high },
	LVT_ENTRY(APIC_LVT_TIMER, BITS_TIMER),
	LVT_ENTRY(APIC_LVT_THERMAL, BITS_LVT),
	LVT_ENTRY(APIC_LVT_PERF, BITS_LVT),
	LVT_ENTRY(APIC_LVT_LINT0, BITS_LINT),
	LVT_ENTRY(APIC_LVT_LINT1, BITS_LINT),
	LVT_ENTRY(APIC_LVT_ERROR, BITS_ERROR),
	[APIC_INITIAL]  = { R_BOTH | W_BOTH, BITS_ANY, read_initial, write_initial },
	[APIC_CURRENT]  = { R_BOTH, 0, read_current, NULL },
	[APIC_DIVIDE]   = { R_BOTH | W_BOTH, BITS_DIVIDE, read_divide, write_divide },
	[APIC_SELF_IPI] = { W_X2APIC, BITS_TPR, NULL, write_self_ipi },
};

/* Make a loaded state safe: clear bits that the guest could not have written. */
void lapic_regs_after_load(struct lapic *lapic)
{
	struct lapic_state *s = &lapic->s;

	s->tpr &= BITS_TPR;
	s->svr &= BITS_SVR;
	s->dfr |= ~BITS_DFR;
	s->icr &= BITS_ICR | (uint64_t)UINT32_MAX << 32;
	s->icr &= ~(uint64_t)ICR_READ_ONLY;
	for (unsigned index = APIC_LVT_CMCI; index <= APIC_LVT_ERROR; index++)
		if (regs[index].write == write_lvt) {
			enum lapic_lvt lvt = lvt_of(index);

			s->lvt[lvt] = lvt_with_status(lapic, lvt, s->lvt[lvt] & regs[index].bits);
		}
}

/* The row of the table for a register number; its caller checks whether the row is that register's. */
static unsigned register_of(uint64_t number)
{
	return (unsigned)index_nospec(number, APIC_REGS);
}

/* ---- x2APIC: MSRs ---- */

bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value)
{
	unsigned index = register_of(msr - X2APIC_MSRS);

	if (!lapic_is_x2apic(lapic) || msr - X2APIC_MSRS >= APIC_REGS || !(regs[index].access & R_BOTH))
		return false;
	*value = index == APIC_ICR ? lapic->s.icr : regs[index].read(lapic, index);
	return true;
}

__attribute__((noinline)) static bool write_icr(struct lapic *lapic, uint64_t value)
{
	if (value & (uint32_t)~BITS_ICR)
		return false;
	lapic->s.icr = value & ~(uint64_t)ICR_READ_ONLY;
	lapic_send(lapic);
	return true;
}

__attribute__((noinline)) static bool write_by_table(struct lapic *lapic, uint32_t number, uint64_t value)
{
	unsigned index = register_of(number);

	if (number >= APIC_REGS || !(regs[index].access & WRITABLE_X2APIC) || (value & ~(uint64_t)regs[index].bits))
		return false;
	regs[index].write(lapic, index, (uint32_t)value);
	return true;
}

bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value)
{
	uint32_t number = msr - X2APIC_MSRS;

	if (!lapic_is_x2apic(lapic))
		return false;
	if (number == APIC_EOI && !value) {
		lapic_eoi(lapic);
		return true;
	}
	return number == APIC_ICR ? write_icr(lapic, value) : write_by_table(lapic, number, value);
}

/* ---- xAPIC: the page ---- */

static bool has_page(const struct lapic *lapic)
{
	return (lapic->s.base_msr & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE;
}

uint64_t lapic_mmio_read(void *dev, uint64_t offset, unsigned size)
{
	struct lapic *lapic = dev;
	uint64_t index = register_of(offset >> MMIO_SHIFT), within = offset & MMIO_IN_REG;

	(void)size;
	if (!has_page(lapic))
		return UINT64_MAX;
	if (offset >> MMIO_SHIFT >= APIC_REGS || !(regs[index].access & (READABLE_XAPIC | WRITABLE_XAPIC))) {
		lapic_error(lapic, ESR_REGISTER_ILLEGAL);
		return 0;
	}
	if (!regs[index].read || within >= sizeof(uint32_t))
		return 0;
	return (uint64_t)regs[index].read(lapic, (unsigned)index) >> (8 * within);
}

void lapic_mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct lapic *lapic = dev;
	uint64_t index = register_of(offset >> MMIO_SHIFT);

	/* Accesses that are not an aligned doubleword are undefined in the manual; here they do nothing. */
	if (!has_page(lapic) || size != sizeof(uint32_t) || (offset & MMIO_IN_REG))
		return;
	if (offset >> MMIO_SHIFT >= APIC_REGS || !(regs[index].access & (READABLE_XAPIC | WRITABLE_XAPIC)))
		lapic_error(lapic, ESR_REGISTER_ILLEGAL);
	else if (regs[index].access & WRITABLE_XAPIC)
		regs[index].write(lapic, (unsigned)index, (uint32_t)value & regs[index].bits);
}
