#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what is `unsafe` in the Rust sources with the page that has to list it.

    unsafe_audit.py [--list] [REPOSITORY]

The page is Documentation/rust/mm/unsafe.rst. Below a heading that is the path of a file
there is a table whose first column, "Unsafe", says what the items are in, and how many
there are: "``Type::function``: 2 blocks, fn; ``Send for Type``: impl". What is in the sources
and not in the page, or the other way round, is an error, as is any unsafe item in samples/
but in what is broken on purpose. Prints the counts; with --list, prints the items as the page
has them.

The tests (rust/kernel/mm/tests*, testing.rs, and that sample) are counted only. What integration.toml puts
into files of the tree counts as a file of that name.

A lexer, not a parser: half of what is unsafe here is in bodies of macros, which to a parser
are just tokens, too.
"""

import argparse
import re
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import rst
from rust_lexer import Mistake, Scopes, impl_header, is_word, tokens

PAGE = "Documentation/rust/mm/unsafe.rst"
INTEGRATION = "integration.toml"
SAMPLES = "samples"
# No driver, but for tests of the kernel's debugging: it breaks memory, which safe code cannot.
BROKEN = "samples/rust/mm/rust_mm_broken.rs"
# What may be in the page's second column.
KINDS = ("block", "fn", "impl", "trait", "extern", "attribute")


def items(source):
    """Counts the unsafe items of `source`: {where: {kind: number}}."""
    toks = tokens(source)
    found = defaultdict(Counter)
    scopes = Scopes(toks)
    constant = None  # (depth, name) of a const or static whose value is to come

    def path(name=None):
        """The innermost function with what it is a method of, or with `name` in its place."""
        functions = [name] if name else scopes.functions()
        names = [*scopes.owners()[-1:], *functions[-1:]]
        if constant and not functions:
            names.append(constant[1])
        return "::".join(names) or "the file"

    at = 0
    while at < len(toks):
        tok = toks[at]
        after = toks[at + 1] if at + 1 < len(toks) else ""
        before = toks[at - 1] if at else ";"
        if tok == "unsafe":
            rest = toks[at + 1 : at + 4]
            if after == "extern" and rest[1:2] == ["{"]:
                found[path()]["extern"] += 1
            elif "fn" in rest:
                name = toks[at + 1 + rest.index("fn") + 1]
                # Else it is a type.
                if is_word(name):
                    found[path(name)]["fn"] += 1
            elif after == "impl":
                trait, name, _ = impl_header(toks, at + 1)
                found[f"{trait} for {name}"]["impl"] += 1
            elif after == "trait":
                found[toks[at + 2]]["trait"] += 1
            elif after == "(" and before == "[":
                found[path()]["attribute"] += 1
            elif after == "{":
                found[path()]["block"] += 1
            else:
                raise Mistake(f"'unsafe {after}' is not known")
        elif tok in ("const", "static") and is_word(after) and scopes.pending is None:
            name = toks[at + 2] if after == "mut" else after
            if after not in ("fn", "unsafe", "extern", "async"):
                constant = (len(scopes.open), name)
        at, _ = scopes.step(at)
        if constant:
            depth = len(scopes.open)
            if depth < constant[0] or (depth == constant[0] and tok == ";" and not scopes.parens):
                constant = None
    return {where: dict(kinds) for where, kinds in found.items()}


def is_test(path):
    return path.startswith("rust/kernel/mm/tests") or path in ("rust/kernel/mm/testing.rs", BROKEN)


def sources(repo):
    """The unsafe items of all Rust files of the repository: {path: {where: {kind: number}}}."""
    repo, found = Path(repo), {}
    for folder in ("rust", SAMPLES):
        for file in sorted((repo / folder).rglob("*.rs")):
            path = str(file.relative_to(repo))
            try:
                found[path] = items(file.read_text(encoding="utf-8"))
            except Mistake as mistake:
                raise Mistake(f"{path}: {mistake}") from None
    inserted = tomllib.loads((repo / INTEGRATION).read_text(encoding="utf-8"))
    kinds = defaultdict(Counter)
    for entry in inserted.get("insert", []):
        if entry["file"].endswith(".rs"):
            for counts in items(entry.get("text", "")).values():
                kinds[entry["file"]].update(counts)
    found[INTEGRATION] = {file: dict(counts) for file, counts in kinds.items() if counts}
    return found


def _kinds(text):
    """`fn, 2 blocks` as counts."""
    counts = Counter()
    for part in text.split(","):
        match = re.fullmatch(r"(?:(\d+) )?([a-z]+?)s?", part.strip())
        if not match or match[2] not in KINDS:
            raise Mistake(f"'{text}' are no unsafe items")
        counts[match[2]] += int(match[1] or 1)
    return dict(counts)


def listed(page):
    """What the page lists: {path: {where: {kind: number}}}."""
    found = {}
    try:
        for heading, columns, rows in rst.tables(page):
            if columns[0] != "Unsafe":
                continue
            where = found.setdefault(heading, {})
            for row in rows:
                if not all(row):
                    raise Mistake(f"{heading}: {row[0]}: an empty cell")
                for item in row[0].split(";"):
                    match = re.fullmatch(r"``(.+)``: (.+)", item.strip())
                    if not match:
                        raise Mistake(f"{heading}: '{item}' is no item")
                    if match[1] in where:
                        raise Mistake(f"{heading}: {match[1]} is there twice")
                    where[match[1]] = _kinds(match[2])
    except rst.Mistake as mistake:
        raise Mistake(str(mistake)) from None
    return found


def as_text(kinds):
    return ", ".join(
        kind if kinds[kind] == 1 else f"{kinds[kind]} {kind}s" for kind in KINDS if kind in kinds
    )


def differences(found, page):
    """What has to be mended, a line each. `found`: without tests and samples."""
    wrong = []
    for path in sorted({**found, **page}):
        source, row = found.get(path, {}), page.get(path, {})
        for where in sorted({**source, **row}):
            if where not in row:
                wrong.append(f"{path}: {where}: {as_text(source[where])}: not in the page")
            elif where not in source:
                wrong.append(f"{path}: {where}: in the page, but nothing there is unsafe")
            elif source[where] != row[where]:
                wrong.append(
                    f"{path}: {where}: {as_text(source[where])}; "
                    f"the page says {as_text(row[where])}"
                )
    return wrong


def total(files):
    counts = Counter()
    for wheres in files.values():
        for kinds in wheres.values():
            counts.update(kinds)
    return counts


def folders(found):
    """The counts by folder, in the order in which they are printed."""
    by = defaultdict(Counter)
    for path, wheres in found.items():
        if is_test(path):
            folder = "tests"
        elif path == INTEGRATION:
            folder = path
        elif path.startswith(SAMPLES + "/"):
            folder = SAMPLES
        else:
            folder = str(Path(path).parent)
        by[folder].update(total({path: wheres}))
    return dict(sorted(by.items()))


def audit(repo):
    """The sources' items, and what is wrong."""
    found = sources(repo)
    wrong = [
        f"{path}: {where}: {as_text(kinds)}: samples have none"
        for path, wheres in found.items()
        if path.startswith(SAMPLES + "/") and not is_test(path)
        for where, kinds in wheres.items()
    ]
    layer = {p: w for p, w in found.items() if not is_test(p) and not p.startswith(SAMPLES + "/")}
    page = listed((Path(repo) / PAGE).read_text(encoding="utf-8"))
    return found, wrong + differences(layer, page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the items instead")
    parser.add_argument("repo", nargs="?", default=Path(__file__).parent.parent)
    args = parser.parse_args()
    try:
        if args.list:
            for path, wheres in sources(args.repo).items():
                for where, kinds in wheres.items():
                    print(f"{path}: {where}: {as_text(kinds)}")
            return 0
        found, wrong = audit(args.repo)
    except Mistake as mistake:
        print(f"unsafe_audit: {mistake}", file=sys.stderr)
        return 1
    columns = KINDS[:4]
    print(f"{'unsafe':28}" + "".join(f"{kind + 's':>9}" for kind in columns))
    by = folders(found)
    ours = sum((c for f, c in by.items() if f != "tests"), Counter())
    for folder, counts in by.items():
        others = {kind: n for kind, n in counts.items() if kind not in columns}
        print(f"{folder:28}" + "".join(f"{counts[kind]:>9}" for kind in columns), *others.items())
    print("all but tests: " + ", ".join(f"{ours[kind]} {kind}s" for kind in columns))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
