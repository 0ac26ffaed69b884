# SPDX-License-Identifier: MIT
"""What is typed, brought to the hypervisor no faster than it takes it: the other side of hv/terminal.h.

A piece of 14 bytes at most, the last three of them a timing mark, then the answer is waited for: so a 16550's FIFO
of 16 never overruns, however late the hypervisor looks. Pure: bytes in, bytes out.
"""
IAC = b"\xff"
MARK = b"\xff\xfd\x06"          # IAC DO TIMING-MARK
WINDOW = 14
GO, WAIT, GO_AHEAD = b"\xff\xfb\x06", b"\xff\xfc\x06", b"\xff\xf9"
ESCAPE = b"\x01"                # Ctrl-A begins a command, and twice is one for the guest; so is IAC


class Typist:
    def __init__(self):
        self.text = bytearray()     # for the guest, as it was typed
        self.commands = []          # for the hypervisor, as they go over the wire: they overtake the text
        self.is_asked = False       # a mark is out, its answer is not here yet
        self.is_held = False        # the guest does not read: commands only
        self.cut = b""              # the end of the output: perhaps the beginning of an answer

    def next(self):
        """What may be written now."""
        if self.is_asked:
            return b""
        if self.commands:
            piece = self.commands.pop(0)
        elif self.text and not self.is_held:
            piece = self.next_text()
        else:
            return b""
        self.is_asked = True
        return piece + MARK

    def next_text(self):
        piece, taken = b"", 0
        for byte in self.text[:WINDOW]:
            coded = bytes([byte]) * (2 if bytes([byte]) in (IAC, ESCAPE) else 1)
            if len(piece + coded + MARK) > WINDOW:
                break
            piece, taken = piece + coded, taken + 1
        del self.text[:taken]
        return piece

    def forget(self):
        """What was typed for a VM that nobody types to any more; returns how many bytes that was."""
        length = len(self.text)
        self.text.clear()
        return length

    def read(self, output):
        """Takes the answers out of the machine's output, acts on them, and returns the rest."""
        output, shown, self.cut = self.cut + output, b"", b""
        while self.is_asked or self.is_held:
            at = output.find(IAC)
            if at < 0:
                break
            shown, output = shown + output[:at], output[at:]
            if any(answer.startswith(output) for answer in (GO, WAIT, GO_AHEAD) if len(output) < len(answer)):
                self.cut = output
                return shown
            answer = self.mind(output)
            if not answer:          # the firmware's own byte
                shown += IAC
            output = output[answer or len(IAC):]
        return shown + output

    def mind(self, output):
        """The length of the answer that the output begins with, if it is one that is waited for."""
        if self.is_asked and output.startswith((GO, WAIT)):
            self.is_asked, self.is_held = False, output.startswith(WAIT)
            return len(GO)
        if self.is_held and output.startswith(GO_AHEAD):
            self.is_held = False
            return len(GO_AHEAD)
        return 0
