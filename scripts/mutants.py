#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Mutants: mistakes that are made in the layer on purpose, each of which a test has to notice.

    mutants.py list LIST PATTERN TREE           "name<TAB>kind<TAB>test<TAB>hangs<TAB>key" lines
    mutants.py baseline LIST PATTERN KIND LOG CONSOLE   fails if a test does without a mutant
    mutants.py apply LIST NAME TREE SAVED       makes the mistake in the tree
    mutants.py restore TREE SAVED               takes it out again
    mutants.py judge LIST NAME LOG CONSOLE VM   "ok name: ...", or "not ok name: ..."

LIST is config/mutants.toml, which describes itself. SAVED is where the file that is changed is kept
meanwhile. A key names the mutant and all that it is tried with. LOG is what the test has printed,
CONSOLE the kernel's; VM is how the virtual machine ended: see controls.py.
"""

import fnmatch
import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import console
import integrate

KINDS = ("kunit", "doctest", "selftest", "compile_fail")
KEYS = {"file", "line", "by", "within", "report", "hangs", "why", *KINDS}


class Mistake(Exception):
    """In the list."""


@dataclass
class Mutant:
    name: str
    file: str
    line: str
    by: str
    kind: str
    test: str
    within: str = ""
    report: str = ""
    hangs: bool = False
    why: str = ""


def parse(text):
    """Returns the mutants of a list."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Mistake(str(e)) from e
    mutants = []
    for name, table in tables.items():
        if not re.fullmatch(r"\w+", name) or not isinstance(table, dict):
            raise Mistake(f"{name}: not a table with a plain name")
        if unknown := set(table) - KEYS:
            raise Mistake(f"{name}: what is {unknown.pop()}?")
        for key, value in table.items():
            if not isinstance(value, bool if key == "hangs" else str):
                raise Mistake(f"{name}: {key} is of the wrong type")
        kinds = [kind for kind in KINDS if kind in table]
        if len(kinds) != 1 or not table[kinds[0]]:
            raise Mistake(f"{name}: needs one of {', '.join(KINDS)}")
        if not table.get("file") or not table.get("line", "").strip() or "by" not in table:
            raise Mistake(f"{name}: needs file, line and by")
        try:
            re.compile(table.get("report", ""))
        except re.error as e:
            raise Mistake(f"{name}: report: {e}") from e
        mutants.append(Mutant(name, kind=kinds[0], test=table.pop(kinds[0]), **table))
    return mutants


def chosen(mutants, pattern):
    """Those whose names match one of the shell patterns."""
    return [m for m in mutants if any(fnmatch.fnmatchcase(m.name, p) for p in pattern.split())]


# --- the mistake


def bare(text):
    """Lines without their indentation, which changes when code moves."""
    return [line.strip() for line in text.strip("\n").split("\n")]


def mutate(text, mutant):
    """Returns the text of the file with the mistake in it."""

    def find(what, start=0):
        return [at for at in integrate.positions(bare_lines, bare(what)) if at >= start]

    lines = text.split("\n")
    bare_lines = [line.strip() for line in lines]
    around = find(mutant.within) if mutant.within else [0]
    if len(around) != 1:
        raise Mistake(f"{mutant.name}: `within` is there {len(around)} times")
    found = find(mutant.line, around[0])
    if not found or (not mutant.within and len(found) != 1):
        raise Mistake(f"{mutant.name}: `line` is there {len(found)} times")
    at, end = found[0], found[0] + len(bare(mutant.line))
    indent = lines[at][: len(lines[at]) - len(bare_lines[at])]
    by = [indent + line for line in bare(mutant.by)] if mutant.by else []
    return "\n".join(lines[:at] + by + lines[end:])


def apply(mutant, tree, saved):
    text = (tree / mutant.file).read_text(encoding="utf-8")
    mutated = mutate(text, mutant)
    integrate.write(saved, json.dumps([mutant.file, text]).encode(), 0o644)
    integrate.write(tree / mutant.file, mutated.encode(), 0o644)


def restore(tree, saved):
    if saved.exists():
        file, text = json.loads(saved.read_text(encoding="utf-8"))
        # Newer than what was built of the other one.
        integrate.write(tree / file, text.encode(), 0o644)
        saved.unlink()


def key(mutant, tree):
    """Names the mutant and all that it is tried with."""
    manifest = integrate.read_manifest(tree)
    parts = [
        repr(mutant),
        sorted(c for c in manifest["copies"].items() if not c[0].startswith("Documentation/")),
        manifest["inserts"],
        (tree / ".config").read_text(encoding="utf-8"),
    ]
    return integrate.sha256(json.dumps(parts).encode())[:12]


# --- the test


def glob(mutant):
    """How to ask for it."""
    if mutant.kind == "kunit":
        return f"rust_mm_{mutant.test}"
    if mutant.kind == "doctest":
        # Of rust/kernel/mm/desc.rs, for one: the examples in a file have numbers.
        name = re.sub(r"\W", "_", mutant.test.removeprefix("rust/"))
        return f"rust_doctests_kernel.rust_doctest_{name}_[0-9]*"
    return mutant.test


def kunit_results(log):
    """(suite.case, line of its result) from a kernel's console; (suite., "") where one begins."""
    found, suite = [], ""
    for line in log.splitlines():
        line = console.STAMP.sub("", line.rstrip())
        if match := re.match(r" +# Subtest: (\w+)$", line):
            suite = match[1]
            found.append((f"{suite}.", ""))
        elif match := re.match(r" +(?:not )?ok \d+ (\w+)", line):
            found.append((f"{suite}.{match[1]}", line.strip()))
    return found


def result(mutant, log, console_log):
    """The line that tells how the test ended, of the examples in a file the worst; or nothing."""
    if mutant.kind in ("kunit", "doctest"):
        results = kunit_results(console_log)
    else:
        results = [(m[1], m[0]) for m in re.finditer(r"^(?:not )?ok \d+ (\S+).*", log, re.M)]
    pattern = glob(mutant).split()[-1]
    lines = [line for name, line in results if fnmatch.fnmatchcase(name, pattern)]
    return min(lines, key=passed, default="")


def passed(line):
    return line.startswith("ok ") and "# SKIP" not in line


def baseline(mutants, log, console_log):
    """Returns what is wrong without a mutant already."""
    bad = {m.test for m in mutants if not passed(result(m, log, console_log))}
    reports = [r.text for r in console.scan(console_log) if not r.known]
    return [f"{test} does not pass" for test in sorted(bad)] + reports


def judge(mutant, log, console_log, vm):
    """Returns how the mutant was noticed, or nothing."""
    line = result(mutant, log, console_log)
    # What must not compile may fail for its twin's sake, or with another error.
    compiles = f"{line}\n# it compiles\n" in log
    if line.startswith("not ok ") and (compiles or mutant.kind != "compile_fail"):
        return line
    if mutant.report:
        for report in console.scan(console_log):
            if not report.known and any(re.search(mutant.report, text) for text in report.body):
                return report.text
    begun = (glob(mutant).partition(".")[0] + ".", "") in kunit_results(console_log)
    if mutant.hangs and vm == "hung" and begun and not line:
        return "hung"
    return ""


def outcome(mutant, log, console_log, vm):
    if noticed := judge(mutant, log, console_log, vm):
        return f"ok {mutant.name}: {noticed}"
    line = result(mutant, log, console_log) or f"no result (how the VM ended: {vm})"
    return f"not ok {mutant.name}: {mutant.kind} {mutant.test}: {line}"


def read(logs):
    return [Path(log).read_text(errors="replace") for log in logs]


def main(command, *arguments):
    if command == "restore":
        restore(*map(Path, arguments))
        return
    path, which, *rest = arguments
    mutants = parse(Path(path).read_text(encoding="utf-8"))
    if command == "list":
        for m in chosen(mutants, which):
            print(m.name, m.kind, glob(m), int(m.hangs), key(m, Path(*rest)), sep="\t")
    elif command == "baseline":
        kind, *logs = rest
        bad = baseline([m for m in chosen(mutants, which) if m.kind == kind], *read(logs))
        if bad:
            sys.exit("without a mutant: " + "; ".join(bad))
    else:
        (mutant,) = chosen(mutants, which)
        if command == "apply":
            apply(mutant, *map(Path, rest))
        elif command == "judge":
            *logs, vm = rest
            print(outcome(mutant, *read(logs), vm))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Mistake as mistake:
        sys.exit(f"{sys.argv[2]}: {mistake}")
