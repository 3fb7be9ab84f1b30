# SPDX-License-Identifier: GPL-2.0
"""Pieces of sources are found, and leave nothing behind."""

import unittest

import pieces

RUST = """// SPDX

use super::{
    a::{
        A,
        B, //
    },
    C, //
};
#[cfg(X)]
pub use x::Y;

/// A thing.
#[derive(Clone)]
pub struct Thing<'a> {
    /// First.
    first: u32,
    last: &'a str,
}

impl Thing<'_> {
    /// Is it new?
    #[inline]
    pub(crate) const fn new(a: A) -> Self
    where
        A: Copy,
    {
        // SAFETY: A brace in a comment: {
        if let Some(c) = unsafe { C::of(b'}') } {
            return c;
        }
        match a {
            A::One => "{",
            A::Two
            | A::Three => {
                B
            }
        }
    }

    fn next(&self) -> u32 {
        self.first
    }
}
"""

HEADER = """/* SPDX */

/*
 * Folios
 */

/**
 * one() - One
 */
static inline int one(int a)
{
\treturn a;
}

#ifdef CONFIG_A
struct b *
two(void);
#endif

/* The kind. */
enum kind {
\tA,
};
"""


class Pieces(unittest.TestCase):
    def cut(self, text, *names):
        return pieces.cut(text, names)

    def test_item(self):
        left = self.cut(RUST, "fn new")
        self.assertIn("impl Thing<'_> {\n    fn next(&self)", left)
        self.assertNotIn("Is it new?", left)

    def test_last_item(self):
        self.assertTrue(self.cut(RUST, "fn next").endswith("        }\n    }\n}\n"))

    def test_struct(self):
        left = self.cut(RUST, "struct Thing")
        self.assertIn("pub use x::Y;\n\nimpl Thing", left)

    def test_field(self):
        left = self.cut(RUST, "struct Thing > first: u32,")
        self.assertIn("pub struct Thing<'a> {\n    last: &'a str,\n}", left)

    def test_statement(self):
        left = self.cut(RUST, "fn new > if let Some(c)")
        self.assertIn("    {\n        match a {", left)

    def test_arm_of_several_lines(self):
        left = self.cut(RUST, "A::Two | A::Three => {")
        self.assertIn('A::One => "{",\n        }\n', left)

    def test_outer_and_inner(self):
        self.assertEqual(self.cut(RUST, "fn new", "fn new > if let"), self.cut(RUST, "fn new"))

    def test_not_once(self):
        for name in ("fn old", "fn new > self.first", "A", "fn ne"):
            with self.subTest(name), self.assertRaises(pieces.Mistake):
                self.cut(RUST, name)

    def test_c(self):
        left = self.cut(HEADER, "one()")
        self.assertIn(" */\n\n#ifdef", left)
        self.assertNotIn("One", left)
        left = pieces.without_empty_conditions(self.cut(HEADER, "two()"))
        self.assertIn("}\n\n/* The kind. */", left)
        self.assertTrue(self.cut(HEADER, "enum kind {").endswith("#endif\n"))

    def test_kconfig(self):
        text = 'config A\n\tbool "a"\n\thelp\n\t  A.\n\n\t  B.\n\nconfig B\n\tbool "b"\n'
        self.assertEqual(self.cut(text, "config A"), 'config B\n\tbool "b"\n')

    def test_rule(self):
        text = "A := b\n\nb: c\n\tcc c\n\nd: e\n"
        self.assertEqual(self.cut(text, "rule b:"), "A := b\n\nd: e\n")

    def test_replace(self):
        left = pieces.replace(
            RUST, "if let Some(c) = unsafe { C::of(b'}') } {\nreturn c;\n}", "// No.\nc();"
        )
        self.assertIn("    {\n        // No.\n        c();\n        match a {", left)
        self.assertNotIn("SAFETY", left)
        with self.assertRaises(pieces.Mistake):
            pieces.replace(RUST, "return d;", "")


class Uses(unittest.TestCase):
    def keep(self, *names):
        return pieces.filter_uses(RUST, lambda path, _: path[-1] in names)

    def test_all(self):
        self.assertEqual(self.keep("A", "B", "C", "Y"), RUST)

    def test_leaf_of_a_group(self):
        self.assertIn(
            "use super::{\n    a::A,\n    C, //\n};\n#[cfg(X)]\n", self.keep("A", "C", "Y")
        )

    def test_group(self):
        self.assertIn("// SPDX\n\nuse super::C;\n#[cfg(X)]\n", self.keep("C", "Y"))

    def test_with_its_attribute(self):
        self.assertIn("};\n\n/// A thing.", self.keep("A", "B", "C"))

    def test_import(self):
        self.assertIn(
            "use super::a::{\n    A,\n    B, //\n};\n", pieces.without_import(RUST, "import C")
        )
        with self.assertRaises(pieces.Mistake):
            pieces.without_import(RUST, "import D")


class Examples(unittest.TestCase):
    TEXT = (
        "/// Does it.\n///\n/// # Examples\n///\n"
        "/// ```\n/// use kernel::a;\n/// # No heading.\n/// ```\n"
        "///\n/// ```text\n/// b\n/// ```\n///\n/// # Errors\n///\n/// None.\nfn f() {}\n"
    )

    def test_found(self):
        self.assertEqual(
            [code for _, _, code in pieces.examples(self.TEXT)], [" use kernel::a;\n # No heading."]
        )

    def test_held(self):
        self.assertEqual(
            pieces.without_examples(self.TEXT, lambda code: "kernel::a" in code),
            "/// Does it.\n///\n/// # Errors\n///\n/// None.\nfn f() {}\n",
        )

    def test_last_section(self):
        text = self.TEXT.replace("///\n/// # Errors\n///\n/// None.\n", "")
        self.assertEqual(pieces.without_examples(text, lambda _: True), "/// Does it.\nfn f() {}\n")


class Names(unittest.TestCase):
    def test_defined(self):
        self.assertEqual(pieces.defined(RUST), {"Thing", "new", "next"})
        text = "pub const fn a() {} unsafe extern fn b() {} macro_rules! c {}"
        text += " const _: () = (); static mut D: u8 = 0;"
        self.assertEqual(pieces.defined(text), {"a", "b", "c", "D"})

    def test_words(self):
        self.assertNotIn("Y", pieces.words(RUST))
        self.assertIn("Some", pieces.words(RUST))


if __name__ == "__main__":
    unittest.main()
