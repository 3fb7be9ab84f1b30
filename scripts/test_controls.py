# SPDX-License-Identifier: GPL-2.0
import unittest
from pathlib import Path

import controls
from test_console import WARN

LIST = Path(__file__).parent.parent / "selftests/rust_mm/controls.toml"

WARNS = "[a]\nrun = 'a'\nreport = 'mm/memory.c:1'\n"
DIES = WARNS + "dies = true\n"
START = "[    4.000001] rust_mm: control a\n"
OTHER = WARN.replace("mm/memory.c", "mm/mmap.c")


class Parse(unittest.TestCase):
    def test_all_keys(self):
        (control,) = controls.parse(DIES + "config = 'CONFIG_KASAN'\n")
        self.assertEqual(
            control,
            controls.Control("a", "a", "mm/memory.c:1", "", "", True, "CONFIG_KASAN"),
        )

    def test_in_order(self):
        text = WARNS.replace("[a]", "[b]") + WARNS
        self.assertEqual([c.name for c in controls.parse(text)], ["b", "a"])

    def test_mistakes(self):
        for text in (
            "",
            "# nothing",
            "[a",
            "a = 1",
            "[a]\nrun = 'a'\n",
            "[a]\nreport = 'a'\n",
            "[a]\nrun = ''\nreport = 'a'\n",
            # Would match everything.
            "[a]\nrun = 'a'\nreport = ''\n",
            "[a]\nrun = 'a'\nreport = '('\n",
            "[a]\nrun = 1\nreport = 'a'\n",
            "['a b']\nrun = 'a'\nreport = 'a'\n",
            "[a]\nrun = \"a\\tb\"\nreport = 'a'\n",
            WARNS + "die = true\n",
            WARNS + "dies = 'true'\n",
            WARNS + WARNS,
            WARNS + "boot = 'a'\n",
        ):
            with self.subTest(text), self.assertRaises(controls.Mistake):
                controls.parse(text)

    def test_our_list(self):
        self.assertTrue(controls.parse(LIST.read_text(encoding="utf-8")))


class Applicable(unittest.TestCase):
    def names(self, config, *names):
        text = WARNS + WARNS.replace("[a]", "[kasan]") + "config = 'CONFIG_KASAN'\n"
        return [c.name for c in controls.applicable(controls.parse(text), config, names)]

    def test_config(self):
        self.assertEqual(self.names("CONFIG_KASAN=y\n"), ["a", "kasan"])
        self.assertEqual(self.names("# CONFIG_KASAN is not set\n"), ["a"])
        self.assertEqual(self.names("CONFIG_KASAN_INLINE=y\n"), ["a"])

    def test_two_options(self):
        both = controls.Control("both", "x", "y", config="CONFIG_A CONFIG_B")
        self.assertEqual(controls.applicable([both], "CONFIG_A=y\nCONFIG_B=m\n"), [both])
        self.assertEqual(controls.applicable([both], "CONFIG_A=y\n"), [])

    def test_names(self):
        self.assertEqual(self.names("CONFIG_KASAN=y\n", "kasan"), ["kasan"])
        self.assertEqual(self.names("", "kasan"), [])


class Judge(unittest.TestCase):
    def judge(self, text, log, vm):
        (control,) = controls.parse(text)
        return controls.judge(control, log, vm)

    def assertFails(self, text, log, vm, reason):
        reasons = self.judge(text, log, vm)
        self.assertEqual(len(reasons), 1, reasons)
        self.assertIn(reason, reasons[0])

    def test_as_expected(self):
        self.assertEqual(self.judge(WARNS, START + WARN, "0"), [])
        self.assertEqual(self.judge(DIES, START + WARN, "died"), [])
        self.assertEqual(self.judge(DIES, START + WARN, "hung"), [])

    def test_anywhere_in_the_report(self):
        trace = WARNS.replace("mm/memory.c:1", r"\bbar\+0x")
        self.assertEqual(self.judge(trace, START + WARN, "0"), [])

    def test_no_report(self):
        self.assertFails(WARNS, START, "0", "did not come")
        self.assertFails(DIES, START, "died", "did not come")

    def test_another_report(self):
        reasons = self.judge(WARNS, START + OTHER, "0")
        self.assertEqual(len(reasons), 2, reasons)
        self.assertFails(DIES, START + OTHER, "died", "did not come")

    def test_death_after_the_report(self):
        dead = "[    5.2] kernel BUG at rust/helpers/bug.c:7!\n"
        self.assertFails(WARNS, START + WARN + dead, "0", "another report")

    def test_more_than_one(self):
        self.assertFails(WARNS, START + WARN + OTHER, "0", "another report")
        self.assertFails(WARNS, START + OTHER + WARN, "0", "another report")
        # One cause can be told in two ways.
        self.assertEqual(self.judge(WARNS, START + WARN + WARN, "0"), [])
        # What comes after memory is broken says nothing.
        self.assertEqual(self.judge(DIES, START + OTHER + WARN + OTHER, "died"), [])

    def test_another_that_may_come(self):
        also = WARNS + "also = 'mm/mmap.c'\n"
        self.assertEqual(self.judge(also, START + OTHER + WARN, "0"), [])
        self.assertEqual(self.judge(also, START + WARN, "0"), [])
        self.assertFails(also, START + OTHER, "0", "did not come")

    def test_at_boot(self):
        boot = "[a]\nrun = 'a'\nboot = 'looked: \\d'\n"
        self.assertEqual(self.judge(boot, "[    1.0] looked: 1\n" + START, "0"), [])
        self.assertFails(boot, START + "[    5.0] looked: 1\n", "0", "nobody has said")
        self.assertFails(boot, "[    1.0] looked: 1\n" + START + WARN, "0", "another report")

    def test_too_early(self):
        self.assertFails(WARNS, WARN + START + WARN, "0", "before it began")
        self.assertFails(DIES, OTHER + START + WARN, "died", "before it began")
        reasons = self.judge(DIES, WARN + START, "died")
        self.assertEqual(len(reasons), 2, reasons)

    def test_not_started(self):
        self.assertFails(WARNS, WARN, "0", "not started")
        self.assertFails(WARNS, WARN, "hung", "not started")
        self.assertFails(WARNS, START.replace("control a", "control ab") + WARN, "0", "not started")

    def test_wrong_end(self):
        self.assertFails(WARNS, START + WARN, "1", "ended: 1")
        self.assertFails(WARNS, START + WARN, "died", "ended: died")
        self.assertFails(WARNS, START + WARN, "hung", "ended: hung")
        self.assertFails(DIES, START + WARN, "0", "ended: 0")

    def test_tap(self):
        (control,) = controls.parse(WARNS)
        self.assertEqual(controls.tap(control, []), "ok a")
        self.assertEqual(controls.tap(control, ["x", "y"]), "not ok a\n# x\n# y")


if __name__ == "__main__":
    unittest.main()
