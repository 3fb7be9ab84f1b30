# SPDX-License-Identifier: GPL-2.0
import contextlib
import io
import re
import unittest
from pathlib import Path
from unittest import mock

import unsafe_audit
from unsafe_audit import Mistake

REPO = Path(__file__).parent.parent

PAGE = """
a.rs
----

.. list-table::
    :header-rows: 1

    * - Unsafe
      - Relies on
      - Noticed by
    * - ``A::f``: 2 blocks, fn; ``g``:
        block
      - A lock.
      - none
    * - ``Send for A``: impl
      - Nothing.
      - none
"""
LISTED = {"a.rs": {"A::f": {"block": 2, "fn": 1}, "g": {"block": 1}, "Send for A": {"impl": 1}}}


class Items(unittest.TestCase):
    def check(self, source, expected):
        found = unsafe_audit.items(source)
        self.assertEqual({where: unsafe_audit.as_text(k) for where, k in found.items()}, expected)

    def test_what_is_none(self):
        for source in (
            "// unsafe {}\n//! unsafe {}\n/// unsafe fn f() {}\nfn f() {}",
            "/* unsafe {} /* unsafe {} */ unsafe {} */ fn f() {}",
            'fn f() { g("unsafe {", b"\\" unsafe {", c"unsafe {"); }',
            'fn f() { g(r"\\", r#"" unsafe { "#, br##""# unsafe {"##); }',
            "fn f() { g('\"', b'\\'', '\\\\', '\\u{22}'); }",
            "fn f() { g(not_unsafe, unsafe_too); }",
            # A type.
            'fn f(g: unsafe extern "C" fn(u8), h: Option<unsafe fn()>) {}',
        ):
            with self.subTest(source):
                self.check(source, {})

    def test_behind_what_is_none(self):
        for before in (
            "/* /* */ */",
            "// '\"\n",
            "const A: &str = \"'\";",
            "const A: &[u8] = br#\"\"'\"#;",
            "const A: char = '\"';",
            "const A: u8 = b'\\'';",
            "struct A<'a>(&'a u8);",
            "impl<'a> A<'a> { fn f<'b>(&'b self) {} }",
            "fn f() { 'a: loop { break 'a; } }",
            "fn f() -> impl Fn() -> u8 { || 1 }",
            "fn f() { for a in [(); { 1 }] {} }",
            "macro_rules! m { ($($a:ty),*) => { $(fn g() {})* } }",
        ):
            with self.subTest(before):
                self.check(before + " fn last() { unsafe { g() } }", {"last": "block"})

    def test_functions(self):
        self.check("unsafe fn f() { unsafe { unsafe { g() } } }", {"f": "2 blocks, fn"})
        self.check('pub(super) unsafe extern "C" fn f<T: A>() {}', {"f": "fn"})
        self.check("fn f() { fn g() { unsafe {} } unsafe {} }", {"g": "block", "f": "block"})
        self.check("mod a { mod b { fn f() { unsafe {} } } }", {"f": "block"})
        self.check("const fn f() { unsafe {} }", {"f": "block"})
        self.check("fn f() where A: B<{ 1 }> {}\nunsafe fn r#as() {}", {"r#as": "fn"})

    def test_methods(self):
        f = "{ unsafe fn f(&self) { if a { || match b { _ => unsafe { c() } } } } }"
        for header in (
            "impl A",
            "impl<T: B<C>> A<T> where T: D",
            "impl<'a, T> crate::b::A<'a, T>",
            "impl B for A",
            "impl<F> B<u8> for A where F: Fn() -> u8",
            "unsafe impl<F: for<'a> Fn(&'a u8) -> u8> B for &'static mut A<F>",
            "impl<F> B for dyn A",
            "impl $(<$param: $bound>)? B for A",
        ):
            with self.subTest(header):
                found = unsafe_audit.items(f"{header} {f}")
                self.assertEqual(found["A::f"], {"fn": 1, "block": 1})
        self.check("trait A " + f, {"A::f": "block, fn"})
        self.check("trait A { unsafe fn f(&self); fn g() { unsafe {} } }", {"A::f": "fn", "A::g": "block"})
        # Two impls of one type, and one beside it.
        self.check(
            "impl A<u8> { fn f() { unsafe {} } } impl A<i8> { fn f() { unsafe {} } }\n"
            "impl B { fn f() { unsafe {} } } fn f() { unsafe {} }",
            {"A::f": "2 blocks", "B::f": "block", "f": "block"},
        )

    def test_traits(self):
        self.check("pub unsafe trait A: B {}", {"A": "trait"})
        self.check("unsafe impl<T> a::Send for A<T> {}", {"Send for A": "impl"})
        self.check(
            "macro_rules! m { ($v:ty) => { unsafe impl a::S for $v { fn f() { unsafe {} } } } }",
            {"S for $v": "impl", "$v::f": "block"},
        )

    def test_others(self):
        self.check("static A: B = unsafe { c() }; fn f() {}", {"A": "block"})
        self.check("impl A { const B: u8 = unsafe { c() }; }", {"A::B": "block"})
        self.check("macro_rules! m { () => { unsafe { f() } } }", {"m!": "block"})
        self.check('unsafe extern "C" { fn f(); }', {"the file": "extern"})
        self.check("#[unsafe(no_mangle)] fn f() {}", {"the file": "attribute"})
        self.check("$crate::m!(unsafe { f() });", {"the file": "block"})

    def test_mistakes(self):
        for source in ("/* /* */", 'f("', "unsafe union A {}"):
            with self.subTest(source), self.assertRaises(Mistake):
                unsafe_audit.items(source)


class Page(unittest.TestCase):
    def test_listed(self):
        self.assertEqual(unsafe_audit.listed(PAGE), LISTED)

    def test_mistakes(self):
        for old, new in (
            ("2 blocks", "2 doors"),
            ("``Send for A``: impl", "``g``: block"),
            ("``Send for A``: impl", "Send"),
            ("A lock.", ""),
            ("      - A lock.\n", ""),
        ):
            with self.subTest(new), self.assertRaises(Mistake):
                unsafe_audit.listed(PAGE.replace(old, new, 1))

    def test_differences(self):
        self.assertEqual(unsafe_audit.differences(LISTED, LISTED), [])
        self.assertEqual(
            unsafe_audit.differences({"a.rs": {"g": {"block": 2}}, "b.rs": {"h": {"fn": 1}}}, LISTED),
            [
                "a.rs: A::f: in the page, but nothing there is unsafe",
                "a.rs: Send for A: in the page, but nothing there is unsafe",
                "a.rs: g: 2 blocks; the page says block",
                "b.rs: h: fn: not in the page",
            ],
        )


class Repository(unittest.TestCase):
    def test_all_is_listed(self):
        found, wrong = unsafe_audit.audit(REPO)
        self.assertEqual(wrong, [])
        self.assertEqual(unsafe_audit.folders(found)["samples"].total(), 0)

    def test_as_many_as_words(self):
        """Counted in a simpler way, which is right as long as no string looks like code."""
        for path, wheres in unsafe_audit.sources(REPO).items():
            if path == unsafe_audit.INTEGRATION:
                continue
            source = (REPO / path).read_text(encoding="utf-8")
            code = "\n".join(line.split("//")[0] for line in source.splitlines())
            words = re.findall(r'\bunsafe (?:\{|impl|trait|fn \w|extern "C" fn \w)', code)
            with self.subTest(path):
                self.assertEqual(unsafe_audit.total({path: wheres}).total(), len(words))

    def test_one_more(self):
        for path, expected in (
            ("rust/kernel/mm/owned.rs", "added: block: not in the page"),
            ("rust/kernel/mm/new.rs", "added: block: not in the page"),
            ("samples/rust/mm/rust_mmap.rs", "added: block: samples have none"),
            ("samples/rust/mm/rust_mm_broken_too.rs", "added: block: samples have none"),
            ("rust/kernel/mm/tests/new.rs", None),
            (unsafe_audit.BROKEN, None),
        ):
            found = unsafe_audit.sources(REPO)
            found.setdefault(path, {})["added"] = {"block": 1}
            with self.subTest(path), mock.patch.object(unsafe_audit, "sources", lambda _, f=found: f):
                _, wrong = unsafe_audit.audit(REPO)
                self.assertEqual(wrong, [f"{path}: {expected}"] if expected else [])

    def test_prints(self):
        out = io.StringIO()
        with mock.patch("sys.argv", ["unsafe_audit.py"]), contextlib.redirect_stdout(out):
            self.assertEqual(unsafe_audit.main(), 0)
        self.assertRegex(out.getvalue(), r"(?m)^samples +0 +0 +0 +0$")
        self.assertRegex(out.getvalue(), r"(?m)^all but tests: [1-9]\d* blocks, ")


if __name__ == "__main__":
    unittest.main()
