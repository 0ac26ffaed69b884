# SPDX-License-Identifier: MIT
"""The isolation matrix: each misdeed (guest/tiny/misdeed.asm) beside two neighbours that do checked work.

All misdeeds of a boot are VMs bound to the second of two processors, and each waits until those before it are over. One neighbour
lives on that processor, too, the other one has the first for itself. Each tells from time to time how much work it got
done (guest/tiny/neighbour.asm). What it did during a misdeed, or while a VM died of it, is compared with what it did beside a
VM that only computes, or sleeps.
"""
import re
from dataclasses import dataclass
from functools import partial

import pytest

import machine

EXIT = "shut off (shutdown): exit device, code 0"
NO_SHUTDOWN = "Bochs' AMD processors reset the machine at a guest's triple fault"
NO_PREEMPTION = "Bochs' AMD processors keep the host's interrupts back while a guest has IF clear"
BEGIN_MS = 1300         # after its start; by then all others have started
LENGTH_MS = 300
PAUSE_MS = 500          # behind a misdeed: each vCPU has a turn, and notices its end; and some VMs start earlier than others
KINDS = {"1": 1, "4": 4, "sleep": 4}    # of boots: how many vCPUs each VM has that does something
MOST = ("1", "4")
LATE_MS = 900           # the VMs that start first are so much ahead of the last ones
SETTLE = 2              # records at the begin that do not count: one began before; in the next, who slept has a turn that is owed to it
LOST_MAX = 0.02
OPTIONS = ("--memory", "192M", "--log-level", "debug")
ON_TWO = ("--cpus", "2")
# Ticks of half a turn in Bochs, which one that wakes is ahead (hv/share.c): a death may be so short that this counts.
AHEAD = 250_000
# Not on two (arch/x86/svm/README.md). Its clock is the build machine's, which has other work too, unless it counts instructions.
# There the length of a turn varies by a tenth, so the misdeeds take longer.
QEMU_LONGER = 6
COUNT_INSTRUCTIONS = ("--extra=-icount shift=3,sleep=off",)
SECONDS = 100           # of a boot
ONES_KIB = 4            # the page that all holes share, made when a guest first needs it, and kept (arch/x86/exit/mmio_hole.c)
DISK_BYTES = 0x20000    # guest/tiny/misdeed_device.inc

# By the processor where one can, which is in Bochs' VMX alone (arch/x86/vmx/README.md); elsewhere by the software, as ever.
DELIVERED = "memory = 4M\ntest_apic = processor\n"


@dataclass(frozen=True)
class Misdeed:
    name: str               # as misdeed.asm knows it
    end: str = EXIT         # how the VM's end begins
    conf: str = "memory = 4M\ndisk0 = disk.img\n"
    length: int = LENGTH_MS
    debt: int = 0           # ticks that it may be ahead at the end, because its exits may take so long
    lives_on: bool = False  # it is not over when the next one begins
    dies_at_once: bool = False
    not_on_ryzen: str = ""  # why; then QEMU shows it, on one processor
    beside: str = "compute" # what a VM does beside which its neighbours get as much, if all is well
    kinds: tuple = MOST     # of the boots that show it
    by_any: bool = False    # what its devices put off uses up turns of its vCPUs: some may do nothing themselves

    @property
    def dies(self):
        return self.end != EXIT


HARMLESS = {name: Misdeed(name, beside=name, kinds=kinds) for name, kinds in (("compute", MOST), ("sleep", ("sleep",)))}
MISDEEDS = (
    *HARMLESS.values(),
    Misdeed("triple-fault", "crashed: triple fault", dies_at_once=True, not_on_ryzen=NO_SHUTDOWN),
    Misdeed("ac-loop", "crashed: endless loop delivering exception 0x11", dies_at_once=True),
    Misdeed("db-loop", "crashed: endless loop delivering exception 0x1", dies_at_once=True),
    Misdeed("halt", "shut off (shutdown): halted with interrupts off", dies_at_once=True),
    Misdeed("invalid-state"),
    Misdeed("page-tables"),
    Misdeed("wild-mmio"),
    Misdeed("bad-registers"),
    Misdeed("init-storm"),
    Misdeed("nmi-storm"),
    Misdeed("ipi-storm"),
    Misdeed("rings"),
    Misdeed("device-reset", length=500, debt=machine.PIECE_MAX, by_any=True),
    Misdeed("notify-flood"),
    Misdeed("timer-storm", length=500),
    Misdeed("pit-deaf", length=500),
    Misdeed("pit-sleeper", length=500, beside="sleep", kinds=HARMLESS["sleep"].kinds),
    Misdeed("exit-storm"),
    Misdeed("endless-loop", not_on_ryzen=NO_PREEMPTION),
    Misdeed("pause-storm"),
    Misdeed("past-deadline"),
    Misdeed("apic-modes"),
    Misdeed("self-ipi"),
    Misdeed("x2apic-nmi", conf=DELIVERED),
    Misdeed("x2apic-init", conf=DELIVERED),
    Misdeed("rivals"),
    Misdeed("console-flood", length=500),
    Misdeed("virtio-flood", length=500, by_any=True),
    Misdeed("reboot-loop", conf="memory = 4M\ndisk0 = count.img,mode=rw\n", length=1150, lives_on=True),
    Misdeed("memory-hog", "crashed: out of memory: it has ", conf="memory = 2000M\n", length=750, debt=machine.PIECE_MAX),
)


def misdeeds_of(platform):
    if platform is machine.SVM:
        return [misdeed for misdeed in MISDEEDS if misdeed.not_on_ryzen or misdeed is HARMLESS["compute"]]
    return [misdeed for misdeed in MISDEEDS if platform is machine.VMX or not misdeed.not_on_ryzen]


def misdeeds_in(platform, kind):
    return [misdeed for misdeed in misdeeds_of(platform) if kind in misdeed.kinds]


def neighbours_of(platform):
    """Where each lives: on the processor of the misdeeds, the last one, or on the other one."""
    return {"same": 0} if platform is machine.SVM else {"same": 1, "other": 0}


def vm_names(platform):
    """They start in the order of their names, so nobody begins before those in front of it."""
    return {misdeed.name: f"{i:02}.{misdeed.name}" for i, misdeed in enumerate(misdeeds_of(platform))}


def configuration(platform, kind):
    vms, begin = {}, BEGIN_MS
    for misdeed in misdeeds_in(platform, kind):
        length = misdeed.length * (QEMU_LONGER if platform is machine.SVM else 1)
        vms[vm_names(platform)[misdeed.name]] = (
            f"kernel = tiny/misdeed.bin\ncmdline = {misdeed.name} {begin} {length}\nvcpus = {KINDS[kind]}\n"
            f"overcommit = yes\ncpuset = {neighbours_of(platform)['same']}\n{misdeed.conf}")
        begin += length + PAUSE_MS
    for name, processor in neighbours_of(platform).items():
        vms[name] = f"kernel = tiny/neighbour.bin\ncmdline = {begin + LATE_MS}\nmemory = 2M\ncpuset = {processor}\n"
    return vms


def boot(platform, kind):
    return machine.boot(platform, configuration(platform, kind), [("disk.img", bytes(DISK_BYTES)), ("count.img", bytes(512))],
                        options=OPTIONS + (COUNT_INSTRUCTIONS if platform is machine.SVM else ON_TWO))


JOBS = {(platform, kind): machine.Job(f"{platform.name}-matrix-{kind}", platform, partial(boot, platform, kind), SECONDS)
        for platform in machine.PLATFORMS for kind in KINDS if kind in MOST or platform is not machine.SVM}


def rows():
    for (platform, kind), job in JOBS.items():
        for misdeed in misdeeds_in(platform, kind):
            yield job, platform, misdeed, f"{platform.name}-{kind}-{misdeed.name}"


# ---- What the neighbours told ---------------------------------------------------------------------------

RECORD = re.compile(r"\[(\S+)\] did ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)$")


def place(lines, pattern, first=0):
    """Of the first line from there on that begins with the pattern; behind the last one if there is none."""
    pattern = re.compile(pattern)
    return next((at for at in range(first, len(lines)) if pattern.match(lines[at])), len(lines))


def stages(platform, misdeed, lines):
    """Where the misdeed begins and ends, where its VM has gone for good, and where the next misdeed begins."""
    name, begins = vm_names(platform)[misdeed.name], r"\[\d\d\.\S+\] at it"
    begin = place(lines, rf"\[{name}\] at it")
    assert begin < len(lines), f"{name} has not begun\n" + "\n".join(lines[-30:])
    end = place(lines, rf"\[{name}\] over|trapeze: {name}: (shut off|crashed)", begin)
    gone = place(lines, rf"trapeze: {name}: \d+ ms of a processor in all", end)
    following = place(lines, begins, begin + 1)
    assert misdeed.lives_on or gone <= following, f"{name} has not gone when the next one begins"
    return begin, min(end, following), gone, following


def told(lines, neighbour):
    """(rounds, ticks, wrong rounds) of each record."""
    return [tuple(int(number, 16) for number in found.groups()[1:]) for line in lines
            if (found := RECORD.match(line)) and found[1] == neighbour]


def records(platform, misdeed, output, neighbour):
    """
    Those of the neighbour that lie in the misdeed, but for the first ones. Where the VM dies of it, apart: those from its
    last deed to the first one behind its last line, which holds the rest of its end.
    """
    lines = output.splitlines()
    begin, end, gone, following = stages(platform, misdeed, lines)
    parts = []
    if not misdeed.dies_at_once:
        parts.append(told(lines[begin:end], neighbour)[SETTLE:])
    if misdeed.dies:
        first = begin if misdeed.dies_at_once else end
        last = place(lines, rf"\[{neighbour}\] did ", gone)
        assert last < following, f"{neighbour} told nothing between the end of {misdeed.name} and the next one"
        parts.append(told(lines[first:last + 1], neighbour))
    assert all(parts), f"{neighbour} told too little during {misdeed.name}: {parts}"
    return parts


def rate(part, debt=0):
    """Rounds in a tick."""
    return sum(rounds for rounds, _, _ in part) / (sum(ticks for _, ticks, _ in part) - debt)


def losses(platform, misdeed, output, neighbour):
    """Of each part: what it lacks of the share that it has beside a harmless VM. Negative: it got more."""
    share, = records(platform, HARMLESS[misdeed.beside], output, neighbour)
    debt = (misdeed.debt + AHEAD * misdeed.dies) if neighbour == "same" else 0
    return [1 - rate(part, debt) / rate(share) for part in records(platform, misdeed, output, neighbour)]


@pytest.mark.parametrize("job, platform, misdeed, neighbour", [
    pytest.param(job, platform, misdeed, neighbour, id=f"{name}-{neighbour}")
    for job, platform, misdeed, name in rows() for neighbour in neighbours_of(platform)])
def test_neighbour(outcome, platform, misdeed, neighbour):
    """No wrong result, and at most so much less work than beside a harmless VM."""
    parts = records(platform, misdeed, outcome.output, neighbour)
    assert not any(wrong for part in parts for _, _, wrong in part), parts
    for lost, part in zip(losses(platform, misdeed, outcome.output, neighbour), parts):
        assert lost <= LOST_MAX, f"{lost:.1%} lost: {part}"


@pytest.mark.parametrize("job, platform, misdeed", [pytest.param(*row[:3], id=row[3]) for row in rows()])
def test_end(outcome, platform, misdeed):
    """As it must, and not before each vCPU has done its part."""
    vm = outcome.vms[vm_names(platform)[misdeed.name]]
    assert vm.end.startswith(misdeed.end), "\n".join([vm.end, *vm.said[-8:], *vm.log[:30]])
    assert not vm.fails, "\n".join(vm.said[-8:])
    if not misdeed.dies and not misdeed.lives_on:
        rounds = re.search(r"^rounds (.*)", vm.text, re.M)
        did = any if misdeed.by_any else all
        assert rounds and did(int(number, 16) for number in rounds[1].split()), "\n".join(vm.said[-8:])


@pytest.mark.parametrize("job, platform, kind", [pytest.param(job, platform, kind, id=job.name) for (platform, kind), job in JOBS.items()])
def test_machine(outcome, platform, kind):
    """It ended by its own decision, every result of the neighbours was right to the end, and every page is back."""
    assert "PANIC" not in outcome.output, outcome.output[-4000:]
    end = "status=1 a VM crashed" if any(misdeed.dies for misdeed in misdeeds_in(platform, kind)) else "status=0 all VMs are off"
    assert f"trapeze: END {end}" in outcome.output, outcome.output[-2000:] + outcome.stderr
    for name in neighbours_of(platform):
        vm = outcome.vms[name]
        assert vm.is_complete and not vm.fails and vm.end.startswith(EXIT), "\n".join([vm.end, *vm.said[-4:]])
    free = re.search(r"trapeze: (\d+) KiB are free, (\d+) before the first VM, of which the scheduler keeps (\d+)", outcome.output)
    assert free and int(free[2]) - int(free[3]) - int(free[1]) in (0, ONES_KIB), free and free[0]
    if platform is not machine.SVM:
        machine.assert_pieces_are_short(outcome.output)
