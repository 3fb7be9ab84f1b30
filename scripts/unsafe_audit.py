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

PAGE = "Documentation/rust/mm/unsafe.rst"
INTEGRATION = "integration.toml"
SAMPLES = "samples"
# No driver, but for tests of the kernel's debugging: it breaks memory, which safe code cannot.
BROKEN = "samples/rust/mm/rust_mm_broken.rs"
# What may be in the page's second column.
KINDS = ("block", "fn", "impl", "trait", "extern", "attribute")

_TOKEN = re.compile(
    r"""
    (?P<skip>
        \s+
      | //[^\n]*
      | (?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes)    # raw strings
      | (?:b|c)?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'
    )
  | (?P<comment>/\*)
  | (?P<lifetime>'[A-Za-z_]\w*)
  | (?P<word>\$?(?:r\#)?[A-Za-z_]\w*)
  | (?P<number>\d\w*)
  | (?P<mark>->|=>|::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NESTED = re.compile(r"/\*|\*/")


class Mistake(Exception):
    """What is wrong with a source or the page, for humans."""


def tokens(source):
    """The words and marks of `source`, without comments, strings and characters."""
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        at = match.end()
        if match["comment"]:
            depth = 1
            while depth:
                nested = _NESTED.search(source, at)
                if not nested:
                    raise Mistake("a comment without end")
                depth += 1 if nested[0] == "/*" else -1
                at = nested.end()
        elif match["skip"] is None:
            if match["mark"] == '"':
                raise Mistake("a string without end")
            found.append(match[0])
    return found


def _is_word(token):
    return bool(re.match(r"\$?(r#)?[A-Za-z_]", token))


def _skip_group(toks, at, opening, closing):
    """The index behind the group that opens at `at`."""
    depth = 0
    while at < len(toks):
        if toks[at] == opening:
            depth += 1
        elif toks[at] == closing:
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    raise Mistake(f"a '{opening}' without '{closing}'")


def _last_name(toks):
    """The name of a path or of what is behind references: `Fault` of `&'a super::Fault<O>`."""
    name, depth = None, 0
    for tok in toks:
        if tok in "<([":
            depth += 1
        elif tok in ">)]":
            depth -= 1
        elif not depth and _is_word(tok) and tok not in ("mut", "dyn", "const", "crate", "super"):
            name = tok
        elif not depth and tok == "+" and name:
            break
    return name or "_"


def _impl_header(toks, at):
    """Trait (or None) and type of the `impl` at `at`, and the index of what follows."""
    at += 1
    # The generics, or a macro's `$(<..>)?`.
    if at < len(toks) and toks[at] == "<":
        at = _skip_group(toks, at, "<", ">")
    elif toks[at : at + 2] == ["$", "("]:
        at = _skip_group(toks, at + 1, "(", ")")
        if at < len(toks) and toks[at] in "?*+":
            at += 1
    parts, depth = [[]], 0
    while at < len(toks):
        tok = toks[at]
        if not depth and tok in ("{", "where", ";"):
            break
        if tok == "for" and not depth and toks[at + 1] != "<":
            parts.append([])
        else:
            if tok in "<([":
                depth += 1
            elif tok in ">)]":
                depth -= 1
            parts[-1].append(tok)
        at += 1
    names = [_last_name(part) for part in parts]
    return (names[0] if len(names) > 1 else None), names[-1], at


# Behind these, `impl` begins an item, and is no type.
_BEFORE_ITEM = ("{", "}", ";", "]", "unsafe", "default", ")")


def items(source):
    """Counts the unsafe items of `source`: {where: {kind: number}}."""
    toks = tokens(source)
    found = defaultdict(Counter)
    # For each open brace, what it is the body of, or None: (kind, name).
    scopes = []
    pending = None  # (kind, name) whose body or semicolon is to come
    constant = None  # (depth, name) of a const or static whose value is to come
    parens = 0

    def path(name=None):
        """The innermost function with what it is a method of, or with `name` in its place."""
        names = []
        for kind, scope in filter(None, scopes):
            if kind in ("impl", "trait", "macro"):
                names = [scope]
            elif kind == "fn":
                names = [*owner(names), scope]
        if name:
            return "::".join([*owner(names), name])
        if constant and len(names) < 2:
            names.append(constant[1])
        return "::".join(names) or "the file"

    def owner(names):
        """Of `Type::function`, the type; of a function, nothing."""
        scoped = [n for n in filter(None, scopes) if n[0] in ("impl", "trait", "macro")]
        return names[:1] if scoped else []

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
                if _is_word(name):
                    found[path(name)]["fn"] += 1
            elif after == "impl":
                trait, name, _ = _impl_header(toks, at + 1)
                found[f"{trait} for {name}"]["impl"] += 1
            elif after == "trait":
                found[toks[at + 2]]["trait"] += 1
            elif after == "(" and before == "[":
                found[path()]["attribute"] += 1
            elif after == "{":
                found[path()]["block"] += 1
            else:
                raise Mistake(f"'unsafe {after}' is not known")
        elif tok == "fn" and _is_word(after) and pending is None:
            pending = ("fn", after)
        elif tok in ("mod", "trait") and _is_word(after) and pending is None:
            pending = (tok, after)
        elif tok == "impl" and pending is None and before in _BEFORE_ITEM and not parens:
            _, name, behind = _impl_header(toks, at)
            pending = ("impl", name)
            at = behind
            continue
        elif tok == "macro_rules" and after == "!":
            pending = ("macro", toks[at + 2] + "!")
        elif tok in ("const", "static") and _is_word(after) and pending is None:
            name = toks[at + 2] if after == "mut" else after
            if after not in ("fn", "unsafe", "extern", "async"):
                constant = (len(scopes), name)
        elif tok in ("(", "["):
            parens += 1
        elif tok in (")", "]"):
            parens -= 1
        elif tok == "{":
            scopes.append(pending)
            pending = None
        elif tok == "}":
            if not scopes:
                # A piece of a file may close what it has not opened.
                at += 1
                continue
            scopes.pop()
            if constant and len(scopes) < constant[0]:
                constant = None
        elif tok == ";":
            if not parens:
                pending = None
            if constant and len(scopes) == constant[0] and not parens:
                constant = None
        at += 1
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
    by["all but tests"] = sum((c for f, c in by.items() if f != "tests"), Counter())
    for folder, counts in by.items():
        others = {kind: n for kind, n in counts.items() if kind not in columns}
        print(f"{folder:28}" + "".join(f"{counts[kind]:>9}" for kind in columns), *others.items())
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
