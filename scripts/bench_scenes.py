# SPDX-License-Identifier: MIT
"""Machines with several VMs that `make bench` measures, each a boot of its own, and how their lines become rows.

A guest's line is `[VM] BENCH name numbers...`. `guest/tiny/bench_wake.asm` says what
the numbers are.
"""
import re
from dataclasses import dataclass
from typing import Callable

import bench_rows as rows

KIND = "memory = 8M\ncmdline = "
WAKE = f"kernel = tiny/bench_wake.bin\n{KIND}"
MEASURED = "measured"       # the VM whose line makes a row of wake-ups; others only compute
COMPUTES = WAKE + "compute\nvcpus = "
QUICK = 200_000_000         # ticks a second, so that few are the host's timer's


@dataclass(frozen=True)
class Scene:
    rows: tuple             # what it brings
    vms: dict               # name: its configuration
    figures: Callable       # {VM: {name: [numbers]}} to {row: figure}
    ends: tuple             # the VMs that say END; others compute for ever
    cpus: int = 1
    ips: int = QUICK
    on: tuple = ("vtx", "ryzen", "qemu")

    def write(self, directory):
        """What scripts/run takes as --conf."""
        (directory / "vms").mkdir()
        (directory / "trapeze.conf").write_text("attach = none\n")
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


EIGHT = 8                   # HANDOFF_VCPUS_MAX

SCENES = (
    wake("switch-ipi", "ipi\nvcpus = 2"),
    wake("switch-one-vm", "sibling\nvcpus = 2"),
    wake("switch-two-vms", "timer", [1]),
    wake("switch-16", "timer", [EIGHT, EIGHT - 1]),
    wake("switch-256", f"timer\nvcpus = {EIGHT}", [EIGHT] * 31),
)
