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


RACE = """\
[    5.0] ==================================================================
[    5.0] BUG: KCSAN: data-race in bar / foo
[    5.0]
[    5.0] write to 0xffff888003a3c000 of 8 bytes by task 99 on cpu 1:
[    5.0]  bar+0x1/0x2
[    5.0]  do_syscall_64+0x1/0x2
[    5.0]
[    5.0] read to 0xffff888003a3c000 of 8 bytes by task 98 on cpu 0:
[    5.0]  foo+0x1/0x2
[    5.0]
[    5.0] Reported by Kernel Concurrency Sanitizer on:
[    5.0] ==================================================================
"""
KNOWN = """
[[race]]
functions = ["foo", "bar"]
why = "a count of no importance"

[[race]]
functions = ["foo"]
why = "another"
"""


class Scan(unittest.TestCase):
    def reports(self, log):
        return [report.text for report in console.scan(log)]

    def test_quiet(self):
        self.assertEqual(console.scan("[    1.0] Linux version 7.3.4\n"), [])

    def test_warning_is_one_report_with_its_context(self):
        (report,) = console.scan(WARN)
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
            "    Failure not reported to KUnit since this is a non-KUnit task",
            "kmemleak: unreferenced object 0xffff888003a3c000 (size 192):",
            "kmemleak: 16 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "Call Trace:",
            # As arm64 has it.
            "Call trace:",
            "Unable to handle kernel paging request at virtual address ffff800080000000",
            "Internal error: synchronous external abort: 0000000096000010 [#1]  SMP",
        ):
            with self.subTest(line):
                self.assertEqual(self.reports(f"[    1.0] {line}\n"), [line])
                # With a thread id in the stamp, and without a stamp.
                self.assertEqual(self.reports(f"[    1.0][  T99] {line}\n"), [line])
                self.assertEqual(self.reports(f"{line}\n"), [line])

    def test_leaks_told_one_by_one(self):
        log = (
            "[    1.0] kmemleak: unreferenced object 0xffff888003a3c000 (size 192):\n"
            "[    1.0] kmemleak:     leak+0x1/0x2 [rust_mm_broken]\n"
            "[    1.0] kmemleak: 1 new suspected memory leaks (see the file)\n"
        )
        (report,) = console.scan(log)
        self.assertIn("kmemleak:     leak+0x1/0x2 [rust_mm_broken]", report.body)

    def test_two_reports_in_a_row_are_two(self):
        self.assertEqual(len(self.reports(WARN + WARN)), 2)

    def test_death_right_after_a_report(self):
        for line in (
            "kernel BUG at rust/helpers/bug.c:7!",
            "double fault: 0000 [#1] SMP",
            "BUG kmalloc-64 (Tainted: G        W          ): Poison overwritten",
        ):
            with self.subTest(line):
                self.assertEqual(self.reports(f"{WARN}[    5.2] {line}\n")[1:], [line])


class KnownRaces(unittest.TestCase):
    def known(self, log, text=KNOWN):
        (report,) = console.scan(log, console.known_races(text))
        return report.known

    def test_told_apart(self):
        self.assertEqual(self.known(RACE), "a count of no importance")
        self.assertEqual(self.known(RACE, ""), "")
        self.assertEqual(self.known(RACE.replace("in bar / foo", "in foo+0x1/0x2")), "another")

    def test_other_functions(self):
        for other in ("foo / foo", "bar / bar", "bar+0x1/0x2", "bar / foo2", "bar / foo [rust_mmap]"):
            with self.subTest(other):
                self.assertEqual(self.known(RACE.replace("bar / foo", other)), "")

    def test_with_ours_on_a_stack(self):
        for frame in (
            "_RNvMs1_NtNtCsb5MLIFMWygY_6kernel2mm5folioNtB5_5Folio5alloc+0x4f/0x110",
            "_RNvMNtNtCsb5MLIFMWygY_6kernel2fs4pathNtNtB4_4file4File4path+0x4f/0x110",
            "_RNvMNtNtCsb5MLIFMWygY_6kernel4sync9publishedINtB2_9PublishedE3get+0x1/0x2",
            "_RNvMNtNtCsb5MLIFMWygY_6kernel8platform4mmapINtB4_6DeviceE12map_resource+0x1/0x2",
            "init_module+0x88/0x1000 [rust_mmap_plain]",
            "ioctl+0x1/0x2 [rust_vma_inspect]",
            "rust_helper_folio_alloc+0x11/0x20",
            "rust_mm_vma_speculative_copy+0x11/0x20",
            "rust_file_user_d_path+0x11/0x20",
            "rust_mem_claim+0x11/0x20",
            "rust_pci_mem_bar+0x11/0x20",
        ):
            with self.subTest(frame):
                log = RACE.replace(" do_syscall_64+0x1/0x2", f" {frame}")
                self.assertEqual(self.known(log), "")

    def test_name_of_a_task(self):
        of_a_test = RACE.replace("Sanitizer on:\n", "Sanitizer on:\n[    5.0] CPU: 0 PID: 98 Comm: rust_mm_load\n")
        self.assertIn("rust_mm_load", of_a_test)
        self.assertEqual(self.known(of_a_test), "a count of no importance")

    def test_cut_off(self):
        self.assertEqual(self.known(RACE[: RACE.index("[    5.0] Reported")]), "")

    def test_no_race(self):
        self.assertEqual(self.known(WARN), "")

    def test_mistakes(self):
        for text in (
            '[[race]]\nfunctions = []\nwhy = "a"',
            '[[race]]\nfunctions = ["a", "b", "c"]\nwhy = "a"',
            '[[race]]\nfunctions = ["a"]\nwhy = ""',
        ):
            with self.subTest(text), self.assertRaises(ValueError):
                console.known_races(text)

    def test_the_list(self):
        console.known_races()


if __name__ == "__main__":
    unittest.main()
