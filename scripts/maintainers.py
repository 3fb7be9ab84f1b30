#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks which sections of the kernel's MAINTAINERS own our files.

    maintainers.py TREE    compares the tree's file with config/maintainers.toml

Prints TAP: a test for each of our files that the tree has, and one for each set of sections that
own files of ours, for which get_maintainer.pl must name a person.
"""

import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import integrate

REPO = Path(__file__).resolve().parent.parent


@functools.cache
def regex(pattern):
    """Returns the regular expression that get_maintainer.pl makes of a file pattern."""
    text = re.escape(pattern)
    text = text.replace(r"\*\*", "\0").replace(r"\*", ".*").replace(r"\?", ".")
    # It escapes dots only, so a character class is one.
    text = text.replace(r"\[", "[").replace(r"\]", "]").replace("\0", ".*")
    return re.compile(text)


def matches(pattern, path):
    """Returns whether a pattern matches; only that of a folder matches files in subfolders."""
    if not regex(pattern).match(path):
        return False
    return pattern.endswith("/") or "**" in pattern or path.count("/") == pattern.count("/")


def sections(text):
    """Returns {section: (file patterns, excluded patterns, whether it has a maintainer)}."""
    found, name = {}, None
    for line in text.splitlines():
        if match := re.match(r"([A-Z]):\s*(.*)", line):
            if name is None:
                continue
            key, value = match.groups()
            files, excluded, _ = found.setdefault(name, ([], [], False))
            if key == "F":
                files.append(value)
            elif key == "X":
                excluded.append(value)
            elif key == "M":
                found[name] = (files, excluded, True)
        elif line.strip() and not line.startswith("#"):
            name = line
    return found


def owners(known, path):
    """Returns the sections that own a file."""
    return {
        name
        for name, (files, excluded, _) in known.items()
        if any(matches(pattern, path) for pattern in files)
        and not any(matches(pattern, path) for pattern in excluded)
    }


def wanted(config, path):
    """Returns the sections that should own a file: patterns there match in subfolders, too."""
    return {
        name
        for name, patterns in config["sections"].items()
        if any(
            regex(pattern).match(path) and (pattern[-1] in "/*" or pattern == path)
            for pattern in patterns
        )
    }


def compare(config, known, paths):
    """Returns {path: what is wrong, or None}."""
    general = set(config["general"]["sections"])
    result = {}
    for path in paths:
        want, have = wanted(config, path), owners(known, path) - general
        wrong = [f"{name} has no line for it" for name in sorted(want - have)]
        wrong += [f"{name} owns it, and should not" for name in sorted(have - want)]
        if not want:
            wrong.append("belongs to no section")
        if want and not any(known[name][2] for name in want & have):
            wrong.append("no section that owns it has a maintainer")
        result[path] = "; ".join(wrong) or None
    return result


def representatives(config, paths):
    """Returns one file for each set of sections."""
    return sorted({frozenset(wanted(config, path)): path for path in reversed(paths)}.values())


def people(tree, path):
    """Returns how many maintainers get_maintainer.pl finds, without those of THE REST."""
    options = ["--nogit", "--nogit-fallback", "--nor", "--nol", "--norolestats", "--roles"]
    command = ["perl", "scripts/get_maintainer.pl", *options, "-f", path]
    found = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout
    return sum("@" in line and "THE REST" not in line for line in found.splitlines())


def load(repo):
    return tomllib.loads((repo / "config/maintainers.toml").read_text(encoding="utf-8"))


def main():
    tree = Path(sys.argv[1])
    config = load(REPO)
    known = sections((tree / "MAINTAINERS").read_text(encoding="utf-8"))
    series, _ = integrate.kernel_version(tree)
    paths = [path for path in integrate.load_copies(REPO, series) if (tree / path).exists()]
    chosen = representatives(config, paths)
    failed = False
    print(f"1..{len(paths) + len(chosen)}")
    for path, wrong in compare(config, known, paths).items():
        print(f"{'not ok' if wrong else 'ok'} {path}" + (f": {wrong}" if wrong else ""))
        failed |= wrong is not None
    for path in chosen:
        found = people(tree, path)
        print(f"{'ok' if found else 'not ok'} get_maintainer.pl {path} # {found} people")
        failed |= not found
    sys.exit(failed)


if __name__ == "__main__":
    main()
