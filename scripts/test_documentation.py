# SPDX-License-Identifier: GPL-2.0
"""Checks our pages: docutils can read them, and the tests, files and Rust items that they name
exist."""

import re
import tomllib
import unittest
from pathlib import Path

from docutils import core, nodes, utils
from docutils.parsers.rst import Directive, directives, roles

REPO = Path(__file__).parent.parent
PAGES = REPO / "Documentation/mm/rust-mmap"
# About this repository, and not laid over the kernel tree.
EVIDENCE = REPO / "evidence"

FOLDERS = ("Documentation", "bench", "config", "evidence", "rust", "samples", "scripts", "selftests")

# Columns in which tests are named.
COLUMNS = ("Case", "Cases", "Asserted by", "Shown by", "Test")
# The pages that must have one: else a table may have got another heading unnoticed.
WITH_TESTS = ("history", "locking", "mirror", "page-tables", "tutorial", "user-space")

# Rust types that the pages name, and that neither rust/ nor an insertion declares; `MyDevice` is an
# example.
UPSTREAM = {
    "ARef", "Acquire", "Arc", "Atomic", "Coherent", "ControlFlow", "Drop", "File", "FromBytes",
    "IntoBytes", "Iterator", "KBox", "KVVec", "Kiocb", "MiscDevice", "Mm", "MmWithUser",
    "MmapReadGuard", "Mutex", "MyDevice", "None", "Ok", "Pin", "Release", "SetOnce", "SpinLock",
    "Sync", "Task", "UserSlice", "VmaReadGuard", "VmaRef",
}
# Their functions that the pages name.
UPSTREAM_FUNCTIONS = {
    "into_mmput_async", "mmap", "mmap_read_lock", "mmap_read_trylock", "mmget_not_zero", "try_lock",
}


class Toctree(Directive):
    option_spec = {"maxdepth": directives.nonnegative_int}
    has_content = True

    def run(self):
        return []


class LiteralInclude(Directive):
    """Checks that the file, and the lines that it starts and ends at, are there."""

    required_arguments = 1
    option_spec = {"language": str, "dedent": directives.nonnegative_int}
    option_spec |= {option: str for option in ("start-at", "end-at", "end-before")}

    def run(self):
        path = PAGES / self.arguments[0]
        if not path.is_file():
            raise self.error(f"no file {path}")
        lines = path.read_text(encoding="utf-8").splitlines()
        for option, text in sorted(self.options.items(), key=lambda option: option[0] != "start-at"):
            if option not in ("start-at", "end-at", "end-before"):
                continue
            # The first line that has the text; what ends before a line has one before that.
            found = [i for i in range(option == "end-before", len(lines)) if text in lines[i]]
            if not found:
                raise self.error(f"{path.name}: no line with `{text}`")
            if option == "start-at":
                lines = lines[found[0]:]
        return []


# What our pages use of Sphinx.
directives.register_directive("toctree", Toctree)
directives.register_directive("literalinclude", LiteralInclude)
roles.register_generic_role("doc", nodes.literal)


def read(page):
    """What docutils makes of a page; it stops at the first thing that it would warn of."""
    settings = {"halt_level": utils.Reporter.WARNING_LEVEL, "doctitle_xform": False}
    settings |= {"warning_stream": False, "file_insertion_enabled": False}
    return core.publish_doctree(page, settings_overrides=settings)


def tables(page):
    """The tables of a page, each as (heading above it, names of its columns, rows of cells)."""
    for table in read(page).findall(nodes.table):
        section = table.parent
        while not isinstance(section, nodes.section):
            section = section.parent
        columns, *rows = [
            [cell.astext() for cell in row.findall(nodes.entry)] for row in table.findall(nodes.row)
        ]
        yield section.next_node(nodes.title).astext(), columns, rows


def kunit(text):
    """The KUnit cases of a source: (suite without `rust_mm_`, case)."""
    found, suite = [], None
    for match in re.finditer(
        r"kunit_tests\((?:rust_mm_)?(\w+)\)|#\[test\]\s*(?:#\[[^\n]*\]\s*)*fn (\w+)", text
    ):
        if match[1]:
            suite = match[1]
        elif suite:
            found.append((suite, match[2]))
    return found


def kselftests(text):
    """The tests of a C source: (fixture, test)."""
    return re.findall(r"^TEST_F(?:_TIMEOUT)?\((\w+), (\w+)", text, re.MULTILINE)


class Items:
    """The Rust items that can be named."""

    def __init__(self, repo=REPO):
        sources = [p for f in ("rust", "samples") for p in (repo / f).rglob("*.rs")]
        text = "\n".join(p.read_text(encoding="utf-8") for p in sources)
        inserts = tomllib.loads((repo / "integration.toml").read_text(encoding="utf-8"))["insert"]
        text += "\n".join(insert.get("text", "") for insert in inserts)
        declared = r"\b(?:struct|enum|trait|union|type) (\w+)"
        self.types = UPSTREAM | set(re.findall(declared, text))
        # Functions, constants, associated types and variants.
        self.members = UPSTREAM_FUNCTIONS | set(re.findall(r"\b(?:fn|const|type) (\w+)", text))
        self.members |= set(re.findall(r"^    (\w+)(?:\(.*\))?,$", text, re.MULTILINE))

    def missing(self, literal):
        """Whether a literal is a path such as `A`, `A::b` or `a::B::c`, and there is no such item."""
        path = re.sub(r"(?:::)?<.*>|\(.*\)$", "", literal)
        match = re.fullmatch(r"(?:[a-z]\w*::)*([A-Z]\w*[a-z]\w*)(?:::(\w+))?", path)
        if not match:
            return False
        if match[2] is None:
            return match[1] not in self.types | self.members
        return match[1] not in self.types or match[2] not in self.members


class Tests:
    """All that can be named."""

    def __init__(self, repo=REPO):
        self.files = {p.name for p in (repo / "selftests/rust_mm").rglob("*") if p.is_file()}
        self.variants = {p.stem for p in (repo / "config/variants").glob("*.config")}
        self.cases = set()
        for path in (repo / "rust").rglob("*.rs"):
            self.cases.update(kunit(path.read_text(encoding="utf-8")))
        for path in (repo / "selftests/rust_mm").glob("*.c"):
            for fixture, test in kselftests(path.read_text(encoding="utf-8")):
                self.cases.add((fixture.replace("rust_mmap", "mmap"), test))
        controls = tomllib.loads((repo / "selftests/rust_mm/controls.toml").read_text())
        self.cases.update(("controls", name) for name in controls)
        mutants = tomllib.loads((repo / "config/mutants.toml").read_text(encoding="utf-8"))
        self.cases.update(("mutants", name) for name in mutants)

    def missing(self, cell):
        """Those names in a cell that are of no test; `none` may be followed by a reason."""
        missing, suite = [], None
        if cell.startswith("none: "):
            return []
        for name in filter(None, (part.strip() for part in cell.split(","))):
            if name in ("none", "doctest"):
                continue
            if re.fullmatch(r"\w+\.(rs|sh)", name):
                known = name in self.files
            elif name.startswith("VARIANT="):
                known = name.removeprefix("VARIANT=") in self.variants
            elif re.fullmatch(r"\w+\.\*", name):
                known = any(s == name[:-2] for s, _ in self.cases)
            else:
                # Without a suite, the one that was named before in this cell, or any.
                prefix, _, case = name.rpartition(".")
                suite = prefix or suite
                known = any(c == case and suite in (None, s) for s, c in self.cases)
            if not known:
                missing.append(name)
        return missing


class Parse(unittest.TestCase):
    def test_kunit(self):
        text = (
            "#[test]\nfn of_no_suite() {}\n#[kunit_tests(rust_mm_a)]\nmod cases {\n    #[test]\n"
            "    fn one() {}\n    #[test]\n    #[cfg(CONFIG_X)]\n    fn two() {}\n    fn no() {}\n}\n"
            "#[kunit_tests(rust_mm_b)]\nmod more { #[test] fn one() {} }"
        )
        self.assertEqual(kunit(text), [("a", "one"), ("a", "two"), ("b", "one")])

    def test_kselftests(self):
        text = "TEST_F(a, one)\n{\n}\n\nTEST_F_TIMEOUT(a, two, 60)\n{\n\t/* TEST_F(a, no) */\n"
        self.assertEqual(kselftests(text), [("a", "one"), ("a", "two")])

    def test_names(self):
        tests = Tests()
        for cell in (
            "",
            "none",
            "none: because",
            "VARIANT=up",
            "locks.downgrade",
            "downgrade",
            "mmap.private,\nopen_modes",
            "demand.faults, pfnmap.sh, two_actions.rs, inject.*",
            "controls.sleep_in_a_walk",
        ):
            with self.subTest(cell):
                self.assertEqual(tests.missing(cell), [])
        for name in ("downgrades", "fields.downgrade", "no.*", "no.rs", "controls.no", "pfn.mmap",
                     "VARIANT=no"):
            with self.subTest(name):
                self.assertEqual(tests.missing(f"{name}, none"), [name])
        # Of another suite than the one before.
        self.assertEqual(tests.missing("mmap.private, downgrade"), ["downgrade"])


    def test_items(self):
        items = Items()
        for literal in ("VmaDesc", "VmaDesc::set", "pci::Device::map_bar", "SetFlags::IO", "EINVAL",
                        "VmOperations::Data", "PerVma<Arc<T>>", "Done(guard)", "vmf.no()", "no"):
            with self.subTest(literal):
                self.assertFalse(items.missing(literal))
        for literal in ("VmaDescs", "VmaDesc::no_such_function", "NoSuchType::set", "NoSuch(guard)",
                        "a::NoSuchType::<T>"):
            with self.subTest(literal):
                self.assertTrue(items.missing(literal))


class Read(unittest.TestCase):
    def test_tables(self):
        page = (
            "Page\n====\n\nOne\n---\n\n=====  ======\nA      B\n=====  ======\n``a``  ``b``,\n"
            "       ``c``\n=====  ======\n\nTwo\n---\n\n.. list-table::\n    :header-rows: 1\n\n"
            "    * - C\n      - D\n    * - :doc:`x`\n      -\n"
        )
        self.assertEqual(
            list(tables(page)),
            [("One", ["A", "B"], [["a", "b,\nc"]]), ("Two", ["C", "D"], [["x", ""]])],
        )

    def test_mistakes(self):
        include = ".. literalinclude:: ../../../samples/rust/mm/Makefile\n    "
        read(f"{include}:start-at: _MMAP)\n    :end-before: _DEMAND)\n")
        for page in ("A\n=\n\n``a\n", ":no:`x`\n", ".. no::\n", "=  =\na  b\n", "ABCDEF\n=====\n",
                     ".. literalinclude:: no\n", f"{include}:start-at: no such line\n",
                     f"{include}:start-at: _DEMAND)\n    :end-at: _MMAP)\n"):
            with self.subTest(page), self.assertRaises(utils.SystemMessage):
                read(page)


class Pages(unittest.TestCase):
    def setUp(self):
        paths = [*PAGES.glob("*.rst"), *EVIDENCE.glob("*.rst")]
        self.pages = {p.stem: p.read_text(encoding="utf-8") for p in paths}
        self.ours = {p.stem for p in PAGES.glob("*.rst")}

    def test_tests_exist(self):
        tests, with_tests = Tests(), set()
        for page, text in self.pages.items():
            for heading, columns, rows in tables(text):
                for at in (i for i, column in enumerate(columns) if column in COLUMNS):
                    with_tests.add(page)
                    for row in rows:
                        with self.subTest(page=page, heading=heading, row=row[0]):
                            self.assertEqual(tests.missing(row[at]), [])
        self.assertEqual(sorted(with_tests), sorted(WITH_TESTS))

    def test_files_exist(self):
        """Also those that are named in running text."""
        ours = [p for f in FOLDERS for p in (REPO / f).rglob("*")]
        paths = {str(p.relative_to(REPO)) for p in ours} | set(FOLDERS)
        inserts = tomllib.loads((REPO / "integration.toml").read_text(encoding="utf-8"))["insert"]
        paths.update(insert["file"] for insert in inserts)
        names = {p.name for p in ours}
        for page, text in self.pages.items():
            for name in re.findall(r"``([\w/-]+(?:\.(?:rs|c|sh|py|toml|config)|/))``", text):
                path = name.replace("tools/testing/", "", 1).rstrip("/")
                if "/" in path and path.split("/")[0] not in FOLDERS:
                    continue
                with self.subTest(page=page, name=name):
                    self.assertTrue(path in (paths if "/" in path else names))

    def test_items_exist(self):
        items = Items()
        for page in self.ours:
            for name in re.findall(r"``([^`]+)``", self.pages[page]):
                with self.subTest(page=page, name=name):
                    self.assertFalse(items.missing(name))

    def test_references(self):
        """To functions by their names, since line numbers change; to pages that exist."""
        for page, text in self.pages.items():
            with self.subTest(page=page):
                self.assertEqual(re.findall(r"\w+\.[ch](?::\d+)", text), [])
                targets = set(re.findall(r":doc:`([^`]+)`", text))
                self.assertEqual(targets - (self.ours if page in self.ours else set()), set())
        # A page that moves leaves references behind.
        named = r"Documentation/(?:mm/rust-mmap|rust/mm)/[\w.-]*"
        for folder in ("README.md", "integration.toml", "rust", "samples", "selftests"):
            path = REPO / folder
            for file in [path] if path.is_file() else path.rglob("*"):
                if not file.is_file():
                    continue
                for name in re.findall(named, file.read_text(encoding="utf-8")):
                    with self.subTest(file=str(file.relative_to(REPO)), name=name):
                        self.assertTrue((REPO / name.rstrip(".")).exists())

    def test_lines(self):
        for page, text in self.pages.items():
            with self.subTest(page=page):
                self.assertEqual([line for line in text.split("\n") if len(line) > 100], [])

    def test_terminology_first(self):
        for page in self.ours - {"index"}:
            with self.subTest(page=page):
                first = next(read(self.pages[page]).findall(nodes.section))
                sections = [n for n in first.children if isinstance(n, nodes.section)]
                self.assertEqual(sections[0].next_node(nodes.title).astext(), "Terminology")

    def test_in_the_index(self):
        listed = re.findall(r"^    ([a-z-]+)$", self.pages["index"], re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(self.ours - {"index"}))


if __name__ == "__main__":
    unittest.main()
