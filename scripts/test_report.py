# SPDX-License-Identifier: GPL-2.0
import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import report
from test_console import RACE, WARN

UNITTEST = """\
test_a (test_x.T.test_a) ... ok
test_b (test_x.T.test_b) ... ok

----------------------------------------------------------------------
Ran 2 tests in 0.1s

OK
"""

COMPILE_FAIL = "TAP version 13\n1..2\nok 1 one\nok 2 two\n"

CLIPPY = "TAP version 13\n1..1\nok 1 rust/kernel\n"

# Of one file, page or crate.
PASSED = "1..1\nok 1 a\n"

CROSS = "1..2\nok arm\nok arm64\n"

# What kunit.py parse --json has made of consoles: of ours, shortened,
KUNIT = """\
{"name": "KUnit Test Group", "sub_groups": [{"name": "rust_mm_unmap_events", "sub_groups": [],
"test_cases": [{"name": "in_order", "status": "PASS"}], "misc": {"tests": 1, "passed": 1,
"failed": 0, "crashed": 0, "skipped": 0, "errors": 0}, "arch": "", "defconfig": "",
"build_environment": "", "lab_name": null, "kernel": null, "job": null, "git_branch":
"kselftest"}, {"name": "rust_mm_answers", "sub_groups": [], "test_cases": [{"name":
"one_page_of_a_large_folio", "status": "PASS"}, {"name": "unlocked_afterwards", "status":
"SKIP"}, {"name": "broken_memory", "status": "PASS"}], "misc": {"tests": 3, "passed": 2,
"failed": 0, "crashed": 0, "skipped": 1, "errors": 0}, "arch": "", "defconfig": "",
"build_environment": "", "lab_name": null, "kernel": null, "job": null, "git_branch":
"kselftest"}], "test_cases": [], "misc": {"tests": 4, "passed": 3, "failed": 0, "crashed": 0,
"skipped": 1, "errors": 0}, "arch": "", "defconfig": "", "build_environment": "", "lab_name":
null, "kernel": null, "job": null, "git_branch": "kselftest"}
"""

# with a case that fails, and the end before the last result,
KUNIT_CRASHED = """\
{"name": "KUnit Test Group", "sub_groups": [{"name": "rust_mm_unmap_events", "sub_groups": [],
"test_cases": [{"name": "in_order", "status": "PASS"}], "misc": {"tests": 1, "passed": 1,
"failed": 0, "crashed": 0, "skipped": 0, "errors": 0}, "arch": "", "defconfig": "",
"build_environment": "", "lab_name": null, "kernel": null, "job": null, "git_branch":
"kselftest"}, {"name": "rust_mm_answers", "sub_groups": [], "test_cases": [{"name":
"one_page_of_a_large_folio", "status": "FAIL"}, {"name": "unlocked_afterwards", "status":
"SKIP"}, {"name": "", "status": "ERROR"}], "misc": {"tests": 3, "passed": 0, "failed": 1,
"crashed": 1, "skipped": 1, "errors": 1}, "arch": "", "defconfig": "", "build_environment": "",
"lab_name": null, "kernel": null, "job": null, "git_branch": "kselftest"}], "test_cases": [],
"misc": {"tests": 4, "passed": 1, "failed": 1, "crashed": 1, "skipped": 1, "errors": 1}, "arch":
"", "defconfig": "", "build_environment": "", "lab_name": null, "kernel": null, "job": null,
"git_branch": "kselftest"}
"""

# and without KUnit.
KUNIT_NOTHING = """\
{"name": "KUnit Test Group", "sub_groups": [], "test_cases": [], "misc": {"tests": 0, "passed":
0, "failed": 0, "crashed": 0, "skipped": 0, "errors": 1}, "arch": "", "defconfig": "",
"build_environment": "", "lab_name": null, "kernel": null, "job": null, "git_branch": "kselftest"}
"""

KSELFTEST = """\
TAP version 13
1..2
# timeout set to 45
# selftests: rust_mm: first
# TAP version 13
# 1..3
# ok 1 first.a
# ok 2 first.b # SKIP not here
# ok 3 first.c
# # Totals: pass:2
ok 1 selftests: rust_mm: first
# timeout set to 45
# selftests: rust_mm: second.sh
# some text
ok 2 selftests: rust_mm: second.sh
"""

CONTROLS = "1..1\nok zap\n"


def counts(results):
    return results.passed, len(results.failed), results.skipped


class UnitTests(unittest.TestCase):
    def test_passed(self):
        self.assertEqual(counts(report.unit_tests(UNITTEST)), (2, 0, 0))

    def test_failed(self):
        log = "FAIL: test_a (test_x.T.test_a)\n---\nERROR: test_b (x)\n" + UNITTEST
        log = log.replace("OK", "FAILED (failures=1, errors=1, skipped=1)").replace("Ran 2", "Ran 4")
        results = report.unit_tests(log)
        self.assertEqual(counts(results), (1, 2, 1))
        self.assertEqual(results.failed[0], "test_a (test_x.T.test_a)")

    def test_nothing(self):
        self.assertEqual(counts(report.unit_tests("")), (0, 1, 0))


class Kunit(unittest.TestCase):
    def test_passed(self):
        self.assertEqual(counts(report.kunit(KUNIT)), (3, 0, 1))

    def test_failed_crashed_and_skipped(self):
        # Of the crash, kunit.py says twice that something is wrong.
        results = report.kunit(KUNIT_CRASHED)
        self.assertEqual(counts(results), (1, 3, 1))
        self.assertEqual(
            results.failed,
            [
                "rust_mm_answers.one_page_of_a_large_folio",
                "rust_mm_answers.(a case that is missing)",
                "(see the log of kunit.py)",
            ],
        )

    def test_failed_without_a_case(self):
        # A suite that fails although its cases pass, or is missing at all.
        for what in ("failed", "crashed", "errors"):
            log = f'"{what}": 1'.join(KUNIT.rsplit(f'"{what}": 0', 1))
            with self.subTest(what):
                self.assertEqual(counts(report.kunit(log)), (3, 1, 1))

    def test_nothing(self):
        for log in ("", KUNIT_NOTHING):
            self.assertEqual(counts(report.kunit(log)), (0, 1, 0))


class Kselftest(unittest.TestCase):
    def test_passed(self):
        self.assertEqual(counts(report.kselftest(KSELFTEST)), (3, 0, 1))

    def test_failed_case_counts_once(self):
        log = KSELFTEST.replace("# ok 3", "# not ok 3").replace("ok 1 self", "not ok 1 self")
        results = report.kselftest(log)
        self.assertEqual(counts(results), (2, 1, 1))
        self.assertEqual(results.failed, ["first: first.c"])

    def test_failed_program(self):
        log = KSELFTEST.replace("ok 2 selftests", "not ok 2 selftests")
        self.assertEqual(counts(report.kselftest(log)), (2, 1, 1))

    def test_failed_beyond_its_cases(self):
        log = KSELFTEST.replace("ok 1 selftests: rust_mm: first", "not ok 1 selftests: rust_mm: first # TIMEOUT 45 seconds")
        results = report.kselftest(log)
        self.assertEqual(counts(results), (3, 1, 1))
        self.assertIn("TIMEOUT", results.failed[0])

    def test_xfail(self):
        # As the VM has it of a shell script that ended with `ls --no-such-option`.
        log = KSELFTEST.replace("# some text", "# ls: unrecognized option '--no-such-option'")
        log = log.replace("ok 2 selftests: rust_mm: second.sh", "ok 2 selftests: rust_mm: second.sh # XFAIL")
        log = log.replace("# ok 3 first.c", "# ok 3 first.c # XFAIL not here")
        results = report.kselftest(log)
        self.assertEqual(counts(results), (1, 2, 1))
        self.assertEqual(results.failed, ["first: first.c # XFAIL not here", "second.sh # XFAIL"])

    def test_skipped_program(self):
        log = KSELFTEST.replace("second.sh\n", "second.sh # SKIP\n")
        self.assertEqual(counts(report.kselftest(log)), (2, 0, 2))

    def test_cut_off(self):
        cut = KSELFTEST[: KSELFTEST.index("# ok 3")]
        results = report.kselftest(cut)
        self.assertEqual(counts(results), (1, 1, 1))
        self.assertIn("did not come to its end", results.failed[0])
        cut = KSELFTEST[: KSELFTEST.index("# selftests: rust_mm: second")]
        self.assertIn("1 programs did not run", report.kselftest(cut).failed)

    def test_nothing(self):
        self.assertEqual(counts(report.kselftest("no selftest matches x\n")), (0, 1, 0))


class PlainTap(unittest.TestCase):
    def test_passed(self):
        self.assertEqual(counts(report.plain_tap("compile-fail", COMPILE_FAIL)), (2, 0, 0))
        self.assertEqual(counts(report.controls(CONTROLS)), (1, 0, 0))
        self.assertEqual(counts(report.plain_tap("cross builds", CROSS)), (2, 0, 0))

    def test_failed_with_its_reasons(self):
        log = "1..3\nok 1 one\nnot ok 2 two\n# why\n# because\nnot ok 3 three\n"
        results = report.plain_tap("compile-fail", log)
        self.assertEqual(counts(results), (1, 2, 0))
        self.assertEqual(results.failed[0], "two\n# why\n# because\n")
        self.assertEqual(results.failed[1], "three\n")
        results = report.controls("1..1\nnot ok zap\n# why\n")
        self.assertEqual(results.failed, ["zap\n# why\n"])

    def test_skipped(self):
        log = "ok arm # SKIP\nok arm64 # SKIP\n"
        self.assertEqual(counts(report.plain_tap("cross builds", log)), (0, 0, 2))
        self.assertEqual(counts(report.plain_tap("cross builds", "1..2\n" + log)), (0, 0, 2))

    def test_cut_off(self):
        self.assertEqual(counts(report.plain_tap("compile-fail", "1..2\nok 1 one\n")), (1, 1, 0))
        self.assertEqual(counts(report.plain_tap("cross builds", "1..2\nok arm\n")), (1, 1, 0))
        self.assertEqual(counts(report.controls("1..1\n")), (0, 1, 0))

    def test_nothing(self):
        self.assertEqual(counts(report.plain_tap("compile-fail", "1..0\n")), (0, 1, 0))
        self.assertEqual(counts(report.controls("")), (0, 1, 0))
        self.assertEqual(counts(report.plain_tap("cross builds", "1..0\n")), (0, 1, 0))
        # TEST has chosen others.
        self.assertEqual(counts(report.controls("1..0\n")), (0, 0, 0))


class Kernel(unittest.TestCase):
    def test_quiet(self):
        self.assertEqual(counts(report.kernel("[    1.0] Linux\n", "0")), (2, 0, 0))

    def test_reports(self):
        results = report.kernel(WARN, "0")
        self.assertEqual(counts(results), (1, 1, 0))
        self.assertIn("WARNING: mm/memory.c:1", results.failed[0])

    def test_known_races(self):
        races = {("bar", "foo"): "a count"}
        with mock.patch.object(report.console, "known_races", lambda: races):
            results = report.kernel(RACE + RACE + WARN, "0")
        self.assertEqual((results.skipped, len(results.failed)), (2, 1))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            results.show()
        self.assertIn("known BUG: KCSAN: data-race in bar / foo: 2 times: a count", out.getvalue())
        self.assertEqual(len(report.kernel(RACE, "0").failed), 1)

    def test_ends(self):
        for vm in ("hung", "died"):
            results = report.kernel("[    1.0] the last line\n", vm)
            self.assertEqual(counts(results), (1, 1, 0))
            self.assertIn("the last line", results.failed[0])


class Main(unittest.TestCase):
    """The last line and the exit status, which is what CI goes by."""

    def run_main(self, vm="0", **changed):
        logs = {
            "unittest": UNITTEST, "shellcheck": PASSED, "rustfmt": PASSED, "sphinx": PASSED,
            "rustdoc": PASSED, "clippy": CLIPPY, "compile-fail": COMPILE_FAIL, "cross": CROSS,
            "kunit": KUNIT, "kselftest": KSELFTEST, "controls": CONTROLS, "console": "",
        }
        logs.update({name.replace("_", "-"): log for name, log in changed.items()})
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["report.py", "--vm", vm]
            for name, log in logs.items():
                path = Path(folder) / name
                path.write_text(log, encoding="utf-8")
                arguments += [f"--{name}", str(path)]
            out = io.StringIO()
            with mock.patch.object(sys, "argv", arguments), contextlib.redirect_stdout(out):
                with self.assertRaises(SystemExit) as end:
                    report.main()
        return out.getvalue().splitlines()[-1], int(end.exception.code)

    def test_all_passed(self):
        self.assertEqual(self.run_main(), ("20 passed, 0 failed, 2 skipped", 0))

    def test_each_kind_can_fail(self):
        for name, log in {
            "unittest": "", "shellcheck": "1..2\nok a\n", "rustfmt": "1..1\nnot ok a\n",
            "sphinx": "", "rustdoc": "1..1\nnot ok a\n# why\n",
            "clippy": "1..1\nnot ok 1 a\n", "compile_fail": "1..1\n", "cross": "1..1\nnot ok arm\n",
            "series": "1..2\nok rust: mm: add a\n", "checkpatch": "1..2\nok 1 0-fixes/0001.patch\n",
            "maintainers": "1..1\nnot ok mm/a.c: belongs to no section\n",
            "kunit": "", "kselftest": "",
            "controls": "1..1\nnot ok zap\n", "console": WARN,
        }.items():
            with self.subTest(name):
                self.assertEqual(self.run_main(**{name: log})[1], 1)

    def test_status_of_the_guest(self):
        # Although nothing that was counted has failed.
        self.assertEqual(self.run_main(vm="1"), ("20 passed, 1 failed, 2 skipped", 1))
        self.assertEqual(self.run_main(vm="died")[1], 1)


if __name__ == "__main__":
    unittest.main()
