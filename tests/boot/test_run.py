# SPDX-License-Identifier: MIT
"""scripts/run as a user meets it: what it refuses, what it ends with, and that it leaves nothing behind."""
import gzip
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

import pytest

import emulators
import esp
import machine
import qmp

USAGE, CRASHED, TIMEOUT, INTERRUPTED = 2, 1, 124, 130
HELLO = machine.BUILD / "tiny/hello.bin"
AT_ONCE = 5        # seconds on a busy computer; a tenth of one on an idle one


@pytest.mark.parametrize("arguments, says", [
    (["--on", "vax"], "--on"),
    (["--memory", "lots"], "a size is a whole number"),
    (["--memory", "64M"], "128M"),
    (["--cpus", "0"], "--cpus"),
    (["--on", "qemu", "--numa", "0"], "--numa is 1 to 8"),
    (["--on", "qemu", "--numa", "9"], "--numa is 1 to 8"),
    (["--on", "bochs", "--numa", "2"], "--numa needs --on qemu or --on kvm"),
    (["--timeout", "-1"], "--timeout"),
    (["--timeout", "nan"], "--timeout is a number of seconds above 0"),
    (["--timeout", "1e400"], "--timeout is a number of seconds above 0"),
    (["--extra", "'x"], "--extra 'x: No closing quotation"),
    (["--on", "qemu", "--screenshot", "/nonexist/x.png"], "--screenshot /nonexist/x.png: no such directory"),
    (["--kernel", ""], "--kernel is empty"),
    (["--conf", ""], "--conf is empty"),
    (["--kernel", HELLO, "--disk", ""], "--disk is empty"),
    (["--kernel", HELLO, "--vm-memory", "12"], "12 is bytes: write 12M"),
    (["--no-such-option"], "unrecognized"),
    (["--initrd", "x"], "--kernel"),
    (["--vcpus", "0"], "--vcpus 0: write a number from 1 to 64"),
    (["--vm-memory", "2G"], "--vm-memory: 2048 MiB"),
    (["--conf", "guest/conf", "--vcpus", "2"], "--vcpus describes the VM of --kernel, or the Debian guest"),
    (["--kernel", HELLO, "--conf", "x"], "choose one"),
    (["--kernel", HELLO, "--kernel", "other"], "--kernel is given twice"),
    (["--kernel", "no/such/kernel"], "--kernel no/such/kernel: no such file"),
    (["--kernel", HELLO, "--initrd", "no/such/initrd"], "--initrd no/such/initrd: no such file"),
    (["--kernel", HELLO, "--disk", "no/such/disk,mode=ro"], "--disk no/such/disk,mode=ro: no such file"),
    (["--kernel", HELLO, "--disk", HELLO, "--disk", f"{HELLO},mod=ro"], ",mod=ro: after the path come mode=cow|ro|rw"),
    (["--kernel", HELLO, "--vm-memory", "4T"], "--vm-memory 4T: not a size"),
    (["--kernel", HELLO, "--vm-memory", "61G"], "--vm-memory 61G: out of range: from 1M to 60G"),
    (["--kernel", HELLO, "--vm-memory", "2G"], "--vm-memory: 2048 MiB"),
    (["--kernel", HELLO, "--vcpus", "65"], "--vcpus 65: write a number from 1 to 64"),
    (["--kernel", HELLO, "--vcpus", "0"], "--vcpus 0: write a number from 1 to 64"),
    (["--conf", "no/such/directory"], "no/such/directory"),
    (["--image", HELLO, "--write-image", "x"], "--write-image makes an image: it cannot be given with --image"),
    (["--image", HELLO, "--log-level", "debug"], "it cannot be given with --image"),
    (["--kernel", HELLO, *["--disk", HELLO] * 5], "at most 4 --disk"),
    (["--kernel", HELLO, "--disk", ",mode=ro"], "--disk ,mode=ro: the name of the file is missing"),
    (["--kernel", HELLO, "--disk", "/dev/zero"], "/dev/zero: not an ordinary file"),
    (["--conf", "/dev/null"], "/dev/null: neither a file nor a directory"),
    (["--image", "/"], "/: not an ordinary file"),
    (["--image", "no/such/image"], "no/such/image: no such file"),
    (["--kernel", HELLO, "--cmdline", "x" * 2000], "too long: 2000 characters, at most 1023"),
    (["--kernel", HELLO, "--cmdline", "a\nvcpus = 2"], "--cmdline must be one line"),
    (["--kernel", HELLO, "--on", "qemu", "--serial", "no/such/place"], "--serial no/such/place: no such directory"),
    (["--serial", machine.ROOT], "this is a directory"),
    (["--on", "qemu", "--screenshot", machine.ROOT], "this is a directory"),
    (["--write-image", machine.ROOT], "this is a directory"),
    (["--ips", "0"], "--ips is 1 at least"),
    (["--conf", "README.md"], "README.md: the name of a file that describes a VM is NAME.conf"),
    (["--kernel", HELLO, "--on", "qemu", "--serial", "/dev/full"], "/dev/full: No space left"),
], ids=lambda value: "-".join(map(str, value))[:40].replace("/", ".") if isinstance(value, list) else "")
def test_usage(arguments, says):
    done = machine.run(*arguments)
    assert done.returncode == USAGE, done.stderr
    assert says in done.stderr


def test_no_machine_for_a_refused_expression(tmp_path):
    """When pytest refuses -k it still holds every test. No file is where these would look for their machines' ones."""
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-k", "a b", Path(__file__).parent],
                          env=dict(os.environ, B=str(tmp_path)), capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert ": starts" not in done.stdout


def test_words_of_a_dead_emulator():
    """Its reason is not lost between the lines around it."""
    lines = [f"line {i}" for i in range(100)]
    lines[3] = f"warning: {emulators.NOISE}: vmx"
    lines[40], lines[50] = "Aborted", ">>PANIC<< Fatal: no such chip"
    shown = emulators.worth_showing(lines)
    assert shown == [*lines[:3], *lines[4:11], lines[40], lines[50], *lines[-8:]]
    assert emulators.worth_showing(lines[:5]) == [*lines[:3], lines[4]]


@pytest.fixture
def run_itself():
    """scripts/run as a module: its name has no suffix."""
    loader = SourceFileLoader("run_itself", str(machine.RUN))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.skipif(machine.VMX.missing is not None, reason="Bochs' files are looked for before Bochs starts")
def test_words_of_bochs_on_its_screen(tmp_path):
    """A fault of its configuration is not in its log. As much as a pseudo-terminal holds comes before it."""
    bochs = tmp_path / "bochs-bin"
    bochs.write_text("#!/bin/sh\nhead -c 9000 /dev/zero | tr '\\0' x\n"
                     "printf '\\n\\033[1mno such \\033[?25lCPU\\033(B\\n'\n")
    bochs.chmod(0o755)
    (tmp_path / "image").write_bytes(sector(b""))
    done = machine.run("--on", "bochs", "--image", tmp_path / "image",
                       env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert done.returncode == CRASHED
    assert done.stderr.endswith("xxx\nno such CPU\n")


SEVERAL = "scripts/run: QEMU's software mode may lose a VM where there are several processors; --on bochs does not\n"


@pytest.mark.parametrize("platform, program, cpus, is_told", [
    (machine.SVM, "qemu-system-x86_64", 2, True), (machine.SVM, "qemu-system-x86_64", 1, False),
    (machine.VMX, "bochs-bin", 2, False)], ids=["qemu-2", "qemu-1", "bochs-2"])
def test_several_processors_in_qemu(tmp_path, platform, program, cpus, is_told):
    """It is said before the emulator starts, for which a program stands that says when it does."""
    if platform.missing:
        pytest.skip(platform.missing)
    emulator = tmp_path / program
    emulator.write_text("#!/bin/sh\necho started >&2\n")
    emulator.chmod(0o755)
    (tmp_path / "image").write_bytes(sector(b""))
    done = machine.run(*platform.options, "--cpus", cpus, "--image", tmp_path / "image",
                       env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert done.returncode == CRASHED and "started" in done.stderr
    assert (done.stderr.startswith(SEVERAL), SEVERAL in done.stderr) == (is_told, is_told)


def test_missing_emulator_is_told_before_an_image_is_made(tmp_path):
    """Without any program mkimage would have failed first."""
    done = machine.run("--on", "qemu", "--kernel", HELLO, env=dict(os.environ, PATH=str(tmp_path)))
    assert done.returncode == USAGE
    assert done.stderr == "scripts/run: --on qemu: qemu-system-x86_64 is not installed (make deps)\n"


def test_works_from_any_directory(tmp_path):
    """The build directory is the tree's, and not one of the current directory."""
    done = subprocess.run([machine.RUN, "--kernel", "none"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env={name: value for name, value in os.environ.items() if name != "B"})
    assert "--kernel none: no such file" in done.stderr or f"{machine.ROOT.name}/build/" in done.stderr


def test_why_there_is_no_picture(tmp_path):
    path = str(tmp_path / "qmp")
    assert qmp.screendump(path, "x.png") is None, "the machine is not up yet"
    channels = []       # open until the client has read

    def answer(server):
        channels.append(server.accept()[0])
        channels[0].sendall(answers)

    with socket.create_server(path, family=socket.AF_UNIX) as server:
        answers = b'{"QMP": {}}\n{"return": {}}\n{"event": "x"}\n{"error": {"class": "GenericError", "desc": "no room"}}\n'
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        assert qmp.screendump(path, "x.png") == "no room"
        thread.join()
    channels[0].close()


@pytest.mark.parametrize("typed, text, commands", [
    ([b"\x01", b"\x1b[Aa"], b"a", [b"\x01\x1b"]),
    ([b"\x01\x1bOHb"], b"b", [b"\x01\x1b"]),
    ([b"\x01\x1b[1;5Cc"], b"c", [b"\x01\x1b"]),
    ([b"\x01\x01\x1b[A"], b"\x01\x1b[A", []),
    ([b"\x01w\x1b[A"], b"\x1b[A", [b"\x01w"]),
    ([b"\x01\x1b[[Ad"], b"d", [b"\x01\x1b"]),
    ([b"\x01\xc3\xa9f"], b"f", [b"\x01\xc3"]),
], ids=["apart", "home", "modified", "for-the-guest", "after-a-command", "F1-of-linux", "not-ascii"])
def test_arrow_key_behind_ctrl_a(run_itself, typed, text, commands):
    """It is one key that means nothing: the rest of its bytes is not typed into the guest."""
    terminal, typist = run_itself.Terminal.__new__(run_itself.Terminal), run_itself.Typist()
    terminal.escaped = False
    for data in typed:
        assert not terminal.keys(data, typist)
    assert (bytes(typist.text), list(typist.commands)) == (text, commands)


@pytest.mark.parametrize("vm_count, left, says", [
    (1, b"waits", ""), (2, b"", "scripts/run: 5 typed bytes that were still waiting here are forgotten\n"),
    (None, b"", "scripts/run: 5 typed bytes that were still waiting here are forgotten\n"),
], ids=["alone", "two", "not-known"])
def test_paste_before_ctrl_a_n(run_itself, capsys, vm_count, left, says):
    """It was for the VM that is left, if there is another one to type to."""
    terminal, typist = run_itself.Terminal.__new__(run_itself.Terminal), run_itself.Typist()
    terminal.escaped, terminal.vm_count = False, vm_count
    terminal.keys(b"waits\x01n", typist)
    assert (bytes(typist.text), list(typist.commands), capsys.readouterr().err) == (left, [b"\x01n"], says)
    terminal.keys(b"next", typist)
    assert bytes(typist.text) == left + b"next"


def test_one_byte_before_ctrl_a_n(run_itself, capsys):
    terminal, typist = run_itself.Terminal.__new__(run_itself.Terminal), run_itself.Typist()
    terminal.escaped, terminal.vm_count = False, 2
    terminal.keys(b"w\x01n", typist)
    assert capsys.readouterr().err == "scripts/run: 1 typed byte that was still waiting here is forgotten\n"


# ---- What becomes of the files that are named ----------------------------------------------------------------------------

def test_mkimage_names_itself_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    done = machine.run("--kernel", HELLO, "--write-image", tmp_path / "fifo")
    assert done.returncode == USAGE
    assert done.stderr.startswith(f"scripts/run: mkimage: {tmp_path}/fifo: not an ordinary file")


def test_name_of_a_kernel():
    assert esp.place_of("kernel", "/boot/memtest86+x64.bin") == "vm/kernel/memtest86+x64.bin"
    assert esp.place_of("kernel", "a b") == "vm/kernel/file"
    assert esp.place_of("kernel", "/x/CON") == esp.place_of("kernel", "lpt1") == "vm/kernel/file"
    assert esp.place_of("kernel", "console") == "vm/kernel/console"


def test_faults_of_the_directory_have_no_line(tmp_path):
    machine.write_conf(tmp_path / "conf", {"none": "kernel = tiny/hello.bin\n"})
    lines = refused_at_once("--conf", tmp_path / "conf")
    assert len(lines) == 1 and lines[0].startswith(f'scripts/run: {tmp_path}/conf/vms: "none.conf" is no good name')


# ---- Files and configurations that cannot be: refused before an emulator starts, once, in the user's words -------------

def sector(code):
    return code.ljust(510, b"\0") + b"\x55\xaa"


def bzimage(version, length):
    """As much of a bzImage as its header says, or less."""
    image = bytearray(0x400)
    image[0x1f1] = 1
    struct.pack_into("<IHH", image, 0x1f4, 0x1000, 0, 0)     # syssize: 64 KiB follow
    struct.pack_into("<H", image, 0x1fe, 0xaa55)
    struct.pack_into("<BB4sH", image, 0x200, 0xeb, 0x66, b"HdrS", version)
    image[0x211] = 1
    struct.pack_into("<H", image, 0x236, 1)
    return bytes(image).ljust(length, b"\0")


MULTIBOOT = struct.pack("<III", 0x1badb002, 0, -0x1badb002 & 0xffffffff).ljust(8192, b"\0")
BAD_KERNELS = {
    "empty": (b"", "the file is empty"),
    "text": (b"This is the README of a kernel, and no kernel: it has more than a line.\n" * 9, "it is a text file"),
    "truncated": (bzimage(0x20f, 0x2000), "truncated: shorter than its header says"),
    "old": (bzimage(0x203, 0x20000), "its boot protocol is older"),
    "real-mode": (bzimage(0x207, 0x20000), "it starts in real mode only"),
    "gzip": (gzip.compress(MULTIBOOT), "it is compressed with gzip: a Multiboot kernel"),
    "noise": (bytes((i * 197 + 11) % 256 for i in range(5000)), "neither a bzImage, nor a Multiboot kernel"),
}


def refused_at_once(*arguments):
    """The lines of a refusal that came before any emulator."""
    start = time.monotonic()
    done = machine.run("--on", "qemu", *arguments)
    assert done.returncode == USAGE, done.stdout + done.stderr
    assert not done.stdout and time.monotonic() - start < AT_ONCE
    assert not re.search(r"\\trapeze|guest\.conf|vm/|/tmp/trapeze-\w+/esp", done.stderr), "our words, not the user's"
    lines = done.stderr.splitlines()
    assert len(set(lines)) == len(lines)
    return lines


@pytest.mark.parametrize("name", BAD_KERNELS)
def test_bad_kernel(tmp_path, name):
    data, says = BAD_KERNELS[name]
    (tmp_path / name).write_bytes(data)
    lines = refused_at_once("--kernel", tmp_path / name)
    assert len(lines) == 1 and f"--kernel {tmp_path / name}: " in lines[0] and says in lines[0]


@pytest.mark.parametrize("data", [b"", b"\0" * 65536, b"\xaa\x55" * 256, random.Random(1).randbytes(99999)],
                         ids=["empty", "zeros", "swapped", "noise"])
def test_image_that_nothing_boots_from(tmp_path, data):
    """Firmware would end in its shell, until the time is up."""
    (tmp_path / "image").write_bytes(data)
    lines = refused_at_once("--image", tmp_path / "image")
    assert lines[-1].startswith(f"scripts/run: error: {tmp_path}/image: no disk image: ")


@pytest.mark.parametrize("at, mark", [(510, b"\x55\xaa"), (512, b"EFI PART"), (0x8001, b"CD001"), (0x8001, b"BEA01")],
                         ids=["MBR-or-FAT", "GPT", "ISO-9660", "UDF"])
def test_image_that_something_may_boot_from(run_itself, tmp_path, at, mark):
    image = tmp_path / "image"
    image.write_bytes(bytes(at) + mark)
    assert run_itself.may_boot(image)
    image.write_bytes((bytes(at) + mark).ljust(1 << 20, b"\0"))
    assert run_itself.may_boot(image)


@pytest.mark.parametrize("text", ["64M\nvcpus = 2", "64\u00a0M"], ids=["two-lines", "not-ASCII"])
@pytest.mark.parametrize("guest", [("--kernel", HELLO), ()], ids=["kernel", "debian"])
def test_text_of_an_option(guest, text):
    """It becomes a line of a configuration."""
    assert refused_at_once(*guest, "--vm-memory", text) == ["scripts/run: --vm-memory must be one line of ASCII text"]


def test_directory_is_no_kernel(tmp_path):
    assert f"--kernel {tmp_path}: this is a directory" in refused_at_once("--kernel", tmp_path)[0]


def test_disk_of_4_gib(tmp_path):
    with open(tmp_path / "disk", "wb") as disk:
        disk.truncate(4 << 30)
    lines = refused_at_once("--kernel", HELLO, "--disk", tmp_path / "disk")
    assert lines == [f"scripts/run: {tmp_path}/disk: 4 GiB or more: too large for a file on a FAT disk"]


def test_disk_of_odd_length(tmp_path):
    disk = tmp_path / "odd, with a comma"
    disk.write_bytes(bytes(1001))
    lines = refused_at_once("--kernel", HELLO, "--disk", f"{disk},mode=ro")
    assert lines == [f"scripts/run: --disk {disk},mode=ro: its 1001 bytes are not whole sectors of 512: pad it "
                     "(truncate -s %512)"]


def test_every_fault_of_a_configuration(tmp_path):
    machine.write_conf(tmp_path / "conf", {
        "bad": "kernel = tiny/hello.bin\nmemry = 16M\nvcpus = many\ninitrd = no/such/file\n",
        "worse": "vcpus = 65\n"}, host="attach = nobody\nlog_level = 3\n")
    lines = refused_at_once("--conf", tmp_path / "conf", "--log-level", "info")
    for says in ('vms/bad.conf:2: unknown key "memry": the nearest valid key is "memory"', 'vms/bad.conf:3: vcpus = "many"',
                 'vms/bad.conf:4: initrd = "no/such/file": no such file in ', 'vms/worse.conf:1: vcpus = "65"',
                 'vms/worse.conf:1: the key "kernel" is missing', 'trapeze.conf:1: attach = "nobody": no VM of this name'):
        assert any(f"{tmp_path}/conf/{says}" in line for line in lines), says
    assert len(lines) == 6, "nothing about log_level, which --log-level replaces"


@pytest.mark.parametrize("cpus", [1, 2])
def test_cpuset_beyond_the_machine(tmp_path, cpus):
    machine.write_conf(tmp_path / "conf", {"a": f"kernel = tiny/hello.bin\ncpuset = 0-{cpus}\n"})
    lines = refused_at_once("--cpus", str(cpus), "--conf", tmp_path / "conf")
    assert lines == [f"scripts/run: {tmp_path}/conf/vms/a.conf:2: cpuset names processor {cpus}, and the last one of this "
                     f"machine is {cpus - 1}"]


@pytest.mark.parametrize("nodes", [1, 2])
def test_numa_beyond_the_machine(tmp_path, nodes):
    machine.write_conf(tmp_path / "conf", {"a": f"kernel = tiny/hello.bin\nnuma = 0,{nodes}\n"})
    lines = refused_at_once("--numa", str(nodes), "--conf", tmp_path / "conf")
    assert lines == [f"scripts/run: {tmp_path}/conf/vms/a.conf:2: numa names node {nodes}, and this machine has no memory there; "
                     f"nearest is {nodes - 1}"]


def test_memory_as_qemu_reads_it(run_itself):
    for text, mib in ("512", 512), ("512m", 512), ("512M", 512), ("2g", 2048), ("262144K", 256):
        assert run_itself.size_in_mib(text) == mib


def test_empty_build_directory():
    """An empty B= is none; an empty --build is a mistake."""
    for options, b, says in (["--build", ""], "build", "--build is empty"), ([], "", "--kernel none: no such file"):
        done = subprocess.run([machine.RUN, *options, "--kernel", "none"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=dict(os.environ, B=b))
        assert done.returncode == USAGE and says in done.stderr


def test_no_debian_yet(tmp_path):
    """Behind a plain make: the user has named none of the files that are missing."""
    for name in "BOOTX64.EFI", "hv.elf":
        (tmp_path / name).symlink_to(Path(machine.BUILD).absolute() / name)
    for options in [], ["--conf", machine.ROOT / "guest/conf/../conf/linux.conf"]:
        done = subprocess.run([machine.RUN, "--on", "qemu", "--build", tmp_path, *options], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        assert done.returncode == USAGE
        assert done.stderr == ("scripts/run: the Debian guest is not made yet: run make linux first, or name a --kernel or another "
                               "--conf\n")


@pytest.mark.parametrize("conf", sorted(path.name for path in (machine.ROOT / "guest/conf").iterdir()))
def test_samples_are_right(tmp_path, conf):
    done = subprocess.run([machine.RUN, "--build", machine.BUILD, "--conf", machine.ROOT / "guest/conf" / conf, "--write-image",
                           tmp_path / "image"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_conf_that_is_a_circle_of_links(tmp_path):
    (tmp_path / "a.conf").symlink_to("b.conf")
    (tmp_path / "b.conf").symlink_to("a.conf")
    assert refused_at_once("--conf", tmp_path / "a.conf") == [f"scripts/run: {tmp_path}/a.conf: no such file or directory"]


PRESSES = {     # what is pressed in, when, and how often that is called: while mkimage works and is ended, and while the rest goes
    "run.esp.subprocess.Popen.communicate": ("'mkimage' in str(args[0].args[0]) and begun()", 3),
    "run.shutil.rmtree": ("len(calls) > 1", 2),
}
# One of mkimage's tools that says when it has begun, and takes its time to end.
MFORMAT = "#!/bin/sh\ntrap '' TERM\n: >{}\nsleep 1\n"


@pytest.mark.parametrize("where", PRESSES)
def test_ctrl_c_again_and_again(tmp_path, tmp_path_factory, where):
    """Pressed while the disk is made, and again while what there is of it is taken away: one status, and nothing stays."""
    (when, calls), aside = PRESSES[where], tmp_path_factory.mktemp("aside")
    disk, started, mformat = aside / "disk.img", aside / "started", aside / "mformat"
    disk.write_bytes(bytes(1 << 20))
    if calls == 3:
        mformat.write_text(MFORMAT.format(started))
        mformat.chmod(0o755)
    program = ("import os, signal, sys, time; from importlib.machinery import SourceFileLoader as Loader\n"
               f"run = Loader('run', sys.argv[1]).load_module(); real, calls, last = {where}, [], time.monotonic() + 60\n"
               "def begun():\n"
               f"    while not os.path.exists({str(started)!r}) and time.monotonic() < last: time.sleep(0.01)\n"
               "    return True\n"
               "def press(*args, **how):\n"
               "    calls.append(args)\n"
               f"    if {when}:\n"
               "        for number in signal.SIGINT, signal.SIGTERM: os.kill(os.getpid(), number)\n"
               "    return real(*args, **how)\n"
               f"{where} = press; sys.argv[1:] = sys.argv[2:]; status = run.main()\n"
               f"sys.exit(status if len(calls) >= {calls} else 'pressed too seldom')\n")
    done = subprocess.run([sys.executable, "-B", "-c", program, machine.RUN, "--kernel", HELLO.absolute(), "--disk", disk,
                           "--build", machine.BUILD.absolute(), "--write-image", "out.img"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, cwd=tmp_path,
                          env=dict(os.environ, TMPDIR=str(tmp_path), PYTHONPATH=str(machine.RUN.parent),
                                   PATH=f"{aside}:{os.environ['PATH']}"))
    written = where == "run.shutil.rmtree"          # the image was there before anybody pressed
    assert done.returncode == (0 if written else INTERRUPTED) and not done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.img"] * written


@pytest.mark.parametrize("said", [
    [b"[a] kvm: vcpu 0 is online\r\n", b"", b"trapeze: a: vcpu 0 ru", b"ns\r\n", b""],
    [b"[a] trapeze: x: vcpu 1\r\n", b"", b"\rtrapeze: a: vcpu 0 runs\r\n# ", b""],        # over the prompt of the one attached
])
def test_where_is_not_answered_by_a_guest(run_itself, said):
    """A line of a guest that talks, and the silence behind it, are no end of the answer."""
    session = run_itself.Session.__new__(run_itself.Session)
    said = list(said)
    session.verdict, session.terminal = SimpleNamespace(is_ready=True), SimpleNamespace()
    session.step = lambda wait: setattr(session, "got", said.pop(0))
    reader, session.com1_in = os.pipe()
    session.ask_where()
    assert os.read(reader, 9) == b"\x01w" and not said
    os.close(reader)
    os.close(session.com1_in)


def test_link_to_no_settings(tmp_path):
    """A trapeze.conf that is a link to nothing is not one that is not there."""
    machine.write_conf(tmp_path / "conf", {"a": "kernel = tiny/hello.bin\n"})
    (tmp_path / "conf/trapeze.conf").unlink(missing_ok=True)
    (tmp_path / "conf/trapeze.conf").symlink_to("nothing")
    assert refused_at_once("--conf", tmp_path / "conf") == [f"scripts/run: {tmp_path}/conf/trapeze.conf: No such file or directory"]


def test_description_in_capitals(tmp_path):
    """X.CONF is x.conf to FAT: it is read, and its fault is found."""
    (tmp_path / "conf/vms").mkdir(parents=True)
    (tmp_path / "conf/vms/X.CONF").write_text("kernel = none\n")
    lines = refused_at_once("--conf", tmp_path / "conf")
    assert len(lines) == 1 and lines[0].startswith(f'scripts/run: {tmp_path}/conf/vms/X.CONF:1: kernel = "none": no such file')


def test_closed_standard_files():
    """They are open in a program that was started without them, so that no other file gets their numbers."""
    program = ("import os, sys; from importlib.machinery import SourceFileLoader as Loader\n"
               f"run = Loader('run', {str(machine.RUN)!r}).load_module()\nsys.argv = ['run', '--cpus', '0']\n"
               "try: run.main()\nexcept SystemExit: [os.fstat(number) for number in range(3)]; sys.exit(7)")
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-B", "-c", program],
                          env=dict(os.environ, PYTHONPATH=str(machine.RUN.parent)))
    assert done.returncode == 7


def test_run_id_of_a_configuration(tmp_path):
    """In a run it is ours. The lines around it keep their numbers."""
    machine.write_conf(tmp_path / "conf", {"a": "kernel = tiny/hello.bin\n"}, host="run_id = mine\nattach = nobody\n")
    lines = refused_at_once("--conf", tmp_path / "conf")
    assert len(lines) == 1 and f'{tmp_path}/conf/trapeze.conf:2: attach = "nobody"' in lines[0]


def test_kernels_of_a_configuration(tmp_path):
    machine.write_conf(tmp_path / "conf", {"a": "kernel = tiny/hello.bin\n", "b": "# b\nkernel = text\n"})
    (tmp_path / "conf/text").write_text("no kernel\n")
    lines = refused_at_once("--conf", tmp_path / "conf")
    assert len(lines) == 1 and f'{tmp_path}/conf/vms/b.conf:2: kernel "text" is neither' in lines[0]


def test_shared_disks_of_a_configuration(tmp_path):
    conf = "kernel = tiny/hello.bin\ndisk0 = disk,mode=rw\n"
    machine.write_conf(tmp_path / "conf", {"a": conf, "b": conf, "c": conf + "initrd = no/such/file\n"})
    (tmp_path / "conf/disk").write_bytes(bytes(512))
    lines = refused_at_once("--conf", tmp_path / "conf")
    for says in ('vms/c.conf:3: initrd = "no/such/file"', 'vms/b.conf:2: "disk" is used twice', 'vms/c.conf:2: "disk" is used twice'):
        assert any(f"{tmp_path}/conf/{says}" in line for line in lines), says
    assert len(lines) == 3


@pytest.mark.parametrize("one, other, said", [("up", "UP", "up and UP"), ("sub/a", "Sub/b", "sub and Sub"), ("VMS/a", "b", "vms and VMS")],
                         ids=["files", "directories", "ours"])
def test_files_that_differ_in_case(tmp_path, one, other, said):
    machine.write_conf(tmp_path / "conf", {"a": f"kernel = tiny/hello.bin\ndisk0 = {one}\ndisk1 = {other}\n"})
    for name in one, other:
        (tmp_path / "conf" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "conf" / name).write_bytes(bytes(512))
    lines = refused_at_once("--conf", tmp_path / "conf")
    assert lines == [f"scripts/run: {said} differ only in case, which the boot disk cannot tell apart"]


# ---- Machines that refuse what scripts/run did not look at ---------------------------------------------------------------------------------

def boot(vms, files=(), **keywords):
    return machine.boot(machine.SVM, vms, files, options=("--no-check",), **keywords)


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
    assert 'what you type goes to nobody: Ctrl-A n types to VM "' in outcome.output, "none is attached"


@pytest.mark.parametrize("job", [GARBAGE], ids=repr)
def test_falling_vm_stays_down(outcome):
    assert any("not started again" in line for line in outcome.vms["fall"].log), outcome.output[-2000:]
    assert outcome.output.count("again: stopped: ") == 1, "what cannot start is not tried twice"


@pytest.fixture
def place():
    if machine.SVM.missing:
        pytest.skip(machine.SVM.missing)
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        Path(directory, "tmp").mkdir()
        yield directory


# ---- The verdict, and what is typed -----------------------------------------------------------------------------

# Prints `text`, repeats what is typed until a q comes, and ends as `last` says.
SPEAKER = """
	org 0x7c00
	bits 16
	cli
	xor ax, ax
	mov ds, ax
	mov si, text
print:	lodsb
	test al, al
	jz {next}
	call put
	jmp print
echo:	mov dx, 0x3fd
	in al, dx
	test al, 1
	jz echo
	mov dx, 0x3f8
	in al, dx
	call put
	cmp al, 'q'
	jne echo
last:	{last}
put:	mov bl, al
busy:	mov dx, 0x3fd
	in al, dx
	test al, 0x20
	jz busy
	mov dx, 0x3f8
	mov al, bl
	out dx, al
	ret
nowhere: dw 0, 0, 0
text:	db `{text}`, 0
	times 510-($-$$) db 0
	dw 0xaa55
"""
ORDERLY, TRIPLE_FAULT = "hlt", "lidt [nowhere]\n\tint3"


def speak(place, text, last=ORDERLY, listen=False, **keywords):
    """A machine with one VM that prints this text; the CompletedProcess of scripts/run on pipes."""
    source, binary = Path(place, "speaker.asm"), Path(place, "speaker.bin")
    source.write_text(SPEAKER.format(text=text, last=last, next="echo" if listen else "last"))
    subprocess.run(["nasm", "-f", "bin", source, "-o", binary], check=True)
    return machine.run("--on", "qemu", "--kernel", binary, "--vm-memory", "16M", "--protocol", "bootsector",
                       "--timeout", machine.BACKSTOP, **keywords)


FORGED = (r"trapeze: END status={} all VMs are off\r\ntrapeze: END status={} all VMs are off (run )\r\n"
          r"trapeze: PANIC forged\r\n")


@pytest.mark.parametrize("last, forged, status", [(TRIPLE_FAULT, 0, CRASHED), (ORDERLY, 1, 0)],
                         ids=["crashed-says-well", "well-says-crashed"])
def test_guest_cannot_forge_the_verdict(place, last, forged, status):
    done = speak(place, FORGED.format(forged, forged), last)
    assert "PANIC forged" in done.stdout, done.stdout + done.stderr
    assert done.returncode == status, done.stdout[-1000:]
    assert re.search(rf"trapeze: END status={status} .*\(run \w+\)", done.stdout)


def test_piped_input_reaches_the_guest(place):
    """Piped input must not reach the firmware. The temporary directory's name has a comma, which QEMU's options must survive."""
    scratch = Path(place, "tmp, with a comma")
    scratch.mkdir()
    Path(place, "typed").write_text("from a pipe\n" * 9 + "q")
    with open(f"{place}/typed") as typed:
        done = speak(place, r"speak\r\n", listen=True, stdin=typed, env=dict(os.environ, TMPDIR=str(scratch)))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    assert done.stdout.count("from a pipe") == 9


def test_no_wait_after_the_last_word(place):
    """BOOTX64.EFI waits a minute so that a user can read why it gave up; scripts/run does not wait for that."""
    machine.write_conf(f"{place}/conf", {"bad": "kernel = no/such/kernel\n"})
    with machine.Dialogue("--on", "qemu", "--no-check", "--conf", f"{place}/conf") as talk:
        talk.expect(r"trapeze: END status=1 .*")
        said = time.monotonic()
        assert talk.end() == CRASHED
        assert time.monotonic() - said < AT_ONCE - 1


# ---- A machine like a real one: a screen, and no word of an emulator in CPUID ------------------------------------

def test_last_words_stay_on_the_screen(place):
    """A machine with the erratum but without VT-x: it says why it ends and that a key ends it, and nothing about guests."""
    serial = Path(place, "serial")
    done = machine.run("--on", "qemu", "--cpu", "Skylake-Client,-hypervisor", "--kernel", HELLO, "--serial", serial)
    output = serial.read_text(errors="replace")
    assert done.returncode == CRASHED
    assert "TZ-E001" in output
    assert "switching off at a key, or in 60 s" in output
    assert "TZ-I013" not in output


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


def test_timeout(place):
    done = machine.run(*spinning(place), "--timeout", 30, env=dict(os.environ, TMPDIR=f"{place}/tmp"))
    assert done.returncode == TIMEOUT
    assert "no end after 30 s\n" in done.stderr
    assert re.search(r"^trapeze: spin: vcpu 0 runs: real mode, rip 7c00, jmp ", Path(place, "serial").read_text(), re.M)
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
