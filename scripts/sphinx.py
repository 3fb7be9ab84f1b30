#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Renders our pages with the kernel's `make htmldocs`, and those of upstream that we edit.

    sphinx.py TREE OUTPUT

A page passes if Sphinx has no warning and no error about it, each of its tables is in the HTML, and
the files of Documentation/ that it names exist. What Sphinx says goes to OUTPUT/log. The status of
make says nothing: pages of upstream's have warnings, too.

Prints TAP.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import integrate


def pages(manifest):
    """Ours, and those with lines of ours, by their paths in the tree."""
    files = set(manifest["copies"]) | {insert["file"] for insert in manifest["inserts"]}
    return sorted(file for file in files if re.fullmatch(r"Documentation/.*\.rst", file))


def folders(names):
    """What is rendered: the smallest that htmldocs renders with the references between them."""
    return sorted({name.split("/")[1] for name in names})


def render(tree, output, names):
    shutil.rmtree(output, ignore_errors=True)  # of a page that did not change, Sphinx says nothing
    output.mkdir(parents=True)
    # With a slash: the kernel runs `make rustdoc`, without LLVM=1, if a folder is called `rust`.
    dirs = " ".join(f"{folder}/" for folder in folders(names))
    with open(output / "log", "w", encoding="utf-8") as log:
        subprocess.run(
            ["make", "htmldocs", f"SPHINXDIRS={dirs}", f"BUILDDIR={output}",
             f"SPHINXOPTS=-j{os.cpu_count()}"],
            cwd=tree, stdout=log, stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    return (output / "log").read_text(encoding="utf-8", errors="replace")


def not_rendered(tree, name, line):
    """Whether all that is wrong is that the target is in a folder that is not rendered."""
    if match := re.search(r"unknown document: '(/?)([^']+)'", line):
        base = tree / "Documentation" if match[1] else (tree / name).parent
        return (base / f"{match[2]}.rst").exists()
    if match := re.search(r"undefined label: '([^']+)'", line):
        label = re.compile(rf"^\s*\.\. _`?{re.escape(match[1])}`?:", re.M | re.I)
        return any(
            label.search(page.read_text(encoding="utf-8"))
            for page in (tree / "Documentation").rglob("*.rst")
        )
    return False


def messages(tree, log, name):
    """What Sphinx has said about a page."""
    place = re.compile(rf"(?:^|[ /]){re.escape(name)}[: ]")
    return [l for l in log.splitlines() if place.search(l) and not not_rendered(tree, name, l)]


def tables(text):
    """How many tables a page should have, by their last lines or by their directives.

    docutils is not asked: what it does not take for a table would be missing here as well.
    """
    rule = r"^[ \t]*(?:=+(?:[ \t]+=+)+|\+[-+]+\+)[ \t]*\n(?=[ \t]*\n|\Z)"
    directive = r"^[ \t]*\.\. (?:list|csv|flat)-table::"
    return len(re.findall(rule, text, re.M)) + len(re.findall(directive, text, re.M))


def rendered_tables(html):
    return len(re.findall(r"<table\b", html))


def missing_files(tree, text):
    """Files of Documentation/ that the page names and that the tree does not have."""
    named = set(re.findall(r"\bDocumentation/[\w./-]+\.(?:rst|txt|yaml)\b", text))
    return sorted(name for name in named if not (tree / name).exists())


def mistakes(tree, output, log, name):
    html = output / name.removeprefix("Documentation/").replace(".rst", ".html")
    if not html.exists():
        return [f"not rendered: see {output}/log"]
    text = (tree / name).read_text(encoding="utf-8")
    found = messages(tree, log, name)
    there, expected = rendered_tables(html.read_text(encoding="utf-8")), tables(text)
    if there != expected:
        found.append(f"{there} tables in the HTML, {expected} in the source")
    return found + [f"{file} does not exist" for file in missing_files(tree, text)]


def main():
    tree, output = (Path(arg).resolve() for arg in sys.argv[1:])
    names = pages(integrate.read_manifest(tree))
    log = render(tree, output, names)
    print("TAP version 13")
    print(f"1..{len(names)}")
    failed = False
    for number, name in enumerate(names, 1):
        found = mistakes(tree, output, log, name)
        failed |= bool(found)
        print(f"{'not ok' if found else 'ok'} {number} {name}")
        for line in found:
            print(f"# {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
