# SPDX-License-Identifier: MIT
"""What goes onto the disk that the machine boots: boot.efi, hv.elf, the configuration and the files it names.

A configuration is a directory with trapeze.conf (optional) and vms/*.conf, or one NAME.conf that describes a VM.
The paths in it are looked for beside it and then in the build directory.
"""
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
HOST_CONF = "when_done = poweroff\n"
CMDLINE_MAX = 1023      # HANDOFF_CMDLINE_MAX without its end
FILE_KEYS = re.compile(r"^\s*(kernel|initrd|module\d|disk\d)\s*=\s*([^,\n]+?)\s*(,.*)?$", re.M)


class Refused(Exception):
    """The user asked for something that cannot be: the message says what and what to do."""


class Tree:
    """The directory that becomes the ESP: links to files, so that nothing large is copied twice."""

    def __init__(self, root, build):
        self.root, self.build = Path(root), Path(build)
        self.link(self.built("BOOTX64.EFI"), "EFI/BOOT/BOOTX64.EFI")
        self.link(self.built("hv.elf"), "trapeze/hv.elf")
        (self.root / "trapeze/vms").mkdir()

    def built(self, name):
        path = self.build / name
        if not path.exists():
            raise Refused(f"{path} is missing: run make first")
        return path

    def link(self, source, name):
        source, place = Path(source), self.root / name
        if not source.is_file():
            raise Refused(f"{source}: no such file")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(source.resolve())

    def write(self, name, text):
        (self.root / "trapeze" / name).write_text(text)

    def add_named_files(self, conf, places):
        """Links what a VM's description names. A file that is nowhere is left to boot.efi, which names the line."""
        for _, name, _ in FILE_KEYS.findall(conf.read_text(errors="replace")):
            for place in places:
                if (place / name).is_file():
                    self.link(place / name, f"trapeze/{name}")
                    break

    def add_vm_file(self, conf, places):
        self.link(conf, f"trapeze/vms/{conf.name}")
        self.add_named_files(conf, places)

    def add_conf(self, conf, log_level):
        conf = Path(conf)
        host = HOST_CONF
        if conf.is_dir():
            descriptions = sorted((conf / "vms").glob("*.conf"))
            if not descriptions:
                raise Refused(f"{conf}: there is no vms/NAME.conf in it")
            check_names(descriptions)
            for description in descriptions:
                self.add_vm_file(description, [conf, self.build])
            if (conf / "trapeze.conf").exists():
                host = (conf / "trapeze.conf").read_text(errors="replace")
        elif conf.is_file():
            self.add_vm_file(conf, [conf.parent, self.build])
        else:
            raise Refused(f"{conf}: no such file or directory")
        if log_level:
            host = re.sub(r"(?m)^\s*log_level\s*=.*\n?", "", host) + f"\nlog_level = {log_level}\n"
        self.write("trapeze.conf", host)


def check_names(descriptions):
    seen = {}
    for description in descriptions:
        other = seen.setdefault(description.name.lower(), description)
        if other is not description:
            raise Refused(f"{other} and {description.name} differ only in case, which the boot disk cannot tell apart")


def place_of(key, path):
    """Where a file of the command line goes: under its own name, which messages will show, where FAT can have it."""
    name = Path(path).name
    return f"vm/{key}/{name}" if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,60}(?<!\.)", name) else f"vm/{key}/file"


def one_vm(args):
    """The text of NAME.conf for --kernel and its companions, and the files it names: [(source, name)]."""
    if len(args.cmdline or "") > CMDLINE_MAX:
        raise Refused(f"--cmdline is longer than {CMDLINE_MAX} characters")
    if not re.fullmatch(r"[ -~]*", args.cmdline or ""):
        raise Refused("--cmdline must be one line of ASCII text")
    files, lines = [], []
    for key, path in ("kernel", args.kernel), ("initrd", args.initrd):
        if path:
            files.append((path, place_of(key, path)))
            lines.append(f"{key} = {files[-1][1]}")
    for number, disk in enumerate(args.disk or []):
        path, _, options = disk.partition(",")
        files.append((path, place_of(f"disk{number}", path)))
        lines.append(f"disk{number} = {files[-1][1]}" + (f",{options}" if options else ""))
    settings = {"cmdline": args.cmdline, "memory": args.vm_memory, "vcpus": args.vcpus, "protocol": args.protocol}
    lines += [f"{key} = {value}" for key, value in settings.items() if value not in (None, "")]
    return "\n".join(lines) + "\n", files


def write_image(image, args, scratch):
    """Makes the disk image that the options describe."""
    tree_dir = Path(scratch) / "esp"
    shutil.rmtree(tree_dir, ignore_errors=True)
    tree = Tree(tree_dir, args.build)
    if args.kernel:
        text, files = one_vm(args)
        tree.write("vms/guest.conf", text)
        for source, name in files:
            tree.link(source, f"trapeze/{name}")
        tree.write("trapeze.conf", HOST_CONF + (f"log_level = {args.log_level}\n" if args.log_level else ""))
    else:
        tree.add_conf(args.conf or SCRIPTS.parent / "guest/conf/linux.conf", args.log_level)
    made = subprocess.run([SCRIPTS / "mkimage", image, tree_dir], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if made.returncode and os.strerror(errno.ENOSPC) in made.stderr:
        raise Refused(f"{image}: {os.strerror(errno.ENOSPC)}: make room, or name another place with TMPDIR")
    if made.returncode:
        raise Refused(f"mkimage: {made.stderr.strip() or made.stdout.strip()}")
