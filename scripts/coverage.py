#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How many lines of our files the tests execute, and whether there is a reason for those they do not.

    coverage.py ranges REPOSITORY TREE
    coverage.py report REPOSITORY TREE TRACE CONSOLE LCOV

`ranges` prints the addresses that QEMU has to log (-dfilter), `report` the figures from that log and
the kernel's console. TREE is a kernel that was built with line tables (config/variants/coverage.config).
LCOV is written for genhtml. The reasons are in config/coverage.toml, which describes itself.
"""

import re
import sys
import tomllib
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import functions
import integrate
import line_table
import trace_log

LIST = "config/coverage.toml"
GOAL = 90  # per cent of the lines that have code

# Where modules are.
MODULES = (0xFFFF_FFFF_A000_0000, 0xFFFF_FFFF_FEFF_FFFF)

KEYS = {"file": str, "function": (str, list), "at": list, "reason": str, "sometimes": bool}


class Mistake(Exception):
    """In the list."""


@dataclass
class Reason:
    file: str
    functions: list
    reason: str
    at: list = field(default_factory=list)
    sometimes: bool = False

    def __str__(self):
        return f"{self.file}: {', '.join(self.functions)}"


def parse_list(text):
    """Files that are not measured, with the reason, and the reasons of what is not reached."""
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Mistake(str(e)) from e
    if unknown := set(top) - {"not_measured", "unreached"}:
        raise Mistake(f"what is {unknown.pop()}?")
    reasons = []
    for entry in top.get("unreached", []):
        name = f"{entry.get('file')}: {entry.get('function')}"
        for key, value in entry.items():
            if not isinstance(value, KEYS.get(key, ())):
                raise Mistake(f"{name}: what is {key}?")
        for key in ("file", "function", "reason"):
            if not entry.get(key):
                raise Mistake(f"{name}: no {key}")
        names = entry.pop("function")
        reason = Reason(functions=[names] if isinstance(names, str) else names, **entry)
        if reason in reasons:
            raise Mistake(f"{name}: twice")
        reasons.append(reason)
    return top.get("not_measured", {}), reasons


# --- the files

def sources(repo, series, not_measured):
    """The files that are measured: {path in the tree: source}."""
    return {
        path: data.decode()
        for path, (data, _) in integrate.load_copies(Path(repo), series).items()
        if path.endswith((".rs", ".c", ".h")) and not path.startswith("tools/")
        if not any(path == name or path.startswith(f"{name}/") for name in not_measured)
    }


@dataclass
class Run:
    """Lines one after the other of which none is reached, or a function that has no code at all."""

    function: str
    first: int
    last: int
    code: bool = True


class File:
    def __init__(self, path, source):
        self.path = path
        self.text = [line.strip() for line in source.splitlines()]
        self.functions = functions.of_file(path, source)
        self.lines = {}  # those with code: whether they are reached
        self.explained = {}  # first line of a run: reason

    def add(self, line, reached):
        function = functions.at_line(self.functions, line)
        # Outside of functions is what derive makes.
        if function and not function.test:
            self.lines[line] = self.lines.get(line, False) or reached

    def of_functions(self):
        """{function: its lines, in order}."""
        found = defaultdict(list)
        for line in sorted(self.lines):
            found[functions.at_line(self.functions, line)].append(line)
        return found

    def lines_of(self, name):
        """Of all functions of that name."""
        return [line for f, lines in self.of_functions().items() if f.name == name for line in lines]

    def runs(self):
        by_function = self.of_functions()
        runs = [
            Run(f.name, f.first, f.last, code=False)
            for f in self.functions
            if f not in by_function and not f.test
        ]
        for function, lines in by_function.items():
            run = None
            for line in lines:
                if self.lines[line]:
                    run = None
                elif run:
                    run.last = line
                else:
                    run = Run(function.name, line, line)
                    runs.append(run)
        return sorted(runs, key=lambda run: run.first)

    def reached(self):
        return sum(self.lines.values())


# --- what was executed

def is_ours(tree, paths):
    tree = str(tree).rstrip("/") + "/"

    def answer(path):
        path = path.removeprefix(tree)
        return path if path in paths else None

    return answer


def measure(files, table, executed):
    """Adds an object's lines. `executed`: addresses of instructions, in order."""
    for start, end, path, line, statement in table.rows:
        at = bisect_left(executed, start)
        # A row without an instruction of its own is part of the next.
        reached = at < len(executed) and (executed[at] < end or executed[at] == start)
        if statement:
            files[path].add(line, reached)
    # The rest of a statement counts where the statement does.
    for start, end, path, line, statement in table.rows:
        at = bisect_left(executed, start)
        if not statement and line in files[path].lines and at < len(executed) and executed[at] < end:
            files[path].add(line, True)


def read_modules(tree, ours):
    found = sorted((Path(tree) / "samples/rust/mm").rglob("*.ko"))
    return {m.name: m for m in (line_table.read_module(path, ours) for path in found)}


def attribute(log, console, modules):
    """The executed addresses: {None or module: sorted list}, and the number of blocks in modules
    that could not be told."""
    places = trace_log.Places(trace_log.loads(console), modules)
    executed, unknown = defaultdict(set), 0
    for block in trace_log.blocks(log):
        if block[0][0] < MODULES[0]:
            executed[None].update(at for at, _ in block)
            continue
        found = places.of(block)
        unknown += not found
        for module, shift in found:
            executed[module].update(at + shift for at, _ in block)
    return {where: sorted(addresses) for where, addresses in executed.items()}, unknown


def ranges(spans):
    """For QEMU's -dfilter."""
    merged = []
    for first, behind in sorted(spans):
        if merged and first <= merged[-1][1] + 4096:
            merged[-1][1] = max(merged[-1][1], behind)
        else:
            merged.append([first, behind])
    merged = [*((first, behind - 1) for first, behind in merged), MODULES]
    return ",".join(f"{first:#x}..{last:#x}" for first, last in merged)


# --- reasons

def explain(files, reasons):
    """Gives each run its reason. Returns what is stale: (reason, names of functions or lines)."""
    stale = []
    for reason in reasons:
        file = files.get(reason.file)
        wanted = set(reason.at or reason.functions)
        for run in file.runs() if file else []:
            if run.function not in reason.functions:
                continue
            if reason.at:
                answered = set(reason.at) & set(file.text[run.first - 1 : run.last])
            else:
                # All of it.
                reached = any(file.lines[line] for line in file.lines_of(run.function))
                answered = set() if reached else {run.function}
            wanted -= answered
            if answered:
                file.explained[run.first] = reason
        if wanted and not reason.sometimes:
            stale.append((reason, sorted(wanted)))
    return stale


# --- output

def percent(reached, lines):
    return f"{100 * reached / lines:5.1f} %" if lines else "      -"


def show_run(file, run, out):
    """Returns whether there is a reason."""
    reason = file.explained.get(run.first)
    span = f"{run.first}" + (f"-{run.last}" if run.last > run.first else "")
    out(f"  {file.path}:{span} {run.function}: {reason.reason if reason else 'NO REASON'}")
    if not reason:
        out(f"      {file.text[run.first - 1]}")
    return reason is not None


def show(files, stale, unknown, not_measured, out=print):
    """Prints all, and returns whether it is good enough."""
    out(f"{'file':<42} lines  reached")
    lines = reached = missing = 0
    for file in files.values():
        lines += len(file.lines)
        reached += file.reached()
        out(f"{file.path:<42} {len(file.lines):>5}  {file.reached():>5} {percent(file.reached(), len(file.lines))}")
    out(f"{'all':<42} {lines:>5}  {reached:>5} {percent(reached, lines)}")
    for name, why in not_measured.items():
        out(f"{name:<42} not measured: {why}")
    out("")
    for code, title in (
        (True, "not reached, and why:"),
        (False, "without code, because nothing in this kernel can call it:"),
    ):
        out(title)
        for file in files.values():
            for run in file.runs():
                if run.code == code:
                    missing += not show_run(file, run, out)
        out("")
    for reason, what in stale:
        out(f"STALE in {LIST}: {reason}: not so: {', '.join(what)}")
    if unknown:
        out(f"UNKNOWN: {unknown} executed blocks that are of no module of ours")
    if missing:
        out(f"{missing} ranges have no reason in {LIST}")
    good = lines and 100 * reached >= GOAL * lines
    out(f"coverage: {reached} of {lines} lines, {percent(reached, lines).strip()}; the goal is {GOAL} %")
    return bool(good) and not missing and not stale and not unknown


def lcov(files, root):
    """A tracefile as genhtml reads it. What is counted is only whether."""
    for file in files.values():
        yield f"SF:{root}/{file.path}"
        by_function = file.of_functions()
        found = by_function.items()
        for function, _ in found:
            yield f"FN:{function.first},{function.last},{function.name}"
        for function, lines in found:
            yield f"FNDA:{int(any(file.lines[line] for line in lines))},{function.name}"
        for line in sorted(file.lines):
            yield f"DA:{line},{int(file.lines[line])}"
        yield f"LF:{len(file.lines)}"
        yield f"LH:{file.reached()}"
        yield "end_of_record"


def main():
    command, repo, tree, *rest = sys.argv[1:]
    try:
        not_measured, reasons = parse_list((Path(repo) / LIST).read_text(encoding="utf-8"))
    except Mistake as mistake:
        return f"{LIST}: {mistake}"
    series, _ = integrate.kernel_version(Path(tree))
    texts = sources(repo, series, not_measured)
    ours = is_ours(tree, texts)
    with open(Path(tree) / "vmlinux", "rb") as image:
        kernel = line_table.read(image, ours)
    if command == "ranges":
        print(ranges(kernel.spans))
        return 0
    log, console, tracefile = rest
    modules = read_modules(tree, ours)
    with open(log, encoding="utf-8", errors="replace") as log_file, open(
        console, encoding="utf-8", errors="replace"
    ) as console_file:
        executed, unknown = attribute(log_file, console_file, modules)
    files = {path: File(path, source) for path, source in texts.items()}
    measure(files, kernel, executed.get(None, []))
    for name, module in modules.items():
        measure(files, module.table, executed.get(name, []))
    stale = explain(files, reasons)
    Path(tracefile).write_text("".join(f"{line}\n" for line in lcov(files, tree)), encoding="utf-8")
    return 0 if show(files, stale, unknown, not_measured) else 1


if __name__ == "__main__":
    sys.exit(main())
