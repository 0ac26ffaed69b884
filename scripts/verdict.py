# SPDX-License-Identifier: MIT
"""How a run ended, by the machine's last line: "trapeze: END status=0 all VMs are off (run 5d0c1f...)".

A guest can print such a line too. So scripts/run puts a word that nobody can guess on the boot disk, where guests do not
get to (run_id in trapeze.conf), and believes only the line that repeats it. Two lines need no such word: one from before
READY, when no guest has run yet, and, for an image that somebody else made, the last one of a machine that has ended.
"""
import re

READY = b"trapeze: READY"       # from here on guests run, and the hypervisor reads what is typed
PLAIN = rb"trapeze: END status=(\d+) "
KEPT = 4096                     # bytes of output in which a line is looked for


class Verdict:
    def __init__(self, run_id):
        self.signed = re.compile(PLAIN + rb"[^\r\n]*\(run " + run_id.encode() + rb"\)") if run_id else None
        self.seen = b""
        self.is_ready = False
        self.failed = None      # once the last line was seen: whether it tells of a failure

    def read(self, data):
        self.seen = (self.seen + data)[-KEPT:]
        if not self.is_ready:
            before, ready, _ = self.seen.partition(READY)
            self.believe(re.search(PLAIN, before))
            self.is_ready = bool(ready)
        if self.signed:
            self.believe(self.signed.search(self.seen))

    def at_end(self):
        """The machine is off; nothing more will come."""
        lines = self.seen.split(b"\n")
        while lines and not lines[-1].strip():
            lines.pop()
        if lines and not self.signed:
            self.believe(re.match(PLAIN, lines[-1]))

    def believe(self, line):
        if line and self.failed is None:
            self.failed = line[1] != b"0"
