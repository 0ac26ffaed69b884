# SPDX-License-Identifier: MIT
"""Debian with 2 to 8 vCPUs, started again and again: each boot comes to its shell, sees them as they are, and ends.

`make boots` does it 200 times, `make boots N=1000` more often, and stops at the first that fails; CI does the first ten.
What each said is in build/boots; of one that hung, the last lines say where its vCPUs are.
"""
from functools import partial

import pytest

import machine
import test_topology

# In turn, each with every count in turn. QEMU's software mode may lose a VM where there are several processors.
MACHINES = ((machine.SVM, 1), (machine.VMX, 2), (machine.SVM, 1), (machine.RYZEN, 2))
VCPUS = range(2, 9)
LOGS = machine.BUILD / "boots"


def boot(name, platform, cpus, vcpus):
    machine.Progress.say(f"{vcpus} vCPUs on {cpus} of {platform.name}")
    outcome = machine.boot(platform, {"debian": machine.script_conf(test_topology.SCRIPT, vcpus)}, options=("--cpus", cpus))
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"{name}.log").write_text(outcome.output + outcome.stderr)
    return outcome


def case(number):
    name = f"debian-boot-{number}"
    platform, cpus = MACHINES[number % len(MACHINES)]
    vcpus = VCPUS[number % len(VCPUS)]
    # All are said to take the same, so that they start in the order in which the tests wait for them.
    return pytest.param(machine.Job(name, platform, partial(boot, name, platform, cpus, vcpus), 30), vcpus, id=name)


@pytest.mark.parametrize("job, vcpus", [case(number) for number in range(machine.BOOTS)])
def test_boot(job, outcome, vcpus):
    log = f"{LOGS}/{job.name}.log ends:\n{(outcome.output + outcome.stderr)[-4000:]}"
    assert test_topology.seen(outcome) == test_topology.expected(vcpus), log
    assert outcome.status == 0, log
