# SPDX-License-Identifier: MIT
"""Machines with several processors.

All are started and switched on, odd ones are left out by name, all leave at the end. VMs share them fairly.
"""
import re
from dataclasses import dataclass, replace
from functools import partial

import pytest

import machine

HELLO = {"hello": "kernel = tiny/hello.bin\nmemory = 32M\n"}
# Each measures for 3 s what it gets of a processor.
FOUR = {name: "kernel = tiny/witness.bin\nmemory = 32M\ncmdline = gap\n" for name in ("north", "east", "south", "west")}


@dataclass(frozen=True)
class Row:
    name: str
    platform: machine.Platform
    options: tuple      # of scripts/run, besides the platform's
    on: int             # processors that READY counts
    left_out: tuple = ()    # processor: reason
    vms: dict = None    # {name: configuration}; HELLO when there are none

    @property
    def job(self):
        return f"{self.platform.name}-{self.name}"


def odd(without):
    """Software-mode QEMU with a second processor that lacks something, which no other emulator here can do."""
    return ("--extra", "-smp 1,maxcpus=2,sockets=2 "
            f"-device EPYC-x86_64-cpu,{without}=off,socket-id=1,core-id=0,thread-id=0")


ON_TWO = ("--cpus", "2")
# Not in QEMU, whose clock is the build machine's, and not on Bochs' AMD processors: the witnesses compute with IF clear.
FOUR_ON_TWO = Row("four-on-two", machine.VMX, ON_TWO, 2, vms=FOUR)
ROWS = [
    FOUR_ON_TWO,
    Row("two", machine.RYZEN, ON_TWO, 2),
    Row("two", machine.SVM, ON_TWO, 2),
    Row("four", machine.SVM, ("--cpus", "4"), 4),
    Row("no-rdrand", machine.SVM, odd("rdrand"), 1,
        ("processor 1 (APIC ID 1) is left out: it differs from the boot processor: rdrand",)),
    Row("no-npt", machine.SVM, odd("npt"), 1,
        ("processor 1 (APIC ID 1) is left out: its AMD-V differs from the boot processor's: nested paging",)),
]


def boot(row):
    platform = replace(row.platform, options=(*row.platform.options, *row.options, "--log-level", "debug"))
    return machine.boot(platform, row.vms or HELLO)


JOBS = {row.job: machine.Job(row.job, row.platform, partial(boot, row)) for row in ROWS}
CASES = [pytest.param(JOBS[row.job], row, id=row.job) for row in ROWS]


@pytest.mark.parametrize("job, row", CASES)
def test_processors(outcome, row):
    others = row.on - 1
    expected = [f"{row.on} CPU{'s' if others else ''}, ", *(f"TZ-W022 {text}" for text in row.left_out)]
    if others:
        expected.append(f"{others} of {others} other processors have left")
    missing = [text for text in expected if text not in outcome.output]
    assert not missing, outcome.output[-4000:] + outcome.stderr
    warnings = outcome.output.count("TZ-W") - outcome.output.count("TZ-W025")     # of a busy build machine's clock
    assert warnings == len(row.left_out), outcome.output[-4000:]
    assert all(vm.is_complete and not vm.fails for vm in outcome.vms.values())
    assert "trapeze: END status=0" in outcome.output
    assert outcome.status == 0


@pytest.mark.parametrize("job", [JOBS[FOUR_ON_TWO.job]], ids=repr)
def test_four_on_two(outcome):
    """Half a processor each, to 1 percent, and Jain's index of fairness above 0.99."""
    found = {name: re.search(r"share in thousandths ([0-9a-f]+)", vm.text) for name, vm in outcome.vms.items()}
    assert all(found.values()), outcome.output[-2000:]
    shares = {name: int(share[1], 16) for name, share in found.items()}
    jain = sum(shares.values()) ** 2 / (len(shares) * sum(share ** 2 for share in shares.values()))
    assert all(abs(share - 500) <= 10 for share in shares.values()) and jain > 0.99, f"{shares}, Jain {jain}"
    assert outcome.status == 0, outcome.output[-2000:]
