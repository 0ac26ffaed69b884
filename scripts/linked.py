#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""scripts/linked.py: which C lines of the product some unit test links, and the files that none does.

A file counts when a UNIT_ list of tests/unit/sources.mk has it, or when a test includes it to put its own instructions
underneath. Linked is not tested: scripts/mutants asks that.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("hv", "arch", "boot", "drivers")
ASK_MAKE = "include GNUmakefile\nlinked: ; @:$(foreach u,$(UNITS),$(info $(UNIT_$(u))))\n"


def linked_files():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    listed = subprocess.run(["make", "-s", "--no-print-directory", "-f", "-", "linked"], cwd=ROOT, input=ASK_MAKE, check=True,
                            capture_output=True, text=True, env=environment).stdout.split()
    included = [name for test in (ROOT / "tests/unit").rglob("*.[ch]")
                for name in re.findall(r'^#include "([^"]+\.c)"', test.read_text(), re.M)]
    return {name for name in listed + included if name.startswith(tuple(place + "/" for place in PRODUCT))}


def measure():
    """(lines linked, lines in all, [(lines, file) that no test links])"""
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines())
             for place in PRODUCT for path in (ROOT / place).rglob("*.c")}
    linked = linked_files()
    missing = sorted(((size, name) for name, size in sizes.items() if name not in linked), reverse=True)
    return sum(sizes.values()) - sum(size for size, _ in missing), sum(sizes.values()), missing


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    of_tests, of_all, without = measure()
    for count, file in without:
        print(f"{count:>5} {file}")
    print(f"{of_tests} of {of_all} C lines are linked into some unit test: {100 * of_tests / of_all:.1f} %")
