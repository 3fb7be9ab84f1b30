# SPDX-License-Identifier: GPL-2.0
"""Tests of mutants.py, and of the list: it must not rot while the layer changes."""

import re
import tempfile
import unittest
from pathlib import Path

import integrate
import mutants
from test_console import WARN
from test_documentation import kunit, kselftests

REPO = Path(__file__).parent.parent
LIST = (REPO / "config/mutants.toml").read_text(encoding="utf-8")
CRATES = ("userfaultfd_crate/rust_memfile_crate", "memmap2_crate/rust_mmap_crate")

ONE = "[a]\nfile = 'f.rs'\nline = 'if bad() {'\nby = 'if false {'\nkunit = 'suite.case'\n"

KTAP = """\
[    1.890] KTAP version 1
[    1.891]     KTAP version 1
[    1.892]     # Subtest: rust_mm_suite
[    1.893]     1..2
[    1.900]     ok 1 other
{report}[    1.901]     {result} 2 case
[    1.902] {result} 1 rust_mm_suite
"""


def mutant(text=ONE):
    (found,) = mutants.parse(text)
    return found


class Parse(unittest.TestCase):
    def test_mistakes(self):
        for text in (
            "[a",
            "a = 1",
            "['a b']\n" + ONE.partition("\n")[2],
            ONE + "kunti = 'x.y'\n",
            ONE + "selftest = 'p f.t'\n",
            ONE + "doctest = ''\n",
            ONE + "hangs = 'yes'\n",
            ONE + "report = '('\n",
            ONE.replace("kunit = 'suite.case'", "kunit = ''"),
            ONE.replace("if bad() {", " "),
            ONE.replace("by = 'if false {'\n", ""),
        ):
            with self.subTest(text), self.assertRaises(mutants.Mistake):
                mutants.parse(text)

    def test_chosen(self):
        both = mutants.parse(ONE + ONE.replace("[a]", "[ab]") + ONE.replace("[a]", "[c]"))
        self.assertEqual([m.name for m in mutants.chosen(both, "a*")], ["a", "ab"])
        self.assertEqual([m.name for m in mutants.chosen(both, "c ab")], ["ab", "c"])
        self.assertEqual(mutants.chosen(both, "b"), [])


class Mutate(unittest.TestCase):
    TEXT = "fn f() {\n    if bad() {\n        x;\n    }\n}\nfn g() {\n    x;\n}\n"

    def test_indentation_stays(self):
        mutated = mutants.mutate(self.TEXT, mutant())
        self.assertEqual(mutated, self.TEXT.replace("bad()", "false"))

    def test_several_lines(self):
        text = ONE.replace("'if bad() {'", "'''\nif bad() {\nx;\n}\n'''")
        text = text.replace("'if false {'", "''")
        mutated = mutants.mutate(self.TEXT, mutant(text))
        self.assertEqual(mutated, "fn f() {\n}\nfn g() {\n    x;\n}\n")

    def test_within(self):
        text = ONE.replace("if bad() {", "x;").replace("if false {", "y;")
        with self.assertRaises(mutants.Mistake):
            mutants.mutate(self.TEXT, mutant(text))
        mutated = mutants.mutate(self.TEXT, mutant(text + "within = 'fn g() {'\n"))
        self.assertEqual(mutated, "y;".join(self.TEXT.rsplit("x;", 1)))
        with self.assertRaises(mutants.Mistake):
            mutants.mutate(self.TEXT, mutant(text + "within = '}'\n"))

    def test_not_there(self):
        with self.assertRaises(mutants.Mistake):
            mutants.mutate(self.TEXT.replace("bad", "good"), mutant())

    def test_taken_out_again(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            file, saved = tree / "f.rs", tree / "saved"
            file.write_text(self.TEXT)
            mutants.apply(mutant(), tree, saved)
            self.assertIn("if false {", file.read_text())
            mutants.restore(tree, saved)
            self.assertEqual(file.read_text(), self.TEXT)
            # What somebody writes there afterwards stays.
            file.write_text("new")
            mutants.restore(tree, saved)
            self.assertEqual(file.read_text(), "new")


class Judge(unittest.TestCase):
    def noticed(self, text, result, report="", vm="died"):
        log = KTAP.format(result=result, report=report)
        return bool(mutants.judge(mutant(text), "", log, vm))

    def test_kunit(self):
        self.assertTrue(self.noticed(ONE, "not ok"))
        self.assertFalse(self.noticed(ONE, "ok"))
        self.assertFalse(self.noticed(ONE.replace("suite.case", "suite.other"), "not ok"))
        self.assertFalse(self.noticed(ONE.replace("suite.case", "site.case"), "not ok"))

    def test_report(self):
        expected = ONE + "report = 'mm/memory.c:1'\n"
        self.assertTrue(self.noticed(expected, "ok", WARN))
        self.assertFalse(self.noticed(expected, "ok"))
        self.assertFalse(self.noticed(expected.replace("memory", "mmap"), "ok", WARN))
        self.assertFalse(self.noticed(ONE, "ok", WARN))
        self.assertTrue(self.noticed(expected, "not ok"))

    def test_hangs(self):
        started = "".join(KTAP.splitlines(keepends=True)[:3])
        hangs = mutant(ONE + "hangs = true\n")
        self.assertTrue(mutants.judge(hangs, "", started, "hung"))
        self.assertFalse(mutants.judge(hangs, "", started, "died"))
        self.assertFalse(mutants.judge(hangs, "", "", "hung"))
        self.assertFalse(mutants.judge(mutant(), "", started, "hung"))
        self.assertFalse(self.noticed(ONE + "hangs = true\n", "ok", vm="hung"))

    def test_doctest(self):
        text = ONE.replace("kunit = 'suite.case'", "doctest = 'rust/kernel/mm/gup.rs'")
        log = "    # Subtest: rust_doctests_kernel\n    ok 1 rust_doctest_kernel_mm_gup_rs_0\n"
        self.assertFalse(mutants.judge(mutant(text), "", log, "0"))
        other = log + "    not ok 2 rust_doctest_kernel_mm_gup_rs_access_rs_0\n"
        self.assertFalse(mutants.judge(mutant(text), "", other, "0"))
        log += "    not ok 2 rust_doctest_kernel_mm_gup_rs_10\n"
        self.assertTrue(mutants.judge(mutant(text), "", log, "0"))

    def test_selftest(self):
        text = ONE.replace("kunit = 'suite.case'", "selftest = 'program fixture.test'")
        for log, noticed in (
            ("ok 1 fixture.test\n", False),
            ("not ok 1 fixture.test\n", True),
            ("not ok 1 fixture.test2\n", False),
            ("", False),
        ):
            with self.subTest(log):
                self.assertEqual(bool(mutants.judge(mutant(text), log, "", "1")), noticed)

    def test_compile_fail(self):
        text = ONE.replace("kunit = 'suite.case'", "compile_fail = 'case'")
        for log, noticed in (
            ("ok 1 case\n", False),
            ("not ok 1 case\n# it compiles\n", True),
            ("not ok 1 case\n# the twin does not compile\n", False),
            ("not ok 1 case\n# expected E0308, got E0277\n", False),
        ):
            with self.subTest(log):
                self.assertEqual(bool(mutants.judge(mutant(text), log, "", "0")), noticed)

    def test_outcome(self):
        self.assertEqual(
            mutants.outcome(mutant(), "", KTAP.format(result="not ok", report=""), "died"),
            "ok a: not ok 2 case",
        )
        self.assertEqual(
            mutants.outcome(mutant(), "", "", "hung"),
            "not ok a: kunit suite.case: no result (how the VM ended: hung)",
        )

    def test_baseline(self):
        good = KTAP.format(result="ok", report="")
        self.assertEqual(mutants.baseline([mutant()], "", good), [])
        for log in (
            "", KTAP.format(result="not ok", report=""), KTAP.format(result="ok", report=WARN),
            good.replace("2 case", "2 case # SKIP"),
        ):
            with self.subTest(log):
                self.assertEqual(len(mutants.baseline([mutant()], "", log)), 1)


class List(unittest.TestCase):
    """Each line is there, and so is each test."""

    def setUp(self):
        self.mutants = mutants.parse(LIST)

    def test_lines(self):
        inserts = integrate.read_inserts(REPO, REPO / "integration.toml")
        for m in self.mutants:
            with self.subTest(m.name):
                if (REPO / m.file).exists():
                    text = (REPO / m.file).read_text(encoding="utf-8")
                else:
                    text = "".join(i["text"] for i in inserts if i["file"] == m.file)
                self.assertNotEqual(mutants.mutate(text, m), text)

    def test_tests(self):
        cases, doctests = set(), set()
        for path in (REPO / "rust").rglob("*.rs"):
            text = path.read_text(encoding="utf-8")
            cases.update(f"{suite}.{case}" for suite, case in kunit(text))
            if re.search(r"^ *//[/!] ```(rust)?$", text, re.M):
                doctests.add(str(path.relative_to(REPO)))
        selftests = set()
        for path in (REPO / "selftests/rust_mm").glob("*.c"):
            text = path.read_text(encoding="utf-8")
            with_headers = text
            for header in re.findall(r'^#include "(\w+_fixture\.h)"', text, re.M):
                with_headers += path.with_name(header).read_text(encoding="utf-8")
            variants = re.findall(
                r"^FIXTURE_VARIANT_ADD\((\w+), (\w+)\)", with_headers, re.M
            )
            for fixture, test in kselftests(text):
                names = [f"{fixture}.{v}" for f, v in variants if f == fixture] or [fixture]
                selftests.update(f"{path.stem} {name}.{test}" for name in names)
        for crate in CRATES:
            path = REPO / f"selftests/rust_mm/{crate}.rs"
            for test in re.findall(r'^    \("(\w+)", ', path.read_text(encoding="utf-8"), re.M):
                selftests.add(f"{path.stem}.sh {test}")
        compile_fail = {p.stem for p in (REPO / "selftests/rust_mm/compile_fail").glob("*.rs")}
        known = dict(
            kunit=cases, doctest=doctests, selftest=selftests, compile_fail=compile_fail
        )
        for m in self.mutants:
            with self.subTest(m.name):
                self.assertIn(m.test, known[m.kind])

    def test_enough(self):
        self.assertGreaterEqual(len(self.mutants), 60)


if __name__ == "__main__":
    unittest.main()
