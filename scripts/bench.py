#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the samples cost beside their C twins: prints a table of a run, and compares it with one that
is recorded.

    bench.py FIGURES SIZES RECORDED OUT     FIGURES: what rust_mm_bench has printed
                                            SIZES: what llvm-size has printed of the modules and of
                                            our C files, and llvm-nm of the kernel crate and helpers
                                            RECORDED: the CSV file of a run before, if there is one
                                            OUT: name of the files to write, without .csv and .dat
    bench.py --check ...                    fails if a row is above the recorded one by more than its
                                            tolerance, which is 3 % if the recorded file names none

A row is executed instructions, or bytes of a module. The CSV file has all of them, OUT.dat what
bench.gp draws, and OUT-sizes.dat what bench-sizes.gp draws.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

import figures

REPO = Path(__file__).resolve().parent.parent

# `spread` is of the ratio from round to round, of rates; `tolerance` is empty for TOLERANCE.
FIELDS = ("pair", "row", "c", "rust", "ratio", "tolerance", "spread")

# Which module is the twin of which.
TWINS = {
    "rust_mmap": "c_mmap",
    "rust_mmap_plain": "c_plain",
    "rust_mmap_demand": "c_demand",
    "rust_mmap_pfn": "c_pfn",
    "rust_vma_inspect": "c_inspect",
}
SIZES = "bytes of a module"

# A row that is one of several sizes: of as many pages, or of one of as many.
SIZE = re.compile(
    r"(?P<what>.*), (?:per \w+ )?(?:(?P<one>of )(?P<of>\d+)|(?P<all>\d+) (?:pages?(?: mapped)?|bytes))"
)

# How much a ratio may grow.
TOLERANCE = 0.03
# The rows, as "pair: row", whose figure varies more than that: a thread waits, and what the kernel does
# meanwhile is not the same each time.
TOLERANCES = {}


def fields_of(text):
    """The fields of the lines that are a row: pair, row, C, Rust, and the spread of the ratio or ""."""
    for line in text.splitlines():
        fields = line.strip("\r").split("\t")
        if len(fields) in (4, 5):
            yield [*fields, ""][:5]


def read(text):
    """{pair: {row: (C, Rust)}}"""
    pairs = {}
    for pair, row, c, rust, _ in fields_of(text):
        pairs.setdefault(pair, {})[row] = float(c), float(rust)
    return pairs


def read_spreads(text):
    """{(pair, row): spread}, of the rows that have one."""
    return {(pair, row): spread for pair, row, _, _, spread in fields_of(text) if spread}


def read_sizes(text):
    """{row: (C, Rust)}: the text of the modules, of the lines "text data bss dec hex file"."""
    text_of = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[0].isdigit():
            text_of[Path(fields[5]).stem] = int(fields[0])
    return {
        f"{rust}, text": (text_of[c], text_of[rust])
        for rust, c in TWINS.items()
        if c in text_of and rust in text_of
    }


def read_layer(text, repo):
    """{file: bytes}: the text of our files in the kernel, without what is for KUnit only.

    Of the C files, the lines of llvm-size have it. For Rust, the lines "address size type name" of
    llvm-nm have demangled names; a function counts for the first of our modules in its name, also
    if it is a generic one of another module.
    """
    helpers = {}
    for path in sorted((repo / "rust/helpers").glob("*.c")):
        for name in re.findall(r"\brust_helper_\w+(?=\()", path.read_text(encoding="utf-8")):
            helpers[name] = path.relative_to(repo).as_posix()
    found = {}
    for line in text.splitlines():
        fields = line.split(None, 3)
        if len(fields) == 4 and fields[2] in ("t", "T", "W"):
            if re.search(r"\bkernel::mm::(tests|testing)\b", fields[3]):
                continue
            size, file = int(fields[1], 16), helpers.get(fields[3]) or module_file(fields[3], repo)
        elif match := re.fullmatch(r"\s*(\d+)(?:\s+\w+){4}\s+([\w/]+/rust_\w+)\.o", line):
            size, file = int(match[1]), f"{match[2]}.c"
        else:
            continue
        if file and not re.search(r"/(tests|testing|rust_testing)\b", file):
            found[file] = found.get(file, 0) + size
    return found


def module_file(name, repo):
    """The file of the first of our modules in the name of a function, or None."""
    for path in re.findall(r"\bkernel((?:::\w+)+)", name):
        parts = path.split("::")[1:]
        for length in range(len(parts), 0, -1):
            file = Path("rust/kernel", *parts[:length]).with_suffix(".rs")
            if (repo / file).is_file():
                return file.as_posix()
    return None


def layer_table(layer):
    """The lines of the table of the layer's text, the largest file first."""
    if not layer:
        return
    width = max(map(len, layer))
    yield f"{'the layer in the kernel, bytes of text':{width}} {sum(layer.values()):>7}"
    for file, size in sorted(layer.items(), key=lambda item: (-item[1], item[0])):
        yield f"{file:{width}} {size:>7}"
    yield ""


def read_recorded(path):
    """({(pair, row): ratio}, {(pair, row): tolerance}) of a CSV file; both empty if there is none."""
    ratios, tolerances = {}, {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = row["pair"], row["row"]
                if row["ratio"]:
                    ratios[key] = float(row["ratio"])
                if row.get("tolerance"):
                    tolerances[key] = float(row["tolerance"])
    except FileNotFoundError:
        pass
    return ratios, tolerances


def tolerance(pair, row):
    """The tolerance that is recorded with a row, or None for the usual one."""
    for pattern, allowed in TOLERANCES.items():
        if re.fullmatch(pattern, f"{pair}: {row}"):
            return allowed
    return None


def rows(pairs):
    """(pair, row, C, Rust, ratio) of each row."""
    for pair, group in pairs.items():
        for row, (c, rust) in group.items():
            yield pair, row, c, rust, figures.ratio(c, rust)


def instructions(pairs):
    """The ratios that are of instructions."""
    return [
        ratio
        for pair, row, _, _, ratio in rows(pairs)
        if ratio is not None and pair != SIZES and not figures.is_rate(row)
    ]


def sizes(pairs):
    """{what: {size: (C, Rust)}} for a page, or for a VMA, of what was done with three sizes or more."""
    found = {}
    for pair, row, c, rust, _ in rows(pairs):
        match = SIZE.fullmatch(row)
        if match:
            size = int(match["of"] or match["all"])
            per = 1 if match["one"] else size
            found.setdefault(f"{match['what']} ({pair})", {})[size] = c / per, rust / per
    return {what: by_size for what, by_size in found.items() if len(by_size) >= 3}


def tables(pairs, recorded):
    """The lines of all tables."""
    width = max(len(name) for pair, group in pairs.items() for name in (pair, *group))
    for pair, group in pairs.items():
        columns = {
            "C": {row: c for row, (c, _) in group.items()},
            "Rust": {row: rust for row, (_, rust) in group.items()},
        }
        before = {row: ratio for (other, row), ratio in recorded.items() if other == pair} or None
        rate = all(map(figures.is_rate, group))
        total = "" if rate else "geometric mean"
        yield from figures.table(columns, pair, before, total, width)
        yield ""
    ratios = instructions(pairs)
    if ratios:
        above = sum(ratio > 1 for ratio in ratios)
        yield (
            f"geometric mean of all {len(ratios)} rows of instructions: {figures.mean(ratios):.3f}; "
            f"{above} above 1"
        )


def worse(pairs, recorded, tolerances):
    """A line for each row that is more than a run before allows."""
    for pair, row, _, _, ratio in rows(pairs):
        before = recorded.get((pair, row))
        if before is None or ratio is None or figures.is_rate(row):
            continue
        if ratio > before * (1 + tolerances.get((pair, row), TOLERANCE)):
            yield f"{pair}: {row}: {ratio:.3f}, recorded {before:.3f}"


def block(what, by_size):
    """What bench-sizes.gp draws of one operation."""
    what = what.partition(" (")[0]
    lines = [f"{size} {c:.1f} {rust:.1f}" for size, (c, rust) in sorted(by_size.items())]
    return "\n".join([f'size "{what}, C" "{what}, Rust"', *lines, ""])


def write(pairs, spreads, out):
    """The CSV file, and what bench.gp draws: number, ratio, name, also for the name of each pair."""
    with open(f"{out}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for pair, row, c, rust, ratio in rows(pairs):
            writer.writerow((
                pair, row, f"{c:.10g}", f"{rust:.10g}", f"{ratio:.4f}" if ratio else "",
                tolerance(pair, row) or "", spreads.get((pair, row), ""),
            ))
    number = 0
    with open(f"{out}.dat", "w", encoding="utf-8") as file:
        for pair, group in pairs.items():
            if all(map(figures.is_rate, group)):
                continue
            number += 1
            file.write(f'{number} 1 "== {pair}"\n')
            for row, (c, rust) in group.items():
                number += 1
                file.write(f'{number} {figures.ratio(c, rust) or 1:.4f} "{row}"\n')
    with open(f"{out}-sizes.dat", "w", encoding="utf-8") as file:
        # gnuplot takes two empty lines for the end of a block.
        file.write("\n\n".join(block(what, by_size) for what, by_size in sizes(pairs).items()))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail if a row is above the recorded one")
    for name in ("figures", "sizes", "recorded", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args(argv)
    text = args.figures.read_text(encoding="utf-8")
    pairs, spreads = read(text), read_spreads(text)
    if not pairs:
        print(f"{args.figures.name}: no figures", file=sys.stderr)
        return 1
    sizes_text = args.sizes.read_text(encoding="utf-8")
    sizes = read_sizes(sizes_text)
    if sizes:
        pairs[SIZES] = sizes
    recorded, tolerances = read_recorded(args.recorded)
    print("\n".join(layer_table(read_layer(sizes_text, REPO))))
    print("\n".join(tables(pairs, recorded)))
    write(pairs, spreads, args.out)
    if args.check:
        if not recorded:
            print(f"there is no run to compare with: {args.recorded}", file=sys.stderr)
            return 1
        lines = list(worse(pairs, recorded, tolerances))
        print("\n".join([f"{len(lines)} rows are above the recorded run by more than 3 %", *lines]))
        return 1 if lines else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
