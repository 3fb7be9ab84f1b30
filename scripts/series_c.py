# SPDX-License-Identifier: GPL-2.0
"""Finds which of our C functions the Rust code of a state of the series needs."""

import functools
import re

import functions
import pieces

# Items of C that can be left out, besides functions.
C_ITEM = re.compile(r"^(?:#define (\w+)|(?:struct|enum|union) (\w+) \{)", re.M)
# A variable of functions that the kernel calls.
TABLE = re.compile(r"^static (?:const )?struct \w+ \w+ = \{\n(.*?)^\};", re.M | re.S)
# What the kernel calls when it boots, without another caller.
INITCALL = re.compile(r"\w+_initcall\b(?:\((\w+)\);)?")


@functools.lru_cache(maxsize=None)
def c_items(text):
    """Returns {name: [pieces]} of the items; a prototype is a piece of its function."""
    found = {}
    for function in functions.of_c(text):
        found.setdefault(function.name, set()).add(f"{function.name}()")
    for line in text.split("\n"):
        if match := re.match(r"(?=\w)(?!typedef|struct \w+;|return)[^=;({]*?\b(\w+)\([^{]*$", line):
            found.setdefault(match[1], set()).add(f"{match[1]}()")
    for match in C_ITEM.finditer(text):
        name = match[1] or match[2]
        found.setdefault(name, set()).add(match[0].strip())
    return {
        name: sorted(names)
        for name, names in found.items()
        if not name.startswith(("EXPORT_", "MODULE_", "_LINUX_")) and not INITCALL.match(name)
    }


@functools.lru_cache(maxsize=None)
def c_words(text):
    return frozenset(re.findall(r"\w+", re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)))


def used_c(full, texts, called):
    """Returns `texts`, its C files without the items that are not needed.

    Needed are the functions in `called`, and what they use. `full` has all sources as they are.
    """
    ours = {
        p for p in texts if re.match(r"(drivers|fs|include|kernel|mm|rust/helpers)/.*\.[ch]$", p)
    }
    items = {}  # {name: the words of all its pieces}
    tables = set()  # the words of the tables, which are no items: they are always there
    for path in ours:
        lines = pieces.lines_of(texts[path])
        for name, found in c_items(texts[path]).items():
            for piece in found:
                first, last = pieces.extent(texts[path], piece)
                items.setdefault(name, set()).update(c_words("\n".join(lines[first:last])))
        for table in TABLE.findall(texts[path]):
            tables |= c_words(table)
    # bindgen puts the name of an enum before those of its values.
    called = called | {name for name in items if any(c.startswith(f"{name}_") for c in called)}
    used, todo = set(), {name for name in items if name.removeprefix("rust_helper_") in called}
    todo |= {name for p in ours for name in INITCALL.findall(texts[p]) if name in items}
    todo |= tables & set(items)
    while todo:
        used |= todo
        todo = {word for name in todo for word in items[name] if word in items} - used
    # The prototype of a function goes with it, whichever file has the function.
    there = {name for p in ours if p.endswith(".c") for name in c_items(texts[p])}
    functions_of_c = {name for p, t in full.items() if p.endswith(".c") for name in c_items(t)}
    result = dict(texts)
    for path in ours:
        unused = [
            piece
            for name, found in c_items(texts[path]).items()
            if name not in used or (name in functions_of_c and name not in there)
            for piece in found
        ]
        if unused:
            text = pieces.without_empty_conditions(pieces.cut(texts[path], unused))
            result[path] = without_headings(full[path], text)
    return result


def headings(text):
    """Returns {comment: whether it has something below it} of the comments that stand alone."""
    found = {}
    for match in re.finditer(r"(?<=\n\n)/\*(?:[^*]|\*(?!/))*\*/\n(?=\n|/\*|#endif)", text):
        below = text[match.end() :].lstrip("\n")
        found[match[0]] = bool(below) and not below.startswith(("/*\n", "#endif"))
    return found


def without_headings(full, text):
    """Returns the text without comments that have nothing below them, other than in `full`."""
    before = headings(full)
    for comment, is_of_use in headings(text).items():
        if not is_of_use and before.get(comment):
            text = text.replace(comment + "\n", "", 1) if comment + "\n" in text else text
    return text
