#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs clippy on our Rust code in a built tree.

    clippy.py TREE [OUT SOURCE]

The crates are compiled once more, as far as clippy needs it, with the commands that built them;
nothing in the tree is built anew. The kernel's Makefile and .clippy.toml say what clippy looks for:
a SAFETY comment at each block of unsafe code, and a section "Safety" in the documentation of each
unsafe function, also of private ones, among other things. What it finds in upstream's files of the
`kernel` crate does not count, unless lines of ours are in them.

With OUT and SOURCE, it is the crates of a driver outside of the tree instead: the folder with what
was built of it, and the one with its source.

Prints TAP.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import integrate
from compile_fail import saved_command


def crates(tree, copies):
    """The `kernel` crate and the modules, as "folder/name"."""
    samples = [path[:-3] for path in copies if re.fullmatch(r"samples/.*\.rs", path)]
    return ["rust/kernel", *sorted(s for s in samples if built(tree, s))]


def built(tree, crate):
    folder, name = os.path.split(crate)
    return (tree / folder / f".{name}.o.cmd").exists()


def crates_of_driver(out, source):
    """The files that were built, as a module or as a part of one."""
    files = (file.relative_to(source).with_suffix("") for file in source.rglob("*.rs"))
    return sorted(str(file) for file in files if built(out, file))


def compile_crate(tree, folder, crate):
    """What clippy has printed, one JSON object a line. The crate was built in the folder."""
    line = re.sub(r"\brustc\b", "clippy-driver", saved_command(folder, crate), count=1)
    with tempfile.TemporaryDirectory() as out:
        return subprocess.run(
            f"{line} --emit=metadata --out-dir {out} --error-format=json",
            shell=True, cwd=folder, capture_output=True, text=True, check=False,
            # What the kernel's Makefile exports.
            env={**os.environ, "RUSTC_BOOTSTRAP": "1", "CLIPPY_CONF_DIR": str(tree)},
        )


def file_of(span):
    return span["file_name"].removeprefix("./")


def findings(stderr, is_ours):
    """What was found where is_ours(span), as the compiler shows it."""
    found = []
    for line in stderr.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        # Those without a place count the others.
        if any(is_ours(span) for span in message.get("spans", ())):
            found.append(message["rendered"])
    return found


def main():
    tree, *driver = (Path(argument).resolve() for argument in sys.argv[1:])
    if driver:
        folder, source = driver
        names = crates_of_driver(folder, source)

        def is_ours(span):
            # A name that is relative is so to the folder, which has no source.
            return Path(span["file_name"]).is_relative_to(source)
    else:
        folder = tree
        manifest = integrate.read_manifest(tree)
        names = crates(tree, manifest["copies"])
        ours = set(manifest["copies"]) | {insert["file"] for insert in manifest["inserts"]}

        def is_ours(span):
            return file_of(span) in ours

    print("TAP version 13")
    print(f"1..{len(names)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda name: compile_crate(tree, folder, name), names)
        for number, (name, result) in enumerate(zip(names, results), 1):
            found = findings(result.stderr, is_ours)
            if result.returncode and not found:
                found = ["it does not compile:\n", result.stderr]
            failed += bool(found)
            print(f"{'not ok' if found else 'ok'} {number} {name}")
            for line in "".join(found).splitlines():
                print(f"# {line}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
