/* SPDX-License-Identifier: MIT */
/*
 * vCPUs of one VM on several processors, each a real thread, under ThreadSanitizer: guests send each other
 * interrupts, NMIs, calls out of HLT, INIT and SIPI, halt, are woken, and move from one processor to another, while a device
 * uses the I/O APIC and LINT0. Of the product this runs the door (hv/request.c), the run loop, HLT, INIT and
 * SIPI, the local APIC, the messages between APICs, the I/O APIC and the handlers of the interrupts between
 * processors.
 *
 * Stand-ins: a guest (in enter), the interrupts of a processor (a word of pending bits, taken where the product opens
 * them), and a scheduler: a processor runs the vCPUs that are its own in turn, puts off some of the looks at them, and idles when none
 * is ready.
 *
 * Nothing may be lost: each message has a sender who counts it, and sends no other on the same way before the
 * receiver has counted it too. A message that is not received in time is a wake-up that was lost.
 *
 *	race STEPS PATIENCE	a step is an entry into a guest; patience is in seconds, for the machine may be busy
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/kick.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/save.h"
#include "hv/dev/apic_bus.h"
#include "hv/dev/apic_wires.h"
#include "hv/host.h"
#include "hv/look.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define PROCESSORS	3U
#define VCPUS		4U
#define TURN_TICKS	200000U		/* some hundred entries */
#define BATCH		64U		/* steps are added to the sum so many at a time */
#define STARTED		3U		/* the vCPU that INIT and SIPI are sent to, and messages by vCPU 0 only */
#define VECTOR_FROM	0x30U		/* + the sender: interrupts between processors; + VCPUS: of the I/O APIC; + 1: of LINT0 */
#define CALLED		1U		/* the vCPU that waits for calls; it is sent no NMIs, which would end its wait as well */
#define PIN		5U
#define WAYS		(VCPUS * VCPUS + VCPUS + 4)	/* all that are watched */

#define NUMBER_MAX	1000000000000ULL
#define USAGE		2		/* exit status */

#define REG_EOI		0xb0
#define REG_LDR		0xd0
#define REG_SVR		0xf0
#define REG_ICR		0x300
#define REG_ICR_HIGH	0x310
#define REG_LINT0	0x350
#define REG_TPR		0x80

enum row { ROW_GUEST, ROW_INTERRUPT, ROW_HLT };

/* A way for messages: nobody sends on it while one is under way. */
struct way { _Atomic uint64_t sent, received; };

struct guest {
	uint64_t dice;
	int      vector;	/* to be handled; -1: none */
	bool     has_nmi, is_starting;
	bool     waits;		/* with IF clear, until a sibling calls it (KVM's KICK_CPU) */
};

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct guest guests[VCPUS];
static struct look looks[VCPUS];
static _Atomic(struct processor *) homes[VCPUS];	/* of their slots: a VM of one vCPU each, where they move */
static struct machine_cpu {
	struct cpu       cpu;
	_Atomic uint64_t pending[4];		/* interrupts that wait until they are taken */
	unsigned         turn, picks, looked;
} processors[PROCESSORS];

static struct way ways[VCPUS][VCPUS], nmis[VCPUS], calls, starts, device, lint0;
static _Atomic bool wants_call;
static struct ioapic ioapic;
static pthread_mutex_t machine_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t steps, halts, kicks, moves;
static uint64_t steps_max;
static unsigned long patience;
static _Atomic bool is_over;
static void (*interrupts[256])(uint8_t vector);

static bool is_free(const struct way *way) { return way->sent == way->received; }

static uint32_t dice(struct guest *guest)
{
	guest->dice = guest->dice * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(guest->dice >> 33);
}

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "race: after %llu steps: %s\n", (unsigned long long)steps, what);
	exit(1);
}

/* ---- The machine we run on ---- */

static struct machine_cpu *this_processor(void) { return (struct machine_cpu *)(void *)this_cpu(); }

struct processor *host_processor(void) { return &this_cpu()->processor; }
void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t)) { interrupts[vector] = handler; }

void host_lapic_send(uint32_t apic_id, uint64_t command)
{
	uint8_t vector = (uint8_t)command;

	kicks++;
	atomic_fetch_or(&processors[apic_id].pending[vector / 64], 1ULL << vector % 64);
}

static bool has_interrupt(const struct machine_cpu *self)
{
	return self->pending[0] | self->pending[1] | self->pending[2] | self->pending[3];
}

void host_take_interrupts(void)
{
	struct machine_cpu *self = this_processor();

	for (unsigned word = 0; word < 4; word++)
		for (uint64_t bits = atomic_exchange(&self->pending[word], 0); bits; bits &= bits - 1) {
			unsigned vector = word * 64 + (unsigned)__builtin_ctzll(bits);

			interrupts[vector]((uint8_t)vector);
		}
}

uint64_t rdtsc(void) { return __builtin_ia32_rdtsc(); }
uint32_t rdtsc32(void) { return (uint32_t)rdtsc(); }
uint64_t time_now(void) { return rdtsc(); }
uint64_t time_hz(void) { return 1000; }
uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c) { return a * b / c; }
int bus_add_table(struct bus *bus, const struct bus_range *table, size_t count, void *dev) { (void)bus; (void)table; (void)count; (void)dev; return 0; }

/* ---- What the product calls and this test does without ---- */

void timer_init(struct timer *timer, void (*fire)(void *), void *ctx) { (void)timer; (void)fire; (void)ctx; }
void timer_arm(struct timer *timer, uint64_t tsc) { (void)timer; (void)tsc; }
void timer_disarm(struct timer *timer) { (void)timer; }
bool dr_step_due(struct vcpu *vcpu) { (void)vcpu; return false; }
bool apic_wires_carry_nmi(const struct vm *of) { (void)of; return false; }
enum exit_result exit_undefined(struct vcpu *vcpu) { (void)vcpu; return EXIT_STOP; }
bool vm_stop(struct vm *of, enum vm_end end, const char *fmt, ...) { (void)of; (void)end; fail(fmt); return false; }

enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code)
{
	(void)vcpu;
	(void)code;
	fail(what);
}

void vcpu_reset(struct vcpu *vcpu, const struct reset_state *state)
{
	(void)state;
	guests[vcpu->id] = (struct guest){ .dice = guests[vcpu->id].dice, .vector = -1, .is_starting = true };
}

/* hv/vcpu.c's, which would bring registers and exceptions with them. */
bool vcpu_has_irq(struct vcpu *vcpu)
{
	return (vcpu->lapic.s.lint0_is_high && lapic_takes_extint(&vcpu->lapic)) || lapic_pending(&vcpu->lapic) >= 0;
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (vcpu->processor != host_processor())
		fail("a vCPU is touched by a processor that does not own it");
	vcpu->irq_check = true;
	if (vcpu->state != VCPU_HALTED || vcpu_may_sleep(vcpu))
		return;
	vcpu->is_unhalted = false;
	vcpu->state = VCPU_READY;
	host_attention_set();
}

/* ---- Wires ---- */

static void kick(void *ctx) { vcpu_kick(ctx); }
static void nmi(void *ctx) { vcpu_raise_nmi(ctx); }
static void ipi(void *ctx, const struct lapic *from, uint64_t icr) { (void)ctx; apic_bus_ipi(&vm, from, icr); }
static bool message(void *ctx, const struct ioapic_msg *msg) { return apic_bus_deliver(ctx, msg); }

static void eoi(void *ctx, uint8_t vector)
{
	(void)ctx;
	pthread_mutex_lock(&machine_lock);
	ioapic_eoi(&ioapic, vector);
	pthread_mutex_unlock(&machine_lock);
}

static uint8_t extint(void *ctx)
{
	vcpu_request_lint0(ctx, false);
	return VECTOR_FROM + VCPUS + 1;
}

static const struct lapic_env env = { .kick = kick, .nmi = nmi, .ipi = ipi, .eoi = eoi, .extint = extint };

/* ---- The guest ---- */

static void apic_write(struct vcpu *vcpu, uint64_t reg, uint64_t val) { lapic_mmio_write(&vcpu->lapic, reg, 4, val); }

static void apic_set_up(struct vcpu *vcpu)
{
	apic_write(vcpu, REG_SVR, 0x1ff);
	apic_write(vcpu, REG_LDR, 1U << (24 + vcpu->id));
	apic_write(vcpu, REG_LINT0, vcpu->id ? 0x10700 : 0x700);
}

static void send(struct vcpu *vcpu, uint32_t to, uint32_t low)
{
	apic_write(vcpu, REG_ICR_HIGH, (uint64_t)to << 24);
	apic_write(vcpu, REG_ICR, low);
}

static void receive(struct way *way)
{
	if (is_free(way))
		fail("a message was received that nobody sent");
	way->received++;
}

static void handle(struct vcpu *vcpu, uint8_t vector)
{
	unsigned from = vector - VECTOR_FROM;

	if (from < VCPUS) {
		receive(&ways[from][vcpu->id]);
	} else if (from == VCPUS) {
		pthread_mutex_lock(&machine_lock);
		ioapic_set_line(&ioapic, PIN, false);	/* as a driver does: the device is silent before the EOI */
		pthread_mutex_unlock(&machine_lock);
	} else {
		receive(&lint0);
		return;		/* of the 8259: no EOI for the local APIC */
	}
	apic_write(vcpu, REG_EOI, 0);
	if (from == VCPUS)
		receive(&device);
}

/* INIT discards what is under way to that vCPU: so nothing is, and nothing is sent before it has started again. */
static void restart(struct vcpu *vcpu)
{
	if (!is_free(&starts) || !is_free(&ways[0][STARTED]) || !is_free(&nmis[STARTED]))
		return;
	starts.sent++;
	send(vcpu, STARTED, 0x4500);
	send(vcpu, STARTED, 0x0609);
	if (dice(&guests[vcpu->id]) % 2)
		send(vcpu, STARTED, 0x060a);	/* most kernels send two; one must do */
}

/* As the kernel's spin locks: who waits says so and sleeps; who unlocks finds that, and calls. */
static void wait_for_call(struct vcpu *vcpu)
{
	guests[vcpu->id].waits = true;
	wants_call = true;
	vcpu->exit.reason = ROW_HLT;
}

/* A call that came late for the last HLT may have ended this one: nobody has called unless the wish is gone. */
static void end_wait(struct vcpu *vcpu)
{
	guests[vcpu->id].waits = false;
	if (!atomic_exchange(&wants_call, false))
		receive(&calls);
}

static void call_who_waits(void)
{
	if (!atomic_load(&wants_call))
		return;
	calls.sent++;
	if (atomic_exchange(&wants_call, false))
		vcpu_request(&vcpus[CALLED], REQUEST_UNHALT);
	else
		calls.sent--;		/* it has ended its wait meanwhile */
}

static void send_something(struct vcpu *vcpu)
{
	struct guest *guest = &guests[vcpu->id];
	uint32_t to = dice(guest) % VCPUS;

	if (!vcpu->id)
		call_who_waits();
	if (to == STARTED && (vcpu->id || !is_free(&starts)))
		return;
	if (dice(guest) % 8 == 0 && vcpu->id == 0 && to != CALLED && is_free(&nmis[to])) {
		nmis[to].sent++;
		send(vcpu, to, 0x400);
	} else if (is_free(&ways[vcpu->id][to])) {
		ways[vcpu->id][to].sent++;
		send(vcpu, to, VECTOR_FROM + vcpu->id);
	}
}

static void guest_step(struct vcpu *vcpu)
{
	struct guest *guest = &guests[vcpu->id];
	uint32_t what = dice(guest) % 64;

	vcpu->exit.reason = ROW_GUEST;
	if (guest->is_starting) {
		guest->is_starting = false;
		apic_set_up(vcpu);
		receive(&starts);
	} else if (guest->has_nmi) {
		guest->has_nmi = false;
		receive(&nmis[vcpu->id]);
	} else if (guest->vector >= 0) {
		handle(vcpu, (uint8_t)guest->vector);
		guest->vector = -1;
	} else if (guest->waits) {
		end_wait(vcpu);
	} else if (what < 24) {
		vcpu->exit.reason = ROW_HLT;
		halts++;
	} else if (what == 24 && vcpu->id == CALLED) {
		wait_for_call(vcpu);
	} else if (what == 24 && vcpu->id == 0) {
		restart(vcpu);
	} else if (what < 28) {
		apic_write(vcpu, REG_TPR, dice(guest) % 3 << 4);
	} else {
		send_something(vcpu);
	}
}

/* ---- The back end ---- */

static void enter(struct vcpu *vcpu)
{
	static _Thread_local unsigned batch;

	if (++batch == BATCH) {
		batch = 0;
		steps += BATCH;
	}
	vcpu->exit.insn_len = 1;
	vcpu->exit.rip = vcpu->exits;
	if (has_interrupt(this_processor()))
		vcpu->exit.reason = ROW_INTERRUPT;
	else
		guest_step(vcpu);
}

static void deliver(struct vcpu *vcpu)
{
	struct guest *guest = &guests[vcpu->id];

	vcpu->irq_check = false;
	if (vcpu->nmi_pending && !guest->has_nmi) {
		vcpu->nmi_pending = false;
		guest->has_nmi = true;
	}
	if (!vcpu_has_irq(vcpu))
		return;
	vcpu->irq_check = true;		/* an open window: looked at again behind the next exit */
	if (guest->vector >= 0 || guest->waits)
		return;
	guest->vector = vcpu->lapic.s.lint0_is_high && lapic_takes_extint(&vcpu->lapic) ? extint(vcpu) : lapic_pending(&vcpu->lapic);
	if (guest->vector <= (int)(VECTOR_FROM + VCPUS))
		lapic_accept(&vcpu->lapic, (uint8_t)guest->vector);
}

static enum exit_result exit_guest(struct vcpu *vcpu) { (void)vcpu; return EXIT_SKIP; }

static enum exit_result exit_interrupt(struct vcpu *vcpu)
{
	host_take_interrupts();
	exit_progress(vcpu);
	return EXIT_RESUME;
}

static const struct exit_row rows[] = {
	[ROW_GUEST] = { "guest", exit_guest }, [ROW_INTERRUPT] = { "interrupt", exit_interrupt }, [ROW_HLT] = { "HLT", exit_hlt },
};

static void step_over(struct vcpu *vcpu) { (void)vcpu; }
static void flush(struct vcpu *vcpu) { (void)vcpu; }
static uint64_t get(struct vcpu *vcpu, enum guest_reg reg) { (void)reg; return guests[vcpu->id].waits ? 0 : RFLAGS_IF; }

static const struct virt_backend backend = {
	.enter = enter, .deliver = deliver, .step_over = step_over, .flush = flush, .get = get,
	.exits = { rows, sizeof(rows) / sizeof(rows[0]) },
};
const struct virt_backend *virt = &backend;

/* ---- The scheduler ---- */

/* Not always: these are moments that others would hardly ever meet, and the other races want to be met as well. */
static void let_others_look(void)
{
	if (moves % 8 == 0)
		sched_yield();
}

/*
 * The owner of a vCPU may give it away, with the writes of home_give in their order. With the last one it stops
 * touching it. The new one is woken and looks.
 */
static void give_away(struct vcpu *vcpu)
{
	struct processor *next = &processors[(this_cpu()->index + 1) % PROCESSORS].cpu.processor;

	this_cpu()->loaded = NULL;
	moves++;
	vcpu->processor = next;
	let_others_look();
	look_take_back(vcpu->look);
	vcpu->look->home = next;
	let_others_look();
	homes[vcpu->id] = next;
	look_post(vcpu->look);
}

static void load(struct vcpu *vcpu)
{
	vcpu_start_if_due(vcpu);
	this_cpu()->loaded = vcpu;
	if (vcpu->requests)
		vcpu->irq_check = true;
}

/* One that has been given away meanwhile is its next owner's to look at. */
static void look_at(const struct machine_cpu *self, struct look *look)
{
	struct vcpu *vcpu = &vcpus[look - looks];

	if (homes[vcpu->id] != &self->cpu.processor)
		look_post(look);
	else if (vcpu->state != VCPU_READY && vcpu->requests)
		vcpu_take_requests(vcpu);
}

/* Of its own some are put off, as those of a VM in debt are. */
static bool is_put_off(struct machine_cpu *self, struct look *look)
{
	return homes[look - looks] == &self->cpu.processor && self->looked++ % 4 == 0 && look_put_off(look);
}

/* What was put off comes back after a while. */
static void look_at_all(struct machine_cpu *self)
{
	struct look *look;

	if (self->picks++ % 8 == 0)
		looks_resume();
	while ((look = look_take(&self->cpu.processor.looks, &(uint64_t){ 0 })))
		if (!is_put_off(self, look))
			look_at(self, look);
}

/* The next of its own vCPUs that is ready. Sleepers are looked at only when somebody has posted a look. */
static struct vcpu *pick(struct machine_cpu *self)
{
	look_at_all(self);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = &vcpus[self->turn++ % VCPUS];

		if (homes[vcpu->id] != &self->cpu.processor)
			continue;
		if (vcpu->state == VCPU_READY)
			return vcpu;
	}
	return NULL;
}

static void *processor_main(void *arg)
{
	struct machine_cpu *self = arg;

	self->cpu.self = &self->cpu;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, &self->cpu))
		fail("no GS");
	while (!is_over) {
		struct vcpu *vcpu;

		host_take_interrupts();
		host_attention_clear();
		vcpu = pick(self);
		if (!vcpu && self->cpu.processor.put_off)
			continue;
		if (!vcpu) {
			while (!has_interrupt(self) && !is_over)	/* host_idle */
				sched_yield();
			continue;
		}
		load(vcpu);
		vcpu_run(vcpu, rdtsc() + TURN_TICKS);
		if (guests[vcpu->id].dice >> 40 & 1)
			give_away(vcpu);
	}
	return NULL;
}

/* ---- The device: a thread that owns no vCPU ---- */

static void *device_main(void *arg)
{
	struct cpu cpu = { .self = &cpu, .index = PROCESSORS };

	if (syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu))
		fail("no GS");
	(void)arg;
	while (!is_over) {
		if (is_free(&device)) {
			device.sent++;
			pthread_mutex_lock(&machine_lock);
			ioapic_set_line(&ioapic, PIN, true);
			pthread_mutex_unlock(&machine_lock);
		}
		if (is_free(&lint0)) {
			lint0.sent++;
			vcpu_request_lint0(&vcpus[0], true);
		}
		sched_yield();
	}
	return NULL;
}

/* ---- All of it ---- */

static void set_up(void)
{
	static const struct vm_clock clock;

	kick_init();
	vm.vcpu_count = VCPUS;
	ioapic_init(&ioapic, message, &vm);
	/* Level-triggered, lowest priority of the first three vCPUs by their logical IDs. */
	ioapic.s.redir[PIN] = 7ULL << 56 | REDIR_LEVEL | REDIR_LOGICAL | (uint64_t)APIC_LOWEST << 8 | (VECTOR_FROM + VCPUS);
	for (unsigned i = 0; i < PROCESSORS; i++)
		processors[i].cpu = (struct cpu){ .index = i, .apic_id = i };
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = vm.vcpus[i] = &vcpus[i];

		guests[i] = (struct guest){ .dice = i, .vector = -1 };
		vcpu->vm = &vm;
		vcpu->id = i;
		vcpu->state = VCPU_READY;
		lapic_init(&vcpu->lapic, i, &env, vcpu, &clock, &vcpu->tsc_offset);
		apic_set_up(vcpu);
		vcpu->processor = looks[i].home = homes[i] = &processors[i % PROCESSORS].cpu.processor;
		vcpu->look = &looks[i];
	}
}

static unsigned long stuck[WAYS];

/* Called every second: is any message older than it may be? */
static void watch(void)
{
	static uint64_t seen[WAYS];
	const struct way *all[WAYS];
	unsigned count = 0;

	for (unsigned i = 0; i < VCPUS * VCPUS; i++)
		all[count++] = &ways[i / VCPUS][i % VCPUS];
	for (unsigned i = 0; i < VCPUS; i++)
		all[count++] = &nmis[i];
	all[count++] = &calls;
	all[count++] = &starts;
	all[count++] = &device;
	all[count++] = &lint0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t sent = all[i]->sent;

		stuck[i] = sent != all[i]->received && sent == seen[i] ? stuck[i] + 1 : 0;
		seen[i] = sent;
		if (stuck[i] > patience)
			fail("a message was sent and never received: a wake-up or a vector was lost");
	}
}

/* Nothing else than a number will do: with another text the test would run nothing and pass, or never end. */
static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (text[0] >= '0' && text[0] <= '9' && !*end && value > 0 && value <= NUMBER_MAX)
		return value;
	fprintf(stderr, "race: %s=%s: write a number from 1 to %llu\n", name, text, NUMBER_MAX);
	exit(USAGE);
}

int main(int argc, char **argv)
{
	pthread_t threads[PROCESSORS + 1];

	if (argc != 3) {
		fprintf(stderr, "usage: race STEPS PATIENCE\n");
		exit(USAGE);
	}
	steps_max = number("STEPS", argv[1]);
	patience = number("PATIENCE", argv[2]);
	set_up();
	for (unsigned i = 0; i < PROCESSORS; i++)
		pthread_create(&threads[i], NULL, processor_main, &processors[i]);
	pthread_create(&threads[PROCESSORS], NULL, device_main, NULL);
	while (steps < steps_max) {
		sleep(1);
		watch();
	}
	is_over = true;
	for (unsigned i = 0; i <= PROCESSORS; i++)
		pthread_join(threads[i], NULL);
	printf("race: %llu steps, %llu halts, %llu kicks, %llu moves, %llu starts, %llu calls, %llu messages of devices: nothing lost\n",
	       (unsigned long long)steps, (unsigned long long)halts, (unsigned long long)kicks, (unsigned long long)moves,
	       (unsigned long long)starts.received, (unsigned long long)calls.received, (unsigned long long)(device.received + lint0.received));
	return 0;
}
