# SPDX-License-Identifier: MIT
"""Machines for the boot tests: where they run, how one is started, what it said.

A job is a piece of work in an emulator whose result several tests look at. Jobs start in the background, as many
as there are processors and one that mostly sleeps, as soon as pytest knows which tests were selected (conftest.py).
"""
import base64
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("B", "build")).resolve()
RUN = ROOT / "scripts/run"
BACKSTOP = 900      # seconds: what takes longer hangs. Never a measure of anything

sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
import emulators    # noqa: E402


@dataclass(frozen=True)
class Platform:
    name: str       # in test names
    vendor: str     # "vmx" or "svm"
    options: tuple  # of scripts/run

    @property
    def missing(self):
        return emulators.EMULATORS[self.options[1]].missing()


VMX = Platform("vmx-bochs", "vmx", ("--on", "bochs"))
SVM = Platform("svm-qemu", "svm", ("--on", "qemu"))
RYZEN = Platform("svm-ryzen", "svm", ("--on", "bochs", "--cpu", "ryzen"))
PLATFORMS = (VMX, SVM, RYZEN)


# ---- Progress ---------------------------------------------------------------------------------------------

class Progress:
    """What the machines are at, a line each, between pytest's own lines and also where there is no terminal."""
    lock = threading.Lock()
    is_mid_line = False         # pytest has named the test that it waits for (conftest.py)
    here = threading.local()    # .job and .since, in the thread of a job

    @classmethod
    def say(cls, text):
        job = getattr(cls.here, "job", None)
        if not job:
            return
        with cls.lock:
            begin, cls.is_mid_line = "\n" if cls.is_mid_line else "", False
            # Not sys.stdout, which pytest keeps for the report of a test that fails.
            print(f"{begin}    {time.monotonic() - cls.here.since:4.0f} s  {job}: {text}", file=sys.__stdout__, flush=True)


# ---- Jobs -------------------------------------------------------------------------------------------------

BOOTS = int(os.environ.get("TRAPEZE_BOOTS", "10"))       # of test_boots.py

# What make test leaves to CI, so that it takes a quarter of an hour: VT-x in Bochs or AMD-V in QEMU has done the like by then, or it
# is a figure of the bench, or Debian with several vCPUs.
LONG = ("svm-ryzen-second", "svm-ryzen-hostile", "svm-ryzen-greedy", "svm-ryzen-memory", "svm-ryzen-looks", "svm-ryzen-two",
        "svm-ryzen-bench-wake", "svm-qemu-bench-wake", "vmx-bochs-bench-ipi", "svm-ryzen-bench-ipi", "vmx-bochs-bench-disks", "svm-ryzen-bench-disks",
        "svm-ryzen-spread", "vmx-bochs-bench-four", "svm-ryzen-bench-four", "vmx-bochs-bench-many", "svm-ryzen-bench-many", "paste-svm-ryzen",
        "debian-serial-corei5_arrandale_m520", "debian-restored-tigerlake", "debian-among-hostiles-corei7_haswell_4770", "debian-delivered",
        "vmx-bochs-matrix-1", "svm-ryzen-matrix-1", "svm-ryzen-matrix-4", "svm-qemu-matrix-1", "svm-qemu-matrix-4",
        "vmx-bochs-linux612", "svm-qemu-linux612", "vmx-bochs-load-4-on-2", "svm-ryzen-load-4-on-2", "svm-qemu-load-1-on-1",
        *(f"debian-boot-{number}" for number in range(BOOTS)))


class Job:
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    aside = ThreadPoolExecutor(max_workers=1)

    def __init__(self, name, platform, work, seconds=None, sleeps=False):
        """
        seconds: about what it takes, with another beside it; by default 30 in Bochs, 10 in QEMU. The longest jobs start first, so
        that none is left alone at the end. sleeps: most of the time it leaves the computer to others, and runs beside them.
        """
        self.name, self.platform, self.work = name, platform, work
        self.seconds = seconds or (10 if platform is SVM else 30)
        self.workers = self.aside if sleeps else self.pool
        self.future = None

    def __repr__(self):
        return self.name

    def start(self):
        if not self.future and not self.platform.missing:
            self.future = self.workers.submit(self.run)

    def run(self):
        Progress.here.job, Progress.here.since = self.name, time.monotonic()
        Progress.say("starts")
        try:
            return self.work()
        finally:
            Progress.say("is done")
            Progress.here.job = None

    def result(self):
        self.start()
        return self.future.result()


# ---- Running a configuration to its end -----------------------------------------------------------------

def start(*arguments, **keywords):
    """scripts/run with these arguments, as text on pipes."""
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([RUN, "--build", BUILD, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, errors="replace", cwd=ROOT, **keywords)


def run(*arguments, **keywords):
    """The same to its end; a CompletedProcess."""
    with start(*arguments, **keywords) as process:
        try:
            stdout, stderr = process.communicate(timeout=BACKSTOP + 60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@dataclass
class Vm:
    said: list      # lines of the guest
    log: list       # lines of the hypervisor about it
    end: str        # "shut off (shutdown): exit device, code 0", without the counts behind it
    place: int = 0  # 1: the first of all to end; 0: it has not

    @property
    def text(self):
        return "\n".join(self.said)

    @property
    def fails(self):
        return [line for line in self.said if line.startswith("FAIL")]

    @property
    def is_complete(self):
        return any(line.startswith("END ") for line in self.said)


@dataclass
class Outcome:
    status: int     # of scripts/run
    output: str
    stderr: str
    vms: dict


END_OF_VM = re.compile(r"(shut off \((?:shutdown|destroyed)\)|crashed|rebooting): (.*); \d+ exits")


def follow(serial, names, process):
    """Tells which VM has ended, while the machine runs."""
    ended, told = 0, 0
    while process.poll() is None:
        time.sleep(1)
        lines = serial.read_text(errors="replace").splitlines() if serial.exists() else []
        for line in lines[told:-1]:
            log = re.match(r"trapeze: (\S+): (.*)", line)
            end = log and log[1] in names and END_OF_VM.match(log[2])
            if end:
                ended += 1
                Progress.say(f"{log[1]} {end[1]} ({ended} of {len(names)})")
        told = max(told, len(lines) - 1)


def parse(output, names):
    vms = {name: Vm([], [], "") for name in names}
    for line in output.splitlines():
        said = re.match(r"\[(\S+)\] (.*)", line)
        log = re.match(r"trapeze: (\S+): (.*)", line)
        if said and said[1] in vms:
            vms[said[1]].said.append(said[2].rstrip())
        elif log and log[1] in vms:
            vms[log[1]].log.append(log[2])
            end = END_OF_VM.match(log[2])
            if end:
                vms[log[1]].end = f"{end[1]}: {end[2]}"
                vms[log[1]].place = 1 + max(vm.place for vm in vms.values())
    return vms


def write_conf(directory, vms, host="attach = none\n"):
    """A configuration directory: {name: text of NAME.conf}."""
    directory = Path(directory)
    (directory / "vms").mkdir(parents=True)
    (directory / "trapeze.conf").write_text(host)
    for name, text in vms.items():
        (directory / "vms" / f"{name}.conf").write_text(text)


def script_conf(script, vcpus, kernel="linux", initrd="linux", parameters=""):
    """
    Debian with kernel and initramfs of these directories of the build, that runs a script of its shell and ends, and at once when
    it panics. The kernel leaves out the test of its ciphers, which is half of its boot in Bochs.
    """
    text = base64.urlsafe_b64encode(script.encode()).decode().rstrip("=")
    return (f"kernel = {kernel}/vmlinuz\ninitrd = {initrd}/initramfs\nmemory = 256M\nvcpus = {vcpus}\n"
            f"on_reboot = destroy\ncmdline = console=ttyS0 quiet panic=-1 cryptomgr.notests {parameters} tz.sh={text}\n")


def boot(platform, vms, files=(), timeout=BACKSTOP, options=()):
    """One boot of a machine with these VMs, to its end. files: [(name, bytes)] beside the configuration."""
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        write_conf(f"{directory}/conf", vms)
        for name, data in files:
            (Path(directory) / "conf" / name).write_bytes(data)
        serial = Path(directory) / "serial"
        with start(*platform.options, *options, "--conf", f"{directory}/conf", "--serial", serial, "--timeout",
                   timeout) as process:
            follow(serial, vms, process)    # it says little on its own pipes, so nobody has to empty them
            stderr = process.stderr.read()
        output = serial.read_text(errors="replace") if serial.exists() else ""
    return Outcome(process.returncode, output, stderr, parse(output, vms))


PIECE_MAX = 300_000     # ticks: zeroing 2 MiB takes 262,144, and little may be added


def assert_pieces_are_short(output):
    """No exit, no device's work and no piece of a VM's start or end may take longer. Not in QEMU, whose clock is the build machine's."""
    longest = re.search(r"trapeze: the longest piece of work took (\d+) ticks .*", output)
    assert longest and int(longest[1]) < PIECE_MAX, longest and longest[0]


# ---- Talking to a machine ---------------------------------------------------------------------------------

class Dialogue:
    """scripts/run on pipes, or in a terminal of so many columns and rows: send a line, wait for a text, as a user would."""

    def __init__(self, *arguments, window=None):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        if window:
            self.terminal, other_side = pty.openpty()
            self.resize(*window, signal_it=False)
            streams = {"stdin": other_side, "stdout": other_side}
        self.process = subprocess.Popen([RUN, "--build", BUILD, "--timeout", str(BACKSTOP), *map(str, arguments)],
                                        stderr=subprocess.PIPE, cwd=ROOT, **streams)
        if window:
            os.close(other_side)
        self.typed = self.terminal if window else self.process.stdin.fileno()
        self.printed = self.terminal if window else self.process.stdout.fileno()
        self.output, self.changed = "", threading.Condition()
        self.seen = 0       # up to here expect has looked
        self.is_over = False
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()    # scripts/run ends the emulator
        self.process.wait(timeout=30)

    def read(self):
        while data := self.read_some():
            with self.changed:
                self.output += data.decode(errors="replace").replace("\r", "")
                self.changed.notify_all()
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def read_some(self):
        try:
            return os.read(self.printed, 65536)
        except OSError:         # the other side of a terminal is closed
            return b""

    def resize(self, cols, rows, signal_it=True):
        """As a window manager does. The signal is sent by hand, because our terminal has no owner that would get it."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        if signal_it:
            self.process.send_signal(signal.SIGWINCH)

    def expect(self, pattern, what=None):
        """The match of a regular expression in what is still unseen."""
        pattern = re.compile(pattern, re.M)
        deadline = time.monotonic() + BACKSTOP
        with self.changed:
            while not (match := pattern.search(self.output, self.seen)):
                if self.is_over or time.monotonic() > deadline:
                    raise AssertionError(f"{what or pattern.pattern} did not come; the last output was:\n"
                                         + self.output[-2000:])
                self.changed.wait(1)
            self.seen = match.end()
        if what:
            Progress.say(f"has come to {what}")
        return match

    def send(self, line):
        os.write(self.typed, line.encode() + b"\n")

    def end(self):
        """Wait for the end of the machine; the exit status."""
        return self.process.wait(timeout=BACKSTOP)
