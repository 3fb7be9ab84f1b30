# SPDX-License-Identifier: GPL-2.0
import unittest
from pathlib import Path

import chosen

REPO = Path(__file__).parent.parent


class Sources(unittest.TestCase):
    def test_kunit(self):
        text = (
            "#[test]\nfn of_no_suite() {}\n#[kunit_tests(a)]\nmod cases {\n    #[test]\n"
            "    #[cfg(CONFIG_X)]\n    fn one() {}\n    fn no() {}\n}\n"
        )
        self.assertEqual(chosen.kunit(text), [("a", "one")])

    def test_kselftest(self):
        text = (
            "FIXTURE_VARIANT_ADD(a, x)\nFIXTURE_VARIANT_ADD(a, y)\nTEST(alone)\n"
            "TEST_F(a, one)\nTEST_F_TIMEOUT(b, two, 60)\n\tTEST_F(b, no)\n"
        )
        self.assertEqual(
            chosen.kselftest(text), ["global.alone", "a.x.one", "a.y.one", "b.two"]
        )

    def test_doctests(self):
        block = "/// ```{}\n/// x();\n/// ```\n"
        text = block.format("") + block.format("text") + block.format("ignore") + "\n"
        text += "    " + block.format("no_run").replace("\n", "\n    ")
        self.assertEqual(
            list(chosen.doctests("rust/kernel/mm/a.rs", text)),
            # Their files' names are sorted, so 11 is before 1_.
            [(11, "rust_doctest_kernel_mm_a_rs_0"), (1, "rust_doctest_kernel_mm_a_rs_1")],
        )

    def test_unit_tests(self):
        text = "class A(B):\n    def test_x(self): pass\n    def other(self): pass\nclass C: pass\n"
        self.assertEqual(
            list(chosen.unit_tests("test_m", text)), ["test_m", "test_m.A", "test_m.A.test_x"]
        )


class Plan(unittest.TestCase):
    TESTS = [
        chosen.Test("kunit", ("s", "s.a"), "s.a"),
        chosen.Test("kunit", ("s", "s.b"), "s.b"),
        chosen.Test("kunit", ("t", "t.a"), "t.a"),
        chosen.Test("kunit", ("u", "u.a"), "u.a"),
        chosen.Test("kunit", ("f.rs", "d_0", "f.rs:7"), f"{chosen.DOCTESTS}.d_0"),
        chosen.Test("kunit", ("f.rs", "d_12", "f.rs:9"), f"{chosen.DOCTESTS}.d_12"),
        chosen.Test("selftest", ("p",), "p"),
        chosen.Test("selftest", ("p x.one",), "p\tx.one"),
        chosen.Test("selftest", ("p x.two",), "p\tx.two"),
        chosen.Test("compile_fail", ("c",), "c"),
        chosen.Test("unit", ("test_m",), "test_m"),
        chosen.Test("unit", ("test_m.A.test_x",), "test_m.A.test_x"),
    ]

    def check(self, pattern, *lines):
        self.assertEqual(chosen.plan(self.TESTS, pattern.split(",")), (list(lines), []))

    def test_one_of_each_kind(self):
        self.check("s.a", ("kunit", "s.a"))
        self.check("f.rs:9", ("kunit", f"{chosen.DOCTESTS}.d_12"))
        self.check("p x.two", ("selftest", "p\tx.two"))
        self.check("c", ("compile_fail", "c"))
        self.check("test_m.A.test_x", ("unit", "test_m.A.test_x"))

    def test_all_of_one(self):
        self.check("s", ("kunit", "s.*"))
        self.check("s.*", ("kunit", "s.*"))
        self.check("f.rs", ("kunit", f"{chosen.DOCTESTS}.d_*"))
        self.check("p*", ("selftest", "p"))
        self.check("p x.*", ("selftest", "p\tx.one\tx.two"))
        self.check("test_m*", ("unit", "test_m"))

    def test_several(self):
        self.check("c,s.b,test_m", ("compile_fail", "c"), ("unit", "test_m"), ("kunit", "s.b"))
        # One boot for all.
        self.check("s,t,u", ("kunit", "*.*"))
        self.assertEqual(chosen.narrowest_filter(["rust_mm_a.x", "rust_mm_b.y"]), "rust_mm_*.*")

    def test_nothing(self):
        self.assertEqual(chosen.plan(self.TESTS, ["c", "no*"])[1], ["no*"])


class Changed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tests = chosen.all_tests(REPO)

    def check(self, file, *patterns):
        self.assertEqual(chosen.of_changed(REPO, [file], self.tests), sorted(patterns))

    def test_files(self):
        self.check("samples/rust/mm/rust_mmap.rs", "rust_mmap")
        self.check("selftests/rust_mm/rust_mmap.c", "rust_mmap")
        self.check("selftests/rust_mm/rust_mm_lib.sh", "rust_mm_stress.sh", "rust_mm_trinity.sh")
        self.check("scripts/console.py", "test_console")
        self.check("scripts/test_console.py", "test_console")
        self.check("rust/helpers/no_such_file.c", chosen.ALL_SUITES)
        self.check("README.md")
        self.check("rust/kernel/mm/.flags.rs.swp")
        self.check("rust/kernel/mm/flags.rs~")
        self.check("rust/kernel/mm/tests/flags.rs", "rust_mm_flags")

    def test_layer(self):
        found = chosen.of_changed(REPO, ["rust/kernel/mm/flags.rs"], self.tests)
        self.assertIn("rust_mm_flags", found)
        self.assertIn("rust/kernel/mm/flags.rs", found)

    def test_all_can_be_chosen(self):
        for file in sorted(REPO.glob("rust/kernel/**/*.rs")):
            name = str(file.relative_to(REPO))
            with self.subTest(name):
                patterns = chosen.of_changed(REPO, [name], self.tests)
                self.assertTrue(patterns)
                self.assertEqual(chosen.matching(self.tests, patterns)[1], [])


if __name__ == "__main__":
    unittest.main()
