# SPDX-License-Identifier: GPL-2.0
"""Finds reports (WARN, BUG, lockdep, KASAN, ...) in a kernel's console log.

A test that provokes a report says so on /dev/kmsg, around it:

    rust_mm: expect-report <regular expression>
    rust_mm: end-expect

Then one that matches has to come, and any other still counts.

Data races that upstream's code has with itself are listed in config/known-races.toml, with
reasons. A report of one is told apart, if none of our code is on either stack.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

# The first line of a report.
FIRST = re.compile(
    r"WARNING:|BUG:|KASAN:|KCSAN:|KFENCE:|UBSAN:|general protection fault"
    r"|possible (circular locking|recursive locking|irq lock inversion|deadlock)"
    r"|inconsistent lock state|suspicious RCU usage|-unsafe lock order detected"
    r"|bad unlock balance|held lock freed|scheduling while atomic"
    r"|sleeping function called|rcu.*\bstall|soft lockup|hard LOCKUP"
    r"|blocked for more than \d+ seconds|Bad page (state|map)|Bad rss-counter"
    r"|kmemleak: unreferenced object|refcount_t: "
)

# Lines within one; on their own they are a report as well.
WITHIN = re.compile(
    r"\bOops\b|Kernel panic|Call Trace:|double fault|kernel BUG at"
    r"|kmemleak: \d+ new suspected"
)

EXPECT = re.compile(r"rust_mm: expect-report (.*)")
END_EXPECT = "rust_mm: end-expect"

STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")

# KCSAN's first line names both functions; one with an offset if the other is not known.
RACE = re.compile(r"BUG: KCSAN: data-race in (?P<functions>.+)")
RACE_END = re.compile(r"=====+")
LONGEST_RACE = 400  # two stacks, and what locks are held
# The layer (kernel::mm, mangled), its samples, and what Rust calls C through.
OURS = re.compile(r"6kernel2mm|\[rust_(mm|vma)\w*\]|\brust_helper_")

KNOWN_RACES = Path(__file__).parent.parent / "config" / "known-races.toml"

BEFORE, AFTER = 3, 45  # lines of context
LONGEST = 150  # lines of a report: lockdep tells both chains before it shows the stack


@dataclass
class Report:
    line: int  # index of its first line
    text: str
    context: list = field(default_factory=list)
    body: list = field(default_factory=list)  # of the context, its own lines, bare
    known: str = ""  # why it is none of ours


@dataclass
class Expectation:
    regex: str
    met: bool = False


def known_races(text=None):
    """What is listed: {functions: why}."""
    text = KNOWN_RACES.read_text(encoding="utf-8") if text is None else text
    races = {}
    for race in tomllib.loads(text).get("race", []):
        functions, why = race["functions"], race["why"]
        if not 1 <= len(functions) <= 2 or not why:
            raise ValueError(f"{KNOWN_RACES}: {functions}")
        races[tuple(sorted(functions))] = why
    return races


def known_race(lines, races):
    """Why the report that begins with the first of these lines is none of ours; or nothing."""
    match = RACE.search(lines[0])
    if not match:
        return ""
    functions = sorted(re.sub(r"\+0x.*", "", f) for f in match["functions"].split(" / "))
    for line in lines[1:LONGEST_RACE]:
        if OURS.search(line):
            return ""
        if RACE_END.match(line):
            return races.get(tuple(functions), "")
    # Cut off: nobody knows what was to come.
    return ""


def scan(log, races=None):
    """Returns (unexpected reports, expectations). What is known is among the reports."""
    races = known_races() if races is None else races
    lines = log.splitlines()
    bare = [STAMP.sub("", line.rstrip()) for line in lines]
    reports, expectations, owners = [], [], {}
    open_expectation = None

    def inside(index):
        last = reports[-1] if reports else None
        return last is not None and index - last.line < LONGEST

    for index, line in enumerate(bare):
        if match := EXPECT.search(line):
            open_expectation = Expectation(match[1].strip())
            expectations.append(open_expectation)
            continue
        if END_EXPECT in line:
            open_expectation = None
            continue
        if FIRST.search(line) or (WITHIN.search(line) and not inside(index)):
            reports.append(Report(index, line))
            if open_expectation:
                owners[index] = open_expectation

    ends = [r.line for r in reports[1:]] + [len(lines)]
    unexpected = []
    for report, end in zip(reports, ends):
        end = min(end, report.line + AFTER)
        report.context = lines[max(0, report.line - BEFORE) : end]
        report.body = bare[report.line : end]
        report.known = known_race(bare[report.line :][:LONGEST_RACE], races)
        expectation = owners.get(report.line)
        if expectation and any(re.search(expectation.regex, line) for line in report.body):
            expectation.met = True
        else:
            unexpected.append(report)
    return unexpected, expectations
