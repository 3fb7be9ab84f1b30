#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints the figures of several Binder drivers side by side, with the ratios to the first one.

    binder.py FILE...       what rust_binder_bench has printed; "binder-NAME" is of the driver NAME

Instructions for each operation, less is better; in rows whose name has "/s", operations for each
second, more is better.
"""

import math
import sys
from pathlib import Path


def read(text):
    """{name: figure}, of the lines that are a figure."""
    figures = {}
    for line in text.splitlines():
        name, tab, figure = line.strip().rpartition("\t")
        if tab:
            figures[name] = float(figure)
    return figures


def is_rate(name):
    return "/s" in name


def mean(ratios):
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def table(drivers):
    """The lines of the table; `drivers` is {name: figures}, the first one is what others are compared with."""
    first, *others = drivers
    width = max(len(row) for row in drivers[first])
    head = f"{'':<{width}}  {first:>12}"
    yield head + "".join(f"  {name:>12}  {'ratio':>6}" for name in others)
    ratios = {name: [] for name in others}
    for row, figure in drivers[first].items():
        line = f"{row:<{width}}  {figure:>12g}"
        for name in others:
            other = drivers[name].get(row)
            if other is None or not figure:
                line += f"  {'-':>12}  {'-':>6}"
                continue
            ratio = other / figure
            if not is_rate(row):
                ratios[name].append(ratio)
            line += f"  {other:>12g}  {ratio:>6.3f}"
        yield line
    line = f"{'geometric mean of the instructions':<{width}}  {'':>12}"
    for name in others:
        line += f"  {'':>12}  " + (f"{mean(ratios[name]):>6.3f}" if ratios[name] else f"{'-':>6}")
    yield line


def main(paths):
    drivers = {}
    for path in map(Path, paths):
        figures = read(path.read_text(encoding="utf-8"))
        if not figures:
            print(f"{path.name}: no figures", file=sys.stderr)
            return 1
        drivers[path.name.removeprefix("binder-")] = figures
    print("\n".join(table(drivers)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
