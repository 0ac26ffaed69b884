# SPDX-License-Identifier: MIT
"""What goes onto the disk that the machine boots: BOOTX64.EFI, hv.elf, the configuration and the files it names.

A configuration is a directory with trapeze.conf (optional) and vms/*.conf, one NAME.conf that describes a VM, or the
options that describe one. The paths in it are looked for beside it and then in the build directory. Nothing here
understands it: scripts/checkconf/, made from the hypervisor's own sources, says what is wrong and which files it names.
"""
import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
HOST_CONF = "when_done = poweroff\n"
FILE_MAX = (1 << 32) - 1
ANY_MACHINE = (1 << 24, 64, 64)     # MiB, processors, nodes: an image to keep is for a machine that we do not know
SHOWN_VALUE = 100       # characters of an option's value in a message
LINUX_CONF = SCRIPTS.parent / "guest/conf/linux.conf"     # the guest that runs when nobody names another,
DEBIAN = "linux/vmlinuz"        # and a file that it needs
ALIKE = "differ only in case, which the boot disk cannot tell apart"
FAULT = re.compile(r"(trapeze\.conf|vms(?:/[^/:]+\.conf)?)(:\d+)?: (.*)")
FAULTY_VALUE = re.compile(r'^(?:\w+ = ".*": |\w+ "[^"]*" )')       # what the option's own words replace


class Refused(Exception):
    """The user asked for something that cannot be: each line says what and what to do."""


class Tree:
    """The directory that becomes the ESP: links to files, so that nothing large is copied twice."""

    def __init__(self, root, build):
        self.root, self.build = Path(root), Path(build)
        self.places = []        # where files that a configuration names are looked for
        self.spelt = {}         # file of ours: how the user calls it
        self.options = {}       # line of the VM that the command line describes, in part or in whole: the option behind it
        self.link(self.built("BOOTX64.EFI"), "EFI/BOOT/BOOTX64.EFI")
        self.link(self.built("hv.elf"), "trapeze/hv.elf")
        (self.root / "trapeze/vms").mkdir()

    def built(self, name):
        path = self.build / name
        if not path.exists():
            raise Refused(f"{path} is missing: run make first")
        return path

    def link(self, source, name):
        if os.path.exists(source) and not os.path.isfile(source) and not os.path.isdir(source):
            raise Refused(f"{source}: not an ordinary file")
        if os.path.exists(source) and os.path.getsize(source) > FILE_MAX:
            raise Refused(f"{source}: 4 GiB or more: too large for a file on a FAT disk")
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(Path(source).absolute())

    def write(self, name, text):
        (self.root / "trapeze" / name).write_text(text)

    def add_guests(self, args):
        """Whatever the options name, or the guest that runs when they name none; returns the text of trapeze.conf."""
        if args.kernel is not None:
            return self.add_options(args)
        return self.add_conf(args.conf) if args.conf else self.add_debian(args)

    def need_debian(self):
        if not (self.build / DEBIAN).exists():
            raise Refused("the Debian guest is not made yet: run make linux first, or name a --kernel or another --conf")

    def add_vm_file(self, conf):
        name = f"vms/{conf.stem}.conf"      # also of X.CONF, which is the same name to FAT
        self.link(conf, f"trapeze/{name}")
        self.spelt[name] = str(conf)

    def add_conf(self, conf):
        """A configuration of the user's; returns the text of its trapeze.conf."""
        conf = Path(conf)
        if conf.is_file():
            if conf.name.startswith(".") or conf.suffix.lower() != ".conf":
                raise Refused(f"{conf}: the name of a file that describes a VM is NAME.conf")
            if conf.samefile(LINUX_CONF):
                self.need_debian()
            self.add_vm_file(conf)
            self.spelt["vms"] = str(conf)
            self.places = [conf.parent, self.build]
            return HOST_CONF
        if not conf.is_dir():
            raise Refused(f"{conf}: {'neither a file nor a directory' if conf.exists() else 'no such file or directory'}")
        descriptions = sorted(path for path in listed(conf / "vms") if path.suffix.lower() == ".conf")
        if not descriptions:
            raise Refused(f"{conf}: there is no vms/NAME.conf in it")
        check_names(descriptions)
        for description in descriptions:
            self.add_vm_file(description)
        self.places = [conf, self.build]
        self.spelt.update({"trapeze.conf": str(conf / "trapeze.conf"), "vms": str(conf / "vms")})
        host = conf / "trapeze.conf"
        return host.read_text(errors="replace") if os.path.lexists(host) else HOST_CONF

    def note_option(self, line, option, value, file=None):
        """The option behind a line of the VM that is described."""
        if not re.fullmatch(r"[ -~]*", value):
            raise Refused(f"{option} must be one line of ASCII text")
        self.options[line] = f"{option} {shortened((file or '') + value)}"

    def add_options(self, args):
        """The VM of --kernel and its companions; returns the text of trapeze.conf."""
        lines = []
        for option, key, value, file in described(args):
            self.note_option(len(lines) + 1, option, value, file)
            if file == "":
                raise Refused(f"{option} {value}: the name of the file is missing")
            if file is not None:
                name = place_of(key, file)
                self.link(file, f"trapeze/{name}")
                value = name + value
            lines.append(f"{key} = {value}")
        self.write("vms/guest.conf", "\n".join(lines) + "\n")
        return HOST_CONF

    def add_debian(self, args):
        """The guest that runs when nobody names another, as large as the options say; returns the text of trapeze.conf."""
        self.need_debian()
        name = f"vms/{LINUX_CONF.name}"
        text = LINUX_CONF.read_text()
        for option, key, value in sizes(args):
            text = replaced(text, key, value)
            self.note_option(len(text.splitlines()), option, value)
        self.write(name, text)
        self.spelt.update({name: str(LINUX_CONF), "vms": str(LINUX_CONF)})
        self.places = [LINUX_CONF.parent, self.build]
        return HOST_CONF

    def check(self, memory, processors, nodes, is_strict):
        """Puts the files beside the configuration that names them. With is_strict every fault is the end."""
        done = subprocess.run([self.built("host/checkconf"), str(memory), str(processors), str(nodes), self.root / "trapeze",
                               *self.places],
                              capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        if done.returncode and is_strict:
            raise Refused("\n".join(map(self.in_users_words, done.stderr.splitlines())) or
                          f"checkconf ended with status {done.returncode}")
        spelt = {name: name for name in ("hv.elf", "trapeze.conf", "vms")}
        for name, source in (line.split("\t", 1) for line in done.stdout.splitlines()):
            for part in map(str, (Path(name), *Path(name).parents)):
                if spelt.setdefault(part.lower(), part) != part:
                    raise Refused(f"{spelt[part.lower()]} and {part} {ALIKE}")
            self.link(source, f"trapeze/{name}")

    def in_users_words(self, line):
        """The file as the user called it, or the option that stands for the line."""
        found = FAULT.fullmatch(line)
        if not found:
            return line
        name, number, text = found.groups()
        if name == "vms":
            number = None           # of the directory, which has no lines
        if option := self.options.get(int(number[1:]) if number else None):
            return f"{option}: {FAULTY_VALUE.sub('', text, 1)}"
        return f"--vm-{text}" if self.options and not number else f"{self.spelt.get(name, name)}{number or ''}: {text}"


def listed(directory):
    """What is in it. One that we may not read is not taken for one that is not there."""
    return list(directory.iterdir()) if directory.is_dir() else []


def shortened(value):
    return value if len(value) <= SHOWN_VALUE else value[:SHOWN_VALUE] + "..."


def check_names(descriptions):
    seen = {}
    for description in descriptions:
        other = seen.setdefault(description.name.lower(), description)
        if other is not description:
            raise Refused(f"{other} and {description.name} {ALIKE}")


def place_of(key, path):
    """Where a file of the command line goes: under its own name, which messages will show, where FAT can have it."""
    name = Path(path).name
    is_device = re.fullmatch(r"(?i:con|prn|aux|nul|com[1-9]|lpt[1-9])", name)
    is_good = not is_device and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.+-]{0,60}(?<!\.)", name)
    return f"vm/{key}/{name if is_good else 'file'}"


def disk_parts(text):
    """(file, what the configuration says behind it). A comma can be part of the file's name, if there is such a file."""
    path, options = re.fullmatch(r"(.*?)((?:,(?:mode|serial)=[^,]*)*)", text).groups()
    short, comma, rest = path.partition(",")
    if comma and not os.path.exists(path) and os.path.exists(short):
        return short, comma + rest + options
    return path, options


def described(args):
    """(option, key, value, file) for each line of the VM that the command line describes; the file comes before the value."""
    yield "--kernel", "kernel", "", args.kernel
    if args.initrd is not None:
        yield "--initrd", "initrd", "", args.initrd
    for number, disk in enumerate(args.disk or []):
        path, options = disk_parts(disk)
        yield "--disk", f"disk{number}", options, path
    for option, key, value in ("--cmdline", "cmdline", args.cmdline), ("--protocol", "protocol", args.protocol):
        if value:
            yield option, key, value, None
    for option, key, value in sizes(args):
        yield option, key, value, None


def sizes(args):
    """(option, key, value) for what any VM has."""
    for option, key, value in ("--vm-memory", "memory", args.vm_memory), ("--vcpus", "vcpus", args.vcpus):
        if value is not None:
            yield option, key, str(value)


def replaced(conf, key, value):
    """The text of a configuration with this value instead of its own; the other lines keep their numbers."""
    return re.sub(rf"(?m)^[ \t]*{key}[ \t]*=.*$", "", conf) + f"\n{key} = {value}\n"


def write_image(image, args, scratch, run_id=None):
    """Makes the disk image that the options describe; returns how many VMs it has. run_id: what the last line will repeat."""
    tree_dir = Path(scratch) / "esp"
    shutil.rmtree(tree_dir, ignore_errors=True)
    tree = Tree(tree_dir, args.build)
    host = tree.add_guests(args)
    if args.log_level:
        host = replaced(host, "log_level", args.log_level)
    if run_id:
        host = replaced(host, "run_id", run_id)
    tree.write("trapeze.conf", host)
    tree.check(*(ANY_MACHINE if args.write_image else (args.memory, args.cpus, args.numa)), is_strict=not args.no_check)
    make_image(image, tree_dir)
    return len(list((tree_dir / "trapeze/vms").iterdir()))


def make_image(image, tree_dir):
    """A signal ends mkimage and what it has called, all together, and it removes what it has begun."""
    with subprocess.Popen([SCRIPTS / "mkimage", "--", image, tree_dir], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True) as mkimage:
        try:
            said, faults = mkimage.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):       # it may have ended by itself at this moment
                os.killpg(mkimage.pid, signal.SIGTERM)
            mkimage.communicate()       # its shell says what was killed: it would die of a closed pipe
            raise
    if mkimage.returncode and os.strerror(errno.ENOSPC) in faults:
        raise Refused(f"{image}: {os.strerror(errno.ENOSPC)}: make room, or name another place with TMPDIR")
    if mkimage.returncode:
        why = faults.strip() or said.strip() or f"it ended with status {mkimage.returncode}"
        raise Refused(f"mkimage: {why.removeprefix('mkimage: ')}")
