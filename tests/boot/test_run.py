# SPDX-License-Identifier: MIT
"""scripts/run as a user meets it: what it refuses, what it ends with, and that it leaves nothing behind."""
import os
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

import machine

USAGE, CRASHED, TIMEOUT, INTERRUPTED = 2, 1, 124, 130
HELLO = machine.BUILD / "tiny/hello.bin"


@pytest.mark.parametrize("arguments, says", [
    (["--on", "vax"], "--on"),
    (["--memory", "lots"], "a size is a number"),
    (["--memory", "64M"], "128M"),
    (["--cpus", "0"], "--cpus"),
    (["--timeout", "-1"], "--timeout"),
    (["--no-such-option"], "unrecognized"),
    (["--initrd", "x"], "--kernel"),
    (["--kernel", HELLO, "--conf", "x"], "choose one"),
    (["--kernel", "no/such/kernel"], "no/such/kernel: no such file"),
    (["--kernel", HELLO, "--initrd", "no/such/initrd"], "no/such/initrd: no such file"),
    (["--kernel", HELLO, "--disk", "no/such/disk,mode=ro"], "no/such/disk: no such file"),
    (["--conf", "no/such/directory"], "no/such/directory"),
    (["--image", "no/such/image"], "no/such/image: no such file"),
    (["--kernel", HELLO, "--cmdline", "x" * 2000], "--cmdline is longer"),
    (["--kernel", HELLO, "--on", "qemu", "--serial", "no/such/place"], "no/such/place: No such file"),
    (["--kernel", HELLO, "--on", "qemu", "--serial", "/dev/full"], "/dev/full: No space left"),
], ids=lambda value: "-".join(map(str, value))[:40].replace("/", ".") if isinstance(value, list) else "")
def test_usage(arguments, says):
    done = machine.run(*arguments)
    assert done.returncode == USAGE, done.stderr
    assert says in done.stderr


# ---- Machines that refuse ---------------------------------------------------------------------------------

def sector(code):
    return code.ljust(510, b"\0") + b"\x55\xaa"


def boot(vms, files=(), **keywords):
    return machine.boot(machine.SVM, vms, files, **keywords)


GOOD = "kernel = tiny/hello.bin\nmemory = 16M\n"
BAD_CONF = machine.Job("bad-configuration", machine.SVM, partial(boot, {
    "good": GOOD,
    "bad": "kernel = tiny/hello.bin\nmemry = 16M\nvcpus = many\ninitrd = no/such/file\n",
}))
GARBAGE = machine.Job("garbage", machine.SVM, partial(boot, {
    "good": GOOD,
    "noise": "kernel = noise.bin\nmemory = 16M\n",
    "short": "kernel = short.bin\nmemory = 16M\nprotocol = linux\n",
    "sector": "kernel = noise.bin\nmemory = 16M\nprotocol = bootsector\n",
    "again": "kernel = noise.bin\nmemory = 16M\non_crash = restart\n",
    "fall": "kernel = fall.bin\nmemory = 16M\non_crash = restart\n",
}, files=[("fall.bin", sector(b"\x0f\x01\x1e\x80\x7c\xcc")),          # LIDT of zeros, INT3: triple fault
          ("noise.bin", bytes((i * 197 + 11) % 256 for i in range(5000))), ("short.bin", b"MZ\0\0")]))


@pytest.mark.parametrize("job", [BAD_CONF], ids=repr)
@pytest.mark.parametrize("says", [
    'vms/bad.conf:2: ', '"memry"', '"memory"', 'vms/bad.conf:3: ', '"many"', 'vms/bad.conf:4: ', 'no/such/file',
])
def test_bad_configuration(outcome, says):
    assert outcome.status == CRASHED
    assert says in outcome.output, outcome.output[-2000:]
    assert "hello from" not in outcome.output, "nothing starts while something is wrong"


@pytest.mark.parametrize("job", [GARBAGE], ids=repr)
def test_garbage_kernels_are_refused(outcome):
    assert outcome.status == CRASHED
    for name in ("noise", "short", "sector", "again"):
        assert any("kernel" in line for line in outcome.vms[name].log), f"no reason for {name}\n{outcome.output[-2000:]}"
        assert outcome.vms[name].end.startswith("crashed")
    assert outcome.vms["good"].is_complete, "the good one runs all the same"


@pytest.mark.parametrize("job", [GARBAGE], ids=repr)
def test_falling_vm_stays_down(outcome):
    assert any("not started again" in line for line in outcome.vms["fall"].log), outcome.output[-2000:]
    assert outcome.output.count("again: stopped: ") == 1, "what cannot start is not tried twice"


# ---- Ends from outside ------------------------------------------------------------------------------------

def spinning(directory):
    """A configuration whose VM never ends."""
    machine.write_conf(f"{directory}/conf", {"spin": "kernel = spin.bin\nmemory = 16M\nprotocol = bootsector\n"})
    Path(directory, "conf/spin.bin").write_bytes(sector(b"\xeb\xfe"))     # JMP to itself
    return ["--on", "qemu", "--conf", f"{directory}/conf", "--serial", f"{directory}/serial"]


def left_behind(directory):
    scratch = Path(directory, "tmp")
    running = subprocess.run(["pgrep", "-f", str(scratch)], capture_output=True, text=True).stdout.split()
    return [*scratch.iterdir(), *running]


@pytest.fixture
def place():
    if machine.SVM.missing:
        pytest.skip(machine.SVM.missing)
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        Path(directory, "tmp").mkdir()
        yield directory


def test_timeout(place):
    done = machine.run(*spinning(place), "--timeout", 4, env=dict(os.environ, TMPDIR=f"{place}/tmp"))
    assert done.returncode == TIMEOUT
    assert "no end after 4 seconds" in done.stderr
    assert not left_behind(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_cleans_up(place, number):
    process = subprocess.Popen([machine.RUN, "--build", machine.BUILD, *spinning(place)], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=f"{place}/tmp"))
    serial = Path(place, "serial")
    deadline = time.monotonic() + machine.BACKSTOP
    while not (serial.exists() and b"spin: started" in serial.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(timeout=machine.BACKSTOP) == INTERRUPTED
    process.stderr.close()
    assert not left_behind(place)
