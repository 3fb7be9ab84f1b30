#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes the recorded figures of bench.py into a page of Documentation/.

    bench_page.py PAGE FIGURES [INLINED]    FIGURES, INLINED: CSV files of bench.py, without and with
                                            RUST_INLINE_HELPERS

The tables are between the comments BEGIN and END of the page, one for each pair.
"""

import csv
import sys
from pathlib import Path

import figures

BEGIN = ".. What follows, up to the next comment, is written by `make bench RECORD=1`."
END = ".. The end of what `make bench RECORD=1` writes."
MISSING = "-"


def read(path):
    """{pair: {row: {field: text}}} of a CSV file."""
    pairs = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pairs.setdefault(row["pair"], {})[row["row"]] = row
    return pairs


def number(text):
    """A figure: digits that say nothing are left out."""
    value = float(text)
    return f"{value:.0f}" if value >= 100 else f"{value:.4g}"


def ratio(row):
    return f"{float(row['ratio']):.3f}" if row and row["ratio"] else MISSING


def table(header, lines):
    """A simple table of reStructuredText."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def line(cells):
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()

    return [rule, line(header), rule, *map(line, lines), rule]


def mean(rows):
    """The geometric mean of the ratios that are of instructions, or nothing."""
    ratios = [
        float(row["ratio"])
        for name, row in rows.items()
        if row["ratio"] and not figures.is_rate(name)
    ]
    return f"{figures.mean(ratios):.3f}" if ratios else ""


def tables(plain, inlined):
    """The lines of the tables, with a heading each."""
    for pair, rows in plain.items():
        other = inlined.get(pair, {})
        header = ["Row", "C", "Rust", "Ratio", *(["Inlined"] if inlined else [])]
        lines = []
        for name, row in rows.items():
            line = [name, number(row["c"]), number(row["rust"]), ratio(row)]
            lines.append(line + ([ratio(other.get(name))] if inlined else []))
        if mean(rows):
            line = ["*geometric mean*", r"\ ", r"\ ", mean(rows)]
            lines.append(line + ([mean(other) or MISSING] if inlined else []))
        heading = pair[0].upper() + pair[1:] if pair.startswith("bytes") else f"``{pair}``"
        if ", " in pair:
            names, _, rest = pair.partition(", ")
            heading = f"``{names}``, {rest}"
        yield from ["", heading, "-" * len(heading), "", *table(header, lines)]


def replace(page, lines):
    """The page with these lines between the comments."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks a line: {BEGIN if not begin else END}")
    return before + begin + "\n" + "\n".join(lines) + "\n\n" + end + after


def main(argv):
    page, plain, *inlined = map(Path, argv)
    text = page.read_text(encoding="utf-8")
    other = read(inlined[0]) if inlined and inlined[0].exists() else {}
    page.write_text(replace(text, list(tables(read(plain), other))), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
