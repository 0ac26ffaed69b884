/* SPDX-License-Identifier: MIT */
/*
 * Requests to a vCPU of another processor, in all orders in which the steps of three processors can follow each other:
 * two senders, and the owner with its run loop, HLT, scheduler and idle. README.md says which lines of C each part is.
 *
 * Each line between two semicolons is one step that others see as a whole. All accesses are sequentially consistent,
 * as they are in C, where each of these variables is _Atomic or belongs to one processor.
 *
 * MUTANT takes one order out, to see that the model can fail: 1 to 4, below.
 */
#ifndef MUTANT
#define MUTANT	0
#endif

#define SENDERS	2

mtype = { READY, HALTED };

/* struct vcpu: what senders write or read */
bool posted[SENDERS];
bool requests;			/* REQUEST_IRQ */
mtype state = READY;

/* struct vcpu: its owner's */
bool irq_check;
bool pending[SENDERS];		/* the local APIC's IRR */

/* the owner's processor */
bool look, wake;		/* interrupts that wait until they are taken */
bool attention, is_asked;

bool is_sent[SENDERS];		/* a message is under way */

/* hv/request.c: vcpu_post, vcpu_request, notify; arch/x86/host/kick.c: host_kick */
proctype sender(byte me)
{
	mtype seen;

	do
	:: is_sent[me] = true;
#if MUTANT == 1
	   seen = state;		/* the state is read before the request is written */
#endif
#if MUTANT == 3
	   requests = true;		/* the request is written before the vector */
	   posted[me] = true;
#else
	   posted[me] = true;
	   requests = true;
#endif
#if MUTANT != 1
	   seen = state;
#endif
	   if
	   :: seen == READY -> look = true
	   :: else -> wake = true
	   fi;
	   !is_sent[me]			/* the guest's handler has run */
	od
}

/* hv/request.c: vcpu_take_requests, take_posted; hv/vcpu.c: vcpu_kick */
inline take_posted()
{
	i = 0;
	do
	:: i < SENDERS ->
	   d_step { was_posted = posted[i]; posted[i] = false };
	   if
	   :: was_posted ->
	      pending[i] = true;
	      irq_check = true;
	      if
	      :: state == HALTED -> state = READY; attention = true
	      :: else
	      fi
	   :: else
	   fi;
	   i++
	:: else -> break
	od
}

inline take_requests()
{
#if MUTANT == 4
	take_posted();			/* the vectors are taken before the request */
	requests = false
#else
	d_step { was_requested = requests; requests = false };
	if
	:: was_requested -> take_posted()
	:: else
	fi
#endif
}

/* hv/host.h: host_take_interrupts; arch/x86/host/kick.c: look, wake */
inline take_interrupts()
{
	if
	:: look -> look = false; irq_check = true
	:: else
	fi;
	if
	:: wake -> wake = false; attention = true; is_asked = true
	:: else
	fi
}

/* hv/request.c: vcpu_halt */
inline halt()
{
#if MUTANT == 2
	if				/* the requests are read before the state is written */
	:: requests -> take_requests()
	:: else
	fi;
	state = HALTED
#else
	state = HALTED;
	if
	:: requests -> take_requests()
	:: else
	fi
#endif
}

/* virt->deliver, and the guest's handlers: the message has arrived */
inline deliver()
{
	irq_check = false;
	i = 0;
	do
	:: i < SENDERS ->
	   if
	   :: pending[i] -> pending[i] = false; is_sent[i] = false
	   :: else
	   fi;
	   i++
	:: else -> break
	od
}

/* arch/x86/exit/dispatch.c: vcpu_run. An interrupt that waits when the guest is entered makes it exit at once. */
inline run_guest()
{
	do
	:: if
	   :: irq_check ->
	      if
	      :: requests -> take_requests()
	      :: else
	      fi;
	      deliver()
	   :: else
	   fi;
	   if
	   :: look || wake -> take_interrupts()
	   :: !(look || wake) -> skip			/* some exit that changes nothing */
	   :: !(look || wake) -> halt(); attention = true	/* HLT */
	   :: !(look || wake) -> attention = true	/* the end of the turn */
	   fi;
	   if
	   :: attention -> break
	   :: else
	   fi
	od
}

/*
 * hv/sched.c: sched_run; arch/x86/host/host.c: host_idle. The scheduler looks at the requests of one that sleeps only
 * when it was asked to.
 */
active proctype owner()
{
	byte i;
	bool was_posted, was_requested;

	do
	:: take_interrupts();
	   attention = false;
	   if
	   :: is_asked -> is_asked = false; take_requests()
	   :: else
	   fi;
	   if
	   :: state == READY ->
	      if				/* vcpu_load */
	      :: requests -> irq_check = true
	      :: else
	      fi;
	      run_guest()
	   :: else ->
	      look || wake		/* the processor halts until an interrupt comes */
	   fi
	od
}

init {
	byte n;

	for (n : 0 .. SENDERS - 1) {
		run sender(n)
	}
}

/* Nothing is lost: each message arrives, as long as every processor goes on. */
ltl arrives { [] ((is_sent[0] -> <> !is_sent[0]) && (is_sent[1] -> <> !is_sent[1])) }
