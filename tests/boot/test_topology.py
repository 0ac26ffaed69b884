# SPDX-License-Identifier: MIT
"""What Debian's kernels make of the processors that a VM has: of 6.12 here, of 6.1 test_boots.py asks the same."""
from functools import partial

import pytest

import machine
from test_debian import COMPLAINTS

SCRIPT = f"""cd /sys/devices/system/cpu
echo cores $(cat cpu*/topology/core_cpus_list | sort -n)
echo package $(cat cpu*/topology/package_cpus_list | sort -u)
echo apicids $(awk '/^(initial )?apicid/ {{ print $NF }}' /proc/cpuinfo)
echo sizes $(awk '/^(siblings|cpu cores)/ {{ print $NF }}' /proc/cpuinfo | sort -u)
echo doubts $(dmesg | grep -iE 'firmware bug|unsynchronized|mismatch|skew|warp|topology')
echo complaints $({COMPLAINTS})
"""


def expected(vcpus):
    """One package with a core for each vCPU, and APIC IDs from 0: twice, by the local APIC and by CPUID."""
    numbers = " ".join(map(str, range(vcpus)))
    twice = " ".join(f"{number} {number}" for number in range(vcpus))
    return [f"cores {numbers}", f"package 0-{vcpus - 1}", f"apicids {twice}", f"sizes {vcpus}", "doubts", "complaints 0"]


def seen(outcome):
    """What it did print."""
    said = outcome.vms["debian"].said
    starts = [number for number, line in enumerate(said) if line.startswith("cores ")]
    return said[starts[0]:][:len(expected(0))] if starts else []


PARALLEL = "Parallel CPU startup enabled"        # all processors are started at once
PARALLEL_LOG = 'dyndbg="func arch_cpuhp_init_parallel_bringup +p"'       # else the kernel keeps it to itself
VCPUS = 8


def boot(platform, cpus):
    script = f"echo $(dmesg | grep -o '{PARALLEL}')\n{SCRIPT}"
    text = machine.script_conf(script, VCPUS, "linux612", "linux612", PARALLEL_LOG)
    return machine.boot(platform, {"debian": text}, options=("--cpus", cpus))


# QEMU's software mode may lose a VM where there are several processors.
JOBS = [machine.Job(f"{platform.name}-linux612", platform, partial(boot, platform, cpus), seconds)
        for platform, cpus, seconds in ((machine.VMX, 2, 60), (machine.SVM, 1, 15))]


@pytest.mark.parametrize("job", JOBS, ids=repr)
def test_topology(outcome):
    assert seen(outcome) == expected(VCPUS), outcome.output[-4000:] + outcome.stderr
    assert PARALLEL in outcome.vms["debian"].said, outcome.output[-4000:] + outcome.stderr
    assert outcome.status == 0
