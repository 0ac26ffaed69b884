# SPDX-License-Identifier: MIT
"""The table of tiny guests (guest/tiny/): each row is a VM, each batch of rows one boot on each platform.

A row passes when its VM ended as expected, said END unless it was stopped, and said no FAIL. `only` names the
platforms of a row that does not run everywhere, and the reason.
"""
import re
from dataclasses import dataclass
from functools import partial

import pytest

import machine

EXIT = "shut off (shutdown): exit device, code 0"
MODULE = b"MODULE01 a module of 40 bytes, for all I know."
FEED_SECTORS = 256      # guest/tiny/attack_devices.asm, feed: the ring's index, the header of the next request
FEED = b"".join(((n + 2) * 256 % 65536 << 16 if n + 2 <= FEED_SECTORS else 0x7fff << 16).to_bytes(4, "little") + bytes(8) +
                (n + 1).to_bytes(8, "little") + bytes(492) for n in range(FEED_SECTORS))
BATCH_MAX = 32          # VMs of one boot; rows that do not fit are in the batch "second"
BATCH_BACKSTOP = 600    # seconds; in QEMU a batch takes 10 to 30
SECONDS = {"second": 85, "hostile": 66, "greedy": 52, "tiny": 40}       # in Bochs
SMALL = ("--memory", "256M")                    # of scripts/run: little is given away more quickly
OPTIONS = {"memory": SMALL, "looks": SMALL}
# In Bochs these run on two processors, some VMs on each. Not in QEMU (arch/x86/svm/README.md).
ON_TWO = ("second", "hostile")
# Their witness measures gaps. QEMU's clock is the build machine's, which has other work too, unless it counts instructions.
BY_THE_CLOCK = ("memory", "greedy")
COUNT_INSTRUCTIONS = ("--extra=-icount shift=3,sleep=off",)


@dataclass(frozen=True)
class Row:
    name: str
    guest: str = ""             # guest/tiny/GUEST.asm; the row's name when empty
    conf: str = ""              # more lines of its configuration
    end: str = EXIT             # how its end begins
    text: tuple = ()            # what the guest must have said
    log: tuple = ()             # what the hypervisor must have said about it
    after: tuple = ()           # VMs that must have ended before it
    only: tuple = None          # ((platform names), "reason")
    batch: str = "tiny"

    @property
    def must_complete(self):
        return self.end == EXIT


def hostile(attack, guest="hostile", name="", conf="", **expected):
    return Row(f"attack.{name or attack}", guest, f"cmdline = {attack}\n{conf}", batch="hostile", **expected)


DUMP = ("vcpu 0:", "rip", "cr3", "last exits, oldest first:", "exits by reason:")    # complete, and by name
SHORT_LIVED = ("attack.jump-into-hole", "attack.reset")      # they start behind the hogs, and need a turn or two
HOG_ONLY = (("vmx-bochs", "svm-qemu"), "Bochs' AMD processors keep the host's interrupts back while a guest has IF clear")
NO_SHUTDOWN_EXIT = (("vmx-bochs", "svm-qemu"), "Bochs' AMD processors reset the machine instead of leaving the guest")
DELIVERS = (("vmx-bochs",), "elsewhere interrupts are injected in any case")
VMX_AND_RYZEN = ("vmx-bochs", "svm-ryzen")

ROWS = [
    Row("hello", text=("hello from a tiny guest",)),
    Row("cpuid"),
    Row("msr"),
    Row("strict", only=(VMX_AND_RYZEN, "QEMU 7.2's processor does not refuse these values")),
    Row("amd", batch="second", only=(("svm-qemu", "svm-ryzen"), "what only an AMD guest can see")),
    Row("cr"),
    Row("pio", text=("said by rep outsb",)),
    Row("mmio"),
    Row("irq"),
    Row("irq-delivered", "irq", conf="test_apic = processor", text=("SKIP irq.pv-eoi",), batch="second", only=DELIVERS),
    Row("x2apic"),
    Row("x2apic-delivered", "x2apic", conf="test_apic = processor", batch="second", only=DELIVERS),
    Row("exc"),
    Row("user"),
    Row("align", only=(VMX_AND_RYZEN, "QEMU 7.2's processor does not check alignment")),
    Row("step"),
    Row("debug", only=(VMX_AND_RYZEN, "QEMU 7.2's VMRUN loads DR7 without setting its breakpoints")),
    Row("dr-a", "dr", conf="cmdline = a"),
    Row("dr-b", "dr", conf="cmdline = b"),      # a second one: neither registers nor breakpoints may be shared
    Row("hypercall", text=("said by a hypercall",)),
    Row("exit-code", "exit_code", end="shut off (shutdown): hypercall, code 7", text=("END by hypercall",)),
    Row("xsetbv-a", "xsetbv"),
    Row("xsetbv-b", "xsetbv"),      # a second one, at the same time: state must not be shared
    Row("timers"),
    Row("smp", conf="vcpus = 2"),
    Row("crowd", conf="vcpus = 64"),
    # As large as a VM can be, and made again after each of its crashes until it stays down: in short pieces all the same. In between it
    # waits, 15 s in all: those pass at once in Bochs where there is one processor, which can halt alone.
    Row("made-again", "hostile", end="crashed: an exception or interrupt is delivered by way of a device's memory",
        log=("crashed 5 times in a row",),
        conf="cmdline = event-on-device\nvcpus = 64\nmemory = 60G\non_crash = restart\n" +
        "\n".join(f"disk{n} = feed.img" for n in range(4))),
    Row("spin", conf="vcpus = 2"),
    Row("flush", conf="vcpus = 3", batch="second"),     # in Bochs on two processors
    Row("bootsector", conf="protocol = bootsector", batch="second"),
    Row("linux32", conf="cmdline = alpha", batch="second"),
    Row("steady", batch="second"),
    Row("mpkernel", conf="vcpus = 2", batch="second"),
    Row("late-header", "late_header", batch="second"),      # its header is the slowest to find
    Row("multiboot", conf="cmdline = alpha beta=2\nmodule0 = module.txt", batch="second"),
    Row("pae"),
    Row("sysenter"),
    Row("int1", only=(VMX_AND_RYZEN, "QEMU 7.2 stops at INT1 and waits for its own debugger")),
    Row("nmi"),
    Row("task"),
    Row("task-strict", "task", conf="cmdline = strict", only=(VMX_AND_RYZEN, "QEMU 7.2 does these task switches by itself")),
    Row("virtio-rng", "virtio_rng"),

    # Attacks: each VM ends, or lives on, as its row says; the witness runs beside them and after them.
    hostile("triple-fault", end="crashed: triple fault", log=DUMP, only=NO_SHUTDOWN_EXIT),
    hostile("jump-into-hole", end="crashed: the guest executes where there is no memory: 0xe0000000", log=DUMP),
    hostile("text-screen", end="crashed: the guest executes where there is no memory", log=(
        *DUMP, "screen attack.text-screen:     HALTED: no BIOS here.")),
    hostile("tables-outside-ram", end="crashed: the guest's page tables are not in memory: 0xe0000000", log=DUMP),
    hostile("sse-to-device", end="crashed: instruction not emulated, device address 0xfec00000 (exit ", log=DUMP),
    hostile("stack-on-device", end="crashed: ", log=DUMP),
    hostile("event-on-device", end="crashed: an exception or interrupt is delivered by way of a device's memory: 0xfec00008", log=DUMP),
    hostile("task-switch", "hostile32", end="crashed: a task switch needs memory where there is none", log=DUMP,
            only=(VMX_AND_RYZEN, "QEMU 7.2's processor does not intercept task switches")),
    hostile("task-loop", "hostile32", end="crashed: triple fault", log=DUMP, only=NO_SHUTDOWN_EXIT),
    hostile("ac-loop", "hostile32", end="crashed: endless loop delivering exception 0x11", log=DUMP,
            only=(VMX_AND_RYZEN, "QEMU 7.2's processor does not check alignment")),
    hostile("lme", "hostile32"),
    hostile("db-loop", end="crashed: endless loop delivering exception 0x1", log=DUMP,
            only=(VMX_AND_RYZEN, "QEMU 7.2's VMRUN loads DR7 without setting its breakpoints")),
    hostile("rep-huge"),
    hostile("hog", name="hog-a", after=SHORT_LIVED, only=HOG_ONLY),
    hostile("hog", name="hog-b", after=SHORT_LIVED, only=HOG_ONLY),
    hostile("exit-hog", after=SHORT_LIVED),
    hostile("halt", end="shut off (shutdown): halted with interrupts off"),
    hostile("reset", end="rebooting: reset by the guest", conf="on_reboot = destroy"),
    Row("bios-call", "bios_call", "protocol = bootsector", batch="hostile",
        end="crashed: called the BIOS: INT 0x13 (disk), AX 0x0201; there is no BIOS"),
    Row("bios-fault", "bios_fault", "protocol = bootsector", batch="hostile",
        end="crashed: exception 6 (invalid instruction) in real mode, and no handler"),
    Row("bios-reboot", "bios_reboot", "protocol = bootsector\non_reboot = destroy", batch="hostile",
        end="rebooting: reset by the guest"),
    Row("attack.queue", "attack_queue", batch="hostile"),
    Row("attack.sweep", "attack_sweep", batch="hostile"),
    Row("attack.swap", "attack_swap", conf="vcpus = 2", batch="hostile"),
    Row("witness", batch="hostile"),
    Row("greedy.feed", "attack_devices", conf="cmdline = feed\ndisk0 = feed.img", batch="greedy"),
    Row("greedy.disk", "attack_devices", conf="cmdline = disk\ndisk0 = feed.img", batch="greedy"),
    Row("greedy.output", "attack_devices", conf="cmdline = output", batch="greedy"),
    # The name, as long as one may be, stands in front of each line.
    Row("greedy.lines-with-the-longest-name-of-all-names", "attack_devices", conf="cmdline = lines", batch="greedy"),
    # The machine has 250 MiB. Without the promise there would be 200 for the first, and then not enough for the second.
    Row("memory.greedy", "touch", conf="cmdline = hold 200\nmemory = 2000M\novercommit = yes", batch="memory",
        end="crashed: out of memory: it has "),
    Row("memory.promised", "touch", conf="cmdline = late 80\nmemory = 80M", batch="memory"),
    Row("memory.refused", "touch", conf="cmdline = 180\nmemory = 180M", batch="memory", end="",
        log=("cannot be created: not enough memory",)),
    Row("memory.witness", "witness", conf="cmdline = gap\nmemory = 32M", batch="memory"),
    # The first one uses up what the hypervisor has zeroed ahead, then the second one's chunks are zeroed in its exits. Both
    # spin all the time, so none is zeroed meanwhile. Nobody may ask for more than there is: then all is zeroed at the start.
    Row("looks.touch", "touch", conf="cmdline = late 110\nmemory = 110M", batch="looks"),
    Row("looks.many", "attack_devices", conf="cmdline = many\nmemory = 64M\ndisk0 = feed.img", batch="looks"),
    Row("greedy.witness", "witness", conf="cmdline = gap", batch="greedy"),
    Row("witness-last", "witness", batch="hostile"),
]


# Saved, wiped and restored in place at up to 1,000 random exits each (hv/restore_test.h): their checks must not notice.
# `steady` has exits enough for all of them, and its memory must be the same as without.
RESTORES = 1000
RESTORED = {"cr": "", "dr": "", "irq": "", "mmio": "", "msr": "", "smp": "vcpus = 2\n", "step": "", "timers": "", "user": "",
            "steady": "", "virtio_rng": "", "x2apic": "", "xsetbv": ""}
RESTORES_MIN = 50       # the shortest of them has exits enough for that
ROWS += [Row(f"restored.{guest}", guest, conf + f"test_restore = {RESTORES}", batch="second") for guest, conf in RESTORED.items()]
OVERCOMMITTED = ("tiny", "second", "hostile")     # too many VMs for the machine, but none of them touches all it may


def description(row):
    lines = [f"kernel = tiny/{row.guest or row.name}.bin", row.conf]
    if row.batch not in OPTIONS and "memory = " not in row.conf:
        lines.append("memory = 32M")
    if row.batch in OVERCOMMITTED:
        lines.append("overcommit = yes")
    return "\n".join(lines)


def runs_on(row, platform):
    return not row.only or platform.name in row.only[0]


def batch_of(platform, batch):
    return [row for row in ROWS if row.batch == batch and runs_on(row, platform)]


def options_of(platform, batch):
    options = OPTIONS.get(batch, ())
    if platform is machine.SVM:
        return options + (COUNT_INSTRUCTIONS if batch in BY_THE_CLOCK else ())
    return options + (("--cpus", "2") if batch in ON_TWO else ())


def boot_batch(platform, batch):
    rows = batch_of(platform, batch)
    assert len(rows) <= BATCH_MAX
    return machine.boot(platform, {row.name: description(row) for row in rows}, [("module.txt", MODULE), ("feed.img", FEED)],
                        timeout=BATCH_BACKSTOP, options=options_of(platform, batch))


BATCHES = list(dict.fromkeys(row.batch for row in ROWS))
JOBS = {(platform.name, batch): machine.Job(f"{platform.name}-{batch}", platform,
                                            partial(boot_batch, platform, batch), None if platform is machine.SVM else SECONDS.get(batch))
        for batch in BATCHES for platform in machine.PLATFORMS}
CASES = [pytest.param(JOBS[platform.name, row.batch], row, id=f"{platform.name}-{row.name}")
         for batch in BATCHES for platform in machine.PLATFORMS for row in batch_of(platform, batch)]
BATCH_CASES = [pytest.param(job, batch, id=job.name) for (_, batch), job in JOBS.items()]


def complaints(row, vm, vms):
    """What is wrong with the VM of a row, one line each."""
    wrong = list(vm.fails)
    if not vm.end.startswith(row.end):
        wrong.append(f"end was: {vm.end or 'none'}; expected: {row.end}")
    if row.must_complete and not vm.is_complete:
        wrong.append("no END")
    wrong += [f"ended before {name} had its turns" for name in row.after if not 0 < vms[name].place < vm.place]
    wrong += [f"did not say: {text}" for text in row.text if text not in vm.text]
    wrong += [f"not in its log: {text}" for text in row.log if text not in "\n".join(vm.log)]
    if "test_restore" in row.conf:
        times = re.search(r"test_restore: saved, wiped and restored (\d+) times", "\n".join(vm.log))
        wanted = RESTORES if row.guest == "steady" else RESTORES_MIN
        if not times or int(times[1]) < wanted:
            wrong.append(f"restored {times[1] if times else 0} times, at least {wanted} wanted")
    return wrong


@pytest.mark.parametrize("job, row", CASES)
def test_row(outcome, row):
    vm = outcome.vms[row.name]
    wrong = complaints(row, vm, outcome.vms)
    if wrong:
        pytest.fail("\n".join([*wrong, "--- the end of what it said:", *vm.said[-8:], *vm.log[:30]]), pytrace=False)


@pytest.mark.parametrize("job, batch", BATCH_CASES)
def test_machine(outcome, batch):
    """The machine itself: it ended by its own decision, and its verdict is that of its VMs."""
    crashed = any(vm.end.startswith("crashed") for vm in outcome.vms.values())
    assert "PANIC" not in outcome.output, outcome.output[-4000:]
    assert f"trapeze: END status={int(crashed)}" in outcome.output, outcome.output[-2000:] + outcome.stderr
    assert outcome.status == int(crashed)


@pytest.mark.parametrize("job", [pytest.param(JOBS[platform.name, "second"], id=platform.name) for platform in machine.PLATFORMS])
def test_restores_leave_the_same_memory(outcome):
    left = [[line for line in outcome.vms[name].said if line.startswith("memory ")] for name in ("steady", "restored.steady")]
    assert left[0] == left[1] and len(left[0]) == 1, left


# QEMU's clock is the build machine's: there an exit takes as long as the machine lets it.
IN_TICKS = [pytest.param(job, id=job.name) for job in JOBS.values() if job.platform is not machine.SVM]


@pytest.mark.parametrize("job", IN_TICKS)
def test_longest_exit(outcome):
    """Work in one exit is bounded, whatever the guests ask for."""
    machine.assert_pieces_are_short(outcome.output)
