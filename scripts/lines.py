#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""scripts/lines.py: lines of code and of comment per directory, so that parts can be compared by size.

A line counts as code when something is left after comments are taken away. Blank lines count nowhere, and neither does
that of the licence: it tells a reader nothing.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"shared": ("hv", "arch/x86/exit", "arch/x86/virt", "arch/x86/host", "arch/x86/hw", "arch/x86/pv",
                    "arch/x86/emulate", "arch/x86/guestboot", "drivers"),
         "VT-x": ("arch/x86/vmx",), "AMD-V": ("arch/x86/svm",), "boot": ("boot",),
         "guests": ("guest",), "tests": ("tests",)}
C_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', re.S)
ASM_TOKENS = re.compile(r'"[^"\n]*"|\'[^\'\n]*\'|`[^`\n]*`|;[^\n]*')
TOKENS = {".c": C_TOKENS, ".h": C_TOKENS, ".asl": C_TOKENS, ".ld": C_TOKENS, ".asm": ASM_TOKENS, ".inc": ASM_TOKENS}


def count(text, suffix):
    """(lines with code, lines with nothing but comment)"""
    def blank(match):
        token = match[0]
        return token if token[0] in "\"'`" else re.sub(r"[^\n]", " ", token)

    left = TOKENS[suffix].sub(blank, text).splitlines()
    whole = text.splitlines()
    code = sum(1 for line in left if line.strip())
    comment = sum(1 for before, after in zip(whole, left)
                  if before.strip() and not after.strip() and "SPDX-License-Identifier" not in before)
    return code, comment


def files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else \
        [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    return [Path(name) for name in names if Path(name).suffix in TOKENS and (ROOT / name).is_file()
            and not name.startswith("build")]


def kind_of(directory):
    return next((kind for kind, places in KINDS.items()
                 for place in places if directory == place or directory.startswith(place + "/")), "other")


def measure():
    """[{"directory", "kind", "files", "code", "comment"}], in order of the directories' names."""
    rows = {}
    for name in files():
        directory = str(name.parent)
        code, comment = count((ROOT / name).read_text(), name.suffix)
        row = rows.setdefault(directory, {"directory": directory, "kind": kind_of(directory), "files": 0, "code": 0,
                                          "comment": 0})
        row["files"] += 1
        row["code"] += code
        row["comment"] += comment
    return [rows[directory] for directory in sorted(rows)]


def table(rows):
    text = [f"{'Lines':<34}{'kind':<8}{'files':>6}{'code':>8}{'comment':>9}"]
    text += [f"{row['directory']:<34}{row['kind']:<8}{row['files']:>6}{row['code']:>8,}{row['comment']:>9,}"
             for row in rows]
    for kind in KINDS:
        of_kind = [row for row in rows if row["kind"] == kind]
        sums = [sum(row[key] for row in of_kind) for key in ("files", "code", "comment")]
        text.append(f"{'all of ' + kind:<42}{sums[0]:>6}{sums[1]:>8,}{sums[2]:>9,}")
    return text


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    print("\n".join(table(measure())))
