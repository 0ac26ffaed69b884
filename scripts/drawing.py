# SPDX-License-Identifier: MIT
"""What the drawing of the tree forbids, for scripts/lint: who may include whom, circles of includes, functions that nobody
calls, names that are defined twice. Each check is a function from {file: text} to faults (file, line, what).
"""
import os
import re
from collections import Counter, defaultdict

PRODUCT = ("boot", "hv", "arch", "drivers")
COMMENT_OR_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', re.S)
INCLUDE = re.compile(r'#include "([^"]+)"')

# A directory (or file) and what its files may include; the longest match on the left counts, on the right any.
# hv/ reaches the machine we run on through hv/host.h, and the registers of a guest through arch/x86/virt.
# The two vendors are not on anybody's list but their own: they are reached through struct virt_backend.
HANDOFF = "boot/handoff.h"
HOST, HW = "arch/x86/host", "arch/x86/hw"
HV = ["hv", HANDOFF, "arch/x86/virt", "arch/x86/exit", "arch/x86/emulate", "arch/x86/guestboot", "arch/x86/pv"]
VENDOR = ["arch/x86/exit", "arch/x86/emulate", "arch/x86/virt", HW, HOST, "hv"]
MAY_INCLUDE = {
    "boot":           ["boot", "hv/lib", HW],
    "hv/lib":         ["hv/lib"],
    "hv/dev":         ["hv", HANDOFF],
    "hv/virtio":      ["hv", HANDOFF],
    "hv":             HV,
    # The terminal, the start and the end know which real devices there are; their headers say nothing of x86.
    "hv/console.c":   [*HV, "drivers"],
    "hv/console_input.c": [*HV, "drivers"],
    "hv/console_writers.c": [*HV, "drivers"],
    "hv/main.c":      [*HV, "drivers"],
    "hv/last_words.c": [*HV, "drivers"],
    HW:               [HW, "hv/lib"],
    HOST:             [HOST, HW, "arch/x86/virt", "hv", HANDOFF],
    "arch/x86/virt":  ["arch/x86/virt", HW, HOST, "arch/x86/exit", "hv", HANDOFF],
    "arch/x86/emulate": ["arch/x86/emulate", "arch/x86/virt", HW, HOST, "arch/x86/exit", "hv"],
    "arch/x86/guestboot": ["arch/x86/guestboot", "arch/x86/virt", "arch/x86/exit", HW, "hv", HANDOFF],
    "arch/x86/exit":  ["arch/x86/exit", "arch/x86/emulate", "arch/x86/pv", "arch/x86/virt", HW, HOST, "hv"],
    "arch/x86/pv":    ["arch/x86/pv", HW, "hv"],
    "arch/x86/vmx":   ["arch/x86/vmx", *VENDOR],
    "arch/x86/svm":   ["arch/x86/svm", *VENDOR],
    "drivers":        ["drivers", HW, HOST, "hv", HANDOFF],
}


def is_within(name, place):
    return name == place or name.startswith(place + "/")


def includes(text):
    """(line, file) of each include of ours; generated files have no directory."""
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if match and "/" in match[1]:
            yield number, match[1]


def check_includes(texts):
    for name, text in texts.items():
        places = [place for place in MAY_INCLUDE if is_within(name, place)]
        if not places:
            continue
        allowed = MAY_INCLUDE[max(places, key=len)]
        for number, included in includes(text):
            if not any(is_within(included, place) for place in allowed):
                yield name, number, f"{os.path.dirname(name)} may not include {included} (scripts/drawing.py, MAY_INCLUDE)"


# ---- Circles ----------------------------------------------------------------------------------------------

CIRCLE_MAX = 2              # there and back


def shortest_way(graph, start, goal):
    """From start to goal along includes, both named; None when there is no way."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        for step in sorted(graph.get(way[-1], ())):
            if step == goal:
                return way + [goal]
            if step not in seen:
                seen.add(step)
                ways.append(way + [step])
    return None


def long_circles(graph, members):
    """For each include within the group the shortest circle through it that is longer than there and back."""
    inside = {name: graph.get(name, set()) & members for name in members}
    for start in sorted(members):
        for step in sorted(inside[start]):
            way = shortest_way({**inside, step: inside[step] - {start}}, step, start)
            if way:
                yield [start, *way]


def groups(graph):
    """Sets of nodes of which each reaches each other (Tarjan's strongly connected components)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            found.append(set(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def include_graph(texts, of=lambda name: name):
    graph = defaultdict(set)
    for name, text in texts.items():
        for _, included in includes(text):
            if of(included) != of(name):
                graph[of(name)].add(of(included))
    return graph


def circles(graph):
    """(size, shortest circle in it that is too long) of every group that has one."""
    for group in groups(graph):
        circle = min(long_circles(graph, group), key=len, default=None)
        if circle:
            yield len(group), circle


def check_circles(texts):
    """Headers that include each other around (what is compiled then depends on who was first), and modules, name.c and
    name.h as one, that do: none of them can be understood, or tested, without the others."""
    headers = {name: text for name, text in texts.items() if name.endswith(".h")}
    for _, circle in circles(include_graph(headers)):
        yield circle[0], 1, "a circle of includes: " + " -> ".join(circle)
    for size, circle in circles(include_graph(texts, lambda name: name.rsplit(".", 1)[0])):
        yield circle[0] + ".c", 1, f"a circle in a group of {size} modules: " + " -> ".join(circle)


# ---- Functions that nobody calls ------------------------------------------------------------------------------

DEFINITION = re.compile(r"^(?!static (?!inline))(?!typedef)[a-zA-Z_][\w *]*?\b(\w+)\([^;{}]*\)\s*\{", re.M)
PROTOTYPE = re.compile(r"^(?!static)(?:__attribute__\(\(.*?\)\)\s*)*[a-zA-Z_][\w *]*?\b(\w+)\((?:[^;{}]|\n)*?\)[^;{}()]*(?:__attribute__\(\(.*?\)\))?;",
                       re.M)
WORD = re.compile(r"\b[a-zA-Z_]\w*\b")
CALLED_FROM_OUTSIDE = {"efi_main"}


def without_comments(text):
    return COMMENT_OR_TEXT.sub(lambda match: match[0] if match[0][0] in "\"'" else re.sub(r"[^\n]", " ", match[0]), text)


def uncalled(texts, assembly):
    """A function is called when its name occurs once more than its definition and its prototypes do."""
    plain = {name: without_comments(text) for name, text in texts.items()}
    said = Counter(WORD.findall("\n".join([*plain.values(), *assembly])))
    promised = Counter(match[1] for text in plain.values() for match in PROTOTYPE.finditer(text))
    for name, text in plain.items():
        for match in DEFINITION.finditer(text):
            function = match[1]
            if said[function] == 1 + promised[function] and function not in CALLED_FROM_OUTSIDE:
                yield name, text.count("\n", 0, match.start()) + 1, function


# ---- Words that are defined twice -----------------------------------------------------------------------------

DEFINE = re.compile(r"^#define (\w+)[ \t]+(\S[^\n]*?)[ \t]*$", re.M)

def same_value(value):
    return re.sub(r"(?<=[0-9a-fA-F])[uUlL]+\b", "", value).replace(" ", "")


def twice(texts):
    """One word, one place: equal in two files it should be in a header; a header's word must not mean something else."""
    places = defaultdict(list)
    for name, text in texts.items():
        plain = without_comments(text)
        for match in DEFINE.finditer(plain):
            places[match[1]].append((name, plain.count("\n", 0, match.start()) + 1, same_value(match[2])))
    for word, uses in sorted(places.items()):
        for i, (name, line, value) in enumerate(uses):
            others = [use for use in uses[:i] if use[0] != name and
                      (use[2] == value or use[0].endswith(".h") or name.endswith(".h"))]
            if others:
                yield name, line, word, f"{others[0][0]}:{others[0][1]}"


# ---- All of it --------------------------------------------------------------------------------------------------

def of_product(texts, *suffixes):
    return {name: text for name, text in texts.items() if name.split("/")[0] in PRODUCT and name.endswith(suffixes)}


def check(texts):
    """The faults of a tree given as {file: text}, each as (file, line, what)."""
    code, assembly = of_product(texts, ".c", ".h"), of_product(texts, ".asm", ".inc", ".ld").values()
    unused, double = list(uncalled(code, assembly)), list(twice(code))
    faults = [*check_includes(code), *check_circles(code)]
    faults += [(name, line, f"nobody calls {function}") for name, line, function in unused]
    faults += [(name, line, f"{word} is also defined in {other}") for name, line, word, other in double]
    return faults
