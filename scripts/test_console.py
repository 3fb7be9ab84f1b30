# SPDX-License-Identifier: GPL-2.0
import unittest

import console

WARN = """\
[    5.000001] quiet line
[    5.100000] ------------[ cut here ]------------
[    5.100001] WARNING: mm/memory.c:1 at foo+0x1/0x2, CPU#0: test/99
[    5.100002] Modules linked in: rust_mmap
[    5.100003] Call Trace:
[    5.100004]  bar+0x1/0x2
[    5.100005] ---[ end trace 0000000000000000 ]---
"""


def expect(regex, log):
    return (
        f"[    4.0] rust_mm: expect-report {regex}\n{log}[    6.0] rust_mm: end-expect\n"
    )


class Scan(unittest.TestCase):
    def reports(self, log):
        return [report.text for report in console.scan(log)[0]]

    def test_quiet(self):
        self.assertEqual(console.scan("[    1.0] Linux version 7.3.4\n"), ([], []))

    def test_warning_is_one_report_with_its_context(self):
        (report,), _ = console.scan(WARN)
        self.assertIn("WARNING: mm/memory.c:1", report.text)
        self.assertIn("[    5.000001] quiet line", report.context)
        self.assertIn("[    5.100004]  bar+0x1/0x2", report.context)

    def test_kinds(self):
        for line in (
            "BUG: KASAN: slab-use-after-free in foo",
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "BUG: Bad page map in process a.out  pte:8000 pmd:100",
            "WARNING: possible circular locking dependency detected",
            "WARNING: inconsistent lock state",
            "UBSAN: array-index-out-of-bounds in foo.c:1:2",
            "Oops: general protection fault, probably for non-canonical address",
            "Kernel panic - not syncing: Fatal exception",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "BUG: sleeping function called from invalid context at mm/x.c:1",
            "BUG: scheduling while atomic: a/1/0x2",
            "INFO: task a:1 blocked for more than 120 seconds.",
            "refcount_t: underflow; use-after-free.",
            "Call Trace:",
        ):
            with self.subTest(line):
                self.assertEqual(self.reports(f"[    1.0] {line}\n"), [line])
                # With a thread id in the stamp, and without a stamp.
                self.assertEqual(self.reports(f"[    1.0][  T99] {line}\n"), [line])
                self.assertEqual(self.reports(f"{line}\n"), [line])

    def test_two_reports_in_a_row_are_two(self):
        self.assertEqual(len(self.reports(WARN + WARN)), 2)

    def test_expected(self):
        reports, (expectation,) = console.scan(expect("mm/memory.c", WARN))
        self.assertEqual(reports, [])
        self.assertTrue(expectation.met)

    def test_expected_but_missing(self):
        reports, (expectation,) = console.scan(expect("mm/memory.c", ""))
        self.assertEqual(reports, [])
        self.assertFalse(expectation.met)

    def test_another_than_expected(self):
        reports, (expectation,) = console.scan(expect("mm/mmap.c", WARN))
        self.assertEqual(len(reports), 1)
        self.assertFalse(expectation.met)

    def test_expected_and_another(self):
        other = WARN.replace("mm/memory.c", "mm/mmap.c")
        reports, (expectation,) = console.scan(expect("mm/memory.c", WARN + other))
        self.assertEqual(len(reports), 1)
        self.assertIn("mm/mmap.c", reports[0].text)
        self.assertTrue(expectation.met)

    def test_expectation_ends(self):
        reports, _ = console.scan(expect("mm/memory.c", WARN) + WARN)
        self.assertEqual(len(reports), 1)


if __name__ == "__main__":
    unittest.main()
