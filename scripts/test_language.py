# SPDX-License-Identifier: GPL-2.0
"""Checks what can be counted of the English in our files: who does what, one sentence first,
SAFETY comments that give the reason, lines that fit."""

import re
import tomllib
import unittest
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

# What people read. Scripts and configuration are for those who work on this repository.
READ = (
    "Documentation", "README.md", "bench", "drivers", "evidence", "fs", "include", "kernel", "mm", "rust",
    "samples", "selftests", "series",
)

COLUMNS = 100

# They hide who does it.
ACTORS = r"\b(?:(?:some|any|no)body|(?:some|any)one|(?:who|what|which)ever)\b"

# The glossary's, where another meaning is unlikely.
TERMS = {
    r"\bfor ever\b": "forever",
    r"\bany more\b": "no longer",
    r"\bhuge entr(?:y|ies)\b": "PMD or PUD mapping",
    r"\bpages? of zeroe?s\b": "zero page",
}

# A SAFETY comment that points somewhere else, and names no fact.
HOLLOW = re.compile(
    r"(?!.* (?:is|are|has|have|can|may|we|apply) )"
    r"(?:the )?(?:same|as|like|see|ditto|by|guaranteed by)\b[^.,:;]*\.?"
    r"|the \w+ (?:promise|guarantee|ensure)s (?:it|this|that|so)\.?"
    r"|(?:safe|trivial|obvious)?\.?",
    re.IGNORECASE,
)


def texts():
    """(name, text) of each file, and of each text that is inserted into a file of upstream's."""
    for name in READ:
        path = REPO / name
        for file in sorted([path] if path.is_file() else path.rglob("*")):
            if not file.is_file() or file.suffix in (".pyc", ".o", ".ko", ".csv", ".svg"):
                continue
            text = file.read_text(encoding="utf-8")
            if file.name != "integration.toml":
                yield str(file.relative_to(REPO)), text
    for file in (REPO / "integration.toml", *REPO.glob("series/*/integration.toml")):
        for insert in tomllib.loads(file.read_text(encoding="utf-8")).get("insert", ()):
            if "text" in insert:
                yield f"{file.relative_to(REPO)}: {insert['file']}", insert["text"]


def rust(named):
    return [(name, text) for name, text in named if name.endswith(".rs")]


def long_lines(text):
    """A row of a Markdown table is one line, however long."""
    return [l for l in text.split("\n") if len(l) > COLUMNS and not l.startswith("| ")]


def words(text):
    """The words that should not be there, or what should be there instead."""
    lines = [re.sub(r"^\s*(?://[/!]?|\*|#) ", "", line).strip() for line in text.split("\n")]
    text = " ".join(lines)
    found = re.findall(ACTORS, text, re.IGNORECASE)
    return found + [good for bad, good in TERMS.items() if re.search(bad, text)]


def safety_comments(text):
    """What each SAFETY comment says, without its line ends."""
    comment = r"^[ \t]*// SAFETY:(.*(?:\n[ \t]*//(?!/| SAFETY:).*)*)"
    for match in re.finditer(comment, text, re.M):
        yield re.sub(r"\s*\n\s*//\s*|\s+", " ", match[1]).strip()


def hollow(text):
    return [comment for comment in safety_comments(text) if HOLLOW.fullmatch(comment)]


def summaries(text):
    """The first paragraph of each documentation comment."""
    for match in re.finditer(r"(?:^[ \t]*//([/!])(?!/).*\n)+", text, re.M):
        lines = [l.strip()[3:].strip() for l in match[0].splitlines()]
        yield " ".join(lines[: lines.index("") if "" in lines else None])


def not_one_sentence(text):
    found = []
    for summary in summaries(text):
        plain = re.sub(r"`[^`]*`", "x", summary)
        plain = re.sub(r"\b(?:e\.g|i\.e|etc|vs)\.", "", plain)
        if plain.startswith("# "):
            continue  # the sections that lints ask for are enough for a private item
        if "?" in plain or re.search(r"[.!] ", plain) or not re.search(r"[.:!]$", plain):
            found.append(summary)
    return found


class Gates(unittest.TestCase):
    """Each gate finds what it is for, and nothing else."""

    def test_lines(self):
        self.assertEqual(long_lines("a" * 100 + "\n| " + "a" * 100 + "\n"), [])
        self.assertEqual(long_lines("a\n" + "a" * 101), ["a" * 101])

    def test_words(self):
        for text in ("Somebody has it.", "if anyone", "// What\n// whoever\n", "whichever"):
            with self.subTest(text):
                self.assertEqual(len(words(text)), 1)
        self.assertEqual(words("/// locked for\n    /// ever"), ["forever"])
        self.assertEqual(words("A huge entry is no page of zeroes."), list(TERMS.values())[2:])
        self.assertEqual(words("The task holds it forever; nobodys. No one-page folio."), [])

    def test_safety(self):
        for comment in (
            "As above.", "As the caller promises.", "As in `f`", "See above.", "Safe.", "",
            "Same as\n    // above.", "By the safety requirements of this\n    // function.",
            "The caller promises it.",
        ):
            with self.subTest(comment):
                text = f"    // SAFETY: {comment}\n    unsafe {{ f() }};\n"
                self.assertEqual(len(hollow(text)), 1)
        for comment in (
            "By the type invariants, the VMA is alive.", "The caller promises that `p` is valid.",
            "\n    // - As above, `p` is valid.\n    // - It is locked.",
        ):
            with self.subTest(comment):
                self.assertEqual(hollow(f"    // SAFETY: {comment}\n    unsafe {{ f() }};\n"), [])
        self.assertEqual(len(hollow("// SAFETY: As above.\n// SAFETY: The pointer is valid.\n")), 1)

    def test_summaries(self):
        for text in (
            "/// Is it locked?\nfn f() {}\n", "/// Maps it. It fails.\nfn f() {}\n",
            "//! Views. Of a VMA.\n", "    /// Maps\n    /// a page. Then\n    /// returns.\n",
            "/// Without an end\n///\n/// More.\n",
        ):
            with self.subTest(text):
                self.assertEqual(len(not_one_sentence(text)), 1)
        for text in (
            "/// Maps `a. b?` e.g. a page.\n///\n/// Another. And one more?\n",
            "// A comment. Not more.\n", "//// Not. This.\n",
            "/// # Safety\n///\n/// The VMA is locked. It remains so.\n",
        ):
            with self.subTest(text):
                self.assertEqual(not_one_sentence(text), [])


class Files(unittest.TestCase):
    def check(self, find, named):
        count = 0
        for name, text in named:
            count += 1
            with self.subTest(name):
                self.assertEqual(find(text), [])
        self.assertGreater(count, 0)

    def test_lines(self):
        self.check(long_lines, texts())

    def test_words(self):
        self.check(words, texts())

    def test_safety(self):
        self.check(hollow, rust(texts()))

    def test_summaries(self):
        self.check(not_one_sentence, rust(texts()))


if __name__ == "__main__":
    unittest.main()
