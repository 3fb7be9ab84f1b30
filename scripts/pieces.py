# SPDX-License-Identifier: GPL-2.0
"""Finds pieces of a source by their names, and leaves them out.

The name of a piece is the start of the code on its first line, without `pub`, `unsafe` and so on:

    fn insert_page            an item, with its comments and attributes, to the end of its body
    impl Install for VmaRef
    revocation: Revocation,   a field; so are variants, statements and match arms
    if O::HAS_FAULT {
    rust_mm_folio_walk()      a C function or its prototype
    config SAMPLE_RUST_MMAP   a symbol of a Kconfig
    impl Probe > fn counts    the second one within the first one
    import prelude::*         one path of a `use` declaration
    rule $(OUTPUT)/pfnmap:    a line, and the lines below it that a tab indents

A source must have the piece exactly once.
"""

import functools
import re

from rust_lexer import located_tokens


class Mistake(Exception):
    """A piece that a source has not, or more than once."""


# What may stand before the first word.
QUALIFIERS = re.compile(
    r'(?:pub(?:\([^)]*\))?\s+|const\s+(?=fn|unsafe|extern)|async\s+|unsafe\s+|extern\s+"C"\s+)*'
)
# What ends with its body or a semicolon, and not with a comma.
ITEM = re.compile(
    r"(?:fn|impl|struct|enum|union|trait|mod|static|const|type|use|macro_rules!)\b|#define"
)

C_FUNCTION = re.compile(r"\w+\(\)$")

OPENING = dict(zip("([{", ")]}"))


def lines_of(text):
    return text.split("\n")


def is_comment(line):
    return line.strip().startswith(("//", "/*", "* ", "*/")) or line.strip() == "*"


@functools.lru_cache(maxsize=None)
def depths(text):
    """Returns for each line how many brackets are open at its end."""
    ends, depth, found, at = [m.end() for m in re.finditer("\n", text + "\n")], 0, [], 0
    for token, where in located_tokens(mask(text)):
        while where >= ends[at]:
            found.append(depth)
            at += 1
        if token in OPENING:
            depth += 1
        elif token in OPENING.values():
            depth -= 1
    return found + [depth] * (len(ends) - len(found))


def mask(text):
    """Returns the text with blanks for lines of C's preprocessor, which are no Rust."""
    return re.sub(r"^#(?!\[|!).*$", lambda m: " " * len(m[0]), text, flags=re.M)


def code(line):
    """Returns a line without the comment at its end."""
    return re.sub(r"\s*(//(?!/).*|/\*.*\*/)$", "", line).strip()


def begins(lines, at, name):
    """Returns whether the code from a line on starts with a name, qualifiers aside."""
    text = lines[at].strip()
    if is_comment(text):
        return text.startswith(name) and name.startswith("*")
    text = text[QUALIFIERS.match(text).end() :]
    if " " in name and not text.startswith(name):
        text = " ".join(
            [text, *(line.strip() for line in lines[at + 1 : at + 5] if not is_comment(line))]
        )
    if not text.startswith(name):
        return False
    return not re.search(r"\w$", name) or not re.match(r"\w", text[len(name) :])


def attached(lines, first):
    """Returns the first line of the comments and attributes above a line."""
    while first:
        above = lines[first - 1].strip()
        if above.startswith(("//", "#[")) and not above.startswith("//!"):
            first -= 1
        elif above.endswith("*/"):
            while not lines[first - 1].strip().startswith("/*"):
                first -= 1
            first -= 1
        elif above.endswith(")]"):
            # An attribute of several lines.
            at = first - 1
            while at and not lines[at].strip().startswith("#["):
                at -= 1
            if "".join(lines[at:first]).count("(") != "".join(lines[at:first]).count(")"):
                break
            first = at
        else:
            break
    return first


def end_of(lines, depth, first, name):
    """Returns the line after a piece that starts at `first`."""
    if name.startswith("config "):
        last = first + 1
        while last < len(lines) and (not lines[last] or lines[last][0] in "\t "):
            last += 1
        return last
    if lines[first].startswith("#"):
        last = first
        while lines[last].endswith("\\"):
            last += 1
        return last + 1
    if is_comment(lines[first]):
        last = first
        while "*/" not in lines[last]:
            last += 1
        return last + 1
    outside = depth[first - 1] if first else 0
    item = ITEM.match(name) or C_FUNCTION.match(name)
    for at in range(first, len(lines)):
        if depth[at] < outside:
            # The last one of a list, whose closing bracket is on this line.
            return at
        if depth[at] == outside and code(lines[at]).endswith(
            (";", "}") if item else (";", "}", ",")
        ):
            return at + 1
    raise Mistake(f"{name}: has no end")


def is_function(line, name):
    """Returns whether a C function of that name, or its prototype, starts on the line."""
    return re.match(r"(?![\s/*#])[^=;]*?(?<!\w)" + re.escape(name[:-2]) + r"\(", line)


@functools.lru_cache(maxsize=None)
def extent(text, name):
    """Returns the lines of a piece: (index of the first, index after the last)."""
    lines, low, high = lines_of(text), 0, None
    if name.startswith("rule "):
        return rule(lines, name.removeprefix("rule "))
    depth = depths(text) if not re.match(r"config ", name) else []
    high = len(lines)
    for part in name.split(" > "):
        if C_FUNCTION.match(part):
            found = [at for at in range(low, high) if is_function(lines[at], part)]
        else:
            found = [at for at in range(low, high) if begins(lines, at, part)]
        if len(found) != 1:
            raise Mistake(f"{name}: {part!r} is there {len(found)} times")
        low = found[0]
        high = end_of(lines, depth, low, part)
    if C_FUNCTION.match(name):
        # The type can be on a line of its own, and the line that exports the function follows it.
        while (
            low and re.match(r"[\w*]", lines[low - 1]) and not lines[low - 1].endswith((";", ":"))
        ):
            low -= 1
        while high < len(lines) and re.match(r"EXPORT_SYMBOL", lines[high]):
            high += 1
    if is_comment(lines[low]) and lines[low].strip().startswith("*"):
        while not lines[low].strip().startswith("/*"):
            low -= 1
        return low, high
    if not part.startswith("config ") and not is_comment(lines[low]):
        low = attached(lines, low)
    return low, high


def rule(lines, start):
    """Returns the lines of a rule: the one that starts like this, and its recipe."""
    found = [
        at
        for at, line in enumerate(lines)
        if line.startswith(start) and not re.match(r"\w", line[len(start) :])
    ]
    if len(found) != 1:
        raise Mistake(f"{start!r} is there {len(found)} times")
    last = found[0] + 1
    while last < len(lines) and lines[last].startswith("\t"):
        last += 1
    return found[0], last


def cut_lines(lines, first, last):
    """Returns the lines without these, and without a blank line that set them apart."""
    above, below = lines[:first], lines[last:]
    if (
        below
        and not below[0].strip()
        and (not above or not above[-1].strip() or above[-1].rstrip().endswith(("{", "(")))
    ):
        below = below[1:]
    elif above and not above[-1].strip() and below and re.match(r"\s*[})]", below[0]):
        above = above[:-1]
    return above + below


def cut(text, names):
    """Returns the text without the pieces. One piece may be in another one."""
    extents = sorted(extent(text, name) for name in names)
    outermost = []
    for first, last in extents:
        if not outermost or last > outermost[-1][1]:
            outermost.append((first, last))
    lines = lines_of(text)
    for first, last in reversed(outermost):
        lines = cut_lines(lines, first, last)
    return "\n".join(lines)


def replace(text, old, new):
    """Returns the text with lines that it has exactly once replaced.

    The comparison ignores indentation, and comments between the lines. These comments, and those
    above the lines, are replaced as well.
    """
    lines, wanted = lines_of(text), [line.strip() for line in old.strip("\n").split("\n")]
    there = [at for at, line in enumerate(lines) if not line.strip().startswith("//")]
    bare = [lines[at].strip() for at in there]
    found = [i for i in range(len(bare)) if bare[i : i + len(wanted)] == wanted]
    if len(found) != 1:
        raise Mistake(f"{wanted[0]!r} is there {len(found)} times")
    at, end = there[found[0]], there[found[0] + len(wanted) - 1] + 1
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    while lines[at - 1].strip().startswith("//") and not lines[at - 1].strip().startswith("///"):
        at -= 1
    if not new.strip():
        return "\n".join(cut_lines(lines, at, end))
    by = [indent + line if line.strip() else "" for line in new.strip("\n").split("\n")]
    return "\n".join(lines[:at] + by + lines[end:])


# --- empty conditionals

CONDITION = re.compile(r"\s*#\s*if|ifn?def\b|ifn?eq\b")
END = re.compile(r"\s*#\s*endif|endif\b")


def without_empty_conditions(text):
    """Returns C code, or a Makefile, without conditionals that have no lines left."""
    while True:
        lines = lines_of(text)
        for at, line in enumerate(lines):
            if not CONDITION.match(line):
                continue
            last = at + 1
            while last < len(lines) and not lines[last].strip():
                last += 1
            if last < len(lines) and END.match(lines[last]):
                text = "\n".join(cut_lines(lines, attached(lines, at), last + 1))
                break
        else:
            return text


# --- imports


def parse_tree(text):
    """Returns a tree of imports: (segments, list of trees or None)."""
    text = text.strip()
    head, brace, rest = text.partition("{")
    if not brace:
        return text, None
    depth, part, trees = 0, "", []
    for char in rest[: rest.rindex("}")] + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and not depth:
            if part.strip():
                trees.append(parse_tree(part))
            part = ""
        else:
            part += char
    return head.rstrip(":").strip(), trees


def leaves(tree, prefix=()):
    """Yields the paths that a tree imports."""
    head, trees = tree
    path = prefix + tuple(part for part in head.split("::") if part)
    if trees is None:
        yield path
    else:
        for inner in trees:
            yield from leaves(inner, path)


def filter_tree(tree, keep, prefix=()):
    """Returns the tree with the leaves that `keep` accepts, or None."""
    head, trees = tree
    path = prefix + tuple(part for part in head.split("::") if part)
    if trees is None:
        return tree if keep(path) else None
    left = [kept for inner in trees if (kept := filter_tree(inner, keep, path))]
    if not left:
        return None
    if len(left) == 1 and len(left) < len(trees):
        inner, deeper = left[0]
        if inner == "self":
            return head, None
        return f"{head}::{inner}" if head else inner, deeper
    return head, left


def render_tree(tree, indent):
    head, trees = tree
    if trees is None:
        return head
    inner = indent + "    "
    out = f"{head}::{{\n" if head else "{\n"
    for number, part in enumerate(trees, 1):
        mark = " //" if number == len(trees) else ""
        out += f"{inner}{render_tree(part, inner)},{mark}\n"
    return out + f"{indent}}}"


USE = re.compile(r"^([ \t]*)((?:pub(?:\([^)]*\))? )?use )([^;]*);[^\n]*\n", re.M)


def filter_uses(text, keep):
    """Returns the text with the imports that `keep(path, "use" or "pub use")` accepts."""

    def one(match):
        indent, start, body = match[1], match[2], match[3]
        tree = parse_tree(re.sub(r"//[^\n]*", "", body))
        kept = filter_tree(tree, lambda path: keep(path, start.strip()))
        if kept == tree:
            return match[0]
        if kept is None:
            return "\0"
        return f"{indent}{start}{render_tree(kept, indent)};\n"

    text = USE.sub(one, text)
    # Attributes and comments go with their declaration.
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if lines[at].startswith("\0"):
            lines[at] = lines[at].lstrip("\0")
            first = attached(lines, at)
            lines = cut_lines(lines, first, at)
            at = first
        else:
            at += 1
    return "\n".join(lines)


def imports(text, name):
    """Returns the path of the leaf that a name such as "import prelude::*" stands for."""
    wanted = tuple(name.removeprefix("import ").split("::"))
    found = [
        leaf
        for match in USE.finditer(text)
        for leaf in leaves(parse_tree(re.sub(r"//[^\n]*", "", match[3])))
        if leaf[-len(wanted) :] == wanted
    ]
    if len(found) != 1:
        raise Mistake(f"{name}: is there {len(found)} times")
    return found[0]


def without_import(text, name):
    gone = imports(text, name)
    return filter_uses(text, lambda path, _: path != gone)


# --- examples in comments

FENCE = re.compile(r"\s*//[/!] ```(\S*)")


def examples(text):
    """Yields the doctests of a source: (first line, line after the last one, code)."""
    lines, at = lines_of(text), 0
    while at < len(lines):
        match = FENCE.match(lines[at])
        if not match:
            at += 1
            continue
        end = at + 1
        while not FENCE.match(lines[end]):
            end += 1
        if match[1] in ("", "no_run", "should_panic"):
            yield at, end + 1, "\n".join(line.strip()[3:] for line in lines[at + 1 : end])
        at = end + 1


def without_examples(text, is_held):
    """Returns the text without the doctests that `is_held` accepts.

    If a doctest is in a section "Examples", the whole section goes.
    """
    while True:
        lines = lines_of(text)
        for first, last, source in examples(text):
            if is_held(source):
                low, high = example_section(lines, first, last)
                text = "\n".join(lines[:low] + lines[high:])
                break
        else:
            return text


def example_section(lines, first, last):
    """Returns the lines of the section that an example is in, or of the example itself."""
    comment = re.compile(r"\s*//[/!]")
    heading = re.compile(r"\s*//[/!] #+ ")
    low = first
    while comment.match(lines[low - 1]) and not heading.match(lines[low - 1]):
        low -= 1
    if not re.match(r"\s*//[/!] #+ Examples?$", lines[low - 1]):
        low, high = first, last
    else:
        low -= 1
        high, fenced = last, False
        while comment.match(lines[high]) and (fenced or not heading.match(lines[high])):
            fenced ^= bool(FENCE.match(lines[high]))
            high += 1
    # The blank line above it goes as well, unless the comment continues.
    if not comment.match(lines[high]) and re.fullmatch(r"\s*//[/!]", lines[low - 1]):
        low -= 1
    return low, high


DEFINED = re.compile(
    r"\b(?:fn|struct|enum|union|trait|type|static|const|mod|macro_rules!) "
    r"(?!(?:fn|unsafe|extern|_) )(?:mut )?([A-Za-z_]\w*)"
)


def defined(text):
    """Returns the names of the items of a source, other than those that a macro makes."""
    tokens = " ".join(token for token, _ in located_tokens(text))
    return set(DEFINED.findall(tokens.replace("macro_rules !", "macro_rules!")))


def words(text):
    """Returns the tokens of a source, without those of its imports."""
    return {token for token, _ in located_tokens(USE.sub("\n", text))}
