# SPDX-License-Identifier: GPL-2.0
"""Rust's tokens, and what of its grammar our other scripts need: a lexer, no parser."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<skip>
        \s+
      | //[^\n]*
      | (?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes)    # raw strings
      | (?:b|c)?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'
    )
  | (?P<comment>/\*)
  | (?P<lifetime>'[A-Za-z_]\w*)
  | (?P<word>\$?(?:r\#)?[A-Za-z_]\w*)
  | (?P<number>\d\w*)
  | (?P<mark>->|=>|::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NESTED = re.compile(r"/\*|\*/")


class Mistake(Exception):
    """What is wrong with a source, for humans."""


def located_tokens(source):
    """The words and marks of `source`, without comments, strings and characters, and where they are."""
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        at = match.end()
        if match["comment"]:
            depth = 1
            while depth:
                nested = _NESTED.search(source, at)
                if not nested:
                    raise Mistake("a comment without end")
                depth += 1 if nested[0] == "/*" else -1
                at = nested.end()
        elif match["skip"] is None:
            if match["mark"] == '"':
                raise Mistake("a string without end")
            found.append((match[0], match.start()))
    return found


def is_word(token):
    return bool(re.match(r"\$?(r#)?[A-Za-z_]", token))


def _skip_group(toks, at, opening, closing):
    """The index behind the group that opens at `at`."""
    depth = 0
    while at < len(toks):
        if toks[at] == opening:
            depth += 1
        elif toks[at] == closing:
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    raise Mistake(f"a '{opening}' without '{closing}'")


def _last_name(toks):
    """The name of a path or of what is behind references: `Fault` of `&'a super::Fault<O>`."""
    name, depth = None, 0
    for tok in toks:
        if tok in "<([":
            depth += 1
        elif tok in ">)]":
            depth -= 1
        elif not depth and is_word(tok) and tok not in ("mut", "dyn", "const", "crate", "super"):
            name = tok
        elif not depth and tok == "+" and name:
            break
    return name or "_"


def impl_header(toks, at):
    """Trait (or None) and type of the `impl` at `at`, and the index of what follows."""
    at += 1
    # The generics, or a macro's `$(<..>)?`.
    if at < len(toks) and toks[at] == "<":
        at = _skip_group(toks, at, "<", ">")
    elif toks[at : at + 2] == ["$", "("]:
        at = _skip_group(toks, at + 1, "(", ")")
        if at < len(toks) and toks[at] in "?*+":
            at += 1
    parts, depth = [[]], 0
    while at < len(toks):
        tok = toks[at]
        if not depth and tok in ("{", "where", ";"):
            break
        if tok == "for" and not depth and toks[at + 1] != "<":
            parts.append([])
        else:
            if tok in "<([":
                depth += 1
            elif tok in ">)]":
                depth -= 1
            parts[-1].append(tok)
        at += 1
    names = [_last_name(part) for part in parts]
    return (names[0] if len(names) > 1 else None), names[-1], at


# Behind these, `impl` begins an item, and is no type.
_BEFORE_ITEM = ("{", "}", ";", "]", "unsafe", "default", ")")


@dataclass(frozen=True)
class Scope:
    """What a pair of braces is the body of."""

    kind: str  # "fn", "impl", "trait", "mod", "macro"; "tests": a module of KUnit cases
    name: str
    first: int  # index of the token that it begins with


class Scopes:
    """What the tokens are in that `step` has come to."""

    def __init__(self, toks):
        self.toks = toks
        self.open = []  # for each open brace its Scope, or None
        self.pending = None  # whose body or semicolon is to come
        self.parens = 0
        self._tests = False  # the next module is one of KUnit cases

    def step(self, at):
        """Takes in the token at `at`. The index of the next, and the Scope that it closes or None."""
        toks, closed = self.toks, None
        tok = toks[at]
        after = toks[at + 1] if at + 1 < len(toks) else ""
        before = toks[at - 1] if at else ";"
        if tok == "kunit_tests":
            self._tests = True
        elif tok in ("fn", "trait") and is_word(after) and self.pending is None:
            self.pending = Scope(tok, after, at)
        elif tok == "mod" and is_word(after) and self.pending is None:
            self.pending = Scope("tests" if self._tests else tok, after, at)
            self._tests = False
        elif (
            tok == "impl" and self.pending is None and before in _BEFORE_ITEM and not self.parens
        ):
            _, name, behind = impl_header(toks, at)
            self.pending = Scope(tok, name, at)
            return behind, None
        elif tok == "macro_rules" and after == "!":
            self.pending = Scope("macro", toks[at + 2] + "!", at)
        elif tok in "([":
            self.parens += 1
        elif tok in ")]":
            self.parens -= 1
        elif tok == "{":
            self.open.append(self.pending)
            self.pending = None
        elif tok == "}" and self.open:
            # A piece of a file may close what it has not opened.
            closed = self.open.pop()
        elif tok == ";" and not self.parens:
            self.pending = None
        return at + 1, closed

    def owners(self):
        """The types, traits and macros that the functions here are of, the innermost last."""
        return [s.name for s in self.open if s and s.kind in ("impl", "trait", "macro")]

    def functions(self):
        """The functions that this is in, the innermost last."""
        return [s.name for s in self.open if s and s.kind == "fn"]
