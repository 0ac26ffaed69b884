# SPDX-License-Identifier: MIT
"""Debian's kernel as packaged, to a shell and through everything it does with our devices, in as few boots as will do.

Each dialogue is a job: a machine that somebody sits at. It notes what it saw; the tests look at the notes.
"""
import re
import tempfile
from functools import partial
from pathlib import Path

import pytest

import machine
import test_tiny

KERNEL, INITRD, DISK = (machine.BUILD / f"linux/{name}" for name in ("vmlinuz", "initramfs", "root.img"))
PROMPT = r"trapeze-guest:\S+[$#] "
DISK_MIB = {machine.VMX: 1, machine.SVM: 16}      # Bochs needs 10 s and more to make, write and hash each, QEMU 5 s for 16
PACE_SECONDS = 60


def log_in(talk):
    talk.expect(PROMPT, "the shell's prompt")


def ask(talk, command):
    """What a command of the guest's shell prints."""
    talk.send(f'echo =sta""rt=; {command}; printf "\\n=%d=\\n" $?')      # the echo of it looks different
    before = talk.expect(r"^=start=\n", f"the start of {command}").end()
    status = talk.expect(r"^=(\d+)=\n", f"the end of {command}")
    log_in(talk)
    text = "\n".join(line for line in talk.output[before:status.start()].splitlines()
                     if not line.startswith("trapeze:") and not re.match(r"\[ *\d+\.\d+\]", line))
    return int(status[1]), text.strip()


def power_off(talk):
    talk.send("poweroff")
    return talk.end()


# ---- Everything, on hvc0 ----------------------------------------------------------------------------------

PACE = (f"t=$(cat /sys/class/rtc/rtc0/since_epoch); m=$(cut -d. -f1 /proc/uptime); d=$(date +%s); sleep {PACE_SECONDS}; "
        "echo rtc $(($(cat /sys/class/rtc/rtc0/since_epoch)-t)) up $(($(cut -d. -f1 /proc/uptime)-m)) "
        "date $(($(date +%s)-d))")
WRITE = ("dd if=/dev/urandom of=/root/data bs=1M count={mib} 2>/dev/null && sha256sum </root/data >/tmp/a && sync && "
         "echo 3 >/proc/sys/vm/drop_caches && sha256sum </root/data >/tmp/b && cmp /tmp/a /tmp/b && wc -c </root/data")

WINDOW = 'until stty size | grep -x "{}"; do sleep 1; done'     # the news comes by an interrupt, not with what is typed


COMPLAINTS = "dmesg | grep -ciE 'unstable|BUG:|Call Trace|lockup|nobody cared|stall'"


def whole_dialogue(platform):
    notes = {}
    with machine.Dialogue(*platform.options, "--kernel", KERNEL, "--initrd", INITRD, "--vm-memory", "256M",
                          "--disk", f"{DISK},mode=cow,serial=root",
                          "--cmdline", "console=ttyS0 console=hvc0", window=(132, 43)) as talk:
        log_in(talk)
        notes["window"] = ask(talk, WINDOW.format("43 132"))
        talk.resize(80, 25)
        notes["resized"] = ask(talk, WINDOW.format("25 80"))
        notes["arithmetic"] = ask(talk, "echo $((6*7))")
        notes["tty"] = ask(talk, "tty")
        notes["root"] = ask(talk, "mount | grep ' / '")
        notes["clock"] = ask(talk, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        notes["disk"] = ask(talk, WRITE.format(mib=DISK_MIB[platform]))
        notes["serial"] = ask(talk, "cat /sys/block/vda/serial")
        notes["hwrng"] = ask(talk, "dd if=/dev/hwrng bs=64 count=2 2>/dev/null | od -An -tx1 | sort -u | wc -l")
        notes["pace"] = ask(talk, PACE)
        notes["complaints"] = ask(talk, COMPLAINTS)
        talk.send("reboot")
        talk.expect(r"trapeze: guest: rebooting", "the VM's reboot")
        log_in(talk)
        notes["after reboot"] = ask(talk, "ls /root/data")
        notes["status"] = power_off(talk)
        notes["output"] = talk.output
    return notes


# ---- To the shell on the serial port and off again --------------------------------------------------------

# What Linux says when it uses what KVM's signature offers (arch/x86/pv).
PV_USED = ("setup PV IPIs", "KVM setup pv remote TLB flush", "PV spinlocks enabled")
PV = "dmesg | grep -oE '" + "|".join(PV_USED) + "' | sort"

CONF = "kernel = linux/vmlinuz\ninitrd = linux/initramfs\nmemory = 256M\n"
QUIET = "cmdline = console=ttyS0 quiet\n"
RESTORES = 1000
RESTORED_CONF = ("cmdline = console=ttyS0\n"        # with all its messages: a quiet boot has not exits enough
                 f"disk0 = linux/root.img,mode=cow\ntest_restore = {RESTORES}\n")


def short_dialogue(platform, cpu, conf=QUIET, others=None):
    with tempfile.TemporaryDirectory() as directory:
        machine.write_conf(f"{directory}/conf", {"guest": CONF + conf} | (others or {}), host="attach = guest\n")
        for tree in ("linux", "tiny"):
            (Path(directory) / "conf" / tree).symlink_to((machine.BUILD / tree).resolve())
        return short_session(platform, *(("--cpu", cpu) if cpu else ()), "--conf", f"{directory}/conf")


def short_session(platform, *options):
    notes = {}
    with machine.Dialogue(*platform.options, *options) as talk:
        log_in(talk)
        notes["arithmetic"] = ask(talk, "echo $((6*7))")
        notes["tty"] = ask(talk, "tty")
        notes["complaints"] = ask(talk, COMPLAINTS)
        notes["pv"] = ask(talk, PV)
        notes["steal"] = ask(talk, "awk '/^cpu / { print $9 }' /proc/stat")
        notes["status"] = power_off(talk)
        notes["output"] = talk.output
    return notes


def hostile_neighbours(platform):
    """Every hostile guest that lives until it has tried all it knows."""
    return {row.name: test_tiny.description(row) for row in test_tiny.batch_of(platform, "hostile")
            if row.must_complete and row.name.startswith("attack.")}


# ---- A session that is piped in ---------------------------------------------------------------------------

def piped(platform):
    """The guest of guest/conf/linux.conf; all of it lies in the pipe before the machine is on."""
    with tempfile.TemporaryFile() as typed:
        typed.write(b"uname -a\npoweroff\n")
        typed.seek(0)
        return machine.run(*platform.options, "--timeout", machine.BACKSTOP, stdin=typed)


PIPED = [machine.Job("debian-piped-svm", machine.SVM, partial(piped, machine.SVM))]
WHOLE = [machine.Job("debian-vmx", machine.VMX, partial(whole_dialogue, machine.VMX), 130),
         machine.Job("debian-svm", machine.SVM, partial(whole_dialogue, machine.SVM), 95, sleeps=True)]
MODELS = ("corei5_arrandale_m520", "corei7_haswell_4770", "tigerlake")     # oldest, middle, newest
SHORT = [machine.Job(f"debian-serial-{model}", machine.VMX, partial(short_dialogue, machine.VMX, model), 50)
         for model in MODELS[:1]]
VICTIM = [machine.Job(f"debian-among-hostiles-{model or 'svm'}", platform,
                      partial(short_dialogue, platform, model, QUIET + "cap = 80\n", hostile_neighbours(platform)), seconds)
          for platform, model, seconds in ((machine.SVM, None, 22), (machine.VMX, MODELS[1], 70))]
RESTORED = [machine.Job(f"debian-restored-{model or 'svm'}", platform,
                        partial(short_dialogue, platform, model, RESTORED_CONF), seconds)
            for platform, model, seconds in ((machine.SVM, None, 18), (machine.VMX, MODELS[-1], 120))]

TWO = [machine.Job("debian-two-svm", machine.SVM, partial(short_dialogue, machine.SVM, None, QUIET + "vcpus = 2\n"), 60)]
DELIVERED = [machine.Job("debian-delivered", machine.VMX,
                         partial(short_dialogue, machine.VMX, None, QUIET + "vcpus = 2\ntest_apic = processor\n"), 90)]

whole = pytest.mark.parametrize("job", WHOLE, ids=repr)
short = pytest.mark.parametrize("job", SHORT + VICTIM + RESTORED + TWO + DELIVERED, ids=repr)


@whole
def test_shell_on_hvc0(outcome):
    assert outcome["arithmetic"] == (0, "42")
    assert outcome["tty"] == (0, "/dev/hvc0")


@whole
def test_console_is_as_large_as_the_window(outcome):
    assert outcome["window"] == (0, "43 132")
    assert outcome["resized"] == (0, "25 80")


@whole
def test_root_is_our_disk(outcome):
    assert outcome["root"][1].startswith("/dev/vda on / ")
    assert outcome["serial"] == (0, "root")


@whole
def test_disk_keeps_what_is_written(job, outcome):
    assert outcome["disk"] == (0, str(DISK_MIB[job.platform] << 20))


@whole
def test_hwrng_gives_bytes(outcome):
    assert outcome["hwrng"] == (0, "8"), "eight different lines of sixteen bytes"


@whole
def test_time_keeps_pace(outcome):
    """A minute by one clock is a minute by the others: the real-time clock, the uptime, the date."""
    status, text = outcome["pace"]
    found = re.fullmatch(r"rtc (\d+) up (\d+) date (\d+)", text)
    assert status == 0 and found, text
    assert all(abs(int(seconds) - PACE_SECONDS) <= 1 for seconds in found.groups()), text


@whole
def test_kernel_does_not_complain(outcome):
    assert outcome["complaints"][1] == "0", outcome["output"]


@whole
def test_reboot_and_poweroff(outcome):
    assert outcome["after reboot"][0] != 0, "the changes of a copy-on-write disk vanish with the VM"
    assert outcome["output"].count("trapeze: guest: started") == 1, "a restart is one line, that of the end before it"
    assert outcome["output"].count("trapeze: guest: rebooting") == 1
    assert "guest: shut off (shutdown)" in outcome["output"]
    assert "trapeze: END status=0" in outcome["output"]
    assert outcome["status"] == 0


@pytest.mark.parametrize("job", [job for job in WHOLE + SHORT + VICTIM + RESTORED if job.platform is machine.VMX], ids=repr)
def test_longest_piece(outcome):
    """Of its start and end as well: loading a bzImage wrote 2,048 entries of page tables one by one, in 406,000 ticks."""
    machine.assert_pieces_are_short(outcome["output"])


@pytest.mark.parametrize("job", VICTIM, ids=repr)
def test_sees_what_others_took(outcome):
    """In hundredths of a second, as /proc/stat has it: its cap takes a fifth of the time, also when the others have ended."""
    assert int(outcome["steal"][1]) > 20, outcome["steal"]


@short
def test_shell_on_ttyS0(outcome):
    assert outcome["arithmetic"] == (0, "42")
    assert outcome["tty"] == (0, "/dev/ttyS0")
    assert outcome["complaints"][1] == "0", outcome["output"]
    assert outcome["status"] == 0


@pytest.mark.parametrize("job", TWO, ids=repr)
def test_two_processors_use_what_is_offered(outcome):
    assert outcome["pv"] == (0, "\n".join(sorted(PV_USED)))


@pytest.mark.parametrize("job", VICTIM, ids=repr)
def test_hostile_neighbours_do_not_hurt_it(job, outcome):
    """They hold the processor, sweep ports and MSRs and break their queues: Debian's watchdogs see none of it."""
    assert outcome["complaints"][1] == "0", outcome["output"]
    for name in hostile_neighbours(job.platform):
        assert f"trapeze: {name}: {test_tiny.EXIT}" in outcome["output"], name


@pytest.mark.parametrize("job", RESTORED, ids=repr)
def test_it_notices_no_restore(outcome):
    """The same session; the VM is saved, wiped and loaded in place while it boots."""
    assert f"test_restore: saved, wiped and restored {RESTORES} times" in outcome["output"]


@pytest.mark.parametrize("job", PIPED, ids=repr)
def test_piped_session(outcome):
    assert "\nLinux trapeze-guest " in outcome.stdout.replace("\r", ""), outcome.stdout[-2000:]
    assert outcome.returncode == 0, outcome.stdout[-2000:] + outcome.stderr
