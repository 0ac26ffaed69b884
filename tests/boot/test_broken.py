# SPDX-License-Identifier: MIT
"""Machines that break: all processors stop, the log says where each was, one after the other, and it goes off.

QEMU's control channel injects machine checks. Bochs has no command for that which another program could give.
"""
import json
import re
import socket
import tempfile
from functools import partial

import pytest

import machine

VM = "kernel = tiny/prompt.bin\nmemory = 32M\n"      # it looks for a key again and again


def tell_qemu(path, command):
    """One line of QEMU's human monitor."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)
        lines = channel.makefile("r")
        lines.readline()        # the greeting
        for order in ({"execute": "qmp_capabilities"},
                      {"execute": "human-monitor-command", "arguments": {"command-line": command}}):
            channel.sendall(json.dumps(order).encode() + b"\n")
            while "return" not in (answer := json.loads(lines.readline())):
                assert "error" not in answer, answer
    assert not answer["return"], answer


def check(processor, directory):
    tell_qemu(f"{directory}/qmp", f"mce {processor} 2 {STATUS:#x} {GLOBAL:#x} {ADDRESS:#x} 0")


def boot(processor):
    """The VM lives on the other one, so no guest is there when this one breaks."""
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        machine.write_conf(f"{directory}/conf", {"asks": f"{VM}cpuset = {1 - processor}\n"})
        channels = f"-qmp unix:{directory}/qmp,server=on,wait=off"
        with machine.Dialogue(*machine.SVM.options, "--cpus", "2", "--conf", f"{directory}/conf",
                              f"--extra={channels} {COUNT_INSTRUCTIONS}") as talk:
            talk.expect("started, 1 vCPU")
            check(processor, directory)
            status = talk.end()
    return {"status": status, "output": talk.output}


# One processor waits so long for the other that stops. By the build machine's clock that could be over before the other has run
# at all; so time is counted in instructions, and the two run in turns.
COUNT_INSTRUCTIONS = "-icount shift=3,sleep=off"

# Valid, uncorrected, enabled, with an address, the processor's context corrupt; IA32_MCG_STATUS: an exception is under way.
STATUS, GLOBAL, ADDRESS = 0xb600000000000134, 5, 0x12345000

CHECKS = [machine.Job(f"svm-qemu-machine-check-{processor}", machine.SVM,
                      partial(boot, processor)) for processor in (0, 1)]


@pytest.mark.parametrize("job", CHECKS, ids=repr)
def test_machine_check(outcome, job):
    """On the boot processor, which has the terminal, and on another one."""
    sick = int(job.name[-1])
    output = outcome["output"]
    report = re.search(rf"PANIC #MC machine check\n"
                       rf"trapeze: processor {sick} .*\n"
                       rf"trapeze:   1 bank.s. of the machine check hold an error, global status {GLOBAL:x}\n"
                       rf"trapeze:   bank 2: an uncorrected error, status {STATUS:016x}, address {ADDRESS:016x}, misc 0+\n"
                       rf"trapeze:   rip .*(?:\n.*)+?backtrace:\n"
                       rf"(?:.*\n)+?trapeze: processor {1 - sick} .*\n"
                       rf"trapeze:   rip .*(?:\n.*)+?backtrace:\n"
                       rf"trapeze: +[0-9a-f]+ \w+.*\n", output)
    assert report, output[-4000:]
    assert "does not answer" not in output and output.count("PANIC #MC") == 2
    assert "trapeze: END status=1 panic" in output and outcome["status"] == 1
