# SPDX-License-Identifier: GPL-2.0
"""As much of reStructuredText as the checks of our pages need: its tables."""

import re


class Mistake(Exception):
    """In a page."""


_BORDER = re.compile(r"=+( +=+)+\s*$")
_HEADING = re.compile(r"([-=~^])\1{2,}$")


def _simple(lines, at):
    """The simple table whose first border is at `at`: its rows, and where it ends."""
    starts = [m.start() for m in re.finditer("=+", lines[at])]
    ends = starts[1:] + [None]
    parts = [[]]
    for at in range(at + 1, len(lines)):
        if _BORDER.match(lines[at]):
            if len(parts) == 2:
                return parts[0] + parts[1], at + 1
            parts.append([])
            continue
        cells = [lines[at][s:e].strip() for s, e in zip(starts, ends)]
        # With nothing in the first column a row goes on.
        if cells[0] or not parts[-1]:
            parts[-1].append(cells)
        else:
            parts[-1][-1] = [f"{a} {b}".strip() for a, b in zip(parts[-1][-1], cells)]
    raise Mistake("a table without end")


def _list(lines, at):
    """The list table whose directive is at `at`: its rows, and where it ends."""
    rows = []
    for at in range(at + 1, len(lines)):
        line = lines[at]
        if line and not line.startswith("    "):
            break
        match = re.match(r"    (\* -|  -)(?: (.*))?$", line)
        if match and match[1] == "* -":
            rows.append([match[2] or ""])
        elif match and rows:
            rows[-1].append(match[2] or "")
        elif line.strip() and rows:
            rows[-1][-1] += " " + line.strip()
    if len({len(row) for row in rows}) != 1:
        raise Mistake("a table whose rows differ in length")
    return rows, at


def tables(text):
    """The tables of a page, each as (heading above it, names of its columns, rows of cells)."""
    lines, heading, at = text.splitlines() + [""], "", 0
    while at < len(lines):
        line = lines[at]
        if _BORDER.match(line):
            rows, at = _simple(lines, at)
        elif line.strip() == ".. list-table::":
            rows, at = _list(lines, at)
        else:
            if line.strip() and at + 1 < len(lines) and _HEADING.match(lines[at + 1]):
                heading = line.strip()
            at += 1
            continue
        if len(rows) < 2:
            raise Mistake(f"{heading}: a table without rows")
        yield heading, rows[0], rows[1:]
