# SPDX-License-Identifier: MIT
"""The rows of the table that `make bench` prints: what, the goal, what KVM and Xen took, and how a row is computed.

The figures of KVM and Xen were measured once, in the same emulators and by the same rules as ours: loop overhead
taken off, the best of 8 batches of 200, one vCPU. KVM is Linux 6.1's with the smallest possible user part and
mitigations off; Xen is Debian's 4.17 with a PVH guest. They change when those do, not when we do.
"""
from dataclasses import dataclass

# The weighted cost: what an exit and the instructions that it needs cost on a real processor, which ticks do not show.
PER_EXIT, PER_VMCS, PER_MSR, PER_INV = 1000, 30, 100, 500
COUNTS = ("exits", "vmread", "vmwrite", "msr", "inv", "vmload")     # in the order of hv/count.h
WITHIN = 1.3                # AMD-V's goal: VT-x's figure in the same run, times this
CONTROL, CONTROL_SLACK = 3.0, 0.1
MEASURED_ALIKE = ("vtx", "ryzen")       # platforms where ticks are instructions of one emulator


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    run: str                # which run brings it (scripts/bench)
    goal: float = None      # at most this, on VT-x; at least this, if it says so
    unit: str = "ticks"
    vtx: tuple = ("-", "-")     # KVM, Xen, in Bochs with VT-x
    svm: tuple = ("-", "-")     # the same in QEMU with AMD-V
    more: str = ""          # said behind the row, of VT-x: it names figures measured there
    at_least: bool = False
    like: str = None        # no goal, but no more than that row's figure of the same run


EXITS = "exits of a tiny guest"
DELIVERED = "the same, interrupts delivered by the processor"
DEBIAN, NATIVE, SIZE = "Debian", "Debian without Trapeze", "size"
SCENES = "several VMs"      # bench_scenes.py

PORTS = ("21", "61", "3fd", "71")       # of the first 8259, the timer and speaker, COM1's line status, the clock's data
PORT_LOOP = 2                           # DEC and JNZ behind each IN (guest/linux/bench.asm)

ROWS = (
    Row("cpuid", "CPUID, leaf 0", EXITS, 190, vtx=(969, 874), svm=(2740, 5363)),
    Row("hypercall", "VMCALL/VMMCALL, smallest hypercall", EXITS, 150, vtx=(1004, 815), svm=(2972, 5429)),
    Row("in", "IN from a device model (8259 mask)", EXITS, 255, vtx=(1249, 1272), svm=(1406, 1111),
        more="a run on one range; another range than last time about 358, at most 365; port 61h 465, at most 502"),
    Row("out", "OUT to a device model (8259 mask)", EXITS, 255, vtx=(1262, 1258), svm=(1413, 1096),
        more="a run on one range; another range than last time about 358; "
             "the mask stays what it was; one that changes looks at the lines again: 410"),
    Row("virtio-notify", "virtio-mmio QueueNotify, empty ring", EXITS, 460, vtx=(3665, 14710), svm=(3654, 18502),
        more="the whole MOV, by 64-bit code above 4 GiB, where kernels live; below 504, by 32-bit code 1,162"),
    Row("rdmsr", "RDMSR emulated (APIC_BASE)", EXITS, 225, vtx=(1099, 777), svm=(2912, 5279)),
    Row("wrmsr-tsc-deadline", "WRMSR TSC_DEADLINE", EXITS, 220, vtx=(1141, 814), svm=(2850, 5313),
        more="to where it was; some 9 more for each timer, of any VM of that processor, that it passes"),
    Row("x2apic-eoi", "x2APIC EOI, nothing in service", EXITS, 220, vtx=(1169, "-"), svm=(2886, 5412)),
    Row("x2apic-eoi-serviced", "  of an interrupt in service", EXITS, more="counted with its sending: three exits"),
    Row("x2apic-eoi-delivered", "  none in service, the processor delivers them", DELIVERED, 4, vtx=("-", 3),
        more="in Bochs a VM gets that by test_apic = processor"),
    Row("interrupt", "an interrupt to itself: sent, delivered, ended", EXITS, more="three exits"),
    Row("interrupt-pv-eoi", "  the same, ended in a word of the guest's memory", EXITS, more="PV EOI: two exits"),
    Row("interrupt-delivered", "  the same, by the processor, which cannot wait for IF", DELIVERED,
        more="of two exits the window is one (arch/x86/vmx/quirk_masked.c)"),
    Row("timer-spinning", "own TSC deadline to its handler, guest spins", EXITS, 600, vtx=(2170, "-"),
        more="the handler's first instruction; KVM ahead of time: 204"),
    Row("timer-halted", "  the same, guest halted", EXITS, 1500, vtx=(3060, "-"), more="KVM ahead of time: 179"),
    Row("mmio-read", "MMIO read from a device model (I/O APIC)", EXITS, vtx=(5750, 14709), svm=(5482, 14881)),
    Row("mmio-read-nobody", "MMIO read where nobody is", EXITS),
    Row("virtio-notify-not-ready", "virtio-mmio QueueNotify, queue not ready", EXITS),
    Row("virtio-read-status", "virtio-mmio InterruptStatus read", EXITS, more="a plain load: no exit"),
    Row("first-touch", "first touch of guest memory, a fault", EXITS, 450, vtx=(3362, "ahead"), svm=(3356, "ahead"),
        more="while memory is zeroed ahead (hv/README.md); else 262,600. KVM: per 4 KiB; Xen maps ahead"),
    Row("touch-faults", "first touch, faults per 64 MiB", EXITS, 33, "faults"),
    Row("blk-depth-1", "virtio-blk 4 KiB, polling guest, depth 1", EXITS, 1.0, "exits",
        more="one notification a batch, used ring polled"),
    Row("blk-depth-32", "virtio-blk 4 KiB, polling guest, depth 32", EXITS, 0.10, "exits"),
    *(Row(f"port-{port}", f"Debian's user reads port {port}h", DEBIAN, 270) for port in PORTS),
    Row("debian-blk-1", "virtio-blk 4 KiB, Debian, depth 1", DEBIAN, 2.1, "exits", vtx=(2.05, "-"),
        more="pread, O_DIRECT, as dd iflag=direct: with its interrupts and idle; KVM: kvmtool, PCI, two processors, one 1.06"),
    Row("debian-blk-32", "virtio-blk 4 KiB, Debian, depth 32", DEBIAN, 0.07, "exits", vtx=(1.1, "-"),
        more="io_submit of 32; KVM with one processor 0.052"),
    Row("debian-entry", "Debian: entry to the first user program", DEBIAN, 1.60e9, vtx=(1.90e9, "-"),
        more="guest TSC at its first instruction"),
    Row("native-entry", "  the same without Trapeze", NATIVE, more="from ExitBootServices"),
    Row("debian-work", "busy user work in Debian against native", NATIVE, 1.005, "ratio"),
    Row("ipi-spinning", "IPI to a vCPU that computes on another processor", SCENES, 900, vtx=(2410, "-"),
        more="from the WRMSR to the handler's first instruction; the median of 1,001"),
    Row("ipi-halted", "  the same to one that sleeps there", SCENES, 1800, vtx=(2295, "-"), more="KVM: to 5,775"),
    Row("switch-ipi", "vCPU switch in one VM: ICR to sibling's handler", SCENES, 1200, vtx=(7664, "-"),
        more="both on one processor, the target halted; KVM: to 8,335"),
    Row("switch-one-vm", "  the same: a deadline while a sibling computes", SCENES, 1200, vtx=(7664, "-"),
        more="to the handler's first instruction"),
    Row("switch-two-vms", "vCPU switch: a deadline while another VM computes", SCENES, 1500, vtx=(8385, "-"),
        more="KVM: to 8,915"),
    Row("switch-16", "  the same beside 15 vCPUs that compute, in 2 VMs", SCENES, like="switch-two-vms",
        more="the scheduler decides among 16"),
    Row("switch-256", "  beside 248, in 31 VMs", SCENES, like="switch-two-vms",
        more="the scheduler decides among 249; 7 more wait for a SIPI"),
    Row("share-1-1", "weights 1:1, off by, of a processor", SCENES, 1, "percent", more="10 s; so are the next five"),
    Row("share-3-1", "  3:1", SCENES, 1, "percent"),
    Row("share-10-1", "  10:1", SCENES, 1, "percent"),
    Row("share-cap", "  cap 25 percent", SCENES, 1, "percent"),
    Row("gain-halt", "halts before the end of each turn: gains", SCENES, 1, "percent", vtx=("-", 95),
        more="Xen: old versions"),
    Row("gain-yield", "yields to a sibling before it: gains", SCENES, 1, "percent"),
    Row("jain", "four VMs on two processors: Jain's index", SCENES, 0.99, "of 1", at_least=True),
    Row("idle", "  time that no guest had", SCENES, 1, "percent", more="idle, and our own work"),
    Row("share-many", "  three of one vCPU beside one of eight, off by", SCENES, 1, "percent", more="of a processor; so is the next"),
    Row("share-unbound", "  weights 2:1:2:1, off by", SCENES, 1, "percent"),
    Row("share-dozers", "  one beside two bound ones that doze, off by", SCENES, 5, "percent"),
    Row("share-alternate", "  two beside one whose two vCPUs alternate, off by", SCENES, 1, "percent"),
    Row("two-disks", "virtio-blk of two VMs on two processors", SCENES, 1.9, "times one VM's", at_least=True,
        more="requests a second, each with notification and completion"),
    Row("image", "hv.elf loaded: bytes from the file", SIZE, 768, "KiB", vtx=(1250, "-"), svm=(1250, "-"),
        more="KVM: its modules"),
    Row("image-memory", "hv.elf loaded: memory it takes", SIZE, 768, "KiB"),
    Row("vm-memory", "memory per VM beyond the guest's (Debian)", DEBIAN, 1024, "KiB", vtx=("-", 2560),
        svm=("-", 2560)),
)
BY_NAME = {row.name: row for row in ROWS}


# What rows of DELIVERED are called in the guest that measures them.
NAMES_DELIVERED = {"x2apic-eoi-delivered": "x2apic-eoi", "interrupt-delivered": "interrupt"}


class Void(Exception):
    """What was measured says nothing, or was not measured at all."""


# ---- From lines to figures ---------------------------------------------------------------------------------

def bench_lines(output):
    """{name: [numbers]} of the lines `BENCH name ...` (guest/tiny/bench.asm says what the numbers are)."""
    lines = {}
    for line in output.splitlines():
        words = line.split()
        if "BENCH" in words:
            words = words[words.index("BENCH") + 1:]
            lines[words[0]] = [int(word, 16) for word in words[1:]]
    return lines


def ticks(numbers):
    """Of one operation."""
    rounds, _, units, overhead, best, *_ = numbers
    return (best / rounds - overhead) / units


def guest_figures(lines, wanted=None):
    """Of a run of the tiny guest: {name: {"ticks": per operation, "exits": ..., "vmread": ...}}. All that are wanted must be there."""
    if "control" not in lines:
        raise Void("the guest printed no control loop")
    rounds, _, _, _, best, *idle = lines["control"]
    control = best / rounds
    if abs(control - CONTROL) > CONTROL_SLACK:
        raise Void(f"the control loop reads {control:.2f}, not {CONTROL}: RDTSC exits, or ticks are no instructions")
    figures = {}
    for name, numbers in lines.items():
        rounds, batches, units, _, _, *counts = numbers
        done = rounds * batches * units
        figures[name] = {"ticks": ticks(numbers)}
        figures[name] |= {kind: (count - nothing) / done for kind, count, nothing in zip(COUNTS, counts, idle)}
    touch = figures.get("first-touch")
    if touch:
        faults = touch["exits"]
        if not faults:
            raise Void("64 MiB of fresh memory were touched without one fault")
        figures["touch-faults"] = {"value": faults}
        figures["first-touch"] = {key: value / faults for key, value in touch.items()}
    for name in ("blk-depth-1", "blk-depth-32"):
        if name in figures:
            figures[name]["value"] = figures[name]["exits"]
    missing = [name for name in wanted or [row.name for row in ROWS if row.run == EXITS] if name not in figures]
    if missing:
        raise Void(f"the guest did not measure {', '.join(missing)}")
    return figures


def without_counts(figures):
    """An ordinary build knows the exits only; its zeros for the rest are no counts."""
    return {name: {kind: value for kind, value in figure.items() if kind not in COUNTS[1:]}
            for name, figure in figures.items()}


def add_counts(figures, counted):
    """The counting build's counts beside the ordinary build's ticks."""
    for name, figure in figures.items():
        other = counted.get(name, {})
        figure |= {kind: other[kind] for kind in COUNTS[1:] if kind in other}


def weighted(figure):
    if "ticks" not in figure or "vmread" not in figure:
        return None
    vmcs = figure["vmread"] + figure["vmwrite"]
    return (figure["ticks"] + PER_EXIT * figure["exits"] + PER_VMCS * vmcs + PER_MSR * figure["msr"]
            + PER_INV * figure["inv"])


# ---- From figures to text -----------------------------------------------------------------------------------

def number(value, unit="ticks"):
    if isinstance(value, str):
        return value
    if value >= 1e8:
        return f"{value / 1e9:.3f} G"
    if value >= 100 or value % 1 == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if unit == "ticks" else f"{value:.3f}"


def count(value):
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def goal_of(row, platform, results):
    """VT-x has the table's goals; AMD-V in the same emulator must come close to VT-x; sizes are the same anywhere."""
    if row.like:
        return results[platform].get(row.like, {}).get("ticks")
    if platform == "vtx" or (row.unit != "ticks" and row.unit != "ratio"):
        return row.goal
    ours = results.get("vtx", {}).get(row.name, {}).get("ticks")
    if platform in MEASURED_ALIKE and ours is not None:
        return WITHIN * ours
    return None


def is_missed(row, ours, goal):
    if goal is None:
        return False
    above = round(ours, 4) - round(goal, 4)
    return above < 0 if row.at_least else above > 0


WIDTHS = (50, 9, 9, 8, 8, 6, 6, 7, 5, 5, 6, 8)
HEAD = ("", "ours", "goal", "KVM", "Xen", "exits", "VMREAD", "VMWRITE", "MSR", "INV", "VMLOAD", "weighted")


def cells(values):
    first, *rest = values
    return f"{first:<{WIDTHS[0]}}" + "".join(f"{value:>{width + 1}}" for value, width in zip(rest, WIDTHS[1:]))


def table(platform, title, results):
    """Lines of text, and the same as rows for JSON."""
    figures = results[platform]
    text, rows = [title, cells(HEAD)], []
    for row in ROWS:
        figure = figures.get(row.name)
        if figure is None:
            continue
        ours = figure.get("value", figure.get("ticks"))
        goal = goal_of(row, platform, results)
        kvm, xen = {"vtx": row.vtx, "qemu": row.svm}.get(platform, ("-", "-"))
        missed = is_missed(row, ours, goal)
        what = row.what if row.unit == "ticks" else f"{row.what} [{row.unit}]"
        cost = weighted(figure)
        line = cells([what, number(ours, row.unit), "" if goal is None else f"{'>=' if row.at_least else '<='}{number(goal, row.unit)}",
                      number(kvm), number(xen), *(count(figure.get(kind)) for kind in COUNTS),
                      "" if cost is None else number(cost)])
        text.append((line + ("  goal missed" if missed else "")
                     + (f"  ({row.more})" if row.more and platform == "vtx" else "")).rstrip())
        rows.append({"row": row.name, "what": row.what, "unit": row.unit, "ours": ours, "goal": goal, "kvm": kvm,
                     "xen": xen, "missed": missed, "weighted": cost,
                     **{kind: figure[kind] for kind in ("ticks", *COUNTS) if kind in figure}})
    return text, rows
