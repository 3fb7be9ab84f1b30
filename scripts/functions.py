# SPDX-License-Identifier: GPL-2.0
"""Where the functions of a source begin and end."""

import bisect
import re
from dataclasses import dataclass

from rust_lexer import BEFORE_ITEM, impl_header, is_word, located_tokens


@dataclass(frozen=True)
class Function:
    name: str  # with the type or trait whose method it is: "Type::function"
    first: int  # line with its name
    last: int  # line with its closing brace
    test: bool = False  # in a module of KUnit cases


def of_file(name, source):
    """The functions of a source that have a body, in their order."""
    return of_rust(source) if name.endswith(".rs") else of_c(source)


def of_c(source):
    """In the kernel's style: the braces of a function are at the left margin."""
    found, name, first = [], None, 0
    for number, line in enumerate(source.splitlines(), 1):
        if match := re.match(r"(?=\w)[^=;(]*?\b(\w+)\(", line):
            name, first = match[1], number
        elif line.startswith("}"):
            if name:
                found.append(Function(name, first, number))
            name = None
        elif line.startswith(("struct", "union", "enum")):
            name = None
    return found


def of_rust(source):
    located = located_tokens(source)
    toks = [token for token, _ in located]
    ends = [match.end() for match in re.finditer("\n", source)]

    def line(index):
        return bisect.bisect_right(ends, located[index][1]) + 1

    found = []
    scopes = []  # for each open brace: (kind, name, line) of what it is the body of, or None
    pending = None  # the same of what whose body or semicolon is to come
    test = False  # the next module is one of KUnit cases
    parens = 0
    at = 0
    while at < len(toks):
        tok = toks[at]
        after = toks[at + 1] if at + 1 < len(toks) else ""
        before = toks[at - 1] if at else ";"
        if tok == "kunit_tests":
            test = True
        elif tok == "fn" and is_word(after) and pending is None:
            pending = ("fn", after, line(at))
        elif tok in ("mod", "trait") and is_word(after) and pending is None:
            pending = ("tests" if tok == "mod" and test else tok, after, line(at))
            test = False
        elif tok == "impl" and pending is None and before in BEFORE_ITEM and not parens:
            first = line(at)
            _, name, at = impl_header(toks, at)
            pending = ("impl", name, first)
            continue
        elif tok == "macro_rules" and after == "!":
            pending = ("macro", toks[at + 2] + "!", line(at))
        elif tok in "([":
            parens += 1
        elif tok in ")]":
            parens -= 1
        elif tok == ";" and not parens:
            pending = None
        elif tok == "{":
            scopes.append(pending)
            pending = None
        elif tok == "}" and scopes:
            scope = scopes.pop()
            if scope and scope[0] == "fn":
                found.append(_function(scope, scopes, line(at)))
        at += 1
    return sorted(found, key=lambda function: function.first)


def _function(scope, around, last):
    around = [outer for outer in around if outer]
    owners = [name for kind, name, _ in around if kind in ("impl", "trait", "macro")]
    outer = [name for kind, name, _ in around if kind == "fn"]
    name = "::".join([*owners[-1:], *outer, scope[1]])
    return Function(name, scope[2], last, any(kind == "tests" for kind, _, _ in around))


def at_line(functions, line):
    """The innermost function that has the line, or None."""
    found = [f for f in functions if f.first <= line <= f.last]
    return max(found, key=lambda f: f.first) if found else None
