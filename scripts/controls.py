#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Controls: boots in which a given report of the kernel has to come.

    controls.py list LIST CONFIG [NAME...]      "name<TAB>dies<TAB>command" lines
    controls.py judge LIST NAME CONSOLE VM      one result, as TAP

LIST is selftests/rust_mm/controls.toml, which describes itself. VM is how the
virtual machine ended: the exit status of the guest, "hung" or "died".
"""

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import console

# Written to the console before the program is run.
START = "rust_mm: control "

KEYS = {"run": str, "report": str, "also": str, "boot": str, "dies": bool, "config": str}


@dataclass
class Control:
    name: str
    run: str
    report: str = ""
    also: str = ""
    boot: str = ""
    dies: bool = False
    config: str = ""


class Mistake(Exception):
    """In the list."""


def parse(text):
    """Returns the controls of a list."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Mistake(str(e)) from e
    controls = []
    for name, table in tables.items():
        if not re.fullmatch(r"\w+", name) or not isinstance(table, dict):
            raise Mistake(f"{name}: not a table with a plain name")
        for key, value in table.items():
            if key not in KEYS:
                raise Mistake(f"{name}: what is {key}?")
            if not isinstance(value, KEYS[key]):
                raise Mistake(f"{name}: {key} is no {KEYS[key].__name__}")
        if not table.get("run"):
            raise Mistake(f"{name}: no run")
        if bool(table.get("report")) == bool(table.get("boot")):
            raise Mistake(f"{name}: either report or boot")
        if re.search(r"[\t\n]", table["run"]):
            raise Mistake(f"{name}: run is one line, without tabs")
        for key in {"report", "also", "boot"} & set(table):
            try:
                re.compile(table[key])
            except re.error as e:
                raise Mistake(f"{name}: {key}: {e}") from e
        controls.append(Control(name, **table))
    if not controls:
        raise Mistake("no controls")
    return controls


def applicable(controls, config, names=()):
    """Those of the configuration, or the named ones of them."""
    options = set(re.findall(r"^(CONFIG_\w+)=", config, re.M))
    return [
        control for control in controls
        if (not names or control.name in names)
        and options.issuperset(control.config.split())
    ]


def judge(control, log, vm):
    """Returns the reasons why a control fails; none if all was as it has to be."""
    lines = log.splitlines()
    marker = START + control.name
    start = next((i for i, line in enumerate(lines) if line.endswith(marker)), None)
    if start is None:
        return [f"it was not started; how the VM ended: {vm}"]

    reports = [r for r in console.scan(log) if not r.known]
    reasons = [f"a report before it began: {r.text}" for r in reports if r.line < start]
    reports = [r for r in reports if r.line > start]
    others = [r for r in reports if not control.report or not matches(control.report, r)]
    if control.boot and not any(re.search(control.boot, line) for line in lines[:start]):
        reasons.append(f"nobody has said: {control.boot}")
    if control.report and len(others) == len(reports):
        reasons.append(f"the report did not come: {control.report}")
    if control.also:
        others = [r for r in others if not matches(control.also, r)]
    if not control.dies:
        reasons += [f"another report came: {r.text}" for r in others]

    # A machine that is falling apart may as well stand still.
    ends = ("died", "hung") if control.dies else ("0",)
    if vm not in ends:
        reasons.append(f"how the VM ended: {vm}, not {' or '.join(ends)}")
    return reasons


def matches(regex, report):
    return any(re.search(regex, line) for line in report.body)


def tap(control, reasons):
    result = [f"{'not ok' if reasons else 'ok'} {control.name}"]
    return "\n".join(result + [f"# {reason}" for reason in reasons])


def main(arguments):
    command, path, *rest = arguments
    try:
        controls = parse(Path(path).read_text(encoding="utf-8"))
    except Mistake as e:
        sys.exit(f"{path}: {e}")
    if command == "list":
        config, *names = rest
        text = Path(config).read_text(encoding="utf-8")
        for control in applicable(controls, text, names):
            print(f"{control.name}\t{int(control.dies)}\t{control.run}")
        return 0
    if command == "judge":
        name, log, vm = rest
        (control,) = (c for c in controls if c.name == name)
        reasons = judge(control, Path(log).read_text(errors="replace"), vm)
        print(tap(control, reasons))
        return int(bool(reasons))
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
