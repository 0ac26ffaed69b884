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


# ---- VMs that run on both processors --------------------------------------------------------------------

SPREAD_MS = 800         # that each of them works; apart.asm takes as long, if each vCPU has a processor
REBOOTS = 2             # guest/tiny/misdeed_device.inc
# What both vCPUs do, one VM behind the other. In Bochs reboot-loop is the third of the names, so its home is processor 0 from
# the start, and each move of its vCPUs is one out or one home.
SPREAD = {
    "apart": "kernel = tiny/apart.bin\n",
    **{name: f"kernel = tiny/misdeed.bin\ncmdline = {name} {begin} {SPREAD_MS}\n"
       for name, begin in {"compute": 1300, "rings": 2300, "reboot-loop": 3300}.items()},
}
SPREAD["reboot-loop"] += "disk0 = count.img,mode=rw\n"


def spread_on(platform):
    """Not apart in QEMU: on a busy build machine it counts one interrupt too many now and then, nobody knows why yet."""
    return [name for name in SPREAD if platform is not machine.SVM or name != "apart"]


def boot_spread(platform):
    """Two vCPUs each, which may live anywhere, on two processors."""
    vms = {name: SPREAD[name] + "vcpus = 2\nmemory = 8M\n" for name in spread_on(platform)}
    return machine.boot(platform, vms, [("count.img", bytes(512))], options=("--cpus", "2", "--log-level", "debug"))


SPREAD_JOBS = {platform: machine.Job(f"{platform.name}-spread", platform, partial(boot_spread, platform))
               for platform in machine.PLATFORMS}
SPREAD_CASES = [pytest.param(job, platform, name, id=f"{job.name}-{name}")
                for platform, job in SPREAD_JOBS.items() for name in spread_on(platform)]


@pytest.mark.parametrize("job, platform, name", SPREAD_CASES)
def test_spread(outcome, platform, name):
    """What shares devices and timers goes on as if it were on one processor, uses both, and comes home for each of its ends."""
    vm = outcome.vms[name]
    assert vm.is_complete and not vm.fails, outcome.output[-4000:]
    said = re.search(rf"trapeze: {name}: \d+ ms of a processor in all, moved (\d+) time", outcome.output)
    assert said, outcome.output[-4000:]
    did = [(int(run), int(ready)) for run, ready in
           re.findall(rf"trapeze: {name}: vCPU [01]: run (\d+) ms, ready (\d+)", outcome.output)]
    is_measured = platform is not machine.SVM       # whose clock is the build machine's, which has other work too
    if name == "reboot-loop":
        assert sum("rebooting: reset by the guest" in line for line in vm.log) == REBOOTS
    if is_measured:
        assert int(said[1]) >= (2 * REBOOTS if name == "reboot-loop" else 1), said[0]
    if is_measured and name != "reboot-loop":       # that sleeps most of the time
        ran, wanted = sum(run for run, _ in did), max(run + ready for run, ready in did)
        assert ran > 1.5 * wanted, f"{ran} ms in {wanted} ms"
    assert outcome.status == 0, outcome.output[-4000:]
