# SPDX-License-Identifier: GPL-2.0
"""Finds reports (WARN, BUG, lockdep, KASAN, ...) in a kernel's console log.

    console.py LOG      prints them; the exit status is 1 if there is one

What has to end in a report is in a boot of its own: see controls.py.

Data races that upstream's code has with itself are listed in config/known-races.toml, with
reasons. A report of one is told apart, if none of our code is on either stack.
"""

import re
import sys
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
    r"|kmemleak: unreferenced object|refcount_t: |double fault|kernel BUG at|\bBUG \S+ \("
    r"|Unable to handle kernel|Internal error: "
    # An assertion of a thread that is none of KUnit's: the case passes.
    r"|Failure not reported to KUnit"
)

# Lines within one; on their own they are a report as well.
WITHIN = re.compile(
    r"\bOops\b|Kernel panic|Call [Tt]race:"
    r"|kmemleak: \d+ new suspected"
)

STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")

# KCSAN's first line names both functions; one with an offset if the other is not known.
RACE = re.compile(r"BUG: KCSAN: data-race in (?P<functions>.+)")
RACE_END = re.compile(r"=====+")
LONGEST_RACE = 400  # two stacks, and what locks are held
# The layer (kernel::mm and some others, mangled), its samples, what Rust calls C through, and our C files.
# Those with an offset: tasks have such names, too.
OURS = re.compile(
    r"6kernel(2mm|2fs|4sync9published|3pci4mmap|8platform4mmap|10miscdevice)"
    r"|\[rust_(mm|vma)\w*\]|\brust_(helper|mm|file|mem|pci)_\w+\+0x"
)

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
    """Returns the reports, also those that are known."""
    races = known_races() if races is None else races
    lines = log.splitlines()
    bare = [STAMP.sub("", line.rstrip()) for line in lines]
    reports = []

    def inside(index):
        return reports and index - reports[-1].line < LONGEST

    for index, line in enumerate(bare):
        if FIRST.search(line) or (WITHIN.search(line) and not inside(index)):
            reports.append(Report(index, line))

    ends = [r.line for r in reports[1:]] + [len(lines)]
    for report, end in zip(reports, ends):
        end = min(end, report.line + AFTER)
        report.context = lines[max(0, report.line - BEFORE) : end]
        report.body = bare[report.line : end]
        report.known = known_race(bare[report.line :][:LONGEST_RACE], races)
    return reports


def main(path):
    reports = [r for r in scan(Path(path).read_text(errors="replace")) if not r.known]
    for report in reports:
        print("\n".join(report.context))
    return int(bool(reports))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
