#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Finds the tests that TEST names, from the sources: nothing has to be built.

    chosen.py tests REPO TEST        what to run for TEST, as "kind<TAB>name" lines
    chosen.py changed REPO FILE...   the value of TEST that is for files that have changed

TEST is one or more shell patterns, with commas between them. Each is a name of

    a selftest program, or of it and its test   rust_mmap, "rust_mmap rust_mmap.private"
    a KUnit suite, or of it and its case        rust_mm_locks, rust_mm_locks.downgrade
    a file with doctests, or one by its line    rust/kernel/mm/desc.rs, rust/kernel/mm/desc.rs:237
    a doctest as KUnit names it                 rust_doctest_kernel_mm_desc_rs_0
    a compile-fail case, or a control           map_twice, debug_list
    a unit test                                 test_console, test_console.Scan.test_name

For the kinds kunit and selftest, a line is what the VM is given: a filter of KUnit's, or a program
and the tests that it runs, if not all.
"""

import ast
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

SELFTESTS = "selftests/rust_mm"
DOCTESTS = "rust_doctests_kernel"
ALL_SUITES = "rust_mm_*.*"


@dataclass(frozen=True)
class Test:
    kind: str
    names: tuple  # by which it can be chosen, the longest one last
    run: str  # what runs it


def kunit(text):
    """The KUnit cases of a source: (suite, case)."""
    found, suite = [], None
    for match in re.finditer(
        r"kunit_tests\((\w+)\)|#\[test\]\s*(?:#\[[^\n]*\]\s*)*fn (\w+)", text
    ):
        if match[1]:
            suite = match[1]
        elif suite:
            found.append((suite, match[2]))
    return found


def kselftest(text):
    """The tests of a C source, as the program names them."""
    variants = {}
    for fixture, variant in re.findall(r"^FIXTURE_VARIANT_ADD\((\w+), (\w+)\)", text, re.M):
        variants.setdefault(fixture, []).append(f"{fixture}.{variant}")
    found = [f"global.{name}" for name in re.findall(r"^TEST(?:_SIGNAL)?\((\w+)", text, re.M)]
    for fixture, test in re.findall(r"^TEST_F(?:_\w+)?\((\w+), (\w+)", text, re.M):
        found += [f"{prefix}.{test}" for prefix in variants.get(fixture, [fixture])]
    return found


def doctests(path, text):
    """The doctests of a file in rust/: (its line, its name)."""
    lines, inside = [], False
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*//[/!] ?\s*```(\S*)", line)
        if not match:
            continue
        inside = not inside
        if inside and match[1] in ("", "rust", "no_run", "should_panic"):
            lines.append(number)
    file = re.sub(r"[/.]", "_", path.removeprefix("rust/kernel/"))
    # The kernel's generator numbers them in the order of their files' names.
    for index, number in enumerate(sorted(lines, key=lambda line: f"{line}_")):
        yield number, f"rust_doctest_kernel_{file}_{index}"


def unit_tests(module, text):
    """The unit tests of a Python source, and the classes and the module that they are in."""
    yield module
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            names = [f.name for f in node.body if isinstance(f, ast.FunctionDef)]
            names = [name for name in names if name.startswith("test")]
            if names:
                yield f"{module}.{node.name}"
            yield from (f"{module}.{node.name}.{name}" for name in names)


def programs(repo):
    """The selftest programs, each with its source."""
    text = (repo / SELFTESTS / "Makefile").read_text(encoding="utf-8")
    for names in re.findall(r"^TEST_(?:GEN_)?PROGS :?\+?= (.*)", text, re.M):
        for name in names.split():
            source = repo / SELFTESTS / (name if name.endswith(".sh") else f"{name}.c")
            yield name, source


def read(path):
    return path.read_text(encoding="utf-8")


def all_tests(repo):
    """All tests that can be named."""
    found = []

    def add(kind, run, *names):
        found.append(Test(kind, names, run))

    for path in sorted((repo / "scripts").glob("test_*.py")):
        for name in unit_tests(path.stem, read(path)):
            add("unit", name, name)
    for path in sorted((repo / SELFTESTS / "compile_fail").glob("*.rs")):
        if path.stem != "prelude":
            add("compile_fail", path.stem, path.stem)
    for path in sorted((repo / "rust").rglob("*.rs")):
        text, name = read(path), str(path.relative_to(repo))
        for suite, case in kunit(text):
            add("kunit", f"{suite}.{case}", suite, f"{suite}.{case}")
        for line, case in doctests(name, text):
            add("kunit", f"{DOCTESTS}.{case}", name, case, f"{name}:{line}")
    for name, source in programs(repo):
        add("selftest", name, name)
        for test in kselftest(read(source)):
            add("selftest", f"{name}\t{test}", f"{name} {test}")
    for name in tomllib.loads(read(repo / SELFTESTS / "controls.toml")):
        add("control", name, name)
    return found


def matching(tests, patterns):
    """Those that are named; and the patterns that name none."""
    found, vain = [], []
    for pattern in patterns:
        some = [t for t in tests if any(fnmatchcase(name, pattern) for name in t.names)]
        found += [t for t in some if t not in found]
        if not some:
            vain.append(pattern)
    return found, vain


def narrowest_filter(cases):
    """The narrowest filter of KUnit that has all of the cases "suite.case": one boot takes one.

    It may have others as well. They take less time than another boot.
    """
    if len(cases) == 1:
        return cases[0]
    prefix = os.path.commonprefix(cases)
    return f"{prefix}*" if "." in prefix else f"{prefix}*.*"


def plan(tests, patterns):
    """What to run, as (kind, name); and the patterns that name nothing."""
    found, vain = matching(tests, patterns)
    lines = [(t.kind, t.run) for t in found if t.kind in ("compile_fail", "control")]
    units = [t.run for t in found if t.kind == "unit"]
    # A module or class brings those that are in it.
    lines += [("unit", u) for u in units if not any(u.startswith(f"{v}.") for v in units)]
    cases = [t.run for t in found if t.kind == "kunit"]
    if cases:
        lines.append(("kunit", narrowest_filter(cases)))
    chosen = {}
    for run in (t.run for t in found if t.kind == "selftest"):
        program, _, test = run.partition("\t")
        if chosen.setdefault(program, []) is not None:
            chosen[program] = [*chosen[program], test] if test else None
    lines += [("selftest", "\t".join([p, *(tests or ())])) for p, tests in chosen.items()]
    return lines, vain


def of_changed(repo, files, tests):
    """The patterns that name the tests for files that have changed."""
    names = {name for test in tests for name in test.names}
    mutants = tomllib.loads(read(repo / "config/mutants.toml")).values()
    patterns = set()
    for file in files:
        path = Path(file)
        if path.suffix not in (".rs", ".c", ".h", ".py", ".sh"):
            continue  # an editor's own
        # The test of a mistake in a file is a test of the file.
        for mutant in (m for m in mutants if m["file"] == file):
            if "kunit" in mutant:
                patterns.add("rust_mm_" + mutant["kunit"].split(".")[0])
            elif "doctest" in mutant:
                patterns.add(mutant["doctest"])
        if path.suffix == ".rs" and (repo / file).exists():
            patterns |= {suite for suite, _ in kunit(read(repo / file))}
        # By name: a unit test of a script, the selftest of a sample, a selftest, a compile-fail case.
        by_name = {path.stem, path.name, f"test_{path.stem}", file} & names
        if path.parts[0] in ("samples", "selftests") and not by_name:
            # A header, or a module that several programs insert.
            word = path.name if path.suffix == ".h" else path.stem
            by_name = {name for name, source in programs(repo) if word in read(source)}
        patterns |= by_name
        if path.parts[0] in ("rust", "mm", "include") and not patterns:
            patterns.add(ALL_SUITES)
    return sorted(patterns & {*names, ALL_SUITES})


def main(arguments):
    command, repo, *rest = arguments
    repo = Path(repo)
    if command == "changed":
        print(",".join(of_changed(repo, rest, all_tests(repo))))
        return 0
    patterns = [pattern.strip() for pattern in rest[0].split(",")]
    lines, vain = plan(all_tests(repo), patterns)
    if vain:
        print(f"TEST={','.join(vain)}: no test has this name (see scripts/chosen.py)", file=sys.stderr)
        return 1
    for line in lines:
        print("\t".join(line))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
