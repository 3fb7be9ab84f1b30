# SPDX-License-Identifier: GPL-2.0
"""Where the functions of a source begin and end."""

import bisect
import re
from dataclasses import dataclass

from rust_lexer import Scopes, located_tokens


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

    found, scopes, at = [], Scopes(toks), 0
    while at < len(toks):
        here = at
        at, closed = scopes.step(at)
        if closed and closed.kind == "fn":
            name = "::".join([*scopes.owners()[-1:], *scopes.functions(), closed.name])
            test = any(scope and scope.kind == "tests" for scope in scopes.open)
            found.append(Function(name, line(closed.first), line(here), test))
    return sorted(found, key=lambda function: function.first)


def at_line(functions, line):
    """The innermost function that has the line, or None."""
    found = [f for f in functions if f.first <= line <= f.last]
    return max(found, key=lambda f: f.first) if found else None
