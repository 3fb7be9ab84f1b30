# SPDX-License-Identifier: GPL-2.0
"""config/maintainers.toml has all of our files, and the comparison finds what is wrong."""

import unittest
from pathlib import Path

import integrate
import maintainers

REPO = Path(__file__).resolve().parent.parent

TEXT = """List of maintainers

ONE
M:\tA Person <a@example.org>
F:\tmm/
X:\tmm/x.c

# a comment
TWO
R:\tA Reader <b@example.org>
F:\tmm/rust_*
F:\trust/*
F:\tselftests/uffd-*.[ch]
"""


class Repository(unittest.TestCase):
    def setUp(self):
        self.config = maintainers.load(REPO)
        self.paths = list(integrate.load_copies(REPO, "7.3"))

    def test_each_file_belongs_somewhere(self):
        self.assertEqual([p for p in self.paths if not maintainers.wanted(self.config, p)], [])

    def test_each_pattern_is_of_a_file(self):
        for name, patterns in self.config["sections"].items():
            for pattern in patterns:
                with self.subTest(section=name, pattern=pattern):
                    one = {"sections": {name: [pattern]}}
                    self.assertTrue(any(maintainers.wanted(one, path) for path in self.paths))


class MadeUp(unittest.TestCase):
    def setUp(self):
        self.known = maintainers.sections(TEXT)

    def compare(self, sections, path, general=()):
        config = {"sections": sections, "general": {"sections": general}}
        return maintainers.compare(config, self.known, [path])[path]

    def test_owners(self):
        for path, names in (
            ("mm/a.c", {"ONE"}),
            ("mm/rust_a.c", {"ONE", "TWO"}),
            ("mm/x.c", set()),
            ("rust/a.rs", {"TWO"}),
            ("rust/deeper/a.rs", set()),
            ("selftests/uffd-a.h", {"TWO"}),
            ("selftests/uffd-a.S", set()),
        ):
            with self.subTest(path):
                self.assertEqual(maintainers.owners(self.known, path), names)

    def test_as_it_should_be(self):
        self.assertIsNone(self.compare({"ONE": ["mm/"]}, "mm/a.c"))
        self.assertIsNone(self.compare({"ONE": ["mm/"], "TWO": ["mm/rust_*"]}, "mm/rust_a.c"))

    def test_wrong(self):
        for sections, path, wrong in (
            ({"ONE": ["mm/"]}, "mm/rust_a.c", "TWO owns it"),
            ({"ONE": ["mm/"], "TWO": ["mm/a.c"]}, "mm/a.c", "TWO has no line"),
            ({"TWO": ["mm/rust_a.c"]}, "mm/x.c", "belongs to no section"),
            ({"TWO": ["rust/"]}, "rust/a.rs", "no section that owns it has a maintainer"),
        ):
            with self.subTest(path):
                self.assertIn(wrong, self.compare(sections, path))

    def test_general(self):
        self.assertIsNone(self.compare({"ONE": ["mm/"]}, "mm/rust_a.c", general=["TWO"]))

    def test_representatives(self):
        config = {"sections": {"ONE": ["mm/"], "TWO": ["mm/rust_*"]}}
        paths = ["mm/a.c", "mm/b.c", "mm/rust_a.c"]
        self.assertEqual(maintainers.representatives(config, paths), ["mm/a.c", "mm/rust_a.c"])


if __name__ == "__main__":
    unittest.main()
