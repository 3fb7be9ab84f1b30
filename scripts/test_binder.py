# SPDX-License-Identifier: GPL-2.0
import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import binder
import figures

ONE = "boot\r\ncall, 0 bytes\t1000\nreclaim\t50.5\ncalls/s, new\t200\n"
TWO = "call, 0 bytes\t500\nreclaim\t101\ncalls/s, new\t300\n"


class Figures(unittest.TestCase):
    def test_read(self):
        self.assertEqual(
            binder.read(ONE), {"call, 0 bytes": 1000, "reclaim": 50.5, "calls/s, new": 200}
        )
        self.assertEqual(binder.read("no figure"), {})

    def test_table(self):
        lines = list(figures.table({"old": binder.read(ONE), "new": binder.read(TWO)}))
        self.assertEqual(lines[0].split(), ["old", "new", "ratio"])
        self.assertEqual(lines[1].split()[-3:], ["1000", "500", "0.500"])
        self.assertEqual(lines[2].split()[-3:], ["50.5", "101", "2.000"])
        self.assertEqual(lines[3].split()[-3:], ["200", "300", "1.500"])
        # Without the rate, which is better if it is more.
        self.assertEqual(lines[4].split()[-1], "1.000")

    def test_row_that_is_missing(self):
        lines = list(figures.table({"old": binder.read(ONE), "new": {"reclaim": 50.5}}))
        self.assertEqual(lines[1].split()[-2:], ["-", "-"])
        self.assertEqual(lines[-1].split()[-1], "1.000")

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, "binder-old"), Path(folder, "binder-new")]
            paths[0].write_text(ONE, encoding="utf-8")
            paths[1].write_text(TWO, encoding="utf-8")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(binder.main(paths), 0)
            self.assertIn("old", out.getvalue().splitlines()[0])
            paths[1].write_text("", encoding="utf-8")
            with contextlib.redirect_stderr(io.StringIO()) as err:
                self.assertEqual(binder.main(paths), 1)
            self.assertIn("binder-new", err.getvalue())


if __name__ == "__main__":
    unittest.main()
