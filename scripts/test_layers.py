# SPDX-License-Identifier: GPL-2.0
"""The modules of rust/kernel/mm import only what the README has below them, so there is no circle."""

import tempfile
import unittest
from pathlib import Path

import layers

REPO = Path(__file__).resolve().parent.parent


class Repository(unittest.TestCase):
    def test_imports_go_down(self):
        self.assertEqual(layers.upward(layers.imports(REPO), layers.order(REPO)), [])

    def test_page_of_the_module(self):
        # `static_table` exports nothing.
        order = [module for module in layers.order(REPO) if module != "static_table"]
        self.assertEqual(layers.page_order(REPO), order)

    def test_there_are_imports(self):
        self.assertIn("rmap", layers.imports(REPO)["revoke"])


class MadeUp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.repo = Path(folder.name)
        (self.repo / layers.ROOT / "high").mkdir(parents=True)
        (self.repo / "README.md").write_text(
            "In `rust/kernel/mm/`, from bottom to top: `low` (this), then\n`high`.\n\nNo more: `else`.\n"
        )
        (self.repo / "integration.toml").write_text(
            '[[insert]]\nfile = "rust/kernel/mm.rs"\ntext = """\npub use high::{\n    A,\n    B, //\n};\n"""\n'
            '[[insert]]\nfile = "rust/kernel/fs.rs"\ntext = """\npub use self::low::C;\n"""\n'
        )
        self.write("low.rs", "")
        self.write("high.rs", "use crate::mm::{\n    low::Low, //\n};\n")

    def write(self, name, text):
        (self.repo / layers.ROOT / name).write_text(text)

    def wrong(self):
        return layers.upward(layers.imports(self.repo), layers.order(self.repo))

    def test_down(self):
        self.assertEqual(self.wrong(), [])
        self.assertEqual(layers.imports(self.repo)["high"], {"low": {"rust/kernel/mm/high.rs"}})

    def test_up(self):
        for line in (
            "use super::high::A;",
            "use super::{flags, high::{x::Y, Z}};",
            "use crate::mm::A;",
            "use crate::{\n    bindings,\n    mm::{\n        high::{\n            self, //\n        }, //\n    }, //\n};",
            "fn f() { crate::mm::high::g() }",
        ):
            with self.subTest(line):
                self.write("low.rs", line)
                self.assertEqual(self.wrong(), ["low imports high: rust/kernel/mm/low.rs"])

    def test_up_from_a_folder(self):
        self.write("low.rs", "mod part;")
        (self.repo / layers.ROOT / "low").mkdir()
        self.write("low/part.rs", "use super::super::high::A;")
        self.assertEqual(self.wrong(), ["low imports high: rust/kernel/mm/low/part.rs"])

    def test_not_up(self):
        for line in ("// use super::high::A;", "/// [`A`]: crate::mm::high::A", "use crate::fs::high;"):
            with self.subTest(line):
                self.write("low.rs", line)
                self.assertEqual(self.wrong(), [])

    def test_unknown(self):
        self.write("new.rs", "")
        self.assertEqual(self.wrong(), ["new: not in the order"])

    def test_page(self):
        with open(self.repo / "integration.toml", "a", encoding="utf-8") as inserts:
            inserts.write(
                '[[insert]]\nfile = "rust/kernel/mm.rs"\ntext = """\n'
                '//! | module | contains |\n//! |---|---|\n//! | [`low`] | [`x`] |\n//! | [`A`], [`B`](high::B) | y |\n"""\n'
            )
        self.assertEqual(layers.page_order(self.repo), ["low", "high"])

    def test_tests(self):
        self.write("low.rs", "use super::testing::*;")
        self.assertEqual(self.wrong(), ["low imports testing: rust/kernel/mm/low.rs"])


if __name__ == "__main__":
    unittest.main()
