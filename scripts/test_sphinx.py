# SPDX-License-Identifier: GPL-2.0
import tempfile
import unittest
from pathlib import Path

import sphinx

PAGE = "Documentation/mm/rust-mmap/locking.rst"

# From logs of Sphinx 8.1.3, with other paths.
LOG = f"""\
Using alabaster theme
/build/linux/{PAGE}:71: ERROR: Malformed table.
/build/linux/{PAGE}:91: WARNING: unknown document: 'nowhere' [ref.doc]
/build/linux/Documentation/mm/rust-mmap/locking.rst.txt:91: WARNING: of another file
/build/linux/Documentation/mm/ksm.rst:7: WARNING: Title underline too short.
/build/linux/Documentation/mm/index.rst:2: WARNING: undefined label: 'memory_allocation' [ref.ref]
/build/linux/Documentation/mm/index.rst:5: WARNING: unknown document: '../core-api/a' [ref.doc]
/build/linux/Documentation/mm/index.rst:5: WARNING: unknown document: '/core-api/a' [ref.doc]
/build/linux/Documentation/mm/index.rst:9: WARNING: undefined label: 'no_label' [ref.ref]
/build/linux/Documentation/mm/index.rst:9: WARNING: unknown document: 'core-api/a' [ref.doc]
"""


class Judge(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree, self.output = Path(folder.name) / "linux", Path(folder.name) / "output"
        self.write(self.tree / PAGE, "``a``\n\n=  =\na  b\n=  =\n")
        self.write(self.output / "mm/rust-mmap/locking.html", "<table class='a'>")

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def mistakes(self, log=""):
        return sphinx.mistakes(self.tree, self.output, log, PAGE)

    def test_good(self):
        self.assertEqual(self.mistakes(), [])

    def test_messages(self):
        self.assertEqual(self.mistakes(LOG), LOG.splitlines()[1:3])

    def test_not_rendered(self):
        self.write(self.tree / "Documentation/core-api/a.rst", ".. _memory_allocation:\n\nA\n=\n")
        found = sphinx.messages(self.tree, LOG, "Documentation/mm/index.rst")
        self.assertEqual(found, LOG.splitlines()[8:])

    def test_table_lost(self):
        self.write(self.output / "mm/rust-mmap/locking.html", "<p>")
        self.assertEqual(self.mistakes(), ["0 tables in the HTML, 1 in the source"])

    def test_page_lost(self):
        (self.output / "mm/rust-mmap/locking.html").unlink()
        self.assertIn("not rendered", self.mistakes()[0])

    def test_file_that_is_not_there(self):
        with open(self.tree / PAGE, "a", encoding="utf-8") as page:
            page.write(f"\nSee Documentation/mm/no.rst and {PAGE}.\n")
        self.assertEqual(self.mistakes(), ["Documentation/mm/no.rst does not exist"])


class Parts(unittest.TestCase):
    def test_pages(self):
        manifest = {
            "copies": [PAGE, "Documentation/mm/a.svg", "rust/kernel/mm/rmap.rs"],
            "inserts": [{"file": "Documentation/rust/index.rst"}, {"file": "rust/kernel/mm.rs"}],
        }
        names = [PAGE, "Documentation/rust/index.rst"]
        self.assertEqual(sphinx.pages(manifest), names)
        self.assertEqual(sphinx.folders(names), ["mm", "rust"])

    def test_tables(self):
        text = (
            "Page\n====\n\n=====  ======\nA      B\n=====  ======\n``a``  ``b``\n=====  ======\n\n"
            "    == ==\n    a  b\n    == ==\n\n+---+---+\n| a | b |\n+---+---+\n\n"
            ".. list-table::\n    :header-rows: 1\n\n    * - C\n      - D\n\n=  =\na  b\n=  =\n"
        )
        self.assertEqual(sphinx.tables(text), 5)


if __name__ == "__main__":
    unittest.main()
