#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Counts what a test run found, and ends with "N passed, N failed"."""

import argparse
import json
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import console


class Results:
    """Passed and failed items of one kind."""

    def __init__(self, kind):
        self.kind = kind
        self.passed = self.skipped = 0
        self.failed = []  # what to print of each
        self.notes = []  # what else to print

    def require_some(self):
        """A run that tested nothing is no success."""
        if not self.passed and not self.failed:
            self.failed.append("not one case ran")

    def show(self):
        counts = f"{self.passed} passed, {len(self.failed)} failed"
        if self.skipped:
            counts += f", {self.skipped} skipped"
        print(f"{self.kind:<12} {counts}")
        for what in self.notes:
            print(f"  known {what}")
        for what in self.failed:
            print(f"  FAILED {what.rstrip()}")


def unit_tests(log):
    results = Results("unit tests")
    results.failed = re.findall(r"^(?:FAIL|ERROR): (.*)", log, re.M)
    if ran := re.search(r"^Ran (\d+) test", log, re.M):
        skipped = re.search(r"skipped=(\d+)", log)
        results.skipped = int(skipped[1]) if skipped else 0
        results.passed = max(0, int(ran[1]) - len(results.failed) - results.skipped)
    results.require_some()
    return results


def kunit(text):
    """From kunit.py parse --json; nothing if that has not come to its end."""
    results = Results("KUnit")
    if text:
        top = json.loads(text)
        counts = top["misc"]
        results.passed = counts["passed"]
        results.skipped = counts["skipped"]
        results.failed = list(_failed_cases(top))
        # What is of no case: a suite that fails by itself, one that is missing, a broken line.
        bad = sum(counts[name] for name in ("failed", "crashed", "errors")) - len(results.failed)
        results.failed += ["(see the log of kunit.py)"] * bad
    results.require_some()
    return results


def _failed_cases(group):
    for case in group["test_cases"]:
        if case["status"] not in ("PASS", "SKIP"):
            yield f"{group['name']}.{case['name'] or '(a case that is missing)'}"
    for inner in group["sub_groups"]:
        yield from _failed_cases(inner)


def kselftest(log):
    """From run_kselftest.sh: TAP whose programs' own TAP is in comments.

    XFAIL is a failure: no test of ours declares one, and the runner says so of every program that ends
    with status 2, as shells and Python do after a usage error.
    """
    results = Results("selftests")
    program, cases, failed, plan = None, 0, 0, 0
    seen = 0
    for line in log.splitlines():
        if match := re.match(r"1\.\.(\d+)", line):
            plan = int(match[1])
        elif match := re.match(r"# selftests: \w+: (\S+)", line):
            program, cases, failed = match[1], 0, 0
        elif match := re.match(r"# (not )?ok \d+ *-? *(.*)", line):
            cases += 1
            if re.search(r"# *SKIP", match[2]):
                results.skipped += 1
            elif match[1] or re.search(r"# *XFAIL", match[2]):
                failed += 1
                results.failed.append(f"{program}: {match[2]}")
            else:
                results.passed += 1
        elif match := re.match(r"(not )?ok \d+ selftests: \w+: (.*)", line):
            seen += 1
            program = None
            if match[1] or "# XFAIL" in match[2]:
                # It failed beyond its cases: a crash, a timeout, a usage error.
                if not failed:
                    results.failed.append(match[2])
            elif not cases:
                if "# SKIP" in match[2]:
                    results.skipped += 1
                else:
                    results.passed += 1
    if program:
        results.failed.append(f"{program}: did not come to its end")
    elif seen < plan:
        results.failed.append(f"{plan - seen} programs did not run")
    results.require_some()
    return results


def plain_tap(kind, log, may_be_empty=False):
    """From TAP without programs within programs; a comment belongs to what is above it."""
    results = Results(kind)
    results.skipped = len(re.findall(r"^ok .*# SKIP", log, re.M))
    results.passed = len(re.findall(r"^ok ", log, re.M)) - results.skipped
    results.failed = re.findall(r"^not ok (?:\d+ )?((?:.*\n)(?:# .*\n)*)", log, re.M)
    plan = re.search(r"^1\.\.(\d+)", log, re.M)
    seen = results.passed + len(results.failed) + results.skipped
    if plan and seen < int(plan[1]):
        results.failed.append(f"{int(plan[1]) - seen} cases did not run")
    if not results.skipped and not (plan and int(plan[1]) == 0 and may_be_empty):
        results.require_some()
    return results


# What prints TAP by itself, and what its line in the summary is called.
PLAIN = {
    "shellcheck": "shellcheck",  # check_each() in lib/lint.sh
    "rustfmt": "rustfmt",  # as well
    "sphinx": "Sphinx",  # sphinx.py
    "clippy": "clippy",  # clippy.py
    "rustdoc": "rustdoc",  # rustdoc.py
    "compile_fail": "compile-fail",  # compile_fail.py
    "series": "series",  # series.py plan
    "checkpatch": "checkpatch",  # series.py checkpatch
    "maintainers": "MAINTAINERS",  # maintainers.py
    "cross": "cross builds",  # cross_builds() in lib/cross.sh: all are skipped, or none
}


def controls(log):
    """From controls.py; TEST may have chosen none of them."""
    return plain_tap("controls", log, may_be_empty=True)


def kernel(log, vm):
    """What the machine itself did."""
    results = Results("kernel")
    ends = {
        "hung": "the VM hung",
        "died": "the VM ended before the tests did",
    }
    if vm in ends:
        results.failed.append(ends[vm])
    else:
        results.passed += 1
    reports = console.scan(log)
    known = Counter((r.text, r.known) for r in reports if r.known)
    results.skipped = known.total()
    results.notes = [f"{text}: {count} times: {why}" for (text, why), count in known.items()]
    reports = [r for r in reports if not r.known]
    for report in reports:
        text = "\n".join("    " + line for line in report.context)
        results.failed.append(f"report on the console: {report.text}\n{text}")
    if not reports:
        results.passed += 1
    if vm in ends:
        tail = "\n".join("    " + line for line in log.splitlines()[-30:])
        results.failed[0] += f"; the console's last lines:\n{tail}"
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    # Not each kind of run has all of these. What is of a boot is there for each one.
    for name in ("unittest", *PLAIN, "kunit", "kselftest", "controls"):
        name = name.replace("_", "-")
        parser.add_argument(f"--{name}", type=Path, metavar="LOG")
    parser.add_argument("--console", type=Path, action="append", default=[], metavar="LOG")
    parser.add_argument(
        "--vm", action="append", default=[], help="exit status of the guest, hung or died"
    )
    args = parser.parse_args()

    def read(path):
        return path.read_text(errors="replace")

    plain = ((partial(plain_tap, kind), getattr(args, name)) for name, kind in PLAIN.items())
    logs = (
        (unit_tests, args.unittest),
        *plain,
        (kunit, args.kunit),
        (kselftest, args.kselftest),
        (controls, args.controls),
    )
    everything = [judge(read(path)) for judge, path in logs if path]
    for log, vm in zip(args.console, args.vm, strict=True):
        everything.append(kernel(read(log), vm))
        if vm not in ("0", "hung", "died") and not any(r.failed for r in everything):
            everything[-1].failed.append(f"the tests ended with status {vm}")
    for results in everything:
        results.show()
    passed = sum(r.passed for r in everything)
    failed = sum(len(r.failed) for r in everything)
    skipped = sum(r.skipped for r in everything)
    if not passed + failed + skipped:
        print("not one test ran: does the configuration have what they need?")
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
