#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Documents the `kernel` crate and our modules with rustdoc, in a built tree.

    rustdoc.py TREE OUTPUT

It runs with the commands that built them, against the crates that are there: `core` and the others,
which `make rustdoc` of the kernel documents first, are not documented, and nothing in the tree is
built anew. A crate passes if rustdoc warns of nothing in lines of ours (a link without a target,
for example), and the files exist that their links name (`srctree/...`). Warnings about upstream's
lines do not count. The pages of the `kernel` crate are in OUTPUT/kernel.

Prints TAP.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import clippy
import integrate
from compile_fail import saved_command

KERNEL = "rust/kernel"

# Where the pages of `core` are.
CORE = "https://doc.rust-lang.org/"


def command(tree, crate, output):
    line = re.sub(r"\brustc\b", "rustdoc", saved_command(tree, crate), count=1)
    # Nothing of a module is public.
    private = "" if crate == KERNEL else (
        "--document-private-items -Arustdoc::private_intra_doc_links"
    )
    line += f" --extern-html-root-url core={CORE} {private}"
    return f"{line} --out-dir {output} --error-format=json"


def document(tree, crate, output):
    """What rustdoc has printed, one JSON object a line."""
    return subprocess.run(
        command(tree, crate, output),
        shell=True, cwd=tree, capture_output=True, text=True, check=False,
        # What the kernel's Makefile exports.
        env={**os.environ, "RUSTC_BOOTSTRAP": "1"},
    )


def our_lines(tree, manifest):
    """{file: the lines that are ours, or None for all}."""
    ours = {file: None for file in manifest["copies"]}
    for insert in manifest["inserts"]:
        text = (tree / insert["file"]).read_text(encoding="utf-8")
        at = text.find(insert["text"]) if insert["text"] else -1
        if at >= 0:
            first = text.count("\n", 0, at) + 1
            lines = range(first, first + insert["text"].count("\n"))
            ours.setdefault(insert["file"], set()).update(lines)
    return ours


def is_ours(span, ours):
    lines = ours.get(clippy.file_of(span), set())
    return lines is None or not lines.isdisjoint(range(span["line_start"], span["line_end"] + 1))


def missing_files(tree, ours):
    """Links in our lines to files of the tree that are not there."""
    found = []
    for file, lines in sorted(ours.items()):
        if not file.endswith(".rs"):
            continue
        for number, line in enumerate((tree / file).read_text(encoding="utf-8").split("\n"), 1):
            for name in re.findall(r"\(srctree/([^)#]+)", line):
                if (lines is None or number in lines) and not (tree / name).exists():
                    found.append(f"{file}:{number}: srctree/{name} does not exist\n")
    return found


def main():
    tree, output = (Path(arg).resolve() for arg in sys.argv[1:])
    manifest = integrate.read_manifest(tree)
    ours = our_lines(tree, manifest)
    names = clippy.crates(tree, manifest["copies"])
    shutil.rmtree(output, ignore_errors=True)
    print("TAP version 13")
    print(f"1..{len(names)}")
    failed = False
    for number, name in enumerate(names, 1):
        result = document(tree, name, output)
        found = clippy.findings(result.stderr, lambda span: is_ours(span, ours))
        if result.returncode and not found:
            found = ["rustdoc failed:\n", result.stderr]
        if name == KERNEL:
            found += missing_files(tree, ours)
        failed |= bool(found)
        print(f"{'not ok' if found else 'ok'} {number} {name}")
        for line in "".join(found).splitlines():
            print(f"# {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
