# SPDX-License-Identifier: MIT
"""scripts/mkimage without an emulator: an image holds every file that was given, or there is none and a reason."""
import os
import re
import shutil
import signal
import subprocess

import pytest

import machine

MKIMAGE = machine.ROOT / "scripts/mkimage"
REFUSED, USAGE, INTERRUPTED = 1, 2, 130
SECTOR, ESP_AT = 512, 2048 * 512       # bytes
MIB, GIB = 1 << 20, 1 << 30


def mkimage(out, tree, *options, **keywords):
    return subprocess.run([MKIMAGE, *options, "--", out, tree], capture_output=True, text=True, timeout=60, **keywords)


def held(image):
    """The names of the files in the image."""
    listed = subprocess.run(["mdir", "-i", f"{image}@@{ESP_AT}", "-b", "-/", "::"], check=True, capture_output=True,
                            text=True, env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
    return {line.removeprefix("::/") for line in listed.stdout.splitlines() if not line.endswith("/")}


@pytest.fixture
def tree(tmp_path):
    """A directory with one file, which every image here must hold."""
    directory = tmp_path / "tree"
    (directory / "EFI").mkdir(parents=True)
    (directory / "EFI/file").write_text("file\n")
    return directory


def refused(out, tree, says):
    """There is a reason, and neither an image nor the beginning of one."""
    done = mkimage(out, tree)
    assert done.returncode == REFUSED, done.stderr
    assert says in done.stderr
    assert not list(out.parent.glob(f"{out.name}*"))


def instead(directory, tool, script):
    """An environment where this script stands for a tool that mkimage calls."""
    directory.mkdir()
    (directory / tool).write_text(f"#!/bin/sh\n{script}\n")
    (directory / tool).chmod(0o755)
    return dict(os.environ, PATH=f"{directory}:{os.environ['PATH']}")


# ---- Files that FAT cannot hold -----------------------------------------------------------------------------------

def test_file_of_4_gib(tmp_path, tree):
    with open(tree / "large", "wb") as file:
        file.truncate(4 * GIB)
    refused(tmp_path / "out", tree, "large: 4 GiB or more")


def test_link_to_nothing(tmp_path, tree):
    (tree / "link").symlink_to("nothing")
    refused(tmp_path / "out", tree, "link: a link to nothing")


def test_tree_that_cannot_be_read_whole(tmp_path, tree):
    """A directory that links to the one around it stands for one that we may not read, which root always may."""
    (tree / "EFI/loop").symlink_to(tree)
    refused(tmp_path / "out", tree, "it cannot be read whole")


def test_files_left_out_are_counted(tmp_path, tree):
    """Whatever mcopy leaves out: here all of it."""
    done = mkimage(tmp_path / "out", tree, env=instead(tmp_path / "bin", "mcopy", "exit 0"))
    assert done.returncode == REFUSED and "not in the image" in done.stderr and "::/EFI/file" in done.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name, says", [
    ("CON", "CON: this name is a device"), ("EFI/nul", "EFI/nul: this name is a device"),
    ("final.", "do not end with a dot"), ("final ", "do not end with a dot or a space"),
    ("a:b", "a:b: names on a FAT disk hold no"), ("a\\b", "hold no"), ("a\nb", "no control characters"),
    ("\u00e4", "ASCII characters alone"),
    ("efi", "differ only in case are the same to FAT: efi"), ("EFI/FILE", "the same to FAT: efi/file"),
], ids=["device", "device-below", "dot", "space", "colon", "backslash", "newline", "umlaut", "twin-directory", "twin-file"])
def test_name_that_fat_cannot_hold(tmp_path, tree, name, says):
    (tree / name).write_text("x")
    refused(tmp_path / "out", tree, says)


@pytest.mark.parametrize("name", ["d.", "AUX", "a[1]"])
def test_directory_that_fat_cannot_hold(tmp_path, tree, name):
    (tree / name).mkdir()
    refused(tmp_path / "out", tree, f"{name}: ")


def test_relative_tree_beside_cdpath(tmp_path, tree):
    """The shell prints where it finds a directory by way of CDPATH."""
    done = mkimage(tmp_path / "out", "tree", cwd=tmp_path, env=dict(os.environ, CDPATH=str(tmp_path)))
    assert done.returncode == 0, done.stderr


def test_names_that_fat_can_hold(tmp_path, tree):
    names = {"con.conf", "a+b", ".hidden", "a b", "[x]", "initrd.img-6.1.0-amd64", "it's"}
    for name in names:
        (tree / name).write_text("x")
    assert mkimage(tmp_path / "out", tree).returncode == 0
    assert held(tmp_path / "out") == names | {"EFI/file"}


def test_out_inside_the_tree(tmp_path, tree):
    refused(tree / "EFI/out", tree, "the image would hold itself")


def test_empty_tree(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "out", tmp_path / "empty", "empty, so the image would hold nothing")


# ---- Sizes ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", ["2030M", "2032M", "2040M", "2046M", "2064M", "2070M"])
def test_size_where_fat32_begins(tmp_path, tree, size):
    """FAT16 ends before clusters of 64 sectors are enough for FAT32."""
    done = mkimage(tmp_path / "out", tree, "-s", size)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert held(tmp_path / "out") == {"EFI/file"}
    assert (tmp_path / "out").stat().st_size >= int(size[:-1]) * MIB


def test_size_beyond_fat(tmp_path, tree):
    done = mkimage(tmp_path / "out", tree, "-s", "3T")
    assert done.returncode == REFUSED and done.stderr == "mkimage: -s 3T: a FAT file system is smaller than 2 TiB\n"


@pytest.mark.parametrize("size", ["5x", "-5M", "", "1 M", "M"])
def test_size_that_is_none(tmp_path, tree, size):
    done = mkimage(tmp_path / "out", tree, "-s", size)
    assert done.returncode == USAGE
    assert done.stderr == ("usage: mkimage [-s MIN_SIZE] OUT DIR\n"
                           f"mkimage: -s {size}: a size is a number, alone or with K, M or G behind it\n")


@pytest.mark.parametrize("directory", ["", "EFI/"])
@pytest.mark.parametrize("size", ["1M", "3G"], ids=["FAT16", "FAT32"])
def test_more_files_than_a_directory_holds(tmp_path, tree, directory, size):
    """65,536 entries, and 16 fewer in FAT16's root. A file with one of these names takes 17, with a short one 2."""
    for n in range(3853):
        (tree / directory / f"{n:0199}").touch()
    show = instead(tmp_path / "bin", "mformat", 'echo "$@" >&2\nexit 1')
    planned = mkimage(tmp_path / "out", tree, "-s", size, env=show)
    assert ("-r 4095 " if size == "1M" and not directory else "-T") in planned.stderr
    for n in range(10):
        (tree / directory / f"n{n}").touch()
    done = mkimage(tmp_path / "out", tree, "-s", size)
    assert done.returncode == REFUSED
    assert done.stderr == (f"mkimage: {tree}: too many files for one directory of a FAT disk, "
                           f"put some into another: /{directory}\n")


def test_many_files_in_the_root(tmp_path, tree):
    """FAT16's root has a fixed number of entries, 512 unless more are asked for, and a long name takes several."""
    names = {f"one of very many files with a name of more than 13 characters {n}" for n in range(200)}
    names |= {f"f{n}" for n in range(700)}
    for name in names:
        (tree / name).write_text("x")
    done = mkimage(tmp_path / "out", tree)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert held(tmp_path / "out") == names | {"EFI/file"}


def test_files_of_more_than_2_gib(tmp_path, tree):
    """The sum of their sizes is beyond a signed number of 32 bits. What was planned is enough here: copying takes long."""
    with open(tree / "large", "wb") as file:
        file.truncate(2300 * MIB)
    done = mkimage(tmp_path / "out", tree, env=instead(tmp_path / "bin", "mformat", 'echo "$@" >&2\nexit 1'))
    assert int(re.search(r"-F -T (\d+)", done.stderr)[1]) * SECTOR > 2300 * MIB


# ---- The file that becomes the image ------------------------------------------------------------------------------

def test_two_at_once(tmp_path, tree):
    """Each makes a file of its own. The first one waits where the second one would have begun it anew."""
    out, go_on = tmp_path / "out", tmp_path / "go-on"
    os.mkfifo(go_on)
    sgdisk = shutil.which("sgdisk", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    slow = instead(tmp_path / "bin", "sgdisk", f'read -r go_on <"{go_on}"\nexec {sgdisk} "$@"')
    first = subprocess.Popen([MKIMAGE, out, tree], env=slow)
    with open(go_on, "w") as waited_for:        # until the first is at it
        assert mkimage(out, tree).returncode == 0
        whole = out.read_bytes()
        print("go on", file=waited_for)
    assert first.wait(timeout=60) == 0
    assert out.read_bytes() == whole, "equal trees give equal bytes"
    assert sorted(tmp_path.glob("out*")) == [out]


def test_a_file_of_the_users_stays(tmp_path, tree):
    (tmp_path / "out.new").write_text("mine")
    assert mkimage(tmp_path / "out", tree).returncode == 0
    assert (tmp_path / "out.new").read_text() == "mine"


def test_who_may_read_the_image(tmp_path, tree):
    """As umask says."""
    assert mkimage(tmp_path / "out", tree, umask=0o027).returncode == 0
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["-dash.img", "a@@b.img", "@@1"])
def test_odd_name_of_an_image(tmp_path, tree, name):
    assert mkimage(name, tree, cwd=tmp_path).returncode == 0
    (tmp_path / name).rename(tmp_path / "out")
    assert held(tmp_path / "out") == {"EFI/file"}


def test_relative_tree(tmp_path, tree):
    """OUT is elsewhere, and mtools would take the tree's name for a drive."""
    tree.rename(tmp_path / "c:d")
    assert mkimage("c:d/../out", "c:d", cwd=tmp_path).returncode == 0
    assert held(tmp_path / "out") == {"EFI/file"}


def test_link_to_an_image(tmp_path, tree):
    """The image is where it leads to, and it stays a link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere/image")
    assert mkimage(tmp_path / "out", tree).returncode == 0
    assert (tmp_path / "out").is_symlink() and (tmp_path / "elsewhere/image").is_file()


@pytest.mark.parametrize("out, says", [("", "the name of the image is empty"), ("no/such/out", "no/such/out: no such directory")])
def test_name_that_is_no_file(tmp_path, tree, out, says):
    done = mkimage(out, tree, cwd=tmp_path)
    assert done.returncode == REFUSED and says in done.stderr


def test_image_replaces_only_a_file(tmp_path, tree):
    """Neither a directory nor a device, for which a FIFO stands here, nor anything beside them."""
    directory, fifo = tmp_path / "directory", tmp_path / "fifo"
    directory.mkdir()
    os.mkfifo(fifo)
    before = sorted(tmp_path.rglob("*"))
    for out in (directory, fifo):
        done = mkimage(out, tree)
        assert done.returncode == REFUSED
        assert done.stderr.startswith(f"mkimage: {out}: not an ordinary file")
    assert sorted(tmp_path.rglob("*")) == before and fifo.is_fifo()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_leaves_nothing_of_an_image(tmp_path, tree, number):
    started = tmp_path / "started"
    os.mkfifo(started)
    slow = instead(tmp_path / "bin", "mformat", f'echo >"{started}"\nexec sleep 60')
    process = subprocess.Popen([MKIMAGE, tmp_path / "out", tree], env=slow, start_new_session=True)
    started.read_text()
    os.killpg(process.pid, number)
    assert process.wait(timeout=60) == INTERRUPTED
    assert not list(tmp_path.glob("out*"))


# ---- scripts/run and mkimage ------------------------------------------------------------------------------------------

def write_image(out, env):
    return subprocess.Popen([machine.RUN, "--build", machine.BUILD, "--kernel", machine.BUILD / "tiny/hello.bin",
                             "--write-image", out], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_to_run_leaves_nothing_of_an_image(tmp_path, number):
    """It comes to scripts/run alone, which has mkimage end."""
    started = tmp_path / "started"
    os.mkfifo(started)
    with write_image(tmp_path / "out", instead(tmp_path / "bin", "mformat", f'echo >"{started}"\nexec sleep 60')) as process:
        started.read_text()
        process.send_signal(number)
        assert process.wait(timeout=30) == INTERRUPTED
    assert not list(tmp_path.glob("out*"))


def test_mkimage_that_says_nothing(tmp_path):
    """Then there is its status at least."""
    with write_image(tmp_path / "out", instead(tmp_path / "bin", "mformat", "exit 3")) as process:
        assert process.stderr.read() == "scripts/run: mkimage: it ended with status 3\n"
