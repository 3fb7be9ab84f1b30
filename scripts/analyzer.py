#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes rust-project.json for rust-analyzer, with our files where they lie in the repository.

    analyzer.py REPO TREE ROOT OUT [DRIVER]

The kernel's generator has written TREE/rust-project.json, with the paths that it has seen: ROOT is
where the folder lies in which it ran (/ if it was the machine's own root), and TREE where the
tree lies. The result is on standard output.

A crate whose root is ours has it in the repository. The root of the `kernel` crate is upstream's,
and so are the modules that ours are in, but rust-analyzer looks for a module beside the file that
declares it. So OUT/lib.rs is written: the root of the crate with those modules in place, and
`#[path]` says for each module inside them in which of the two it is.

With DRIVER, the modules of that folder are crates, too.
"""

import json
import os
import re
import sys
from pathlib import Path

KERNEL = "rust/kernel"
MODULE = re.compile(r"^(?P<head>(?:pub(?:\([\w ]+\))? )?mod (?P<name>\w+));$", re.M)
# Where the tree is in the root file system (scripts/lib/toolchain.sh).
BUILD_TREE = "/build/linux"


def relative(path, folder):
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))


def source(repo, tree, out):
    """The root of the `kernel` crate."""
    ours, theirs = repo / KERNEL, tree / KERNEL

    def module(at, head, name, text):
        return f'#[path = "{at}"]\n{head} {{\n{text}}} // {name}'

    def inside(name):
        """One of the modules that ours are in."""
        def replace(match):
            child = match["name"]
            if any((ours / name / path).exists() for path in (f"{child}.rs", f"{child}/mod.rs")):
                return match[0]
            file = theirs / name / f"{child}.rs"
            if not file.exists():
                file = theirs / name / child / "mod.rs"
            elif (theirs / name / child).is_dir():
                at = relative(theirs / name / child, ours / name)
                return module(at, match["head"], child, file.read_text(encoding="utf-8"))
            return f'#[path = "{relative(file, ours / name)}"]\n{match[0]}'

        return MODULE.sub(replace, (theirs / f"{name}.rs").read_text(encoding="utf-8"))

    def top(match):
        name = match["name"]
        file = theirs / f"{name}.rs"
        if (ours / name).is_dir() and file.exists():
            return module(relative(ours / name, out), match["head"], name, inside(name))
        if file.exists() and (theirs / name).is_dir():
            at = relative(theirs / name, out)
            return module(at, match["head"], name, file.read_text(encoding="utf-8"))
        if not file.exists():
            file = theirs / name / "mod.rs"
        return f'#[path = "{relative(file, out)}"]\n{match[0]}'

    return MODULE.sub(top, (theirs / "lib.rs").read_text(encoding="utf-8"))


def translate(value, tree, root):
    """Paths as the generator has seen them, to where they are."""
    if isinstance(value, dict):
        return {key: translate(item, tree, root) for key, item in value.items()}
    if isinstance(value, list):
        return [translate(item, tree, root) for item in value]
    if isinstance(value, str) and root != Path("/"):
        if value == BUILD_TREE or value.startswith(BUILD_TREE + "/"):
            return str(tree) + value[len(BUILD_TREE):]
        if value.startswith("/"):
            return str(root) + value
    return value


def project(generated, repo, tree, root, out):
    """What the generator has made, with our files in the repository."""
    result = translate(generated, tree, root)
    for crate in result["crates"]:
        if crate["display_name"] == "kernel":
            crate["root_module"] = str(out / "lib.rs")
            crate["source"]["include_dirs"] += [str(out), str(repo / "rust")]
        path = Path(crate["root_module"])
        if path.is_relative_to(tree) and (repo / path.relative_to(tree)).exists():
            crate["root_module"] = str(repo / path.relative_to(tree))
    return result


def add_driver(result, driver):
    """The modules of a folder, as the samples are."""
    sample = next(c for c in result["crates"] if c["display_name"] == "rust_mmap")
    kbuild = "".join(f.read_text() for f in map(driver.joinpath, ("Kbuild", "Makefile")) if f.exists())
    for path in sorted(driver.glob("*.rs")):
        if re.search(rf"\b{path.stem}\.o\b", kbuild):
            result["crates"].append(
                {**sample, "display_name": path.stem, "root_module": str(path)}
            )


def main(arguments):
    repo, tree, root, out, *driver = map(Path, arguments)
    generated = json.loads((tree / "rust-project.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "lib.rs").write_text(source(repo, tree, out), encoding="utf-8")
    result = project(generated, repo, tree, root, out)
    for folder in driver:
        add_driver(result, folder)
    json.dump(result, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
