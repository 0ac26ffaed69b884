# SPDX-License-Identifier: MIT
"""What the scripts that make calls say to a user who tries them: how they are used, and nothing else is done."""
import os
import subprocess
import sys

import pytest

import machine


@pytest.mark.parametrize("name", ["mkfont", "fetch", "run-each", "deps"])
def test_usage_of_a_script(name):
    """With an option that it does not know."""
    done = subprocess.run([machine.ROOT / "scripts" / name, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"usage: scripts/{name}") and not done.stdout


@pytest.mark.parametrize("does, says", [("while :; do :; done", "FAIL (hung) unit/it "), ("exit 3", "FAIL unit/it (status 3)")])
def test_unit_test_that_hangs(tmp_path, does, says):
    binary = tmp_path / "test_it"
    binary.write_text(f"#!/bin/sh\necho begun\n{does}\n")
    binary.chmod(0o755)
    done = subprocess.run([machine.ROOT / "scripts/run-each", "unit", "", binary], capture_output=True, text=True,
                          env=dict(os.environ, CPU_SECONDS="1"), timeout=60)
    assert done.returncode == 1 and f"begun\n{says}" in done.stdout and done.stdout.endswith("0 passed, 1 failed\n")


@pytest.mark.parametrize("name, begins", [("mutants", "would the unit tests notice?"), ("bench", "measure what exits")])
def test_help_begins_with_what_it_does(name, begins):
    done = subprocess.run([machine.ROOT / "scripts" / name, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0 and f"\n\n{begins}" in done.stdout


@pytest.mark.parametrize("option", ["--cases", "--jobs"])
def test_native_run_of_nothing(option):
    done = subprocess.run([machine.ROOT / "scripts/native", "/bin/true", option, "0"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "are 1 at least" in done.stderr


@pytest.mark.parametrize("text, says", [
    ("/* SPDX-License-Identifier: MIT */\n/* One\n * two */\nint a;\t/* code */\n\n", "(1, 2)"),
    ("/* SPDX-License-Identifier: MIT */\nint a;\n", "(1, 0)"),
])
def test_licence_is_no_comment(text, says):
    """Of what scripts/lint asks so many lines for each line of code."""
    done = subprocess.run([sys.executable, "-B", "-c", f"import lines; print(lines.count({text!r}, '.c'))"],
                          cwd=machine.ROOT / "scripts", capture_output=True, text=True)
    assert done.stdout.strip() == says


def test_model_that_spin_does_not_read(tmp_path):
    """What an earlier run has left says that all is well."""
    (tmp_path / "build/model/0").mkdir(parents=True)
    (tmp_path / "build/model/0/pan.c").write_text(
        '#include <stdio.h>\nint main(void) { puts("State-vector\\n5 states, stored\\nerrors: 0"); }\n')
    (tmp_path / "spin").write_text("#!/bin/sh\necho 'spin: a syntax error'\nexit 1\n")
    (tmp_path / "spin").chmod(0o755)
    done = subprocess.run(["tests/model/check"], cwd=machine.ROOT, capture_output=True, text=True,
                          env=dict(os.environ, B=str(tmp_path / "build"), PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert done.returncode == 1 and "a syntax error" in done.stderr and not done.stdout


def test_hot_file_that_is_not_there():
    """It would be made small like all that the list does not name, and nobody would notice."""
    done = subprocess.run(["make", "HOT=hv/bus hv/gone", "help"], cwd=machine.ROOT, capture_output=True, text=True,
                          env={**os.environ, "MAKEFLAGS": ""})
    assert done.returncode == 2 and "HOT names hv/gone.c," in done.stderr


@pytest.mark.parametrize("debug, build", [("1", "build/debug -DDEBUG"), ("0", "build"), ("no", "build"), ("", "build")])
def test_debug_hypervisor(debug, build):
    """Who says no does not get it."""
    done = subprocess.run(["make", "--no-print-directory", f"DEBUG={debug}", "--eval", "show:;@echo $(B) $(filter -DDEBUG,$(HVFLAGS))", "show"],
                          cwd=machine.ROOT, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""})
    assert done.stdout.strip() == build, done.stderr


# ---- scripts/mutants, on a product of four files -----------------------------------------------------------

CMOCKA = "#include <setjmp.h>\n#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <cmocka.h>\n"
MUTANTS_TREE = {
    "hv/sum.c": "unsigned sum(unsigned n);\nunsigned sum(unsigned n)\n{\n\treturn n && n + n;\n}\n",
    "tests/unit/test_sum.c": CMOCKA + "unsigned sum(unsigned n);\nint main(void) { return sum(1) == 1 ? 0 : 1; }\n",
    # With a change of `included` the loop has no end; what includes it does so by way of a header of the tests.
    "hv/included.c": "static unsigned long included(unsigned long n)\n{\n\twhile (n)\n\t\tn--;\n\treturn n;\n}\n",
    "tests/unit/fake/part.h": '#include "hv/included.c"\n',
    "tests/unit/test_included.c": '#include "part.h"\nint main(void) { return included(3) != 0; }\n',
    # Takes longer than the least limit, with a change or without.
    "hv/slow.c": "int slow(void);\nint slow(void) { return 7; }\n",
    "tests/unit/test_slow.c": "#include <time.h>\nint slow(void);\nint main(void)\n{\n\twhile (clock() < 3 * CLOCKS_PER_SEC / 2)\n"
                              "\t\tcontinue;\n\treturn slow() == 0;\n}\n",
    # Any change contradicts the other line.
    "hv/born.c": "extern char born[2];\nchar born[2];\n",
    "tests/unit/test_born.c": "int main(void) { return 0; }\n",
    "tests/unit/fake/row.c": "",
    "tests/unit/fake/lock_fake.c": "",
    "tests/unit/fake/row.h": "",
}


@pytest.fixture
def mutants(tmp_path):
    """Runs scripts/mutants with a least limit of a second: the exit status, and what it says at the end."""
    script = (machine.ROOT / "scripts/mutants").read_text()
    assert "\nLEAST_SECONDS = 5 " in script
    sources = MUTANTS_TREE | {"scripts/mutants": script.replace("\nLEAST_SECONDS = 5 ", "\nLEAST_SECONDS = 1 ")}
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    units = {"sum": "hv/sum.c", "included": "", "slow": "hv/slow.c", "born": "hv/born.c"}
    compiler = "gcc -I. -Itests/unit/fake"
    for name in sources:
        if name.endswith(".c"):
            (tmp_path / "build/unit" / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([*compiler.split(), "-c", name, "-o", f"build/unit/{name[:-2]}.o"], cwd=tmp_path, check=True)
    for unit, files in units.items():
        objects = [f"build/unit/{name[:-2]}.o" for name in (f"tests/unit/test_{unit}.c", *files.split())]
        subprocess.run(["gcc", *objects, "-o", f"build/unit/test_{unit}"], cwd=tmp_path, check=True)

    def run(*arguments, compiler=compiler):
        facts = "\n".join(["B: build", f"CC: {compiler}", "ZYDIS:", "ZYDIS_USERS:", "ZYDIS_LIB:",
                           *(f"UNIT {unit}: {files}" for unit, files in units.items())])
        done = subprocess.run([sys.executable, tmp_path / "scripts/mutants", *arguments], input=facts, capture_output=True, text=True)
        return done.returncode, (done.stdout + done.stderr).splitlines()
    return run


def test_mutants_of_a_linked_file(mutants, tmp_path):
    """The sum of 1 and 1 is true, and so is 1 or anything: the change that survives is named until it is explained."""
    status, lines = mutants("--all", "hv/sum.c")
    assert status == 1 and lines[0] == "SURVIVED line 4 of hv/sum.c: return n [&& -> ||] n + n;"
    assert lines[1].startswith("mutants: 1 noticed, 0 hung, 0 stillborn, 0 explained, 1 survived; ")
    (tmp_path / "tests/mutants").mkdir()
    (tmp_path / "tests/mutants/survivors").write_text(f"{lines[0].partition(' of ')[2]}\n\tBoth are true.\n")
    status, lines = mutants("--all", "hv/sum.c")
    assert status == 0 and lines[0].startswith("mutants: 1 noticed, 0 hung, 0 stillborn, 1 explained, 0 survived; ")


def test_mutants_of_an_included_file(mutants):
    """Its test is compiled again; one that does not end is told from one that fails."""
    status, lines = mutants("--all", "hv/included.c")
    assert status == 0 and lines[-1].startswith("mutants: 0 noticed, 1 hung, 0 stillborn, 0 explained, 0 survived; ")


def test_mutants_limit_follows_from_the_test(mutants):
    """It takes a second and a half of processor time by itself: that is no hang."""
    status, lines = mutants("--all", "hv/slow.c")
    assert status == 1 and lines[-1].startswith("mutants: 0 noticed, 0 hung, 0 stillborn, 0 explained, 1 survived; ")


@pytest.mark.parametrize("places", [["--all", "hv/none.c"], ["--share", "1000000", "hv"]])
def test_mutants_of_nothing(mutants, places):
    status, lines = mutants(*places)
    assert status == 1 and "nothing is chosen" in lines[-1]


@pytest.mark.parametrize("place", ["./hv/sum.c", "{root}/hv/sum.c"])
def test_mutants_of_a_file_by_another_name(mutants, tmp_path, place):
    assert mutants("--all", place.format(root=tmp_path))[1][0].startswith("SURVIVED line 4 of hv/sum.c: ")


def test_mutants_of_which_none_is_built(mutants):
    """Nothing was shown, so nothing is well."""
    status, lines = mutants("--all", "hv/born.c")
    assert status == 1 and lines[-1] == "mutants: none of them could be built, so nothing was tried"


def test_mutants_without_a_compiler(mutants):
    status, lines = mutants("--all", "hv/sum.c", compiler="false")
    assert status == 1 and lines == ["scripts/mutants: hv/sum.c does not compile without a change: false"]


@pytest.mark.parametrize("share", ["0", "-1"])
def test_mutants_share(share):
    done = subprocess.run([machine.ROOT / "scripts/mutants", f"--share={share}"], input="", capture_output=True, text=True)
    assert done.returncode == 2 and "--share is 1 at least" in done.stderr
