#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints the figures of several Binder drivers side by side, with the ratios to the first one.

    binder.py FILE...       what rust_binder_bench has printed; "binder-NAME" is of the driver NAME

Instructions for each operation, less is better; in rows whose name has "/s", operations for each
second, more is better.
"""

import sys
from pathlib import Path

import figures


def read(text):
    """{name: figure}, of the lines that are a figure."""
    found = {}
    for line in text.splitlines():
        name, tab, figure = line.strip().rpartition("\t")
        if tab:
            found[name] = float(figure)
    return found


def main(paths):
    drivers = {}
    for path in map(Path, paths):
        found = read(path.read_text(encoding="utf-8"))
        if not found:
            print(f"{path.name}: no figures", file=sys.stderr)
            return 1
        drivers[path.name.removeprefix("binder-")] = found
    print("\n".join(figures.table(drivers)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
