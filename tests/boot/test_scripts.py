# SPDX-License-Identifier: MIT
"""What the scripts that make calls say to a user who tries them: how they are used, and nothing else is done."""
import subprocess

import pytest

import machine


@pytest.mark.parametrize("name", ["mkfont", "fetch", "run-each", "deps"])
def test_usage_of_a_script(name):
    """With an option that it does not know."""
    done = subprocess.run([machine.ROOT / "scripts" / name, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"usage: scripts/{name}") and not done.stdout


@pytest.mark.parametrize("name, begins", [("mutants", "would the unit tests notice?"), ("bench", "measure what exits")])
def test_help_begins_with_what_it_does(name, begins):
    done = subprocess.run([machine.ROOT / "scripts" / name, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0 and f"\n\n{begins}" in done.stdout


@pytest.mark.parametrize("option", ["--cases", "--jobs"])
def test_native_run_of_nothing(option):
    done = subprocess.run([machine.ROOT / "scripts/native", "/bin/true", option, "0"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "are 1 at least" in done.stderr
