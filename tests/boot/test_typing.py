# SPDX-License-Identifier: MIT
"""What is typed and pasted reaches the guest, all of it and in order, however late the guest reads."""
import os
import re
import tempfile
import termios
import threading
from functools import partial
from pathlib import Path

import pytest

import machine
from typist import MARK, WINDOW, Typist

# Every byte there is, IAC and Ctrl-A too.
PASTED = bytes((i * 89 + i // 256) % 256 for i in range(35000))
# Each eleven bytes wait for scripts/run, while Bochs uses its processor: there no more than twice what the hypervisor keeps.
SHORT = PASTED[:9000]


def summed(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) % (1 << 64)
    return total


def paste(platform):
    """What was pasted, and the sum that the guest made of what arrived."""
    pasted = PASTED if platform is machine.SVM else SHORT
    with machine.Dialogue(*platform.options, "--kernel", machine.BUILD / "tiny/typed.bin", "--cmdline", len(pasted)) as talk:
        talk.expect("^type\n")
        os.write(talk.typed, pasted)
        return pasted, int(talk.expect("^typed all, sum ([0-9a-f]{16})\n")[1], 16)


PASTES = [machine.Job(f"paste-{platform.name}", platform, partial(paste, platform)) for platform in machine.PLATFORMS]


@pytest.mark.parametrize("job", PASTES, ids=repr)
def test_paste_arrives_whole(outcome):
    pasted, total = outcome
    assert total == summed(pasted)


# ---- Two VMs on one terminal ------------------------------------------------------------------------------

PROMPT = "kernel = tiny/prompt.bin\nmemory = 16M\n"


def two_prompts():
    """One is attached and has a prompt; the keys behind Ctrl-A go around; each ends at a q."""
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        machine.write_conf(f"{directory}/conf", {"one": PROMPT, "two": PROMPT}, "attach = one\n")
        with machine.Dialogue("--on", "qemu", "--conf", f"{directory}/conf", window=(80, 24)) as talk:
            def press(keys):
                os.write(talk.typed, keys)

            talk.expect("prompt> ")
            press(b"half")
            talk.expect("half")
            press(b"\x01w")
            # Each says it in its next turn, so in any order.
            where = dict(talk.expect(r"trapeze: (one|two): vcpu 0 runs: (.*)\n").groups() for _ in range(2))
            # It polls its serial port, or has just echoed what was typed.
            assert re.match(r"64-bit, rip 10[0-9a-f]{4}, .*; (reads port 3fd|writes port e9) at \d+ of its last 16", where["one"])
            assert re.match(r"(32|64)-bit", where["two"])      # it may just have started
            talk.expect("prompt> half", "the line with what was typed, drawn again")
            press(b"\x01?")
            talk.expect(r'what you type goes to VM "one" \(ttyS0\)$')
            press(b"\x01nq")
            talk.expect(r'what you type goes to VM "two" \(ttyS0\) now')
            talk.expect('VM "two", to which you typed, has ended; Ctrl-A n types to the next, "one"')
            press(b"\x01n")
            talk.expect(r'what you type goes to VM "one" \(ttyS0\) now')
            press(b"\x01\x01q")
            talk.expect("\x01q")
            return talk.end()


TWO = machine.Job("two-prompts-svm-qemu", machine.SVM, two_prompts)


@pytest.mark.parametrize("job", [TWO], ids=repr)
def test_two_vms_on_one_terminal(outcome):
    assert outcome == 0


# ---- Leaving --------------------------------------------------------------------------------------------------

DEAF = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"        # JMP to itself: it reads nothing


def leave_behind_a_paste():
    """The exit status, and the terminal's output flags meanwhile."""
    with tempfile.TemporaryDirectory(prefix="trapeze-test-") as directory:
        Path(directory, "deaf.bin").write_bytes(DEAF)
        with machine.Dialogue("--on", "qemu", "--kernel", f"{directory}/deaf.bin", "--protocol", "bootsector",
                              "--vm-memory", "16M", window=(80, 24)) as talk:
            talk.expect("guest: started")
            flags = termios.tcgetattr(talk.typed)[1]
            # In a thread, because what is not read on the other side blocks the writer.
            threading.Thread(target=os.write, args=(talk.typed, b"p" * 300_000 + b"\x01x"), daemon=True).start()
            return talk.process.wait(timeout=60), flags


LEAVE = machine.Job("leave-behind-a-paste-svm-qemu", machine.SVM, leave_behind_a_paste)


@pytest.mark.parametrize("job", [LEAVE], ids=repr)
def test_commands_do_not_wait_behind_a_paste(outcome):
    assert outcome[0] == 0


@pytest.mark.parametrize("job", [LEAVE], ids=repr)
def test_lines_of_bare_lf_begin_at_the_left(outcome):
    assert outcome[1] & termios.OPOST and outcome[1] & termios.ONLCR


# ---- scripts/run's side of hv/terminal.h --------------------------------------------------------------------


def test_pieces_fit_a_fifo():
    typist, sent, shown = Typist(), b"", b""
    typist.text += PASTED[:1000]
    while piece := typist.next():
        assert len(piece) <= WINDOW and piece.endswith(MARK)
        assert typist.next() == b"", "one piece at a time"
        sent += piece[:-len(MARK)]
        shown += typist.read(b"x\xff\xfb") + typist.read(b"\x06y")
    assert sent.replace(b"\x01\x01", b"\x01").replace(b"\xff\xff", b"\xff") == PASTED[:1000]
    assert shown == b"xy" * (len(shown) // 2), "the answers are not shown"


def test_commands_overtake_text_that_is_held():
    typist = Typist()
    typist.text += b"abc"
    typist.next()
    typist.text += b"def"
    assert typist.read(b"1\xff\xff\xfc\x062") == b"1\xff2"
    assert typist.next() == b""
    typist.commands.append(b"\x01w")
    assert typist.next() == b"\x01w" + MARK
    assert typist.read(b"\xff\xf9\xff\xfb\x06z") == b"z"
    assert typist.next() == b"def" + MARK
    assert typist.read(b"\xff\xf9") == b"\xff\xf9", "nobody asked: the firmware's own"
