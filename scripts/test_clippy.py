# SPDX-License-Identifier: GPL-2.0
import json
import tempfile
import unittest
from pathlib import Path

import clippy

OURS = {"rust/kernel/mm/vma.rs", "rust/kernel/mm.rs"}


def message(text, *files, level="warning"):
    spans = [{"file_name": file} for file in files]
    return json.dumps({"level": level, "spans": spans, "rendered": f"{text}\n"})


class Findings(unittest.TestCase):
    def test_in_our_files(self):
        log = "\n".join((
            "not of the compiler",
            message("one", "rust/kernel/mm/vma.rs"),
            message("two", "./rust/kernel/mm.rs", level="error"),
            message("upstream's", "rust/kernel/page.rs"),
            message("by a macro", "rust/kernel/page.rs", "rust/kernel/mm/vma.rs"),
            message("2 warnings emitted"),
            '{"artifact": "libkernel.rmeta"}',
        ))
        self.assertEqual(clippy.findings(log, lambda span: clippy.file_of(span) in OURS), ["one\n", "two\n", "by a macro\n"])


class Crates(unittest.TestCase):
    def test_those_that_were_built(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            (tree / "samples/rust/mm").mkdir(parents=True)
            (tree / "samples/rust/mm/.b.o.cmd").touch()
            copies = ("samples/rust/mm/b.rs", "samples/rust/mm/c.rs", "samples/rust/mm/b.c")
            self.assertEqual(clippy.crates(tree, copies), ["rust/kernel", "samples/rust/mm/b"])

    def test_of_a_driver(self):
        with tempfile.TemporaryDirectory() as out, tempfile.TemporaryDirectory() as source:
            for name in ("one.rs", "part.rs", "Kbuild"):
                (Path(source) / name).touch()
            # The last one is of a file that is gone.
            for name in (".one.o.cmd", ".one.mod.o.cmd", ".two.o.cmd"):
                (Path(out) / name).touch()
            self.assertEqual(clippy.crates_of_driver(Path(out), Path(source)), ["one"])


if __name__ == "__main__":
    unittest.main()
