# SPDX-License-Identifier: MIT
"""Machines that break: all processors stop, the log says where each was, one after the other, and it goes off.

QEMU's control channel injects machine checks, and its stub for debuggers writes an endless loop over an instruction of ours, in
memory. Bochs has no command for either that another program could give.
"""
import json
import re
import socket
import subprocess
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


def tell_stub(path, *packets):
    """Each in GDB's remote protocol. The machine stands still from the moment that somebody connects, which is told, to the last, D."""
    said = b""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)

        def answer():
            nonlocal said
            while not (whole := re.search(rb"\$([^#]*)#..", said)):
                data = channel.recv(4096)
                assert data, said
                said += data
            said = said[whole.end():]
            channel.sendall(b"+")
            return whole[1].decode()

        assert answer().startswith("T"), said
        for packet in packets:
            channel.sendall(b"$%s#%02x" % (packet.encode(), sum(packet.encode()) % 256))
            assert answer() == "OK", packet


def check(processor, directory, _):
    tell_qemu(f"{directory}/qmp", f"mce {processor} 2 {STATUS:#x} {GLOBAL:#x} {ADDRESS:#x} 0")


def address_of(symbol, output):
    """Where in the machine's memory it is: from where the loader has put our image, and for which addresses that was linked."""
    found = re.search(r"boot: hv.elf, \d+ KiB at (0x[0-9a-f]+) for (0x[0-9a-f]+)", output)
    names = subprocess.run(["nm", machine.BUILD / "hv.elf"], check=True, capture_output=True, text=True).stdout
    linked, = re.findall(rf"^([0-9a-f]+) T {symbol}$", names, re.M)
    return int(found[1], 16) + int(linked, 16) - int(found[2], 16)


def hang(_, directory, output):
    """Only the processor without a VM comes to idle, and never further."""
    order = f"M{address_of('host_idle', output):x},{len(ENDLESS_LOOP) // 2}:{ENDLESS_LOOP}"
    tell_stub(f"{directory}/gdb", PHYSICAL, order, "D")


def boot(processor, break_it):
    """The VM lives on the other one, so no guest is there when this one breaks."""
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        machine.write_conf(f"{directory}/conf", {"asks": f"{VM}cpuset = {1 - processor}\n"})
        channels = (f"-qmp unix:{directory}/qmp,server=on,wait=off "
                    f"-chardev socket,path={directory}/gdb,server=on,wait=off,id=gdb -gdb chardev:gdb")
        with machine.Dialogue(*machine.SVM.options, "--cpus", "2", "--conf", f"{directory}/conf",
                              f"--extra={channels} {COUNT_INSTRUCTIONS}") as talk:
            talk.expect("started, 1 vCPU")
            break_it(processor, directory, talk.output)
            status = talk.end()
    return {"status": status, "output": talk.output}


# One processor waits so long for the other that stops. By the build machine's clock that could be over before the other has run
# at all; so time is counted in instructions, and the two run in turns. Few in a second, for a hang is waited for.
COUNT_INSTRUCTIONS = "-icount shift=6,sleep=off"

# Valid, uncorrected, enabled, with an address, the processor's context corrupt; IA32_MCG_STATUS: an exception is under way.
STATUS, GLOBAL, ADDRESS = 0xb600000000000134, 5, 0x12345000
PHYSICAL = "Qqemu.PhyMemMode:1"
ENDLESS_LOOP = "ebfe"           # JMP to itself

CHECKS = [machine.Job(f"svm-qemu-machine-check-{processor}", machine.SVM,
                      partial(boot, processor, check)) for processor in (0, 1)]
HANGS = [machine.Job(f"svm-qemu-hang-{processor}", machine.SVM, partial(boot, processor, hang)) for processor in (0, 1)]


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


@pytest.mark.parametrize("job", HANGS, ids=repr)
def test_hang(outcome, job):
    """One of ours hangs in the hypervisor, with interrupts off. The other one notices, and the dump says where it is."""
    sick = int(job.name[-1])
    output = outcome["output"]
    reason = rf"PANIC processor {sick} makes no progress, since 10 s\n"
    report = re.search(rf"{reason}"
                       rf"trapeze: processor {1 - sick} .*, vCPU 0 of VM \"asks\" loaded.*\n(?:.*\n)+?"
                       rf"trapeze: processor {sick} .*, no vCPU loaded\n"
                       rf"trapeze:   rip .*\n(?:.*\n)+?trapeze: backtrace:\n"
                       rf"trapeze: +[0-9a-f]+ host_idle\+0x0\n", output)
    assert report, output[-4000:]
    assert "does not answer" not in output and len(re.findall(reason, output)) == 2
    assert "trapeze: END status=1 panic" in output and outcome["status"] == 1
