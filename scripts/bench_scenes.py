# SPDX-License-Identifier: MIT
"""Machines with several VMs that `make bench` measures, each a boot of its own, and how their lines become rows.

A guest's line is `[VM] BENCH name numbers...`. `guest/tiny/bench_wake.asm`, `bench_ipi.asm`, `bench_share.asm` and
`bench_disk.asm` say what the numbers are.
"""
import re
from dataclasses import dataclass
from typing import Callable

import bench_rows as rows

KIND = "memory = 8M\ncmdline = "
WAKE, IPI, SHARE, DISK = (f"kernel = tiny/bench_{name}.bin\n{KIND}" for name in ("wake", "ipi", "share", "disk"))
MEASURED = "measured"       # the VM whose line makes a row of wake-ups; others only compute
COMPUTES = WAKE + "compute\nvcpus = "
PER_CENT = 100
DISK_FILE, DISK_BYTES = "disk", 1 << 20
BOCHS = ("vtx", "ryzen")    # QEMU's software mode: one processor (arch/x86/svm/README.md)
ANYWHERE = (*BOCHS, "qemu")
QUICK, SLOW = 200_000_000, 50_000_000   # ticks a second: wake-ups with few of the host's timer; seconds of few ticks


@dataclass(frozen=True)
class Scene:
    rows: tuple             # what it brings
    vms: dict               # name: its configuration
    figures: Callable       # {VM: {name: [numbers]}} to {row: figure}
    ends: tuple             # the VMs that say END; others compute for ever
    cpus: int = 1
    ips: int = QUICK
    on: tuple = ANYWHERE

    def write(self, directory):
        """What scripts/run takes as --conf."""
        (directory / "vms").mkdir()
        (directory / "trapeze.conf").write_text("attach = none\n")
        (directory / DISK_FILE).write_bytes(bytes(DISK_BYTES))
        for name, text in self.vms.items():
            (directory / "vms" / f"{name}.conf").write_text(text + "\n")

    def measure(self, output):
        """{row: figure} of what the machine said."""
        said = re.findall(r"^\[(\S+)\] (.*?)\s*$", output, re.M)
        texts = [text for _, text in said]
        if any(text.startswith("FAIL") for text in texts) or len(self.ends) != sum(text.startswith("END ") for text in texts):
            raise rows.Void(f"{', '.join(self.rows)}: not every guest came to its end:\n" + "\n".join(texts[-8:]))
        if "MEASURES" in texts and texts[:texts.index("MEASURES")].count("COMPUTES") != len(self.vms) - 1:
            raise rows.Void(f"{', '.join(self.rows)}: it was measured before all others computed")
        lines = {}
        for vm, text in said:
            lines.setdefault(vm, {}).update(rows.bench_lines(text))
        return self.figures(lines)


# ---- Wake-ups: from an event to the handler of a vCPU that slept --------------------------------------------

def wake_figures(row, lines):
    """One line, of whichever VM measured."""
    numbers = next(line for vm in lines.values() for line in vm.values())
    return {row: {"ticks": rows.ticks(numbers)}}


def wake(row, measured, computing=()):
    """computing: the numbers of vCPUs of the VMs that compute beside it."""
    vms = {MEASURED: WAKE + measured} | {f"computes-{i}": COMPUTES + str(vcpus) for i, vcpus in enumerate(computing)}
    return Scene((row,), vms, lambda lines: wake_figures(row, lines), (MEASURED,))


# ---- Interrupts between two vCPUs of one VM -----------------------------------------------------------------

def ipi(figures, where, cpus, on):
    """figures: {row: line of the guest}."""
    return Scene(tuple(figures), {MEASURED: f"{IPI}{where}\nvcpus = 2"},
                 lambda lines: {row: {"ticks": rows.ticks(lines[MEASURED][line])} for row, line in figures.items()},
                 (MEASURED,), cpus, on=on)


# ---- Shares: what each VM had of a processor, in percent ----------------------------------------------------

def had(lines):
    return {vm: PER_CENT * ticks / of for vm, line in lines.items() for ticks, of in [line["had"]]}


def on(processor, **vms):
    """{name: configuration} of VMs that are bound to a processor."""
    return {name: f"{SHARE}{text}\ncpuset = {processor}\n" for name, text in vms.items()}


# Who should get what. The boot processor has the terminal, so nobody is bound to it.
DUE = {"share-1-1": {"one_a": 50, "one_b": 50}, "share-3-1": {"three": 75, "three_1": 25},
       "share-10-1": {"ten": 1000 / 11, "ten_1": 100 / 11}, "share-cap": {"capped": 25}}
GAINS = {"gain-halt": "beside_halts", "gain-yield": "beside_yields"}
SHARERS = (on(1, one_a="compute", one_b="compute")
           | on(2, three="compute\nweight = 300", three_1="compute")
           | on(3, ten="compute\nweight = 1000", ten_1="compute")
           | on(4, capped="compute\ncap = 25")
           | on(5, halts="halt", beside_halts="compute")
           | on(6, yields="yield\nvcpus = 2", beside_yields="compute"))


def share_figures(lines):
    """The greatest distance from what was due; what the honest neighbour of a cheat has less than its half."""
    got = had(lines)
    return ({row: {"value": max(abs(got[vm] - due) for vm, due in dues.items())} for row, dues in DUE.items()}
            | {row: {"value": PER_CENT / 2 - got[vm]} for row, vm in GAINS.items()})


FOUR = {name: SHARE + "compute" for name in ("north", "east", "south", "west")}


# Unbound, on two processors: what each of those of one vCPU is due, in percent of one.
BESIDE_MANY = {name: 50 for name in ("small_a", "small_b", "small_c")}
MANY = {name: SHARE + "compute" for name in BESIDE_MANY} | {"large": SHARE + "many\nvcpus = 8"}
UNBOUND = {name: 200 / 3 if "heavy" in name else 100 / 3 for name in ("1_heavy", "2_light", "3_heavy", "4_light")}   # as they start
WEIGHTS = {name: f"{SHARE}compute\nweight = {200 if 'heavy' in name else 100}" for name in UNBOUND}

# Two VMs are bound to a processor each, and the third one lives on both: it computes beside two that sleep for moments, or its vCPUs compute
# by turns. Two thirds of a processor are due to each.
DOZERS = on(0, dozer_0="doze 4000") | on(1, dozer_1="doze 4300") | {"beside_dozers": SHARE + "compute"}
ALTERNATE = on(0, beside_0="compute") | on(1, beside_1="compute") | {"alternates": SHARE + "alternate\nvcpus = 2"}
THIRDS = 200 / 3


def off_by(row, dues):
    """How far the worst of these is from what is due to it."""
    return lambda lines: {row: {"value": max(abs(had(lines)[vm] - due) for vm, due in dues.items())}}


def four_figures(lines):
    """What no guest had of two processors is at least what these were idle: it contains our own work."""
    got = had(lines).values()
    return {"jain": {"value": sum(got) ** 2 / (len(got) * sum(share ** 2 for share in got))},
            "idle": {"value": PER_CENT - sum(got) / 2}}


# ---- Two disks on two processors ----------------------------------------------------------------------------

DISKS = {name: f"{DISK}{name}\ndisk0 = {DISK_FILE},mode=ro\ncpuset = {i}\n" for i, name in enumerate(("first", "second"))}


def disk_figures(lines):
    rate = {(vm, name): requests / ticks for vm, line in lines.items() for name, (requests, ticks) in line.items()}
    both = rate["first", "together"] + rate["second", "together"]
    return {"two-disks": {"value": both / rate["first", "alone"]}}


EIGHT = 8                   # vCPUs of each VM, where there are many

SCENES = (
    ipi({"switch-ipi": "ipi-sleeps"}, "one", 1, ANYWHERE),
    ipi({"ipi-spinning": "ipi-computes", "ipi-halted": "ipi-sleeps"}, "two", 2, BOCHS),
    wake("switch-one-vm", "sibling\nvcpus = 2"),
    wake("switch-two-vms", "timer", [1]),
    wake("switch-16", "timer", [EIGHT, EIGHT - 1]),
    wake("switch-256", f"timer\nvcpus = {EIGHT}", [EIGHT] * 31),
    Scene((*DUE, *GAINS), SHARERS, share_figures, tuple(SHARERS), 7, SLOW, BOCHS),
    Scene(("share-many",), MANY, off_by("share-many", BESIDE_MANY), tuple(MANY), 2, SLOW, BOCHS),
    Scene(("share-unbound",), WEIGHTS, off_by("share-unbound", UNBOUND), tuple(WEIGHTS), 2, SLOW, BOCHS),
    Scene(("share-dozers",), DOZERS, off_by("share-dozers", {"beside_dozers": THIRDS}), tuple(DOZERS), 2, SLOW, BOCHS),
    Scene(("share-alternate",), ALTERNATE, off_by("share-alternate", {"beside_0": THIRDS, "beside_1": THIRDS}), tuple(ALTERNATE), 2, SLOW,
          BOCHS),
    Scene(("jain", "idle"), FOUR, four_figures, tuple(FOUR), 2, SLOW, BOCHS),
    Scene(("two-disks",), DISKS, disk_figures, tuple(DISKS), 2, SLOW, BOCHS),
)
SCENE_OF = {row: scene for scene in SCENES for row in scene.rows}
