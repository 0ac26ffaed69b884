# SPDX-License-Identifier: MIT
"""Debian under load, with several vCPUs on two processors: tests/load in it must say what it says on this computer.

With four vCPUs it runs twice. The second time processors are taken away and given back meanwhile, all but the first.
"""
import subprocess
from dataclasses import dataclass
from functools import partial

import pytest

import machine
from test_debian import COMPLAINTS

LOAD = machine.BUILD / "load/load"
TIMES = 4           # 7 s of a processor in Bochs
QUIET_SEED, PLUG_SEED = 1, 2
VCPUS = 4

QUIET = f"load {QUIET_SEED} {TIMES}\n"
PLUG = f"""cd /sys/devices/system/cpu
load {PLUG_SEED} {TIMES} >/tmp/load &
while kill -0 $! 2>/dev/null; do
for cpu in 1 2 3; do echo 0 >cpu$cpu/online; done; echo "PLUG $(cat online)"
for cpu in 3 1 2; do echo 1 >cpu$cpu/online; done; echo "PLUG $(cat online)"
done
wait; cat /tmp/load
"""
END_OF_SCRIPT = f"echo complaints $({COMPLAINTS})\n"


@dataclass(frozen=True)
class Row:
    platform: machine.Platform
    cpus: int
    vcpus: int
    seconds: int

    @property
    def name(self):
        return f"{self.platform.name}-load-{self.vcpus}-on-{self.cpus}"


ROWS = (Row(machine.VMX, 2, VCPUS, 90), Row(machine.RYZEN, 2, VCPUS, 80), Row(machine.SVM, 1, 1, 15))


def boot(row):
    script = QUIET + (PLUG if row.vcpus > 1 else "") + END_OF_SCRIPT
    text = machine.script_conf(script, row.vcpus, initrd="load")
    return machine.boot(row.platform, {"debian": text}, options=("--cpus", row.cpus))


def said_here(seed):
    """The lines of the same program on this computer's own processors."""
    done = subprocess.run([LOAD, str(seed), str(TIMES)], capture_output=True, text=True, timeout=machine.BACKSTOP)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


CASES = [pytest.param(machine.Job(row.name, row.platform, partial(boot, row), row.seconds), row, id=row.name) for row in ROWS]


@pytest.mark.parametrize("job, row", CASES)
def test_load(outcome, row):
    said = outcome.vms["debian"].said
    results = [line for line in said if line.startswith("LOAD")]
    plugged = [line for line in said if line.startswith("PLUG")]
    several = row.vcpus > 1
    assert results == said_here(QUIET_SEED) + (said_here(PLUG_SEED) if several else []), outcome.output[-4000:] + outcome.stderr
    assert plugged == ["PLUG 0", f"PLUG 0-{row.vcpus - 1}"] * (len(plugged) // 2)
    assert len(plugged) >= 4 or not several     # when a second round began the load was not over
    assert "complaints 0" in said, outcome.output[-4000:] + outcome.stderr
    assert outcome.status == 0
