# SPDX-License-Identifier: GPL-2.0
"""config/series.toml has each file and each edit once, and after the last patch all is there."""

import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import integrate
import series

REPO = Path(__file__).resolve().parent.parent

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n"

MESSAGE = "There is a reason for this, which takes more than ten words to say."

LIST = f"""
[[series]]
name = "0-a"
subject = "rust: mm: letter"
message = "{MESSAGE}"

[[series.patch]]
subject = "rust: mm: add low"
message = "{MESSAGE}"
files = ["rust/kernel/mm/low.rs", "rust/helpers/ours.c", "mm/rust_c.c"]
edits = ["rust/kernel/mm.rs", "mm/Makefile", "MAINTAINERS", "rust/kernel/old.rs: fn b"]

[[series.patch]]
subject = "rust: mm: add high"
message = "{MESSAGE}"
files = ["rust/kernel/mm/high.rs", "mm/rust_d.c", "selftests/mm/"]
edits = ["rust/kernel/old.rs: fn c"]

[series.patch.pieces]
"rust/kernel/mm/low.rs" = ["fn second"]
"rust/kernel/old.rs" = ["fn b2"]

[[series.patch.instead]]
file = "rust/kernel/mm/low.rs"
line = "first_and_second();"
until = "// Alone.\\nfirst_only();"
"""

FILES = {
    "rust/kernel/mm/low.rs": """
use super::high::High;
use core::{
    One,
    Two, //
};

/// # Examples
///
/// ```
/// kernel::mm::high::f();
/// ```
fn first(a: One) {
    // Both.
    first_and_second();
    unsafe { bindings::called_first() };
}

fn second(a: Two, high: High) {
    unsafe { bindings::rust_second() };
}
""",
    "rust/kernel/mm/high.rs": "pub struct High;\npub fn f() {}\n",
    "rust/helpers/ours.c": "void rust_helper_called_first(void)\n{\n\tinner();\n}\n",
    "mm/rust_c.c": """
static void inner(void)
{
}

#ifdef CONFIG_A
void rust_second(void)
{
}
#endif
""",
    "mm/rust_d.c": "void unused(void)\n{\n}\n",
    "selftests/mm/a.c": "",
    "integration.toml": '''
[[insert]]
file = "rust/kernel/mm.rs"
after = "pub mod virt;"
text = """
#[cfg(X)]
pub mod high;
mod low;
pub use high::High;
"""

[[insert]]
file = "mm/Makefile"
after = "a"
text = """
\\tobj-y += rust_c.o rust_d.o
"""

[[insert]]
file = "MAINTAINERS"
after = "b"
text = """
F:\\tmm/rust_c.c
F:\\ttools/testing/selftests/mm/
"""

[[insert]]
file = "rust/kernel/old.rs"
after = "fn b() {}"
text = """
fn b1() {}
fn b2() {}
"""

[[insert]]
file = "rust/kernel/old.rs"
replace = "fn c() {}"
text = "fn c1() {}"
''',
}

TREE = {
    "Makefile": MAKEFILE,
    "rust/kernel/mm.rs": "pub mod virt;\n",
    "mm/Makefile": "a\n",
    "MAINTAINERS": "b\n",
    "rust/kernel/old.rs": "fn b() {}\nfn c() {}\n",
}


class Repository(unittest.TestCase):
    def test_no_mistakes(self):
        self.assertEqual(series.mistakes(series.Plan()), [])

    def test_exceptions_have_reasons(self):
        self.assertTrue(series.exceptions())
        for kind, _, why in series.exceptions():
            with self.subTest(kind):
                self.assertGreater(len(why.split()), 3)


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.repo, self.tree = Path(folder.name, "repo"), Path(folder.name, "tree")
        self.out = Path(folder.name, "out")
        for path, text in FILES.items():
            self.put(self.repo, path, text)
        for path, text in TREE.items():
            self.put(self.tree, path, text)
        self.list(LIST)

    def put(self, base, path, text):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(text)

    def list(self, text):
        self.put(self.repo, "config/series.toml", text)

    def mistakes(self):
        return series.mistakes(series.Plan(self.repo))


class States(Base):
    def state(self, number):
        texts, edits = series.Plan(self.repo).state(number)
        return texts | {edit["file"]: edit["text"] for edit in edits}

    def test_first(self):
        texts = self.state(1)
        self.assertEqual(
            texts["rust/kernel/mm/low.rs"],
            "\nuse core::One;\n\nfn first(a: One) {\n    // Alone.\n    first_only();\n"
            "    unsafe { bindings::called_first() };\n}\n",
        )
        self.assertEqual(texts["rust/kernel/mm.rs"], "mod low;\n")
        self.assertEqual(texts["mm/rust_c.c"], "\nstatic void inner(void)\n{\n}\n")
        self.assertEqual(texts["mm/Makefile"], "\tobj-y += rust_c.o\n")
        self.assertEqual(texts["MAINTAINERS"], "F:\tmm/rust_c.c\n")
        self.assertEqual(texts["rust/kernel/old.rs"], "fn b1() {}\n")
        self.assertNotIn("rust/kernel/mm/high.rs", texts)

    def test_early(self):
        self.list(LIST.replace('"rust/kernel/mm/low.rs" = ["fn second"]\n', ""))
        plan = series.Plan(self.repo)
        texts, _ = plan.state(1)
        self.assertEqual(list(plan.early(1, texts, set())), [("rust/kernel/mm/low.rs", ["High"])])
        self.assertEqual(list(plan.early(1, texts, set())), [])

    def test_early_in_the_plan(self):
        self.put(self.repo, "mm/rust_d.c", "int d;\n")
        with mock.patch("builtins.print") as out, mock.patch.object(
            series.Plan, "early", lambda plan, number, *_: [("a.rs", ["High"])] * (number == 1)
        ):
            series.write_plan(series.Plan(self.repo), self.tree, self.out)
        self.assertEqual(
            [call.args[0] for call in out.call_args_list][:3],
            ["1..2", "not ok rust: mm: add low\n# a.rs names High", "ok rust: mm: add high"],
        )

    def test_last(self):
        texts, edits = series.Plan(self.repo).state(2)
        for path, text in texts.items():
            # Nothing calls what is in this one.
            if path != "mm/rust_d.c":
                self.assertEqual(text, FILES[path])
        self.assertEqual(edits, integrate.load_inserts(self.repo, "7.3"))

    def test_plan(self):
        (self.repo / "mm/rust_d.c").unlink()
        self.list(LIST.replace('"mm/rust_d.c", ', ""))
        self.put(self.repo, "integration.toml", FILES["integration.toml"].replace(" rust_d.o", ""))
        with mock.patch("builtins.print"):
            series.write_plan(series.Plan(self.repo), self.tree, self.out)
        first, second = self.out / "001", self.out / "002"
        self.assertEqual((first / "message").read_text(), f"rust: mm: add low\n\n{MESSAGE}\n")
        self.assertEqual(
            (first / "tree/rust/kernel/old.rs").read_text(), "fn b() {}\nfn b1() {}\nfn c() {}\n"
        )
        self.assertEqual(
            (second / "tree/rust/kernel/old.rs").read_text(),
            "fn b() {}\nfn b1() {}\nfn b2() {}\nfn c1() {}\n",
        )
        self.assertTrue((second / "tree/tools/testing/selftests/mm/a.c").exists())
        self.assertFalse((second / "tree/rust/helpers/ours.c").exists())
        self.assertEqual((self.out / "partial").read_text(), "001/tree/rust/kernel/mm/low.rs\n")
        self.assertTrue((self.out / "0-a.cover").read_text().startswith("rust: mm: letter\n\n"))

    def test_plan_from_a_tree_with_the_layer(self):
        (self.repo / "mm/rust_d.c").unlink()
        self.list(LIST.replace('"mm/rust_d.c", ', ""))
        self.put(self.repo, "integration.toml", FILES["integration.toml"].replace(" rust_d.o", ""))
        plans = []
        for _ in range(2):
            with mock.patch("builtins.print"):
                series.write_plan(series.Plan(self.repo), self.tree, self.out)
                integrate.integrate(self.repo, self.tree)
            files = sorted(path for path in self.out.rglob("*") if path.is_file())
            plans.append({path: path.read_text() for path in files})
        self.assertEqual(*plans)
        self.assertEqual((self.out / "upstream/rust/kernel/old.rs").read_text(), "fn b() {}\nfn c() {}\n")


class Mistakes(Base):
    def setUp(self):
        super().setUp()
        (self.repo / "mm/rust_d.c").unlink()
        self.right = LIST.replace('"mm/rust_d.c", ', "")
        self.list(self.right)

    def test_none(self):
        self.assertEqual(self.mistakes(), [])

    def test_found(self):
        for old, new, wrong in (
            (', "mm/rust_c.c"', "", "mm/rust_c.c: is in no patch"),
            (
                '"rust/kernel/mm/high.rs"',
                '"rust/kernel/mm/*.rs"',
                "is in rust: mm: add low, rust: mm: add high",
            ),
            ("mm/high.rs", "mm/hi.rs", "no file is rust/kernel/mm/hi.rs"),
            (', "mm/Makefile"', "", "mm/Makefile: 'a': is in no patch"),
            (
                '"rust/kernel/old.rs: fn c"',
                '"rust/kernel/old.rs"',
                "is in rust: mm: add low, rust: mm: add high",
            ),
            ("old.rs: fn c", "old.rs: fn d", "no edit is rust/kernel/old.rs: fn d"),
            ("fn second", "fn third", "'fn third' is there 0 times"),
            ("first_and_second();", "second();", "'second();' is there 0 times"),
            (
                '"rust/kernel/mm/low.rs" = ["fn second"]',
                '"rust/kernel/mm/high.rs" = ["fn f"]',
                "does not come before",
            ),
            ("rust: mm: add high", "rust: mm: add " + 70 * "x", "75 columns"),
            ("rust: mm: add high", "rust: mm: add high.", "no full stop"),
            ("rust: mm: add high", "Add high", "no subject with a prefix"),
            (MESSAGE, "Because.", "says why"),
            (MESSAGE, MESSAGE + " " + MESSAGE, "75 columns"),
            (MESSAGE, f"{MESSAGE}\\n\\nReviewed-by: A", "no person"),
        ):
            with self.subTest(new):
                self.assertIn(old, self.right)
                self.list(self.right.replace(old, new))
                self.assertIn(wrong, "\n".join(self.mistakes()))

    def test_unknown_key(self):
        self.list(self.right.replace("edits", "edit"))
        with self.assertRaisesRegex(series.Mistake, "what is edit?"):
            self.mistakes()

    def test_never_used(self):
        self.put(self.repo, "mm/rust_c.c", FILES["mm/rust_c.c"] + "\nvoid unused(void)\n{\n}\n")
        self.assertEqual(self.mistakes(), ["mm/rust_c.c: is not whole after the last patch"])


class Checkpatch(unittest.TestCase):
    OUTPUT = (
        "a.patch:12: WARNING:LONG_LINE: line length of 101 exceeds 100 columns\n"
        "selftests/a.c:3: CHECK:BIT_MACRO: Prefer using the BIT macro\n"
        "total: 0 errors\n"
    )

    def checkpatch(self, known, status=1, stderr=""):
        answer = subprocess.CompletedProcess([], status, self.OUTPUT, stderr)
        with mock.patch("subprocess.run", return_value=answer):
            return series.checkpatch("a.patch", known)

    def left(self, *known):
        return self.checkpatch([(k, series.re.compile(w), "why") for k, w in known])[0]

    def test_all(self):
        self.assertEqual(len(self.left()), 2)

    def test_without_exceptions(self):
        self.assertEqual(
            self.left(("BIT_MACRO", "^selftests/")), [self.OUTPUT.split("\n", maxsplit=1)[0]]
        )
        self.assertEqual(len(self.left(("BIT_MACRO", "^samples/"))), 2)

    def test_that_does_not_run(self):
        for status, stderr in ((2, ""), (1, "Can't open perl script")):
            with self.subTest(status):
                self.assertEqual(len(self.checkpatch([], status, stderr)[0]), 3)

    def test_tap(self):
        known = [
            ("BIT_MACRO|VOLATILE", series.re.compile("^selftests/"), "why"),
            ("VOLATILE", series.re.compile(""), "why"),
        ]
        answer = subprocess.CompletedProcess([], 1, self.OUTPUT, "")
        with mock.patch("subprocess.run", return_value=answer), mock.patch("builtins.print") as out:
            results = series.check_mails([Path("a/0001.patch")], known, True)
            self.assertTrue(series.show_tap(3, results))
        self.assertEqual(
            [call.args[0] for call in out.call_args_list],
            [
                "1..3",
                "not ok 1 a/0001.patch",
                "# a.patch:12: WARNING:LONG_LINE: line length of 101 exceeds 100 columns",
                "ok 2 exception BIT_MACRO|VOLATILE ^selftests/",
                "not ok 3 exception VOLATILE ",
                "# there is no such finding",
            ],
        )


if __name__ == "__main__":
    unittest.main()
