# SPDX-License-Identifier: MIT
"""Machines with several nodes, which only QEMU can make: Bochs' firmware has no ACPI tables.

Where a VM's memory comes from is in the line about its end.
"""
import re
import struct
import tempfile
from functools import partial

import pytest

import machine

BOOT = "boot: node {} of SRAT: "
TOUCH = "kernel = tiny/touch.bin\nmemory = {0}M\ncmdline = {0}\n"


def near():
    """A processor for each node."""
    vms = {"low": "cpuset = 0\n", "high": "cpuset = 1\n"}
    return machine.boot(machine.SVM, {name: TOUCH.format(16) + conf for name, conf in vms.items()},
                        options=("--cpus", "2", "--numa", "2"))


def far():
    """The only processor is in node 0. That has 256 MiB, so 300 come from both nodes, when the others have theirs."""
    vms = {"default": TOUCH.format(16), "said": TOUCH.format(16) + "numa = 1\n", "any": TOUCH.format(16) + "numa = any\n",
           "large": TOUCH.format(300).replace("= 300\n", "= late 300\n") + "cpuset = 0\n"}
    return machine.boot(machine.SVM, vms, options=("--numa", "2", "--memory", "512"))


def broken():
    """A table of our own, which speaks of a domain that is none."""
    memory = struct.pack("<BBIHQQIIQ", 1, 40, 64, 0, 0, 1 << 32, 0, 1, 0)
    with tempfile.NamedTemporaryFile(prefix="trapeze-test-") as file:
        file.write(struct.pack("<IQ", 1, 0) + memory)
        file.flush()
        return machine.boot(machine.SVM, {"only": TOUCH.format(16)}, options=("--extra", f"-acpitable sig=SRAT,rev=2,data={file.name}"))


JOBS = {work.__name__: machine.Job(f"{machine.SVM.name}-nodes-{work.__name__}", machine.SVM, work) for work in (near, far, broken)}
of = {name: partial(pytest.mark.parametrize("job", [job], ids=repr)) for name, job in JOBS.items()}


def nodes(vm):
    """{node: KiB} of its RAM."""
    end = next(line for line in vm.log if machine.END_OF_VM.match(line))
    return {int(node): int(kib) for kib, node in re.findall(r"(\d+) KiB of node (\d+)", end)}


def check_ends(outcome):
    assert all(vm.is_complete and not vm.fails for vm in outcome.vms.values()), outcome.output[-3000:] + outcome.stderr
    assert outcome.status == 0, outcome.output[-3000:]


def started(vm):
    return next(line for line in vm.log if line.startswith("started, "))


@of["near"]()
def test_memory_is_near_its_processors(outcome):
    check_ends(outcome)
    assert all(f"{BOOT.format(node)}1 processor(s)" in outcome.output for node in (0, 1))
    for name, node in ("low", 0), ("high", 1):
        vm = outcome.vms[name]
        assert started(vm).endswith(f"memory from node {node}")
        assert list(nodes(vm)) == [node] and nodes(vm)[node] >= 12 << 10, vm.log


@of["far"]()
def test_configuration_overrides(outcome):
    check_ends(outcome)
    assert f"{BOOT.format(1)}0 processor(s)" in outcome.output
    assert {name: list(nodes(outcome.vms[name])) for name in ("default", "said", "any")} == {"default": [0], "said": [1], "any": [0]}


@of["far"]()
def test_what_a_node_lacks_comes_from_another(outcome):
    large = nodes(outcome.vms["large"])
    assert list(large) == [0, 1] and sum(large.values()) >= 290 << 10, outcome.output[-3000:]
    told = [line for line in outcome.output.splitlines() if "came from other nodes than wanted" in line]
    assert len(told) == 1 and f"large: {large[1]} KiB of its RAM" in told[0], told


@of["broken"]()
def test_a_broken_table_is_named(outcome):
    check_ends(outcome)
    assert outcome.output.count("TZ-W026") == 1
    assert "all memory counts as one node: it has a domain 64, and the last that can be used is 63" in outcome.output
    assert not nodes(outcome.vms["only"]) and "node" not in started(outcome.vms["only"])
