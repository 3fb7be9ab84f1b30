# SPDX-License-Identifier: GPL-2.0
"""Finds what in our Rust sources names a file or an item that a state of the series lacks."""

import functools
import re
from pathlib import PurePosixPath

import layers
import pieces


class Rust:
    """The modules of ours, and the names that they define."""

    def __init__(self, full, inserts):
        self.full = {path: text for path, text in full.items() if path.endswith(".rs")}
        self.module_of = {
            module(path): path for path in self.full if path.startswith("rust/kernel/")
        }
        self.defined = {path: defined(text) for path, text in self.full.items()}
        self.words = {path: words(text) for path, text in self.full.items()}
        # What modules re-export: {path: path that it stands for}.
        self.handed_on = {}
        for path, text in [*self.full.items(), *((i["file"], i["text"]) for i in inserts)]:
            if path.startswith("rust/kernel/") and path.endswith(".rs"):
                for match in pieces.USE.finditer(text):
                    if match[2].startswith("pub"):
                        tree = pieces.parse_tree(re.sub(r"//[^\n]*", "", match[3]))
                        for leaf in pieces.leaves(tree):
                            name = leaf[-1].split(" as ")[-1]
                            target = (*leaf[:-1], leaf[-1].split(" as ")[0])
                            self.handed_on[(*module(path), name)] = absolute(target, module(path))

    def resolve(self, path):
        """Returns (file, name in it or None) for the path of an item of ours, else None."""
        for _ in range(8):
            for at in range(len(path), 0, -1):
                if path[:at] in self.handed_on:
                    path = self.handed_on[path[:at]] + path[at:]
                    break
            else:
                break
        for at in range(len(path), 0, -1):
            if path[:at] in self.module_of:
                return self.module_of[path[:at]], path[at] if at < len(path) else None
        return None

    def is_absent(self, path, there):
        """Returns whether a path, from the crate on, names something of ours that is absent."""
        found = self.resolve(path)
        if not found:
            return False
        file, name = found
        if file not in there:
            return True
        return name in self.defined[file] and name not in there[file]

    def only_what_is_there(self, path, text, there):
        """Returns a source without module declarations, imports and examples of absent things.

        `there` is {path: names that the file defines}, of the sources that are there.
        """
        here = module(path) if path.startswith("rust/kernel/") else None

        def keep(leaf, start):
            if (target := absolute(leaf, here)) and self.is_absent(target, there):
                return False
            name = leaf[-1].split(" as ")[-1]
            name = leaf[-2] if name == "self" else name
            if path not in self.full or start != "use" or name == "*":
                return True
            # The code that used the import may have been left out.
            return name not in self.words[path] or name in left

        text = self.without_modules(path, text, there)
        left = words(text)
        text = pieces.filter_uses(text, keep)
        return pieces.without_examples(text, lambda source: self.is_held(source, there))

    def without_modules(self, path, text, there):
        if not path.startswith("rust/kernel/"):
            return text
        here = module(path)
        absent = [
            name
            for name in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", text, re.M)
            if (file := self.module_of.get((*here, name))) and file not in there
        ]
        return pieces.cut(text, [f"mod {name};" for name in absent]) if absent else text

    def is_held(self, source, there):
        """Returns whether an example names something that is absent."""
        for found in layers.paths(source):
            if found[0] in ("kernel", "crate") and self.is_absent(tuple(found[1:]), there):
                return True
        for found in re.findall(r"\bkernel(?:::\w+)+", source):
            if self.is_absent(tuple(found.split("::")[1:]), there):
                return True
        return bool(set(re.findall(r"(?:\.|::|\bfn |\bconst )(\w+)", source)) & self.missing(there))

    def missing(self, there):
        """Returns the names of ours that no source defines which is there."""
        return self.all_names(tests=False).difference(COMMON, *there.values())

    @functools.cache
    def all_names(self, tests):
        return frozenset().union(
            *(
                names
                for path, names in self.defined.items()
                if path.startswith("rust/kernel/") and (tests or "/tests" not in path)
            )
        )


# Names that we define, and that most sources use for something else.
COMMON = set(
    "EIO ENOMEM Frames LOCKED access address as_ptr as_raw borrow close data deref drop end fault"
    " file fill flags fold from from_raw get is_empty len lock map memory mmap name new next open page"
    " pages path range read read_only release slice start write".split()
)


def named(text):
    """Returns the names in a source that may be items: in capitals, in a path, or called."""
    tokens = [token for token, _ in pieces.located_tokens(pieces.USE.sub("\n", text))]
    local = {
        b for a, b in zip(tokens, tokens[1:]) if a in ("let", "mut", "for", "fn", "|", ",", "(")
    }
    found = set()
    for before2, before, name, after in zip(
        ["", ""] + tokens, [""] + tokens, tokens, tokens[1:] + [""]
    ):
        if re.match(r"[A-Z]\w", name):
            found.add(name)
        elif before == "::":
            found |= {name} if before2 not in ("bindings", "core") else set()
        elif (
            re.match(r"[a-z]\w", name)
            and after in ("(", "!")
            and (before == "." or name not in local)
        ):
            found.add(name)
    return found


@functools.lru_cache(maxsize=None)
def defined(text):
    return frozenset(pieces.defined(text))


@functools.lru_cache(maxsize=None)
def words(text):
    return frozenset(pieces.words(text))


def module(path):
    """Returns the path of the module that is in a file of rust/kernel/."""
    parts = PurePosixPath(path).with_suffix("").parts[2:]
    return parts[:-1] if parts and parts[-1] in ("lib", "mod") else parts


def absolute(leaf, here):
    """Returns the path of an import from the crate on, or None; `here` is the module it is in."""
    leaf = tuple(leaf)
    if leaf[-1].split(" as ")[0] in ("self", "*"):
        leaf = leaf[:-1]
    else:
        leaf = (*leaf[:-1], leaf[-1].split(" as ")[0])
    if not leaf:
        return None
    if leaf[0] in ("crate", "kernel"):
        return leaf[1:]
    if here is None:
        return None
    if leaf[0] == "self":
        return (*here, *leaf[1:])
    if leaf[0] == "super":
        while leaf and leaf[0] == "super":
            leaf, here = leaf[1:], here[:-1]
        return (*here, *leaf)
    # A module below this one, or another crate: that has no file of ours.
    return (*here, *leaf)
