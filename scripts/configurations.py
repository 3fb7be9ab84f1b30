#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The configurations of make test-all: what is to run, for how long, and what came of it.

    configurations.py plan TABLE RESULTS STATE LIST <TIMES      says what is to run, and for how long
    configurations.py record RESULTS ID STATE LOG STATUS SECONDS    keeps the result of one
    configurations.py table TABLE RESULTS STATE     prints all results; fails unless all have passed

TABLE is config/test-all.toml, which describes itself. RESULTS is a folder with a file for each
configuration. STATE names the commit and the working copy that a result is of. LIST becomes a file with
a line "id<TAB>seconds<TAB>name<TAB>variables" for each configuration that is to run. TIMES has a line
"id:seconds" for each one that has run on this machine. LOG is what make test has printed.
"""

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import integrate

# The variables of make test that a configuration sets.
VARIABLES = ("kernel", "variant", "cpu")
KEYS = {*VARIABLES, "minutes", "why"}


class Mistake(Exception):
    """In the table."""


@dataclass
class Configuration:
    kernel: str
    minutes: int
    why: str
    variant: str = ""
    cpu: str = ""

    @property
    def name(self):
        cpu = self.cpu and f"CPU={self.cpu}"
        return " ".join(filter(None, (self.kernel, self.variant, cpu)))

    @property
    def id(self):
        """Its name, as that of a file."""
        return self.name.replace(" ", "-")

    @property
    def variables(self):
        return [f"{name.upper()}={getattr(self, name)}" for name in VARIABLES]


def parse(text):
    """Returns the configurations of a table."""
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Mistake(str(e)) from e
    tables = top.get("configuration")
    if set(top) != {"configuration"} or not isinstance(tables, list):
        raise Mistake("needs [[configuration]], and nothing else")
    found = []
    for table in tables:
        if unknown := set(table) - KEYS:
            raise Mistake(f"what is {unknown.pop()}?")
        kernels = table.pop("kernel", None)
        if isinstance(kernels, str):
            kernels = [kernels]
        minutes = table.get("minutes")
        right = isinstance(kernels, list) and type(minutes) is int and minutes > 0
        if not right or not kernels or not table.get("why"):
            raise Mistake(f"{table}: needs kernel, minutes and why")
        for kernel in kernels:
            for value in (kernel, table.get("variant", "x"), table.get("cpu", "x")):
                if not isinstance(value, str) or not re.fullmatch(r"[\w.,+-]+", value):
                    raise Mistake(f"{value!r} is no value of a variable")
            found.append(Configuration(kernel, **table))
    ids = [c.id for c in found]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise Mistake(f"{twice.pop()} is there twice")
    return found


# --- results


def load(results, id, state):
    """Returns the result of a configuration, or None if there is none of this state."""
    try:
        result = json.loads((results / f"{id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if result["state"] == state else None


def passed(result):
    return result is not None and not result["failed"]


def judge(log, status):
    """Returns the counts of make test, in which a run that failed has a failure."""
    lines = log.rstrip().splitlines() or [""]
    match = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", lines[-1])
    counts = [int(n or 0) for n in match.groups()] if match else [0, 0, 0]
    note = ""
    if not match:
        note = f"ended with status {status}, without a result"
    elif status and not counts[1]:
        note = f"ended with status {status}"
    counts[1] += bool(note)
    return dict(zip(("passed", "failed", "skipped"), counts), note=note)


def record(results, id, state, log, status, seconds):
    """Keeps the result, and how often this state has failed before."""
    before = load(results, id, state)
    result = judge(log, status) | {"state": state, "seconds": seconds, "failures": 0}
    if before:
        result["failures"] = before["failures"] + (not passed(before))
    data = json.dumps(result, indent=1) + "\n"
    integrate.write(results / f"{id}.json", data.encode(), 0o644)


# --- what is to run


def to_run(configurations, results, state):
    """Those that have not passed: first those without a result, then those that have failed."""
    known = {c.id: load(results, c.id, state) for c in configurations}
    left = [c for c in configurations if not passed(known[c.id])]
    return sorted(left, key=lambda c: known[c.id] is not None)


def parse_times(text):
    """Returns {id: seconds}."""
    return {m[1]: int(m[2]) for m in re.finditer(r"^(.*):(\d+)$", text, re.M)}


def estimate(configuration, times):
    """In seconds."""
    return times.get(configuration.id, 60 * configuration.minutes)


def about(seconds):
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def plan(configurations, results, state, times):
    """Lines for people."""
    left = to_run(configurations, results, state)
    width = max(len(c.name) for c in configurations)
    for c in configurations:
        result = load(results, c.id, state)
        if c not in left:
            what, source = "-", "passed before"
        else:
            what = about(estimate(c, times))
            source = "last run" if c.id in times else "table"
            source += ", failed before" if result else ""
        yield f"{c.name:<{width}}  {what:>10}  {source:<23}  {c.why}"
    total = sum(estimate(c, times) for c in left)
    how_long = f": about {about(total)}" if left else ""
    yield f"{len(left)} of {len(configurations)} configurations to run{how_long}"


# --- what came of it


def clock(seconds):
    hours, rest = divmod(seconds, 3600)
    text = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours}:{text}" if hours else text


def notes(result):
    """What the figures of a result do not say."""
    if result["failed"]:
        yield "FAILED"
    if result["note"]:
        yield result["note"]
    if result["failures"]:
        yield f"failures before, with the same files: {result['failures']}"


def row(name, width, figures, more=""):
    cells = "".join(f"  {figure:>8}" for figure in figures)
    return f"{name:<{width}}{cells}  {more}".rstrip()


def table(configurations, results, state):
    """Lines for people."""
    width = max(len("configuration"), *(len(c.name) for c in configurations))
    yield row("configuration", width, ("passed", "failed", "skipped", "time"))
    counts = {"passed": 0, "failed": 0, "without a result of these files": 0}
    for c in configurations:
        result = load(results, c.id, state)
        if result is None:
            counts["without a result of these files"] += 1
            yield row(c.name, width, "----", "the files have changed meanwhile")
            continue
        counts["passed" if passed(result) else "failed"] += 1
        figures = (result["passed"], result["failed"], result["skipped"], clock(result["seconds"]))
        yield row(c.name, width, figures, ", ".join(notes(result)))
    always = ("passed", "failed")
    text = ", ".join(f"{n} {what}" for what, n in counts.items() if n or what in always)
    yield f"{len(configurations)} configurations: {text}"


def main(command, *arguments):
    if command == "record":
        results, id, state, log, status, seconds = arguments
        log = Path(log).read_text(encoding="utf-8", errors="replace")
        record(Path(results), id, state, log, int(status), int(seconds))
        return 0
    path, results, state, *rest = arguments
    configurations, results = parse(Path(path).read_text(encoding="utf-8")), Path(results)
    left = to_run(configurations, results, state)
    if command == "plan":
        times = parse_times(sys.stdin.read())
        print(*plan(configurations, results, state, times), sep="\n")
        lines = [[c.id, str(estimate(c, times)), c.name, *c.variables] for c in left]
        text = "".join("\t".join(line) + "\n" for line in lines)
        Path(*rest).write_text(text, encoding="utf-8")
        return 0
    if command == "table":
        print(*table(configurations, results, state), sep="\n")
        return int(bool(left))
    sys.exit(__doc__)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Mistake as mistake:
        sys.exit(f"{sys.argv[2]}: {mistake}")
