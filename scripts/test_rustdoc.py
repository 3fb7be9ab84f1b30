# SPDX-License-Identifier: GPL-2.0
import json
import tempfile
import unittest
from pathlib import Path

import clippy
import rustdoc


def message(text, file, first, last=None):
    span = {"file_name": file, "line_start": first, "line_end": last or first}
    return json.dumps({"level": "warning", "spans": [span], "rendered": f"{text}\n"})


class InATree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        self.write("rust/kernel/mm.rs", "//! One\n//! ours\n//! ours\n//! four\n")
        self.write("rust/kernel/mm/vma.rs", "//! all\n//! ours\n")
        self.manifest = {
            "copies": ["rust/kernel/mm/vma.rs", "mm/a.c"],
            "inserts": [
                {"file": "rust/kernel/mm.rs", "text": "//! ours\n//! ours\n"},
                {"file": "rust/kernel/mm.rs", "text": ""},
            ],
        }
        self.ours = rustdoc.our_lines(self.tree, self.manifest)

    def write(self, name, text):
        (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / name).write_text(text)

    def test_our_lines(self):
        self.assertEqual(
            self.ours,
            {"rust/kernel/mm.rs": {2, 3}, "rust/kernel/mm/vma.rs": None, "mm/a.c": None},
        )

    def test_findings(self):
        log = "\n".join((
            "not of rustdoc",
            message("a line", "rust/kernel/mm.rs", 3),
            message("upstream's line", "rust/kernel/mm.rs", 4),
            message("across", "./rust/kernel/mm.rs", 1, 4),
            message("a file", "rust/kernel/mm/vma.rs", 1),
            message("upstream's file", "rust/kernel/page.rs", 1),
            json.dumps({"spans": [], "rendered": "2 warnings emitted\n"}),
        ))
        found = clippy.findings(log, lambda span: rustdoc.is_ours(span, self.ours))
        self.assertEqual(found, ["a line\n", "across\n", "a file\n"])

    def test_missing_files(self):
        self.write("mm/b.h", "")
        self.write("rust/kernel/mm/vma.rs", "//! [b](srctree/mm/b.h#L1), [c](srctree/mm/c.h)\n")
        self.write("rust/kernel/mm.rs", "//! [d](srctree/mm/d.h)\n//! ours\n//! [e](srctree/e.h)\n")
        self.assertEqual(
            rustdoc.missing_files(self.tree, self.ours),
            [
                "rust/kernel/mm.rs:3: srctree/e.h does not exist\n",
                "rust/kernel/mm/vma.rs:1: srctree/mm/c.h does not exist\n",
            ],
        )


class Command(unittest.TestCase):
    def test_of_the_build(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            (tree / "rust").mkdir()
            (tree / "rust/.kernel.o.cmd").write_text(
                "savedcmd_rust/kernel.o := OBJTREE=/t rustc -L./rust --emit=obj=a.o a.rs ;\n"
            )
            words = rustdoc.command(tree, "rust/kernel", "/out").split()
            self.assertEqual(words[:4], ["OBJTREE=/t", "rustdoc", "-L./rust", "a.rs"])
            self.assertEqual(words[-3:], ["--out-dir", "/out", "--error-format=json"])


if __name__ == "__main__":
    unittest.main()
