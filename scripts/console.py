# SPDX-License-Identifier: GPL-2.0
"""Finds reports (WARN, BUG, lockdep, KASAN, ...) in a kernel's console log.

A test that provokes a report says so on /dev/kmsg, around it:

    rust_mm: expect-report <regular expression>
    rust_mm: end-expect

Then one that matches has to come, and any other still counts.
"""

import re
from dataclasses import dataclass, field

# The first line of a report.
FIRST = re.compile(
    r"WARNING:|BUG:|KASAN:|KCSAN:|KFENCE:|UBSAN:|general protection fault"
    r"|possible (circular locking|recursive locking|irq lock inversion|deadlock)"
    r"|inconsistent lock state|suspicious RCU usage|-unsafe lock order detected"
    r"|bad unlock balance|held lock freed|scheduling while atomic"
    r"|sleeping function called|rcu.*\bstall|soft lockup|hard LOCKUP"
    r"|blocked for more than \d+ seconds|Bad page (state|map)|Bad rss-counter"
    r"|kmemleak: \d+ new suspected|refcount_t: "
)

# Lines within one; on their own they are a report as well.
WITHIN = re.compile(r"\bOops\b|Kernel panic|Call Trace:|double fault|kernel BUG at")

EXPECT = re.compile(r"rust_mm: expect-report (.*)")
END_EXPECT = "rust_mm: end-expect"

STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")

BEFORE, AFTER = 3, 45  # lines of context
LONGEST = 150  # lines of a report: lockdep tells both chains before it shows the stack


@dataclass
class Report:
    line: int  # index of its first line
    text: str
    context: list = field(default_factory=list)
    body: list = field(default_factory=list)  # of the context, its own lines, bare


@dataclass
class Expectation:
    regex: str
    met: bool = False


def scan(log):
    """Returns (unexpected reports, expectations)."""
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
        expectation = owners.get(report.line)
        if expectation and any(re.search(expectation.regex, line) for line in report.body):
            expectation.met = True
        else:
            unexpected.append(report)
    return unexpected, expectations
