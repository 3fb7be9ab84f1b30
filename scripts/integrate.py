#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Lay this repository over a Linux source tree, or take it out again.

    integrate.py TREE            lay it over (again: only what changed is written)
    integrate.py --only F TREE   only what is in the folder F, or in several of them, and no lines in
                                 upstream's files
    integrate.py --also F TREE   also what is in the folder F, which has the same folders, and an
                                 integration.toml
    integrate.py --remove TREE   restore the tree

Folders of ours are copied; lines that upstream's own files need are inserted,
or take the place of upstream's, as integration.toml says. What one series of the
kernel needs besides is in series/<series>/, in the same folders and with an
integration.toml of its own, which is applied after the common one; so is that of
a folder that only some variants need, such as bench/. What was done, and what was
taken out, is recorded in TREE/.rust-mm.json, so that a newer state of the repository
replaces the older one, and removal gives upstream's files back byte for byte.

Everything is computed before anything is written: an error leaves the tree as
it was.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path, PurePosixPath

MANIFEST = ".rust-mm.json"

# Our folder -> where it lies in the tree.
FOLDERS = {
    "Documentation": "Documentation",
    "drivers": "drivers",
    "fs": "fs",
    "include": "include",
    "kernel": "kernel",
    "mm": "mm",
    "rust": "rust",
    "samples": "samples",
    "selftests": "tools/testing/selftests",
}

# What editors and merges leave behind.
JUNK = ("*~", "*.orig", "*.rej", ".*.sw?", "__pycache__", "*.pyc")

# What kbuild leaves in a folder; the rest is named by the .gitignore we copied there.
PRODUCTS = (".*.cmd", ".*.d", "*.o", "*.ko", "*.mod", "*.mod.c", "*.a", "modules.order")

INSERT_KEYS = {
    "file", "after", "before", "replace", "remove", "until", "within", "text", "text_file"
}

# As `until`: all lines to the end of the file.
END = "<end of file>"

# Where the text goes, seen from its anchor.
SIDES = ("after", "before", "replace", "remove")

# How many lines on each side say where something was removed.
CONTEXT = 3


class Error(Exception):
    """Something the user has to look at; nothing was written."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def kernel_version(tree):
    """Returns the (series, full) version of the tree, e.g. ("7.3", "7.3.4")."""
    try:
        head = (tree / "Makefile").read_text()[:4096]
        fields = {
            key: re.search(rf"^{key} *= *(\S*)", head, re.M)[1]
            for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")
        }
    except (OSError, TypeError, UnicodeDecodeError):
        raise Error(f"{tree}: not a Linux source tree") from None
    series = f"{fields['VERSION']}.{fields['PATCHLEVEL']}"
    return series, f"{series}.{fields['SUBLEVEL']}{fields['EXTRAVERSION']}"


def folders_for(repo, series, also=()):
    """Where files and insertions for a series are: the common ones, its own, and those of a variant."""
    return repo, repo / "series" / series, *(repo / folder for folder in also)


# --- insertions ---------------------------------------------------------------


def load_inserts(repo, series, also=()):
    """Returns the insertions for this series as plain dictionaries."""
    return [
        insert
        for folder in folders_for(repo, series, also)
        for insert in read_inserts(repo, folder / "integration.toml")
    ]


def read_inserts(repo, path):
    name = path.relative_to(repo)
    try:
        entries = tomllib.loads(path.read_text()).get("insert", [])
    except FileNotFoundError:
        entries = []
    except tomllib.TOMLDecodeError as err:
        raise Error(f"{name}: {err}") from None

    inserts = []
    for number, entry in enumerate(entries, 1):
        where = f"{name}: insert {number}"
        if unknown := set(entry) - INSERT_KEYS:
            raise Error(f"{where}: unknown key {', '.join(sorted(unknown))}")
        if "file" not in entry:
            raise Error(f"{where}: no file")
        sides = [side for side in SIDES if side in entry]
        if len(sides) != 1:
            raise Error(f"{where}: needs one of {', '.join(SIDES)}")
        side = sides[0]
        if side == "remove":
            if "text" in entry or "text_file" in entry:
                raise Error(f"{where}: replace is what has a text, not remove")
        elif ("text" in entry) == ("text_file" in entry):
            raise Error(f"{where}: needs either text or text_file")
        if "until" in entry and side not in ("replace", "remove"):
            raise Error(f"{where}: until is for replace and remove")
        if "text_file" in entry:
            try:
                text = (repo / entry["text_file"]).read_text()
            except OSError as err:
                raise Error(f"{where}: {err.filename}: {err.strerror}") from None
        else:
            text = entry.get("text", "")
        if side != "remove" and not text.endswith("\n"):
            text += "\n"
        inserts.append(
            {
                "file": entry["file"],
                "side": side,
                "anchor": entry[side],
                "until": entry.get("until"),
                "within": entry.get("within"),
                "text": text,
                "text_file": entry.get("text_file"),
            }
        )
    return inserts


def split(text):
    """Lines with their ends; unlike str.splitlines, "\\n" alone ends a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def positions(lines, block):
    """Where the block of lines occurs."""
    size = len(block)
    return [i for i in range(len(lines) - size + 1) if lines[i : i + size] == block]


def start_of_search(lines, insert, error):
    if insert["within"] is None:
        return 0
    found = positions(lines, [insert["within"] + "\n"])
    if len(found) != 1:
        raise error(f"the `within` line {insert['within']!r}", len(found))
    return found[0]


def apply(text, insert, version):
    """Returns the text with the insertion made, and what the manifest is to say of it."""

    def error(what, count):
        state = "is not there" if count == 0 else f"is there {count} times"
        return Error(f"{insert['file']}: {what} {state} in Linux {version}")

    lines = split(text)
    start = start_of_search(lines, insert, error)
    found = [i for i in positions(lines, [insert["anchor"] + "\n"]) if i >= start]
    if not found or (insert["within"] is None and len(found) != 1):
        raise error(f"the anchor {insert['anchor']!r}", len(found))
    at = found[0] + (insert["side"] == "after")
    rest = found[0] + (insert["side"] != "before")
    if insert["until"] == END:
        rest = len(lines)
    elif insert["until"] is not None:
        last = [i for i in positions(lines, [insert["until"] + "\n"]) if i >= rest]
        if not last:
            raise error(f"the `until` line {insert['until']!r} after {insert['anchor']!r}", 0)
        rest = last[0] + 1
    if insert["side"] in ("replace", "remove"):
        insert = insert | {"removed": "".join(lines[at:rest])}
    if insert["side"] == "remove":
        insert["above"] = "".join(lines[max(at - CONTEXT, start) : at])
        insert["below"] = "".join(lines[rest : rest + CONTEXT])
    result = "".join(lines[:at] + split(insert["text"]) + lines[rest:])
    if revert(result, insert) != text:
        raise Error(f"{insert['file']}: could not be taken out again: {insert['anchor']!r}")
    return result, insert


def revert(text, insert):
    """Returns the text with the insertion taken out.

    A text without it stays as it is: someone restored the file already.
    """

    def error(what, count):
        return Error(
            f"{insert['file']}: {what} is there {count} times;"
            f" cannot tell which lines are ours"
        )

    lines, ours = split(text), split(insert["text"])
    # Upstream's lines above and below ours.
    above, below = [], []
    if insert["side"] == "remove":
        above, below = split(insert["above"]), split(insert["below"])
        if positions(lines, above + split(insert["removed"]) + below):
            return text
    elif not positions(lines, ours):
        if partly := [line for line in ours if line.strip() and line in lines]:
            # A line such as "}" is no evidence; one that says something is.
            telling = [line for line in partly if len(re.findall(r"\w", line)) > 8]
            if telling:
                raise Error(
                    f"{insert['file']}: the lines inserted there were edited"
                    f" (near {telling[0].strip()!r}); restore them first"
                )
        return text
    if insert["side"] == "after":
        above = [insert["anchor"] + "\n"]
    if insert["side"] == "before":
        below = [insert["anchor"] + "\n"]
    block = above + ours + below
    start = start_of_search(lines, insert, error)
    found = [i for i in positions(lines, block) if i >= start]
    if not found:
        raise Error(
            f"{insert['file']}: the lines around what was put in or taken out at"
            f" {insert['anchor']!r} were edited; restore that first"
        )
    if len(found) > 1 and insert["within"] is None:
        raise error("the insertion", len(found))
    at = found[0] + len(above)
    # Of one line, the manifests of older states do not record it.
    replaced = insert["anchor"] + "\n" if insert["side"] == "replace" else ""
    theirs = split(insert.get("removed", replaced))
    return "".join(lines[:at] + theirs + lines[at + len(ours) :])


# --- copies -------------------------------------------------------------------


def is_junk(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in JUNK)


def load_copies(repo, series, only=(), also=()):
    """Returns {path in the tree: (content, executable)} of our files, or of those in some folders.

    A file that is the text of an insertion is in the tree by that.
    """
    copies = {}
    folders = {folder: FOLDERS[folder] for folder in only or FOLDERS}
    inserts = load_inserts(repo, series, also)
    texts = {repo / insert["text_file"] for insert in inserts if insert["text_file"]}
    for base in folders_for(repo, series, also):
        for folder, target in folders.items():
            for source in files_below(base / folder):
                if source in texts:
                    continue
                path = str(PurePosixPath(target, source.relative_to(base / folder).as_posix()))
                if path in copies:
                    raise Error(f"{path}: is there for all series, and in {base.relative_to(repo)}")
                copies[path] = (source.read_bytes(), os.access(source, os.X_OK))
    return copies


def files_below(folder):
    for where, dirs, files in os.walk(folder):
        dirs[:] = sorted(d for d in dirs if not is_junk(d))
        for name in sorted(files):
            if not is_junk(name):
                yield Path(where, name)


def products(tree, folders, copies):
    """Build products in folders that we made, where git would call them untracked, and of our C files."""
    found = []
    for path in copies:
        if path.endswith(".c") and str(PurePosixPath(path).parent) not in folders:
            source = tree / path
            found += [*source.parent.glob(f"{source.stem}.o"), *source.parent.glob(f".{source.stem}.o.*")]
    for folder in folders:
        ignore = copies.get(f"{folder}/.gitignore")
        named = () if ignore is None else ignore.decode().split()
        base = tree / folder
        for path in sorted(base.iterdir()) if base.is_dir() else ():
            if path.is_dir() or str(path.relative_to(tree)) in copies:
                continue
            name = path.name
            patterns = PRODUCTS + tuple(p.lstrip("/") for p in named)
            if (
                any(fnmatch.fnmatchcase(name, p) for p in patterns)
                or (base / f".{name}.cmd").exists()
                or f"{folder}/{name}.c" in copies
            ):
                found.append(path)
    return found


# --- the tree -----------------------------------------------------------------


def read_manifest(tree):
    try:
        return json.loads((tree / MANIFEST).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Error(f"{tree / MANIFEST}: damaged; restore the tree by hand") from None


def write(path, data, mode):
    """Replaces the file: trees may share inodes with others (cp -l)."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".rust-mm.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def dump(manifest):
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()


class Plan:
    """What the tree is to become, computed in memory."""

    def __init__(self, tree):
        self.tree = tree
        self.series, self.version = kernel_version(tree)
        self.manifest = read_manifest(tree)
        # A run that was cut off left what it was about to do in "next": either
        # of the two states may be met, file by file.
        states = [self.manifest, self.manifest.get("next", {})]
        empty = {"inserts": [], "results": {}}
        self.states = [empty | state for state in states]
        self.known = {}
        self.made = []
        for state in states:
            for path, digest in state.get("copies", {}).items():
                self.known.setdefault(path, set()).add(digest)
            self.made += [d for d in state.get("folders", []) if d not in self.made]
        self.writes = {}  # path -> (bytes, mode)
        self.deletes = []
        self.texts = {}  # upstream files, with nothing of ours in them

    def text(self, file):
        if file not in self.texts:
            try:
                self.texts[file] = (self.tree / file).read_bytes().decode()
            except (OSError, UnicodeDecodeError):
                raise Error(f"{file}: not there in Linux {self.version}") from None
        return self.texts[file]

    def take_out(self):
        """Upstream's files without our lines."""
        for file in {i["file"] for state in self.states for i in state["inserts"]}:
            if (self.tree / file).exists():
                self.texts[file] = self.without_ours(file)

    def without_ours(self, file):
        text = self.text(file)
        digest = sha256(text.encode())
        # The state that left the file as it is, if there is one; else someone
        # has worked on the file since, and our lines have to be found in it.
        errors = []
        for state in sorted(self.states, key=lambda s: s["results"].get(file) != digest):
            try:
                result = text
                for insert in reversed(state["inserts"]):
                    if insert["file"] == file:
                        result = revert(result, insert)
            except Error as err:
                errors.append(err)
                continue
            if result != text:
                return result
        if errors:
            raise errors[0]
        return text  # someone restored it

    def put_in(self, inserts):
        """Makes the insertions; returns them as the manifest is to have them."""
        done = []
        for insert in inserts:
            file = insert["file"]
            self.texts[file], insert = apply(self.text(file), insert, self.version)
            done.append(insert)
        return done

    def check_copy(self, path):
        """Our copy in the tree must be what we left there; returns its bytes."""
        target = self.tree / path
        if not os.path.lexists(target):
            return None
        if path not in self.known:
            raise Error(f"{path}: Linux {self.version} has a file of this name already")
        data = target.read_bytes()
        if sha256(data) not in self.known[path]:
            raise Error(
                f"{path}: edited in the tree; take the change over into the repository"
                f" (or delete the file) first"
            )
        return data

    def copy(self, copies):
        for path, (data, executable) in copies.items():
            mode = 0o755 if executable else 0o644
            if path in self.known:
                # The same edit on both sides is no conflict.
                self.known[path].add(sha256(data))
            present = self.check_copy(path)
            if present != data or (self.tree / path).stat().st_mode & 0o777 != mode:
                self.writes[path] = (data, mode)
        for path in self.known:
            if path not in copies and self.check_copy(path) is not None:
                self.deletes.append(path)

    def new_folders(self, paths):
        """Folders of the given files that upstream does not have."""
        folders = set()
        for path in paths:
            for parent in PurePosixPath(path).parents:
                name = str(parent)
                if name in self.made or not (self.tree / name).exists():
                    folders.add(name)
        return sorted(folders)

    def commit(self, manifest):
        """Writes; returns whether anything changed."""
        for file, text in self.texts.items():
            path = self.tree / file
            if path.exists() and path.read_bytes() != text.encode():
                self.writes[file] = (text.encode(), path.stat().st_mode & 0o777)
        record = self.tree / MANIFEST
        if not self.writes and not self.deletes and self.manifest == manifest:
            return False
        if manifest or self.manifest:
            write(record, dump(self.manifest | {"next": manifest}), 0o644)
        for path, (data, mode) in self.writes.items():
            (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
            write(self.tree / path, data, mode)
        for path in self.deletes:
            (self.tree / path).unlink()
        for folder in sorted(set(self.made) - set(manifest.get("folders", [])), reverse=True):
            try:
                (self.tree / folder).rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                print(f"{folder}: left in the tree, it holds files that are not ours")
        if manifest:
            write(record, dump(manifest), 0o644)
        else:
            record.unlink(missing_ok=True)
        return True


def integrate(repo, tree, only=(), also=()):
    plan = Plan(tree)
    inserts = [] if only else load_inserts(repo, plan.series, also)
    copies = load_copies(repo, plan.series, only, also)
    plan.take_out()
    inserts = plan.put_in(inserts)
    plan.copy(copies)
    changed = plan.commit(
        {
            "kernel": plan.version,
            "results": {
                file: sha256(plan.texts[file].encode()) for file in {i["file"] for i in inserts}
            },
            "copies": {path: sha256(data) for path, (data, _) in copies.items()},
            "inserts": inserts,
            "folders": plan.new_folders(copies),
        }
    )
    state = "changed" if changed else "unchanged"
    print(f"{len(copies)} files, {len(inserts)} insertions ({state})")


def remove(tree):
    plan = Plan(tree)
    if not plan.manifest:
        print("nothing of ours in this tree")
        return
    plan.take_out()
    ours = {path: plan.check_copy(path) for path in plan.known}
    ours = {path: data for path, data in ours.items() if data is not None}
    left = products(tree, plan.made, ours)
    plan.copy({})
    plan.deletes += [str(path.relative_to(tree)) for path in left]
    plan.commit({})
    print(f"{len(ours)} files, {len(plan.states[0]['inserts'])} insertions taken out")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--remove", action="store_true", help="restore the tree")
    parser.add_argument(
        "--only", choices=FOLDERS, action="append", default=[], help="lay over only this folder"
    )
    parser.add_argument(
        "--also", action="append", default=[], help="lay over this folder of the repository as well"
    )
    parser.add_argument("tree", type=Path)
    args = parser.parse_args()
    try:
        if args.remove:
            remove(args.tree)
        else:
            integrate(Path(__file__).resolve().parent.parent, args.tree, args.only, args.also)
    except (Error, OSError) as err:
        sys.exit(f"integrate: {err}")


if __name__ == "__main__":
    main()
