# SPDX-License-Identifier: MIT
"""The machines Trapeze runs on here: how each is found, started, and its first serial port reached.

Every class has `missing()` (why it cannot run on this computer, or None), `command()` and `start()`, which
returns the process and the two file descriptors of COM1.
"""
import ctypes
import os
import re
import shlex
import signal
import subprocess
import tty
from pathlib import Path

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
NOISE = "TCG doesn't support requested feature"      # QEMU says it of every bit of the model, whoever asks
FIRST_WORDS, LAST_WORDS = 10, 8                      # lines of an emulator that died
DEADLY = re.compile("fatal|abort", re.IGNORECASE)


def program_missing(*programs):
    for program in programs:
        if not any(os.access(f"{place}/{program}", os.X_OK) for place in os.environ.get("PATH", "").split(":")):
            return f"{program} is not installed (make deps)"
    return None if os.path.exists(FIRMWARE) else f"{FIRMWARE} is not installed (make deps)"


def die_with_us():
    """Run in the child: without it an emulator would run on for ever when scripts/run is killed."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def worth_showing(lines):
    """
    Of what a dead emulator wrote: how it began, how it ended, and the reason if it names one. QEMU and Bochs name it
    first, and a dump of registers may follow.
    """
    lines = [line for line in lines if NOISE not in line]
    return [line for i, line in enumerate(lines)
            if i < FIRST_WORDS or i >= len(lines) - LAST_WORDS or DEADLY.search(line)]


def quoted(path):
    """A comma ends a value in QEMU's options; two are one."""
    return str(path).replace(",", ",,")


def nodes(count, memory, cpus):
    """QEMU's options for so many nodes: each has its part of the memory and of the processors, which may be none."""
    options = []
    for n in range(count):
        size = memory // count + (memory % count if n == count - 1 else 0)
        own = [str(cpu) for cpu in range(cpus) if cpu * count // max(cpus, count) == n]
        options += ["-object", f"memory-backend-ram,id=node{n},size={size}M",
                    "-numa", f"node,nodeid={n},memdev=node{n}" + "".join(f",cpus={cpu}" for cpu in own)]
    return options


class Qemu:
    """QEMU's software mode, which emulates AMD-V (never VT-x)."""

    name = "qemu"
    cpu = "EPYC,+svm"
    machine = "q35"
    may_lose_vms = True     # with several processors: arch/x86/svm/README.md

    @staticmethod
    def missing():
        return program_missing("qemu-system-x86_64")

    def __init__(self, options, scratch):
        self.options, self.scratch = options, Path(scratch)

    def command(self):
        o = self.options
        command = ["qemu-system-x86_64", "-machine", self.machine, "-cpu", o.cpu or self.cpu, "-smp", str(o.cpus),
                   "-m", str(o.memory), "-bios", FIRMWARE, "-drive", f"file={quoted(o.image)},format=raw,if=ide,snapshot=on",
                   "-nodefaults", "-vga", "std", "-display", "none", "-no-reboot", "-boot", "c",
                   "-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"]
        if o.numa > 1:
            command += nodes(o.numa, o.memory, o.cpus)
        if o.screenshot:
            command += ["-qmp", f"unix:{quoted(self.scratch)}/qmp,server=on,wait=off"]
        if o.gdb:
            command += ["-gdb", "tcp:127.0.0.1:1234", "-S"]
        return command + shlex.split(o.extra or "")

    def start(self):
        process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=(self.scratch / "log").open("wb"), start_new_session=True,
                                   env=dict(os.environ, TMPDIR=str(self.scratch)), preexec_fn=die_with_us)
        return process, process.stdout.fileno(), process.stdin.fileno()


class Kvm(Qemu):
    """QEMU with the host's own virtualization, nested."""

    name = "kvm"
    cpu = "host"
    machine = "q35,accel=kvm"
    may_lose_vms = False

    @staticmethod
    def missing():
        cpuinfo = Path("/proc/cpuinfo").read_text().split()
        modules = {"vmx": "kvm_intel", "svm": "kvm_amd"}
        feature = next((word for word in modules if word in cpuinfo), None)
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return "/dev/kvm is not there or not ours to open"
        if not feature:
            return "the processor shows neither VT-x nor AMD-V"
        nested = Path(f"/sys/module/{modules[feature]}/parameters/nested")
        if not nested.exists() or nested.read_text().strip() not in ("Y", "1"):
            return f"the module {modules[feature]} does not nest (load it with nested=1)"
        return program_missing("qemu-system-x86_64")


# Traps of Debian's Bochs 2.7: it cannot run without a display, so `term` draws into a pseudo-terminal whose output we drop;
# its debugger must be told to go on (-rc) and reads end-of-file after the end; `term` does not work with VBE.
BOCHS_CONF = """\
display_library: term
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, parallel=0, gameport=0, e1000=0
romimage: file={firmware}, address=0xffe00000
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=none
pci: enabled=1, chipset=i440fx
cpu: model={cpu}, count={cpus}, ips={ips}, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, mode=volatile, path="{image}", journal="{scratch}/redolog", cylinders=0
boot: disk
com1: enabled=1, mode=term, dev={com1}
clock: sync=none
port_e9_hack: enabled=1
log: "{scratch}/log"
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


class Bochs:
    """Bochs, which emulates VT-x and AMD-V and checks every rule of both."""

    name = "bochs"
    cpu = "corei7_skylake_x"
    may_lose_vms = False

    @staticmethod
    def missing():
        return program_missing("bochs-bin") or (
            None if os.path.exists("/usr/share/bochs/VGABIOS-lgpl-latest") else "vgabios is not installed (make deps)")

    def __init__(self, options, scratch):
        self.options, self.scratch = options, Path(scratch)

    def command(self):
        return ["bochs-bin", "-q", "-f", f"{self.scratch}/bochsrc", "-rc", f"{self.scratch}/commands"]

    def start(self):
        o = self.options
        serial, com1 = os.openpty()
        tty.setraw(com1)
        text = BOCHS_CONF.format(firmware=FIRMWARE, cpu=o.cpu or self.cpu, cpus=o.cpus, memory=o.memory, ips=o.ips,
                                 image=o.image, scratch=self.scratch, com1=os.ttyname(com1))
        (self.scratch / "bochsrc").write_text(text + (o.extra or "") + "\n")
        (self.scratch / "commands").write_text("c\n")
        if o.verbose:
            print(text, end="")
        self.screen, screen_end = os.openpty()
        process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=screen_end, stderr=screen_end,
                                   env=dict(os.environ, TERM="xterm"), start_new_session=True,
                                   preexec_fn=die_with_us)
        os.close(screen_end)
        self.com1 = com1        # kept open: the reader would otherwise see an error before Bochs opens it
        return process, serial, serial


EMULATORS = {kind.name: kind for kind in (Kvm, Qemu, Bochs)}

# For --on auto: nested KVM where it works, then the one that reaches Debian's shell first (about 10 s and 65 s).
AUTO = (Kvm, Qemu, Bochs)
