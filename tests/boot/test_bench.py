# SPDX-License-Identifier: MIT
"""make bench: how lines become figures, figures the table, and that guests of machines with several VMs measure at all."""
import json
import subprocess
import sys
import tempfile
from functools import partial

import pytest

import machine

sys.path.insert(0, str(machine.ROOT / "scripts"))
import bench_rows as rows           # noqa: E402
import bench_scenes as scenes       # noqa: E402
from bench_scenes import SCENE_OF   # noqa: E402


def test_each_row_has_its_scene():
    assert sorted(SCENE_OF) == sorted(row.name for row in rows.ROWS if row.run == rows.SCENES)
    assert len(SCENE_OF) == sum(len(scene.rows) for scene in scenes.SCENES)


def said(scene, *lines):
    """What a machine says with these lines of guests, and the end of each VM that has one."""
    return "\n".join(["trapeze: READY", *lines, *(f"[{name}] END 0" for name in scene.ends)])


def had(scene, **percent):
    return said(scene, *(f"[{vm}] BENCH had {int(100_000 * share):x} {10_000_000:x}" for vm, share in percent.items()))


FAIR = dict(one_a=50, one_b=50, three=75, three_1=25, ten=90.9, ten_1=9.1, capped=25, halts=50, beside_halts=50, yields=50,
            beside_yields=50)


@pytest.mark.parametrize("unfair, row, value", [
    ({}, "share-1-1", 0), ({"one_b": 48}, "share-1-1", 2), ({"three": 74.5, "three_1": 25.1}, "share-3-1", 0.5),
    ({"capped": 26.5}, "share-cap", 1.5), ({"halts": 55, "beside_halts": 45}, "gain-halt", 5),
    ({"halts": 40, "beside_halts": 52}, "gain-halt", -2), ({"beside_yields": 49}, "gain-yield", 1),
])
def test_shares(unfair, row, value):
    scene = SCENE_OF[row]
    assert scene.measure(had(scene, **FAIR | unfair))[row]["value"] == pytest.approx(value, abs=0.001)


@pytest.mark.parametrize("shares, jain, idle", [((50, 50, 50, 50), 1, 0), ((99, 33, 33, 33), 0.75, 1)])
def test_four(shares, jain, idle):
    scene = SCENE_OF["jain"]
    figures = scene.measure(had(scene, **dict(zip(scene.vms, shares))))
    assert figures["jain"]["value"] == pytest.approx(jain, abs=0.001)
    assert figures["idle"]["value"] == pytest.approx(idle)


@pytest.mark.parametrize("row, shares, value", [
    ("share-many", (50, 50, 50, 6), 0), ("share-many", (31, 32, 50, 13), 19),
    ("share-unbound", (66.667, 33.333, 66.667, 33.333), 0), ("share-unbound", (50, 50, 50, 50), 16.667),
    ("share-dozers", (90, 90, 12.8), 53.867), ("share-alternate", (52.4, 52.6, 95.6), 14.267),
])
def test_unequal_ones(row, shares, value):
    """However many vCPUs the others have: what is due is a VM's, by its weight."""
    scene = SCENE_OF[row]
    assert scene.measure(had(scene, **dict(zip(scene.vms, shares))))[row]["value"] == pytest.approx(value, abs=0.001)


def test_disks():
    scene = SCENE_OF["two-disks"]
    output = said(scene, "[first] BENCH alone 100 1000", "[first] BENCH together 80 1000", "[second] BENCH together c0 1000")
    assert scene.measure(output) == {"two-disks": {"value": 1.25}}


WAKE = "[measured] BENCH wake 10 8 2 4 8000 3 0 0 0 0 0"


def test_wake():
    scene = SCENE_OF["switch-two-vms"]
    output = said(scene, "[computes-0] COMPUTES", "[measured] MEASURES", WAKE)
    assert scene.measure(output) == {"switch-two-vms": {"ticks": 1022}}


def test_ipi():
    scene = SCENE_OF["ipi-halted"]
    output = said(scene, "[measured] BENCH ipi-computes 1 3e9 1 4 388 3 0 0 0 0 0", "[measured] BENCH ipi-sleeps 1 3e9 1 4 708 3 0 0 0 0 0")
    assert scene.measure(output) == {"ipi-spinning": {"ticks": 900}, "ipi-halted": {"ticks": 1796}}


@pytest.mark.parametrize("lines, why", [
    (("[measured] MEASURES", "[computes-0] COMPUTES", WAKE), "before all others computed"),
    (("[measured] MEASURES", WAKE), "before all others computed"),
    (("[computes-0] COMPUTES", "[measured] MEASURES", "[measured] FAIL exception", WAKE), "not every guest"),
])
def test_void_scene(lines, why):
    scene = SCENE_OF["switch-two-vms"]
    with pytest.raises(rows.Void, match=why):
        scene.measure(said(scene, *lines))


def test_scene_without_an_end():
    scene = SCENE_OF["jain"]
    with pytest.raises(rows.Void, match="not every guest"):
        scene.measure(had(scene, north=50, east=50, south=50, west=50).replace("[west] END", "[west] then"))


@pytest.mark.parametrize("options, says", [
    (["--rows", ""], 'there is no row ""; there are: cpuid '), (["--rows", "in,cpu"], 'there is no row "cpu"; there are: cpuid '),
    (["--rows", "in,jain", "--quick"], "jain is not measured with --quick"),
    (["--rows", "jain", "--quick", "--on", "qemu"], "jain is not measured with --on qemu"),
    (["--rows", "debian-work", "--on", "qemu"], "debian-work is not measured with --on qemu"),
    (["--rows", "image", "--on", "ryzen"], "image is not measured with --on ryzen"),
])
def test_rows_that_will_not_come(options, says):
    done = subprocess.run([machine.ROOT / "scripts/bench", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr, done.stderr


@pytest.mark.parametrize("name, ours, others, missed, goal", [
    ("timer-spinning", 601, {}, True, "<=600"), ("timer-spinning", 600, {}, False, "<=600"),
    ("jain", 0.98, {}, True, ">=0.990"), ("jain", 0.99, {}, False, ">=0.990"),
    ("switch-256", 3000, {"switch-two-vms": 2999}, True, "<=2,999"),
    ("switch-256", 3000, {"switch-two-vms": 3000}, False, "<=3,000"), ("switch-256", 3000, {}, False, "  "),
])
def test_goals(name, ours, others, missed, goal):
    """At most, at least, or no more than another row of the same run."""
    kind = "ticks" if rows.BY_NAME[name].unit == "ticks" else "value"
    figures = {row: {"ticks": ticks} for row, ticks in others.items()} | {name: {kind: ours}}
    text, table = rows.table("vtx", "a machine", {"vtx": figures})
    line = next(line for line in text if line.startswith(rows.BY_NAME[name].what))
    assert ("goal missed" in line) == missed == next(row["missed"] for row in table if row["row"] == name)
    assert goal in line


# ---- In machines: the shortest ------------------------------------------------------------------------------

ON = {machine.VMX: "bochs", machine.RYZEN: "ryzen", machine.SVM: "qemu"}
RUNS = {"wake": ("switch-two-vms", "switch-ipi"), "ipi": ("ipi-spinning", "ipi-halted"), "disks": ("two-disks",), "four": ("jain", "idle"),
        "many": ("share-many", "share-unbound"), "sleepers": ("share-dozers", "share-alternate")}
SECONDS = {machine.VMX: 50, machine.RYZEN: 50, machine.SVM: 140}     # QEMU counts instructions


def run(platform, names):
    """The rows that scripts/bench measured."""
    with tempfile.NamedTemporaryFile() as place:
        done = subprocess.run([machine.ROOT / "scripts/bench", "--build", machine.BUILD, "--on", ON[platform], "--wall", "0", "--json",
                               place.name, "--rows", ",".join(names)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return {row["row"]: row["ours"] for found in json.load(place)["platforms"].values() for row in found["rows"]}


JOBS = {(kind, platform.name): machine.Job(f"{platform.name}-bench-{kind}", platform, partial(run, platform, names),
                                             SECONDS[platform])
        for kind, names in RUNS.items() for platform in machine.PLATFORMS if kind == "wake" or platform is not machine.SVM}


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "wake"], ids=repr)
def test_wake_ups(outcome):
    """At once, and not when a turn is over: these are a hundredth of a second, 2 million ticks in Bochs."""
    assert outcome.keys() == set(RUNS["wake"])
    assert all(100 < ticks < 200_000 for ticks in outcome.values()), outcome


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "ipi"], ids=repr)
def test_interrupts_between_processors(outcome):
    assert outcome.keys() == set(RUNS["ipi"])
    assert all(100 < ticks < 5000 for ticks in outcome.values()), outcome


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "disks"], ids=repr)
def test_two_disks(outcome):
    """No shared lock on the way: issue 7 asks for 1.9 times the throughput."""
    assert 1.9 <= outcome["two-disks"] < 2.1, outcome


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "four"], ids=repr)
def test_four_for_ten_seconds(outcome):
    assert outcome["jain"] >= 0.99 and 0 < outcome["idle"] < 1, outcome


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "many"], ids=repr)
def test_unequal_ones_for_ten_seconds(outcome):
    """19 percent of a processor were taken from each of the small ones when processors were balanced by numbers."""
    assert outcome.keys() == set(RUNS["many"])
    assert all(value <= 1 for value in outcome.values()), outcome


@pytest.mark.parametrize("job", [job for (kind, _), job in JOBS.items() if kind == "sleepers"], ids=repr)
def test_beside_sleepers_for_ten_seconds(outcome):
    """54 percent of a processor were taken by the dozers, and 14 by the one that alternates, before a limb stood where it belongs."""
    assert outcome.keys() == set(RUNS["sleepers"])
    assert all(value <= 5 for value in outcome.values()), outcome
