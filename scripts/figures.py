# SPDX-License-Identifier: GPL-2.0
"""Tables of figures, side by side, with their ratios: of binder.py and bench.py.

A row whose name has "/s" is a rate, of which more is better; of all others, less is.
"""

import math


def is_rate(name):
    return "/s" in name


def mean(ratios):
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def ratio(first, other):
    """What `other` is of `first`, or None if there is no telling."""
    return other / first if first and other is not None else None


def change(now, before):
    """How a ratio has changed: "+3.1 %", or nothing for less than a tenth of a percent."""
    if now is None or not before:
        return ""
    percent = 100 * (now / before - 1)
    return f"{percent:+.1f} %" if abs(percent) >= 0.1 else ""


def table(columns, title="", before=None, total="geometric mean of the instructions", width=0):
    """The lines of the table; `columns` is {name: {row: figure}}, the first one is what others are
    compared with. With `before`, {row: ratio}, of the second one also how the ratio has changed.
    Without `total`, no mean."""
    first, *others = columns
    rows = columns[first]
    width = max(width, len(title), *(len(row) for row in [*rows, total or ""]))
    head = f"{title:<{width}}  {first:>12}"
    head += "".join(f"  {name:>12}  {'ratio':>6}" for name in others)
    yield head + (f"  {'since':>8}" if before is not None else "")
    ratios = {name: [] for name in others}
    for row, figure in rows.items():
        line = f"{row:<{width}}  {figure:>12.8g}"
        for name in others:
            other = columns[name].get(row)
            of_first = ratio(figure, other)
            if of_first is None:
                line += f"  {'-' if other is None else f'{other:.8g}':>12}  {'-':>6}"
                continue
            if not is_rate(row):
                ratios[name].append(of_first)
            line += f"  {other:>12.8g}  {of_first:>6.3f}"
        if before is not None:
            line += f"  {change(ratio(figure, columns[others[0]].get(row)), before.get(row)):>8}"
        yield line.rstrip()
    if not total:
        return
    line = f"{total:<{width}}  {'':>12}"
    for name in others:
        line += f"  {'':>12}  " + (f"{mean(ratios[name]):>6.3f}" if ratios[name] else f"{'-':>6}")
    yield line
